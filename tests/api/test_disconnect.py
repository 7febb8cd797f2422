# SPDX-License-Identifier: AGPL-3.0-or-later
"""disconnect_from_project: the hub lets go of a project that goes on, and finds it again."""
import os
import pathlib
import signal

import pytest

from harness.pending import Pending
from harness.process import wait_until
from harness.store import add_user

MISSING = "12345678-1234-4234-8234-123456789012"
CONNECTED = "03"


def connections(project):
    """How many connections to the project's agent there are."""
    lines = pathlib.Path("/proc/net/unix").read_text().splitlines()[1:]
    return sum(words[5] == CONNECTED and words[-1].endswith(f"{project}/agent.sock") for words in map(str.split, lines))


def disconnect(hub, account, project):
    return hub.call("disconnect_from_project", key=account, project_id=project)


def state(hub, project):
    return hub.cli("project", "show", project)["state"]["state"]


def test_it_lets_go_and_the_next_call_connects(hub, account, project):
    hub.exec(account, project, "true")
    sandbox = hub.sandbox(project)
    assert connections(project) == 1
    for _ in range(2):
        reply = hub.call("disconnect_from_project", key=account, project_id=project.upper(), id=9)
        assert reply == {"event": "success", "id": 9}
        wait_until(lambda: connections(project) == 0, 60, "the agent has seen it")
    assert state(hub, project) == "running" and min(sandbox) in hub.sandbox(project)
    assert hub.exec(account, project, "echo here")["stdout"] == "here\n"
    assert connections(project) == 1 and min(sandbox) in hub.sandbox(project)


def test_a_project_that_does_not_run(hub, account, project):
    assert disconnect(hub, account, project)["event"] == "success"
    assert state(hub, project) == "opened" and not hub.sandbox(project)


def test_a_command_under_way_goes_on_without_its_caller(hub, account, project):
    hub.exec(account, project, "mkfifo gate")
    home = hub.data / "projects" / project
    with Pending(hub, account) as pending:
        pending.send("project_exec", project_id=project, command="cat gate > got", bash=True, timeout=100)
        gate = os.open(home / "gate", os.O_WRONLY)
        assert disconnect(hub, account, project)["event"] == "success"
        (reply,) = pending.replies().values()
    assert reply["event"] == "error"
    assert reply["error"] == "the connection to the project was dropped while the command was running"
    os.write(gate, b"it goes on")
    os.close(gate)
    wait_until(lambda: (home / "got").read_text() == "it goes on", 60, "the command has ended")


def test_its_end_is_noticed_all_the_same(hub, account, project):
    hub.exec(account, project, "true")
    disconnect(hub, account, project)
    os.kill(min(hub.sandbox(project)), signal.SIGKILL)
    wait_until(lambda: state(hub, project) == "opened", 60, "the project is known to have stopped")
    assert hub.exec(account, project, "echo again")["stdout"] == "again\n"


def test_it_can_be_stopped(hub, account, project):
    hub.exec(account, project, "true")
    disconnect(hub, account, project)
    assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
    wait_until(lambda: not hub.sandbox(project), 60, "it is gone")


@pytest.mark.parametrize("project_id, reason", [
    ("nothing", "project_id must be specified and valid"), (MISSING, "must have write access"),
])
def test_no_project(hub, account, project_id, reason):
    reply = disconnect(hub, account, project_id)
    assert (reply["event"], reply["error"]) == ("error", f"unable to disconnect from project {project_id} -- {reason}")


def test_who_may(hub, account, project):
    viewer, collaborator = hub.account(), hub.account()
    add_user(hub, project, viewer, "viewer")
    add_user(hub, project, collaborator, "collaborator")
    assert disconnect(hub, collaborator, project)["event"] == "success"
    assert disconnect(hub, hub.account(admin=True), project)["event"] == "success"
    for user in (viewer, hub.account()):
        assert disconnect(hub, user, project)["error"] \
            == f"unable to disconnect from project {project} -- must have write access"
