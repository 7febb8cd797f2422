# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every endpoint answers to every kind of caller.

ROWS has a row for each call: how it is made, and what each role gets. A role is a caller's relation to the project
that the call names; the strings stand for what comes: the reply's event, `event: text` for an error within it,
`error: text`, or `400: text`. CALLER, PROJECT and TARGET are put for ids that differ from run to run.
"""
import json
import os
import subprocess

import pytest

from harness.hub import Hub
from harness.server import COHUB
from harness.store import add_user, execute

NO_KEY = "400: You must provide authentication via an API key."
NO_ACCOUNT = "400: No account found. Is your API key wrong?"
BANNED = "400: User is BANNED.  If this is a mistake, please contact help@localhost"

# Relation to the project, from none to all; the administrator has none.
STRANGERS = ("other", "invited_collaborator", "invited_viewer")
READERS = ("viewer",)
WRITERS = ("collaborator", "owner", "administrator")
KEYED = STRANGERS + READERS + WRITERS


def everybody(outcome):
    return dict.fromkeys(KEYED, outcome)


def by_right(writers, viewer, strangers):
    return dict.fromkeys(STRANGERS, strangers) | dict.fromkeys(READERS, viewer) | dict.fromkeys(WRITERS, writers)


def writers_only(event, refusal):
    return by_right(event, refusal, refusal)


def administrator_only(event, refusal):
    return everybody(refusal) | {"administrator": event}


def owner_only(event, refusal):
    return everybody(refusal) | {"owner": event}


NOT_WRITABLE = "error: User CALLER does not have write access to project PROJECT"
NOT_READABLE = "error: User CALLER does not have read access to project PROJECT"
NO_TARGET = "error: ACCESS BLOCKED -- No write access to target project -- PROJECT"
NO_SOURCE = "error: ACCESS BLOCKED -- No read access to source project -- PROJECT"
LICENSE = "12345678-1234-4234-8234-123456789012"


def letter(w):
    return {"project_id": w.project, "to": w.new_address(), "email": "Hello", "title": "A title", "link2proj": ""}


# (event, variant, parameters as a function of the world, outcome by role, what a blank key gets)
ROWS = [
    ("get_usernames", "", lambda w: {"account_ids": [w.owner.id]}, everybody("usernames")),
    ("create_account", "", lambda w: {"email_address": w.new_address()}, everybody("account_created")),
    ("delete_account", "somebody else", lambda w: {"account_id": w.new_account()}, administrator_only(
        "account_deleted", "account_deleted: only the account itself or an administrator may delete account TARGET")),
    ("delete_account", "oneself", lambda w: {"account_id": w.caller.id}, everybody("account_deleted")),
    ("change_password", "the owner's", lambda w: {"account_id": w.owner.id, "old_password": "secret_word",
                                                  "new_password": "secret_word"},
     owner_only("changed_password", "changed_password: invalid old password")),
    ("forgot_password", "", lambda w: {"email_address": w.owner.email}, everybody("forgot_password_response")),
    ("reset_forgot_password", "with a code", lambda w: {"reset_code": w.reset_code(), "new_password": "secret_word"},
     everybody("reset_forgot_password_response")),
    ("reset_forgot_password", "without", lambda w: {"reset_code": LICENSE, "new_password": "secret_word"},
     everybody("reset_forgot_password_response: Password reset request is no longer valid.")),
    ("change_email_address", "the owner's", lambda w: {"account_id": w.owner.id, "new_email_address": w.new_address(),
                                                       "password": "secret_word"},
     owner_only("changed_email_address",
                "changed_email_address: account_id in mesg is not what user is signed in as")),
    ("unlink_passport", "", lambda w: {"strategy": "google", "id": "1"}, everybody("success")),
    ("project_exec", "", lambda w: {"project_id": w.project, "command": "true"},
     writers_only("project_exec_output", NOT_WRITABLE)),
    ("read_text_file_from_project", "", lambda w: {"project_id": w.project, "path": "file"},
     by_right("text_file_read_from_project", "text_file_read_from_project", NOT_READABLE)),
    ("read_text_file_from_project", "list", lambda w: {"project_id": [w.project], "path": ["file"]},
     by_right("text_file_read_from_project", "text_file_read_from_project", NOT_READABLE)),
    ("write_text_file_to_project", "", lambda w: {"project_id": w.project, "path": "new", "content": "x"},
     writers_only("file_written_to_project", NOT_WRITABLE)),
    ("create_project", "", lambda w: {}, everybody("project_created")),
    ("user_search", "", lambda w: {"query": "nobody at all"}, everybody("user_search_results")),
    ("user_search", "admin", lambda w: {"query": "nobody at all", "admin": True}, administrator_only(
        "user_search_results", "error: must be logged in and a member of the admin group")),
    ("add_license_to_project", "", lambda w: {"project_id": w.project, "license_id": LICENSE},
     writers_only("success", "error: must have write access to PROJECT -- must have write access")),
    ("remove_license_from_project", "", lambda w: {"project_id": w.project, "license_id": LICENSE},
     writers_only("success", "error: must have write access to PROJECT -- must have write access")),
    ("invite_collaborator", "", lambda w: {"project_id": w.project, "account_id": w.new_account()},
     writers_only("success", NOT_WRITABLE)),
    ("add_collaborator", "", lambda w: {"project_id": w.project, "account_id": w.caller.id},
     writers_only("success", "error: Error: user CALLER does not have write access to project PROJECT")),
    ("add_collaborator", "with a token", lambda w: {"account_id": w.new_account(), "token_id": w.invite_token()},
     everybody("success")),
    ("remove_collaborator", "", lambda w: {"project_id": w.project, "account_id": w.owner.id},
     writers_only("success", NOT_WRITABLE)),
    ("invite_noncloud_collaborators", "", letter, writers_only("invite_noncloud_collaborators_resp", NOT_WRITABLE)),
    ("copy_path_between_projects", "into it", lambda w: {"src_project_id": w.own_project(), "src_path": "file",
                                                         "target_project_id": w.project, "target_path": "copy"},
     writers_only("success", NO_TARGET)),
    ("copy_path_between_projects", "out of it", lambda w: {"src_project_id": w.project, "src_path": "file",
                                                           "target_project_id": w.own_project()},
     by_right("success", "success", NO_SOURCE)),
    ("copy_path_status", "one", lambda w: {"copy_path_id": w.scheduled_copy()},
     writers_only("copy_path_status_response", NO_TARGET)),
    ("copy_path_status", "of a source", lambda w: {"src_project_id": w.project},
     by_right("copy_path_status_response", "copy_path_status_response", NO_SOURCE)),
    ("copy_path_status", "of a target", lambda w: {"target_project_id": w.project},
     writers_only("copy_path_status_response", NO_TARGET)),
    ("copy_path_delete", "", lambda w: {"copy_path_id": w.scheduled_copy()},
     writers_only("copy_path_status_response", NO_TARGET)),
    ("ping", "", lambda w: {}, everybody("pong"), "pong"),
    ("public_get_directory_listing", "", lambda w: {"project_id": w.public_project(w.project), "path": "public"},
     everybody("public_directory_listing"), "public_directory_listing"),
    ("public_get_directory_listing", "nothing public", lambda w: {"project_id": w.private_project(), "path": ""},
     everybody("error: not_public"), "error: not_public"),
    ("public_get_text_file", "", lambda w: {"project_id": w.public_project(w.project), "path": "public/file"},
     everybody("public_text_file_contents"), "public_text_file_contents"),
    ("public_get_text_file", "not public", lambda w: {"project_id": w.public_project(w.project), "path": "file"},
     everybody("error: path 'file' of project with id 'PROJECT' is not public"),
     "error: path 'file' of project with id 'PROJECT' is not public"),
    ("copy_public_path_between_projects", "into it", lambda w: {
        "src_project_id": w.public_project(w.private_project()), "src_path": "public/file",
        "target_project_id": w.project, "target_path": "copy"},
     writers_only("success", "error: user must have write access to target project PROJECT")),
    ("copy_public_path_between_projects", "out of it", lambda w: {
        "src_project_id": w.public_project(w.project), "src_path": "public/file", "target_project_id": w.own_project()},
     everybody("success")),
    ("log_client_error", "", lambda w: {"error": "a test's"}, everybody("success")),
    ("create_support_ticket", "", lambda w: {"email_address": w.new_address(), "subject": "S", "body": "B"},
     everybody("support_ticket_url")),
    ("get_support_tickets", "", lambda w: {}, everybody("support_tickets")),
    ("query", "to read", lambda w: {"query": {"projects": {"project_id": w.project, "title": None}}},
     writers_only("query", "error: FATAL: you do not have read access to this project")),
    ("query", "to write", lambda w: {"query": {"projects": {"project_id": w.project, "title": "x"}}},
     writers_only("query", "error: FATAL: user must be an admin")),
    ("query", "an owner's", lambda w: {"query": {"projects_owner": {"project_id": w.project, "course": {}}}},
     everybody("error: FATAL: user must be an admin") | {"owner": "query", "administrator": "query"}),
    ("query", "an administrator's", lambda w: {"query": {"projects_admin": {"project_id": w.project, "title": None}}},
     administrator_only("query", "error: FATAL: user must be an admin")),
    ("user_auth", "with the password", lambda w: {"account_id": w.owner.id, "password": "secret_word"},
     everybody("user_auth_token")),
    ("user_auth", "without", lambda w: {"account_id": w.owner.id, "password": ""},
     administrator_only("user_auth_token", "error: incorrect password")),
    ("get_available_upgrades", "", lambda w: {}, everybody("available_upgrades")),
    ("touch_project", "", lambda w: {"project_id": w.project},
     writers_only("success", "error: unable to touch project PROJECT -- must have write access")),
    ("disconnect_from_project", "", lambda w: {"project_id": w.project},
     writers_only("success", "error: unable to disconnect from project PROJECT -- must have write access")),
]


class World:
    """A project with an owner, and what the calls of one row need. `caller` is who calls now. The accounts, by role,
    are those of other rows too, as long as nobody deletes them."""

    def __init__(self, hub, accounts):
        self.hub, self.accounts = hub, accounts
        self.owner = self._account("owner")
        self.project = hub.project(self.owner)
        self._write(self.owner, self.project, "file")
        self.published = set()
        self.caller = self.target = None

    def _write(self, account, project, path):
        reply = self.hub.call("write_text_file_to_project", key=account, project_id=project, path=path, content="x")
        assert reply["event"] == "file_written_to_project", reply

    def new_address(self):
        return f"{os.urandom(6).hex()}@example.net"

    def new_account(self):
        self.target = self.hub.call("create_account")["account_id"]
        return self.target

    def own_project(self):
        project = self.hub.project(self.caller)
        self._write(self.caller, project, "file")
        return project

    def private_project(self):
        return self.hub.project(self.owner)

    def public_project(self, project):
        """The project, with a public folder in it."""
        if project not in self.published:
            self._write(self.owner, project, "public/file")
            self.hub.cli("project", "publish", project, "public")
            self.published.add(project)
        return project

    def invite_token(self):
        return self.hub.cli("project", "invite-token", self.project)["token"]

    def reset_code(self):
        code = f"{os.urandom(4).hex()}-1234-4234-8234-123456789012"
        address = self.hub.account().email
        execute(self.hub, "INSERT INTO password_reset (id, email_address, expire) VALUES (?, ?, ?)", code, address,
                1 << 50)
        return code

    def scheduled_copy(self):
        reply = self.hub.call("copy_path_between_projects", key=self.owner, src_project_id=self.project,
                              src_path="file", target_project_id=self.project, target_path="later",
                              scheduled="2100-01-01")
        return reply["copy_path_id"]

    def _account(self, role):
        if role not in self.accounts:
            password = "secret_word" if role == "owner" else None
            self.accounts[role] = self.hub.account(password=password, admin=role == "administrator")
        return self.accounts[role]

    def begin(self, role):
        self.caller = self._account(role)
        if role not in ("other", "owner", "administrator"):
            add_user(self.hub, self.project, self.caller, role)

    def banned(self):
        account = self._account("banned")
        self.hub.cli("account", "ban", account.id)
        return account

    def end(self, role, outcome):
        if outcome == "account_deleted":
            del self.accounts[role]

    def outcome(self, response):
        body = response.json()
        if response.status_code != 200:
            text = f"{response.status_code}: {body['error']}"
        else:
            text = f"{body['event']}: {body['error']}" if body.get("error") else body["event"]
        ids = {"CALLER": self.caller and self.caller.id, "PROJECT": self.project, "TARGET": self.target}
        for word, id in ids.items():
            text = text.replace(id, word) if id else text
        return text


@pytest.fixture(scope="module")
def roles_hub(tmp_path_factory):
    """A hub of these tests' own: their calls come from one address, which for some is a limit."""
    hub = Hub(tmp_path_factory.mktemp("roles") / "data")
    hub.start()
    hub.accounts_by_role = {}
    yield hub
    hub.end()


@pytest.fixture
def world(roles_hub):
    yield World(roles_hub, roles_hub.accounts_by_role)
    roles_hub.check_log()


# ---- The tests ----

def call_as(world, event, parameters, role):
    world.begin(role)
    outcome = world.outcome(world.hub.api(event, json=parameters(world), key=world.caller))
    world.end(role, outcome)
    return outcome


def row_id(row):
    return f"{row[0]}-{row[1].replace(' ', '_')}" if row[1] else row[0]


def _events():
    """All endpoints, by the hub's own description."""
    described = subprocess.run([COHUB, "api"], capture_output=True, check=True).stdout
    return set(json.loads(described)["events"])


@pytest.mark.parametrize("row", [pytest.param(row, id=row_id(row)) for row in ROWS])
def test_with_a_key(world, row):
    event, _, parameters, expected = row[:4]
    assert {role: call_as(world, event, parameters, role) for role in KEYED} == expected


@pytest.mark.parametrize("row", [pytest.param(row, id=row_id(row)) for row in ROWS])
def test_without_an_account(world, row):
    event, _, parameters, _, *anonymous = row
    world.begin("other")
    sent, banned = parameters(world), world.banned()
    keys = {"no key": None, "blank key": "", "unknown key": "sk_abcdefQWERTY090900000000", "banned account": banned}
    assert {name: world.outcome(world.hub.api(event, json=sent, key=key)) for name, key in keys.items()} == {
        "no key": NO_KEY, "blank key": anonymous[0] if anonymous else NO_ACCOUNT, "unknown key": NO_ACCOUNT,
        "banned account": BANNED}


# Calls whose parameters are no texts; what they get of a form.
NOT_FORMS = {"query": "error: FATAL: invalid user_query of 'undefined' -- query must be an object"}


def as_form(parameters):
    pairs = []
    for name, value in parameters.items():
        listed = isinstance(value, list)
        pairs += [(f"{name}[]" if listed else name, "true" if one is True else json.dumps(one) if isinstance(one, dict) else one)
                  for one in (value if listed else [value])]
    return pairs


@pytest.mark.parametrize("row", [pytest.param(row, id=row_id(row)) for row in ROWS])
def test_as_a_form(world, row):
    event, _, parameters, expected = row[:4]
    world.begin("administrator")
    outcome = world.outcome(world.hub.api(event, form=as_form(parameters(world)), key=world.caller))
    world.end("administrator", outcome)
    assert outcome == NOT_FORMS.get(event, expected["administrator"])


@pytest.mark.parametrize("row", [pytest.param(row, id=row_id(row)) for row in ROWS])
def test_id_comes_back(world, row):
    event, _, parameters = row[:3]
    world.begin("administrator")
    sent = {"id": {"é": [None, 1.5, row_id(row)]}, **parameters(world)}
    response = world.hub.api(event, json=sent, key=world.caller)
    world.end("administrator", world.outcome(response))
    assert response.json()["id"] == sent["id"]


@pytest.mark.parametrize("event", ["metrics", "start_metrics"])
def test_not_over_http(world, event):
    refused = f"400: endpoint '{event}' is not part of the HTTP API"
    assert {role: call_as(world, event, lambda w: {}, role) for role in KEYED} == everybody(refused)
    assert world.outcome(world.hub.api(event, key=None)) == NO_KEY
    assert world.outcome(world.hub.api(event, key="")) == refused


def test_table_is_complete():
    assert {row[0] for row in ROWS} == _events()
