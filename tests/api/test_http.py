# SPDX-License-Identifier: AGPL-3.0-or-later
"""The HTTP server: listeners, TLS, proxies, what slow and silent clients cost, the log, the figures, the end."""
import base64
import concurrent.futures
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import ssl
import subprocess
import urllib.parse

import httpx
import pytest

from harness.process import parents, wait_until
from harness.raw import Raw, request

ENDS_S = 120  # a sanitized hub on a busy machine
UUID = "[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}"


def address(url):
    where = urllib.parse.urlsplit(url)
    return where.hostname, where.port


def refuses(url):
    with contextlib.closing(socket.socket(socket.AF_INET6 if "[" in url else socket.AF_INET)) as probe:
        return probe.connect_ex(address(url)) != 0


def cpu_ticks(pid):
    """What a process and its threads have used so far, in the kernel's ticks."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


def status_of(pid, field):
    return re.search(rf"^{field}:[ \t]*(.*)$", pathlib.Path(f"/proc/{pid}/status").read_text(), re.M)[1]


def children(pid):
    return {child for child, parent in parents().items() if parent == pid}


def hub_process(hub):
    """The child of the supervisor that serves: the one with threads."""
    [pid] = [pid for pid in children(hub.pid) if int(status_of(pid, "Threads")) > 1]
    return pid


def metric(hub, name):
    text = hub.client.get(hub.url + "/metrics").text
    return float(re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)[1])


def ping(hub, raw):
    return raw.send(request("/api/v1/ping", key=hub.key)).reply()


# ---- Listeners ----

def test_several_listeners(hub_factory):
    hub = hub_factory("--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--listen", "localhost:0")
    assert len(hub.urls) == len(set(hub.urls)) == 3
    assert re.fullmatch(r"http://\[::1\]:\d+", hub.urls[1])
    for url in hub.urls:
        assert hub.client.post(url + "/api/v1/ping", auth=(hub.key, "")).json()["event"] == "pong"


def test_a_port_in_use_is_refused(hub, hub_factory):
    for taken in (hub.url, None):
        with contextlib.ExitStack() as stack:
            if taken is None:
                listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
                taken = f"http://127.0.0.1:{listener.getsockname()[1]}"
            second = hub_factory("--listen", taken.removeprefix("http://"), start=False)
            with pytest.raises(AssertionError, match="did not start"):
                second.start()
            assert second.process.returncode == 1
            assert "in use" in second.log_tail()


@pytest.mark.parametrize("listen", ["", "5000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1", "nowhere.invalid:0",
                                    "127.0.0.1:http", ":5000", "256.1.1.1:0"])
def test_a_bad_address_to_listen_on(hub_factory, listen):
    hub = hub_factory("--listen", listen, start=False)
    with pytest.raises(AssertionError, match="did not start"):
        hub.start()
    assert hub.process.returncode == 1
    assert "listen" in hub.log_tail()


# ---- TLS ----

@pytest.fixture
def tls_hub(hub_factory, certificate):
    return hub_factory("--tls-cert", certificate[0], "--tls-key", certificate[1])


def client_hello():
    """What a client sends first, and the object that goes on with it."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    client = context.wrap_bio(incoming, outgoing)
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def test_tls(tls_hub, certificate):
    assert tls_hub.url.startswith("https://")
    context = ssl.create_default_context(cafile=certificate[0])
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        context.minimum_version = context.maximum_version = version
        with httpx.Client(timeout=60, verify=context, trust_env=False) as client:
            for size in (10, 1_000_000, 10):
                reply = client.post(tls_hub.url + "/api/v1/ping", auth=(tls_hub.key, ""), json={"id": "x" * size})
                assert len(reply.json()["id"]) == size


def test_tls_refuses_what_is_not_tls_and_goes_on(tls_hub):
    with Raw(tls_hub.url) as raw:
        raw.send(b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\n\r\n")
        reply = raw.reply()
        assert reply is None or reply.status >= 400
    assert tls_hub.call("ping")["event"] == "pong"


@pytest.mark.parametrize("sent", ["nothing", "half", "all but the last"])
def test_a_handshake_that_waits_costs_no_time(hub_factory, certificate, sent):
    """A client that says hello, or part of it, and then nothing: the hub waits as quietly as without it, then cuts it."""
    tls_hub = hub_factory("--tls-cert", certificate[0], "--tls-key", certificate[1], env={"COHUB_HTTP_HEADER_TIMEOUT": "5"})
    hello = client_hello()
    pieces = {"nothing": b"", "half": hello[:len(hello) // 2], "all but the last": hello}
    pid = hub_process(tls_hub)
    assert tls_hub.call("ping")["event"] == "pong"
    with Raw(tls_hub.url) as raw:
        before = cpu_ticks(pid)
        raw.send(pieces[sent])
        while raw._more():  # until it is cut, after 5 s
            pass
        used = cpu_ticks(pid) - before
    # A loop that spins would use all of the 5 s, which are 500 ticks.
    assert used < 100
    assert tls_hub.call("ping")["event"] == "pong"


def test_a_handshake_in_small_pieces(tls_hub):
    """The hello arrives byte by byte, each read by itself; the rest of the handshake goes on as ever."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing)
    with Raw(tls_hub.url) as raw:
        raw.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

        def step(action):
            while True:
                try:
                    result = action()
                    flush()
                    return result
                except ssl.SSLWantReadError:
                    flush()
                    data = raw.socket.recv(65536)
                    assert data
                    incoming.write(data)

        def flush():
            data = outgoing.read()
            for at in range(0, len(data), 20):
                raw.send(data[at:at + 20])

        step(client.do_handshake)
        step(lambda: client.write(request("/api/v1/ping", key=tls_hub.key)))
        said = b""
        while not said.endswith(b"}"):
            said += step(lambda: client.read(65536))
        assert b'"pong"' in said


def test_tls_needs_both_files(hub_factory, certificate, tmp_path):
    empty = tmp_path / "empty"
    empty.write_text("")
    for args in (["--tls-cert", certificate[0]], ["--tls-key", certificate[1]],
                 ["--tls-cert", str(tmp_path / "missing"), "--tls-key", certificate[1]],
                 ["--tls-cert", str(empty), "--tls-key", str(empty)]):
        hub = hub_factory(*args, start=False)
        with pytest.raises(AssertionError, match="did not start"):
            hub.start()
        assert hub.process.returncode == 1
        assert re.search("TLS|certificate|missing|empty", hub.log_tail())


# ---- Behind a proxy ----

def test_behind_nginx(hub_factory, nginx, certificate):
    hub = hub_factory(env={"COHUB_LIMITS_SIGN_UPS_PER_HALF_HOUR": "1"})
    front = nginx(hub.url)
    with httpx.Client(timeout=60, verify=certificate[0], trust_env=False) as client:
        for url in (front.url, front.tls_url):
            def call(event, parameters, **headers):
                return client.post(f"{url}/api/v1/{event}", auth=(hub.key, ""), json=parameters, headers=headers)

            assert call("ping", {"id": "x" * 1_000_000}).json()["id"] == "x" * 1_000_000
            assert call("ping", {"id": "x" * 3_200_000}).status_code == 413
            assert client.get(url + "/healthz").status_code == 200
            reply = call("get_usernames", {"account_ids": []}, **{"Accept-Encoding": "gzip"})
            assert reply.json()["usernames"] == {}
            # The proxy names the client, 127.0.0.1 here; that is a trusted address too, so what it says itself counts.
            forwarded = {"X-Forwarded-For": f"203.0.113.{len(url)}"}
            assert call("create_account", {}, **forwarded).json()["event"] == "account_created"
            refusal = call("create_account", {}, **forwarded).json()
            assert f"ip address {forwarded['X-Forwarded-For']};" in refusal["reason"]["other"]
    assert hub.call("create_account")["event"] == "account_created"


# ---- Health and figures ----

def test_health_needs_no_key(hub):
    reply = hub.client.get(hub.url + "/healthz")
    assert (reply.status_code, reply.json()) == (200, {"status": "ok"})
    assert hub.client.head(hub.url + "/healthz").status_code == 200
    assert hub.client.post(hub.url + "/healthz").status_code == 404


def parse_metrics(text):
    """{name with labels: value}; fails on a line that the format does not allow or a family without its type."""
    values, typed = {}, {}
    for line in text.splitlines():
        if match := re.fullmatch(r"# HELP (\w+) .+", line):
            continue
        if match := re.fullmatch(r"# TYPE (\w+) (counter|gauge|histogram)", line):
            assert match[1] not in typed
            typed[match[1]] = match[2]
            continue
        match = re.fullmatch(r'(\w+)(\{(?:\w+="[^"\\\n]*",?)+\})? (-?[0-9.e+-]+|\+Inf|NaN)', line)
        assert match, line
        family = match[1] if match[1] in typed else re.sub("_(bucket|sum|count)$", "", match[1])
        assert family in typed, line
        assert match[1] + (match[2] or "") not in values, line
        values[match[1] + (match[2] or "")] = float(match[3])
    return values


def test_metrics(hub_factory):
    hub = hub_factory(env={"COHUB_HTTP_LOOPS": "2"})
    key = hub.key
    before = parse_metrics(hub.client.get(hub.url + "/metrics").text)
    for _ in range(3):
        hub.call("ping", key=key)
    hub.api("ping", json={"odd": 1}, key=key)
    hub.api("nothing", key=key)
    hub.call("create_account", key=key)
    reply = hub.client.get(hub.url + "/metrics")
    assert reply.headers["content-type"].startswith("text/plain; version=0.0.4")
    after = parse_metrics(reply.text)

    def grew(name):
        return after[name] - before[name]

    assert grew('cohub_request_duration_seconds_count{event="ping"}') == 4
    assert grew('cohub_requests_failed_total{event="ping"}') == 1
    assert grew('cohub_requests_failed_total{event="other"}') == 1
    assert grew('cohub_request_duration_seconds_count{event="create_account"}') == 1
    assert grew('cohub_request_duration_seconds_sum{event="ping"}') > 0
    assert grew("cohub_database_reads_total") > 0
    assert grew("cohub_database_writes_total") >= 1
    assert grew("cohub_database_commits_total") >= 1
    assert after["cohub_connections"] >= 1
    assert after["cohub_memory_resident_bytes"] > 1_000_000
    assert after["cohub_projects_running"] == 0
    buckets = [(float(re.search('le="([^"]*)"', name)[1].replace("+Inf", "inf")), value) for name, value in after.items()
               if name.startswith('cohub_request_duration_seconds_bucket{event="ping"')]
    assert [value for _, value in sorted(buckets)] == sorted(value for _, value in buckets)
    assert max(buckets) == (float("inf"), after['cohub_request_duration_seconds_count{event="ping"}'])


def test_metrics_count_connections_and_let_them_go(hub):
    start = metric(hub, "cohub_connections")
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(Raw(hub.url)) for _ in range(20)]
        for raw in raws:
            assert ping(hub, raw).status == 200
        assert metric(hub, "cohub_connections") >= 20
    wait_until(lambda: metric(hub, "cohub_connections") <= start, 60, "the connections are gone")


# ---- Slow clients ----

@pytest.fixture
def strict_hub(hub_factory):
    return hub_factory(env={f"COHUB_HTTP_{name}_TIMEOUT": "1" for name in ("HEADER", "BODY", "REPLY", "IDLE")})


def drip(raw, pieces):
    """Sends piece by piece, each at once when the last is on its way, until the hub answers or ends; all it said."""
    raw.socket.settimeout(0.1)
    for piece in pieces:
        try:
            raw.socket.sendall(piece)
            if not raw._more():
                break
        except TimeoutError:
            continue
        except OSError:
            while raw._more():  # what it had said before it ended
                pass
            break
    return raw.rest


def is_answered(hub):
    """Whether a call is, once: on a busy machine even one that hurries may be cut."""
    with contextlib.suppress(httpx.TransportError):
        reply = hub.api("ping")
        return reply.status_code == 200 and reply.json()["event"] == "pong"


HEADER = b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\n"


@pytest.mark.parametrize("start, piece", [
    (HEADER, b"X: y\r\n"), (b"", b"P"), (HEADER + b"Content-Length: 2000000\r\n\r\n", b"x"),
    (HEADER + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
], ids=["header", "first line", "body", "chunks"])
def test_a_drip_is_cut_with_408(strict_hub, start, piece):
    with Raw(strict_hub.url) as raw:
        said = drip(raw.send(start), [piece] * 300)
    assert said.startswith(b"HTTP/1.1 408 ")
    wait_until(lambda: is_answered(strict_hub), 60, "another call is answered")


@pytest.mark.parametrize("data", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100, b"\x00" * 100 + b"\r\n\r\n"])
def test_silence_is_cut(strict_hub, data):
    with Raw(strict_hub.url) as raw:
        raw.send(data)
        while raw._more():
            pass
        assert raw.rest == b"" or raw.rest.startswith(b"HTTP/1.1 408 ")


def test_silence_between_two_requests_is_cut(strict_hub):
    def is_cut():
        with Raw(strict_hub.url) as raw:
            reply = ping(strict_hub, raw)
            return reply and reply.status == 200 and raw.reply() is None  # on a busy machine even the first may be
    wait_until(is_cut, 60, "a connection is cut after a reply")


def send_and_never_read(stack, hub, count):
    """Calls whose replies are too long for what the kernel takes of them, until all are on their way."""
    body = json.dumps({"id": "x" * 2_900_000}).encode()
    call = request("/api/v1/ping", key=hub.key, body=body, Content_Type="application/json")
    for _ in range(count):
        stack.enter_context(Raw(hub.url, receive_buffer=4096)).send(call)
    wait_until(lambda: metric(hub, 'cohub_request_duration_seconds_count{event="ping"}') == count, 60, "all are answered")


def test_clients_that_never_read_cost_little(hub_factory):
    hub = hub_factory(env={"COHUB_HTTP_REPLY_TIMEOUT": "600"})
    pid = hub_process(hub)
    with contextlib.ExitStack() as stack:
        send_and_never_read(stack, hub, 10)
        # the ten replies, and no longer the bodies that they answer
        wait_until(lambda: 25_000_000 < metric(hub, "cohub_memory_bodies_bytes") < 30_000_000, 60, "the replies are held")
    wait_until(lambda: metric(hub, "cohub_memory_bodies_bytes") < 1_000_000, 60, "their memory is given back")
    assert int(status_of(pid, "VmHWM").split()[0]) < 400_000


def test_a_client_that_never_reads_is_cut(hub_factory):
    hub = hub_factory(env={"COHUB_HTTP_REPLY_TIMEOUT": "3"})
    connections = metric(hub, "cohub_connections")
    with contextlib.ExitStack() as stack:
        send_and_never_read(stack, hub, 3)
        wait_until(lambda: metric(hub, "cohub_connections") <= connections, 60, "they are cut")
        wait_until(lambda: metric(hub, "cohub_memory_bodies_bytes") < 1_000_000, 60, "their memory is given back")


def test_the_memory_of_bodies_has_a_limit(hub_factory):
    hub = hub_factory(env={"COHUB_HTTP_MEMORY_MAX": "8060000"})  # half of it is for what is nobody's yet
    size = 2_000_000
    head = request("/api/v1/ping", key=hub.key, Content_Length=str(size), Content_Type="text/plain")
    with contextlib.ExitStack() as stack:
        first, second, third = (stack.enter_context(Raw(hub.url)) for _ in range(3))
        for raw in (first, second):
            raw.send(head + b"x" * (size - 1))
        wait_until(lambda: metric(hub, "cohub_memory_bodies_bytes") >= 2 * (size - 1), 60, "two bodies are held")
        third.send(head + b"x" * size)
        refused = third.reply()
        assert (refused.status, json.loads(refused.body)) == \
            (503, {"error": "the server has no memory left for this; try again later"})
        for raw in (first, second):
            raw.send(b"x")
            assert raw.reply().status == 200
    assert hub.call("ping")["event"] == "pong"
    wait_until(lambda: metric(hub, "cohub_memory_bodies_bytes") < 100_000, 60, "their memory is given back")


def test_more_connections_than_allowed_wait_for_their_turn(hub_factory):
    hub = hub_factory(env={"COHUB_HTTP_CONNECTIONS_MAX": "16", "COHUB_HTTP_LOOPS": "1", "COHUB_DATABASE_CONNECTIONS": "1"})
    with contextlib.ExitStack() as stack:
        raws = [stack.enter_context(Raw(hub.url)) for _ in range(60)]
        for raw in raws:
            raw.send(request("/api/v1/ping", key="sk_unknown"))
        assert raws[15].reply().status == 400
        open_files = [os.readlink(file) for file in pathlib.Path(f"/proc/{hub_process(hub)}/fd").iterdir()]
        assert sum(file.startswith("socket:") for file in open_files) < 40
        raws[15].socket.close()
        for raw in [*raws[:15], *raws[16:]]:
            assert raw.reply().status == 400
            raw.socket.close()
    assert hub.call("ping")["event"] == "pong"


def test_pipelined_requests_are_answered_in_order(hub):
    with Raw(hub.url) as raw:
        raw.send(b"".join(request("/api/v1/ping", key=hub.key, body=b"id=%d" % number,
                                  Content_Type="application/x-www-form-urlencoded") for number in range(200)))
        for number in range(200):
            assert json.loads(raw.reply().body)["id"] == str(number)


def test_keep_alive_and_its_end(hub):
    with Raw(hub.url) as raw:
        for _ in range(5):
            assert ping(hub, raw).status == 200
        assert raw.send(request("/api/v1/ping", key=hub.key, Connection="close")).reply().status == 200
        assert raw.closed()
    with Raw(hub.url) as raw:
        raw.send(request("/api/v1/ping", key=hub.key).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert raw.reply().status == 200
        assert raw.closed()


def test_expect_100_continue(hub):
    body = b'{"id": 5}'
    with Raw(hub.url) as raw:
        raw.send(request("/api/v1/ping", key=hub.key, Content_Length=str(len(body)), Expect="100-continue",
                         Content_Type="application/json"))
        assert b"100 Continue" in raw.socket.recv(100)
        assert json.loads(raw.send(body).reply().body)["id"] == 5


def descriptors(pid):
    """How many a process has open, but for those that lead to the database: more of them are kept after more was asked at once."""
    with open("/proc/net/unix", encoding="utf-8") as lines:
        local = {f"socket:[{line.split()[6]}]" for line in lines}
    links = []
    for link in pathlib.Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(OSError):  # it was closed meanwhile
            links.append(os.readlink(link))
    return sum(link not in local and "/hub.sqlite3" not in link for link in links)


def test_clients_that_go_away_leave_nothing(hub):
    pid = hub_process(hub)
    assert hub.call("ping")["event"] == "pong"
    open_files = descriptors(pid)
    for data in (b"", HEADER, HEADER + b"Content-Length: 100\r\n\r\nx", request("/api/v1/ping", key=hub.key),
                 request("/api/v1/create_account", key=hub.key, body=b"password=secret1",
                         Content_Type="application/x-www-form-urlencoded")):
        for _ in range(10):
            with Raw(hub.url) as raw:
                raw.send(data)
                raw.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
    wait_until(lambda: descriptors(pid) <= open_files, 60, "the descriptors are closed")
    assert hub.call("ping")["event"] == "pong"


# ---- The log ----

def request_lines(hub, text):
    hub.stop()
    return [line for line in hub.log.read_text().splitlines() if text in line]


def test_a_line_a_request(hub_factory):
    hub = hub_factory()
    account = hub.account()
    assert hub.api("ping", key=account).status_code == 200
    assert hub.api("nothing", key=account).status_code == 400
    assert hub.client.get(hub.url + "/a%20b%0Ax=y").status_code == 404
    lines = request_lines(hub, " request ")
    pattern = rf"\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{{3}}Z info request id={UUID} account=(\S+) call=(.+) status=(\d+) ms=\d+\.\d{{3}}(.*)"
    found = [re.fullmatch(pattern, line) for line in lines]
    assert all(found), lines
    fields = [(match[2], match[3], match[4], match[5]) for match in found]
    assert (account.id, "ping", "200", "") in fields
    assert any(field[1:3] == ("unknown", "400") for field in fields)
    assert ("-", '"/a b\\nx=y"', "404", "") in fields


def own_lines(hub):
    """The log without the line by which AddressSanitizer tells that fibers are new to it."""
    return [line for line in hub.log.read_text().splitlines() if "support makecontext/swapcontext" not in line]


def test_the_log_as_json(hub_factory):
    hub = hub_factory("--log-format", "json")
    account = hub.account()
    hub.api("ping", key=account)
    hub.api("ping", json={"odd \n\"": 1}, key=account)
    hub.stop()
    lines = [json.loads(line) for line in own_lines(hub)]
    assert all({"time", "level", "event"} <= line.keys() for line in lines)
    good, bad = [line for line in lines if line["event"] == "request"]
    assert (good["account"], good["call"], good["status"]) == (account.id, "ping", 200)
    assert float(good["ms"]) >= 0 and re.fullmatch(UUID, good["id"])
    assert bad["status"] == 400 and "odd \n\"" in bad["error"]


def test_the_level_of_the_log(hub_factory):
    hub = hub_factory(env={"COHUB_LOG_LEVEL": "warning"})
    assert hub.call("ping")["event"] == "pong"
    hub.stop()
    assert own_lines(hub) == []


def test_no_secret_in_the_log(hub_factory):
    hub = hub_factory("--log-level", "debug")
    account = hub.account(password="hunter2-secret")
    key, encoded = account.key, base64.b64encode(f"{account.key}:".encode()).decode()
    reply = hub.call("create_account", key=key, email_address="a@example.org", password="hunter2-secret", get_api_key=True,
                     token="registration-secret")
    token = hub.call("user_auth", key=key, account_id=account.id, password="hunter2-secret")["auth_token"]
    assert hub.call("user_auth", key=key, account_id=account.id, password="hunter2-secret wrong")["event"] == "error"
    for header in (key, f"basic {encoded}", f"Bearer:{key}", f"Basic {encoded}x", f"Bearer {key}x", f"{key} Bearer"):
        hub.api("ping", key=None, headers={"Authorization": header})
    hub.client.post(f"{hub.url}/api/v1/ping?key={key}", auth=(key, ""))
    hub.client.get(f"{hub.url}/x?auth_token={token}")
    hub.stop()
    text = hub.log.read_text()
    assert " request " in text
    for secret in (key, encoded[:20], reply["api_key"], token, "hunter2", "registration-secret"):
        assert secret not in text
    assert (hub.data / "secret.key").read_bytes().hex() not in text


# ---- The end ----

def exec_in_background(pool, hub, account, project, command, **parameters):
    """A call that has begun to run its command."""
    future = pool.submit(httpx.post, f"{hub.url}/api/v1/project_exec", auth=(account.key, ""), trust_env=False, timeout=60,
                         json={"project_id": project, "command": f"touch begun; {command}", **parameters})
    begun = hub.data / "projects" / project / "begun"
    wait_until(begun.exists, 60, "the command runs")
    begun.unlink()
    return future


def test_a_call_under_way_finishes_and_new_ones_are_refused(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    with Raw(hub.url) as idle, concurrent.futures.ThreadPoolExecutor(1) as pool:
        assert ping(hub, idle).status == 200
        call = exec_in_background(pool, hub, account, project, "sleep 1; echo done")
        hub.process.terminate()
        wait_until(lambda: refuses(hub.url), 60, "no new connections")
        hub.process.terminate()  # once more does no harm
        late = ping(hub, idle)
        assert late is None or late.status == 503
        assert call.result().json()["stdout"] == "done\n"
        hub.stop()
    assert "signal" in hub.log.read_text()


def test_a_call_that_takes_too_long_is_answered_and_does_not_hold_the_end(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        call = exec_in_background(pool, hub, account, project, "sleep 600", timeout=600)
        hub.stop()  # within the harness's time limit, and with status 0
        reply = call.result()
    assert reply.status_code == 503 and "shutting down" in reply.json()["error"]
    assert hub.sandbox(project)  # which the next hub finds


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_many_signals_are_one(hub_factory, stop):
    hub = hub_factory()
    pids = [hub.pid] if stop == signal.SIGHUP else [hub.pid, *children(hub.pid)]
    for _ in range(300):
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, stop)
    assert hub.process.wait(ENDS_S) == 0
    hub.process.stdout.close()
    assert refuses(hub.url)


def test_a_killed_supervisor_takes_the_hub_with_it(hub_factory):
    hub = hub_factory()
    started = hub.processes()
    assert len(started) >= 3
    hub.kill()
    wait_until(lambda: not started & parents().keys(), 60, "all are gone")
    again = hub_factory("--listen", hub.url.removeprefix("http://"))  # the port is free
    assert again.url == hub.url
    assert again.call("ping")["event"] == "pong"


def test_a_killed_hub_ends_the_supervisor(hub_factory):
    hub = hub_factory()
    os.kill(hub_process(hub), signal.SIGKILL)
    assert hub.process.wait(ENDS_S) == 1
    hub.process.stdout.close()
    assert "hub_died" in hub.log_tail()
    hub.start()
    assert hub.call("ping")["event"] == "pong"


# ---- Whom it runs as ----

def test_root_is_given_up(hub_factory):
    if os.geteuid() != 0:
        pytest.fail("these tests run as root")
    hub = hub_factory()
    owner = os.stat(hub.data)
    assert owner.st_uid != 0
    pid = hub_process(hub)
    assert status_of(pid, "Uid").split() == [str(owner.st_uid)] * 4
    assert status_of(pid, "Gid").split() == [str(owner.st_gid)] * 4
    assert status_of(pid, "Groups").strip() == ""
    for field in ("CapPrm", "CapEff", "CapInh"):
        assert int(status_of(pid, field), 16) == 0
    for path in (*hub.data.glob("hub.sqlite3"), hub.data / "secret.key"):
        assert path.stat().st_uid == owner.st_uid
        assert path.stat().st_mode & 0o077 == 0, path


def test_an_unprivileged_user_runs_it(tmp_path, for_everybody):
    data = tmp_path / "data"
    data.mkdir()
    os.chown(data, 65534, 65534)
    with subprocess.Popen([for_everybody, "serve", "--data", data, "--listen", "127.0.0.1:0"], user=65534, group=65534, extra_groups=[],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            ready = process.stdout.readline()
            assert ready.startswith("cohub: ready on http://127.0.0.1:"), process.stderr.read() if not ready else ready
            assert httpx.get(ready.split()[-1] + "/healthz", timeout=60, trust_env=False).status_code == 200
        finally:
            process.terminate()
        assert process.wait(ENDS_S) == 0


@pytest.mark.parametrize("headers", [
    b"Content-Length: 0\r\nContent-Length: %d\r\n", b"Content-Length: %d\r\nContent-Length: 0\r\n",
    b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked\r\nContent-Length: %d\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n%.0d", b"Content-Length : %d\r\n",
])
def test_a_body_that_could_end_at_two_places(hub, headers):
    """What one reader takes for the body is the next request to another."""
    start = b"POST /api/v1/ping HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n" % hub.key.encode()
    hidden = start + b"Content-Length: 0\r\n\r\n"
    address = urllib.parse.urlsplit(hub.url)
    with socket.create_connection((address.hostname, address.port), timeout=60) as client:
        client.sendall(start + headers % len(hidden) + b"\r\n" + hidden)
        answer = b"".join(iter(lambda: client.recv(65536), b""))
    assert answer.startswith(b"HTTP/1.1 400 ") and answer.count(b"HTTP/1.1 ") == 1, answer


def test_the_printed_address_leads_to_the_reference(hub_factory):
    """In a browser, below a base path too."""
    hub = hub_factory("--base-path", "/x")
    answer = hub.client.get(hub.url + "/", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (302, hub.url + "/api/v1/")
    assert "create_project" in hub.client.get(answer.headers["location"]).text


def test_what_is_not_below_the_base_path_is_named(hub_factory):
    hub = hub_factory("--base-path", "/x")
    for path in ("/api/v1/ping", "/", "/xy"):
        reply = hub.client.get(hub.url.removesuffix("/x") + path)
        assert reply.status_code == 404 and f"Cannot GET {path}" in reply.text
