# SPDX-License-Identifier: AGPL-3.0-or-later
"""What goes wrong around a hub: full disks, killed and stopped processes. Each call gets an answer, nothing that was
acknowledged is lost, nothing stays behind, and the hub goes on."""
import contextlib
import os
import random
import signal
import subprocess
import threading
import time

import pytest

from harness import parts
from harness.hub import Hub
from harness.pending import Pending
from harness.process import descriptors, parents, stopped, threads, wait_until, with_text
from harness.store import execute

pytestmark = pytest.mark.long


def works(hub, account, project):
    """The hub serves, reads and writes, and runs a command in an old and in a new project."""
    assert hub.call("ping", key=account)["event"] == "pong"
    assert hub.call("write_text_file_to_project", key=account, project_id=project, path="w", content="ok")["event"] \
        == "file_written_to_project"
    for one in (project, hub.project(account)):
        assert hub.exec(account, one, "echo fine")["stdout"] == "fine\n"


def running_in_a_project(hub, account, project, pending, command="sleep {0}", **more):
    """Sends a call that runs until it is ended, and waits until it runs; gives what it is to be known by."""
    marker = str(random.randrange(10**8, 10**9))
    pending.send("project_exec", project_id=project, command=command.format(marker), timeout=more.pop("timeout", 600), **more)
    wait_until(lambda: with_text(f"sleep\0{marker}"), 60, "the command runs")
    return marker


# ---- A full disk ----

@pytest.fixture
def small_hub(tmp_path, request):
    """A hub whose data folder is a file system of its own, 24 MB large. fill(hub) takes what is left of it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m,mode=0755", "tmpfs", disk], check=True)
    hub = Hub(disk / "data")
    hub.log = tmp_path / "hub.log"  # it is not the log that shall be full
    request.node.extra_hubs.append(hub)
    try:
        yield hub.start()
        hub.end()
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


@contextlib.contextmanager
def full_disk(hub):
    ballast = hub.data.parent / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):
                while True:
                    file.write(b"x" * size)
    try:
        yield
    finally:
        ballast.unlink()


def test_a_full_disk(small_hub):
    hub = small_hub
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "echo before > file; mkdir folder")
    other = hub.account(password="a password")
    stopped_one, new = hub.project(account), hub.project(account)
    hub.exec(account, stopped_one, "true")
    hub.cli("project", "stop", stopped_one)
    with full_disk(hub):
        reply = hub.call("write_text_file_to_project", key=account, project_id=project, path="file", content="x" * 100_000)
        assert reply["event"] == "error"
        assert reply["error"] == {"errno": -28, "code": "ENOSPC", "syscall": "write", "path": f"/projects/{project}/file"}
        assert hub.call("read_text_file_from_project", key=account, project_id=project, path="file")["content"] == "before\n"
        assert hub.exec(account, project, "echo from memory; cat file")["stdout"] == "from memory\nbefore\n"
        reply = hub.exec(account, project, "head -c 100000 /dev/zero > new")
        assert reply["event"] == "error" and "No space left on device" in reply["error"]
        for one in (stopped_one, new):
            assert hub.exec(account, one, "true")["error"] == "the project failed to start: no space left on the disk"
            assert not hub.sandbox(one)
        homes = set(os.listdir(hub.data / "projects"))
        replies = [hub.call("create_project", key=account, title="T", description="D" * 5000) for _ in range(40)]
        failed = [reply["error"] for reply in replies if reply["event"] == "error"]
        if hub.database_url is None:  # which is on that disk
            assert set(failed) == {"Failed to create new project 'T' -- \"The disk of the database is full.\""}
        assert len(os.listdir(hub.data / "projects")) == len(homes) + 40 - len(failed)
        assert hub.call("ping", key=account)["event"] == "pong"
        assert hub.call("get_usernames", key=account, account_ids=[other.id])["usernames"][other.id]["first_name"] == "Ada"
        shown = hub.cli("project", "list", "--account", account.id)
    assert shown[-1]["project_id"] == project
    for one in (project, stopped_one, new):
        works(hub, account, one)
    hub.restart()
    works(hub, account, project)
    assert not [name for name in os.listdir(hub.data / "projects" / project) if name.startswith(".cohub")]
    listed = {entry["project_id"] for entry in hub.cli("project", "list")}
    assert {entry["project_id"] for entry in shown} <= listed == set(os.listdir(hub.data / "projects"))


# ---- The agent ----

def test_the_agent_is_killed_while_commands_run(hub, account, project):
    with Pending(hub, account) as pending:
        marker = running_in_a_project(hub, account, project, pending)
        pending.send("project_exec", project_id=project, command="sleep", args=[f"{marker}.5"], timeout=0)
        wait_until(lambda: with_text(f"sleep\0{marker}.5"), 60, "both commands run")
        pending.send("read_text_file_from_project", project_id=project, path="/proc/version")
        os.kill(parts.agent(hub, project), signal.SIGKILL)
        replies = list(pending.replies().values())
    told = [reply["error"] for reply in replies if reply["event"] == "error"]
    assert set(told) <= {"the project stopped while the command was running", "the project stopped while the operation was running"}
    assert len(told) >= 1 and len(replies) == 3
    wait_until(lambda: not with_text(marker), 60, "its commands are gone with it")
    works(hub, account, project)


def test_bubblewrap_is_killed(hub, account, project):
    hub.exec(account, project, "echo x > file")
    sandbox = hub.sandbox(project)
    os.kill(int((hub.data / "run" / project / "pid").read_text().split()[0]), signal.SIGKILL)
    assert hub.exec(account, project, "cat", args=["file"])["stdout"] == "x\n"
    hub.cli("project", "stop", project)
    wait_until(lambda: not sandbox & parents().keys(), 60, "nothing of the sandbox is left")
    works(hub, account, project)


def test_a_stopped_agent_costs_an_answer_in_time(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project, other = hub.project(account), hub.project(account)
    hub.exec(account, project, "true")
    with stopped(parts.agent(hub, project)), Pending(hub, account) as pending:
        pending.send("project_exec", project_id=project, command="true", timeout=1)
        pending.send("write_text_file_to_project", project_id=project, path="/tmp/x", content="x")
        works(hub, account, other)
        assert hub.call("write_text_file_to_project", key=account, project_id=project, path="x", content="x")["event"] \
            == "file_written_to_project"  # needs no agent
        told = sorted(reply["error"] for reply in pending.replies().values())
    assert told == ["Timed out after 10 seconds.", "timeout"]
    assert hub.exec(account, project, "echo awake")["stdout"] == "awake\n"


def test_a_stopped_agent_can_be_stopped_for_good(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "true")
    sandbox = hub.sandbox(project)
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "running", 60, "its state is stored")
    hub.stop()  # which would otherwise see the end and store the state
    with stopped(parts.agent(hub, project)):
        assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
        wait_until(lambda: not sandbox & parents().keys(), 60, "nothing of the sandbox is left")
    hub.start()
    works(hub, account, project)


# ---- The runner ----

def test_the_runner_is_killed(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "echo $$ > before")
    for _ in range(3):
        os.kill(parts.runner(hub), signal.SIGKILL)
        assert hub.exec(account, project, "echo still here")["stdout"] == "still here\n"
        works(hub, account, project)


def test_the_runner_is_killed_while_projects_start(hub_factory):
    hub = hub_factory()
    account = hub.account()
    projects = [hub.project(account) for _ in range(20)]
    with Pending(hub, account) as pending:
        for number, project in enumerate(projects):
            pending.send("project_exec", project_id=project, command="echo $COCALC_PROJECT_ID", timeout=300, bash=True)
            if number == 10:
                os.kill(parts.runner(hub), signal.SIGKILL)
        replies = pending.replies(300).values()
    assert sorted(reply.get("stdout") for reply in replies) == sorted(f"{project}\n" for project in projects)
    for project in projects:
        assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
        assert not hub.sandbox(project)


def test_a_stopped_runner_is_waited_for_no_longer_than_the_caller_s_limit(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project, running = hub.project(account), hub.project(account)
    hub.exec(account, running, "true")
    with stopped(parts.runner(hub)):
        with Pending(hub, account) as pending:
            pending.send("project_exec", project_id=project, command="true", timeout=0.5)
            assert [reply["error"] for reply in pending.replies().values()] == ["timeout"]
        assert hub.exec(account, running, "echo on")["stdout"] == "on\n"
        assert hub.call("write_text_file_to_project", key=account, project_id=project, path="a", content="b")["event"] \
            == "file_written_to_project"
    # The start went on behind the answer.
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "running", 60, "it has started")
    assert hub.exec(account, project, "cat", args=["a"])["stdout"] == "b"


# ---- The hub ----

def test_nothing_acknowledged_is_lost_when_the_hub_is_killed(hub_factory):
    """Files and records are written by many clients at once, and the hub is killed in the middle of it."""
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    acknowledged, lock, half = {"files": {}, "projects": {}, "accounts": {}}, threading.Lock(), threading.Event()
    count = 0

    def note(kind, key, value):
        nonlocal count
        with lock:
            acknowledged[kind][key] = value
            count += 1
            if count == 500:
                half.set()

    def client(number):
        for n in range(1000):
            content = f"{number} {n} " + "x" * 1000
            with Pending(hub, account) as pending:
                calls = {pending.send("write_text_file_to_project", project_id=project, path=f"f/{number}-{n}", content=content): "f",
                         pending.send("create_project", title=f"{number} {n}"): "p"}
                replies = pending.replies()
            for call, kind in calls.items():
                reply = replies[call]
                if reply is None:
                    return
                if kind == "f" and reply["event"] == "file_written_to_project":
                    note("files", f"{number}-{n}", content)
                elif kind == "p" and reply["event"] == "project_created":
                    note("projects", reply["project_id"], f"{number} {n}")

    def run(number):
        with contextlib.suppress(OSError):  # the hub is gone
            client(number)

    clients = [threading.Thread(target=run, args=(number,)) for number in range(16)]
    for thread in clients:
        thread.start()
    assert half.wait(300)
    hub.kill()
    for thread in clients:
        thread.join()
    hub.start()
    titles = dict(execute(hub, "SELECT project_id, title FROM projects"))
    lost = [key for key, title in acknowledged["projects"].items() if titles.get(key) != title]
    assert not lost and len(acknowledged["projects"]) > 100
    folder = hub.data / "projects" / project / "f"
    lost = [key for key, content in acknowledged["files"].items() if (folder / key).read_text() != content]
    assert not lost and len(acknowledged["files"]) > 100
    assert all((hub.data / "projects" / key).is_dir() for key in acknowledged["projects"])
    owners = execute(hub, "SELECT count(*) FROM projects p WHERE NOT EXISTS "
                          "(SELECT 1 FROM project_users u WHERE u.project_id = p.project_id)")
    assert owners == [(0,)]  # all of a write or nothing
    if hub.database_url is None:
        assert execute(hub, "PRAGMA integrity_check") == [("ok",)]
    works(hub, account, project)


@pytest.mark.parametrize("part", ["supervisor", "server"])
def test_commands_outlive_a_killed_hub(hub_factory, part):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    with Pending(hub, account) as pending:
        marker = running_in_a_project(hub, account, project, pending, "echo $$ > pid; sleep {0}; :")
        sandbox, own = hub.sandbox(project), {hub.pid, parts.serving(hub), parts.runner(hub)}
        if part == "supervisor":
            hub.kill()
        else:
            os.kill(parts.serving(hub), signal.SIGKILL)
            hub.process.wait(120)
        assert list(pending.replies().values()) == [None]
    wait_until(lambda: not own & parents().keys(), 60, "all of the hub is gone")
    assert with_text(f"sleep\0{marker}")
    hub.start()
    assert hub.exec(account, project, "cat pid; pgrep -f 'slee[p] '")["event"] == "project_exec_output"
    assert {pid for pid in sandbox if pid in parents()} >= with_text(f"sleep\0{marker}") != set()
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "running", 60, "its state is stored")
    hub.cli("project", "stop", project)
    wait_until(lambda: not with_text(f"sleep\0{marker}") and not sandbox & parents().keys(), 60, "all of it is gone")


def test_calls_under_way_are_finished_at_a_stop(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    with Pending(hub, account) as pending:
        call = pending.send("project_exec", project_id=project, command="mkfifo gate; touch ready; cat gate; echo done", timeout=600)
        wait_until(lambda: (hub.data / "projects" / project / "ready").exists(), 60, "the command runs")
        hub.process.terminate()
        wait_until(lambda: "stopping" in hub.log.read_text(), 60, "the hub is stopping")
        with open(hub.data / "projects" / project / "gate", "w", encoding="utf-8"):
            pass
        assert pending.replies()[call]["stdout"] == "done\n"
    assert hub.process.wait(120) == 0


def test_it_may_be_stopped_as_soon_as_it_has_started(hub_factory):
    """What it does on workers when it starts may not have begun."""
    hub = hub_factory()
    for _ in range(5):
        hub.restart()


def test_a_project_marked_running_that_is_not_is_found_out(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "true")
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "running", 60, "its state is stored")
    hub.kill()
    os.kill(parts.agent(hub, project), signal.SIGKILL)
    hub.start()
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "opened", 60, "its state is told")
    works(hub, account, project)


@pytest.mark.parametrize("left", ["starting", "stopping"])
def test_a_project_whose_hub_ended_meanwhile_is_found_running(hub_factory, left):
    """Its record is put right, so that it can be stopped, and is seen when it is idle."""
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.method(account, "projects.start", {"project_id": project})
    hub.kill()
    execute(hub, "UPDATE projects SET state = ?, state_time = ? WHERE project_id = ?", left, int(time.time() * 1000), project)
    hub.start()
    query = {"query": {"projects_all": [{"project_id": project, "state": None}]}}
    wait_until(lambda: hub.method(account, "db.userQuery", query)["projects_all"][0]["state"]["state"] == "running", 60,
               "its state is stored")
    assert hub.method(account, "projects.status", {"project_id": project})["start_ts"] > 0
    hub.method(account, "projects.stop", {"project_id": project})
    assert hub.method(account, "projects.state", {"project_id": project})["state"] == "opened"
    wait_until(lambda: not hub.sandbox(project), 60, "its processes are gone")


# ---- Leaks ----

def held(hub):
    """All that a hub holds that could grow: by part its descriptors and threads, and the processes below it."""
    server, runner = parts.serving(hub), parts.runner(hub)
    # For PostgreSQL it keeps idle connections, and makes the threads that write, as it needs them: some dozens.
    least = 0 if hub.database_url is None else 120
    return {"server": max(least, descriptors(server)), "server's threads": max(least, threads(server)),
            "runner": descriptors(runner), "runner's threads": threads(runner),
            "supervisor": descriptors(hub.pid), "processes": len(hub.processes()),
            "run": set(os.listdir(hub.data / "run")),
            "sockets": {str(path) for path in (hub.data / "run").glob("*/agent.sock")}}


def holds_no_more(hub, before):
    now = held(hub)
    return all(now[name] <= before[name] for name in before)


def test_200_rounds_leave_nothing_behind(hub_factory):
    hub = hub_factory()
    account = hub.account()
    projects = [hub.project(account) for _ in range(10)]

    def round_of(project, n):
        with Pending(hub, account) as pending:
            pending.send("project_exec", project_id=project, command=f"echo {n}; setsid sleep 54321 >/dev/null 2>&1 & true",
                         timeout=60)
            pending.send("project_exec", project_id=project, command="sleep 54321", timeout=0.01)
            pending.send("write_text_file_to_project", project_id=project, path="/tmp/x", content="x" * 1000)
            pending.send("read_text_file_from_project", project_id=project, path="/nowhere")
            assert None not in pending.replies().values()
        # The end of a project as seen from outside, which takes no process of the command line.
        os.kill(parts.agent(hub, project), signal.SIGKILL)
        wait_until(lambda: not hub.sandbox(project), 60, "the sandbox is gone")

    for n, project in enumerate(projects):
        round_of(project, n)
    before = wait_until(lambda: quiet(hub), 60, "all of the first rounds is gone")
    for n in range(190):
        round_of(projects[n % 10], n)
    wait_until(lambda: holds_no_more(hub, before), 60, f"no more than before is held: {before}, now {held(hub)}")
    assert not with_text("sleep\x0054321")


def quiet(hub):
    """What is held, once no project runs: the hub's three processes, and four that wait to become sandboxes."""
    return held(hub) if len(hub.processes()) == 7 else None


def test_created_projects_and_broken_connections_leave_nothing_open(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "true")

    def rounds(count):
        for _ in range(count):
            with Pending(hub, account) as pending:
                pending.send("project_exec", project_id=project, command="sleep 0.01")
                pending.send("create_project", title="x")
                pending.send("read_text_file_from_project", project_id=project, path="/etc/passwd")
        hub.exec(account, project, "sleep 0.05")

    rounds(20)
    before = {name: count for name, count in held(hub).items() if name.startswith("server")}
    rounds(200)
    wait_until(lambda: holds_no_more(hub, before), 60, f"no more than before is held: {before}, now {held(hub)}")
