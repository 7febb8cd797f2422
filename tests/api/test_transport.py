# SPDX-License-Identifier: AGPL-3.0-or-later
"""How a call is sent and answered: credentials, the order of checks, bodies, forms, compression, paths."""
import base64
import gzip
import json
import re
import uuid
import zlib

import pytest

from harness.raw import Raw, request

NO_AUTHORIZATION = "You must provide authentication via an API key."
NO_ACCOUNT = "No account found. Is your API key wrong?"
JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def b64(text):
    return base64.b64encode(text.encode()).decode()


def missing(name):
    return f"invalid parameters 'Error: misc.defaults -- TypeError: property '{name}' must be specified: '"


def unexpected(name):
    return f"invalid parameters 'Error: misc.defaults -- TypeError: got an unexpected argument '{name}' '"


def refused(response, text, status=400):
    assert (response.status_code, response.json()) == (status, {"error": text})
    assert response.headers["content-type"] == "application/json; charset=utf-8"


def failed_as_page(response, *statuses):
    """A failure before any endpoint: only the status counts, and that it is a failure a person can read."""
    assert response.status_code in statuses, response.text
    assert response.text


# ---- Credentials ----

@pytest.mark.parametrize("header", [
    "Basic {colon}", "Basic {password}", "Basic {alone}", "Basic   {colon}", "Basic {colon} more words",
    "Bearer {key}", "Bearer    {key}", "Bearer {key} more words",
])
def test_a_key_is_read_from(hub, header):
    key = hub.key
    value = header.format(key=key, colon=b64(key + ":"), password=b64(key + ":secret:x"), alone=b64(key))
    response = hub.api("get_usernames", json={"account_ids": []}, key=None, headers={"Authorization": value})
    assert response.json()["usernames"] == {}


@pytest.mark.parametrize("header, scheme", [
    ("basic {b64}", "basic"), ("BASIC {b64}", "BASIC"), ("bearer {key}", "bearer"), ("Digest x=y", "Digest"),
    ("Basically {b64}", "Basically"), ("Bearer:{key}", "Bearer:{key}"), ("{key}", "{key}"),
])
def test_an_unknown_scheme_is_refused(hub, header, scheme):
    value = header.format(key=hub.key, b64=b64(hub.key + ":"))
    response = hub.api("ping", key=None, headers={"Authorization": value})
    refused(response, f"Unknown authorization type '{scheme.format(key=hub.key)}'")


@pytest.mark.parametrize("header", ["Basic", "Bearer", "Basic Og==", "Basic " + b64(":password")])
def test_a_blank_key_may_ping_and_nothing_else(hub, header):
    headers = {"Authorization": header}
    assert hub.api("ping", key=None, headers=headers).json()["event"] == "pong"
    refused(hub.api("get_usernames", json={"account_ids": []}, key=None, headers=headers), NO_ACCOUNT)


@pytest.mark.parametrize("key", ["sk_" + "a" * 24, "sk-" + "b" * 22, "sk_", "x", "y" * 5000, "sk_é\t", " "])
def test_an_unknown_key_is_refused_everywhere(hub, key):
    for event, parameters in (("ping", {}), ("get_usernames", {"account_ids": []})):
        headers = {"Authorization": "Basic " + b64(key + ":")}
        refused(hub.api(event, json=parameters, key=None, headers=headers), NO_ACCOUNT)


@pytest.mark.parametrize("word", ["!!!notbase64", "=", "Og=", b64("\0"), b64("\0:x"), b64("é")[:-3]])
def test_what_cannot_be_read_is_an_unknown_key_and_no_blank_one(hub, word):
    refused(hub.api("ping", key=None, headers={"Authorization": f"Basic {word}"}), NO_ACCOUNT)


def test_the_first_character_behind_a_key_matters(hub):
    for wrong in (hub.key + "x", hub.key[:-1], hub.key.upper(), hub.key.replace("sk_", "sk-")):
        refused(hub.api("ping", key=wrong), NO_ACCOUNT)


# ---- The order of checks ----

@pytest.mark.parametrize("event", ["ping", "nothing", "metrics"])
def test_authorization_comes_first(hub, event):
    refused(hub.api(event, json={"wrong": 1}, key=None), NO_AUTHORIZATION)
    refused(hub.api(event, json={"wrong": 1}, key=None, headers={"Authorization": "Odd x"}),
            "Unknown authorization type 'Odd'")


@pytest.mark.parametrize("event, text", [
    ("nothing", "unknown endpoint 'nothing'"), ("", "unknown endpoint ''"), ("Ping", "unknown endpoint 'Ping'"),
    ("a%20b%22%3C", "unknown endpoint 'a b\"<'"), ("%C3%A9", "unknown endpoint 'é'"),
    *((name, f"endpoint '{name}' is not part of the HTTP API")
      for name in ("metrics", "start_metrics", "sign_in", "sign_in_using_auth_token", "sign_out", "api_key",
                   "send_verification_email", "admin_reset_password", "admin_ban_user", "project_set_quotas",
                   "remove_all_upgrades", "query_cancel", "user_tracking", "webapp_error",
                   # what replies are called
                   "pong", "error", "success", "usernames", "account_created", "account_creation_failed",
                   "project_exec_output", "copy_path_between_projects_response")),
])
@pytest.mark.parametrize("key", [..., "sk_wrong"])
def test_the_endpoint_comes_before_parameters_and_key(hub, event, text, key):
    refused(hub.api(event, json={"wrong": 1}, key=key), text)


@pytest.mark.parametrize("event, body, text", [
    ("user_auth", {}, missing("account_id")),
    ("user_auth", {"account_id": "x"}, missing("password")),
    ("user_auth", {"password": "x"}, missing("account_id")),
    ("user_auth", {"account_id": None, "password": "x"}, missing("account_id")),
    ("user_auth", {"odd": 1, "account_id": "x"}, missing("password")),
    ("user_auth", {"account_id": "x", "password": "y", "second": 1, "first": 2}, unexpected("second")),
    ("ping", {"odd": None}, unexpected("odd")),
    ("ping", {"": 1}, unexpected("")),
    ("ping", {"Id": 1}, unexpected("Id")),
    ("get_usernames", {"account_ids": None}, missing("account_ids")),
    ("log_client_error", {}, missing("error")),
    ("query", {"query": {}, "multi_response": True}, "multi_response queries aren't supported"),
])
@pytest.mark.parametrize("key", [..., "sk_wrong", ""])
def test_parameters_come_before_the_key(hub, event, body, text, key):
    refused(hub.api(event, json=body, key=key), text)


def test_null_for_a_declared_parameter_is_as_if_left_out(hub):
    reply = hub.call("create_account", first_name="Nell", email_address=None, password=None, token=None,
                     get_api_key=None, agreed_to_terms=None)
    assert reply["event"] == "account_created"


def test_event_in_the_body(hub):
    assert hub.api("ping", json={"event": "ping"}).json()["event"] == "pong"
    for other in ("get_usernames", 5, None, {"a": 1}):
        response = hub.api("ping", json={"event": other})
        assert response.status_code == 400
        assert response.json()["error"].startswith(
            "invalid parameters 'Error: ValueError: must not define 'event' when calling message creation function "
            "(opts=")


# ---- id ----

IDS = ["x", "", "é \U0001f600 \"\\/\b\n\x7f", 0, -1, 1.5, 1e300, 9007199254740991, -0.1, 5e-324, True, False, [], {},
       [1, [2, [3, None]]], {"a": {"b": [None, "c"]}, "": 1}, "null", "0B1F2A3C-4D5E-4F60-8A7B-9C0D1E2F3A4B"]


@pytest.mark.parametrize("value", IDS, ids=lambda value: json.dumps(value)[:20])
def test_id_comes_back_as_it_was_sent(hub, value):
    assert hub.call("ping", id=value)["id"] == value
    error = hub.call("user_auth", id=value, account_id="no uuid", password="")
    assert error == {"event": "error", "id": value, "error": "invalid account_id -- no uuid"}


@pytest.mark.parametrize("body", [{}, {"id": None}])
def test_a_missing_id_is_made(hub, body):
    made = [hub.api("ping", json=body).json()["id"] for _ in range(2)]
    assert made[0] != made[1]
    for text in made:
        assert uuid.UUID(text).version == 4 and str(uuid.UUID(text)) == text


# ---- Bodies ----

@pytest.mark.parametrize("content_type", ["application/json", "application/json; charset=utf-8",
                                          "Application/JSON;charset=\"UTF-8\"", "application/json ; charset=utf8"])
def test_json(hub, content_type):
    response = hub.api("ping", content=b'\n {"id": "\xc3\xa9"} ', headers={"Content-Type": content_type})
    assert response.json()["id"] == "é"


@pytest.mark.parametrize("content_type", [None, "", "text/plain", "application/jsonp", "text/json", "application/xml",
                                          "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx"])
def test_a_body_of_another_type_is_no_parameters(hub, content_type):
    headers = {} if content_type is None else {"Content-Type": content_type}
    assert uuid.UUID(hub.api("ping", content=b'{"id": 5}', headers=headers).json()["id"])
    refused(hub.api("log_client_error", content=b'{"error": "x"}', headers=headers), missing("error"))


@pytest.mark.parametrize("headers", [{}, JSON, FORM])
def test_no_body_is_no_parameters(hub, headers):
    assert hub.api("ping", content=b"", headers=headers).json()["event"] == "pong"
    assert hub.api("ping", headers=headers).json()["event"] == "pong"


@pytest.mark.parametrize("content_type", ["application/json; charset=latin1", "application/json; charset=utf-16",
                                          "application/x-www-form-urlencoded; charset=iso-8859-1"])
def test_another_charset_is_refused(hub, content_type):
    response = hub.api("ping", content=b"{}", headers={"Content-Type": content_type})
    failed_as_page(response, 415)


def test_an_array_is_an_object_with_numbers_for_names(hub):
    assert hub.api("ping", json=[]).json()["event"] == "pong"
    refused(hub.api("ping", json=["a"]), unexpected("0"))
    refused(hub.api("log_client_error", json=["a"]), missing("error"))


@pytest.mark.parametrize("body", [b"5", b'"x"', b"true", b"null"])
def test_a_scalar_as_body_is_refused(hub, body):
    failed_as_page(hub.api("ping", content=body, headers=JSON), 400)


# ---- Forms ----

@pytest.mark.parametrize("form, value", [
    (b"id=v", "v"), (b"id=", ""), (b"id", ""), (b"id=a+b", "a b"), (b"id=a%2Bb", "a+b"), (b"id=a%20b%26c%3d", "a b&c="),
    (b"id=a=b", "a=b"), (b"id=%E2%82%AC", "€"), (b"i%64=x", "x"), (b"&&id=x&", "x"), (b"id=%zz%4", "%zz%4"),
    (b"id=null", "null"), (b"id=true", "true"), (b"id=5", "5"),
    (b"id=1&id=2", ["1", "2"]), (b"id=1&id=2&id=3", ["1", "2", "3"]),
    (b"id[]=1", ["1"]), (b"id[]=1&id[]=2", ["1", "2"]), (b"id%5B%5D=1&id%5b%5d=2", ["1", "2"]),
    (b"id[0]=1", ["1"]), (b"id[0]=1&id[1]=2", ["1", "2"]),
    (b"id[a]=v", {"a": "v"}), (b"id[a][b]=v", {"a": {"b": "v"}}), (b"id[a]=1&id[b]=2", {"a": "1", "b": "2"}),
    (b"id[a][]=1&id[a][]=2", {"a": ["1", "2"]}), (b"id[a]=1&id[a]=2", {"a": ["1", "2"]}),
    (b"id[][a]=1", [{"a": "1"}]), (b"id[0][a]=1&id[0][b]=2&id[1][a]=3", [{"a": "1", "b": "2"}, {"a": "3"}]),
])
def test_a_form_field_becomes(hub, form, value):
    response = hub.api("ping", form=form)
    assert response.status_code == 200, response.text
    assert response.json()["id"] == value


@pytest.mark.parametrize("form", [b"id=1&id[a]=2", b"id[a]=1&id[]=2", b"id[]=1&id[a]=2", b"id=%00", b"id%00=1",
                                  b"id=%ff", b"id=\xff", b"id=%ed%a0%80"])
def test_a_form_that_makes_no_sense_is_refused(hub, form):
    failed_as_page(hub.api("ping", form=form), 400)
    assert hub.call("ping")["event"] == "pong"


def test_lists_and_booleans_by_form(hub, account):
    names = hub.api("get_usernames", form={"account_ids[]": account.id}).json()["usernames"]
    assert list(names) == [account.id]
    for number, (text, given) in enumerate([("true", True), ("1", True), ("yes", True), ("on", True), ("false", False),
                                            ("0", False), ("no", False), ("off", False), ("", False)]):
        reply = hub.api("create_account", form={
            "get_api_key": text, "password": "a password", "email_address": f"flag{number}-{account.email}"}).json()
        assert reply["event"] == "account_created" and ("api_key" in reply) == given, text


# ---- Compression ----

LONG = {"account_ids": [], "id": "long " * 4000}


@pytest.mark.parametrize("encoding, body", [
    ("gzip", gzip.compress(json.dumps(LONG).encode())), ("GZIP", gzip.compress(json.dumps(LONG).encode())),
    ("deflate", zlib.compress(json.dumps(LONG).encode())), ("identity", json.dumps(LONG).encode()),
])
def test_a_compressed_body(hub, encoding, body):
    response = hub.api("get_usernames", content=body, headers={**JSON, "Content-Encoding": encoding})
    assert response.json()["id"] == LONG["id"]


@pytest.mark.parametrize("encoding, body", [
    ("gzip", b"{}"), ("gzip", gzip.compress(b"{}")[:-6]), ("gzip", gzip.compress(b"{}")[:12]), ("deflate", b"\x00" * 20),
    ("br", b"{}"), ("gzip, gzip", gzip.compress(b"{}")),
])
def test_a_body_that_is_not_so_compressed(hub, encoding, body):
    response = hub.api("ping", content=body, headers={**JSON, "Content-Encoding": encoding})
    failed_as_page(response, 400, 415)


@pytest.mark.parametrize("compress", [gzip.compress, zlib.compress])
def test_a_bomb_is_refused(hub, compress):
    encoding = "gzip" if compress is gzip.compress else "deflate"
    limit = 3 * 1024 * 1024
    text = b'{"id": "%s"}'
    for size, statuses in ((limit - len(text) + 2, [200]), (limit - len(text) + 3, [413]), (200_000_000, [413])):
        body = compress(text % (b"x" * size), 1)
        response = hub.api("ping", content=body, headers={**JSON, "Content-Encoding": encoding})
        assert response.status_code in statuses, (size, response.status_code)


def test_a_long_reply_is_compressed_for_who_accepts_it(hub):
    lengths = {}
    for accept in ("gzip", "deflate, gzip;q=0.5", "gzip;q=0", "identity", "x-other"):
        response = hub.api("ping", json={"id": LONG["id"]}, headers={"Accept-Encoding": accept})
        assert response.json()["id"] == LONG["id"]
        lengths[accept] = (response.headers.get("content-encoding"), int(response.headers["content-length"]) < 2000)
    assert lengths == {"gzip": ("gzip", True), "deflate, gzip;q=0.5": ("gzip", True), "gzip;q=0": (None, False),
                       "identity": (None, False), "x-other": (None, False)}


def test_a_reply_names_its_type_and_an_etag(hub, account):
    replies = [hub.api("get_usernames", json={"account_ids": ids, "id": 1})
               for ids in ([account.id], [account.id], [])]
    for reply in replies:
        assert reply.headers["content-type"] == "application/json; charset=utf-8"
        assert re.fullmatch(r'(W/)?"[!-~]+"', reply.headers["etag"])
    same, again, other = (reply.headers["etag"] for reply in replies)
    assert same == again != other


# ---- Methods and paths ----

@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_another_method_than_post_gets_a_page(hub, method):
    response = hub.client.request(method, f"{hub.url}/api/v1/ping", auth=(hub.key, ""))
    assert response.status_code == 404
    assert response.headers["content-type"].startswith("text/html")
    assert response.text == "" if method == "HEAD" else f"Cannot {method} /api/v1/ping" in response.text


@pytest.mark.parametrize("path", ["/api/v1/ping", "/api/v1/x/y/ping", "/api/v1//ping", "/api/v1/ping?a=b/c",
                                  "/api/v1/%70ing", "/api/v1/x%2Fping"])
def test_the_event_follows_the_last_slash(hub, path):
    assert hub.client.post(hub.url + path, auth=(hub.key, "")).json()["event"] == "pong"


@pytest.mark.parametrize("path", ["/api/v1/ping/", "/api/v1/", "/api/v1/x/"])
def test_a_slash_at_the_end_is_an_empty_event(hub, path):
    refused(hub.client.post(hub.url + path, auth=(hub.key, "")), "unknown endpoint ''")


@pytest.mark.parametrize("path", ["/", "/api", "/api/v1", "/api/v2/ping", "/API/V1/ping", "/x/api/v1/ping",
                                  "/%3Cscript%3E", "//api/v1/ping"])
def test_elsewhere_is_nothing(hub, path):
    with Raw(hub.url) as raw:
        reply = raw.send(request(path, key=hub.key)).reply()
    assert reply.status == 404 and reply.headers["content-type"].startswith("text/html")
    assert b"<script>" not in reply.body


def test_a_base_path(hub_factory):
    hub = hub_factory("--base-path", "/my/base")
    root = hub.url.removesuffix("/my/base")
    assert root != hub.url
    assert hub.call("ping")["event"] == "pong"
    assert hub.client.get(hub.url + "/healthz").status_code == 200
    for path in ("/api/v1/ping", "/my/basement/api/v1/ping", "/my/api/v1/ping", "/my/base/my/base/api/v1/ping"):
        assert hub.client.post(root + path, auth=(hub.key, "")).status_code == 404, path
    assert hub.client.get(root + "/healthz").status_code == 404
