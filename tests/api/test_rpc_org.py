# SPDX-License-Identifier: AGPL-3.0-or-later
"""org.* of the RPC (hub-rpc 2.8)."""
import concurrent.futures
import os
import re
import types

import pytest

from harness.queries import result
from harness.store import execute, execute_many

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
NEVER = "00000000-0000-4000-8000-000000000000"
NOT_ALLOWED = "Error: user must be an admin of the organization or site-admin"
DAY_MS = 24 * 3600 * 1000
ROLES = ["nobody", "member", "org_admin", "other_admin", "site_admin"]


def new_name(prefix="test-org"):
    return f"{prefix}-{os.urandom(6).hex()}"


def new_email():
    return f"u-{os.urandom(6).hex()}@test.local"


@pytest.fixture(scope="module")
def root(_session_hub):
    """An administrator of the site."""
    if not _session_hub.running():
        _session_hub.start()
    return _session_hub.account(admin=True)


@pytest.fixture
def org(hub, root):
    """The name of a new organization."""
    name = new_name()
    hub.method(root, "org.create", {"name": name})
    return name


def org_of(hub, account):
    return execute(hub, "SELECT org FROM accounts WHERE account_id = ?", getattr(account, "id", account))[0][0]


def join(hub, root, name, account):
    assert hub.method(root, "org.addUser", {"name": name, "user": account.id}) is None
    return account


def promote(hub, root, name, account):
    assert hub.method(root, "org.addAdmin", {"name": name, "user": account.id}) is None
    return account


def admins(hub, root, name):
    return hub.method(root, "org.get", {"name": name})["admin_account_ids"]


def members(hub, root, name):
    return {row["account_id"] for row in hub.method(root, "org.getUsers", {"name": name})}


@pytest.fixture
def roles(hub, root, org):
    other = new_name()
    hub.method(root, "org.create", {"name": other})
    return {"nobody": hub.account(), "member": join(hub, root, org, hub.account()),
            "org_admin": promote(hub, root, org, hub.account()),
            "other_admin": promote(hub, root, other, hub.account()), "site_admin": root}


# ---- Rights ----

OF_ORG = {"org_admin", "site_admin"}
OF_SITE = {"site_admin"}
RIGHTS = [
    ("getAll", {}, OF_SITE, "Error: must be a site admin"),
    ("create", {"name": new_name}, OF_SITE, "Error: only admins may create organizations"),
    ("get", {}, OF_ORG, NOT_ALLOWED),
    ("set", {"title": "T"}, OF_ORG, NOT_ALLOWED),
    ("addAdmin", {"user": "free"}, OF_SITE,
     "Error: only site admins can make a user an organization admin right now"),
    ("addUser", {"user": "free"}, OF_SITE, "Error: only site admins can add/move a user to an org right now"),
    ("createUser", {"email": new_email}, OF_ORG, NOT_ALLOWED),
    ("createToken", {"user": "member"}, OF_ORG, NOT_ALLOWED),
    ("expireToken", {"token": "x" * 24}, set(ROLES), None),
    ("getUsers", {}, OF_ORG, NOT_ALLOWED),
    ("removeUser", {"user": "member"}, OF_ORG, NOT_ALLOWED),
    ("removeAdmin", {"user": "org_admin"}, OF_ORG, NOT_ALLOWED),
    ("message", {"subject": "s", "body": "b"}, OF_ORG, NOT_ALLOWED),
]


@pytest.mark.parametrize("method, parameters, allowed, text", RIGHTS, ids=[row[0] for row in RIGHTS])
def test_who_may(hub, org, roles, method, parameters, allowed, text):
    people = {**roles, "free": hub.account()}
    for role in ROLES:  # administrators last, whose calls change something
        given = {"name": org} | {name: value() if callable(value) else
                                 people[value].id if value in people else value
                                 for name, value in parameters.items()}
        status, value = hub.rpc(roles[role], f"org.{method}", given)
        assert status == 200
        refused = isinstance(value, dict) and "error" in value
        assert refused == (role not in allowed), (role, value)
        assert not refused or value == {"error": text}, role


def test_rights_end_at_once(hub, root, org, roles):
    admin = roles["org_admin"]
    assert hub.method(admin, "org.get", {"name": org})["name"] == org
    assert hub.method(admin, "org.removeAdmin", {"name": org, "user": admin.id}) is None
    assert hub.refusal(admin, "org.get", {"name": org}) == NOT_ALLOWED


def test_who_is_no_admin_learns_nothing_of_what_exists(hub, org, roles):
    for method in ("get", "getUsers"):
        assert hub.refusal(roles["nobody"], f"org.{method}", {"name": new_name()}) == NOT_ALLOWED
    assert hub.refusal(roles["member"], "org.removeUser", {"name": org, "user": NEVER}) == NOT_ALLOWED
    assert hub.refusal(roles["member"], "org.removeAdmin", {"name": org, "user": NEVER}) == NOT_ALLOWED


def test_an_id_in_the_arguments_gives_no_rights(hub, root, org, roles):
    assert hub.refusal(roles["nobody"], "org.get", {"name": org, "account_id": root.id}) == NOT_ALLOWED


# ---- create, getAll ----

def test_a_new_organization(hub, root):
    name = new_name()
    assert UUID.fullmatch(hub.method(root, "org.create", {"name": name}))
    assert hub.method(root, "org.get", {"name": name}) == {
        "name": name, "title": None, "description": None, "link": None, "email_address": None,
        "admin_account_ids": None}
    assert hub.method(root, "org.getUsers", {"name": name}) == []
    assert {"name": name, "title": None, "admin_account_ids": None} in hub.method(root, "org.getAll", {})


@pytest.mark.parametrize("name", ["test-org-1700000000-ab12cd34", "A b--c/ö", "x" * 39, "ä" * 39])
def test_names_need_not_be_user_names(hub, root, name):
    name = name[:32] + os.urandom(3).hex() + name[38:]
    hub.method(root, "org.create", {"name": name})
    assert hub.method(root, "org.get", {"name": name})["name"] == name


@pytest.mark.parametrize("name, text", [
    ("", "Error: name must have 1 to 39 characters"), ("x" * 40, "Error: name must have 1 to 39 characters"),
    ("x" * 500000, "Error: name must have 1 to 39 characters"), (None, "Error: name must be specified"),
    (7, "Error: name must be a string"), (["x"], "Error: name must be a string")])
def test_a_name_that_it_cannot_have(hub, root, name, text):
    assert hub.refusal(root, "org.create", {"name": name}) == text


@pytest.mark.parametrize("method", ["create", "get", "addUser"])
def test_names_hold_no_nul(hub, root, method):
    response = hub.rpc(root, f"org.{method}", {"name": "a\0b", "user": root.id}, raw=True)
    assert response.status_code == 400 and "error" in response.json()


def test_names_are_unique(hub, root, org):
    mine = f"me-{os.urandom(6).hex()}"
    assert result(hub, hub.account(), {"accounts": {"name": mine}}) == {}
    for name in (org, org.upper(), mine, mine.upper()):
        assert hub.refusal(root, "org.create", {"name": name}) == \
            f"Error: name {name} is already used by some account or organization"


def together(hub, calls):
    """The values that so many calls at once are answered with."""
    with concurrent.futures.ThreadPoolExecutor(len(calls)) as pool:
        return [future.result()[1] for future in [pool.submit(hub.rpc, *call) for call in calls]]


def test_only_one_gets_a_name(hub, root):
    name = new_name()
    values = together(hub, [(root, "org.create", {"name": name})] * 8)
    assert len([value for value in values if isinstance(value, str)]) == 1
    assert {value["error"] for value in values if isinstance(value, dict)} == {
        f"Error: name {name} is already used by some account or organization"}


# ---- get, set ----

def test_what_it_says_of_itself(hub, root, org, roles):
    admin = roles["org_admin"]
    first = {"title": "T", "description": "D", "email_address": "o@test.local", "link": "https://x.test.local"}
    assert hub.method(root, "org.set", {"name": org, **first}) is None
    second = {"title": "é" * 254, "description": "", "link": None}
    assert hub.method(admin, "org.set", {"name": org, **second}) is None
    assert hub.method(admin, "org.get", {"name": org}) == {
        "name": org, **first, "title": "é" * 254, "description": "", "admin_account_ids": [admin.id]}
    assert {"name": org, "title": "é" * 254, "admin_account_ids": [admin.id]} in hub.method(root, "org.getAll", {})


def test_nothing_to_set(hub, root, org):
    assert hub.method(root, "org.set", {"name": org}) is None
    assert hub.method(root, "org.set", {"name": new_name(), "title": "x"}) is None


@pytest.mark.parametrize("field", ["title", "description", "email_address", "link"])
def test_what_it_cannot_say(hub, root, org, field):
    assert hub.refusal(root, "org.set", {"name": org, field: "x" * 255}) == \
        f"Error: {field} must have at most 254 characters"
    assert hub.refusal(root, "org.set", {"name": org, field: 7}) == f"Error: {field} must be a string"


def test_there_is_none(hub, root, org):
    name = new_name()
    assert hub.refusal(root, "org.get", {"name": name}) == f"Error: no org named '{name}'"
    assert hub.refusal(root, "org.get", {"name": org.upper()}) == f"Error: no org named '{org.upper()}'"
    assert hub.method(root, "org.getUsers", {"name": name}) == []


def test_its_members_read_it_by_queries_too(hub, root):
    name, me = new_name(), hub.account()
    organization = hub.method(root, "org.create", {"name": name})
    promote(hub, root, name, me)
    hub.method(me, "org.set", {"name": name, "title": "T"})
    row = result(hub, me, {"organizations": {"organization_id": organization, "name": None, "title": None}})
    assert row == {"organizations": {"organization_id": organization, "name": name, "title": "T"}}


# ---- addAdmin, removeAdmin ----

def test_admins_come_and_go(hub, root, org):
    me = hub.account()
    for user in (me.id, me.email, me.id.upper(), me.email.upper()):  # once, whoever names them how often
        assert hub.method(root, "org.addAdmin", {"name": org, "user": user}) is None
    assert admins(hub, root, org) == [me.id] and org_of(hub, me) == org
    assert hub.method(root, "org.removeAdmin", {"name": org, "user": me.email}) is None
    assert admins(hub, root, org) == [] and org_of(hub, me) == org
    assert hub.method(root, "org.removeAdmin", {"name": org, "user": me.id}) is None


def test_add_admin_says_first_what_is_wrong_with_the_account(hub, root, org, roles):
    for who in (roles["nobody"], root):
        for user in (NEVER, "x", "", "nobody@test.local"):
            assert hub.refusal(who, "org.addAdmin", {"name": org, "user": user}) == \
                f"Error: no such account '{user}'"
        other = roles["other_admin"]
        assert hub.refusal(who, "org.addAdmin", {"name": org, "user": other.id}) == \
            f"Error: User '{other.id}' is already member of another organization"
    assert admins(hub, root, org) == [roles["org_admin"].id]


def test_nobody_is_admin_of_nothing(hub, root):
    me, name = hub.account(), new_name()
    assert hub.refusal(root, "org.addAdmin", {"name": name, "user": me.id}) == f"Error: no org named '{name}'"
    assert org_of(hub, me) is None


def test_deleted_accounts_become_nothing(hub, root, org):
    me = hub.account()
    hub.cli("account", "delete", me.id)
    assert hub.refusal(root, "org.addAdmin", {"name": org, "user": me.id}) == f"Error: no such account '{me.id}'"
    assert hub.refusal(root, "org.addUser", {"name": org, "user": me.id}) == f"Error: cannot find user '{me.id}'"


def test_deleted_admins_can_be_removed(hub, root, org):
    me = promote(hub, root, org, hub.account())
    hub.cli("account", "delete", me.id)
    assert members(hub, root, org) == set()
    assert hub.method(root, "org.removeAdmin", {"name": org, "user": me.id}) is None
    assert hub.method(root, "org.removeUser", {"name": org, "user": me.id}) is None
    assert admins(hub, root, org) == [] and org_of(hub, me) is None


def test_many_become_admins_at_once(hub, root, org):
    people = [hub.account() for _ in range(8)]
    values = together(hub, [(root, "org.addAdmin", {"name": org, "user": one.id}) for one in people] * 2)
    assert values == [None] * 16
    assert sorted(admins(hub, root, org)) == sorted(one.id for one in people)


def test_there_are_not_too_many_admins(hub, root, org):
    ids = ",".join(f'"{number:08x}-0000-4000-8000-000000000000"' for number in range(1000))
    execute(hub, "UPDATE organizations SET admin_account_ids = ? WHERE name = ?", f"[{ids}]", org)
    me = hub.account()
    assert hub.refusal(root, "org.addAdmin", {"name": org, "user": me.id}) == \
        "Error: an organization can have at most 1000 admins"
    assert org_of(hub, me) is None


@pytest.mark.parametrize("method", ["removeAdmin", "removeUser", "addUser"])
def test_a_user_who_cannot_be_found(hub, root, org, method):
    for user in (NEVER, "x", "", "nobody@test.local"):
        assert hub.refusal(root, f"org.{method}", {"name": org, "user": user}) == f"Error: cannot find user '{user}'"
    long = "x" * 100000
    assert hub.refusal(root, f"org.{method}", {"name": org, "user": long}).startswith("Error: cannot find user 'xxx")


# ---- addUser, removeUser ----

def test_users_move(hub, root, org, roles):
    """What the public suites do: an admin of one becomes one of another."""
    me = roles["other_admin"]
    other = org_of(hub, me)
    assert "already member of another organization" in hub.refusal(root, "org.addAdmin", {"name": org, "user": me.id})
    assert hub.method(root, "org.addUser", {"name": org, "user": me.email}) is None
    assert org_of(hub, me) == org and members(hub, root, other) == set() and admins(hub, root, other) == []
    assert hub.refusal(me, "org.get", {"name": other}) == NOT_ALLOWED
    promote(hub, root, org, me)
    assert hub.method(me, "org.get", {"name": org})["admin_account_ids"] == [roles["org_admin"].id, me.id]
    join(hub, root, org, me)  # where one is already
    assert me.id in admins(hub, root, org)


def test_users_join_what_need_not_exist(hub, root):
    me, name = hub.account(), new_name()
    join(hub, root, name, me)
    assert org_of(hub, me) == name and members(hub, root, name) == {me.id}
    for wrong in ("", "x" * 40):
        assert hub.refusal(root, "org.addUser", {"name": wrong, "user": me.id}) == \
            "Error: name must have 1 to 39 characters"
    hub.method(root, "org.create", {"name": name})
    assert members(hub, root, name) == {me.id}


def test_users_leave(hub, root, org, roles):
    admin, member, other = roles["org_admin"], roles["member"], roles["other_admin"]
    assert hub.refusal(admin, "org.removeUser", {"name": org, "user": admin.email}) == \
        "Error: admin cannot be removed from org; first remove them from being an admin"
    assert hub.method(admin, "org.removeUser", {"name": org, "user": member.email.upper()}) is None
    assert org_of(hub, member) is None and members(hub, root, org) == {admin.id}
    was = org_of(hub, other)
    for who in (admin, root):  # only out of one's own
        assert hub.method(who, "org.removeUser", {"name": org, "user": other.id}) is None
        assert org_of(hub, other) == was


def test_members(hub, root, org, roles):
    silent = hub.account()
    execute(hub, "UPDATE accounts SET org = ?, first_name = NULL, last_name = NULL, email_address = NULL,"
            " last_active = NULL WHERE account_id = ?", org, silent.id)
    rows = {row["account_id"]: row for row in hub.method(roles["org_admin"], "org.getUsers", {"name": org})}
    assert set(rows) == {silent.id, roles["member"].id, roles["org_admin"].id}
    assert rows[silent.id] == {"first_name": None, "last_name": None, "account_id": silent.id, "email_address": None,
                               "last_active": None}
    execute(hub, "UPDATE accounts SET last_active = 1600000000123 WHERE account_id = ?", roles["member"].id)
    rows = {row["account_id"]: row for row in hub.method(root, "org.getUsers", {"name": org})}
    assert rows[roles["member"].id] == {
        "first_name": "Ada", "last_name": "Lovelace", "account_id": roles["member"].id,
        "email_address": roles["member"].email, "last_active": "2020-09-13T12:26:40.123Z"}


def test_ten_thousand_members(hub, root):
    name, tail = new_name(), os.urandom(6).hex()
    execute_many(hub, "INSERT INTO accounts (account_id, created, org) VALUES (?, 1, ?)",
                 [(f"{number:08x}-0000-4000-8000-{tail}", name) for number in range(10000)])
    assert len(hub.method(root, "org.getUsers", {"name": name})) == 10000


# ---- createUser ----

def create_user(hub, who, name, email=None, **more):
    return hub.method(who, "org.createUser", {"name": name, "email": email or new_email(), **more})


def row_of(hub, account_id):
    columns = "email_address, first_name, last_name, org, owner_id, password_hash, created_by"
    values = execute(hub, f"SELECT {columns} FROM accounts WHERE account_id = ?", account_id)[0]
    return types.SimpleNamespace(**dict(zip(columns.split(", "), values)))


def projects_of(hub, account_id):
    return execute(hub, "SELECT p.title, p.state, u.\"group\" FROM projects p JOIN project_users u"
                   " ON u.project_id = p.project_id WHERE u.account_id = ?", account_id)


@pytest.mark.parametrize("role", ["org_admin", "site_admin"])
def test_a_new_user(hub, org, roles, role):
    first, last, email = f"Fst{os.urandom(4).hex()}", f"Lst{os.urandom(4).hex()}", new_email()
    account_id = create_user(hub, roles[role], org, email.upper(), firstName=first, lastName=last)
    assert UUID.fullmatch(account_id)
    row = row_of(hub, account_id)
    assert (row.email_address, row.first_name, row.last_name, row.org, row.owner_id, row.created_by) == \
        (email, first, last, org, roles[role].id, None)
    assert row.password_hash.startswith("$argon2id$")
    assert projects_of(hub, account_id) == [("My First Project", "opened", "owner")]
    for query in (email, first, last, account_id):
        assert [one["account_id"] for one in hub.method(roles["nobody"], "system.userSearch", {"query": query})] == \
            [account_id]


def test_a_new_user_without_names(hub, root, org):
    row = row_of(hub, create_user(hub, root, org))
    assert row.first_name is None and row.last_name is None


def test_a_new_user_s_password(hub, root, org):
    email = new_email()
    account_id = create_user(hub, root, org, email, password="secret_password")
    token = {"user_account_id": account_id, "password": "secret_password"}
    assert len(hub.method(hub.account(), "system.generateUserAuthToken", token)) == 24


def test_site_admins_name_what_does_not_exist(hub, root, roles):
    name = new_name()
    account_id = create_user(hub, root, name)
    assert row_of(hub, account_id).org == name and members(hub, root, name) == {account_id}
    assert hub.refusal(root, "org.get", {"name": name}) == f"Error: no org named '{name}'"
    assert hub.refusal(roles["org_admin"], "org.createUser", {"name": name, "email": new_email()}) == NOT_ALLOWED


@pytest.mark.parametrize("fields, text", [
    ({"email": ""}, "Error: email must not be empty"), ({"email": None}, "Error: email must be specified"),
    ({"email": "x"}, "Error: Email address does not appear to be valid."),
    ({"email": "a b@test.local"}, "Error: Email address does not appear to be valid."),
    ({"email": "x" * 300 + "@test.local"}, "Error: Email address does not appear to be valid."),
    ({"email": 7}, "Error: email must be a string"),
    ({"password": "short"}, "Error: Password must be between 6 and 64 characters in length."),
    ({"password": "x" * 65}, "Error: Password must be between 6 and 64 characters in length."),
    ({"name": ""}, "Error: name must have 1 to 39 characters"),
    ({"name": "x" * 40}, "Error: name must have 1 to 39 characters")])
def test_who_cannot_be_made(hub, root, org, fields, text):
    before = execute(hub, "SELECT count(*) FROM accounts")
    assert hub.refusal(root, "org.createUser", {"name": org, "email": new_email(), **fields}) == text
    assert execute(hub, "SELECT count(*) FROM accounts") == before


def test_names_are_bounded(hub, root, org):
    text = hub.refusal(root, "org.createUser", {"name": org, "email": new_email(), "firstName": "x" * 255})
    assert text.startswith("Error: ") and "at most 254 characters" in text


def test_an_address_that_is_taken(hub, root, org):
    me = hub.account()
    for email in (me.email, me.email.upper()):
        assert hub.refusal(root, "org.createUser", {"name": org, "email": email}) == \
            "Error: This e-mail address is already taken."
    assert org_of(hub, me) is None


def test_only_one_gets_an_address(hub, root, org):
    email = new_email()
    values = together(hub, [(root, "org.createUser", {"name": org, "email": email})] * 6)
    made, = [value for value in values if isinstance(value, str)]
    assert {value["error"] for value in values if isinstance(value, dict)} == {
        "Error: This e-mail address is already taken."}
    assert members(hub, root, org) == {made} and len(projects_of(hub, made)) == 1


def test_invitations_that_wait_are_applied(hub, root, org):
    owner, email = hub.account(), new_email()
    project = hub.project(owner, title="Theirs")
    reply = hub.call("invite_noncloud_collaborators", key=owner, project_id=project, to=email, title="t", link2proj="",
                     email="e", subject="s")
    assert reply["event"] == "invite_noncloud_collaborators_resp", reply
    account_id = create_user(hub, root, org, email)
    assert projects_of(hub, account_id) == [("Theirs", "opened", "collaborator")]


def test_sign_up_rules_do_not_hold_admins_up(hub_factory):
    hub = hub_factory(env={"COHUB_SIGN_UP": "closed"})
    root = hub.account(admin=True)
    assert UUID.fullmatch(create_user(hub, root, new_name()))


# ---- createToken, expireToken ----

def opens(hub, url):
    """Whether the address signs a browser in."""
    response = hub.client.get(url, follow_redirects=False)
    return response.status_code in (302, 303) and "remember_me" in response.headers.get("set-cookie", "")


@pytest.mark.parametrize("role", ["org_admin", "site_admin"])
@pytest.mark.parametrize("named", ["id", "email"])
def test_a_token_signs_in(hub, roles, role, named):
    token = hub.method(roles[role], "org.createToken", {"user": getattr(roles["member"], named)})
    assert set(token) == {"token", "url"} and len(token["token"]) == 24
    assert token["url"].startswith("http") and token["url"].endswith(f"/auth/impersonate?auth_token={token['token']}")
    url = f"{hub.url}/auth/impersonate?auth_token={token['token']}"
    assert opens(hub, url) and opens(hub, url)  # any number of times
    assert hub.method(roles["nobody"], "org.expireToken", {"token": token["token"]}) is None
    assert not opens(hub, url)
    assert hub.method(roles["nobody"], "org.expireToken", {"token": token["token"]}) is None


def test_a_token_is_no_key(hub, root, roles):
    token = hub.method(root, "org.createToken", {"user": roles["member"].id})["token"]
    assert "must be signed in" in hub.refusal(token, "system.ping", {})


def test_a_token_does_not_lead_to_more_rights(hub, roles):
    """Who may not have one for an administrator of the site cannot keep one from before."""
    url = hub.method(roles["org_admin"], "org.createToken", {"user": roles["member"].id})["url"]
    assert opens(hub, url)
    hub.cli("account", "admin", roles["member"].id, "on")
    assert not opens(hub, url)
    assert "only site admins" in hub.refusal(roles["org_admin"], "org.createToken", {"user": roles["member"].id})


def life_of(hub, account):
    expire, created = execute(hub, "SELECT expire, created FROM auth_tokens WHERE account_id = ?", account.id)[0]
    return expire - created


def test_how_long_a_token_lasts(hub, root, org):
    def token(**parameters):
        me = join(hub, root, org, hub.account())
        hub.method(root, "org.createToken", {"user": me.id, **parameters})
        return life_of(hub, me)
    assert token() == token(expire=None) == DAY_MS
    assert token(expire=5000) == 5000 and token(expire=31 * DAY_MS) == 31 * DAY_MS
    now = hub.method(root, "system.ping", {})["now"]
    assert DAY_MS < token(expire=now + 2 * DAY_MS) <= 2 * DAY_MS


@pytest.mark.parametrize("expire, text", [
    (0, "a token lasts from 1 ms to 31 days"), (-1, "a token lasts from 1 ms to 31 days"),
    (1e300, "a token lasts from 1 ms to 31 days"), (1600000000000, "a token lasts from 1 ms to 31 days"),
    (9999999999999, "a token lasts from 1 ms to 31 days"), ("x", "expire must be a number")])
def test_a_life_that_no_token_has(hub, root, roles, expire, text):
    assert hub.refusal(root, "org.createToken", {"user": roles["member"].id, "expire": expire}) == f"Error: {text}"


def test_who_is_in_no_organization(hub, root, roles):
    for who in (roles["nobody"], roles["org_admin"], root):
        for user in (roles["nobody"].id, NEVER, "x", "nobody@test.local"):
            assert hub.refusal(who, "org.createToken", {"user": user}) == "Error: user is not in an org"


def test_org_admins_do_not_become_site_admins(hub, root, org, roles):
    above = join(hub, root, org, hub.account(admin=True))
    assert hub.refusal(roles["org_admin"], "org.createToken", {"user": above.id}) == \
        "Error: only site admins can make a token for a site admin right now"
    assert hub.method(root, "org.createToken", {"user": above.id})["token"]


# ---- message ----

def received(hub, account):
    return [(row["subject"], row["body"], row["from_id"]) for row in hub.method(account, "messages.get", {})]


def test_all_members_get_a_message(hub, root, org, roles):
    admin = roles["org_admin"]
    assert hub.method(admin, "org.message", {"name": org, "subject": "s", "body": "**b**"}) is None
    for role in ("member", "org_admin"):
        assert received(hub, roles[role]) == [("s", "**b**", admin.id)]
    assert received(hub, roles["other_admin"]) == received(hub, roles["nobody"]) == []
    sent, = hub.method(admin, "messages.get", {"type": "sent"})
    assert set(sent["to_ids"]) == {roles["member"].id, admin.id}


@pytest.mark.parametrize("fields, text", [
    ({"subject": "x" * 1001}, "Error: subject must have at most 1000 characters"),
    ({"body": "x" * 100001}, "Error: body must have at most 100000 characters"),
    ({"body": None}, "Error: body must be specified")])
def test_what_is_no_message(hub, root, org, roles, fields, text):
    assert hub.refusal(root, "org.message", {"name": org, "subject": "s", "body": "b", **fields}) == text
    assert received(hub, roles["member"]) == []


def test_a_message_to_nobody(hub, org):
    root = hub.account(admin=True)
    for name in (org, new_name()):
        assert hub.method(root, "org.message", {"name": name, "subject": "s", "body": "b"}) is None
    assert hub.method(root, "messages.get", {"type": "sent"}) == []


def test_a_message_to_many(hub):
    root, name, tail = hub.account(admin=True), new_name(), os.urandom(6).hex()
    people = [f"{number:08x}-0000-4000-8000-{tail}" for number in range(1000)]
    execute_many(hub, "INSERT INTO accounts (account_id, created, org) VALUES (?, 1, ?)",
                 [(one, name) for one in people])
    assert hub.method(root, "org.message", {"name": name, "subject": "s", "body": "b"}) is None
    sent = hub.method(root, "messages.get", {"type": "sent"})
    assert [len(row["to_ids"]) for row in sent] == [100] * 10
    assert sorted(one for row in sent for one in row["to_ids"]) == people
    assert execute(hub, "SELECT DISTINCT unread_message_count FROM accounts WHERE org = ?", name) == [(1,)]
    execute(hub, "UPDATE messages SET created = created + 3600000 WHERE from_id = ?", root.id)  # however long that took
    assert hub.refusal(root, "org.message", {"name": name, "subject": "s", "body": "b"}).startswith(
        "Error: too many messages: ")


# ---- The public suites' way through ----

def test_the_checklist(hub, root):
    name = new_name()
    hub.method(root, "org.create", {"name": name})
    assert hub.method(root, "org.getUsers", {"name": name}) == []
    email = new_email()
    user = create_user(hub, root, name, email, firstName="Grace", lastName="Hopper")
    promoted = {"name": name, "user": user}
    assert hub.method(root, "org.addAdmin", promoted) is None and admins(hub, root, name) == [user]
    assert hub.method(root, "org.removeAdmin", promoted) is None and admins(hub, root, name) == []
    token = hub.method(root, "org.createToken", {"user": email})
    assert hub.method(root, "org.expireToken", {"token": token["token"]}) is None
    assert hub.method(root, "org.message", {"name": name, "subject": "s", "body": "b"}) is None
    assert hub.method(root, "messages.send", {"to_ids": [user], "subject": "s", "body": "b"}) > 0
    assert hub.method(root, "org.removeUser", promoted) is None
    assert hub.method(root, "org.getUsers", {"name": name}) == []
