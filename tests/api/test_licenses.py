# SPDX-License-Identifier: AGPL-3.0-or-later
"""Licences: attaching them, what is granted at a project's start, how many projects may run with one, the commands."""
import concurrent.futures
import contextlib
import json
import os
import signal

import pytest

from harness.pending import Pending
from harness.process import wait_until
from harness.server import CommandFailed
from harness.store import add_user, execute

MISSING = "12345678-1234-4234-8234-123456789012"
OTHER = "22222222-2222-4222-8222-222222222222"
CALLS = ["add_license_to_project", "remove_license_from_project"]


def attached(hub, project):
    return json.loads(execute(hub, "SELECT site_license FROM projects WHERE project_id = ?", project)[0][0])


def quota(hub, project):
    return hub.cli("project", "show", project)["run_quota"]


def running(hub, license_id):
    return hub.cli("license", "show", license_id)["running"]


def make(hub, *options):
    return hub.cli("license", "create", "--title", "L", *options)["id"]


def add(hub, account, project, license_id):
    reply = hub.call("add_license_to_project", key=account, project_id=project, license_id=license_id)
    assert reply["event"] == "success", reply


def start(hub, account, project):
    """Starts a project by using it."""
    assert hub.exec(account, project, "true")["event"] == "project_exec_output"
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "running", 60, "its state is stored")


def stop(hub, project):
    hub.cli("project", "stop", project)
    wait_until(lambda: hub.cli("project", "show", project)["state"]["state"] == "opened", 60, "its state is stored")


def kill(hub, project):
    """SIGKILL for a project's sandbox, from outside."""
    for pid in hub.sandbox(project):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


# ---- Attaching and taking off ----

def test_add_and_remove(hub, account, project):
    license_id = make(hub, "--cpu", "1")
    reply = hub.call("add_license_to_project", key=account, project_id=project, license_id=license_id, id=3)
    assert reply == {"event": "success", "id": 3}
    assert attached(hub, project) == {license_id: {}}
    add(hub, account, project, OTHER.upper())
    assert attached(hub, project) == {license_id: {}, OTHER: {}}
    reply = hub.call("remove_license_from_project", key=account, project_id=project, license_id=license_id, id="x")
    assert reply == {"event": "success", "id": "x"}
    assert attached(hub, project) == {OTHER: {}}


def test_adding_again_keeps_what_is_there(hub, account, project):
    entry = '{"%s":{"memory":7},"%s":{}}' % (MISSING, OTHER)
    execute(hub, "UPDATE projects SET site_license = ? WHERE project_id = ?", entry, project)
    add(hub, account, project, MISSING)
    add(hub, account, project, MISSING.upper())
    assert attached(hub, project) == json.loads(entry)


def test_removing_one_that_is_not_attached(hub, account, project):
    add(hub, account, project, OTHER)
    for _ in range(2):
        reply = hub.call("remove_license_from_project", key=account, project_id=project, license_id=MISSING)
        assert reply["event"] == "success"
    assert attached(hub, project) == {OTHER: {}}


def test_a_project_without_any_map(hub, account, project):
    execute(hub, "UPDATE projects SET site_license = NULL WHERE project_id = ?", project)
    assert hub.call("remove_license_from_project", key=account, project_id=project, license_id=OTHER)["event"] \
        == "success"
    add(hub, account, project, OTHER)
    assert attached(hub, project) == {OTHER: {}}


@pytest.mark.parametrize("event", CALLS)
@pytest.mark.parametrize("group, allowed", [("owner", True), ("collaborator", True), ("viewer", False), (None, False)])
def test_who_may(hub, project, event, group, allowed):
    user = hub.account()
    if group:
        add_user(hub, project, user, group)
    reply = hub.call(event, key=user, project_id=project, license_id=OTHER)
    if allowed:
        assert reply["event"] == "success"
    else:
        assert reply["error"] == f"must have write access to {project} -- must have write access"
        assert attached(hub, project) == {}


@pytest.mark.parametrize("event", CALLS)
def test_an_administrator_may(hub, project, event):
    assert hub.call(event, key=hub.account(admin=True), project_id=project, license_id=OTHER)["event"] == "success"


@pytest.mark.parametrize("event", CALLS)
@pytest.mark.parametrize("project_id, reason", [
    ("nothing", "project_id must be specified and valid"),
    ("", "project_id must be specified and valid"),
    (MISSING, "must have write access"),
])
def test_no_project(hub, account, event, project_id, reason):
    for user in (account, hub.account(admin=True)):
        reply = hub.call(event, key=user, project_id=project_id, license_id=OTHER)
        assert (reply["event"], reply["error"]) == ("error", f"must have write access to {project_id} -- {reason}")


@pytest.mark.parametrize("event", CALLS)
def test_a_license_id_that_is_none(hub, account, project, event):
    reply = hub.call(event, key=account, project_id=project, license_id="x'\"")
    assert (reply["event"], reply["error"]) == ("error", "license id \"x'\"\" is not a UUID")


def test_a_project_has_at_most_100(hub, account):
    many = [f"00000000-0000-4000-8000-{number:012}" for number in range(101)]
    project = hub.project(account, license=",".join(many[:100]))
    assert len(attached(hub, project)) == 100
    reply = hub.call("add_license_to_project", key=account, project_id=project, license_id=many[100])
    assert reply["error"] == "a project can have 100 licenses at most"
    add(hub, account, project, many[7])
    reply = hub.call("create_project", key=account, title="T", license=",".join(many))
    assert reply["error"] == "Failed to create new project 'T' -- \"a project can have 100 licenses at most\""


# ---- What a start grants ----

def test_granted_at_the_next_start(hub, account, project):
    license_id = make(hub, "--cpu", "2", "--memory", "3500", "--disk", "7000", "--idle-timeout", "7200")
    start(hub, account, project)
    add(hub, account, project, license_id)
    add(hub, account, project, OTHER)
    assert quota(hub, project)["memory_limit"] == 1000 and running(hub, license_id) == 0
    stop(hub, project)
    start(hub, account, project)
    granted = {"cpu": 2, "ram": 3.5, "disk": 7, "idle_timeout": 7200}
    assert attached(hub, project) == {license_id: {"quota": granted}, OTHER: {}}
    now = quota(hub, project)
    assert (now["memory_limit"], now["cpu_limit"], now["disk_quota"], now["idle_timeout"], now["network"]) \
        == (3500, 2, 7000, 7200, True)
    assert running(hub, license_id) == 1
    # What runs keeps what it has.
    hub.call("remove_license_from_project", key=account, project_id=project, license_id=license_id)
    assert attached(hub, project) == {OTHER: {}}
    assert quota(hub, project) == now and running(hub, license_id) == 1
    stop(hub, project)
    assert running(hub, license_id) == 0
    start(hub, account, project)
    assert quota(hub, project)["memory_limit"] == 1000


def test_from_create_project_on(hub, account):
    license_id = make(hub, "--memory", "2000")
    project = hub.project(account, license=license_id)
    start(hub, account, project)
    assert quota(hub, project)["memory_limit"] == 2000


def test_the_old_style_is_added(hub, account):
    license_id = make(hub, "--network")
    execute(hub, "UPDATE site_licenses SET upgrades = ? WHERE id = ?", '{"memory":500,"cores":1}', license_id)
    project = hub.project(account, license=license_id)
    start(hub, account, project)
    assert attached(hub, project) == {license_id: {"memory": 500, "cores": 1}}
    assert (quota(hub, project)["memory_limit"], quota(hub, project)["cpu_limit"]) == (1500, 2)


@pytest.mark.parametrize("options", [["--activates", "30d"], ["--activates", "2000-01-01", "--expires", "2001-01-01"]])
def test_not_at_this_time(hub, account, options):
    license_id = make(hub, "--memory", "2000", *options)
    project = hub.project(account, license=license_id)
    execute(hub, "UPDATE projects SET site_license = ? WHERE project_id = ?",
            json.dumps({license_id: {"quota": {"ram": 9}}}), project)
    start(hub, account, project)
    assert attached(hub, project) == {license_id: {}}
    assert quota(hub, project)["memory_limit"] == 1000
    assert running(hub, license_id) == 0 and "last_used" not in hub.cli("license", "show", license_id)


def test_last_used_once_a_minute(hub, account):
    license_id = make(hub, "--memory", "2000")
    project = hub.project(account, license=license_id)

    def used():
        return execute(hub, "SELECT last_used FROM site_licenses WHERE id = ?", license_id)[0][0]

    start(hub, account, project)
    first = used()
    stop(hub, project)
    start(hub, account, project)
    assert first and used() == first
    stop(hub, project)
    execute(hub, "UPDATE site_licenses SET last_used = last_used - 60000 WHERE id = ?", license_id)
    start(hub, account, project)
    assert used() > first


# ---- How many projects ----

def test_run_limit(hub, account):
    license_id = make(hub, "--memory", "2000", "--run-limit", "1")
    one, two = (hub.project(account, license=license_id) for _ in range(2))
    start(hub, account, one)
    start(hub, account, two)
    assert (attached(hub, one)[license_id], attached(hub, two)[license_id]) == ({"quota": {"ram": 2}}, {})
    assert running(hub, license_id) == 1
    stop(hub, two)
    stop(hub, one)
    assert running(hub, license_id) == 0
    start(hub, account, two)
    assert quota(hub, two)["memory_limit"] == 2000 and running(hub, license_id) == 1


def test_a_restart_does_not_count_the_project_itself(hub, account):
    license_id = make(hub, "--memory", "2000", "--run-limit", "1")
    project = hub.project(account, license=license_id)
    for _ in range(3):
        start(hub, account, project)
        assert quota(hub, project)["memory_limit"] == 2000
        stop(hub, project)
    rows = execute(hub, "SELECT start, stop FROM site_license_usage_log WHERE license_id = ? ORDER BY start", license_id)
    (a, b), (c, d), (e, f) = rows
    assert a <= b <= c <= d <= e <= f


def test_a_start_ends_what_was_left_of_the_one_before(hub, account):
    license_id = make(hub, "--memory", "2000", "--run-limit", "1")
    project = hub.project(account, license=license_id)
    execute(hub, "INSERT INTO site_license_usage_log (license_id, project_id, start) VALUES (?, ?, 1)", license_id, project)
    start(hub, account, project)
    (_, ended), (begun, running_still) = execute(
        hub, "SELECT start, stop FROM site_license_usage_log WHERE license_id = ? ORDER BY start", license_id)
    assert ended == begun and running_still is None and quota(hub, project)["memory_limit"] == 2000


@pytest.mark.long
def test_many_starts_at_once(hub, account):
    license_id = make(hub, "--memory", "2000", "--run-limit", "3")
    projects = [hub.project(account, license=license_id) for _ in range(12)]
    with Pending(hub, account) as pending:
        for project in projects:
            pending.send("project_exec", project_id=project, command="true", timeout=300)
        assert all(reply["event"] == "project_exec_output" for reply in pending.replies(300).values())
    granted = [project for project in projects if attached(hub, project)[license_id]]
    assert len(granted) == 3 and running(hub, license_id) == 3
    assert sorted(quota(hub, project)["memory_limit"] for project in projects) == [1000] * 9 + [2000] * 3
    for project in projects:
        hub.cli("project", "stop", project)
    wait_until(lambda: running(hub, license_id) == 0, 60, "all are free again")


def test_starts_by_several_processes_at_once(hub, account):
    license_id = make(hub, "--memory", "2000", "--run-limit", "2")
    projects = [hub.project(account, license=license_id) for _ in range(5)]
    with concurrent.futures.ThreadPoolExecutor() as pool:
        list(pool.map(lambda project: hub.cli("project", "start", project), projects))
    assert len([project for project in projects if attached(hub, project)[license_id]]) == 2
    assert running(hub, license_id) == 2


def test_a_start_that_fails_gives_it_back(hub_factory):
    hub = hub_factory()
    account = hub.account()
    (hub.data / "images" / "empty").mkdir(parents=True)
    license_id = make(hub, "--memory", "2000", "--run-limit", "1")
    project = hub.project(account, license=license_id, image="empty")
    assert hub.exec(account, project, "true")["event"] == "error"
    wait_until(lambda: running(hub, license_id) == 0, 60, "it is free")
    other = hub.project(account, license=license_id)
    start(hub, account, other)
    assert quota(hub, other)["memory_limit"] == 2000


def test_a_project_that_dies_gives_it_back(hub, account):
    license_id = make(hub, "--memory", "2000", "--run-limit", "1")
    project = hub.project(account, license=license_id)
    start(hub, account, project)
    kill(hub, project)
    wait_until(lambda: running(hub, license_id) == 0, 60, "it is free")


def test_a_hub_that_is_killed(hub_factory):
    hub = hub_factory()
    account = hub.account()
    license_id = make(hub, "--memory", "2000", "--run-limit", "2")
    stays, dies = (hub.project(account, license=license_id) for _ in range(2))
    start(hub, account, stays)
    start(hub, account, dies)
    hub.kill()
    assert running(hub, license_id) == 2
    kill(hub, dies)
    hub.start()
    wait_until(lambda: running(hub, license_id) == 1, 60, "the one that died has given it back")
    assert quota(hub, stays)["memory_limit"] == 2000
    start(hub, account, hub.project(account, license=license_id))
    assert running(hub, license_id) == 2


def test_places_that_were_lost_are_found(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_IDLE_CHECK": "1"})
    account = hub.account()
    license_id = make(hub, "--memory", "2000", "--run-limit", "1")
    project = hub.project(account, license=license_id)
    for lost in (project, MISSING):  # stopped; not there any more
        execute(hub, "INSERT INTO site_license_usage_log (license_id, project_id, start) VALUES (?, ?, 1)",
                license_id, lost)
    wait_until(lambda: running(hub, license_id) == 0, 60, "both are free")


# ---- The commands ----

def test_show_and_list(hub, account):
    made = hub.cli("license", "create", "--title", "A \"title\"", "--description", "d", "--cpu", "1.5", "--memory", "2500",
                   "--disk", "100", "--dedicated-cpu", "0.5", "--dedicated-memory", "500", "--idle-timeout", "60",
                   "--network", "--member", "--always-running", "--run-limit", "5", "--activates", "2026-01-01",
                   "--expires", "2099-01-01T12:00:00Z", "--manager", account.email, "--manager", hub.account().id)
    assert made == hub.cli("license", "show", made["id"]) == hub.cli("license", "show", made["id"].upper())
    assert made in hub.cli("license", "list")
    assert len(made.pop("managers")) == 2 and made.pop("created")
    assert made == {"id": made["id"], "title": "A \"title\"", "description": "d", "run_limit": 5, "running": 0,
                    "activates": "2026-01-01T00:00:00.000Z", "expires": "2099-01-01T12:00:00.000Z",
                    "upgrades": {"network": 1},
                    "quota": {"cpu": 1.5, "ram": 2.5, "disk": 0.1, "dedicated_cpu": 0.5, "dedicated_ram": 0.5,
                              "idle_timeout": 60, "member": True, "always_running": True}}


def test_a_license_holds_from_now_on_if_nothing_is_said(hub, account):
    made = hub.cli("license", "create", "--title", "T", "--network")
    assert set(made) == {"id", "title", "activates", "created", "managers", "upgrades", "running"}
    assert made["activates"] <= made["created"]


@pytest.mark.parametrize("options, text", [
    (["--cpu", "1"], "--title is missing"),
    (["--title", "", "--cpu", "1"], "--title is missing"),
    (["--title", "T"], "a license gives something"),
    (["--title", "T", "--cpu", "x"], "--cpu is a number above 0, not x"),
    (["--title", "T", "--memory", "0"], "--memory is a number above 0, not 0"),
    (["--title", "T", "--memory", "-1"], "--memory is a number above 0, not -1"),
    (["--title", "T", "--disk", "inf"], "--disk is a number above 0, not inf"),
    (["--title", "T", "--cpu", "1", "--run-limit", "0"], "--run-limit is a number from 1"),
    (["--title", "T", "--cpu", "1", "--run-limit", "1.5"], "--run-limit is a number from 1"),
    (["--title", "T", "--cpu", "1", "--expires", "soon"], "--expires is a time like"),
    (["--title", "T", "--cpu", "1", "--activates", "soon"], "--activates is a time like"),
    (["--title", "T", "--cpu", "1", "--activates", "2027-01-02", "--expires", "2027-01-01"], "later than --activates"),
])
def test_bad_options(hub, options, text):
    done = hub.cli_run("license", "create", *options)
    assert (done.returncode, done.stdout) == (2, "") and text in done.stderr


def test_no_license(hub):
    for argument, text in ((MISSING, f"no license {MISSING}"), ("x", "x is no license id")):
        done = hub.cli_run("license", "show", argument)
        assert (done.returncode, done.stdout) == (1, "") and text in done.stderr


def test_a_manager_that_is_nobody(hub):
    before = hub.cli("license", "list")
    with pytest.raises(CommandFailed):
        hub.cli("license", "create", "--title", "T", "--cpu", "1", "--manager", "nobody@example.org")
    assert hub.cli("license", "list") == before
