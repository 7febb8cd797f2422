# SPDX-License-Identifier: AGPL-3.0-or-later
"""Quotas of projects: the site's defaults, the administrator's settings, what a running project reports."""
import os
import pathlib

import pytest

from harness.parts import agent
from harness.process import wait_until
from harness.store import execute

DEFAULT = {"disk_quota": 3000, "memory_limit": 1000, "memory_request": 200, "cpu_limit": 1, "cpu_request": 0.02,
           "idle_timeout": 1800, "network": False, "member_host": False, "always_running": False,
           "ephemeral_state": False, "ephemeral_disk": False}


def shown(hub, project):
    return hub.cli("project", "show", project)


def started(hub, account, project):
    assert hub.exec(account, project, "true")["event"] == "project_exec_output"
    return shown(hub, project)["run_quota"]


def test_default(hub, account, project):
    assert "run_quota" not in shown(hub, project)
    assert started(hub, account, project) == DEFAULT


def test_defaults_are_settings(hub_factory):
    hub = hub_factory(env={f"COHUB_PROJECTS_{name}": value for name, value in [
        ("DISK_QUOTA", "100"), ("MEMORY", "512"), ("CORES", "0.5"), ("CPU_SHARES", "256"), ("MINTIME", "77"),
        ("MEMORY_REQUEST", "300"), ("NETWORK", "1"), ("MEMORY_MAX", "600"), ("ALWAYS_RUNNING_MAX", "0")]})
    account = hub.account()
    project = hub.project(account)
    expected = {**DEFAULT, "disk_quota": 100, "memory_limit": 512, "memory_request": 300, "cpu_limit": 0.5,
                "cpu_request": 0.25, "idle_timeout": 77, "network": True}
    assert started(hub, account, project) == expected
    hub.cli("upgrades", "set", account.email, "memory=5000", "always_running=1")
    hub.cli("upgrades", "apply", account.email, project, "memory=5000", "always_running=1")
    assert shown(hub, project)["run_quota"] == {**expected, "memory_limit": 600}


def test_no_network_at_all(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_NETWORK_MAX": "0", "COHUB_PROJECTS_NETWORK": "1"})
    account = hub.account()
    license_id = hub.cli("license", "create", "--title", "T", "--network", "--cpu", "2")["id"]
    project = hub.project(account, license=license_id)
    hub.cli("project", "settings", project, "network=1")
    quota = started(hub, account, project)
    assert (quota["network"], quota["cpu_limit"]) == (False, 2)


def test_settings_of_a_project(hub, account, project):
    made = hub.cli("project", "settings", project, "memory=20000", "mintime=60", "network=1")
    assert made["settings"] == {"memory": 20000, "mintime": 60, "network": 1} and made == shown(hub, project)
    expected = {**DEFAULT, "memory_limit": 20000, "idle_timeout": 60, "network": True}
    assert started(hub, account, project) == expected
    # A running project has them at once, and its old ones again.
    made = hub.cli("project", "settings", project, "memory=1500", "always_running=1")
    assert made["settings"] == {"memory": 1500, "mintime": 60, "network": 1, "always_running": 1}
    assert shown(hub, project)["run_quota"] == {**expected, "memory_limit": 1500, "always_running": True}
    hub.cli("project", "settings", project, "memory=0", "mintime=0", "always_running=0")
    assert shown(hub, project)["settings"] == {"network": 1}
    assert shown(hub, project)["run_quota"] == {**DEFAULT, "network": True}


def test_a_start_with_the_same_quota_writes_it_once(hub, account, project):
    started(hub, account, project)
    hub.cli("project", "stop", project)
    execute(hub, "UPDATE projects SET settings = '{\"memory\":3000}' WHERE project_id = ?", project)
    assert started(hub, account, project) == {**DEFAULT, "memory_limit": 3000}


def test_what_is_stored_may_be_nonsense(hub, account, project):
    execute(hub, "UPDATE projects SET settings = '[', site_license = '7', run_quota = '{}' WHERE project_id = ?", project)
    execute(hub, "UPDATE project_users SET upgrades = 'x' WHERE project_id = ?", project)
    assert started(hub, account, project) == DEFAULT


@pytest.mark.parametrize("command", [["settings", "nothing"], ["settings", "12345678-1234-4234-8234-123456789012"]])
def test_settings_of_no_project(hub, command):
    assert hub.cli_run("project", *command, "memory=1").returncode == 1


# ---- What the sandbox is held to ----

NAMES = {"memory.limit_in_bytes", "memory.max", "cpu.cfs_quota_us", "cpu.max"}


def limits(hub, project):
    """{name: number} of the files of the control groups that a project's sandbox is in."""
    found = {}
    for line in pathlib.Path(f"/proc/{agent(hub, project)}/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        if path == "/" or controllers not in ("memory", "cpu", ""):
            continue
        own = "/".join(path.split("/")[-2:])
        for folder, _, names in os.walk(f"/sys/fs/cgroup/{controllers}"):  # others come and go meanwhile
            if folder.endswith(own):
                found.update({name: int((pathlib.Path(folder) / name).read_text().split()[0])
                              for name in NAMES.intersection(names)})
    return found


def held_to(hub, project, memory_mb, cpu_millis):
    status = wait_until(lambda: shown(hub, project).get("status"), 60, "it is measured")
    expected = {"memory": {memory_mb << 20}, "cpu": {cpu_millis * 100}}
    # What the host cannot do is said.
    expected = {name: set() if name in status["not_enforced"] else expected[name] for name in expected}

    def real():
        found = limits(hub, project)
        return {"memory": {found[name] for name in ("memory.limit_in_bytes", "memory.max") if name in found},
                "cpu": {found[name] for name in ("cpu.cfs_quota_us", "cpu.max") if name in found}}
    wait_until(lambda: real() == expected, 60, f"{real()} becomes {expected}")


def test_the_quota_reaches_the_sandbox(hub, account):
    license_id = hub.cli("license", "create", "--title", "T", "--memory", "1234", "--cpu", "1.25")["id"]
    project = hub.project(account, license=license_id)
    started(hub, account, project)
    held_to(hub, project, 1234, 1250)
    hub.cli("project", "settings", project, "memory=2345", "cores=0.5")
    held_to(hub, project, 2345, 1250)
    hub.cli("upgrades", "set", account.id, "cores=2")
    hub.cli("upgrades", "apply", account.id, project, "cores=1")
    held_to(hub, project, 2345, 1500)


def test_what_changed_before_the_hub_saw_it_run(hub, account, project):
    hub.cli("project", "start", project)
    execute(hub, "UPDATE projects SET settings = '{\"memory\":2222,\"cores\":0.75}' WHERE project_id = ?", project)
    started(hub, account, project)
    wait_until(lambda: shown(hub, project)["run_quota"]["memory_limit"] == 2222, 60, "it is computed again")
    wait_until(lambda: shown(hub, project)["status"]["not_enforced"]
               or 2222 << 20 in limits(hub, project).values(), 60, "the sandbox is told")
    held_to(hub, project, 2222, 750)


# ---- status ----

def test_status_of_a_running_project(hub, account, project):
    assert "status" not in shown(hub, project)
    started(hub, account, project)
    status = wait_until(lambda: shown(hub, project).get("status"), 60, "it is measured soon after the start")
    assert set(status) - {"disk_MB"} == {"project.pid", "project", "start_ts", "session_id", "version", "memory", "cpu",
                                         "processes", "oom_kills", "not_enforced"}
    assert status["start_ts"] == execute(hub, "SELECT last_started FROM projects WHERE project_id = ?", project)[0][0]
    assert status["memory"]["limit"] == 1000 * 1024 and status["memory"]["rss"] >= 0
    assert status["oom_kills"] == 0 and status["cpu"]["usage"] >= 0 and status["processes"]["count"] >= 0
    assert set(status["not_enforced"]) <= {"memory", "cpu", "processes", "network"}
    hub.cli("project", "stop", project)
    wait_until(lambda: "status" not in shown(hub, project), 60, "it is gone when the project is stopped")


def test_programs_are_told_what_is_ephemeral(hub, account, project):
    variables = "echo ${COCALC_EPHEMERAL_STATE-unset} ${COCALC_EPHEMERAL_DISK-unset}"
    hub.cli("project", "settings", project, "ephemeral_disk=1")
    assert hub.exec(account, project, variables)["stdout"] == "unset yes\n"
    hub.cli("project", "stop", project)
    hub.cli("project", "settings", project, "ephemeral_state=1", "ephemeral_disk=0")
    assert hub.exec(account, project, variables)["stdout"] == "yes unset\n"
