# SPDX-License-Identifier: AGPL-3.0-or-later
"""Adding people to projects and taking them off: add_collaborator, remove_collaborator, invite tokens."""
import re

import pytest

from harness.pending import Pending
from harness.process import wait_until
from harness.server import CommandFailed
from harness.store import add_user, execute

MISSING = "12345678-1234-4234-8234-123456789012"
NO_TOKEN = "Error: Project invite token is not valid - "


def users(hub, project_id):
    return {account: entry["group"] for account, entry in hub.cli("project", "show", project_id)["users"].items()}


def error(reply):
    assert reply["event"] == "error", reply
    return reply["error"]


def make_token(hub, project_id, *options):
    return hub.cli("project", "invite-token", project_id, *options)["token"]


def counter(hub, token):
    return execute(hub, "SELECT counter FROM project_invite_tokens WHERE token = ?", token)[0][0]


# ---- add_collaborator, by right ----

def test_add_one(hub, account, project):
    other = hub.account()
    reply = hub.call("add_collaborator", key=account, project_id=project, account_id=other.id, id="mine")
    assert reply == {"event": "success", "id": "mine"}
    assert users(hub, project) == {account.id: "owner", other.id: "collaborator"}
    assert hub.call("touch_project", key=other, project_id=project)["event"] == "success"


def test_add_by_form(hub, account, project):
    other = hub.account()
    assert hub.api("add_collaborator", form={"project_id": project, "account_id": other.id},
                   key=account).json()["event"] == "success"
    assert users(hub, project)[other.id] == "collaborator"


def test_ids_in_upper_case_are_the_same(hub, account, project):
    other = hub.account()
    hub.call("add_collaborator", key=account, project_id=project.upper(), account_id=other.id.upper())
    assert users(hub, project)[other.id] == "collaborator"


def test_add_many(hub, account, project):
    second, one, two = hub.project(account), hub.account(), hub.account()
    reply = hub.call("add_collaborator", key=account, project_id=[project, second], account_id=[one.id, two.id])
    assert reply == {"event": "success", "id": reply["id"]}
    assert users(hub, project) == {account.id: "owner", one.id: "collaborator"}
    assert users(hub, second) == {account.id: "owner", two.id: "collaborator"}


def test_add_nobody(hub, account):
    assert hub.call("add_collaborator", key=account, project_id=[], account_id=[])["event"] == "success"


@pytest.mark.parametrize("group", ["owner", "collaborator", "viewer", "invited_collaborator", "invited_viewer"])
def test_who_is_on_the_project_stays_what_they_are(hub, account, project, group):
    other = hub.account()
    add_user(hub, project, other, group)
    assert hub.call("add_collaborator", key=account, project_id=project, account_id=other.id)["event"] == "success"
    assert users(hub, project)[other.id] == group


def test_no_right(hub, account, project):
    stranger = hub.account()
    assert error(hub.call("add_collaborator", key=stranger, project_id=project, account_id=stranger.id)) == (
        f"Error: user {stranger.id} does not have write access to project {project}")
    assert users(hub, project) == {account.id: "owner"}


@pytest.mark.parametrize("group", ["viewer", "invited_collaborator", "invited_viewer"])
def test_other_users_have_no_right(hub, project, group):
    other = hub.account()
    add_user(hub, project, other, group)
    assert error(hub.call("add_collaborator", key=other, project_id=project, account_id=other.id)) == (
        f"Error: user {other.id} does not have write access to project {project}")
    assert users(hub, project)[other.id] == group


def test_no_right_on_one_of_several(hub, account, project):
    foreign, other = hub.project(hub.account()), hub.account()
    reply = hub.call("add_collaborator", key=account, project_id=[project, foreign], account_id=[other.id] * 2)
    assert error(reply) == (
        f"Error: user {account.id} does not have write access to project {foreign}")
    assert users(hub, project) == {account.id: "owner"}


def test_project_that_does_not_exist(hub, account):
    assert error(hub.call("add_collaborator", key=account, project_id=MISSING, account_id=account.id)) == (
        f"Error: user {account.id} does not have write access to project {MISSING}")


def test_administrator_may(hub, project):
    admin, other = hub.account(admin=True), hub.account()
    assert hub.call("add_collaborator", key=admin, project_id=project, account_id=other.id)["event"] == "success"
    assert users(hub, project)[other.id] == "collaborator"


def test_malformed_project_id(hub, account):
    assert error(hub.call("add_collaborator", key=account, project_id="x", account_id=account.id)) == (
        "invalid project_id -- x")


def test_malformed_account_id(hub, account, project):
    assert error(hub.call("add_collaborator", key=account, project_id=project, account_id="x")) == (
        'Error: all account id\'s must be valid uuid\'s, but "x" is not')


def test_lengths_differ(hub, account, project):
    assert error(hub.call("add_collaborator", key=account, project_id=[project], account_id=[account.id] * 2)) == (
        "Error: accounts (of length 2) and projects (of length 1) must be arrays of the same length")


def test_no_project_at_all(hub, account):
    assert error(hub.call("add_collaborator", key=account, account_id=account.id)) == (
        'Error: all project id\'s must be valid uuid\'s (or empty), but "undefined" is not')


def test_account_that_does_not_exist(hub, account, project):
    assert error(hub.call("add_collaborator", key=account, project_id=project, account_id=MISSING)) == (
        f"account {MISSING} does not exist")


def test_pairs_before_one_that_fails_stay(hub, account, project):
    one, two = hub.account(), hub.account()
    reply = hub.call("add_collaborator", key=account, project_id=[project] * 3, account_id=[one.id, MISSING, two.id])
    assert error(reply) == f"account {MISSING} does not exist"
    assert users(hub, project) == {account.id: "owner", one.id: "collaborator"}


def test_too_many_at_once(hub, account, project):
    reply = hub.call("add_collaborator", key=account, project_id=[project] * 1001, account_id=[account.id] * 1001)
    assert error(reply) == "at most 1000 people can be added at once"


def test_a_thousand_at_once(hub, account, project):
    reply = hub.call("add_collaborator", key=account, project_id=[project] * 1000, account_id=[account.id] * 1000)
    assert reply["event"] == "success"


# ---- add_collaborator, by token ----

def test_token_lets_a_stranger_in(hub, account, project):
    token, stranger = make_token(hub, project), hub.account()
    reply = hub.call("add_collaborator", key=stranger, account_id=stranger.id, token_id=token)
    assert reply == {"event": "success", "id": reply["id"], "project_id": project}
    assert users(hub, project) == {account.id: "owner", stranger.id: "collaborator"}
    assert counter(hub, token) == 1


def test_tokens_in_a_list(hub, account, project):
    second, one, two = hub.project(account), hub.account(), hub.account()
    tokens = [make_token(hub, second), make_token(hub, project)]
    reply = hub.call("add_collaborator", key=one, account_id=[one.id, two.id], token_id=tokens)
    assert reply["project_id"] == [second, project]
    assert users(hub, second)[one.id] == users(hub, project)[two.id] == "collaborator"


def test_one_token_in_a_list_answers_a_list(hub, project):
    stranger = hub.account()
    reply = hub.call("add_collaborator", key=stranger, account_id=[stranger.id], token_id=[make_token(hub, project)])
    assert reply["project_id"] == [project]


def test_token_names_the_project(hub, account, project):
    other, stranger = hub.project(hub.account()), hub.account()
    reply = hub.call("add_collaborator", key=stranger, account_id=stranger.id, project_id=other,
                     token_id=make_token(hub, project))
    assert reply["project_id"] == project
    assert stranger.id not in users(hub, other)


@pytest.mark.parametrize("group", ["owner", "viewer", "invited_collaborator"])
def test_member_uses_up_no_token(hub, project, group):
    token, member = make_token(hub, project), hub.account()
    add_user(hub, project, member, group)
    assert hub.call("add_collaborator", key=member, account_id=member.id, token_id=token)["project_id"] == project
    assert (users(hub, project)[member.id], counter(hub, token)) == (group, 0)


def test_unknown_token(hub, account):
    assert error(hub.call("add_collaborator", key=account, account_id=account.id, token_id="nosuchtoken")) == NO_TOKEN


def test_expired_token(hub, project):
    token, stranger = make_token(hub, project, "--expires", "2020-01-01"), hub.account()
    assert error(hub.call("add_collaborator", key=stranger, account_id=stranger.id, token_id=token)) == (
        NO_TOKEN + "the token already expired")


def test_used_up_token(hub, project):
    token, first, second = make_token(hub, project, "--usage-limit", "1"), hub.account(), hub.account()
    assert hub.call("add_collaborator", key=first, account_id=first.id, token_id=token)["event"] == "success"
    assert error(hub.call("add_collaborator", key=second, account_id=second.id, token_id=token)) == (
        NO_TOKEN + "the token can only be used 1 times")
    assert second.id not in users(hub, project)


@pytest.mark.parametrize("option, value, detail", [
    ("--expires", "2020-01-01", "the token already expired"),
    ("--usage-limit", "0", "the token can only be used 0 times"),
])
def test_bad_token_is_refused_to_a_member_too(hub, account, project, option, value, detail):
    token = make_token(hub, project, option, value)
    assert error(hub.call("add_collaborator", key=account, account_id=account.id, token_id=token)) == NO_TOKEN + detail


def test_token_of_one_use_admits_one(hub, project):
    token, accounts = make_token(hub, project, "--usage-limit", "1"), [hub.account() for _ in range(8)]
    with Pending(hub, accounts[0]) as pending:
        calls = [pending.send("add_collaborator", account_id=account.id, token_id=token) for account in accounts]
        replies = pending.replies()
    events = sorted(replies[call]["event"] for call in calls)
    assert events == ["error"] * 7 + ["success"]
    assert len(users(hub, project)) == 2 and counter(hub, token) == 1


def test_token_of_one_use_twice_in_a_call(hub, account, project):
    token, one, two = make_token(hub, project, "--usage-limit", "1"), hub.account(), hub.account()
    assert error(hub.call("add_collaborator", key=one, account_id=[one.id, two.id], token_id=[token, token])) == (
        NO_TOKEN + "the token can only be used 1 times")
    assert users(hub, project) == {account.id: "owner", one.id: "collaborator"}


def test_token_is_not_used_up_for_nobody(hub, project):
    token = make_token(hub, project, "--usage-limit", "1")
    reply = hub.call("add_collaborator", account_id=MISSING, token_id=token)
    assert error(reply) == f"account {MISSING} does not exist"
    assert counter(hub, token) == 0


def test_null_among_tokens(hub, account, project):
    token = make_token(hub, project)
    reply = hub.call("add_collaborator", key=account, account_id=[account.id] * 2, token_id=[token, None])
    assert error(reply) == "Error: If tokens are specified, they must all be non-null."


def test_token_that_is_no_text(hub, account):
    response = hub.api("add_collaborator", json={"account_id": account.id, "token_id": 5})
    assert (response.status_code, response.json()["error"]) == (
        400, "invalid parameters 'TypeError: token_id must be a string or a list of strings'")


def test_empty_token_is_none(hub, account, project):
    other = hub.account()
    reply = hub.api("add_collaborator", key=account,
                    form={"account_id": other.id, "project_id": project, "token_id": ""}).json()
    assert reply == {"event": "success", "id": reply["id"]}


def test_lengths_of_accounts_and_tokens_differ(hub, account, project):
    token = make_token(hub, project)
    assert error(hub.call("add_collaborator", key=account, account_id=[account.id], token_id=[token, token])) == (
        "Error: accounts (of length 1) and projects (of length 2) must be arrays of the same length")


def test_malformed_project_beside_a_token(hub, account, project):
    reply = hub.call("add_collaborator", key=account, account_id=account.id, project_id="x",
                     token_id=make_token(hub, project))
    assert error(reply) == 'Error: all project id\'s must be valid uuid\'s (or empty), but "x" is not'


def test_token_of_a_purged_project(hub, account, project):
    token = make_token(hub, project)
    hub.cli("project", "delete", project, "--purge")
    assert error(hub.call("add_collaborator", key=account, account_id=account.id, token_id=token)) == NO_TOKEN


# ---- cohub project invite-token ----

def test_token_made_up(hub, project):
    made = hub.cli("project", "invite-token", project)
    assert re.fullmatch(r"[A-Za-z0-9]{24}", made["token"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["created"])
    assert made == {"token": made["token"], "project_id": project, "created": made["created"], "counter": 0}


def test_token_given_and_changed(hub, project):
    token = f"join-{project}"
    made = hub.cli("project", "invite-token", project, "--token", token, "--usage-limit", "3")
    changed = hub.cli("project", "invite-token", project, "--token", token, "--expires", "2030-01-02T03:04:05Z")
    assert changed == {**made, "expires": "2030-01-02T03:04:05.000Z"}


def test_token_of_another_project_is_not_taken_over(hub, account, project):
    token = make_token(hub, project)
    with pytest.raises(CommandFailed) as failed:
        hub.cli("project", "invite-token", hub.project(account), "--token", token)
    assert "the token belongs to another project" in failed.value.stderr


@pytest.mark.parametrize("options, text", [
    (["--token", ""], "an invite token has 1 to 254 characters"),
    (["--token", "x" * 255], "an invite token has 1 to 254 characters"),
    (["--expires", "soon"], "--expires is a time like 2027-01-31, 2027-01-31T12:00:00Z or 30d, not soon"),
    (["--usage-limit", "-1"], "--usage-limit is a number of people, not -1"),
])
def test_token_refused(hub, project, options, text):
    with pytest.raises(CommandFailed) as failed:
        hub.cli("project", "invite-token", project, *options)
    assert text in failed.value.stderr


def test_token_for_no_project(hub):
    with pytest.raises(CommandFailed) as failed:
        hub.cli("project", "invite-token", MISSING)
    assert f"no project {MISSING}" in failed.value.stderr


# ---- remove_collaborator ----

def test_remove(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    reply = hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id, id=7)
    assert reply == {"event": "success", "id": 7}
    assert users(hub, project) == {account.id: "owner"}
    assert error(hub.call("write_text_file_to_project", key=other, project_id=project, path="a", content="b")) == (
        f"User {other.id} does not have write access to project {project}")


def test_remove_oneself(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    assert hub.call("remove_collaborator", key=other, project_id=project, account_id=other.id)["event"] == "success"
    assert users(hub, project) == {account.id: "owner"}


@pytest.mark.parametrize("group", ["viewer", "invited_collaborator"])
def test_remove_who_is_no_collaborator_yet(hub, account, project, group):
    other = hub.account()
    add_user(hub, project, other, group)
    assert hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id)["event"] == "success"
    assert users(hub, project) == {account.id: "owner"}


@pytest.mark.parametrize("admin", [False, True])
def test_owner_is_not_removed(hub, account, project, admin):
    other = hub.account(admin=admin)
    add_user(hub, project, other, "collaborator")
    assert hub.call("remove_collaborator", key=other, project_id=project, account_id=account.id)["event"] == "success"
    assert users(hub, project)[account.id] == "owner"


def test_owner_does_not_remove_themself(hub, account, project):
    assert hub.call("remove_collaborator", key=account, project_id=project, account_id=account.id)["event"] == "success"
    assert users(hub, project) == {account.id: "owner"}


def test_remove_who_is_not_there(hub, account, project):
    assert hub.call("remove_collaborator", key=account, project_id=project, account_id=MISSING)["event"] == "success"


def test_remove_malformed(hub, account, project):
    assert error(hub.call("remove_collaborator", key=account, project_id=project, account_id="x")) == (
        "invalid account_id -- x")


@pytest.mark.parametrize("group", [None, "viewer", "invited_collaborator"])
def test_remove_without_right(hub, account, project, group):
    other = hub.account()
    if group:
        add_user(hub, project, other, group)
    assert error(hub.call("remove_collaborator", key=other, project_id=project, account_id=account.id)) == (
        f"User {other.id} does not have write access to project {project}")


def test_remove_from_a_malformed_project(hub, account):
    assert error(hub.call("remove_collaborator", key=account, project_id="x", account_id=account.id)) == (
        "Internal error determining user permission -- invalid project_id -- x")


def test_removing_takes_upgrades_along(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    execute(hub, "UPDATE project_users SET upgrades = '{\"memory\":1000}' WHERE account_id = ?", other.id)
    hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id)
    hub.call("add_collaborator", key=account, project_id=project, account_id=other.id)
    assert execute(hub, "SELECT upgrades FROM project_users WHERE account_id = ?", other.id) == [(None,)]


def test_running_project_loses_the_upgrades_of_who_is_removed(hub, account, project):
    def memory():
        return hub.cli("project", "show", project)["run_quota"]["memory_limit"]

    other = hub.account()
    add_user(hub, project, other, "collaborator")
    execute(hub, "UPDATE project_users SET upgrades = '{\"memory\":500}' WHERE account_id = ?", other.id)
    assert hub.exec(account, project, "true")["event"] == "project_exec_output"
    before = memory()
    hub.call("remove_collaborator", key=account, project_id=project, account_id=other.id)
    wait_until(lambda: memory() == before - 500, 60, "the quota is less")
