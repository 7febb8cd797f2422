# SPDX-License-Identifier: AGPL-3.0-or-later
"""Tokens that sign a browser in, and out again."""
import html
import re

import httpx
import pytest

from harness.store import everything, execute

UNKNOWN = "a" * 24
HOURS_12_MS = 12 * 3600 * 1000


def browser(hub, **options):
    """Keeps cookies, and follows no redirect."""
    return httpx.Client(base_url=hub.url, verify=False, trust_env=False, timeout=60, **options)


@pytest.fixture
def person(hub):
    return hub.account(password="the password", first_name="Ada <b>", last_name="Lovelace")


def token_for(hub, person):
    return hub.call("user_auth", key=person, account_id=person.id, password="the password")["auth_token"]


def text_of(page):
    """What a reader sees; and that the page is one that needs and tells nothing."""
    assert page.headers["Referrer-Policy"] == "no-referrer" and page.headers["Cache-Control"] == "no-store"
    assert "script" not in page.headers["Content-Security-Policy"] and "<script" not in page.text
    return html.unescape(re.sub("<[^>]*>", " ", page.text.split("<main>")[1]))


def opened(hub, token, client=None):
    """A browser in which the token's address was opened."""
    client = client or browser(hub)
    reply = client.get("/auth/impersonate", params={"auth_token": token})
    assert reply.status_code == 302, reply.text
    return client


def sessions(hub, person):
    return execute(hub, "SELECT hash, expire - created FROM remember_me WHERE account_id = ?", person.id)


def shown(client):
    page = client.get("/auth/impersonate")
    return page.status_code, text_of(page)


def is_signed_in(client, name="Ada <b> Lovelace"):
    status, text = shown(client)
    return status == 200 and name in text


def mark_in(page):
    return re.search('name="mark" value="([^"]*)"', page.text).group(1)


# ---- In ----

def test_signing_in(hub, person):
    client, token = browser(hub), token_for(hub, person)
    reply = client.get("/auth/impersonate", params={"auth_token": token})
    assert (reply.status_code, reply.headers["Location"]) == (302, f"{hub.url}/auth/impersonate")
    assert (reply.headers["Referrer-Policy"], reply.headers["Cache-Control"]) == ("no-referrer", "no-store")
    [cookie] = reply.headers.get_list("Set-Cookie")
    assert re.fullmatch("remember_me=[A-Za-z0-9]{40}; Path=/; Max-Age=43200; HttpOnly; SameSite=Lax", cookie)
    page = client.get("/auth/impersonate")
    assert page.status_code == 200 and "This browser is signed in as Ada <b> Lovelace" in re.sub(r"\s+", " ", text_of(page))
    assert "Ada <b>" not in page.text and token not in page.text and client.cookies["remember_me"] not in page.text


def test_an_account_without_names(hub):
    person = hub.account(password="the password")
    execute(hub, "UPDATE accounts SET first_name = NULL, last_name = '' WHERE account_id = ?", person.id)
    assert is_signed_in(opened(hub, token_for(hub, person)), person.id)


def test_a_token_is_good_until_it_expires(hub, person):
    token = token_for(hub, person)
    first, second = opened(hub, token), opened(hub, token)
    assert first.cookies["remember_me"] != second.cookies["remember_me"]
    assert [life for _, life in sessions(hub, person)] == [HOURS_12_MS] * 2
    execute(hub, "UPDATE auth_tokens SET expire = 1000 WHERE account_id = ?", person.id)
    page = browser(hub).get("/auth/impersonate", params={"auth_token": token})
    assert page.status_code == 404 and "auth_token is not valid" in text_of(page)
    assert is_signed_in(first) and is_signed_in(second)


def test_the_older_address(hub, person):
    client, token = browser(hub, follow_redirects=True), token_for(hub, person)
    page = client.get("/app", params={"auth_token": token})
    assert page.url.path == "/auth/impersonate" and not page.url.query and "Ada" in text_of(page)


@pytest.mark.parametrize("query, status, text", [
    ("", 400, "missing auth_token."),
    ("auth_token=", 400, "missing auth_token."),
    ("auth_token=abc", 400, "auth_token must be exactly 24 characters long"),
    (f"auth_token={UNKNOWN}a", 400, "auth_token must be exactly 24 characters long"),
    (f"auth_token={UNKNOWN}", 404, "auth_token is not valid"),
    ("auth_token=" + "%ff" * 24, 404, "auth_token is not valid"),
])
def test_what_signs_nobody_in(hub, query, status, text):
    reply = browser(hub).get(f"/auth/impersonate?{query}")
    assert reply.status_code == status and text in text_of(reply)
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("command", ["ban", "delete"])
def test_a_token_of_an_account_that_is_gone(hub, person, command):
    token = token_for(hub, person)
    hub.cli("account", command, person.id)
    reply = browser(hub).get("/auth/impersonate", params={"auth_token": token})
    assert reply.status_code == 404 and "auth_token is not valid" in text_of(reply)


def test_another_token_takes_the_place_of_the_first(hub, person):
    other = hub.account(password="the password", first_name="Grace", last_name="Hopper")
    client = opened(hub, token_for(hub, person))
    opened(hub, token_for(hub, other), client)
    assert is_signed_in(client, "Grace Hopper")
    assert sessions(hub, person) == [] and len(sessions(hub, other)) == 1


def test_the_oldest_of_very_many_is_signed_out(hub, person):
    token = token_for(hub, person)
    first, second = opened(hub, token), opened(hub, token)
    execute(hub, "UPDATE remember_me SET created = created - 10 WHERE account_id = ?", person.id)
    opened(hub, token)
    execute(hub, "UPDATE remember_me SET created = created - 10 WHERE account_id = ?", person.id)
    [(hashed,)] = execute(hub, "SELECT hash FROM remember_me WHERE account_id = ? ORDER BY created DESC LIMIT 1", person.id)
    execute(hub, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 998)"
            " INSERT INTO remember_me (hash, account_id, created, expire)"
            " SELECT ? || i, account_id, created + 1, expire FROM n CROSS JOIN remember_me WHERE hash = ?", hashed, hashed)
    opened(hub, token)
    assert len(sessions(hub, person)) == 1000
    assert not is_signed_in(first) and not is_signed_in(second)


# ---- What a cookie is good for ----

def test_nothing_of_it_is_stored_in_the_clear(hub_factory):
    hub = hub_factory()
    person = hub.account(password="the password")
    token = token_for(hub, person)
    client = opened(hub, token)
    hub.stop()
    stored, log = everything(hub), hub.log.read_bytes()
    for secret in (token, client.cookies["remember_me"]):
        assert secret.encode() not in stored and secret.encode() not in log
    assert b"remember_me" in stored and person.id.encode() in stored


def test_it_outlives_the_hub(hub_factory):
    hub = hub_factory()
    client = opened(hub, token_for(hub, hub.account(password="the password", first_name="Ada", last_name="L")))
    hub.restart()
    client.base_url = hub.url
    assert is_signed_in(client, "Ada L")


def test_it_is_no_key(hub, person):
    """Other sites can have a browser send cookies, but no key."""
    client = opened(hub, token_for(hub, person))
    for endpoint in ("hub", "project"):
        reply = client.post(f"/api/conat/{endpoint}", json={"name": "system.ping", "args": [{}]})
        assert reply.json() == {"error": "You must provide authentication via an API key."}
    reply = client.post("/api/conat/hub", json={"name": "system.ping", "args": [{}]}, auth=("sk-" + "a" * 22, ""))
    assert reply.json() == {"error": "must be signed in and MUST provide an api key (cookies are not allowed)"}
    assert client.post("/api/v1/get_usernames", json={"account_ids": []}).status_code == 400
    value = client.cookies["remember_me"]
    assert hub.refusal(value, "system.ping", {}) == "must be signed in and MUST provide an api key (cookies are not allowed)"


@pytest.mark.parametrize("change", ["ban", "delete", "password", "expiry"])
def test_what_ends_it(hub, person, change):
    client = opened(hub, token_for(hub, person))
    assert is_signed_in(client)
    if change == "password":
        hub.call("change_password", key=person, account_id=person.id, old_password="the password", new_password="another one")
    elif change == "expiry":
        execute(hub, "UPDATE remember_me SET expire = 1000 WHERE account_id = ?", person.id)
    else:
        hub.cli("account", change, person.id)
    status, text = shown(client)
    assert status == 400 and "You are not signed in." in text
    if change == "ban":
        hub.cli("account", "unban", person.id)
        assert not is_signed_in(client)
    assert change == "expiry" or sessions(hub, person) == []


@pytest.mark.parametrize("cookies", ["remember_me=" + "a" * 40, "remember_me=abc", "remember_me=", "remember_me", ";;; =;",
                                     "xremember_me=" + "a" * 40, "remember_me=" + "a" * 41])
def test_cookies_of_nobody(hub, cookies):
    reply = browser(hub).get("/auth/impersonate", headers={"Cookie": cookies})
    wanted = "You are not signed in." if cookies == "remember_me=" + "a" * 40 else "missing auth_token."
    assert reply.status_code == 400 and wanted in text_of(reply)


def test_it_is_found_among_others(hub, person):
    value = opened(hub, token_for(hub, person)).cookies["remember_me"]
    for cookies in (f"a=b; remember_me={value}", f"remember_me={value};a=b", f"a=remember_me=x; remember_me={value}; c"):
        assert browser(hub).get("/auth/impersonate", headers={"Cookie": cookies}).status_code == 200, cookies


def test_below_a_path_and_behind_tls(hub_factory):
    hub = hub_factory("--base-path", "/base", env={"COHUB_HTTP_TRUSTED_PROXIES": "127.0.0.1"})
    person = hub.account(password="the password", first_name="Ada", last_name="L")
    reply = hub.client.get(f"{hub.url}/auth/impersonate", params={"auth_token": token_for(hub, person)},
                           headers={"X-Forwarded-Proto": "https", "Host": "example.org"})
    assert reply.headers["Location"] == "https://example.org/base/auth/impersonate"
    [cookie] = reply.headers.get_list("Set-Cookie")
    assert re.fullmatch("remember_me=[A-Za-z0-9]{40}; Path=/base; Max-Age=43200; HttpOnly; SameSite=Lax; Secure", cookie)


# ---- Out ----

def test_signing_out(hub, person):
    token = token_for(hub, person)
    client, other = opened(hub, token), opened(hub, token)
    value = client.cookies["remember_me"]
    page = client.get("/auth/impersonate")
    reply = client.post("/auth/sign_out", data={"mark": mark_in(page)})
    assert reply.status_code == 200 and "You are signed out" in text_of(reply)
    [cookie] = reply.headers.get_list("Set-Cookie")
    assert cookie == "remember_me=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax"
    assert "remember_me" not in client.cookies
    assert not is_signed_in(browser(hub, cookies={"remember_me": value}))
    assert is_signed_in(other)


def test_only_the_own_page_signs_out(hub, person):
    token = token_for(hub, person)
    client, other = opened(hub, token), opened(hub, token)
    for data in ({}, {"mark": ""}, {"mark": "0" * 64}, {"mark": mark_in(other.get("/auth/impersonate"))}):
        reply = client.post("/auth/sign_out", data=data)
        assert reply.status_code == 403 and "Set-Cookie" not in reply.headers, data
    assert client.get("/auth/sign_out").status_code == 404
    assert is_signed_in(client)
    assert browser(hub).post("/auth/sign_out", data={"mark": mark_in(client.get("/auth/impersonate"))}).status_code == 403
    assert is_signed_in(client)
