# SPDX-License-Identifier: AGPL-3.0-or-later
"""The RPC's projects.*: creating, starting, stopping, touching, state, status, deleting, quotas."""
import concurrent.futures
import os
import re
import time
import uuid

import pytest

from harness.process import wait_until
from harness.rpc import Hub as Rpc
from harness.store import add_user, execute
from test_copies import Home
from test_several import hubs, two  # noqa: F401: fixtures

MISSING = "12345678-1234-4234-8234-123456789012"
NOT_UUIDS = "Error: invalid account_id or project_id -- all must be valid uuid's"
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
LICENSES = ["11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"]


def rpc(hub, account, method, timeout_ms=60000, **parameters):
    with Rpc(hub.url, account) as client:
        return client.call(f"projects.{method}", [parameters], timeout_ms)


def refusal(hub, account, method, **parameters):
    with pytest.raises(RuntimeError) as raised:
        rpc(hub, account, method, **parameters)
    return str(raised.value)


def shown(hub, project):
    return hub.cli("project", "show", project)


def stored(hub, project, column):
    return execute(hub, f"SELECT {column} FROM projects WHERE project_id = ?", project)[0][0]


def state(hub, account, project):
    return rpc(hub, account, "state", project_id=project)["state"]


# ---- createProject ----

def test_create_without_anything(hub, account):
    project = rpc(hub, account, "createProject")
    assert uuid.UUID(project).version == 4
    assert shown(hub, project) == {**shown(hub, project), "title": "No Title", "description": "", "compute_image": "default",
                                   "users": {account.id: {"group": "owner"}}}
    assert state(hub, account, project) == "opened"
    assert os.path.isdir(hub.data / "projects" / project)


def test_create_with_texts(hub, account):
    project = rpc(hub, account, "createProject", title="", description="what for", image="default", noPool=True)
    assert (shown(hub, project)["title"], shown(hub, project)["description"]) == ("", "what for")


@pytest.mark.parametrize("license, customize, kept", [
    (LICENSES[0], None, LICENSES[:1]),
    (f"{LICENSES[0]},nonsense,,{LICENSES[1]}", None, LICENSES),
    ("nonsense", None, []),
    (f" {LICENSES[0]} , {LICENSES[0]}", None, LICENSES[:1]),
    (LICENSES[0], {"license": LICENSES[1]}, LICENSES),
])
def test_licenses(hub, account, license, customize, kept):
    project = rpc(hub, account, "createProject", license=license, **({"customize": customize} if customize else {}))
    assert stored(hub, project, "site_license") == "{%s}" % ",".join(f'"{one}":{{}}' for one in kept)


@pytest.mark.parametrize("parameters, text", [
    ({"image": "nosuch"}, 'Error: there is no image "nosuch"'),
    ({"title": "x" * 1001}, "Error: title must have at most 1000 characters"),
    ({"customize": "x"}, "Error: customize must be an object"),
    ({"ephemeral": -1}, "Error: ephemeral must be from 0 to 3155760000000 milliseconds"),
    ({"ephemeral": 1e20}, "Error: ephemeral must be from 0 to 3155760000000 milliseconds"),
    ({"public_path_id": "0" * 40}, f'Error: there is no public path with the id "{"0" * 40}"'),
    ({"project_id": MISSING}, "Error: only admins can specify the project_id"),
])
def test_create_refused(hub, account, parameters, text):
    before = set(os.listdir(hub.data / "projects"))
    assert refusal(hub, account, "createProject", **parameters) == text
    assert hub.cli("project", "list", "--account", account.id) == []
    assert not any(shown(hub, new)["users"].get(account.id) for new in set(os.listdir(hub.data / "projects")) - before)


def test_start_with_creation(hub, account):
    project = rpc(hub, account, "createProject", start=True)
    wait_until(lambda: state(hub, account, project) == "running", 60, "it runs")


def test_an_id_that_an_administrator_gives(hub):
    admin, wanted = hub.account(admin=True), str(uuid.uuid4())
    assert rpc(hub, admin, "createProject", project_id=wanted.upper()) == wanted
    (hub.data / "projects" / wanted / "file").write_text("kept")
    assert refusal(hub, admin, "createProject", project_id=wanted) == f"Error: there is a project {wanted} already"
    assert (hub.data / "projects" / wanted / "file").read_text() == "kept"
    assert refusal(hub, admin, "createProject", project_id="x") == "Error: project_id must be a valid UUID"


def test_an_id_is_given_to_one_of_many(hub):
    admin, wanted = hub.account(admin=True), str(uuid.uuid4())

    def create(_):
        try:
            return rpc(hub, admin, "createProject", project_id=wanted)
        except RuntimeError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        answers = sorted(pool.map(create, range(6)))
    assert answers.count(wanted) == 1
    assert set(answers) == {wanted, f"Error: there is a project {wanted} already"}
    assert os.path.isdir(hub.data / "projects" / wanted)


def test_a_project_made_for_a_time_is_deleted(hub_factory):
    hub = hub_factory()
    account = hub.account()
    short, long = (rpc(hub, account, "createProject", ephemeral=ms, start=ms == 5) for ms in (5, 10 ** 9))
    wait_until(lambda: shown(hub, short)["state"]["state"] == "running", 60, "it runs")
    assert stored(hub, long, "ephemeral") == 10 ** 9
    pids = hub.sandbox(short)
    hub.restart()  # which looks at once
    wait_until(lambda: shown(hub, short)["deleted"] and shown(hub, short)["state"]["state"] == "opened", 60, "it is deleted")
    assert pids
    wait_until(lambda: not hub.sandbox(short), 60, "nothing of the sandbox is left")
    assert shown(hub, long)["deleted"] is False


def test_without_internet(hub, account):
    admin = hub.account(admin=True)
    projects = [rpc(hub, account, "createProject", customize={"disableInternet": off}) for off in (True, False)]
    for project in projects:
        rpc(hub, admin, "setQuotas", project_id=project, network=1)
        rpc(hub, account, "start", project_id=project)
    assert [shown(hub, project)["run_quota"]["network"] for project in projects] == [False, True]
    assert hub.exec(account, projects[0], "ls /sys/class/net; ip -o link 2>/dev/null || cat /proc/net/dev", bash=True)["stdout"].count("tap") == 0
    rpc(hub, admin, "setQuotas", project_id=projects[0], network=1, cores=1)
    assert shown(hub, projects[0])["run_quota"]["network"] is False


# ---- createProject with what somebody has published ----

@pytest.fixture
def published(hub):
    """(owner, project, id of the public folder `course`)"""
    owner = hub.account()
    project = hub.project(owner)
    for name, content in (("course/a.txt", "one"), ("course/deep/b.txt", "two"), ("secret.txt", "no")):
        Home(hub, project).put(name, content)
    return owner, project, hub.cli("project", "publish", project, "course")["id"]


def test_filled_from_a_public_path(hub, account, published):
    project = rpc(hub, account, "createProject", title="Mine", public_path_id=published[2])
    home = hub.data / "projects" / project
    assert sorted(str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()) == ["course/a.txt", "course/deep/b.txt"]
    assert (home / "course/deep/b.txt").read_text() == "two"
    assert state(hub, account, project) == "opened"


def test_filled_then_started(hub, account, published):
    project = rpc(hub, account, "createProject", public_path_id=published[2], start=True)
    assert hub.exec(account, project, "cat course/a.txt")["stdout"] == "one"


def test_a_path_that_is_not_public_any_more(hub, account, published):
    owner, source, public_id = published
    hub.cli("project", "unpublish", source, "course")
    assert refusal(hub, account, "createProject", public_path_id=public_id) == (
        f'Error: there is no public path with the id "{public_id}"')
    assert hub.cli("project", "list", "--account", account.id) == []


def test_a_public_path_whose_files_are_gone(hub, account, published):
    (hub.data / "projects" / published[1] / "course").rename(hub.data / "projects" / published[1] / "elsewhere")
    text = refusal(hub, account, "createProject", public_path_id=published[2])
    (project,) = [one["project_id"] for one in hub.cli("project", "list", "--account", account.id)]
    assert text.startswith(f"Error: the project {project} was made, but the public path could not be copied: ")


# ---- Who may ----

@pytest.mark.parametrize("method, what", [("start", "start it"), ("stop", "stop it"), ("touch", "touch it"),
                                          ("state", "get state"), ("status", "get status")])
def test_only_those_who_work_on_it(hub, account, project, method, what):
    text = f"Error: must be collaborator on project to {what}"
    viewer = hub.account()
    add_user(hub, project, viewer, "viewer")
    for who, which in ((hub.account(), project), (hub.account(admin=True), project), (viewer, project), (account, MISSING)):
        assert refusal(hub, who, method, project_id=which) == text
    assert refusal(hub, account, method, project_id="x") == NOT_UUIDS
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    rpc(hub, other, method, project_id=project.upper())


# ---- start and stop ----

def test_start_and_stop(hub, account, project):
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    assert rpc(hub, account, "start", project_id=project) is None
    assert (state(hub, account, project), shown(hub, project)["state"]["state"]) == ("running", "running")
    wait_until(lambda: stored(hub, project, "last_edited") > 1, 60, "it is marked as used")
    pids = hub.sandbox(project)
    assert rpc(hub, account, "start", project_id=project) is None
    assert hub.sandbox(project) == pids and pids
    assert rpc(hub, account, "stop", project_id=project) is None
    assert (state(hub, account, project), shown(hub, project)["state"]["state"]) == ("opened", "opened")
    wait_until(lambda: not hub.sandbox(project), 60, "nothing of the sandbox is left")
    assert rpc(hub, account, "stop", project_id=project) is None


def test_a_stop_kills_what_does_not_end(hub, account, project):
    hub.exec(account, project, "trap '' TERM; nohup sh -c 'trap \"\" TERM; while :; do sleep 1; done' >/dev/null 2>&1 &", bash=True)
    assert rpc(hub, account, "stop", project_id=project) is None
    assert state(hub, account, project) == "opened"
    wait_until(lambda: not hub.sandbox(project), 60, "nothing of the sandbox is left")


def test_many_starts_and_stops_at_once(hub, account, project):
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for method, end in (("start", "running"), ("stop", "opened")) * 2:
            assert set(pool.map(lambda _, method=method: rpc(hub, account, method, project_id=project), range(8))) == {None}
            wait_until(lambda end=end: state(hub, account, project) == end, 60, f"it is {end}")
        list(pool.map(lambda i: rpc(hub, account, ("start", "stop")[i % 2], project_id=project), range(16)))
    wait_until(lambda: state(hub, account, project) in ("opened", "running"), 60, "it has come to rest")
    rpc(hub, account, "start", project_id=project)
    wait_until(lambda: state(hub, account, project) == "running", 60, "it runs")
    assert hub.exec(account, project, "echo well")["stdout"] == "well\n"


def writes(hub):
    [line] = [line for line in hub.client.get(f"{hub.url}/metrics").text.splitlines()
              if line.startswith("cohub_database_writes_total ")]
    return int(line.split()[-1])


def test_asking_for_the_state_again_and_again_writes_nothing(hub_factory):
    hub = hub_factory()  # in which no project of another test runs
    account = hub.account()
    project = hub.project(account)
    with Rpc(hub.url, account) as client:
        client.call("projects.state", [{"project_id": project}])
        wait_until(lambda: stored(hub, project, "state_time") > stored(hub, project, "created"), 60, "the state is confirmed")
        before = writes(hub)
        for _ in range(40):
            client.call("projects.state", [{"project_id": project}])
        assert writes(hub) - before < 20  # what the hub writes of its own accord


@pytest.mark.parametrize("transition", ["starting", "stopping"])
def test_during_a_transition_nothing_happens(hub, account, project, transition):
    execute(hub, "UPDATE projects SET state = ?, state_time = ? WHERE project_id = ?", transition, int(time.time() * 1000), project)
    for method in ("start", "stop"):
        assert rpc(hub, account, method, project_id=project) is None
    assert rpc(hub, account, "state", project_id=project).keys() == {"state", "time"}
    assert state(hub, account, project) == transition and not hub.sandbox(project)


def test_a_transition_whose_hub_is_gone_is_over(hub, account, project):
    execute(hub, "UPDATE projects SET state = 'starting', state_time = 1 WHERE project_id = ?", project)
    assert state(hub, account, project) == "opened"
    wait_until(lambda: stored(hub, project, "state") == "opened", 60, "the record is put right")


@pytest.mark.parametrize("timeout_s, begun_s, now", [(1, 90, "opened"), (1, 30, "starting"), (3600, 3000, "starting")])
def test_a_start_may_take_twice_the_configured_time_or_a_minute(hub_factory, timeout_s, begun_s, now):
    hub = hub_factory(env={"COHUB_PROJECTS_START_TIMEOUT": str(timeout_s)})
    account = hub.account()
    project = hub.project(account)
    begun_ms = int((time.time() - begun_s) * 1000)
    execute(hub, "UPDATE projects SET state = 'starting', state_time = ? WHERE project_id = ?", begun_ms, project)
    assert state(hub, account, project) == now
    assert now == "opened" or stored(hub, project, "state_time") == begun_ms


def test_a_project_that_cannot_start(hub, account, project):
    execute(hub, "UPDATE projects SET compute_image = 'old-1.0' WHERE project_id = ?", project)
    assert refusal(hub, account, "start", project_id=project) == "Error: the project's image \"old-1.0\" does not exist"
    assert state(hub, account, project) == "opened"


def test_killed_from_outside_it_is_opened(hub, account, project):
    rpc(hub, account, "start", project_id=project)
    for pid in hub.sandbox(project):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            pass
    wait_until(lambda: state(hub, account, project) == "opened", 60, "it is opened")
    assert "error" not in rpc(hub, account, "state", project_id=project)


# ---- touch ----

def test_touch_starts_and_marks(hub, account, project):
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    assert rpc(hub, account, "touch", project_id=project) is None
    assert state(hub, account, project) == "running"
    wait_until(lambda: stored(hub, project, "last_edited") > 1, 60, "it is marked as used")
    find = "SELECT last_active FROM project_users WHERE project_id = ? AND account_id = ?"
    wait_until(lambda: execute(hub, find, project, account.id)[0][0], 60, "the account was active in it")
    assert rpc(hub, account, "touch", project_id=project) is None


# ---- state ----

def test_state(hub, account, project):
    before = time.time()
    answer = rpc(hub, account, "state", project_id=project)
    assert answer == {"ip": "127.0.0.1", "state": "opened", "time": answer["time"]} and ISO.fullmatch(answer["time"])
    rpc(hub, account, "start", project_id=project)
    answer = rpc(hub, account, "state", project_id=project)
    assert answer == {"ip": "127.0.0.1", "state": "running", "time": answer["time"]}
    assert before - 1 < _seconds(answer["time"]) < time.time() + 1


def _seconds(iso):
    import datetime
    return datetime.datetime.fromisoformat(iso.replace("Z", "+00:00")).timestamp()


def test_state_is_stored(hub, account, project):
    query = {"projects": {"project_id": project, "state": None}}
    assert hub.call("query", key=account, query=query)["query"]["projects"]["state"] is None
    rpc(hub, account, "state", project_id=project)
    wait_until(lambda: hub.call("query", key=account, query=query)["query"]["projects"]["state"], 60, "it is stored")
    assert hub.call("query", key=account, query=query)["query"]["projects"]["state"]["state"] == "opened"


# ---- status ----

def test_status(hub, account, project):
    assert rpc(hub, account, "status", project_id=project) == {}
    rpc(hub, account, "start", project_id=project)
    status = rpc(hub, account, "status", project_id=project)
    assert status["project.pid"] == status["project"]["pid"] and status["project.pid"] in hub.sandbox(project)
    assert status["start_ts"] == stored(hub, project, "last_started")
    assert uuid.UUID(status["session_id"]) and status["version"] == 3
    assert {"rss", "cache", "limit"} == status["memory"].keys() and status["memory"]["limit"] == 1000 * 1024
    assert status["cpu"]["usage"] >= 0 and status["processes"]["count"] >= 0 and status["oom_kills"] == 0
    assert shown(hub, project)["status"].keys() >= {"project.pid", "start_ts", "session_id"}
    rpc(hub, account, "stop", project_id=project)
    assert rpc(hub, account, "status", project_id=project) == {}


def test_a_session_is_that_of_one_start(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    rpc(hub, account, "start", project_id=project)
    seen = [rpc(hub, account, "status", project_id=project)]
    hub.restart()
    seen.append(rpc(hub, account, "status", project_id=project))
    assert all(seen[0][name] == seen[1][name] for name in ("session_id", "start_ts", "project.pid"))
    rpc(hub, account, "stop", project_id=project)
    rpc(hub, account, "start", project_id=project)
    seen.append(rpc(hub, account, "status", project_id=project))
    assert all(seen[1][name] != seen[2][name] for name in ("session_id", "start_ts", "project.pid"))


# ---- deleteProject ----

def test_delete(hub, account, project):
    execute(hub, "UPDATE projects SET site_license = ? WHERE project_id = ?", f'{{"{LICENSES[0]}":{{}}}}', project)
    hub.exec(account, project, "echo kept > file")
    assert rpc(hub, account, "deleteProject", project_id=project) is None
    assert shown(hub, project)["deleted"] is True
    wait_until(lambda: not hub.sandbox(project), 60, "nothing of the sandbox is left")
    assert shown(hub, project)["users"] == {account.id: {"group": "owner"}}
    assert stored(hub, project, "site_license") == "{}"
    assert (hub.data / "projects" / project / "file").read_text() == "kept\n"
    assert rpc(hub, account, "deleteProject", project_id=project) is None
    hub.call("query", key=account, query={"projects": {"project_id": project, "deleted": False}})
    assert hub.exec(account, project, "cat file")["stdout"] == "kept\n"


def test_who_may_delete(hub, account, project):
    other, admin = hub.account(), hub.account(admin=True)
    assert refusal(hub, other, "deleteProject", project_id=project) == "Error: must be an owner to delete a project"
    assert refusal(hub, account, "deleteProject", project_id=MISSING) == "Error: must be an owner to delete a project"
    assert refusal(hub, account, "deleteProject", project_id="x") == "Error: project_id must be a valid UUID"
    assert refusal(hub, admin, "deleteProject", project_id=MISSING) == f"FATAL: unknown project_id '{MISSING}'"
    add_user(hub, project, other, "collaborator")
    rpc(hub, other, "deleteProject", project_id=project)
    rpc(hub, admin, "deleteProject", project_id=project)
    assert shown(hub, project)["deleted"] is True


# ---- setQuotas ----

def test_set_quotas_of_one_that_runs(hub, account, project):
    admin = hub.account(admin=True)
    rpc(hub, account, "start", project_id=project)
    pids = hub.sandbox(project)
    assert rpc(hub, admin, "setQuotas", project_id=project, memory=2000, cores=2, mintime=99, disk_quota=5000) is None
    wait_until(lambda: shown(hub, project)["run_quota"]["memory_limit"] == 2000, 60, "it is held to that")
    quota = shown(hub, project)["run_quota"]
    assert (quota["cpu_limit"], quota["idle_timeout"], quota["disk_quota"]) == (2, 99, 5000)
    assert hub.sandbox(project) == pids
    settings = shown(hub, project)["settings"]
    rpc(hub, admin, "setQuotas", project_id=project, always_running=1)
    assert shown(hub, project)["settings"] == {**settings, "always_running": 1}


def test_a_new_network_needs_another_sandbox(hub, account, project):
    admin = hub.account(admin=True)
    session = lambda: rpc(hub, account, "status", project_id=project).get("session_id")  # noqa: E731
    rpc(hub, account, "start", project_id=project)
    first = session()
    rpc(hub, admin, "setQuotas", project_id=project, network=1)
    wait_until(lambda: session() not in (None, first), 60, "it has been restarted")
    assert shown(hub, project)["run_quota"]["network"] is True


@pytest.mark.parametrize("parameters, text", [
    ({"memory": -1}, "Error: memory must be from 0 to 1000000000"),
    ({"cores": 1e10}, "Error: cores must be from 0 to 1000000000"),
    ({"project_id": MISSING}, f"Error: no project {MISSING}"),
    ({"project_id": "x"}, "Error: x is no project id"),
])
def test_set_quotas_refused(hub, project, parameters, text):
    admin = hub.account(admin=True)
    assert refusal(hub, admin, "setQuotas", **{"project_id": project, **parameters}) == text
    assert "settings" not in shown(hub, project)


def test_quotas_are_for_administrators(hub, account, project):
    assert refusal(hub, account, "setQuotas", project_id=project, cores=9) == "Error: Must be an admin to do admin search."


# ---- Several hubs ----

def test_started_at_one_it_runs_at_the_other(two):  # noqa: F811
    first, second = two
    account = first.account()
    project = first.project(account)
    for a, b in ((first, second), (second, first)):
        rpc(a, account, "start", project_id=project)
        assert state(b, account, project) == "running"
        assert rpc(a, account, "status", project_id=project)["session_id"] == rpc(b, account, "status", project_id=project)["session_id"]
        rpc(b, account, "stop", project_id=project)
        assert state(a, account, project) == "opened"
        wait_until(lambda: not first.sandbox(project), 60, "nothing of the sandbox is left")


def test_starts_and_stops_at_both_at_once(two):  # noqa: F811
    account = two[0].account()
    project = two[0].project(account)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for method, end in (("start", "running"), ("stop", "opened")) * 3:
            answers = pool.map(lambda i, method=method: rpc(two[i % 2], account, method, project_id=project), range(8))
            assert set(answers) == {None}
            for hub in two:
                wait_until(lambda hub=hub, end=end: state(hub, account, project) == end, 60, f"it is {end}")
