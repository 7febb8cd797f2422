# SPDX-License-Identifier: AGPL-3.0-or-later
"""A hub on PostgreSQL whose answers are late or do not come: what waits, and what does not."""
import signal
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.pending import Pending
from harness.postgres import ROLE, Cluster
from harness.process import wait_until

pytestmark = pytest.mark.long

LANES = 4  # reads at once
BUSY = "the server waits for its database; try again later"
LOST = {"The database cannot be reached.", "The database took too long.", "The database is busy."}


@pytest.fixture(scope="module")
def cluster():
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def own_cluster():
    """One that the test may end."""
    with Cluster() as cluster:
        yield cluster


def start_hub(hub_factory, cluster, name):
    return hub_factory(env={"COHUB_DATABASE_URL": cluster.create(name), "COHUB_HTTP_LOOPS": "1",
                            "COHUB_DATABASE_CONNECTIONS": str(LANES)})


class TableLock:
    """Holds a table so that nobody reads it, from where it is entered to where it is left."""

    def __init__(self, cluster, database, table):
        self.cluster, self.database, self.table = cluster, database, table

    def __enter__(self):
        self.psql = subprocess.Popen(
            [self.cluster.programs / "psql", "-X", "-q", "-A", "-t", "-h", self.cluster.folder, "-U", ROLE, "-d",
             self.database], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.psql.stdin.write(f"BEGIN; LOCK TABLE {self.table} IN ACCESS EXCLUSIVE MODE; SELECT 'held';\n")
        self.psql.stdin.flush()
        assert self.psql.stdout.readline() == "held\n"
        return self

    def waiting(self):
        """How many reads wait for it."""
        return int(self.cluster.psql(self.database, "SELECT count(*) FROM pg_locks WHERE NOT granted"
                                                    f" AND mode = 'AccessShareLock' AND relation = '{self.table}'::regclass"))

    def __exit__(self, *_):
        self.psql.communicate("COMMIT;\n")


def name_of(hub, account, **options):
    """The reply to get_usernames for the account itself, which reads the table accounts."""
    return hub.api("get_usernames", json={"account_ids": [account.id]}, key=account, **options)


def is_right(response, account):
    return response.status_code == 200 and account.id in response.json().get("usernames", {})


def is_documented_failure(response):
    body = response.json()
    if response.status_code == 200:
        return body["event"] == "error" and body["error"] in LOST
    return response.status_code == 503 and body["error"] == BUSY


def test_a_late_answer_holds_nobody_but_who_waits_for_it(hub_factory, cluster):
    hub = start_hub(hub_factory, cluster, "late")
    account = hub.account()
    project = hub.project(account)
    with Pending(hub, account) as pending:
        with TableLock(cluster, "late", "accounts") as lock:
            for _ in range(LANES - 1):
                pending.send("get_usernames", account_ids=[account.id])
            wait_until(lambda: lock.waiting() == LANES - 1, 60, "all statements wait")
            assert hub.call("ping", key=account)["event"] == "pong"
            assert hub.call("touch_project", key=account, project_id=project)["event"] == "success"
            assert lock.waiting() == LANES - 1
        replies = pending.replies().values()
    assert [list(reply["usernames"]) for reply in replies] == [[account.id]] * (LANES - 1)


def test_who_finds_all_lanes_taken_waits_but_not_for_ever(hub_factory, cluster):
    hub = start_hub(hub_factory, cluster, "taken")
    account = hub.account()
    project = hub.project(account)
    with Pending(hub, account) as pending:
        with TableLock(cluster, "taken", "accounts") as lock:
            for _ in range(LANES):
                pending.send("get_usernames", account_ids=[account.id])
            wait_until(lambda: lock.waiting() == LANES, 60, "all lanes are taken")
            with ThreadPoolExecutor() as threads:
                call = threads.submit(hub.api, "touch_project", json={"project_id": project}, key=account)
                page = threads.submit(hub.client.get, f"{hub.url}/requests/1?key=x")
                assert (call.result().status_code, call.result().json()) == (503, {"error": BUSY})
                assert (page.result().status_code, BUSY in page.result().text) == (503, True)
            assert hub.call("ping", key=account)["event"] == "pong"  # needs no database
            assert hub.call("ping", key="")["event"] == "pong"
            pending.send("touch_project", project_id=project)  # waits now
        replies = pending.replies().values()
    assert sorted(reply["event"] for reply in replies) == ["success"] + ["usernames"] * LANES


def load(hub, account, stop, failures, counts):
    """Calls again and again; what is neither right nor a documented failure is put into `failures`."""
    while not stop.is_set():
        response = name_of(hub, account)
        counts["right" if is_right(response, account) else "failed"] += 1
        if not is_right(response, account) and not is_documented_failure(response):
            failures.append(response.text)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["ended", "crashed"])
def test_a_restart_of_the_server_is_survived_under_load(hub_factory, own_cluster, how):
    hub = start_hub(hub_factory, own_cluster, "restart")
    account = hub.account()
    pid, stop, failures, counts = hub.pid, threading.Event(), [], {"right": 0, "failed": 0}
    threads = [threading.Thread(target=load, args=(hub, account, stop, failures, counts)) for _ in range(8)]
    for thread in threads:
        thread.start()
    try:
        wait_until(lambda: counts["right"] > 50, 60, "calls are answered")
        own_cluster.psql("postgres", "CHECKPOINT", role="postgres")  # it does not wait for its disk
        own_cluster.restart(how)
        before = counts["right"]
        wait_until(lambda: counts["right"] > before + 50, 60, "calls are answered again")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == []
    wait_until(lambda: hub.client.get(hub.url + "/healthz").status_code == 200, 60, "healthy")
    assert hub.project(account)
    assert hub.running() and hub.pid == pid


def test_without_its_database_the_hub_says_so_and_ends_when_it_is_told_to(hub_factory, own_cluster):
    hub = start_hub(hub_factory, own_cluster, "gone")
    account = hub.account()
    assert hub.client.get(hub.url + "/healthz").json() == {"status": "ok"}
    own_cluster.stop()
    health = hub.client.get(hub.url + "/healthz")
    assert (health.status_code, health.json()) == (503, {"status": "unavailable",
                                                         "error": "The database cannot be reached."})
    for _ in range(3 * LANES):
        assert is_documented_failure(name_of(hub, account))
    assert hub.call("ping", key="")["event"] == "pong"

    own_cluster.start()
    wait_until(lambda: hub.client.get(hub.url + "/healthz").status_code == 200, 60, "healthy again")
    assert is_right(name_of(hub, account), account)
    assert hub.project(account)

    own_cluster.stop()
    assert is_documented_failure(name_of(hub, account))
    hub.stop()
