# SPDX-License-Identifier: AGPL-3.0-or-later
"""The RPC's addCollaborator, removeCollaborator, changeUserType, inviteCollaborator, inviteCollaboratorWithoutAccount."""
import concurrent.futures
import json

import pytest

from harness.mailbox import mail_to, mails
from harness.process import wait_until
from harness.rpc import Hub as Rpc
from harness.store import add_user, execute
from test_several import hubs, two  # noqa: F401: fixtures

MISSING = "12345678-1234-4234-8234-123456789012"
NOT_UUIDS = "Error: invalid account_id or project_id -- all must be valid uuid's"
OWNERS_ONLY = "OwnershipError: Only owners can manage collaborators when this setting is enabled"
LAST_OWNER = "OwnershipError: Cannot change the last owner to collaborator. At least one owner is required."


def rpc(hub, account, method, **opts):
    with Rpc(hub.url, account) as client:
        return client.call(f"projects.{method}", [{"opts": opts}])


def refusal(hub, account, method, **opts):
    with pytest.raises(RuntimeError) as raised:
        rpc(hub, account, method, **opts)
    return str(raised.value)


def users(hub, project):
    return {account: entry["group"] for account, entry in hub.cli("project", "show", project)["users"].items()}


def member(hub, project, group="collaborator"):
    account = hub.account()
    add_user(hub, project, account, group)
    return account


def log(hub, project):
    return [(account, json.loads(event)) for account, event in
            execute(hub, "SELECT account_id, event FROM project_log WHERE project_id = ? ORDER BY time", project)]


def token(hub, project, *options):
    return hub.cli("project", "invite-token", project, *options)["token"]


@pytest.fixture
def setting(hub):
    """Sets settings of the site, which are gone afterwards."""
    names = []

    def put(name, value):
        names.append(name)
        execute(hub, "INSERT INTO server_settings (name, value) VALUES (?, ?)", name, value)

    yield put
    for name in names:
        execute(hub, "DELETE FROM server_settings WHERE name = ?", name)


# ---- addCollaborator ----

def test_add_one(hub, account, project):
    other = hub.account()
    assert rpc(hub, account, "addCollaborator", project_id=project, account_id=other.id) == {"project_id": [project]}
    assert users(hub, project) == {account.id: "owner", other.id: "collaborator"}
    assert log(hub, project) == [(account.id, {"event": "invite_user", "invitee_account_id": other.id})]


def test_add_many(hub, account, project):
    second, one, two_ = hub.project(account), hub.account(), hub.account()
    with Rpc(hub.url, account) as client:
        assert client.projects.add_collaborator([project, second], [one.id, two_.id]) == {"project_id": [project, second]}
    assert users(hub, project) == {account.id: "owner", one.id: "collaborator"}
    assert users(hub, second) == {account.id: "owner", two_.id: "collaborator"}


@pytest.mark.parametrize("group", ["owner", "viewer"])
def test_who_is_on_it_stays_what_they_are(hub, account, project, group):
    other = member(hub, project, group)
    assert rpc(hub, account, "addCollaborator", project_id=project, account_id=other.id) == {"project_id": [project]}
    assert users(hub, project)[other.id] == group and log(hub, project) == []


def test_api_v1_writes_the_log_too(hub, account, project):
    other = hub.account()
    hub.call("add_collaborator", key=account, project_id=project, account_id=other.id)
    hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id)
    hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id)
    hub.call("invite_collaborator", key=account, project_id=project, account_id=other.id)
    hub.call("invite_collaborator", key=account, project_id=project, account_id=other.id)
    assert [event["event"] for _, event in log(hub, project)] == ["invite_user", "remove_collaborator", "invite_user"]


def test_the_first_failure_ends_it(hub, account, project):
    one, two_ = hub.account(), hub.account()
    assert refusal(hub, account, "addCollaborator", project_id=[project] * 3, account_id=[one.id, MISSING, two_.id]) == (
        f"Error: account {MISSING} does not exist")
    assert users(hub, project) == {account.id: "owner", one.id: "collaborator"}


@pytest.mark.parametrize("opts, text", [
    ({"project_id": "x"}, "Error: Invalid project_id: x"),
    ({"project_id": MISSING}, "OwnershipError: Project not found"),
    ({"account_id": ["x", MISSING]}, "Error: accounts (of length 2) and projects (of length 1) must be arrays of the same length"),
    ({"account_id": "x"}, 'Error: all account id\'s must be valid uuid\'s, but "x" is not'),
    ({"project_id": None, "token_id": [None]}, "Error: If tokens are specified, they must all be non-null."),
    ({"project_id": None, "token_id": "nosuchtoken"}, "Error: Project invite token is not valid - no such token"),
    ({"project_id": None, "token_id": 5}, "Error: token_id must be a string or a list of strings"),
    ({"token_id": "x"}, "Error: project_id must not be given with token_id"),
    ({"project_id": None}, 'Error: all project id\'s must be valid uuid\'s (or empty), but "undefined" is not'),
])
def test_add_refused(hub, account, project, opts, text):
    opts = {"project_id": project, "account_id": account.id, **opts}
    assert refusal(hub, account, "addCollaborator", **{name: value for name, value in opts.items() if value is not None}) == text
    assert users(hub, project) == {account.id: "owner"}


def test_without_opts(hub, account):
    with Rpc(hub.url, account) as client, pytest.raises(RuntimeError) as raised:
        client.call("projects.addCollaborator", [{"project_id": MISSING, "account_id": account.id}])
    assert "account_id" in str(raised.value)


def test_who_may_add(hub, account, project):
    stranger, other = hub.account(), hub.account()
    text = f"Error: user {stranger.id} does not have write access to project {project}"
    assert refusal(hub, stranger, "addCollaborator", project_id=project, account_id=other.id) == text
    assert refusal(hub, stranger, "addCollaborator", project_id=[project] * 2, account_id=[stranger.id] * 2) == text
    assert refusal(hub, stranger, "addCollaborator", project_id=project, account_id=stranger.id) == (
        f'Error: cannot add self to "{project}" -- must be an admin')
    rpc(hub, hub.account(admin=True), "addCollaborator", project_id=project, account_id=other.id)
    rpc(hub, other, "addCollaborator", project_id=project, account_id=stranger.id)
    assert users(hub, project) == {account.id: "owner", other.id: "collaborator", stranger.id: "collaborator"}


def test_oneself_to_a_project_of_ones_course(hub, account, project):
    teacher, student = hub.account(), hub.account()
    course = hub.project(teacher)
    execute(hub, "UPDATE projects SET course = ? WHERE project_id = ?", json.dumps({"project_id": course}), project)
    assert refusal(hub, student, "addCollaborator", project_id=project, account_id=student.id) == (
        f'Error: cannot add self to "{project}" -- must be owner or collaborator on course project')
    assert refusal(hub, teacher, "addCollaborator", project_id=project, account_id=student.id).startswith(f"Error: user {teacher.id}")
    rpc(hub, teacher, "addCollaborator", project_id=project, account_id=teacher.id.upper())
    assert users(hub, project) == {account.id: "owner", teacher.id: "collaborator"}


def test_sandbox_projects_accept_anybody(hub, account, project, setting):
    stranger = hub.account()
    execute(hub, "UPDATE projects SET sandbox = 1 WHERE project_id = ?", project)
    assert "cannot add self" in refusal(hub, stranger, "addCollaborator", project_id=project, account_id=stranger.id)
    setting("sandbox_projects_enabled", "yes")
    rpc(hub, stranger, "addCollaborator", project_id=project, account_id=stranger.id)
    assert users(hub, project)[stranger.id] == "collaborator"


@pytest.mark.parametrize("by_site", [False, True])
def test_where_only_owners_manage(hub, account, project, setting, by_site):
    other, admin, new = member(hub, project), hub.account(admin=True), hub.account()
    if by_site:
        setting("strict_collaborator_management", "yes")
    else:
        execute(hub, "UPDATE projects SET manage_users_owner_only = 1 WHERE project_id = ?", project)
    for method in ("addCollaborator", "inviteCollaborator"):
        assert refusal(hub, other, method, project_id=project, account_id=new.id) == OWNERS_ONLY
    assert hub.call("add_collaborator", key=other, project_id=project, account_id=new.id)["error"] == OWNERS_ONLY
    rpc(hub, account, "addCollaborator", project_id=project, account_id=new.id)
    assert refusal(hub, other, "removeCollaborator", project_id=project, account_id=new.id) == OWNERS_ONLY
    rpc(hub, admin, "addCollaborator", project_id=project, account_id=admin.id)
    rpc(hub, other, "removeCollaborator", project_id=project, account_id=other.id)
    assert users(hub, project) == {account.id: "owner", new.id: "collaborator", admin.id: "collaborator"}


# ---- Tokens ----

def test_tokens(hub, account, project):
    other, second = hub.account(), hub.project(account)
    one, once = token(hub, project), token(hub, second, "--usage-limit", "1")
    assert rpc(hub, other, "addCollaborator", account_id=other.id, token_id=one) == {"project_id": project}
    assert rpc(hub, other, "addCollaborator", account_id=[other.id] * 2, token_id=[one, once]) == {"project_id": [project, second]}
    assert users(hub, second)[other.id] == users(hub, project)[other.id] == "collaborator"
    for used in (one, once):
        assert execute(hub, "SELECT counter FROM project_invite_tokens WHERE token = ?", used) == [(1,)]
    assert refusal(hub, other, "addCollaborator", account_id=hub.account().id, token_id=once) == (
        "Error: Project invite token is not valid - the token can only be used 1 times")
    execute(hub, "UPDATE project_invite_tokens SET expires = 1 WHERE token = ?", one)
    assert refusal(hub, other, "addCollaborator", account_id=hub.account().id, token_id=one) == (
        "Error: Project invite token is not valid - the token already expired")


# ---- removeCollaborator ----

def test_remove(hub, account, project):
    other = member(hub, project)
    execute(hub, "UPDATE accounts SET first_name = 'Ada', last_name = 'Lovelace' WHERE account_id = ?", other.id)
    assert rpc(hub, account, "removeCollaborator", project_id=project, account_id=other.id) is None
    assert users(hub, project) == {account.id: "owner"}
    assert log(hub, project) == [(account.id, {"event": "remove_collaborator", "removed_name": "Ada Lovelace",
                                               "removed_account_id": other.id})]
    assert rpc(hub, account, "removeCollaborator", project_id=project, account_id=other.id) is None
    assert len(log(hub, project)) == 1


def test_who_may_remove(hub, account, project):
    other, admin = member(hub, project), hub.account(admin=True)
    for who, which in ((hub.account(), project), (admin, project), (account, MISSING), (member(hub, project, "viewer"), project)):
        assert refusal(hub, who, "removeCollaborator", project_id=which, account_id=other.id) == "Error: user must be a collaborator"
    assert refusal(hub, account, "removeCollaborator", project_id="x", account_id=other.id) == NOT_UUIDS
    assert refusal(hub, account, "removeCollaborator", project_id=project, account_id="x") == "Error: Invalid account_id: x"
    for who in (account, other):
        assert refusal(hub, who, "removeCollaborator", project_id=project, account_id=account.id) == (
            "OwnershipError: Cannot remove an owner. Demote to collaborator first.")
    rpc(hub, other, "removeCollaborator", project_id=project, account_id=other.id)
    assert other.id not in users(hub, project)


# ---- changeUserType ----

def test_change_user_type(hub, account, project):
    other = member(hub, project)
    assert rpc(hub, account, "changeUserType", project_id=project, target_account_id=other.id, new_group="owner") is None
    assert rpc(hub, other, "changeUserType", project_id=project, target_account_id=account.id, new_group="collaborator") is None
    assert users(hub, project) == {account.id: "collaborator", other.id: "owner"}
    rpc(hub, other, "changeUserType", project_id=project, target_account_id=account.id, new_group="collaborator")
    assert log(hub, project) == [
        (account.id, {"event": "change_collaborator_type", "target_account_id": other.id, "old_group": "collaborator",
                      "new_group": "owner"}),
        (other.id, {"event": "change_collaborator_type", "target_account_id": account.id, "old_group": "owner",
                    "new_group": "collaborator"})]
    rpc(hub, other, "removeCollaborator", project_id=project, account_id=account.id)
    assert users(hub, project) == {other.id: "owner"}


@pytest.mark.parametrize("opts, text", [
    ({"project_id": MISSING}, "OwnershipError: Project not found"),
    ({"project_id": "x"}, "Error: Invalid project_id: x"),
    ({"target_account_id": "x"}, "Error: Invalid account_id: x"),
    ({"target_account_id": MISSING}, "OwnershipError: Target user is not a member of this project"),
    ({"new_group": "viewer"}, "OwnershipError: New group must be either 'owner' or 'collaborator'"),
    ({"new_group": "collaborator"}, LAST_OWNER),
])
def test_change_user_type_refused(hub, account, project, opts, text):
    opts = {"project_id": project, "target_account_id": account.id, "new_group": "owner", **opts}
    assert refusal(hub, account, "changeUserType", **opts) == text
    assert users(hub, project) == {account.id: "owner"}


@pytest.mark.parametrize("group, text", [
    (None, "OwnershipError: Not a project member"),
    ("collaborator", "OwnershipError: Only project owners can change user types"),
    ("viewer", "OwnershipError: Only project owners can change user types"),
])
@pytest.mark.parametrize("admin", [False, True])
def test_only_owners_change_user_types(hub, account, project, group, text, admin):
    who = hub.account(admin=admin)
    if group:
        add_user(hub, project, who, group)
    assert refusal(hub, who, "changeUserType", project_id=project, target_account_id=account.id, new_group="owner") == text


def demote_each_other(hub_of, account, other, project):
    def demote(pair):
        hub, who = pair
        try:
            return rpc(hub, who, "changeUserType", project_id=project, target_account_id=who.id, new_group="collaborator")
        except RuntimeError as error:
            return str(error)

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(demote, [(hub_of(0), account), (hub_of(1), other)]))


def test_the_last_owner_stays(hub, account):
    for _ in range(10):
        project = hub.project(account)
        other = member(hub, project, "owner")
        answers = demote_each_other(lambda _: hub, account, other, project)
        assert set(answers) == {None, LAST_OWNER}, answers
        assert sorted(users(hub, project).values()) == ["collaborator", "owner"]


def test_the_last_owner_stays_with_two_hubs(two):  # noqa: F811
    account = two[0].account()
    for _ in range(10):
        project = two[0].project(account)
        other = member(two[0], project, "owner")
        answers = demote_each_other(lambda i: two[i], account, other, project)
        assert set(answers) == {None, LAST_OWNER}, answers
        assert sorted(users(two[0], project).values()) == ["collaborator", "owner"]


# ---- Inviting ----

def test_invite_an_account(hub, account, project):
    other = hub.account()
    assert rpc(hub, account, "inviteCollaborator", project_id=project, account_id=other.id) is None
    assert users(hub, project)[other.id] == "collaborator"
    assert log(hub, project) == [(account.id, {"event": "invite_user", "invitee_account_id": other.id})]
    text = {"email": "Here is what we talked about.", "title": "Class Project", "replyto_name": "John Smith"}
    rpc(hub, account, "inviteCollaborator", project_id=project, account_id=other.id, **text)
    assert "what we talked about" in str(mail_to(hub, other.email))
    rpc(hub, account, "inviteCollaborator", project_id=project, account_id=other.id, **text)
    sent = lambda: len({mail["id"] for mail in mails(hub, other.email)})  # noqa: E731
    assert sent() == 1
    (notes,) = execute(hub, "SELECT invite FROM projects WHERE project_id = ?", project)[0]
    aged = json.dumps({address: {**note, "time": "2020-01-01T00:00:00.000Z"} for address, note in json.loads(notes).items()})
    execute(hub, "UPDATE projects SET invite = ? WHERE project_id = ?", aged, project)
    rpc(hub, account, "inviteCollaborator", project_id=project, account_id=other.id, **text)
    wait_until(lambda: sent() == 2, 60, "a day later there is another")


@pytest.mark.parametrize("opts, text", [
    ({"account_id": "x"}, "Error: Invalid account_id: x"),
    ({"account_id": MISSING}, f"Error: account {MISSING} does not exist"),
    ({"project_id": "x"}, NOT_UUIDS),
    ({"project_id": MISSING}, "Error: user must be a collaborator"),
])
def test_invite_refused(hub, account, project, opts, text):
    assert refusal(hub, account, "inviteCollaborator", **{"project_id": project, "account_id": account.id, **opts}) == text


LETTER = {"title": "Class Project", "link2proj": "https://example.com/x", "email": "Please join."}


def test_invite_addresses(hub, account, project):
    other, address = hub.account(), f"new-{project}@example.com"
    assert rpc(hub, account, "inviteCollaboratorWithoutAccount", project_id=project, to=f"{other.email}; {address}", **LETTER) is None
    assert users(hub, project) == {account.id: "owner", other.id: "collaborator"}
    assert "Please join." in str(mail_to(hub, address))
    made = hub.call("create_account", key=account, email_address=address, password="correct horse")["account_id"]
    assert users(hub, project)[made] == "collaborator"


@pytest.mark.parametrize("to, text", [
    ("x" * 1025, "Error: Specify less recipients when adding collaborators to project."),
    ("nobody", "Error: invalid email address 'nobody'"),
    (f"{'x' * 125}@b.c", f"Error: email address must be at most 128 characters: '{'x' * 125}@b.c'"),
])
def test_invite_addresses_refused(hub, account, project, to, text):
    assert refusal(hub, account, "inviteCollaboratorWithoutAccount", project_id=project, to=to, **LETTER) == text


def test_who_may_invite(hub, account, project):
    for who in (hub.account(), hub.account(admin=True)):
        assert refusal(hub, who, "inviteCollaborator", project_id=project, account_id=account.id) == "Error: user must be a collaborator"
        assert refusal(hub, who, "inviteCollaboratorWithoutAccount", project_id=project, to="a@example.com", **LETTER) == (
            "Error: user must be a collaborator")
