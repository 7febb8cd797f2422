# SPDX-License-Identifier: AGPL-3.0-or-later
"""The figures of user queries. The caller works on 100 projects, each of which somebody else owns."""
import json
import pathlib
import subprocess

from figures import WRK_S, Client, compared, own_processes
from harness.postgres import Cluster

CONNECTIONS = 64
SELECTS = 200  # runs of the bare statement, of which the median counts


def _bodies(query, project_ids):
    """A body for each project, sent in turns."""
    return "\n".join(json.dumps({"query": query(project_id)}) for project_id in project_ids)


def _get(project_id):
    return {"projects_all": {"project_id": project_id, "title": None, "description": None}}


def _succeeded(run):
    if run["errors"]:
        raise RuntimeError(f"{run['errors']} of {run['requests']} queries failed")
    return run


def query(bench):
    hub, nginx = bench.hub_of_projects(1_000), bench.nginx()
    body, pairs = json.dumps({"query": _get(hub.project_ids[0])}), []
    pids = own_processes(hub)
    for _ in range(bench.rounds):
        base = bench.wrk_cpu_us(nginx.pids, f"{nginx.url}/api/v1/query", hub.caller.key, body, CONNECTIONS, WRK_S)
        ours = bench.wrk_cpu_us(pids, f"{hub.url}/api/v1/query", hub.caller.key, body, CONNECTIONS, WRK_S)
        pairs.append((ours, base))
    return [compared("CPU per query of a project by its id, 1,000 projects", "<= 4 x nginx", 4, pairs, "us")]


def query_many(bench):
    hubs = [bench.hub_of_projects(count) for count in (1_000_000, 1_000)]

    def cpu_us(hub):
        return bench.wrk_cpu_us(own_processes(hub), f"{hub.url}/api/v1/query", hub.caller.key,
                                _bodies(_get, hub.project_ids), CONNECTIONS, WRK_S)

    for hub in hubs:
        cpu_us(hub)  # what it reads is in the system's cache
    pairs = [tuple(cpu_us(hub) for hub in hubs) for _ in range(bench.rounds)]
    return [compared("CPU per query of one of 100 projects by its id, 1,000,000 projects", "<= 1.3 x 1,000 projects", 1.3,
                     pairs, "us")]


def projects_all(bench):
    hub, pairs = bench.hub_of_projects(1_000), []
    wanted = {"project_id": None, "title": None, "description": None, "last_edited": None, "users": None}
    body = json.dumps({"query": {"projects_all": [wanted]}})
    for _ in range(bench.rounds):
        base = bench.program("sqlite_select", hub.data / "hub.sqlite3", hub.caller.id, SELECTS)
        if base["projects"] != len(hub.project_ids):
            raise RuntimeError(f"the bare statement found {base['projects']} projects")
        run = _succeeded(bench.wrk(f"{hub.url}/api/v1/query", hub.caller.key, body, 1, WRK_S))
        pairs.append((run["p50_us"], base["median_us"]))
    return [compared("query of the caller's 100 projects with their users, median", "<= 3 x a bare prepared statement", 3, pairs,
                     "us")]


def query_set(bench):
    hub, pairs = bench.hub_of_projects(1_000), []
    body = json.dumps({"query": {"projects": {"project_id": hub.project_ids[0], "title": "Title @"}}})
    for _ in range(bench.rounds):
        with bench.scratch() as folder:
            base = bench.program("sqlite_update", pathlib.Path(folder) / "rows.sqlite3", WRK_S)["per_s"]
        run = _succeeded(bench.wrk(f"{hub.url}/api/v1/query", hub.caller.key, body, CONNECTIONS, WRK_S))
        pairs.append((run["per_s"], base))
    return [compared("query that sets a title, durable, 64 clients", ">= 0.3 x bare updates", 0.3, pairs, "/s", at_least=True)]


class Pgbench:
    """pgbench's smallest set of rows, which is in memory, in a database of its own on the hub's server."""

    def __init__(self, cluster):
        self.cluster = cluster
        cluster.psql("postgres", "CREATE DATABASE bench", role="postgres")
        self._run("-i", "-q", "-s", "1")

    def _run(self, *args):
        done = subprocess.run([self.cluster.programs / "pgbench", *args, "-h", self.cluster.folder, "-U", "postgres", "bench"],
                              check=True, capture_output=True, text=True)
        return done.stdout

    def per_s(self, connections):
        printed = self._run("-S", "-M", "prepared", "-n", "-c", str(connections), "-j", "2", "-T", str(WRK_S))
        return float(printed.split("tps = ")[1].split()[0])


def _connections(cluster):
    """Those of the hub."""
    return int(cluster.psql("postgres", "SELECT count(*) FROM pg_stat_activity WHERE datname = 'hub'", role="postgres"))


def query_postgres(bench):
    with Cluster() as cluster:
        pgbench = Pgbench(cluster)
        hub = bench.hub("postgres", env={"COHUB_DATABASE_URL": cluster.create("hub")})
        key = hub.account().key
        hub.start()
        url, pairs = f"{hub.url}/api/v1/query", []
        project_id = Client(hub.url, key).project()
        body = json.dumps({"query": _get(project_id)})
        _succeeded(bench.wrk(url, key, body, CONNECTIONS, WRK_S))
        connections = _connections(cluster)
        for _ in range(bench.rounds):
            base = pgbench.per_s(connections)
            ours = _succeeded(bench.wrk(url, key, body, CONNECTIONS, WRK_S))["per_s"]
            pairs.append((ours, base))
        hub.stop()
    return [compared(f"queries of a project by its id on PostgreSQL, {connections} connections to it",
                     ">= 0.4 x pgbench -S -M prepared", 0.4, pairs, "/s", at_least=True)]


FIGURES = {
    "query": query,
    "query_many": query_many,
    "projects_all": projects_all,
    "query_set": query_set,
    "query_postgres": query_postgres,
}
