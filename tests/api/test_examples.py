# SPDX-License-Identifier: AGPL-3.0-or-later
"""Every example of the interface's own description, run as it stands: host, key, ids and addresses put in."""
import json
import re
import subprocess

import pytest

from harness import rpc
from harness.examples import run, shape
from harness.process import wait_until
from harness.server import COHUB
from harness.store import execute

BLOCK = re.compile(r"```\n(.*?)\n```", re.DOTALL)


def _examples():
    events = json.loads(subprocess.run([COHUB, "api"], capture_output=True, check=True).stdout)["events"]
    for event, entry in events.items():
        blocks = [block for block in BLOCK.findall(entry["description"]) if "curl" in block]
        for number, block in enumerate(blocks):
            command, _, reply = block.partition(" ==> ")
            yield pytest.param(event, number, command, reply, id=f"{event}-{number}")


def _fill_in(hub, command, event, number):
    """The example with values that exist on this hub, and whatever it relies on made."""
    me = hub.account()
    project = hub.project(me)
    hub.exec(me, project, "mkdir Private")
    hub.call("write_text_file_to_project", key=me, project_id=project, path="Assignments/A1/h1.txt", content="hello")
    ids = {"e49e86aa-192f-410b-8269-4b89fd934fba": project}
    email = f"john-{me.id}@example.com"
    command = command.replace("https://cocalc.com", hub.url).replace("sk_abcdefQWERTY090900000000", me.key)
    command = command.replace("john00@example.com", email)
    if event == "get_usernames":
        for example in re.findall(r"[0-9a-f-]{36}", command):
            ids[example] = hub.call("create_account", key=me, first_name="A", last_name="B")["account_id"]
    if event == "user_auth":
        made = hub.call("create_account", key=me, email_address=email, password="secret_password")
        ids["99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b"] = made["account_id"]
    if event == "create_account" and number == 1:  # the same address again
        hub.call("create_account", key=me, email_address=email, password="xyzabc09090")
    command = _prepare_own_account(hub, me, email, command, event, number, ids)
    if event == "user_search":
        command = _prepare_search(hub, me, email, command)
    if event in ("invite_collaborator", "add_collaborator", "remove_collaborator"):
        for example in ("99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b", "9b896055-920a-413c-9172-dfb4007a8e7f"):
            ids[example] = hub.account().id
        ids["18955da4-4bfa-4afa-910c-7f2358c05eb8"] = hub.project(me)
        token = hub.cli("project", "invite-token", project)["token"]
        command = command.replace("8sNCs0gO6qwRLMwJ", token)
    if event == "invite_noncloud_collaborators":
        ids["18955da4-4bfa-4afa-910c-7f2358c05eb8"] = project
    if event.startswith("copy_"):
        _prepare_copies(hub, me, project, ids)
    if event == "get_available_upgrades":
        hub.cli("upgrades", "set", me.id, "cores=10", "cpu_shares=2048", "disk_quota=200000", "member_host=80",
                "memory=120000", "memory_request=8000", "mintime=3456000", "network=400")
    if event in ("create_support_ticket", "get_support_tickets"):
        ids["291f43c1-deae-431c-b763-712307fa6859"] = me.id
        hub.call("create_support_ticket", key=me, email_address=email, subject="s", body="b", account_id=me.id)
    if event.startswith("public_get_"):
        ids["9a19cca3-c53d-4c7c-8c0f-e166aada7bb6"] = project
        _prepare_public(hub, me, project)
    if event == "query":
        _prepare_query(hub, me, project, number, ids)
    for example, real in ids.items():
        command = command.replace(example, real)
    return command


def _prepare_query(hub, me, project, number, ids):
    ids["6c28c5f4-3235-46be-b025-166b4dcaac7e"] = me.id
    title = {"title": "MY NEW PROJECT 2", "description": "desc 2"}
    hub.call("query", key=me, query={"projects": {"project_id": project, **title}})
    hub.project(me, title="SYNTHMON", description="Synthetic Monitoring")
    execute(hub, "UPDATE accounts SET passports = ? WHERE account_id = ?",
            '{"facebook-14159265358": {"id": "14159265358"}}', me.id)
    if number == 3:
        hub.call("add_collaborator", key=me, project_id=project, account_id=hub.account().id)
    if number == 4:
        upgrades = {"cores": 1, "memory": 3000, "mintime": 86400, "network": 1, "cpu_shares": 768, "disk_quota": 27000,
                    "member_host": 1}
        hub.call("query", key=me, query={"projects": {"project_id": project, "users": {me.id: {"upgrades": upgrades}}}})


def _prepare_public(hub, me, project):
    hub.call("write_text_file_to_project", key=me, project_id=project, path="Public/hello.txt",
             content="hello world\nToday is Friday\n")
    hub.exec(me, project, "mkdir Public/p2")
    hub.cli("project", "publish", project, "Public")


def _prepare_copies(hub, me, project, ids):
    target = ids["2aae4347-214d-4fd1-809c-b327150442d8"] = hub.project(me)
    for path in ("A/doc.txt", "PUBLIC/doc.txt"):
        hub.call("write_text_file_to_project", key=me, project_id=project, path=path, content="text")
    hub.cli("project", "publish", project, "PUBLIC")
    reply = hub.call("copy_path_between_projects", key=me, src_project_id=project, src_path="A/doc.txt",
                     target_project_id=target, scheduled="2999-01-01")
    ids["9b3b9f0c-5d3e-4a6a-8a3e-5a5f0e4b8c11"] = reply["copy_path_id"]


def _prepare_own_account(hub, me, email, command, event, number, ids):
    own = "99ebde5c-58f8-4e29-b6e4-b55b8fd71a1b"
    if event in ("delete_account", "change_password", "change_email_address"):
        ids |= {own: me.id, "cc3cb7f1-14f6-4a18-a803-5034af8c0004": hub.account().id}
    if event in ("change_password", "change_email_address"):
        hub.call("change_password", key=me, account_id=me.id, new_password="secret_password")
    if event == "change_email_address":
        command = command.replace("new@example.com", f"new-{me.id}@example.com")
    if event == "reset_forgot_password":
        hub.call("create_account", key=me, email_address=email)
        hub.call("forgot_password", key=me, email_address=email)
        ids["35a0eea6-370a-45c3-ab2f-3210df68748f"] = execute(
            hub, "SELECT id FROM password_reset WHERE email_address = ?", email)[0][0]
    if event in ("change_password", "change_email_address", "reset_forgot_password") and number == 1:  # the same again
        for example, real in ids.items():
            command = command.replace(example, real)
        run(command)
    return command


def _prepare_search(hub, me, email, command):
    foo, bar = f"foo{me.id[:8]}", f"bar{me.id[:8]}"
    hub.call("create_account", key=me, first_name="John", last_name="Doe", email_address=email)
    for first, last in ((foo, bar), (f"{bar}123", f"{foo}xyz"), (foo.capitalize(), bar.capitalize())):
        hub.call("create_account", key=me, first_name=first, last_name=last)
    return command.replace("foo bar", f"{foo} {bar}")


@pytest.mark.parametrize("event, number, command, reply", _examples())
def test_example(hub, event, number, command, reply):
    replies = run(_fill_in(hub, command, event, number))
    assert [shape(value) for value in replies] == [shape(json.loads(reply))]


def test_every_endpoint_has_an_example():
    events = json.loads(subprocess.run([COHUB, "api"], capture_output=True, check=True).stdout)["events"]
    assert [event for event, entry in events.items() if "curl" not in entry["description"]] == []


# ---- The RPC ----

# Methods whose examples are an administrator's.
ADMINISTRATORS = ("org.", "projects.setQuotas", "system.adminResetPasswordLink", "system.generateUserAuthToken")


class Example:
    """What an example of a method refers to: the caller, a project of the caller's, and John, whom they know."""

    def __init__(self, hub, method):
        self.hub = hub
        self.me = hub.account(admin=method.startswith(ADMINISTRATORS))
        self.john = hub.account(email=f"john-{self.me.id}@example.com", first_name="John", last_name="Doe")
        self.project = hub.project(self.me)
        self.values = {
            "https://cocalc.com": hub.url,
            "sk-abcdefQWERTY0909000001": self.me.key,
            "john00@example.com": self.john.email,
            "e49e86aa-192f-410b-8269-4b89fd934fba": self.project,
            "d0bdabfd-850e-4c8d-8510-f6f1ecb9a5eb": self.me.id,
            "96c523b8-321e-41a3-9523-39fde95dc71d": self.john.id,
        }

    def fill_in(self, command):
        for example, real in self.values.items():
            command = command.replace(example, real)
        return command


def _give_a_colour(example):
    execute(example.hub, "UPDATE accounts SET profile = ? WHERE account_id = ?", '{"color":"rgb(170,170,170)"}', example.john.id)


def _have_a_message(example):
    example.hub.method(example.john, "messages.send", {"to_ids": [example.me.id], "subject": "s", "body": "b"})


def _name_an_organization(example):
    example.values["physics"] = f"physics-{example.me.id[:8]}"


def _have_an_organization(example):
    """The only one, which says something of itself, and whose administrator is John, who was here."""
    _name_an_organization(example)
    execute(example.hub, "DELETE FROM organizations")
    name = {"name": example.values["physics"]}
    example.hub.method(example.me, "org.create", name)
    example.hub.method(example.me, "org.set", {**name, "title": "T", "link": "https://example.com"})
    example.hub.method(example.me, "org.addAdmin", {**name, "user": example.john.id})
    execute(example.hub, "UPDATE accounts SET last_active = 1 WHERE account_id = ?", example.john.id)


def _have_a_member(example):
    _have_an_organization(example)
    example.hub.method(example.me, "org.removeAdmin", {"name": example.values["physics"], "user": example.john.id})


def _have_an_invite_token(example):
    example.values["8sNCs0gO6qwRLMwJ"] = example.hub.cli("project", "invite-token", example.project)["token"]


def _have_a_collaborator(example):
    example.hub.call("add_collaborator", key=example.me, project_id=example.project, account_id=example.john.id)


def _have_files_to_copy(example):
    example.values["2aae4347-214d-4fd1-809c-b327150442d8"] = example.hub.project(example.me)
    _have_a_file(example)


def _have_an_assignment(example):
    example.hub.call("write_text_file_to_project", key=example.me, project_id=example.project, path="Assignments/A1/h1.txt",
                     content="What is 6 x 7?")


def _have_a_file(example):
    example.hub.call("write_text_file_to_project", key=example.me, project_id=example.project, path="A/doc.txt", content="text")


def _have_a_waiting_kernel(example):
    project = rpc.Project(example.hub.url, example.me, example.project)
    project.system.jupyter_execute("1", "python3")
    wait_until(lambda: [kernel["state"] for kernel in project.system.list_jupyter_kernels()] == ["idle"], 60, "one waits")


# What the examples of a method need besides: a function of the Example.
PREPARATIONS = {
    "projects.addCollaborator": _have_an_invite_token,
    "projects.changeUserType": _have_a_collaborator,
    "projects.copyPathBetweenProjects": _have_files_to_copy,
    **dict.fromkeys(["system.moveFiles", "system.renameFile"], _have_a_file),
    **dict.fromkeys(["system.listing", "system.realpath", "system.readTextFileFromProject"], _have_an_assignment),
    "messages.get": _have_a_message,
    "org.create": _name_an_organization,
    **dict.fromkeys(["org.getAll", "org.get", "org.set", "org.addAdmin", "org.addUser", "org.createUser",
                     "org.createToken", "org.getUsers", "org.removeAdmin", "org.message"], _have_an_organization),
    "org.removeUser": _have_a_member,
    "system.getNames": _give_a_colour,
    "system.listJupyterKernels": _have_a_waiting_kernel,
}


def _rpc_examples():
    described = json.loads(subprocess.run([COHUB, "api", "--format", "rpc.json"], capture_output=True, check=True).stdout)
    for family in ("hub", "project"):
        for method, entry in described[family]["methods"].items():
            for number, example in enumerate(entry["examples"]):
                yield pytest.param(method, example, id=f"{family}-{method}-{number}")


@pytest.mark.parametrize("method, example", _rpc_examples())
def test_rpc_example(hub, method, example):
    values = Example(hub, method)
    PREPARATIONS.get(method, lambda _: None)(values)
    replies = run(values.fill_in(example["command"]))
    assert [shape(value) for value in replies] == [shape(example["reply"])]
