# SPDX-License-Identifier: AGPL-3.0-or-later
"""The RPC's transport: who is let in, what a request and an answer look like, and what every method answers to every kind
of caller."""
import base64
import json
import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.process import wait_until
from harness.server import COHUB
from harness.store import add_user, execute

NO_KEY = "You must provide authentication via an API key."
NOT_SIGNED_IN = "must be signed in and MUST provide an api key (cookies are not allowed)"
NEITHER = "must sign in as project or account"
NO_PROJECT = "must specify project_id or use project-specific api key"
WRONG_PROJECT = "project specific api key must match requested project"
NOT_COLLABORATOR = "user must be a collaborator on the project"
NOT_UUIDS = "invalid account_id or project_id -- all must be valid uuid's"
MISSING = "12345678-1234-4234-8234-123456789012"


def b64(text):
    return base64.b64encode(text.encode()).decode()


def project_key(hub, account, project, *options):
    return hub.cli("key", "create", account.id, "--project", project, *options)["api_key"]


def send(hub, body, endpoint="hub", method="POST", headers=None, **options):
    content = body if isinstance(body, (bytes, str)) else json.dumps(body)
    return hub.client.request(method, f"{hub.url}/api/conat/{endpoint}", content=content,
                              headers={"Content-Type": "application/json", **(headers or {})}, **options)


def error(response):
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("application/json")
    value = response.json()
    assert list(value) == ["error"], value
    return value["error"]


# ---- Credentials (1.2) ----

@pytest.mark.parametrize("header", [
    "Basic {colon}", "Basic {password}", "Basic {alone}", "Basic   {colon}", "Bearer {key}", "Bearer    {key}",
])
def test_a_key_is_read_from(hub, account, header):
    value = header.format(key=account.key, colon=b64(account.key + ":"), password=b64(account.key + ":secret:x"),
                          alone=b64(account.key))
    response = send(hub, {"name": "system.test", "args": [{}]}, headers={"Authorization": value})
    assert response.json()["account_id"] == account.id


@pytest.mark.parametrize("endpoint", ["hub", "project"])
def test_without_authorization(hub, endpoint):
    assert error(send(hub, {"name": "system.ping"}, endpoint)) == NO_KEY


@pytest.mark.parametrize("endpoint", ["hub", "project"])
@pytest.mark.parametrize("scheme", ["basic", "BEARER", "Digest", "Basically"])
def test_another_scheme(hub, account, endpoint, scheme):
    response = send(hub, {"name": "system.ping"}, endpoint, headers={"Authorization": f"{scheme} {account.key}"})
    assert error(response) == f"Unknown authorization type '{scheme}'"


def signed_in(hub, account):
    """The cookies of a browser that is signed in as the account."""
    token = hub.method(hub.account(admin=True), "system.generateUserAuthToken", {"user_account_id": account.id})
    response = hub.client.get(f"{hub.url}/auth/impersonate", params={"auth_token": token})
    cookies = dict(response.cookies)
    hub.client.cookies.clear()
    assert any("remember_me" in name for name in cookies), response.text
    return {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}


def test_a_session_cookie_is_no_key(hub, account):
    """Not alone, and not beside a key that is not valid."""
    cookie = signed_in(hub, account)
    for endpoint in ("hub", "project"):
        assert error(send(hub, {"name": "system.ping"}, endpoint, headers=cookie)) == NO_KEY
    wrong = {**cookie, "Authorization": f"Basic {b64('sk-wrong:')}"}
    assert error(send(hub, {"name": "system.ping"}, "hub", headers=wrong)) == NOT_SIGNED_IN
    assert error(send(hub, {"name": "system.ping"}, "project", headers=wrong)) == NEITHER


def dead_key(hub, account, kind):
    if kind == "unknown":
        return "sk-0123456789abcdef00zzzz"
    if kind == "empty":
        return ""
    if kind == "password":
        return "secret"
    if kind == "banned":
        hub.cli("account", "ban", account.id)
        return account.key
    key = hub.cli("key", "create", account.id, "--expires", "2999-01-01")
    assert hub.method(key["api_key"], "system.test", {})["account_id"] == account.id
    if kind == "expired":
        execute(hub, "UPDATE api_keys SET expire = 1 WHERE id = ?", key["id"])
        hub.cli("account", "unban", account.id)  # the hub is told that accounts' keys changed
    else:
        hub.cli("key", "delete", str(key["id"]))
    wait_until(lambda: "error" in hub.rpc(key["api_key"], "system.ping", {})[1], 60, "the hub has heard of it")
    return key["api_key"]


@pytest.mark.parametrize("kind", ["unknown", "empty", "password", "banned", "expired", "revoked"])
def test_a_key_that_is_not_valid(hub, account, kind):
    key = dead_key(hub, account, kind)
    project = hub.project(hub.account())
    assert hub.refusal(key, "system.ping", {}) == NOT_SIGNED_IN
    assert hub.refusal(key, "system.ping", {}, project="") == NEITHER
    assert hub.refusal(key, "system.ping", {}, project=project) == NEITHER


def test_the_key_is_looked_at_before_the_method(hub):
    assert hub.refusal("sk-no", "no.method", timeout=None) == NOT_SIGNED_IN


# ---- Which project (1.2) ----

def test_an_account_key_names_the_project(hub, account, project):
    assert hub.method(account, "system.test", {}, project=project)["project_id"] == project
    assert hub.method(account, "system.test", {}, project=project.upper())["project_id"] == project


@pytest.mark.parametrize("target, text", [
    ({}, NO_PROJECT), ({"project_id": ""}, NO_PROJECT), ({"project_id": None}, NO_PROJECT),
    ({"project_id": "x"}, NOT_UUIDS), ({"project_id": 7}, NOT_UUIDS), ({"project_id": MISSING}, NOT_COLLABORATOR),
])
def test_an_account_key_with_another_target(hub, account, target, text):
    assert hub.refusal(account, "system.ping", {}, project="", **target) == text


def test_a_project_key(hub, account, project):
    """It needs no target, may name its own, and no other; the hub refuses it altogether."""
    key = project_key(hub, account, project)
    other = hub.project(account)
    for target in ({}, {"project_id": ""}, {"project_id": None}, {"project_id": project}, {"project_id": project.upper()}):
        value = hub.method(key, "system.test", {}, project="", **target)
        assert value["project_id"] == project and "account_id" not in value
    for target in (other, MISSING, "x"):
        assert hub.refusal(key, "system.test", {}, project="", project_id=target) == WRONG_PROJECT
    for name in ("system.ping", "system.test", "no.method"):
        assert hub.refusal(key, name, {}) == NOT_SIGNED_IN


@pytest.mark.parametrize("group, admin", [
    (None, False), ("viewer", False), ("invited_collaborator", False), ("invited_viewer", False), (None, True),
    ("viewer", True)])
def test_who_may_not_call_a_project(hub, account, project, group, admin):
    """An administrator neither."""
    caller = hub.account(admin=admin)
    if group:
        add_user(hub, project, caller, group)
    assert hub.refusal(caller, "system.ping", {}, project=project) == NOT_COLLABORATOR
    assert not hub.sandbox(project)


def test_a_project_key_ends_with_its_makers_membership(hub, account, project):
    maker = hub.account()
    add_user(hub, project, maker, "collaborator")
    key = project_key(hub, maker, project)
    assert hub.method(key, "system.test", {}, project="")["project_id"] == project
    hub.method(account, "projects.removeCollaborator", {"opts": {"project_id": project, "account_id": maker.id}})
    assert hub.refusal(key, "system.test", {}, project="") == NEITHER


# ---- The body (1.1) ----

@pytest.mark.parametrize("body", [b"{", b"{'name': 1}", b'{"name":"system.ping"} x', b"\xff", b'{"a":1,"a":2}'])
@pytest.mark.parametrize("endpoint", ["hub", "project"])
def test_what_is_no_json(hub, account, endpoint, body):
    assert send(hub, body, endpoint, auth=(account.key, "")).status_code == 400


def test_a_body_over_the_limit(hub_factory):
    hub = hub_factory(env={"COHUB_HTTP_BODY_SIZE_MAX": "2000000"})
    account = hub.account()
    body = json.dumps({"name": "system.ping", "args": [{"x": "a" * 1_900_000}]})
    assert "now" in send(hub, body, auth=(account.key, "")).json()
    assert send(hub, body + " " * 200_000, auth=(account.key, "")).status_code == 413


def test_a_megabyte_goes_in(hub, account):
    assert "now" in hub.method(account, "system.ping", {"x": "a" * 1_100_000})


@pytest.mark.parametrize("args", [{}, {"args": None}, {"args": []}, {"args": [None]}, {"args": [{}]}, {"args": [{}, 1]},
                                  {"args": [{"unknown": [1]}]}])
def test_arguments_that_may_be_missing(hub, account, args):
    assert "now" in send(hub, {"name": "system.ping", **args}, auth=(account.key, "")).json()


@pytest.mark.parametrize("args", ["x", 7, {}, ["x"], [7], [[]], [True]])
def test_arguments_that_are_none(hub, account, args):
    response = send(hub, {"name": "db.userQuery", "args": args}, auth=(account.key, ""))
    assert error(response).startswith("Error: ")


def test_unknown_members_count_for_nothing(hub, account):
    assert "now" in hub.method(account, "system.ping", {}, event="x", id=7, project_id=[], compute_server_id="y")


def test_an_account_id_among_the_arguments_counts_for_nothing(hub, account):
    assert hub.method(account, "system.test", {"account_id": MISSING})["account_id"] == account.id


@pytest.mark.parametrize("name, shown", [
    ("no.method", "no.method"), ("", ""), ("system", "system"), ("system.PING", "system.PING"),
    ("system.exec", "system.exec"), ("toString", "toString"), ("system.terminate", "system.terminate"),
    ("db.getLegacyTimeTravelPatches", "db.getLegacyTimeTravelPatches")])
def test_an_unknown_method_of_the_hub(hub, account, name, shown):
    assert hub.refusal(account, name, {}) == f"Error: unknown function '{shown}'"


def test_an_unknown_method_of_a_project(hub, account, project):
    for name in ("no.method", "projects.start", "sync.close", "system.terminate"):
        assert hub.refusal(account, name, {}, project=project) == f"Error: unknown function '{name}'"


def test_a_method_must_be_named(hub, account):
    for body in ({}, {"name": None}, {"name": 7}, {"args": [{}]}):
        assert error(send(hub, body, auth=(account.key, ""))).startswith("Error: unknown function '")


@pytest.mark.parametrize("endpoint", ["hub", "project"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH"])
def test_another_http_method_has_no_body(hub, account, endpoint, method):
    """It gets an error, not a status; the body is not looked at."""
    response = send(hub, {"name": "system.ping", "args": [{}]}, endpoint, method, auth=(account.key, ""))
    assert error(response)
    assert error(send(hub, "{", endpoint, method, auth=(account.key, "")))
    assert error(send(hub, {}, endpoint, method)) == NO_KEY


def test_other_addresses(hub, account):
    for path in ("hub/", "Hub", "hub/x", "projects", "hub%00"):
        assert send(hub, {"name": "system.ping"}, path, auth=(account.key, "")).status_code == 404


def test_a_compute_server(hub, account, project):
    """There are none; 0 is the project itself."""
    assert hub.method(account, "system.ping", {}, project=project, compute_server_id=0)["now"]
    assert hub.method(account, "system.ping", {}, project=project, compute_server_id=None)["now"]
    assert "compute server" in hub.refusal(account, "system.ping", {}, project=project, compute_server_id=3)


# ---- Below a base path, behind a proxy ----

def test_base_path(hub_factory):
    hub = hub_factory("--base-path", "/deep/er")
    account = hub.account()
    base = hub.url if hub.url.endswith("/deep/er") else hub.url + "/deep/er"
    body = {"name": "system.test", "args": [{}]}
    response = hub.client.post(f"{base}/api/conat/hub", json=body, auth=(account.key, ""))
    assert response.json()["account_id"] == account.id
    root = base.removesuffix("/deep/er")
    assert hub.client.post(f"{root}/api/conat/hub", json=body, auth=(account.key, "")).status_code == 404


def test_no_redirect(hub, account):
    assert not send(hub, {"name": "system.ping"}, auth=(account.key, "")).is_redirect


# ---- Time limits (1.1, 1.5, 1.6) ----

@pytest.mark.parametrize("timeout", [None, 0, -1, "5000"])
def test_a_timeout_that_is_none(hub, account, project, timeout):
    assert hub.refusal(account, "system.ping", {}, timeout=timeout) == (
        f"timeout must be positive - callHub: subject='hub.account.{account.id}.api', name='system.ping', "
        "code='undefined' ")
    assert hub.refusal(account, "system.ping", {}, project=project, timeout=timeout) == (
        f"timeout must be positive - callHub: subject='project.{project}.0.api.-', name='system.ping', "
        "code='undefined' ")


@pytest.mark.parametrize("timeout", [1e300, 120000, 0.5])
def test_other_timeouts(hub, account, timeout):
    assert hub.method(account, "system.ping", {}, timeout=timeout)["now"]


def test_the_body_says_how_long_its_caller_waits(hub, account, project):
    """Less than the command's own limit, which is less than what is waited otherwise."""
    text = hub.refusal(account, "system.exec", {"command": "sleep", "args": ["98123"], "timeout": 12}, project=project,
                       timeout=500)
    assert text.startswith("timeout - callHub: ")


def test_a_command_outlasts_its_caller(hub, account, project):
    """The answer comes when the body's time is over, and says so; the command goes on."""
    hub.method(account, "system.exec", {"command": "mkfifo gate", "bash": True}, project=project)
    home = hub.data / "projects" / project
    text = hub.refusal(account, "system.exec", {"command": "cat gate; echo done > after", "bash": True, "timeout": 100},
                       project=project, timeout=1000)
    assert text == (f"timeout - callHub: subject='project.{project}.0.api.-', name='system.exec', code='408' ")
    with open(home / "gate", "w") as gate:
        gate.write("go\n")
    wait_until(lambda: (home / "after").exists(), 60, "the command went on")


def test_calls_do_not_wait_for_each_other(hub, account, project):
    """A slow command of a project keeps no other call from its answer, and none of the same project."""
    hub.method(account, "system.exec", {"command": "mkfifo gate", "bash": True}, project=project)
    slow = {"command": "cat gate", "bash": True}
    with ThreadPoolExecutor(1) as other:
        answer = other.submit(hub.method, account, "system.exec", slow, project=project)
        with open(hub.data / "projects" / project / "gate", "w") as gate:  # the command runs
            assert hub.method(account, "system.ping", {}, project=project)["now"]
            assert hub.method(account, "system.exec", {"command": "true"}, project=project)["exit_code"] == 0
            assert not answer.done()
            gate.write("go\n")
        assert answer.result()["stdout"] == "go\n"


# ---- Every method, every caller ----

def described():
    return json.loads(subprocess.run([COHUB, "api", "--format", "rpc.json"], capture_output=True, check=True).stdout)


DESCRIBED = described()
HUB_METHODS = list(DESCRIBED["hub"]["methods"])
PROJECT_METHODS = list(DESCRIBED["project"]["methods"])
OTHERS = ("other", "viewer", "administrator")


class World:
    """A project and everybody who may want something of it."""

    def __init__(self, hub):
        self.hub = hub
        self.owner, self.collaborator, self.viewer, self.other = (hub.account() for _ in range(4))
        self.administrator = hub.account(admin=True)
        self.banned = hub.account()
        self.project = hub.project(self.owner)
        add_user(hub, self.project, self.collaborator, "collaborator")
        add_user(hub, self.project, self.viewer, "viewer")
        add_user(hub, self.project, self.banned, "collaborator")
        hub.cli("account", "ban", self.banned.id)
        revoked = hub.cli("key", "create", self.owner.id)
        hub.cli("key", "delete", str(revoked["id"]))
        expired = hub.cli("key", "create", self.owner.id, "--expires", "2999-01-01")
        execute(hub, "UPDATE api_keys SET expire = 1 WHERE id = ?", expired["id"])
        self.keys = {"no key": None, "bad key": "sk-0123456789abcdef00zzzz", "expired": expired["api_key"],
                     "revoked": revoked["api_key"], "banned": self.banned.key,
                     "project key": project_key(hub, self.owner, self.project)}

    def key(self, role):
        return self.keys[role] if role in self.keys else getattr(self, role).key


@pytest.fixture(scope="module")
def world(_session_hub):
    return World(_session_hub)


STRANGE = ("no key", "bad key", "expired", "revoked", "banned")


@pytest.mark.parametrize("method", HUB_METHODS)
def test_nobody_calls_the_hub_without_a_key_of_an_account(hub, world, method):
    answers = {role: hub.refusal(world.key(role), method) for role in (*STRANGE, "project key")}
    assert answers == dict.fromkeys(answers, NOT_SIGNED_IN) | {"no key": NO_KEY}


@pytest.mark.parametrize("method", PROJECT_METHODS)
def test_nobody_calls_a_project_without_a_key_for_it(hub, world, method):
    answers = {role: hub.refusal(world.key(role), method, project=world.project) for role in (*STRANGE, *OTHERS)}
    assert answers == dict.fromkeys(STRANGE, NEITHER) | dict.fromkeys(OTHERS, NOT_COLLABORATOR) | {"no key": NO_KEY}


@pytest.mark.parametrize("method", PROJECT_METHODS)
def test_who_reaches_a_projects_method(hub, world, method):
    """What comes is the method's own, without arguments mostly that some are missing."""
    for role in ("owner", "collaborator", "project key"):
        status, value = hub.rpc(world.key(role), method, project=world.project)
        text = value.get("error", "") if isinstance(value, dict) else ""
        assert status == 200 and text not in (NEITHER, NOT_COLLABORATOR, NO_PROJECT) and "unknown function" not in text


def in_project(refusal, allowed=("owner", "collaborator")):
    """Who does not work on the project is refused with this text."""
    refused = [role for role in ("other", "viewer", "administrator") if role not in allowed]
    return dict.fromkeys(refused, refusal)


def administrators_only(refusal):
    return dict.fromkeys(("other", "viewer", "collaborator", "owner"), refusal)


def project_id(w):
    return {"project_id": w.project}


def must_be(what):
    return in_project(f"Error: must be collaborator on project to {what}")


ORG_ADMIN = "Error: user must be an admin of the organization or site-admin"
PERMISSION = "Error: permission denied -- user must be collaborator on project"
# Of each method: its arguments, and who is refused by what. The others must not get any of these texts. CALLER and
# PROJECT are put for ids. Methods that end something name what is not there, so that the world stays as it is.
CASES = {
    "system.ping": (lambda w: {}, {}),
    "system.test": (lambda w: {}, {}),
    "system.getNames": (lambda w: [w.owner.id], {}),
    "system.userSearch": (lambda w: {"query": "x", "admin": True}, administrators_only(
        "Error: Must be an admin to do admin search.")),
    "system.getCustomize": (lambda w: [], {}),
    "system.manageApiKeys": (lambda w: {"action": "get", **project_id(w)}, in_project(
        "Error: user must be collaborator on project to manage project_id api keys")),
    "system.generateUserAuthToken": (lambda w: {"user_account_id": w.owner.id},
                                     administrators_only("Error: incorrect password")),
    "system.revokeUserAuthToken": (lambda w: "a" * 24, {}),
    "system.adminResetPasswordLink": (lambda w: {"user_account_id": w.owner.id}, administrators_only(
        "Error: must be an admin")),
    "system.sendEmailVerification": (lambda w: {}, {}),
    "system.deletePassport": (lambda w: {"strategy": "google", "id": "1"}, {}),
    "system.userTracking": (lambda w: {"event": "e", "value": {}}, {}),
    "system.logClientError": (lambda w: {"event": "e", "error": "x"}, {}),
    "system.webappError": (lambda w: {"name": "e", "message": "x"}, {}),
    "projects.createProject": (lambda w: {"title": "t"}, {}),
    "projects.addCollaborator": (
        lambda w: {"opts": {"project_id": w.project, "account_id": w.collaborator.id}},
        in_project("Error: user CALLER does not have write access to project PROJECT",
                   ("owner", "collaborator", "administrator"))),
    "projects.removeCollaborator": (lambda w: {"opts": {"project_id": w.project, "account_id": MISSING}},
                                    in_project("Error: user must be a collaborator")),
    "projects.inviteCollaborator": (
        lambda w: {"opts": {"project_id": w.project, "account_id": w.collaborator.id}},
        in_project("Error: user must be a collaborator")),
    "projects.inviteCollaboratorWithoutAccount": (
        lambda w: {"opts": {"project_id": w.project, "title": "t", "link2proj": "http://x", "to": "no address",
                            "email": "x"}},
        in_project("Error: user must be a collaborator")),
    "projects.changeUserType": (
        lambda w: {"opts": {"project_id": w.project, "target_account_id": w.owner.id, "new_group": "owner"}},
        dict.fromkeys(("viewer", "collaborator"), "OwnershipError: Only project owners can change user types")),
    "projects.setQuotas": (lambda w: {**project_id(w), "mintime": 1800}, administrators_only(
        "Error: Must be an admin to do admin search.")),
    "projects.copyPathBetweenProjects": (
        lambda w: {"src_project_id": w.project, "src_path": "a", "target_project_id": w.project, "target_path": "a"},
        in_project("Error: user must be collaborator on source project")),
    "projects.start": (project_id, must_be("start it")),
    "projects.stop": (project_id, must_be("stop it")),
    "projects.touch": (project_id, must_be("touch it")),
    "projects.state": (project_id, must_be("get state")),
    "projects.status": (project_id, must_be("get status")),
    "projects.deleteProject": (project_id, in_project("Error: must be an owner to delete a project",
                                                      ("owner", "collaborator", "administrator"))),
    "jupyter.kernels": (project_id, in_project(PERMISSION)),
    "jupyter.execute": (lambda w: {**project_id(w), "input": "1", "kernel": "no kernel"}, in_project(PERMISSION)),
    "sync.history": (lambda w: {**project_id(w), "path": "a"}, in_project(
        "Error: user must be collaborator on source project")),
    "db.userQuery": (
        lambda w: {"query": {"projects": {"project_id": w.project, "title": None}}},
        in_project("FATAL: you do not have read access to this project -- account_id=CALLER, project_id_=undefined",
                   ("owner", "collaborator", "administrator"))),
    "db.touch": (project_id, in_project("Error: user must be collaborator on project")),
    "db.fileUseTimes": (lambda w: {**project_id(w), "path": "a"}, in_project(
        "Error: user does not have read access to the given project",
        ("owner", "collaborator", "viewer", "administrator"))),
    "db.getLegacyTimeTravelInfo": (lambda w: {**project_id(w), "path": "a"}, in_project(
        "Error: user must be collaborator on project")),
    "db.removeBlobTtls": (lambda w: {"uuids": [MISSING]}, {}),
    "messages.send": (lambda w: {"to_ids": [w.owner.id], "subject": "s", "body": "b"}, {}),
    "messages.get": (lambda w: {}, {}),
    "org.getAll": (lambda w: {}, administrators_only("Error: must be a site admin")),
    "org.create": (lambda w: {"name": f"o-{os.urandom(5).hex()}"}, administrators_only(
        "Error: only admins may create organizations")),
    "org.get": (lambda w: {"name": "no-org"}, administrators_only(ORG_ADMIN)),
    "org.set": (lambda w: {"name": "no-org", "title": "t"}, administrators_only(ORG_ADMIN)),
    "org.addAdmin": (lambda w: {"name": "no-org", "user": w.banned.id}, administrators_only(
        "Error: only site admins can make a user an organization admin right now")),
    "org.addUser": (lambda w: {"name": "no-org", "user": MISSING}, administrators_only(
        "Error: only site admins can add/move a user to an org right now")),
    "org.createUser": (lambda w: {"name": "no-org", "email": f"{os.urandom(6).hex()}@test.local"},
                       administrators_only(ORG_ADMIN)),
    "org.createToken": (lambda w: {"user": MISSING}, {}),
    "org.expireToken": (lambda w: {"token": "a" * 24}, {}),
    "org.getUsers": (lambda w: {"name": "no-org"}, administrators_only(ORG_ADMIN)),
    "org.removeUser": (lambda w: {"name": "no-org", "user": MISSING}, administrators_only(ORG_ADMIN)),
    "org.removeAdmin": (lambda w: {"name": "no-org", "user": MISSING}, administrators_only(ORG_ADMIN)),
    "org.message": (lambda w: {"name": "no-org", "subject": "s", "body": "b"}, administrators_only(ORG_ADMIN)),
    "purchases.getBalance": (lambda w: {}, {}),
    "purchases.getMinBalance": (lambda w: {}, {}),
}
ROLES = ("other", "viewer", "collaborator", "owner", "administrator")


def test_every_method_has_a_case():
    assert set(HUB_METHODS) <= set(CASES)


@pytest.mark.parametrize("method", HUB_METHODS)
def test_who_may_call_a_method_of_the_hub(hub, world, method):
    arguments, refused = CASES[method]
    refusals = set(refused.values()) | {NOT_SIGNED_IN}
    for role in ROLES:
        caller = getattr(world, role)
        status, value = hub.rpc(caller, method, arguments(world))
        text = value.get("error", "") if isinstance(value, dict) else ""
        text = text.replace(caller.id, "CALLER").replace(world.project, "PROJECT")
        assert status == 200
        if role in refused:
            assert (role, text) == (role, refused[role])
        else:
            assert text not in refusals, f"{role}: {text}"
