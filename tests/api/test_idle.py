# SPDX-License-Identifier: AGPL-3.0-or-later
"""Projects that nobody uses are stopped; those that somebody uses are not."""
import os

import pytest

from harness.pending import Pending
from harness.process import wait_until
from harness.store import execute

SOON = {"COHUB_PROJECTS_IDLE_CHECK": "1", "COHUB_PROJECTS_IDLE_GRACE": "1", "COHUB_PROJECTS_MINTIME": "1"}


def state(hub, project):
    return hub.cli("project", "show", project)["state"]["state"]


def started(hub, account, **parameters):
    project = hub.project(account, **parameters)
    assert hub.exec(account, project, "true")["event"] == "project_exec_output"
    # It is written after the answer; before, the project is taken for one that has been stopped.
    wait_until(lambda: execute(hub, "SELECT last_started FROM projects WHERE project_id = ?", project)[0][0], 60, "its start is noted")
    return project


@pytest.fixture
def soon(hub_factory):
    """A hub that looks every second and stops what has not been used for one."""
    return hub_factory(env=SOON)


def stops(hub, project):
    wait_until(lambda: state(hub, project) == "opened", 60, "the idle project is stopped")
    assert not hub.sandbox(project)


def witness(hub, account):
    """Lets the hub look at all projects: one that is idle was made now, and has been stopped."""
    stops(hub, started(hub, account))


def test_an_idle_project_is_stopped(soon):
    account = soon.account()
    project = started(soon, account)
    stops(soon, project)
    assert f"idle_stopped project={project}" in soon.log_tail(1000)
    assert soon.exec(account, project, "echo again")["stdout"] == "again\n"


def test_one_that_always_runs_is_not(soon):
    account = soon.account()
    project = soon.project(account)
    soon.cli("project", "settings", project, "always_running=1")
    soon.exec(account, project, "true")
    witness(soon, account)
    assert state(soon, project) == "running" and soon.sandbox(project)


def test_nor_one_whose_limit_is_longer(soon):
    account = soon.account()
    license_id = soon.cli("license", "create", "--title", "T", "--idle-timeout", "3600")["id"]
    project = started(soon, account, license=license_id)
    witness(soon, account)
    assert state(soon, project) == "running"
    execute(soon, "UPDATE projects SET last_edited = last_edited - 3700000 WHERE project_id = ?", project)
    stops(soon, project)


def test_nor_one_with_a_command_under_way(soon):
    account = soon.account()
    project = soon.project(account)
    soon.exec(account, project, "mkfifo gate")
    fifo = soon.data / "projects" / project / "gate"
    with Pending(soon, account) as pending:
        pending.send("project_exec", project_id=project, command="cat gate", bash=True, timeout=100)
        gate = os.open(fifo, os.O_WRONLY)  # the command is there
        execute(soon, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
        witness(soon, account)
        assert state(soon, project) == "running"
        os.write(gate, b"done")
        os.close(gate)
        (reply,) = pending.replies().values()
    assert reply["stdout"] == "done"
    stops(soon, project)


def test_not_before_it_has_run_for_a_while(hub_factory):
    hub = hub_factory(env={**SOON, "COHUB_PROJECTS_IDLE_GRACE": "3600"})
    account = hub.account()
    project, old = started(hub, account), started(hub, account)
    for idle in (project, old):
        execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", idle)
    execute(hub, "UPDATE projects SET last_started = last_started - 3700000 WHERE project_id = ?", old)
    stops(hub, old)
    assert state(hub, project) == "running"


def test_a_project_that_another_process_started(soon):
    account = soon.account()
    project = soon.project(account)
    execute(soon, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    soon.cli("project", "start", project)
    stops(soon, project)


def test_a_project_that_died_unseen(hub_factory):
    """Started by a command, killed before the hub had ever connected to it."""
    hub = hub_factory(env={"COHUB_PROJECTS_IDLE_CHECK": "2"})
    account = hub.account()
    project = hub.project(account)
    execute(hub, "UPDATE projects SET state = 'running' WHERE project_id = ?", project)
    wait_until(lambda: state(hub, project) == "opened", 60, "it is found not to run")
