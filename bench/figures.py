# SPDX-License-Identifier: AGPL-3.0-or-later
"""The figures: what each measures, what it is compared with, and what was asked for."""
import concurrent.futures
import dataclasses
import http.client
import itertools
import json
import os
import pathlib
import socket
import statistics
import subprocess
import time

import filling
from machine import pss_mb

WRK_S = 2  # of each run; bounds the whole at a few minutes
BWRAP = ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin",
         "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc", "--dev", "/dev",
         "--tmpfs", "/tmp", "true"]


@dataclasses.dataclass
class Row:
    what: str
    asked: str
    measured: str
    ratio: str
    reached: bool

    def cells(self):
        return self.what, self.asked, self.measured, self.ratio, "yes" if self.reached else "NO"


def compared(what, asked, limit, pairs, unit, at_least=False):
    """A row for (hub, baseline) pairs, one a round: the median of the ratios counts."""
    ratio = statistics.median(hub / base for hub, base in pairs)
    hub, base = (statistics.median(side) for side in zip(*pairs))
    reached = ratio >= limit if at_least else ratio <= limit
    return Row(what, asked, f"{hub:.4g} {unit}, {base:.4g} {unit}", f"{ratio:.2f}", reached)


def bounded(what, asked, limit, values, unit):
    value = statistics.median(values)
    return Row(what, asked, f"{value:.3g} {unit}", f"{value / limit:.2f}", value <= limit)


class Client:
    """One keep-alive connection of a caller of the API."""

    def __init__(self, url, key):
        host, port = url.removeprefix("http://").split(":")
        self.connection = http.client.HTTPConnection(host, int(port), timeout=60)
        self.connection.connect()
        self.connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    def request(self, event, **parameters):
        self.connection.request("POST", f"/api/v1/{event}", json.dumps(parameters), self.headers)
        response = self.connection.getresponse()
        reply = json.loads(response.read())
        if response.status != 200:
            raise RuntimeError(f"{event}: {response.status} {reply}")
        return reply

    def call(self, event, **parameters):
        reply = self.request(event, **parameters)
        if "error" in reply:
            raise RuntimeError(f"{event}: {reply}")
        return reply

    def project(self, **parameters):
        return self.call("create_project", title="A title", **parameters)["project_id"]

    def run_true(self, project_id):
        return self.call("project_exec", project_id=project_id, command="true")


def own_processes(hub):
    """The hub's own processes while no project runs: the serving one and the runner."""
    return hub.processes()


def ping(bench):
    hub, nginx = bench.full_hub(), bench.nginx()
    pids, pairs = own_processes(hub), []
    for _ in range(bench.rounds):
        base = bench.wrk_cpu_us(nginx.pids, f"{nginx.url}/api/v1/ping", hub.caller.key, None, 64, WRK_S)
        ours = bench.wrk_cpu_us(pids, f"{hub.url}/api/v1/ping", hub.caller.key, None, 64, WRK_S)
        pairs.append((ours, base))
    return [compared("CPU per ping with a key, 64 connections, logging on", "<= 1.3 x nginx", 1.3, pairs, "us")]


def usernames(bench):
    hub, nginx = bench.full_hub(), bench.nginx()
    body = json.dumps({"account_ids": [hub.account_ids[17], hub.account_ids[70_000]]})
    pids, pairs = own_processes(hub), []
    for _ in range(bench.rounds):
        base = bench.wrk_cpu_us(nginx.pids, f"{nginx.url}/api/v1/get_usernames", hub.caller.key, body, 64, WRK_S)
        ours = bench.wrk_cpu_us(pids, f"{hub.url}/api/v1/get_usernames", hub.caller.key, body, 64, WRK_S)
        pairs.append((ours, base))
    return [compared("CPU per get_usernames of 2, 100,000 accounts", "<= 3 x nginx", 3, pairs, "us")]


def exec_true(bench):
    hub = bench.full_hub()
    client = Client(hub.url, hub.caller.key)
    project_id = client.project()
    client.run_true(project_id)
    body, pairs = json.dumps({"project_id": project_id, "command": "true"}), []
    for _ in range(bench.rounds):
        base = bench.program("spawn", 500, "bash", "-c", "true")["median_us"]
        run = bench.wrk(f"{hub.url}/api/v1/project_exec", hub.caller.key, body, 1, WRK_S)
        if run["errors"]:
            raise RuntimeError(f"{run['errors']} of {run['requests']} project_exec failed")
        pairs.append((run["p50_us"], base))
    hub.stop_projects()
    return [compared("project_exec of true in a running project, median", "<= 1.5 x bash -c true", 1.5, pairs, "us")]


def create_and_run(client):
    """Milliseconds from the call of create_project to the end of the first project_exec."""
    begin = time.perf_counter()
    client.run_true(client.project())
    return (time.perf_counter() - begin) * 1e3


def first_exec(bench):
    hub = bench.full_hub()
    client, pairs = Client(hub.url, hub.caller.key), []
    for _ in range(bench.rounds):
        base = bench.program("spawn", 100, *BWRAP)["median_us"] / 1e3
        pairs.append((statistics.median(create_and_run(client) for _ in range(20)), base))
        hub.stop_projects()
    row = compared("create_project + first project_exec, median", "<= 6 x bare bwrap", 6, pairs, "ms")
    return [row, hundred_at_once(hub)]


def hundred_at_once(hub):
    def one(client):
        try:
            return create_and_run(client)
        except (RuntimeError, OSError, http.client.HTTPException) as error:
            print(f"one of 100 at once failed: {error}")
            return None

    clients = [Client(hub.url, hub.caller.key) for _ in range(100)]
    with concurrent.futures.ThreadPoolExecutor(len(clients)) as pool:
        times = [took for took in pool.map(one, clients) if took is not None]
    hub.stop_projects()
    slowest = f", slowest {max(times):.0f} ms" if times else ""
    return Row("the same, 100 at once", "all succeed", f"{len(times)} succeed{slowest}", "-", len(times) == len(clients))


def write_files(bench):
    hub = bench.full_hub()
    client, pairs = Client(hub.url, hub.caller.key), []
    project_id = client.project()
    client.run_true(project_id)
    body = json.dumps({"project_id": project_id, "path": "file.@", "content": "x" * 1024})
    for _ in range(bench.rounds):
        with bench.scratch() as folder:
            base = bench.program("write_rename", folder, 32, WRK_S)["per_s"]
        run = bench.wrk(f"{hub.url}/api/v1/write_text_file_to_project", hub.caller.key, body, 32, WRK_S)
        if run["errors"]:
            raise RuntimeError(f"{run['errors']} of {run['requests']} writes failed")
        pairs.append((run["per_s"], base))
    hub.stop_projects()
    return [compared("write_text_file_to_project of 1 KB, 32 clients", ">= 0.4 x write+fsync+rename", 0.4, pairs, "/s",
                     at_least=True)]


def create_projects(bench):
    hub, pairs = bench.full_hub(), []
    for _ in range(bench.rounds):
        with bench.scratch() as folder:
            base = bench.program("sqlite_insert", pathlib.Path(folder) / "rows.sqlite3", WRK_S)["per_s"]
        run = bench.wrk(f"{hub.url}/api/v1/create_project", hub.caller.key, json.dumps({"title": "A title"}), 64, WRK_S)
        if run["errors"]:
            raise RuntimeError(f"{run['errors']} of {run['requests']} create_project failed")
        pairs.append((run["per_s"], base))
    return [compared("create_project, durable, 64 clients", ">= 0.15 x bare inserts", 0.15, pairs, "/s", at_least=True)]


def idle_connections(hub, key, count):
    """Keep-alive connections that have had one answer each."""
    host, port = hub.url.removeprefix("http://").split(":")
    request = (f"POST /api/v1/ping HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {key}\r\n"
               "Content-Length: 0\r\n\r\n").encode()
    connections = []
    for _ in range(count):
        connection = socket.create_connection((host, int(port)), timeout=30)
        connection.sendall(request)
        if not connection.recv(4096).startswith(b"HTTP/1.1 200"):
            raise RuntimeError("no answer on an idle connection")
        connections.append(connection)
    return connections


def memory(bench):
    hub = bench.hub("idle")
    account = hub.account()
    hub.start()
    own = own_processes(hub)
    idle = pss_mb(own)
    connections = idle_connections(hub, account.key, 5000)
    connected = pss_mb(own)
    for connection in connections:
        connection.close()
    client = Client(hub.url, account.key)
    project_id = client.project()
    client.run_true(project_id)
    project = pss_mb(hub.sandbox(project_id))
    hub.stop_projects()
    hub.stop()
    return [bounded("memory of the hub, idle", "<= 16 MB", 16, [idle], "MB"),
            bounded("memory of the hub, 5,000 idle connections", "<= 80 MB", 80, [connected], "MB"),
            bounded("memory of an idle running project, all of it", "<= 2 MB", 2, [project], "MB")]


def start(bench):
    hub, times = bench.full_hub(), []
    for _ in range(bench.rounds):
        hub.stop()
        begin = time.perf_counter()
        hub.start()
        times.append(time.perf_counter() - begin)
    return [bounded("start to ready, 100,000 accounts and projects", "<= 0.2 s", 0.2, times, "s")]


class Copying:
    """Two projects of a hub, and a folder beside its data for the bare program. Files are the first one's."""

    def __init__(self, bench):
        self.hub = bench.full_hub()
        self.client = Client(self.hub.url, self.hub.caller.key)
        self.source, self.target = (self.client.project() for _ in range(2))
        self.home = self.hub.data / "projects" / self.source

    def put(self, name, size):
        owner = self.home.stat()
        (self.home / name).parent.mkdir(exist_ok=True)
        with open(self.home / name, "wb") as file:
            file.write(os.urandom(min(size, 1 << 20)) * max(1, size >> 20))
        for path in (self.home / name, (self.home / name).parent):
            os.chown(path, owner.st_uid, owner.st_gid)

    def by_hub(self, source, target):
        """Milliseconds."""
        return self._timed(lambda: self.client.call("copy_path_between_projects", src_project_id=self.source, src_path=source,
                                                    target_project_id=self.target, target_path=target))

    def bare(self, *command):
        return self._timed(lambda: subprocess.run(command, check=True))

    @staticmethod
    def _timed(run):
        os.sync()  # nobody pays for what another left to be written
        begin = time.perf_counter()
        run()
        return (time.perf_counter() - begin) * 1e3


def copy(bench):
    copying, pairs = Copying(bench), []
    copying.put("small/file", 1024)
    copying.by_hub("small/file", "first")
    for number in range(bench.rounds):
        with bench.scratch() as folder:
            base = [copying.bare("bwrap", "--ro-bind", "/", "/", "--bind", folder, folder, "rsync", "-a",
                                 copying.home / "small/file", f"{folder}/{n}") for n in range(20)]
        ours = [copying.by_hub("small/file", f"small.{number}.{n}") for n in range(20)]
        pairs.append((statistics.median(ours), statistics.median(base)))
    return [compared("copy_path_between_projects of a file of 1 KB, on disk, median", "<= 2 x rsync -a in bare bwrap", 2, pairs, "ms")]


def copy_folder(bench):
    copying, pairs = Copying(bench), []
    for number in range(10_000):
        copying.put(f"d{number // 100}/{number}", 1024)
    copying.by_hub("", "first")
    for number in range(bench.rounds):
        with bench.scratch() as folder:
            base = copying.bare("rsync", "-a", f"{copying.home}/", f"{folder}/new/")
        pairs.append((copying.by_hub("", f"new.{number}"), base))
    return [compared("the same, a folder of 10,000 files of 1 KB", "<= 1.2 x bare rsync -a", 1.2, pairs, "ms")]


def copy_large(bench):
    copying = Copying(bench)
    copying.put("large/file", 1 << 30)
    pids, grown = own_processes(copying.hub), []
    for number in range(2):
        before, most = pss_mb(pids), []
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            copied = pool.submit(copying.by_hub, "large/file", f"large.{number}")
            while not copied.done():
                most.append(pss_mb(pids))
                time.sleep(0.05)
            copied.result()
        grown.append(max(most) - before)
    return [bounded("what the hub's memory grows by while 1 GB is copied", "<= 4 MB", 4, grown, "MB")]


# Beginnings of names, from those of every tenth person to those of nobody, and pairs of them.
SEARCHES = ["a", "jo", "john", "smi", "ba", "john smith", "s m", "qqq"]
SEARCH_CALLS = 200


def search(bench):
    """The same searches of 1,000 people and of 1,000,000, in turns."""
    clients = []
    for count in (1_000_000, 1_000):
        hub = bench.hub(f"people{count}")
        key = hub.account().key
        filling.fill_people(hub.data / "hub.sqlite3", count)
        hub.start()
        clients.append((hub, Client(hub.url, key)))
    rows = []
    for query in SEARCHES:
        pairs = [[median_us(client, query) for _, client in clients] for _ in range(bench.rounds)]
        rows.append(compared(f"user_search of \"{query}\", 1,000,000 accounts", "<= 1.5 x 1,000 accounts", 1.5, pairs, "us"))
    for hub, _ in clients:
        hub.stop()
    return rows


def median_us(client, query):
    times = []
    for _ in range(SEARCH_CALLS):
        begin = time.perf_counter()
        client.call("user_search", query=query)
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


FORGOT_CALLS = 200
FORGOT_APART = 0.05  # of the time of a call; what a stranger cannot tell from noise


def forgot(bench):
    """forgot_password for addresses with and without account, in turns; each address once, each call from elsewhere."""
    hub, pairs, numbers = bench.full_hub(), [], itertools.count(1)
    client = Client(hub.url, hub.caller.key)

    def took_us(address):
        client.headers["X-Forwarded-For"] = f"2001:db8:1:{next(numbers):x}::1"
        begin = time.perf_counter()
        reply = client.request("forgot_password", email_address=address)
        if reply["error"] is not False:
            raise RuntimeError(f"forgot_password: {reply}")
        return (time.perf_counter() - begin) * 1e6

    for _ in range(bench.rounds):
        first = next(numbers)
        both = [(took_us(f"person{number}@example.org"), took_us(f"nobody{number}@example.org"))
                for number in range(first, first + FORGOT_CALLS)]
        pairs.append([statistics.median(side) for side in zip(*both)])
    row = compared("forgot_password with an account, and without", "within 5 %", 1 + FORGOT_APART, pairs, "us")
    row.reached = abs(float(row.ratio) - 1) <= FORGOT_APART
    return [row]


INVITATIONS = 100


def mail(bench):
    """Invitations with a mail each, of a hub whose SMTP server takes connections and says nothing, and of one without a
    server, in turns."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        clients = []
        for name, url in (("silent", f"smtp://127.0.0.1:{silent.getsockname()[1]}"), ("maildir", "")):
            hub = bench.hub(name, env={"COHUB_MAIL_URL": url})
            hub.start()
            client = Client(hub.url, hub.account().key)
            clients.append((hub, client, client.project()))
        numbers, pairs = itertools.count(1), []
        for _ in range(bench.rounds):
            pairs.append([median_invitation_us(client, project, numbers) for _, client, project in clients])
        for hub, _, _ in clients:
            hub.stop()
    return [compared("an invitation, its mail queued for an SMTP server that hangs", "<= 1.2 x a local maildir", 1.2, pairs, "us")]


def median_invitation_us(client, project_id, numbers):
    times = []
    for _ in range(INVITATIONS):
        begin = time.perf_counter()
        client.call("invite_noncloud_collaborators", project_id=project_id, to=f"a{next(numbers)}@example.org",
                    email="Please join.", title="A title", link2proj="https://example.org/projects/1")
        times.append((time.perf_counter() - begin) * 1e6)
    return statistics.median(times)


FIGURES = {
    "ping": ping,
    "usernames": usernames,
    "exec": exec_true,
    "first_exec": first_exec,
    "write": write_files,
    "create": create_projects,
    "memory": memory,
    "start": start,
    "search": search,
    "forgot": forgot,
    "mail": mail,
    "copy": copy,
    "copy_folder": copy_folder,
    "copy_large": copy_large,
}
