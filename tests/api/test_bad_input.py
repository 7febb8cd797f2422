# SPDX-License-Identifier: AGPL-3.0-or-later
"""What hostile or broken clients send: each gets a clear error, and the hub goes on."""
import json

import pytest

from harness.raw import Raw, request

JSON = {"Content-Type": "application/json"}
LIMIT = 3 * 1024 * 1024


@pytest.fixture(autouse=True)
def goes_on(hub):
    """After each test the same process answers as before."""
    pid = hub.pid
    yield
    assert hub.call("ping")["event"] == "pong"
    assert hub.running() and hub.pid == pid


def refused(response, *statuses):
    """400 or another 4xx, with words."""
    assert response.status_code in (statuses or (400,)), (response.status_code, response.text[:200])
    if response.headers["content-type"].startswith("application/json"):
        assert response.json()["error"]
    else:
        assert "<html" in response.text


# ---- JSON ----

@pytest.mark.parametrize("body", [
    b"{", b"}", b"{]", b'{"id"', b'{"id":', b'{"id":}', b'{"id":1', b'{"id":1,}', b"{,}", b'{"id":1 "x":2}', b"{id:1}",
    b"{'id':1}", b'{"id":1}}', b'{"id":1} x', b'{"id":1}{"id":2}', b"[", b"[1,]", b"]", b'{"id":[1}', b'{"id":"x}',
    b'{"id":tru}', b'{"id":True}', b'{"id":nul}', b'{"id":undefined}', b"nope", b"{1:2}", b'{"id":1}\x0b', b"\xa0{}",
    b"/**/{}", b'\xef\xbb\xbf{"id":1}',
    # numbers
    b'{"id":NaN}', b'{"id":Infinity}', b'{"id":-Infinity}', b'{"id":1e999}', b'{"id":-1e999}', b'{"id":01}', b'{"id":+1}',
    b'{"id":1.}', b'{"id":.5}', b'{"id":1e}', b'{"id":0x10}', b'{"id":--1}', b'{"id":1_000}', b'{"id":' + b"9" * 400 + b"}",
    # text
    b'{"id":"\n"}', b'{"id":"\x01"}', b'{"id":"\\x41"}', b'{"id":"\\u12"}', b'{"id":"\\u12g4"}', b'{"id":"\\"}',
    # NUL, raw and escaped, in a value, in a name, between
    b'{"id":"a\x00b"}', b'{"id":"a\\u0000b"}', b'{"a\\u0000":1}', b'{"a\x00":1}', b'{"id":1\x00}', b'{"id":1}\x00', b"\x00",
    # UTF-8: a lone continuation, an overlong form, a cut character, a surrogate, beyond the last character
    b'{"id":"\x80"}', b'{"id":"\xc0\xaf"}', b'{"id":"\xe2\x82"}', b'{"id":"\xed\xa0\x80"}', b'{"id":"\xf4\x90\x80\x80"}',
    b'{"id":"\xff"}', b'{"\xff":1}', b"\xff\xfe{\x00}\x00",
    # halves of surrogate pairs
    b'{"id":"\\ud800"}', b'{"id":"\\udc00"}', b'{"id":"\\ud800\\ud800"}', b'{"id":"\\ud800x"}', b'{"id":"\\udc00\\ud800"}',
    # a key twice, at the top and below
    b'{"id":1,"id":2}', b'{"id":{"a":1,"b":2,"a":1}}', b'{"id":[{"a":1,"a":1}]}', b'{"id":1,"i\\u0064":2}',
], ids=lambda body: repr(body[:24]))
def test_malformed_json(hub, body):
    response = hub.api("ping", content=body, headers=JSON)
    refused(response)
    assert response.json()["error"].startswith("invalid JSON")


def test_a_pair_of_surrogates_is_one_character(hub):
    assert hub.api("ping", content=b'{"id":"\\ud83d\\ude00"}', headers=JSON).json()["id"] == "\U0001f600"


@pytest.mark.parametrize("opening, closing", [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("depth, fits", [(99, True), (100, False), (101, False), (100_000, False), (500_000, False)])
def test_nesting(hub, opening, closing, depth, fits):
    body = b'{"id":' + opening * depth + b"1" + closing * depth + b"}"
    response = hub.api("ping", content=body, headers=JSON)
    if not fits:
        refused(response)
        assert "deep" in response.json()["error"]
    else:
        assert response.status_code == 200, response.text
        assert response.json()["id"] == json.loads(body)["id"]


def test_nesting_that_does_not_end(hub):
    for opening in (b"[", b'{"a":', b'[{"a":'):
        refused(hub.api("ping", content=b'{"id":' + opening * 400_000, headers=JSON))


def test_many_members(hub):
    names = {f"n{i}": i for i in range(100_000)}
    assert hub.api("ping", json={"id": names}, timeout=60).json()["id"] == names
    response = hub.api("ping", json=names)
    refused(response)
    assert "got an unexpected argument 'n0'" in response.json()["error"]


# ---- Values of the wrong type ----

WRONG_FOR_STRING = [5, -0.5, True, False, [], ["x"], {}, {"a": "x"}]


@pytest.mark.parametrize("event, parameters, name, wrong", [
    ("get_usernames", {}, "account_ids", [5, True, {}, "cc3cb7f1-14f6-4a18-a803-5034af8c0004", [5], [None], [[]], [{}],
                                          ["cc3cb7f1-14f6-4a18-a803-5034af8c0004", 5]]),
    ("user_auth", {"password": "x"}, "account_id", WRONG_FOR_STRING),
    ("user_auth", {"account_id": "cc3cb7f1-14f6-4a18-a803-5034af8c0004"}, "password", WRONG_FOR_STRING),
    ("log_client_error", {}, "error", WRONG_FOR_STRING),
    *(("create_account", {}, name, WRONG_FOR_STRING)
      for name in ("first_name", "last_name", "email_address", "token", "usage_intent")),
])
def test_wrong_types(hub, event, parameters, name, wrong):
    for value in wrong:
        response = hub.api(event, json={**parameters, name: value})
        refused(response)
        assert response.json()["error"].startswith("invalid parameters"), (value, response.text)
        assert name in response.json()["error"]


def test_a_list_where_a_form_should_have_one_value(hub):
    for form in (b"error=1&error=2", b"error[]=1", b"error[a]=1"):
        refused(hub.api("log_client_error", form=form))


@pytest.mark.parametrize("bad", ["", "x", "cc3cb7f1-14f6-4a18-a803-5034af8c000", "cc3cb7f1-14f6-4a18-a803-5034af8c00045",
                                 "cc3cb7f1-14f6-4a18-a803-5034af8c000g", "cc3cb7f114f64a18a8035034af8c0004",
                                 "{cc3cb7f1-14f6-4a18-a803-5034af8c0004}", "' OR 1=1 --", "x" * 1_000_000, "é\n\"\\"])
def test_malformed_ids(hub, bad):
    good = "cc3cb7f1-14f6-4a18-a803-5034af8c0004"
    listed = json.dumps([good, bad], separators=(",", ":"), ensure_ascii=False)
    assert hub.call("get_usernames", account_ids=[good, bad], id=1) == {
        "event": "error", "id": 1, "error": f"invalid uuid {bad} in account_ids -- {listed}"}
    reply = hub.call("user_auth", account_id=bad, password="x", id=1)
    assert reply["event"] == "error"
    assert reply["error"].startswith(f"invalid account_id -- {bad}"[:200])


def test_too_many_ids(hub):
    ids = ["cc3cb7f1-14f6-4a18-a803-5034af8c0004"] * 50_000
    reply = hub.call("get_usernames", account_ids=ids)
    assert reply["event"] == "error" and "at most" in reply["error"]


# ---- Forms ----

def test_a_thousand_fields_and_one_more(hub):
    fields = [b"id[]=%d" % i for i in range(1000)]
    assert len(hub.api("ping", form=b"&".join(fields)).json()["id"]) == 1000
    response = hub.api("ping", form=b"&".join([*fields, b"id[]=x"]))
    refused(response, 413)


def test_a_form_of_nothing_but_separators(hub):
    assert hub.api("ping", form=b"&" * 2_000_000).json()["event"] == "pong"


@pytest.mark.parametrize("form", [b"id" + b"[a]" * 5000 + b"=1", b"id" + b"[]" * 100_000 + b"=1", b"id" + b"[0]" * 9 + b"=1"])
def test_deep_brackets(hub, form):
    refused(hub.api("ping", form=form))


@pytest.mark.parametrize("form", [b"[", b"]", b"[]=1", b"[a]=1", b"=1", b"=", b"id[=1", b"id]=1", b"id[a=1", b"id[[a]]=1",
                                  b"id[a]b=1", b"id[a][=1", b"%5B%5D", b"__proto__[x]=1", b"constructor=1"])
def test_odd_names_are_only_unexpected(hub, form):
    response = hub.api("ping", form=form)
    refused(response)
    assert "got an unexpected argument" in response.json()["error"]


def test_an_index_far_away_makes_no_long_list(hub):
    assert hub.api("ping", form=b"id[4000000000]=x").json()["id"] in (["x"], {"4000000000": "x"})
    assert hub.api("ping", form=b"id[" + b"9" * 500 + b"]=x").status_code == 200


# ---- Size ----

def sized(size):
    """A JSON body of exactly so many bytes."""
    text = b'{"id":"%s"}'
    return text % (b"x" * (size - len(text) + 2))


@pytest.mark.parametrize("over", [0, 1, 1000])
def test_the_limit_of_a_body(hub, over):
    body = sized(LIMIT + over)
    assert len(body) == LIMIT + over
    with Raw(hub.url) as raw:
        reply = raw.send(request("/api/v1/ping", key=hub.key, body=body, Content_Type="application/json")).reply()
    assert reply.status == (413 if over else 200)
    assert not over or b"too large" in reply.body


@pytest.mark.parametrize("size", [2 * LIMIT, 3 * LIMIT])
def test_an_ordinary_client_sees_why_a_large_body_is_refused(hub, size):
    refused(hub.api("ping", content=sized(size), headers=JSON), 413)


def test_a_length_far_over_the_limit_is_refused_before_the_body(hub):
    for length in (4 * LIMIT + 1, 10**12, 2**63 - 1, 2**63, 2**64, 10**30):
        with Raw(hub.url) as raw:
            reply = raw.send(request("/api/v1/ping", key=hub.key, Content_Length=str(length),
                                     Content_Type="application/json")).reply()
            assert reply.status in (400, 413), length
            assert raw.closed() or length >= 2**63  # the library answers those itself


def chunks(body, size):
    pieces = (body[at:at + size] for at in range(0, len(body), size))
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("over", [0, 1])
@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_chunks(hub, over, size):
    head = request("/api/v1/ping", key=hub.key, Content_Length=None, Transfer_Encoding="chunked",
                   Content_Type="application/json")
    with Raw(hub.url) as raw:
        reply = raw.send(head + chunks(sized(LIMIT + over), size)).reply()
    assert reply.status == (413 if over else 200)


def test_chunks_without_end_are_cut(hub):
    head = request("/api/v1/ping", key=hub.key, Content_Length=None, Transfer_Encoding="chunked",
                   Content_Type="application/json")
    piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
    with Raw(hub.url) as raw:
        raw.send(head)
        with pytest.raises(OSError):
            for _ in range(10_000):  # 655 MB, more than any buffer on the way
                raw.send(piece)


# ---- The request itself ----

@pytest.mark.parametrize("data", [
    b"nonsense\r\n\r\n", b"POST\r\n\r\n", b"POST /api/v1/ping\r\n\r\n",
    b"\xff\xfe\xfd\r\n\r\n",
    b"POST /api/v1/ping HTTP/9.9\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
    b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nContent-Length: 5x\r\n\r\n",
    b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n",
    b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n\r\n",
    b"POST /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 100_000 + b"\r\n\r\n",
    b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 20_000 + b"\r\n",
], ids=lambda data: repr(data[:40]) + str(len(data)))
def test_what_is_no_request(hub, data):
    """An error of the 4xx or 5xx kind or none, and the end of the connection."""
    with Raw(hub.url) as raw:
        try:
            raw.send(data)
        except OSError:
            pass  # cut in the middle
        reply = raw.reply()
        assert reply is None or reply.status >= 400


@pytest.mark.parametrize("path", ["/api/v1/ping%00x", "/api/v1/%00", "/api/v1/%ff%fe", "/api/v1/" + "a" * 5000,
                                  "/api/v1/%", "/api/v1/%zz", "/api/v1/../../../etc/passwd", "/api/v1/'\"<>"])
def test_odd_paths(hub, path):
    with Raw(hub.url) as raw:
        reply = raw.send(request(path, key=hub.key)).reply()
    assert reply.status == 400
    assert len(reply.body) < 1000
    assert json.loads(reply.body)["error"].startswith("unknown endpoint '")


@pytest.mark.parametrize("header", [b"Basic \x00\x01", b"Basic \xff\xfe", b"Basic " + b"A" * 4000, b"\xff", b"Bearer \xc3\xa9",
                                    b"Basic ====", b"Basic !!!!", b"Bearer " + b"x" * 4000, b"\xe9tat x"])
def test_odd_credentials(hub, header):
    head = b"POST /api/v1/get_usernames HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" \
           b"Content-Length: 14\r\nAuthorization: %s\r\n\r\naccount_ids[]=" % header
    with Raw(hub.url) as raw:
        reply = raw.send(head).reply()
    assert reply.status == 400
    assert len(reply.body) < 1000
    assert not reply.body or b"error" in reply.body or b"<html" in reply.body
