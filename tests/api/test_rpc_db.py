# SPDX-License-Identifier: AGPL-3.0-or-later
"""db.* of the RPC: queries in its dialect, and what else it says of files and blobs."""
import hashlib
import re
import uuid

import pytest

from harness.process import wait_until
from harness.store import add_user, execute, execute_many

DAY_MS = 86400_000
MISSING = "12345678-1234-4234-8234-123456789012"


def query(hub, account, query, options=None):
    arguments = {"query": query} if options is None else {"query": query, "options": options}
    return hub.method(account, "db.userQuery", arguments)


def refusal(hub, account, query, options=None):
    arguments = {"query": query} if options is None else {"query": query, "options": options}
    return hub.refusal(account, "db.userQuery", arguments)


# ---- Kinds of queries ----

def test_set_and_get(hub, account, project):
    assert query(hub, account, {"projects": {"project_id": project, "title": "new"}}) == {}
    assert query(hub, account, {"projects": {"project_id": project, "title": None}}) == {
        "projects": {"project_id": project, "title": "new"}}
    assert query(hub, account, {"projects": [{"project_id": project, "title": None}]}) == {
        "projects": [{"project_id": project, "title": "new"}]}


def test_nothing_found(hub, account):
    assert query(hub, account, {"projects_all": {"title": "none such", "project_id": None}}) == {}
    assert query(hub, account, {"projects_all": [{"title": "none such", "project_id": None}]}) == {"projects_all": []}


def test_a_list_of_queries(hub, account, project):
    batch = [{"accounts": {"font_size": 20}}, {"accounts": {"font_size": None}}, {"projects": [{"project_id": None}]}]
    assert query(hub, account, batch) == [{}, {"accounts": {"font_size": 20}}, {"projects": [{"project_id": project}]}]
    batch = [{"accounts": {"font_size": 21}}, {"nonsense": {"x": None}}, {"accounts": {"font_size": 22}}]
    assert refusal(hub, account, batch) == "FATAL: get queries not allowed for table 'nonsense'"
    assert query(hub, account, {"accounts": {"font_size": None}}) == {"accounts": {"font_size": 21}}


def test_options(hub, account):
    for title in "bac":
        hub.project(account, title=title)
    titles = {"projects_all": [{"title": None}]}

    def listed(*options):
        return [row["title"] for row in query(hub, account, titles, list(options))["projects_all"]]
    assert listed({"order_by": "title"}) == ["a", "b", "c"]
    assert listed({"order_by": "-title"}, {"limit": 2}) == ["c", "b"]
    assert query(hub, account, {"accounts": {"first_name": "Ada"}}, [{"set": False}]) == {"accounts": {"first_name": "Ada"}}
    assert query(hub, account, {"accounts": {"profile": {"color": None}}}, [{"set": True}]) == {}
    assert refusal(hub, account, titles, [{"wish": 1}]) == "unknown option 'wish'"


def test_sudo(hub, account):
    administrator = hub.account(admin=True)
    wanted = {"accounts": {"account_id": None}}
    assert query(hub, administrator, wanted, [{"account_id": account.id}]) == {"accounts": {"account_id": account.id}}
    assert refusal(hub, account, wanted, [{"account_id": administrator.id}]) == "user must be admin to sudo"


def test_placeholders(hub, account):
    assert query(hub, account, {"accounts": {"account_id": "{account_id}", "first_name": None}}) == {
        "accounts": {"account_id": account.id, "first_name": "Ada"}}


def test_comparisons(hub, account):
    """Every operator that the contract names; a time can be one from now."""
    projects = {title: hub.project(account, title=title) for title in ("Alpha", "Beta", "Gamma")}

    def titles(field, condition):
        rows = query(hub, account, {"projects_all": [{"title": None, field: condition}]} if field != "title" else
                     {"projects_all": [{"project_id": None, "title": condition}]})["projects_all"]
        return sorted(row["title"] for row in rows)
    for operator, operand, found in (
            ("==", "Beta", "B"), ("=", "Beta", "B"), ("!=", "Beta", "AG"), ("<>", "Beta", "AG"), ("<", "Beta", "A"),
            ("<=", "Beta", "AB"), (">", "Beta", "G"), (">=", "Beta", "BG"), ("LIKE", "%a%m%", "G"),
            ("NOT LIKE", "%m%", "AB"), ("ILIKE", "al%", "A"), ("NOT ILIKE", "al%", "BG")):
        assert [title[0] for title in titles("title", {operator: operand})] == list(found), operator
    assert titles("deleted", {"IS NOT": True}) == ["Alpha", "Beta", "Gamma"] and titles("deleted", {"IS": True}) == []
    assert len(titles("created", {">=": {"relative_time": -1, "unit": "hours"}})) == 3
    assert titles("created", {"<": {"relative_time": -1, "unit": "hours"}}) == []
    assert set(projects) == {"Alpha", "Beta", "Gamma"}


def test_maps_are_merged(hub, account):
    def colour():
        return query(hub, account, {"accounts": {"other_settings": None}})["accounts"]["other_settings"].get("colour")
    query(hub, account, {"accounts": {"other_settings": {"colour": {"red": 1, "blue": {"dark": 2}}}}})
    query(hub, account, {"accounts": {"other_settings": {"colour": {"blue": {"light": 3}}}}})
    assert colour() == {"red": 1, "blue": {"dark": 2, "light": 3}}
    query(hub, account, {"accounts": {"first_name": None, "other_settings": {"colour": {"red": None}}}}, [{"set": True}])
    assert colour() == {"blue": {"dark": 2, "light": 3}}
    assert query(hub, account, {"accounts": {"first_name": None}}) == {"accounts": {"first_name": "Ada"}}


def test_delete(hub, account, project):
    """Only where the table allows it."""
    assert refusal(hub, account, {"projects": {"project_id": project, "title": "x"}}, [{"delete": True}]) == (
        "FATAL: delete from projects not allowed")


# ---- Nulls and defaults ----

def test_nulls(hub, account, project):
    """A list leaves them out; one row has them."""
    wanted = {"project_id": project, "deleted": None, "course": None, "title": None}
    assert query(hub, account, {"projects": [wanted]})["projects"] == [{"project_id": project, "title": "A test's"}]
    assert query(hub, account, {"projects": wanted})["projects"] == {
        "project_id": project, "title": "A test's", "deleted": None, "course": None}


def test_defaults_of_accounts(hub, account):
    fields = ("first_name last_name groups autosave font_size evaluate_key passports ssh_keys unlisted profile terminal "
              "editor_settings other_settings balance min_balance").split()
    row = query(hub, account, {"accounts": dict.fromkeys(fields)})["accounts"]
    editor, other = row.pop("editor_settings"), row.pop("other_settings")
    assert row == {"first_name": "Ada", "last_name": "Lovelace", "groups": [], "autosave": 45, "font_size": 14,
                   "evaluate_key": "Shift-Enter", "passports": {}, "ssh_keys": {}, "unlisted": False,
                   "profile": {"color": "rgb(170,170,170)"}, "balance": None, "min_balance": None,
                   "terminal": {"font_size": 14, "color_scheme": "cocalc-light", "font": "monospace"}}
    assert editor.items() >= {
        "theme": "cocalc-light", "bindings": "standard", "line_numbers": True, "line_wrapping": True, "tab_size": 4,
        "indent_unit": 4, "spaces_instead_of_tabs": True, "match_brackets": True, "auto_close_brackets": True,
        "undo_depth": 300, "first_line_number": 1, "ask_jupyter_kernel": True, "show_exec_warning": True}.items()
    assert other.items() >= {
        "katex": True, "dark_mode": False, "i18n": "en", "page_size": 500, "default_file_sort": "name",
        "standby_timeout_m": 15, "allow_mentions": True, "confirm_close": False, "newsletter": False,
        "no_email_new_messages": False, "new_filenames": "ymd_semantic"}.items()


def test_defaults_of_projects(hub, account):
    project = hub.call("create_project", key=account)["project_id"]
    row = query(hub, account, {"projects": dict.fromkeys(("title", "description", "settings")) | {
        "project_id": project}})["projects"]
    assert (row["title"], row["description"]) == ("", "")
    assert row["settings"] == {
        "disk_quota": 3000, "cores": 1, "cpu_shares": 0, "memory": 1000, "memory_request": 0, "mintime": 1800,
        "network": 0, "member_host": 0, "ephemeral_state": 0, "ephemeral_disk": 0, "always_running": 0}


READABLE = {
    "accounts": "account_id email_address org lti_id email_address_verified email_address_problem editor_settings "
                "other_settings name first_name last_name terminal autosave evaluate_key font_size passports groups "
                "last_active profile customize ssh_keys created ephemeral unlisted tags tours unread_message_count "
                "min_balance balance balance_alert auto_balance purchase_closing_day email_daily_statements "
                "stripe_customer stripe_checkout_session stripe_usage_subscription coupon_history",
    "projects": "project_id title description name users deleted state status created last_edited last_active settings "
                "run_quota compute_image action_request course manage_users_owner_only sandbox env ephemeral color "
                "avatar_image_tiny invite invite_requests host site_license pay_as_you_go_quotas",
}


@pytest.mark.parametrize("table", ["accounts", "projects", "projects_all"])
def test_what_can_be_read(hub, account, project, table):
    fields = READABLE[table.removesuffix("_all")].split()
    pattern = dict.fromkeys(fields) | ({"project_id": project} if "project_id" in fields else {})
    assert set(query(hub, account, {table: pattern})[table]) == set(fields)


WRITABLE = ("name editor_settings other_settings first_name last_name terminal autosave evaluate_key font_size profile "
            "ssh_keys sign_up_usage_intent unlisted tags tours email_daily_statements auto_balance").split()


def test_what_can_be_written(hub, account):
    values = {"name": f"n{uuid.uuid4().hex[:20]}", "first_name": "A", "last_name": "B", "autosave": 30,
              "evaluate_key": "Enter", "font_size": 12, "sign_up_usage_intent": "x", "unlisted": True, "tags": ["a"],
              "tours": ["b"], "email_daily_statements": True}
    for field in WRITABLE:
        assert query(hub, account, {"accounts": {field: values.get(field, {"a": 1})}}) == {}, field
    for field in ("email_address", "groups", "balance", "created", "passports", "org"):
        assert refusal(hub, account, {"accounts": {field: "x"}}) == f"FATAL: changing accounts.{field} not allowed"


# ---- Recent projects (4.4) ----

def age(hub, project, days):
    execute(hub, "UPDATE projects SET last_edited = last_edited - ? WHERE project_id = ?", int(days * DAY_MS), project)


def test_projects_of_six_weeks(hub, account):
    projects = {days: hub.project(account, title=str(days)) for days in (41.9, 1, 42.1, 10)}
    for days, project in projects.items():
        age(hub, project, days)
    rows = query(hub, account, {"projects": [{"title": None}]})["projects"]
    assert [row["title"] for row in rows] == ["1", "10", "41.9"]
    assert query(hub, account, {"projects": [{"project_id": projects[42.1], "title": None}]}) == {"projects": []}
    assert len(query(hub, account, {"projects_all": [{"title": None}]})["projects_all"]) == 4


def test_at_most_300_recent_projects(hub, account):
    execute_many(hub, "INSERT INTO projects (project_id, title, created, last_edited)"
                 " SELECT ?, ?, created, created FROM accounts WHERE account_id = ?",
                 [(str(uuid.uuid4()), f"many {account.id}", account.id) for _ in range(310)])
    execute(hub, 'INSERT INTO project_users (project_id, account_id, "group") SELECT project_id, ?, \'owner\''
            " FROM projects WHERE title = ?", account.id, f"many {account.id}")
    wanted = {"projects": [{"project_id": None}]}
    assert len(query(hub, account, wanted)["projects"]) == 300
    assert len(query(hub, account, wanted, [{"limit": 305}])["projects"]) == 305
    assert len(query(hub, account, {"projects_all": [{"project_id": None}]})["projects_all"]) == 310


@pytest.mark.parametrize("group", ["owner", "collaborator", "viewer", "invited_collaborator"])
def test_any_group_lists_the_project(hub, account, project, group):
    other = hub.account()
    add_user(hub, project, other, group)
    rows = query(hub, other, {"projects_all": [{"project_id": None}]})["projects_all"]
    assert [row["project_id"] for row in rows] == [project]


def test_deleted_and_hidden_projects_are_listed(hub, account, project):
    query(hub, account, {"projects": {"project_id": project, "deleted": True, "users": {account.id: {"hide": True}}}})
    (row,) = query(hub, account, {"projects": [{"deleted": None, "users": None}]})["projects"]
    assert row == {"deleted": True, "users": {account.id: {"group": "owner", "hide": True}}}


def test_administrators_get_any_project(hub, account, project):
    administrator = hub.account(admin=True)
    wanted = {"project_id": project, "title": None}
    assert query(hub, administrator, {"projects": [wanted]})["projects"] == [{"project_id": project, "title": "A test's"}]
    assert query(hub, administrator, {"projects": [{"project_id": MISSING, "title": None}]}) == {"projects": []}


def test_a_set_does_not_edit_the_project(hub, account, project):
    age(hub, project, 3)
    before = query(hub, account, {"projects": {"project_id": project, "last_edited": None}})
    query(hub, account, {"projects": {"project_id": project, "title": "x"}})
    assert query(hub, account, {"projects": {"project_id": project, "last_edited": None}}) == before


def test_times_have_three_digits(hub, account, project):
    row = query(hub, account, {"projects": {"project_id": project, "created": None, "last_edited": None}})["projects"]
    for time in (row["created"], row["last_edited"]):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", time)


# ---- Refusals ----

NO_ACCESS = "FATAL: you do not have read access to this project -- account_id={}, project_id_=undefined"


@pytest.mark.parametrize("sent, text", [
    ({"accounts": {"name": None}, "projects": {"title": None}}, "FATAL: must specify exactly one key in the query"),
    ({"accounts": [{"name": None}, {"name": None}]}, "FATAL: array of length > 1 not yet implemented"),
    ({"accounts": 7}, "FATAL: invalid user_query of 'accounts' -- query must be an object"),
    ({"nonsense": {"x": None}}, "FATAL: get queries not allowed for table 'nonsense'"),
    ({"nonsense": {"x": 1}}, "FATAL: table 'nonsense' does not exist"),
    ({"account_profiles": {"profile": {"color": "x"}}}, "FATAL: user set queries not allowed for table 'account_profiles'"),
    ({"accounts": {"password_hash": None}}, "FATAL: user get query not allowed for accounts.password_hash"),
    ({"projects": {"secret_token": None}}, "FATAL: user get query not allowed for projects.secret_token"),
    ({"projects": {"title": "x"}}, "FATAL: must specify projects.project_id"),
    ({"projects": {"project_id": MISSING, "title": "x"}}, f"FATAL: unknown project_id '{MISSING}'"),
    ({"accounts": {"first_name": ""}}, "first_name must be nonempty"),
    ({"accounts": {"last_name": ""}}, "last_name must be nonempty"),
    ({"accounts": {"name": "a" * 40}}, "Error: name must have at most 39 characters"),
])
def test_refusals(hub, account, sent, text):
    """Bare texts, without a word before them."""
    assert refusal(hub, account, sent) == text


def test_refusals_that_name_the_caller(hub, account, project):
    other = hub.account()
    for pattern in ({"project_id": project, "title": None}, {"project_id": MISSING, "title": None}):
        assert refusal(hub, other, {"projects": [pattern]}) == NO_ACCESS.format(other.id)
    assert refusal(hub, other, {"projects": {"project_id": project, "title": "x"}}) == "FATAL: user must be an admin"
    assert refusal(hub, other, {"site_settings": [{"name": None}]}) == "FATAL: user must be an admin"


def test_names_are_cut(hub, account):
    query(hub, account, {"accounts": {"first_name": "a" * 300}})
    assert query(hub, account, {"accounts": {"first_name": None}}) == {"accounts": {"first_name": "a" * 254}}


def test_user_names_are_unique(hub, account):
    name = f"n{uuid.uuid4().hex[:20]}"
    query(hub, account, {"accounts": {"name": name}})
    assert refusal(hub, hub.account(), {"accounts": {"name": name.upper()}}) == (
        f'name "{name.upper()}" is already taken by another organization or account')


def test_users_of_a_project(hub, account, project):
    def set_users(caller, users):
        return refusal(hub, caller, {"projects": {"project_id": project, "users": users}})
    collaborator = hub.account()
    add_user(hub, project, collaborator, "collaborator")
    assert set_users(account, {account.id: {"k": 1}}) == "FATAL: error setting 'users' -- Error: unknown field 'k'"
    assert set_users(collaborator, {collaborator.id: {"group": "owner"}}) == (
        "FATAL: error setting 'users' -- Error: changing collaborator group via user_set_query is not allowed")
    assert refusal(hub, collaborator, {"projects": {"project_id": project, "manage_users_owner_only": True}}) == (
        "Error: Only project owners can change collaborator management settings")
    assert refusal(hub, collaborator, {"projects": {"project_id": project, "name": "x"}}) == (
        "Only the owner of the project can currently change the project name.")
    assert refusal(hub, account, {"projects": {"project_id": project, "state": {"state": "running"}}}) == (
        "FATAL: changing projects.state not allowed")


def act(hub, account, project, options=None, **request):
    return query(hub, account, {"projects": {"project_id": project, "action_request": request}}, options)


def test_an_action_has_been_done_when_the_answer_comes(hub, account, project):
    for action, state in (("start", "running"), ("save", "running"), ("restart", "running"), ("stop", "opened")):
        assert act(hub, account, project, action=action) == {}
        row = query(hub, account, {"projects": {"project_id": project, "state": None, "action_request": None}})["projects"]
        assert row["state"]["state"] == state
        assert row["action_request"]["action"] == action and "finished" in row["action_request"]


def test_only_an_action_that_was_stored_is_done(hub, account, project):
    act(hub, account, project, action="stop", time="T1")
    act(hub, account, project, action="start", time="T2")
    act(hub, account, project, action="stop", time="T2")  # the same request once more
    for options in ([{"set": False}], [{"set": True}, {"set": False}]):
        assert act(hub, account, project, options, action="stop", time="T3") == {}  # a get, which finds nothing
    assert hub.sandbox(project)


def test_an_action_that_fails_is_a_refusal(hub, account, project):
    query(hub, account, {"projects": {"project_id": project, "deleted": True}})
    assert refusal(hub, account, {"projects": {"project_id": project, "action_request": {"action": "start"}}}) == (
        f"project {project} does not exist")


def test_actions_in_a_list_of_queries_go_on_behind_the_answer(hub, account, project):
    assert query(hub, account, [{"projects": {"project_id": project, "action_request": {"action": "start"}}}]) == [{}]
    wait_until(lambda: hub.sandbox(project), 60, "it is started")


# ---- touch, fileUseTimes ----

def test_touch(hub, account, project):
    age(hub, project, 50)
    assert hub.method(account, "db.touch", {"project_id": project, "path": "a.md"}) is None
    wanted = {"projects": [{"project_id": project, "last_active": None}]}
    wait_until(lambda: query(hub, account, wanted)["projects"], 60, "the project was edited lately")
    assert list(query(hub, account, wanted)["projects"][0]["last_active"]) == [account.id]
    assert not hub.sandbox(project)
    (use,) = query(hub, account, {"file_use": [{"project_id": project, "path": None, "users": None}]})["file_use"]
    assert use["path"] == "a.md" and list(use["users"][account.id]) == ["edit"]


def test_touch_of_the_account_alone(hub, account):
    assert hub.method(account, "db.touch", {}) is None
    assert hub.refusal(account, "db.touch", {"action": "dance"}) == "Error: there is no action 'dance'"


def test_touch_of_a_path_that_is_too_long(hub, account, project):
    refused = hub.refusal(account, "db.touch", {"project_id": project, "path": "x" * 100000})
    assert refused.startswith("Error: path must have at most ") and refused.count("Error") == 1


def test_touch_by_others(hub, account, project):
    for caller in (hub.account(), hub.account(admin=True)):
        assert hub.refusal(caller, "db.touch", {"project_id": project}) == "Error: user must be collaborator on project"
    assert hub.refusal(account, "db.touch", {"project_id": "x"}) == (
        "Error: invalid account_id or project_id -- all must be valid uuid's")


def test_file_use_times(hub, account, project):
    other = hub.account()
    add_user(hub, project, other, "viewer")
    hub.method(account, "db.touch", {"project_id": project, "path": "a.md", "action": "open"})
    hub.method(account, "db.touch", {"project_id": project, "path": "b.md"})
    file = {"project_id": project, "path": "a.md"}
    opened = hub.method(account, "db.fileUseTimes", {**file, "edit_times": True})
    assert opened["target_account_id"] == account.id and len(opened["access_times"]) == 1 and opened["edit_times"] == []
    edited = hub.method(other, "db.fileUseTimes", {**file, "path": "b.md", "target_account_id": account.id,
                                                   "access_times": False, "edit_times": True, "limit": 5})
    assert set(edited) == {"target_account_id", "edit_times"} and len(edited["edit_times"]) == 1
    assert hub.method(other, "db.fileUseTimes", {**file, "access_times": False}) == {"target_account_id": other.id}
    assert hub.refusal(hub.account(), "db.fileUseTimes", file) == (
        "Error: user does not have read access to the given project")


# ---- The rest ----

def test_no_old_histories(hub, account, project):
    assert hub.method(account, "db.getLegacyTimeTravelInfo", {"project_id": project, "path": "a"}) == {"uuid": ""}


def blob_id(content):
    digits = iter(hashlib.sha1(content).hexdigest())
    form = "xxxxxxxx-xxxx-4xxx-yxxx-xxxxxxxxxxxx"
    return "".join(next(digits) if c == "x" else "89ab"[int(next(digits), 16) % 4] if c == "y" else c for c in form)


def test_blobs_that_stay(hub, account, project):
    content = uuid.uuid4().hex
    blob = blob_id(content.encode())
    query(hub, account, {"blobs": {"id": blob, "blob": content, "project_id": project, "ttl": 1000}})
    expire = "SELECT expire FROM blobs WHERE id = ?"
    assert execute(hub, expire, blob)[0][0] is not None
    assert hub.method(account, "db.removeBlobTtls", {"uuids": [blob.upper(), MISSING]}) is None
    assert execute(hub, expire, blob)[0][0] is None
    assert hub.refusal(account, "db.removeBlobTtls", {"uuids": ["x"]}) == (
        'error: invalid input syntax for type uuid: "x"')
    assert "at most 1000" in hub.refusal(account, "db.removeBlobTtls", {"uuids": [MISSING] * 1001})


def test_nothing_is_sold(hub, account):
    assert hub.method(account, "purchases.getBalance", {}) == hub.method(account, "purchases.getMinBalance", {}) == 0
