# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the figures are measured with: hubs, nginx, wrk, the bare programs, and /proc."""
import contextlib
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tempfile

from harness.process import descendants, wait_until
from harness.server import Server

import filling

BENCH = pathlib.Path(__file__).resolve().parent
TICKS_PER_S = os.sysconf("SC_CLK_TCK")

NGINX = """
daemon off;
worker_processes auto;
{user}
pid {folder}/nginx.pid;
error_log stderr error;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port};
        default_type application/json;
        location / {{ return 200 '{{"event":"pong","id":"7b39d9a4-0f3f-4c4f-9d7c-4f1f5a4d1f5e","now":"2017-05-24T13:29:11.742Z"}}'; }}
    }}
}}
"""


def cpu_s(pids):
    """Seconds of CPU that the processes have used so far, all their threads together."""
    ticks = 0
    for pid in pids:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS_PER_S


def pss_mb(pids):
    """The memory of the processes, what they share counted once, in MB of 2**20 bytes."""
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as lines:
            total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


class Nginx:
    """Debian's nginx, a worker a processor as the hub has loops, that answers every request with a constant."""

    def __init__(self, folder):
        folder.mkdir()
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        listener.set_inheritable(True)
        port = listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(NGINX.format(folder=folder, port=port, user=user))
        self.process = subprocess.Popen(
            ["/usr/sbin/nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"],
            stdin=subprocess.DEVNULL, pass_fds=[listener.fileno()],
            stderr=open(folder / "log", "wb"), env={**os.environ, "NGINX": f"{listener.fileno()};"})
        listener.close()
        self.pids = wait_until(self._workers, 10, "nginx has its workers")

    def _workers(self):
        found = descendants(self.process.pid)
        return found if len(found) >= os.cpu_count() else None

    def stop(self):
        self.process.terminate()
        self.process.wait(20)


class Machine:
    """Makes what a figure asks for when it first does, and clears all of it away in the end."""

    def __init__(self, folder, build, rounds):
        self.folder, self.build, self.rounds = folder, build, rounds
        self.stack = contextlib.ExitStack()
        self.made = {}

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stack.close()

    def _once(self, name, make):
        if name not in self.made:
            self.made[name] = make()
        return self.made[name]

    def nginx(self):
        def make():
            nginx = Nginx(self.folder / "nginx")
            self.stack.callback(nginx.stop)
            return nginx
        return self._once("nginx", make)

    def hub(self, name, env=None):
        """A stopped hub with an empty data folder."""
        hub = Server(self.folder / name / "data", env=env)
        self.stack.callback(hub.end)
        return hub

    def full_hub(self):
        """A running hub whose database holds 100,000 accounts and projects; .caller, .account_ids are some of them."""
        def make():
            hub = self.hub("full")
            hub.caller = hub.account()
            hub.account_ids = filling.fill(hub.data / "hub.sqlite3", 100_000)
            hub.start()
            return hub
        hub = self._once("full", make)
        if not hub.running():
            hub.start()
        return hub

    def hub_of_projects(self, count):
        """A running hub with so many accounts and projects; .caller works on 100 of them, .project_ids."""
        def make():
            hub = self.hub(f"projects{count}")
            hub.caller = hub.account()
            hub.project_ids = filling.fill_projects(hub.data / "hub.sqlite3", count, hub.caller.id, 100)
            return hub.start()
        return self._once(f"projects{count}", make)

    def program(self, name, *args):
        """What a bare program of this folder printed."""
        done = subprocess.run([self.build / "bench" / name, *map(str, args)], check=True, capture_output=True, text=True)
        return json.loads(done.stdout)

    @contextlib.contextmanager
    def scratch(self):
        """A folder on the same file system as the hubs' data."""
        folder = tempfile.mkdtemp(dir=self.folder)
        yield folder
        shutil.rmtree(folder)

    def wrk(self, url, key, body, connections, seconds):
        """POSTs for some seconds. body: the request's JSON text, in which @ becomes a running number, or None.
        {"requests", "errors", "p50_us", "per_s"}; a reply that is not 200 or holds an error is an error."""
        env = {**os.environ, "BENCH_KEY": key, "BENCH_BODY": body or ""}
        done = subprocess.run(["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "-s", BENCH / "post.lua", url],
                              check=True, capture_output=True, text=True, env=env)
        return json.loads(done.stdout.strip().splitlines()[-1])

    def wrk_cpu_us(self, pids, *args):
        """Microseconds of CPU that the processes spend on a request of that run of wrk."""
        before = cpu_s(pids)
        run = self.wrk(*args)
        if run["errors"]:
            raise RuntimeError(f"{run['errors']} of {run['requests']} requests failed: {args[0]}")
        return (cpu_s(pids) - before) / run["requests"] * 1e6
