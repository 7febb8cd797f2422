# SPDX-License-Identifier: AGPL-3.0-or-later
"""Upgrades: what an account has to give, what is left, giving it to projects, taking back what was too much."""
import json

import pytest

from harness.process import wait_until
from harness.server import CommandFailed
from harness.store import add_user, execute, execute_many

TWO_PROFESSIONAL = {"cores": 10, "cpu_shares": 2048, "disk_quota": 200000, "member_host": 80, "memory": 120000,
                    "memory_request": 8000, "mintime": 3456000, "network": 400}


def words(amounts):
    return [f"{name}={amount}" for name, amount in amounts.items()]


def give_total(hub, account, **amounts):
    return hub.cli("upgrades", "set", account.email, *words(amounts))


def give(hub, account, project, **amounts):
    return hub.cli("upgrades", "apply", account.email, project, *words(amounts))["upgrades"]


def stored(hub, account, project):
    text = execute(hub, "SELECT upgrades FROM project_users WHERE project_id = ? AND account_id = ?", project,
                   account.id)[0][0]
    return text and json.loads(text)


def available(hub, account):
    reply = hub.call("get_available_upgrades", key=account)
    assert reply.pop("event") == "available_upgrades" and reply.pop("id")
    return reply


def quota(hub, project):
    return hub.cli("project", "show", project)["run_quota"]


# ---- get_available_upgrades ----

def test_an_account_without_upgrades(hub, account):
    assert hub.call("get_available_upgrades", key=account, id=5) == {
        "event": "available_upgrades", "id": 5, "total": {}, "excess": {}, "available": {}}


def test_the_sample_of_the_documentation(hub, account):
    given = [{"cores": 2, "cpu_shares": 1024, "disk_quota": 50000, "member_host": 1, "memory": 16000, "mintime": 86400,
              "network": 1},
             {"cores": 2, "cpu_shares": 512, "disk_quota": 19000, "member_host": 28, "memory": 10000,
              "mintime": 1636200, "network": 27}]
    give_total(hub, account, **TWO_PROFESSIONAL)
    for amounts in given:
        give(hub, account, hub.project(account), **amounts)
    assert available(hub, account) == {
        "total": TWO_PROFESSIONAL, "excess": {},
        "available": {"cores": 6, "cpu_shares": 512, "disk_quota": 131000, "member_host": 51, "memory": 94000,
                      "memory_request": 8000, "mintime": 1733400, "network": 372}}


def test_excess_goes_by_the_order_of_the_projects(hub, account):
    first, second, third = sorted(hub.project(account) for _ in range(3))
    for project, upgrades in ((first, {"memory": 3000, "cores": 0.5}), (second, {"memory": 3000}),
                              (third, {"memory": 500, "network": 1})):
        execute(hub, "UPDATE project_users SET upgrades = ? WHERE project_id = ?", json.dumps(upgrades), project)
    give_total(hub, account, memory=5000, cores=1)
    assert available(hub, account) == {
        "total": {"memory": 5000, "cores": 1}, "available": {"memory": 0, "cores": 0.5, "network": 0},
        "excess": {second: {"memory": 1000}, third: {"memory": 500, "network": 1}}}


def test_upgrades_of_deleted_projects_count(hub, account, project):
    give_total(hub, account, memory=5000)
    give(hub, account, project, memory=2000)
    hub.cli("project", "delete", project)
    assert available(hub, account)["available"] == {"memory": 3000}


def test_those_of_others_do_not(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    give_total(hub, account, memory=5000)
    give_total(hub, other, memory=5000)
    give(hub, other, project, memory=4000)
    assert available(hub, account)["available"] == {"memory": 5000}


# ---- upgrades set ----

def test_set_prints_the_totals(hub, account):
    shown = give_total(hub, account, memory=5000, network=2)
    assert shown == {"account_id": account.id, "total": {"memory": 5000, "network": 2}, "excess": {},
                     "available": {"memory": 5000, "network": 2}}


def test_set_changes_what_it_names(hub, account):
    give_total(hub, account, memory=5000, network=2, cores=1.5)
    assert give_total(hub, account, memory=0, network=3)["total"] == {"network": 3, "cores": 1.5}


@pytest.mark.parametrize("word, text", [
    ("memory", "memory is not NAME=VALUE, NAME being one of disk_quota, memory,"),
    ("ram=1", "ram=1 is not NAME=VALUE"),
    ("=1", "=1 is not NAME=VALUE"),
    ("x" * 80 + "=1", "x=1 is not NAME=VALUE"),
    ("memory=", "memory is a number from 0 to 1000000000, not "),
    ("memory=-1", "memory is a number from 0 to 1000000000, not -1"),
    ("memory=1e10", "memory is a number from 0 to 1000000000, not 1e10"),
    ("memory=1 GB", "memory is a number from 0 to 1000000000, not 1 GB"),
])
def test_bad_amounts(hub, account, project, word, text):
    for args in (("upgrades", "set", account.email), ("upgrades", "apply", account.email, project),
                 ("project", "settings", project)):
        done = hub.cli_run(*args, "network=1", word)
        assert (done.returncode, done.stdout) == (2, "") and text in done.stderr
    assert available(hub, account)["total"] == {}


def test_set_for_nobody(hub):
    with pytest.raises(CommandFailed):
        hub.cli("upgrades", "set", "nobody@example.org", "memory=1")


# ---- upgrades apply ----

def test_apply(hub, account, project):
    give_total(hub, account, memory=5000, network=1, cores=2)
    reply = hub.cli("upgrades", "apply", account.email, project, "memory=1500.9", "cores=0.5")
    assert reply == {"account_id": account.id, "project_id": project, "upgrades": {"memory": 1500, "cores": 0.5}}
    assert give(hub, account, project, network=1) == {"memory": 1500, "cores": 0.5, "network": 1}
    assert give(hub, account, project, memory=100) == {"memory": 100, "cores": 0.5, "network": 1}
    hub.exec(account, project, "true")
    assert (quota(hub, project)["memory_limit"], quota(hub, project)["cpu_limit"], quota(hub, project)["network"]) \
        == (1100, 1.5, True)


def test_without_a_total_everything_becomes_0(hub, account, project):
    assert give(hub, account, project, memory=5000, network=1) == {"memory": 0, "network": 0}
    assert stored(hub, account, project) == {"memory": 0, "network": 0}


def test_what_is_too_much_is_taken_back(hub, account):
    first, second = sorted(hub.project(account) for _ in range(2))
    give_total(hub, account, memory=5000)
    assert give(hub, account, first, memory=4000) == {"memory": 4000}
    assert give(hub, account, second, memory=4000) == {"memory": 1000}
    # The order is that of the projects, not of giving.
    assert give(hub, account, first, memory=4500) == {"memory": 4500}
    assert stored(hub, account, second) == {"memory": 500}
    assert available(hub, account) == {"total": {"memory": 5000}, "excess": {}, "available": {"memory": 0}}


def test_amounts_below_0_give_nothing_elsewhere(hub, account):
    first, second = sorted(hub.project(account) for _ in range(2))
    give_total(hub, account, memory=1000)
    execute(hub, "UPDATE project_users SET upgrades = ? WHERE project_id = ?", '{"memory":-100000}', first)
    assert give(hub, account, second, memory=5000) == {"memory": 1000}


def test_only_users_of_a_project_give_to_it(hub, account, project):
    other = hub.account()
    give_total(hub, other, memory=5000)
    done = hub.cli_run("upgrades", "apply", other.email, project, "memory=1")
    assert done.returncode == 1 and f"account {other.id} is not a user of project {project}" in done.stderr


def test_two_users_add_up(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    for user in (account, other):
        give_total(hub, user, memory=5000)
        give(hub, user, project, memory=1500)
    hub.exec(account, project, "true")
    assert quota(hub, project)["memory_limit"] == 4000


def test_a_running_project_gets_it_at_once(hub, account, project):
    give_total(hub, account, memory=5000, cores=1, network=1)
    hub.exec(account, project, "true")
    pids = hub.sandbox(project)
    assert quota(hub, project)["memory_limit"] == 1000
    give(hub, account, project, memory=2500, cores=1, network=1)
    now = quota(hub, project)
    assert (now["memory_limit"], now["cpu_limit"]) == (3500, 2)
    assert now["network"] is False  # which a sandbox has or has not from its start on
    assert min(pids) in hub.sandbox(project)
    hub.cli("project", "stop", project)
    assert hub.exec(account, project, "true")["event"] == "project_exec_output"
    assert quota(hub, project)["network"] is True


def test_the_project_that_loses_upgrades_gets_new_limits_too(hub, account):
    first, second = sorted(hub.project(account) for _ in range(2))
    give_total(hub, account, memory=5000)
    give(hub, account, second, memory=4000)
    hub.exec(account, second, "true")
    assert quota(hub, second)["memory_limit"] == 5000
    give(hub, account, first, memory=3000)
    assert quota(hub, second)["memory_limit"] == 3000
    wait_until(lambda: hub.sandbox(second), 60, "it still runs")


@pytest.mark.long
def test_an_account_gives_to_10000_projects_at_most(hub, account, project):
    give_total(hub, account, memory=5000)
    ids = [f"ffffffff-0000-4000-8000-{number:012}" for number in range(1, 10001)]
    execute_many(hub, "INSERT INTO projects (project_id, created) VALUES (?, 0)", [(project_id,) for project_id in ids])
    execute_many(hub, "INSERT INTO project_users (project_id, account_id, \"group\", upgrades)"
                 " VALUES (?, ?, 'owner', '{\"memory\":0}')", [(project_id, account.id) for project_id in ids])
    done = hub.cli_run("upgrades", "apply", account.email, project, "memory=1")
    assert done.returncode == 1 and "an account can give upgrades to 10000 projects at most" in done.stderr
    assert stored(hub, account, project) is None
    execute(hub, "DELETE FROM project_users WHERE project_id = 'ffffffff-0000-4000-8000-000000000001'")
    assert give(hub, account, project, memory=1) == {"memory": 1}
