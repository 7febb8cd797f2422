# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a sandbox may use: memory, processors, processes, the size of files; and that its neighbours do not notice."""
import contextlib
import os
import resource
import signal

import pytest

from harness.parts import agent, runner
from harness.process import parents, wait_until

pytestmark = pytest.mark.long

MEMORY_MB = 1000  # no project has less
PROCESSES = 200


@pytest.fixture
def bounded(hub_factory):
    """A hub whose projects have few processes, with an account and two projects that run."""
    hub = hub_factory(env={"COHUB_PROJECTS_MEMORY": str(MEMORY_MB), "COHUB_PROJECTS_PROCESSES": str(PROCESSES),
                           "COHUB_PROJECTS_CORES": "0.5", "COHUB_PROJECTS_CPU_SHARES": "512"})
    hub.owner = hub.account()
    hub.bombed, hub.neighbour = hub.project(hub.owner), hub.project(hub.owner)
    for project in (hub.bombed, hub.neighbour):
        out(hub, project, "true")
    return hub


def run(hub, project, script, **parameters):
    return hub.exec(hub.owner, project, script, bash=True, **{"timeout": 60, **parameters})


def out(hub, project, script, **parameters):
    reply = run(hub, project, script, **parameters)
    assert reply["event"] == "project_exec_output" and reply["exit_code"] == 0, reply
    return reply["stdout"]


def groups(pid):
    """controller -> the folder of the group that a process is in."""
    found = {}
    for line in open(f"/proc/{pid}/cgroup", encoding="utf-8"):
        _, controllers, path = line.rstrip("\n").split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def mounts():
    """Of each controller, "" for version 2: where it is mounted."""
    found = {}
    for line in open("/proc/self/mountinfo", encoding="utf-8"):
        left, right = line.split(" - ")
        kind, _, options = right.split()[:3]
        if kind in ("cgroup", "cgroup2"):
            for name in options.split(",") if kind == "cgroup" else [""]:
                found[name] = left.split()[4]
    return found


def limit_file(pid, controller, version_1, version_2):
    where, mounted = groups(pid), mounts()
    name, file = (controller, version_1) if controller in mounted else ("", version_2)
    with open(f"{mounted[name]}{where[name]}/{file}", encoding="utf-8") as text:
        return text.read().strip()


def answers(hub):
    assert hub.call("ping")["event"] == "pong"
    assert out(hub, hub.neighbour, "echo well") == "well\n"


def test_limits_are_those_of_the_quota(bounded):
    pid = agent(bounded, bounded.bombed)
    assert int(limit_file(pid, "memory", "memory.limit_in_bytes", "memory.max")) == MEMORY_MB << 20
    assert limit_file(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0] == "50000"
    assert limit_file(pid, "cpu", "cpu.shares", "cpu.weight") in ("512", "50")
    assert int(limit_file(pid, "pids", "pids.max", "pids.max")) > PROCESSES


def test_limits_change_while_it_runs(bounded):
    bounded.cli("project", "settings", bounded.bombed, "memory=1500", "cores=2")
    pid = agent(bounded, bounded.bombed)
    read = lambda: (limit_file(pid, "memory", "memory.limit_in_bytes", "memory.max"),  # noqa: E731
                    limit_file(pid, "cpu", "cpu.cfs_quota_us", "cpu.max").split()[0])
    wait_until(lambda: read() == (str(1500 << 20), "200000"), 60, "the new limits")


@pytest.mark.parametrize("bomb", [
    "head -c 3G /dev/zero | tail",
    "/usr/bin/python3 -c 'x = bytearray(3 << 30)'",
])
def test_memory_bomb(bounded, bomb):
    before = agent(bounded, bounded.bombed)
    reply = run(bounded, bounded.bombed, bomb)
    assert reply["event"] == "error" or reply["exit_code"] != 0
    answers(bounded)
    assert out(bounded, bounded.bombed, "echo again") == "again\n"
    assert agent(bounded, bounded.bombed) == before, "the agent was killed, not the bomb"
    log = limit_file(before, "memory", "memory.oom_control", "memory.events")
    assert int(log.split("oom_kill ")[1].split()[0]) >= 1


def test_memory_bomb_in_the_background_while_neighbours_work(bounded):
    run(bounded, bounded.bombed, "(while :; do head -c 3G /dev/zero | tail; done) >/dev/null 2>&1 </dev/null &")
    for _ in range(5):
        answers(bounded)
    bounded.cli("project", "stop", bounded.bombed)
    assert out(bounded, bounded.bombed, "echo again") == "again\n"


def test_fork_bomb(bounded):
    run(bounded, bounded.bombed, ":(){ :|:& };:", timeout=5)
    for _ in range(5):
        answers(bounded)
    counted = int(limit_file(agent(bounded, bounded.bombed), "pids", "pids.current", "pids.current"))
    assert counted <= PROCESSES + 128
    bounded.cli("project", "stop", bounded.bombed)
    assert out(bounded, bounded.bombed, "echo again") == "again\n"


def test_commands_start_while_all_processes_are_used(bounded):
    run(bounded, bounded.bombed, "for i in {1..400}; do sleep 1000 & done 2>/dev/null", timeout=5)
    reply = bounded.exec(bounded.owner, bounded.bombed, "bash", args=["-c", "kill -9 -1"], timeout=50)
    assert reply["event"] in ("project_exec_output", "error")
    assert out(bounded, bounded.bombed, "sleep 0; echo again") == "again\n"


def test_group_goes_with_its_sandbox(bounded):
    pid = agent(bounded, bounded.bombed)
    where = {name: mounts()[name] + path for name, path in groups(pid).items() if "cohub-" in path}
    assert where
    bounded.cli("project", "stop", bounded.bombed)
    for folder in where.values():
        wait_until(lambda folder=folder: not exists(folder), 60, f"{folder} is removed")


def exists(folder):
    with contextlib.suppress(OSError), open(f"{folder}/cgroup.procs", encoding="utf-8"):
        return True
    return False


def test_limits_hold_under_another_runner(bounded):
    pid = agent(bounded, bounded.bombed)
    before = groups(pid)
    bounded.kill()
    bounded.start()
    assert groups(pid) == before
    bounded.cli("project", "settings", bounded.bombed, "memory=1200")
    wait_until(lambda: limit_file(pid, "memory", "memory.limit_in_bytes", "memory.max") == str(1200 << 20), 60,
               "the new limit")
    answers(bounded)


def test_end_for_want_of_memory_is_told(bounded):
    """The kernel takes the agent last; the test takes its place after memory has run out."""
    pid = agent(bounded, bounded.bombed)
    run(bounded, bounded.bombed, "head -c 3G /dev/zero | tail")
    os.kill(pid, signal.SIGKILL)
    state = wait_until(lambda: stopped(bounded), 60, "the project has stopped")
    assert state["error"] == "the project ran out of memory and was stopped"
    assert out(bounded, bounded.bombed, "echo again") == "again\n"


def stopped(hub):
    state = hub.cli("project", "show", hub.bombed)["state"]
    return state if state["state"] == "opened" else None


def test_command_is_killed_before_the_agent(bounded):
    with open(f"/proc/{agent(bounded, bounded.bombed)}/oom_score_adj", encoding="utf-8") as score:
        assert int(out(bounded, bounded.bombed, "cat /proc/self/oom_score_adj")) > int(score.read()) > 0


@pytest.mark.parametrize("size, written", [(1000, 1000), (5000, 1200)])
def test_files_of_a_command_stay_below_the_disk_quota(hub_factory, size, written):
    """What does not fit any more fails with an error of its own; no signal ends the command."""
    hub = hub_factory(env={"COHUB_PROJECTS_DISK_QUOTA": "1"})
    hub.owner = hub.account()
    project = hub.project(hub.owner)
    reply = run(hub, project, f"head -c {size}000 /dev/zero >f 2>error; cat error; wc -c <f")
    assert reply["exit_code"] == 0
    assert ("File too large" in reply["stdout"]) == (size > written)
    assert int(reply["stdout"].split()[-1]) <= written * 1024


def test_the_users_limit_of_processes_keeps_no_project_from_starting(hub_factory):
    hub = hub_factory()
    hub.owner = hub.account()
    crowded, other = hub.project(hub.owner), hub.project(hub.owner)
    first = runner(hub)
    for pid in (first, *(pid for pid, parent in parents().items() if parent == first)):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NPROC)
        resource.prlimit(pid, resource.RLIMIT_NPROC, (50, hard))
    out(hub, crowded, "for i in $(seq 60); do sleep 1000 >/dev/null 2>&1 & done")
    assert out(hub, other, "echo well") == "well\n"
