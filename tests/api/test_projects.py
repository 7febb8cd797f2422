# SPDX-License-Identifier: AGPL-3.0-or-later
"""Projects: making them, who may use them, touching them, and the command line for them."""
import datetime
import os
import re
import stat
import uuid

import pytest

from harness.images import add_libraries
from harness.process import parents, wait_until
from harness.server import CommandFailed
from harness.store import add_user, execute

MISSING = "12345678-1234-4234-8234-123456789012"


def state(hub, project_id):
    return hub.cli("project", "show", project_id)["state"]["state"]


def row(hub, project_id, column):
    return execute(hub, f"SELECT {column} FROM projects WHERE project_id = ?", project_id)[0][0]


# ---- create_project ----

def test_all_parameters(hub, account):
    reply = hub.call("create_project", key=account, title="My  Ä 😀 \"title\"", description="line\nline", image="default",
                     start=False, id="mine")
    project_id = reply.pop("project_id")
    assert reply == {"event": "project_created", "id": "mine"}
    assert str(uuid.UUID(project_id)) == project_id and uuid.UUID(project_id).version == 4
    shown = hub.cli("project", "show", project_id)
    created, edited, since = (datetime.datetime.fromisoformat(text) for text in
                              (shown.pop("created"), shown.pop("last_edited"), shown["state"].pop("time")))
    assert created == edited == since and created.tzinfo == datetime.timezone.utc
    assert shown == {"project_id": project_id, "title": "My  Ä 😀 \"title\"", "description": "line\nline",
                     "state": {"state": "opened"}, "deleted": False, "compute_image": "default",
                     "users": {account.id: {"group": "owner"}}}


def test_no_parameter_at_all(hub, account):
    shown = hub.cli("project", "show", hub.call("create_project", key=account)["project_id"])
    assert (shown["title"], shown["description"], shown["compute_image"]) == ("", "", "default")


def test_as_a_form(hub, account):
    reply = hub.api("create_project", form={"title": "a+b & c", "description": "d", "start": "false"}, key=account).json()
    assert reply["event"] == "project_created"
    assert hub.cli("project", "show", reply["project_id"])["title"] == "a+b & c"
    assert state(hub, reply["project_id"]) == "opened"


def test_equal_projects_are_two(hub, account):
    assert hub.project(account, title="same") != hub.project(account, title="same")


def test_the_home_is_there_when_the_reply_comes(hub, account):
    for _ in range(20):
        info = os.stat(hub.data / "projects" / hub.project(account))
        assert stat.S_ISDIR(info.st_mode) and stat.S_IMODE(info.st_mode) == 0o700


def test_the_longest_texts(hub, account):
    project = hub.project(account, title="\u20ac" * 1000, description="\u20ac" * 100_000)
    assert (row(hub, project, "length(title)"), row(hub, project, "length(description)")) == (1000, 100_000)


def test_start(hub, account):
    project = hub.project(account, start=True)
    wait_until(lambda: state(hub, project) == "running", 60, "the project runs")
    assert len(hub.sandbox(project)) >= 2


def test_without_start_nothing_runs(hub, account):
    project = hub.project(account)
    hub.call("ping", key=account)
    assert state(hub, project) == "opened" and not hub.sandbox(project)


@pytest.mark.parametrize("license, kept", [
    ("11111111-1111-4111-8111-111111111111", '{"11111111-1111-4111-8111-111111111111":{}}'),
    ("11111111-1111-4111-8111-111111111111,22222222-2222-4222-8222-222222222222",
     '{"11111111-1111-4111-8111-111111111111":{},"22222222-2222-4222-8222-222222222222":{}}'),
    ("11111111-1111-4111-8111-111111111111,11111111-1111-4111-8111-111111111111",
     '{"11111111-1111-4111-8111-111111111111":{}}'),
    ("", "{}"),
])
def test_licenses(hub, account, license, kept):
    assert row(hub, hub.project(account, license=license), "site_license") == kept


@pytest.mark.parametrize("parameters, title, reason", [
    ({"license": "nothing"}, "T", '"license id \\"nothing\\" is not a UUID"'),
    ({"license": "11111111-1111-4111-8111-111111111111,x"}, "T", '"license id \\"x\\" is not a UUID"'),
    ({"image": "nosuch"}, "", '"there is no image \\"nosuch\\""'),
    ({"image": "../projects"}, "a'b", '"there is no image \\"../projects\\""'),
    ({"image": "."}, "T", '"there is no image \\".\\""'),
    ({"image": "x/../y"}, "T", '"there is no image \\"x/../y\\""'),
    ({}, "x" * 1001, '"title must have at most 1000 characters"'),
    ({"description": "x" * 100_001}, "T", '"description must have at most 100000 characters"'),
])
def test_refused(hub, account, parameters, title, reason):
    before = set(os.listdir(hub.data / "projects"))
    reply = hub.call("create_project", key=account, title=title, **parameters)
    assert (reply["event"], reply["error"]) == ("error", f"Failed to create new project '{title}' -- {reason}")
    assert set(os.listdir(hub.data / "projects")) == before
    assert hub.cli("project", "list", "--account", account.id) == []


def test_an_image_is_a_folder_in_images(hub_factory):
    hub = hub_factory()
    account = hub.account()
    image = hub.data / "images" / "little-1.0"
    (image / "usr" / "share").mkdir(parents=True)
    (image / "usr" / "share" / "which").write_text("the image\n")
    add_libraries(image)
    project = hub.project(account, image="little-1.0")
    assert hub.cli("project", "show", project)["compute_image"] == "little-1.0"
    read = hub.call("read_text_file_from_project", key=account, project_id=project, path="/usr/share/which")
    assert read.get("content") == "the image\n", read
    reply = hub.exec(account, project, "true")
    assert '"code":"ENOENT","syscall":"spawn true"' in reply["error"]  # nothing of the host's shines through


def test_an_image_that_is_gone_is_told(hub, account, project):
    execute(hub, "UPDATE projects SET compute_image = 'old-1.0' WHERE project_id = ?", project)
    assert hub.exec(account, project, "true")["error"] == "the project's image \"old-1.0\" does not exist"


# ---- The project gate ----

def gate_calls(project_id):
    return {
        "project_exec": {"project_id": project_id, "command": "true"},
        "write_text_file_to_project": {"project_id": project_id, "path": "a", "content": "b"},
        "read_text_file_from_project": {"project_id": project_id, "path": "a"},
        "touch_project": {"project_id": project_id},
    }


def gate_text(event, account, project_id):
    if event == "touch_project":
        return f"unable to touch project {project_id} -- must have write access"
    kind = "read" if event.startswith("read") else "write"
    return f"User {account.id} does not have {kind} access to project {project_id}"


@pytest.mark.parametrize("value", ["", "x", MISSING[:-1], MISSING + "0", "g" + MISSING[1:], " " + MISSING,
                                   MISSING.replace("-", "")])
@pytest.mark.parametrize("event", gate_calls(""))
def test_a_project_id_that_is_none(hub, event, value):
    reply = hub.call(event, **gate_calls(value)[event])
    text = (f"unable to touch project {value} -- project_id must be specified and valid" if event == "touch_project" else
            f"Internal error determining user permission -- invalid project_id -- {value}")
    assert (reply["event"], reply["error"]) == ("error", text)


@pytest.mark.parametrize("event", gate_calls(""))
def test_a_project_that_does_not_exist_or_is_another_s(hub, account, project, event):
    stranger, admin = hub.account(), hub.account(admin=True)
    for who, project_id in ((stranger, project), (stranger, MISSING), (admin, MISSING)):
        reply = hub.call(event, key=who, **gate_calls(project_id)[event])
        assert (reply["event"], reply["error"]) == ("error", gate_text(event, who, project_id))
    assert not hub.sandbox(project) and not os.listdir(hub.data / "projects" / project)
    assert not (hub.data / "projects" / MISSING).exists()


@pytest.mark.parametrize("group, allowed", [
    ("owner", {"read", "write"}), ("collaborator", {"read", "write"}), ("viewer", {"read"}),
    ("invited_collaborator", set()), ("invited_viewer", set()),
])
def test_groups(hub, account, project, group, allowed):
    hub.call("write_text_file_to_project", key=account, project_id=project, path="a", content="x")
    user = hub.account()
    add_user(hub, project, user, group)
    for event, parameters in gate_calls(project).items():
        reply = hub.call(event, key=user, **parameters)
        if ("read" if event.startswith("read") else "write") in allowed:
            assert reply["event"] != "error", reply
        else:
            assert (reply["event"], reply["error"]) == ("error", gate_text(event, user, project))


def test_an_admin_may_use_every_project(hub, account, project):
    admin = hub.account(admin=True)
    assert hub.exec(admin, project, "echo admin > by")["event"] == "project_exec_output"
    for event, parameters in gate_calls(project).items():
        assert hub.call(event, key=admin, **{**parameters, **({"path": "by"} if "path" in parameters else {})})["event"] \
            != "error"
    hub.cli("account", "admin", admin.id, "off")
    assert hub.exec(admin, project, "true")["error"] == gate_text("project_exec", admin, project)


def test_ids_in_upper_case_are_the_same_project(hub, account, project):
    hub.call("write_text_file_to_project", key=account, project_id=project.upper(), path="a", content="b")
    assert hub.call("read_text_file_from_project", key=account, project_id=project, path="a")["content"] == "b"


def test_use_marks_the_project_edited(hub, account, project):
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    hub.call("read_text_file_from_project", key=account, project_id=project, path="none")
    wait_until(lambda: row(hub, project, "last_edited") > 1, 60, "it is marked")


# ---- touch_project ----

def test_touch_starts_a_stopped_project(hub, account, project):
    reply = hub.call("touch_project", key=account, project_id=project, id=7)
    assert reply == {"event": "success", "id": 7}
    wait_until(lambda: state(hub, project) == "running", 60, "the project runs")
    pids = hub.sandbox(project)
    assert hub.call("touch_project", key=account, project_id=project)["event"] == "success"
    assert hub.sandbox(project) == pids


def test_touch_marks_project_and_user(hub, account, project):
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    hub.call("touch_project", key=account, project_id=project)
    find = "SELECT last_active FROM project_users WHERE project_id = ? AND account_id = ?"
    wait_until(lambda: row(hub, project, "last_edited") > 1, 60, "it is marked")
    assert execute(hub, find, project, account.id)[0][0] == row(hub, project, "last_edited")
    wait_until(lambda: execute(hub, "SELECT last_active FROM accounts WHERE account_id = ?", account.id)[0][0], 60,
               "so is the account")


def test_touch_within_a_minute_writes_once(hub, account, project):
    hub.call("touch_project", key=account, project_id=project)
    wait_until(lambda: state(hub, project) == "running", 60, "all writes of the first are done")
    execute(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    assert hub.call("touch_project", key=account, project_id=project)["event"] == "success"
    hub.project(account)  # a write behind whatever that one wrote
    assert row(hub, project, "last_edited") == 1


# ---- The command line ----

def test_list(hub, account):
    projects = [hub.project(account, title=str(n)) for n in range(3)]
    listed = hub.cli("project", "list", "--account", account.email)
    assert {entry["project_id"]: entry["title"] for entry in listed} == dict(zip(projects, "012"))
    assert listed == hub.cli("project", "list", "--account", account.id)
    assert listed[0] == hub.cli("project", "show", listed[0]["project_id"])
    hub.exec(account, projects[1], "true")
    wait_until(lambda: state(hub, projects[1]) == "running", 60, "its state is stored")
    running = hub.cli("project", "list", "--account", account.id, "--state", "running")
    assert [entry["project_id"] for entry in running] == [projects[1]]
    everyone = hub.cli("project", "list", "--state", "running")
    assert projects[1] in [entry["project_id"] for entry in everyone]


@pytest.mark.parametrize("command", ["show", "start", "stop", "delete"])
@pytest.mark.parametrize("argument, text", [
    (MISSING, f"no project {MISSING}"), ("nothing", "nothing is no project id"),
])
def test_commands_on_no_project(hub, command, argument, text):
    done = hub.cli_run("project", command, argument)
    assert (done.returncode, done.stdout) == (1, "") and text in done.stderr


def test_list_of_an_account_that_is_none(hub):
    with pytest.raises(CommandFailed):
        hub.cli("project", "list", "--account", "nobody@example.org")


def test_start_and_stop_beside_a_running_hub(hub, account, project):
    assert hub.cli("project", "start", project)["state"]["state"] == "running"
    sandbox = hub.sandbox(project)
    assert len(sandbox) >= 2
    assert hub.cli("project", "start", project)["state"]["state"] == "running"
    assert hub.exec(account, project, "echo here")["stdout"] == "here\n"
    assert hub.sandbox(project) >= {min(sandbox)}  # the hub found that one, and started no other
    assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
    assert not sandbox & parents().keys() and not hub.sandbox(project)
    assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
    assert hub.exec(account, project, "echo again")["stdout"] == "again\n"


def test_start_and_stop_without_a_hub(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.stop()
    assert hub.cli("project", "start", project)["state"]["state"] == "running"
    sandbox = hub.sandbox(project)
    hub.start()
    assert hub.exec(account, project, "echo here")["stdout"] == "here\n"
    assert min(sandbox) in hub.sandbox(project)
    hub.stop()
    assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
    assert not sandbox & parents().keys()


def test_delete(hub, account, project):
    hub.exec(account, project, "echo kept > file")
    assert hub.cli("project", "delete", project) == {"project_id": project, "deleted": True, "purged": False}
    assert hub.cli("project", "show", project)["deleted"] is True
    listed = lambda *more: project in [one["project_id"] for one in hub.cli("project", "list", *more)]  # noqa: E731
    assert (listed(), listed("--deleted")) == (False, True)
    assert (hub.data / "projects" / project / "file").read_text() == "kept\n"
    assert not hub.sandbox(project)
    # The gate does not treat it specially, but it is not started again.
    assert hub.call("read_text_file_from_project", key=account, project_id=project, path="file")["content"] == "kept\n"
    reply = hub.exec(account, project, "true")
    assert reply["event"] == "error" and f"project {project} does not exist" in reply["error"]
    assert hub.cli("project", "undelete", project)["deleted"] is False
    assert hub.exec(account, project, "cat file")["stdout"] == "kept\n"


def test_purge(hub, account, project):
    hub.exec(account, project, "mkdir -p a/b; ln -s /etc/passwd a/link; ln -s / a/root; touch a/b/c; chmod 500 a/b; chmod 0 a")
    assert hub.cli("project", "delete", project, "--purge") == {"project_id": project, "deleted": True, "purged": True}
    assert not (hub.data / "projects" / project).exists() and not hub.sandbox(project)
    assert not (hub.data / "run" / project).exists()
    assert hub.cli_run("project", "show", project).returncode == 1
    assert execute(hub, "SELECT count(*) FROM project_users WHERE project_id = ?", project) == [(0,)]
    assert hub.exec(account, project, "true")["error"] == gate_text("project_exec", account, project)
    assert not (hub.data / "projects" / project).exists()
    assert os.path.exists("/etc/passwd")


def test_purge_without_a_hub(hub_factory):
    hub = hub_factory()
    project = hub.project(hub.account())
    hub.stop()
    hub.cli("project", "delete", project, "--purge")
    assert not (hub.data / "projects" / project).exists()
    assert hub.cli("project", "list") == []


def test_bad_usage(hub):
    for args in (["project"], ["project", "nosuch"], ["project", "show"], ["project", "show", MISSING, MISSING]):
        done = hub.cli_run(*args)
        assert done.returncode == 2 and done.stdout == "" and re.search(r"usage|unknown|missing|help", done.stderr, re.I)
