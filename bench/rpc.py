# SPDX-License-Identifier: AGPL-3.0-or-later
"""The figures of the RPC: its transport, commands, and Jupyter kernels in sandboxes."""
import concurrent.futures
import contextlib
import functools
import http.client
import json
import pathlib
import statistics
import subprocess
import time

from figures import WRK_S, Client, Row, bounded, compared, own_processes
from harness.parts import serving
from harness.process import memory_peak_kb, wait_until
from machine import pss_mb

KERNEL = "python3"
CELL = "1+1"
CELLS = 8  # of each side and round, whose median counts: before each a kernel starts
PROJECTS = 50
WARM_S = 120
ANSWER_MS = 300_000  # of a hundred kernels that start at once
PRINTED_MB = 100
NOTICE = "Output truncated since it exceeded the cell output limit of 1000000 characters"


class RpcClient(Client):
    """One keep-alive connection of a caller of the RPC."""

    def rpc(self, name, project_id=None, **args):
        body = {"name": name, "args": [args], "timeout": ANSWER_MS}
        endpoint = "hub"
        if project_id:
            body["project_id"], endpoint = project_id, "project"
        self.connection.timeout = ANSWER_MS / 1000
        self.connection.request("POST", f"/api/conat/{endpoint}", json.dumps(body), self.headers)
        response = self.connection.getresponse()
        reply = json.loads(response.read())
        if response.status != 200 or (isinstance(reply, dict) and "error" in reply):
            raise RuntimeError(f"{name}: {response.status} {reply}")
        return reply

    def cell(self, project_id, code):
        return self.rpc("system.jupyterExecute", project_id, input=code, kernel=KERNEL)

    def warm(self, project_id):
        """Waits until a kernel of the pool could run something at once."""
        wait_until(lambda: any(kernel["state"] == "idle" for kernel in self.rpc("system.listJupyterKernels", project_id)),
                   WARM_S, "a kernel is idle")


def rpc_ping(bench):
    hub, nginx = bench.full_hub(), bench.nginx()
    body = json.dumps({"name": "system.ping", "args": [{}]})
    pids, pairs = own_processes(hub), []
    for _ in range(bench.rounds):
        base = bench.wrk_cpu_us(nginx.pids, f"{nginx.url}/api/conat/hub", hub.caller.key, body, 64, WRK_S)
        ours = bench.wrk_cpu_us(pids, f"{hub.url}/api/conat/hub", hub.caller.key, body, 64, WRK_S)
        pairs.append((ours, base))
    return [compared("CPU per system.ping, 64 connections, logging on", "<= 1.3 x nginx", 1.3, pairs, "us")]


def rpc_exec(bench):
    hub = bench.full_hub()
    client = Client(hub.url, hub.caller.key)
    project_id = client.project()
    client.run_true(project_id)
    v1 = json.dumps({"project_id": project_id, "command": "true"})
    rpc = json.dumps({"name": "system.exec", "project_id": project_id, "args": [{"command": "true"}]})

    def median_us(path, body):
        run = bench.wrk(f"{hub.url}{path}", hub.caller.key, body, 1, WRK_S)
        if run["errors"]:
            raise RuntimeError(f"{run['errors']} of {run['requests']} calls of {path} failed")
        return run["p50_us"]

    pairs = []
    for _ in range(bench.rounds):
        base = median_us("/api/v1/project_exec", v1)
        pairs.append((median_us("/api/conat/project", rpc), base))
    hub.stop_projects()
    return [compared("system.exec of true in a running project, median", "<= 1.1 x project_exec", 1.1, pairs, "us")]


# ---- Kernels ----

@contextlib.contextmanager
def bare_kernel():
    """run(code) for a kernel on this machine that runs already, by Debian's client."""
    from jupyter_client.manager import start_new_kernel  # the other figures go without it
    manager, client = start_new_kernel(kernel_name=KERNEL, stderr=subprocess.DEVNULL)
    try:
        yield lambda code: client.execute_interactive(code, output_hook=lambda message: None, timeout=WARM_S)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def timed_ms(run):
    begin = time.perf_counter()
    run()
    return (time.perf_counter() - begin) * 1e3


def jupyter(bench):
    hub = bench.full_hub()
    client = RpcClient(hub.url, hub.caller.key)
    project_id = client.project()
    client.cell(project_id, CELL)

    def by_hub():
        client.warm(project_id)
        return timed_ms(lambda: client.cell(project_id, CELL))

    pairs = []
    with bare_kernel() as run:
        run(CELL)
        for _ in range(bench.rounds):
            ours, base = [], []
            for _ in range(CELLS):
                ours.append(by_hub())
                client.warm(project_id)  # nothing starts meanwhile
                base.append(timed_ms(lambda: run(CELL)))
            pairs.append((statistics.median(ours), statistics.median(base)))
    hub.stop_projects()
    return [compared("system.jupyterExecute of 1+1, the pool warm, median", "<= 1.3 x python3-jupyter-client", 1.3, pairs, "ms")]


def _served(client, project_id):
    try:
        [item] = client.cell(project_id, CELL)
        return item["data"]["text/plain"] == "2"
    except (RuntimeError, OSError, KeyError, ValueError, http.client.HTTPException) as error:
        print(f"one of {PROJECTS} kernels failed: {error}")
        return False


def kernels_50(bench):
    hub = bench.hub("kernels")
    account = hub.account()
    hub.start()
    clients = [RpcClient(hub.url, account.key) for _ in range(PROJECTS)]
    projects = [client.project() for client in clients]
    for client, project_id in zip(clients, projects):
        client.rpc("system.ping", project_id)
    pid = serving(hub)
    before = pss_mb([pid])
    with concurrent.futures.ThreadPoolExecutor(PROJECTS) as pool:
        served = sum(pool.map(_served, clients, projects))
        list(pool.map(RpcClient.warm, clients, projects))
    grown_kb = (pss_mb([pid]) - before) * 1024 / PROJECTS
    hub.stop_projects()
    hub.stop()
    return [Row(f"{PROJECTS} projects run a cell at once", "all succeed", f"{served} succeed", "-", served == PROJECTS),
            bounded("memory of the hub for each of them while its kernel stays, running projects before", "<= 64 KB", 64,
                    [grown_kb], "KB")]


def _growth_mb(pid, run):
    """What run() gave, and by how much the memory of a process was more meanwhile at most."""
    pathlib.Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak is now
    before = memory_peak_kb(pid)
    result = run()
    return result, (memory_peak_kb(pid) - before) / 1024


def cell_output(bench):
    hub = bench.hub("output")  # one that has not had to do with much before
    account = hub.account()
    hub.start()
    client = RpcClient(hub.url, account.key)
    project_id = client.project()
    client.cell(project_id, CELL)
    code = f"for _ in range({PRINTED_MB}): print('x' * 999_999)"
    items, grown = _growth_mb(serving(hub), functools.partial(client.cell, project_id, code))
    hub.stop_projects()
    hub.stop()
    cut = items[-1].get("text") == NOTICE and sum(len(json.dumps(item)) for item in items) < 2_000_000
    return [Row(f"a cell that prints {PRINTED_MB} MB", "is cut with a notice", f"{len(items)} items", "-", cut),
            bounded("memory of the hub meanwhile", "<= 8 MB more", 8, [grown], "MB")]


FIGURES = {
    "rpc_ping": rpc_ping,
    "rpc_exec": rpc_exec,
    "jupyter": jupyter,
    "kernels_50": kernels_50,
    "cell_output": cell_output,
}
