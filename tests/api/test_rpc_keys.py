# SPDX-License-Identifier: AGPL-3.0-or-later
"""API keys by the RPC: system.manageApiKeys."""
import re

import pytest

from harness.process import wait_until
from harness.store import add_user, execute

METHOD = "system.manageApiKeys"
FIELDS = {"id", "account_id", "created", "name", "expire", "trunc", "last_active"}
TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
FUTURE = "2099-01-31T12:00:00.000Z"
NO_PERMISSION = "Error: user must be collaborator on project to manage project_id api keys"


def manage(hub, key, action, **more):
    return hub.method(key, METHOD, {"action": action, **more})


def refused(hub, key, action, **more):
    return hub.refusal(key, METHOD, {"action": action, **more})


def create(hub, key, **more):
    [made] = manage(hub, key, "create", **more)
    return made


def answers(hub, key):
    """Whether each of some calls is accepted; every loop of the hub is asked."""
    return ["now" in hub.rpc(key, "system.ping", {})[1] for _ in range(4)]


def works(hub, key):
    given = answers(hub, key)
    assert given in ([True] * 4, [False] * 4), given
    return given[0]


def stops(hub, key):
    """At once on one machine, when the notice of it has come on PostgreSQL."""
    if hub.database_url:
        wait_until(lambda: not any(answers(hub, key)), 60, "the key is refused")
    return not works(hub, key)


def test_creating(hub, account):
    made = create(hub, account)
    assert made.keys() == FIELDS | {"secret"}
    assert re.fullmatch("sk-[0-9a-zA-Z]{22}", made["secret"])
    assert made["trunc"] == f"sk-...{made['secret'][-6:]}" and made["account_id"] == account.id
    assert (made["name"], made["expire"], made["last_active"]) == (None, None, None)
    assert re.fullmatch(TIME, made["created"])
    assert works(hub, made["secret"])
    [listed] = manage(hub, account, "get")
    assert listed.keys() == FIELDS and made["secret"] not in str(listed)


def test_name_and_expiry(hub, account):
    made = create(hub, account, name="für é", expire=FUTURE)
    assert (made["name"], made["expire"]) == ("für é", FUTURE)
    again = create(hub, account, name="x" * 128, expire=None)
    assert (again["name"], again["expire"]) == ("x" * 128, None)


@pytest.mark.parametrize("more, error", [
    ({"name": "x" * 129}, "Error: a name may have 128 characters at most"),
    ({"expire": "tomorrow"}, "Error: expire must be a date, such as 2030-01-31T00:00:00.000Z"),
    ({"expire": 7}, "Error: expire must be a date, such as 2030-01-31T00:00:00.000Z"),
    ({"expire": {}}, "Error: expire must be a date, such as 2030-01-31T00:00:00.000Z"),
])
def test_what_no_key_is_made_of(hub, account, more, error):
    made = create(hub, account)
    assert refused(hub, account, "create", **more) == error
    assert refused(hub, account, "edit", id=made["id"], **more) == error
    assert [key["id"] for key in manage(hub, account, "get")] == [made["id"]]


def test_the_newest_comes_first(hub, account):
    ids = [create(hub, account)["id"] for _ in range(3)]
    assert [key["id"] for key in manage(hub, account, "get")] == ids[::-1]


def test_one_key(hub, account):
    first, _ = create(hub, account, name="one"), create(hub, account)
    [shown] = manage(hub, account, "get", id=first["id"])
    assert shown == {name: first[name] for name in FIELDS}
    for unknown in (first["id"] + 1000, 0, -1, 1.5, 2 ** 40, 1e300):
        assert manage(hub, account, "get", id=unknown) == []


def test_editing(hub, account):
    made = create(hub, account, name="one")
    assert manage(hub, account, "edit", id=made["id"], name="two") is None
    [shown] = manage(hub, account, "get")
    assert (shown["name"], shown["expire"]) == ("two", None)
    manage(hub, account, "edit", id=made["id"], expire=FUTURE)
    [shown] = manage(hub, account, "get")
    assert (shown["name"], shown["expire"]) == ("two", FUTURE)
    manage(hub, account, "edit", id=made["id"])
    assert manage(hub, account, "get") == [shown]
    manage(hub, account, "edit", id=made["id"], name="", expire=None)
    [shown] = manage(hub, account, "get")
    assert (shown["name"], shown["expire"]) == ("", None)
    assert works(hub, made["secret"])


def test_an_expiry_that_is_set_holds_at_once(hub, account):
    made = create(hub, account)
    assert works(hub, made["secret"])
    manage(hub, account, "edit", id=made["id"], expire="2020-01-31")
    assert stops(hub, made["secret"])
    wait_until(lambda: manage(hub, account, "get") == [], 60, "the key is deleted")


@pytest.mark.parametrize("number", [999999999, 0, -1, 1.5])
def test_editing_what_is_not_there(hub, account, number):
    assert refused(hub, account, "edit", id=number, name="x") == f"Error: no api key with id {number}"


def test_editing_without_an_id(hub, account):
    assert refused(hub, account, "edit", name="x") == "Error: id must be specified"


def test_deleting(hub, account):
    made, other = create(hub, account), create(hub, account)
    assert works(hub, made["secret"])
    assert manage(hub, account, "delete", id=made["id"]) is None
    assert stops(hub, made["secret"]) and works(hub, other["secret"])
    assert [key["id"] for key in manage(hub, account, "get")] == [other["id"]]
    for again in (made["id"], 0, 1.5, -3):
        assert manage(hub, account, "delete", id=again) is None
    assert manage(hub, account, "delete") is None
    assert works(hub, other["secret"])


@pytest.mark.parametrize("args", [{"action": "list"}, {"action": ""}, {}])
def test_other_actions_do_nothing(hub, account, args):
    assert hub.method(account, METHOD, args) is None
    assert manage(hub, account, "get") == []


def test_keys_of_others(hub, account):
    made, other = create(hub, account), hub.account()
    assert manage(hub, other, "get") == [] and manage(hub, other, "get", id=made["id"]) == []
    assert refused(hub, other, "edit", id=made["id"], name="mine") == f"Error: no api key with id {made['id']}"
    assert manage(hub, other, "delete", id=made["id"]) is None
    assert manage(hub, other, "get", account_id=account.id) == []
    assert works(hub, made["secret"]) and manage(hub, account, "get")[0]["name"] is None


def test_the_old_key_is_not_among_them(hub, account):
    [(number,)] = execute(hub, "SELECT id FROM api_keys WHERE account_id = ?", account.id)
    assert manage(hub, account, "get") == [] and manage(hub, account, "get", id=number) == []
    manage(hub, account, "delete", id=number)
    assert works(hub, account.key)


def test_a_key_makes_further_keys(hub, account):
    made = create(hub, create(hub, account)["secret"])
    assert works(hub, made["secret"]) and made["account_id"] == account.id


# ---- Of a project ----

def test_keys_of_a_project_are_its_collaborators(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "collaborator")
    mine, theirs = (create(hub, who, project_id=project) for who in (account, other))
    assert (mine["account_id"], theirs["account_id"]) == (account.id, other.id)
    for who in (account, other):
        assert [key["id"] for key in manage(hub, who, "get", project_id=project)] == [theirs["id"], mine["id"]]
        assert manage(hub, who, "get") == []
    assert manage(hub, account, "edit", project_id=project, id=theirs["id"], name="of the project") is None
    [shown] = manage(hub, other, "get", project_id=project, id=theirs["id"])
    assert shown["name"] == "of the project"
    assert manage(hub, account, "delete", project_id=project, id=theirs["id"]) is None
    assert hub.refusal(theirs["secret"], "system.test", {}, project="") == "must sign in as project or account"
    assert manage(hub, account, "get", project_id=project) == [{name: mine[name] for name in FIELDS}]


def test_a_key_is_looked_for_where_it_is(hub, account, project):
    own, of_project = create(hub, account), create(hub, account, project_id=project)
    assert manage(hub, account, "get", project_id=project, id=own["id"]) == []
    manage(hub, account, "delete", project_id=project, id=own["id"])
    assert works(hub, own["secret"])
    manage(hub, account, "delete", id=of_project["id"])  # the own key
    assert manage(hub, account, "get", project_id=project) == []


def test_what_a_key_of_a_project_is_good_for(hub, account, project):
    made = create(hub, account, project_id=project)
    assert hub.method(made["secret"], "system.test", {}, project="")["project_id"] == project
    assert "MUST provide an api key" in hub.refusal(made["secret"], METHOD, {"action": "get"})


@pytest.mark.parametrize("action", ["get", "create", "edit", "delete", "other"])
@pytest.mark.parametrize("who", ["stranger", "viewer", "administrator"])
def test_who_may_not(hub, account, project, action, who):
    other = hub.account(admin=who == "administrator")
    if who == "viewer":
        add_user(hub, project, other, "viewer")
    assert refused(hub, other, action, project_id=project, id=1) == NO_PERMISSION


def test_projects_that_are_none(hub, account):
    unknown = "cc3cb7f1-14f6-4a18-a803-5034af8c0004"
    assert refused(hub, account, "create", project_id=unknown) == NO_PERMISSION
    assert refused(hub, account, "get", project_id="x") == \
        "Error: invalid account_id or project_id -- all must be valid uuid's"


def test_as_many_keys_as_an_account_may_have(hub, account):
    """It has one."""
    execute(hub, "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 99998)"
            " INSERT INTO api_keys (account_id, kind, hash, trunc, created)"
            " SELECT ?, 'v2', ? || i, 'x', 1 FROM n", account.id, f"rpc {account.id}")
    create(hub, account)
    assert refused(hub, account, "create") == \
        "Error: There is a limit of 100000 per account; please delete some api keys."
    assert len(manage(hub, account, "get")) == 99999
    execute(hub, "DELETE FROM api_keys WHERE account_id = ? AND trunc = 'x'", account.id)
