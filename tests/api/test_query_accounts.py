# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries on accounts, account_profiles, collaborators, collaborators_one_project (user-query 12.1, 12.5)."""
import json

import pytest

from harness.process import wait_until
from harness.queries import refusal, result
from harness.store import add_user, execute

FORCED = [{"set": True}]

EDITOR_SETTINGS = {
    "strip_trailing_whitespace": False, "show_trailing_whitespace": True, "line_wrapping": True, "line_numbers": True,
    "smart_indent": True, "electric_chars": True, "match_brackets": True, "auto_close_brackets": True,
    "code_folding": True, "match_xml_tags": True, "auto_close_xml_tags": True, "auto_close_latex": True,
    "spaces_instead_of_tabs": True, "multiple_cursors": True, "track_revisions": True, "extra_button_bar": True,
    "build_on_save": True, "first_line_number": 1, "indent_unit": 4, "tab_size": 4, "bindings": "standard",
    "theme": "default", "undo_depth": 300, "jupyter_classic": False, "jupyter_window": False,
    "disable_jupyter_windowing": False, "show_exec_warning": True, "physical_keyboard": "default",
    "keyboard_variant": "", "ask_jupyter_kernel": True}
OTHER_SETTINGS = {
    "katex": True, "confirm_close": False, "mask_files": True, "page_size": 500, "standby_timeout_m": 5,
    "default_file_sort": "time", "new_filenames": "iso", "show_global_info2": None, "first_steps": True,
    "newsletter": False, "time_ago_absolute": False, "no_free_warnings": False, "allow_mentions": True}
DEFAULTS = {
    "lti_id": None, "email_address_problem": None, "editor_settings": EDITOR_SETTINGS,
    "other_settings": OTHER_SETTINGS, "terminal": {"font_size": 14, "color_scheme": "default", "font": "monospace"},
    "autosave": 45, "evaluate_key": "Shift-Enter", "font_size": 14, "passports": {}, "groups": [], "profile": {},
    "ssh_keys": {}, "org": None, "name": None, "customize": None, "ephemeral": None, "unlisted": False, "tags": None,
    "tours": None, "auto_balance": None, "email_daily_statements": None, "unread_message_count": None}
# What concerns payment.
NULL = ["stripe_customer", "coupon_history", "stripe_checkout_session", "min_balance", "balance", "balance_alert",
        "purchase_closing_day", "stripe_usage_subscription"]


@pytest.fixture
def me(hub):
    return hub.account(first_name="Ada", last_name="L")


def read(hub, key, *fields):
    return result(hub, key, {"accounts": dict.fromkeys(fields)})["accounts"]


def write(hub, key, options=..., **fields):
    assert result(hub, key, {"accounts": fields}, options) == {}


# ---- Reading ----

def test_what_nobody_has_set(hub, me):
    assert read(hub, me, *DEFAULTS) == DEFAULTS


@pytest.mark.parametrize("field", NULL)
def test_payment_reads_as_null(hub, me, field):
    assert read(hub, me, field) == {field: None}


def test_what_an_account_is_made_with(hub, me):
    row = read(hub, me, "account_id", "email_address", "first_name", "last_name", "created", "last_active")
    assert (row["account_id"], row["email_address"], row["first_name"], row["last_name"]) == (
        me.id, me.email, "Ada", "L")
    assert row["created"].endswith("Z") and len(row["created"]) == len("2020-09-13T12:26:40.000Z")


def test_the_row_is_the_own_one(hub, me):
    other = hub.account(first_name="Bob")
    assert result(hub, me, {"accounts": {"account_id": other.id, "first_name": None}}) == {}
    assert result(hub, me, {"accounts": [{"account_id": other.id, "first_name": None}]}) == {"accounts": []}
    assert result(hub, me, {"accounts": {"account_id": other.id, "first_name": "Eve"}}) == {}
    assert (read(hub, me, "first_name"), read(hub, other, "first_name")) == ({"first_name": "Eve"},
                                                                            {"first_name": "Bob"})


def test_groups_and_lti_id_are_lists(hub, me):
    execute(hub, "UPDATE accounts SET \"groups\" = '[\"admin\",\"partner\"]', lti_id = '[\"https://a.b\",\"7\"]'"
                 " WHERE account_id = ?", me.id)
    assert read(hub, me, "groups", "lti_id") == {"groups": ["admin", "partner"], "lti_id": ["https://a.b", "7"]}


def test_what_only_the_site_writes(hub, me):
    execute(hub, "UPDATE accounts SET email_address_verified = ?, email_address_problem = ?, passports = ?, org = 'o',"
                 " customize = ?, ephemeral = 9000000000, unread_message_count = 3 WHERE account_id = ?",
            '{"a@b.c":"2020-01-01T00:00:00.000Z"}', '{"a@b.c":{"type":"bounce"}}', '{"google-1":{"id":"1"}}',
            '{"x":1}', me.id)
    assert read(hub, me, "email_address_verified", "email_address_problem", "passports", "org", "customize",
                "ephemeral", "unread_message_count") == {
        "email_address_verified": {"a@b.c": "2020-01-01T00:00:00.000Z"},
        "email_address_problem": {"a@b.c": {"type": "bounce"}}, "passports": {"google-1": {"id": "1"}}, "org": "o",
        "customize": {"x": 1}, "ephemeral": 9000000000, "unread_message_count": 3}


@pytest.mark.parametrize("field", ["password_hash", "api_key", "notes", "banned", "sign_up_usage_intent", "created_by",
                                   "email_address_challenge", "lti_data"])
def test_what_nobody_reads(hub, me, field):
    assert refusal(hub, me, {"accounts": {field: None}}) == f"FATAL: user get query not allowed for accounts.{field}"


# ---- Writing ----

@pytest.mark.parametrize("field", ["email_address", "groups", "passports", "created", "last_active", "balance",
                                   "lti_id", "customize", "unread_message_count", "org", "password_hash", "banned",
                                   "upgrades"])
def test_what_nobody_writes(hub, me, field):
    assert refusal(hub, me, {"accounts": {field: "x"}}) == f"FATAL: changing accounts.{field} not allowed"


@pytest.mark.parametrize("field, value", [
    ("first_name", "Zoë"), ("first_name", ""), ("last_name", ""), ("autosave", 30), ("font_size", 9),
    ("evaluate_key", "Enter"), ("unlisted", True), ("tags", ["a", "b"]), ("tags", []), ("tours", ["intro"]),
    ("email_daily_statements", True), ("auto_balance", {"enabled": False}), ("name", "Ada-1")])
def test_what_is_written_is_read(hub, me, field, value):
    write(hub, me, **{field: value})
    assert read(hub, me, field) == {field: value}


def test_maps_are_merged_and_completed(hub, me):
    write(hub, me, editor_settings={"tab_size": 8, "jupyter_classic": True})
    write(hub, me, editor_settings={"theme": "vim"}, other_settings={"katex": False, "mine": {"a": 1}},
          terminal={"font_size": 9}, profile={"color": "red"}, ssh_keys={"a": {"value": "x"}, "b": {"value": "y"}})
    write(hub, me, other_settings={"mine": {"b": 2}}, ssh_keys={"c": {"value": "z"}})
    assert read(hub, me, "editor_settings", "other_settings", "terminal", "profile", "ssh_keys") == {
        "editor_settings": {**EDITOR_SETTINGS, "tab_size": 8, "jupyter_classic": True, "theme": "vim"},
        "other_settings": {**OTHER_SETTINGS, "katex": False, "mine": {"a": 1, "b": 2}},
        "terminal": {**DEFAULTS["terminal"], "font_size": 9}, "profile": {"color": "red"},
        "ssh_keys": {"a": {"value": "x"}, "b": {"value": "y"}, "c": {"value": "z"}}}
    write(hub, me, FORCED, ssh_keys={"a": None})
    assert read(hub, me, "ssh_keys") == {"ssh_keys": {"b": {"value": "y"}, "c": {"value": "z"}}}


def test_lists_are_replaced(hub, me):
    write(hub, me, tags=["a", "b"], tours=["x"])
    write(hub, me, tags=["c"])
    assert read(hub, me, "tags", "tours") == {"tags": ["c"], "tours": ["x"]}


def test_the_reason_of_signing_up_is_only_written(hub, me):
    write(hub, me, sign_up_usage_intent="teaching")
    assert execute(hub, "SELECT sign_up_usage_intent FROM accounts WHERE account_id = ?", me.id) == [("teaching",)]


@pytest.mark.parametrize("field", ["first_name", "last_name"])
def test_names_are_cut(hub, me, field):
    write(hub, me, **{field: "é" * 300})
    assert read(hub, me, field) == {field: "é" * 254}


@pytest.mark.parametrize("field", ["first_name", "last_name", "name"])
@pytest.mark.parametrize("value", [7, True, {"a": 1}, ["a"]])
def test_names_are_texts(hub, me, field, value):
    assert refusal(hub, me, {"accounts": {field: value}}) == (
        f"FATAL: error setting '{field}' -- Error: must be a string")


@pytest.mark.parametrize("name, wanted", [
    ("", "Error: name must have at least 1 character"),
    ("a" * 40, "Error: name must have at most 39 characters"),
    ("é" * 40, "Error: name must have at most 39 characters"),
    ("12345678-1234-4234-8234-123456789012", "Error: name must not be a v4 UUID"),
    ("a--b", "Error: name must not contain consecutive hyphens"),
    ("-a", "Error: name must contain only a-z,A-Z,0-9, or -, and not start with hyphen."),
    ("a-", "Error: name must contain only a-z,A-Z,0-9, or -, and not start with hyphen."),
    ("a b", "Error: name must contain only a-z,A-Z,0-9, or -, and not start with hyphen."),
    ("a.b", "Error: name must contain only a-z,A-Z,0-9, or -, and not start with hyphen."),
    ("é", "Error: name must contain only a-z,A-Z,0-9, or -, and not start with hyphen."),
    ("Admin", 'Error: username "Admin" is reserved -- not available'),
])
def test_names_that_are_none(hub, me, name, wanted):
    assert refusal(hub, me, {"accounts": {"name": name}}) == wanted


@pytest.mark.parametrize("name", ["a", "7", "a" * 39, "A-b-C"])
def test_names_that_are_some(hub, me, name):
    execute(hub, "UPDATE accounts SET name = NULL")
    write(hub, me, name=name)
    assert read(hub, me, "name") == {"name": name}


def test_a_name_is_one_account_s(hub, me):
    other = hub.account()
    write(hub, me, name="Ada-Unique")
    assert refusal(hub, other, {"accounts": {"name": "aDA-uNIQUE"}}) == (
        'name "aDA-uNIQUE" is already taken by another organization or account')
    write(hub, me, name="ada-unique")
    assert read(hub, me, "name") == {"name": "ada-unique"}


def test_a_name_is_no_organization_s(hub, me):
    execute(hub, "INSERT INTO organizations (organization_id, created, name) VALUES"
                 " ('22222222-1234-4234-8234-123456789012', 0, 'Acme')")
    assert refusal(hub, me, {"accounts": {"name": "acme"}}) == (
        'name "acme" is already taken by another organization or account')


def test_a_name_is_not_removed_again(hub, me):
    write(hub, me, name="Stays-1")
    write(hub, me, FORCED, name=None)
    assert refusal(hub, me, {"accounts": {"name": ""}}) == "Error: name must have at least 1 character"
    assert read(hub, me, "name") == {"name": "Stays-1"}


@pytest.mark.parametrize("field, value, wanted", [
    ("evaluate_key", "x" * 1001, "must have at most 1000 characters"),
    ("sign_up_usage_intent", "x" * 1001, "must have at most 1000 characters"),
    ("sign_up_usage_intent", {"a": "x" * 1001}, "must have at most 1000 characters"),
    ("tags", ["x" * 1001], "must have at most 1000 characters"),
    ("tags", ["x"] * 101, "must have at most 100 entries"),
    ("tours", ["x"] * 101, "must have at most 100 entries"),
    ("profile", {"image": "x" * 262144}, "must have at most 262144 characters"),
    ("editor_settings", {"a": "x" * 262144}, "must have at most 262144 characters"),
])
def test_what_is_too_large(hub, me, field, value, wanted):
    assert refusal(hub, me, {"accounts": {field: value}}) == f"FATAL: error setting '{field}' -- Error: {wanted}"


def test_a_map_does_not_grow_for_ever(hub, me):
    write(hub, me, other_settings={"a": "x" * 150_000})
    assert refusal(hub, me, {"accounts": {"other_settings": {"b": "x" * 150_000}, "font_size": 3}}) == (
        "FATAL: error setting 'other_settings' -- Error: must have at most 262144 characters")
    row = read(hub, me, "other_settings", "font_size")
    assert row["font_size"] == 14 and "b" not in row["other_settings"]


def found(hub, key, query):
    return [row["account_id"] for row in hub.call("user_search", key=key, query=query)["results"]]


def test_a_new_name_is_found(hub, me):
    other = hub.account()
    write(hub, me, first_name="Quirinia", last_name="Zwölf")
    assert found(hub, other, "quirin") == found(hub, other, "zwöl quir") == [me.id]
    write(hub, me, first_name="Other", last_name="Name")
    assert found(hub, other, "quirin") == []


def test_who_is_unlisted_is_not_found(hub, me):
    other = hub.account()
    write(hub, me, first_name="Xaverine")
    write(hub, me, unlisted=True)
    assert found(hub, other, "xaverin") == []
    write(hub, me, unlisted=False)
    assert found(hub, other, "xaverin") == [me.id]


# ---- account_profiles ----

def test_anybody_s_profile(hub, me):
    other = hub.account()
    assert result(hub, other, {"account_profiles": {"account_id": me.id, "profile": None}}) == {
        "account_profiles": {"account_id": me.id, "profile": {}}}
    write(hub, me, profile={"image": "data:,x", "color": "blue"})
    assert result(hub, other, {"account_profiles": [{"account_id": me.id, "profile": None}]}) == {
        "account_profiles": [{"account_id": me.id, "profile": {"image": "data:,x", "color": "blue"}}]}


def test_one_profile_at_a_time(hub, me):
    hub.account()
    assert len(result(hub, me, {"account_profiles": [{"account_id": None}]})["account_profiles"]) == 1
    assert len(result(hub, me, {"account_profiles": [{"account_id": None}]}, [{"limit": 2}])["account_profiles"]) == 2


def test_profiles_of_the_deleted_are_gone(hub, me):
    other = hub.account()
    hub.cli("account", "delete", other.id)
    assert result(hub, me, {"account_profiles": {"account_id": other.id, "profile": None}}) == {}


def test_profiles_show_no_more_and_are_not_written(hub, me):
    assert refusal(hub, me, {"account_profiles": {"account_id": me.id, "email_address": None}}) == (
        "FATAL: user get query not allowed for account_profiles.email_address")
    assert refusal(hub, me, {"account_profiles": {"account_id": me.id, "profile": {"color": "x"}}}) == (
        "FATAL: user set queries not allowed for table 'account_profiles'")


# ---- collaborators ----

def people(hub, key, table="collaborators", **where):
    return {row["account_id"]: row for row in
            result(hub, key, {table: [{"account_id": None, "first_name": None, **where}]})[table]}


def test_who_has_no_project_has_no_collaborators(hub, me):
    assert people(hub, me) == {}


def test_everybody_who_shares_a_project(hub, me):
    bob, eve, stranger = hub.account(first_name="Bob"), hub.account(first_name="Eve"), hub.account()
    for account in (bob, eve):
        for _ in range(2):
            add_user(hub, hub.project(me), account, "collaborator")
    hub.project(stranger)
    assert people(hub, me) == {account.id: {"account_id": account.id, "first_name": name}
                               for account, name in ((me, "Ada"), (bob, "Bob"), (eve, "Eve"))}
    assert set(people(hub, bob)) == {me.id, bob.id}
    assert set(people(hub, me, account_id=bob.id)) == {bob.id} and people(hub, me, account_id=stranger.id) == {}
    assert people(hub, bob, account_id=eve.id) == {}


@pytest.mark.parametrize("group", ["viewer", "invited_collaborator", "invited_viewer"])
def test_who_does_not_work_on_it_is_no_collaborator(hub, me, group):
    guest = hub.account()
    project = hub.project(me)
    add_user(hub, project, guest, group)
    assert set(people(hub, me)) == {me.id} and people(hub, guest) == {}
    assert people(hub, me, account_id=guest.id) == people(hub, guest, account_id=me.id) == {}
    assert set(people(hub, me, "collaborators_one_project", project_id=project)) == {me.id}


def test_what_collaborators_show(hub, me):
    hub.project(me)
    fields = dict.fromkeys(["account_id", "first_name", "last_name", "last_active", "profile", "name"])
    active = {"collaborators": {**fields, "last_active": {">=": "2020-01-01"}}}
    shown = wait_until(lambda: result(hub, me, active), 60, "that a project was made is activity, which is written later")
    assert shown["collaborators"]["account_id"] == me.id
    execute(hub, "UPDATE accounts SET first_name = NULL, last_name = NULL, last_active = NULL WHERE account_id = ?",
            me.id)
    assert result(hub, me, {"collaborators": fields}) == {"collaborators": {
        "account_id": me.id, "first_name": "", "last_name": "", "last_active": None, "profile": None, "name": ""}}
    assert refusal(hub, me, {"collaborators": [{"email_address": None}]}) == (
        "FATAL: user get query not allowed for collaborators.email_address")
    assert refusal(hub, me, {"collaborators": {"account_id": me.id, "first_name": "x"}}) == (
        "FATAL: user set queries not allowed for table 'collaborators'")


def test_collaborators_of_one_project(hub, me):
    bob = hub.account(first_name="Bob")
    project, other = hub.project(me), hub.project(me)
    add_user(hub, project, bob, "collaborator")
    query = {"collaborators_one_project": [{"project_id": project.upper(), "account_id": None, "first_name": None}]}
    rows = result(hub, bob, query)["collaborators_one_project"]
    assert sorted(rows, key=json.dumps) == sorted([{"account_id": me.id, "first_name": "Ada"},
                                                  {"account_id": bob.id, "first_name": "Bob"}], key=json.dumps)
    assert people(hub, me, "collaborators_one_project", project_id=other) == {
        me.id: {"account_id": me.id, "first_name": "Ada"}}


def test_who_may_ask_for_the_collaborators_of_a_project(hub, me):
    project, stranger, admin = hub.project(me), hub.account(), hub.account()
    hub.cli("account", "admin", admin.id, "on")
    query = {"collaborators_one_project": [{"project_id": project, "account_id": None}]}
    assert refusal(hub, stranger, query) == "FATAL: you do not have read access to this project"
    assert result(hub, admin, query) == {"collaborators_one_project": [{"account_id": me.id}]}
    assert refusal(hub, me, {"collaborators_one_project": [{"account_id": None}]}) == (
        "FATAL: must specify project_id")
    assert refusal(hub, me, {"collaborators_one_project": [{"project_id": "foo", "account_id": None}]}) == (
        "invalid project_id -- foo")
