# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries on settings, notices, registration tokens and logs (user-query 12.8, 12.9, 12.11, 12.12), and
`cohub setting`."""
import json
import random
import uuid

import pytest

from harness.process import wait_until
from harness.queries import refusal, result
from harness.server import CommandFailed
from harness.store import execute

NOT_ADMIN = "FATAL: user must be an admin"
TOKEN_ROW = {"descr": None, "counter": 0, "expires": None, "limit": None, "disabled": False, "ephemeral": None,
             "customize": None}


@pytest.fixture
def admin(hub):
    return hub.account(admin=True)


@pytest.fixture
def own(hub_factory):
    """A hub whose settings no other test reads."""
    return hub_factory()


def put(hub, admin, name, value):
    assert result(hub, admin, {"site_settings": {"name": name, "value": value}}) == {}


# ---- Settings as rows ----

def test_a_setting_is_written_and_read(own):
    admin = own.account(admin=True)
    put(own, admin, "dns", "a.example")
    put(own, admin, "version_min_browser", 7)
    assert result(own, admin, {"server_settings": {"name": "my_own", "value": "secret"}}) == {}
    assert result(own, admin, {"site_settings": [{"name": None, "value": None, "readonly": None}]},
                  [{"order_by": "name"}]) == {"site_settings": [
                      {"name": "dns", "value": "a.example", "readonly": False},
                      {"name": "version_min_browser", "value": "7", "readonly": False}]}
    assert result(own, admin, {"site_settings": {"name": "my_own", "value": None}}) == {}
    assert own.cli("setting", "get") == {"dns": "a.example", "my_own": "secret", "version_min_browser": "7"}


@pytest.mark.parametrize("query", [{"site_settings": [{"name": None, "value": None}]},
                                   {"site_settings": {"name": "dns", "value": "x"}},
                                   {"server_settings": {"name": "dns", "value": "x"}}])
def test_settings_are_for_administrators(hub, account, query):
    assert refusal(hub, account, query) == NOT_ADMIN


def test_nobody_reads_server_settings(hub, admin):
    assert refusal(hub, admin, {"server_settings": [{"name": None}]}) == \
        "FATAL: get queries not allowed for table 'server_settings'"


def test_a_setting_that_there_is_not(hub, admin):
    assert refusal(hub, admin, {"site_settings": {"name": "nope", "value": "x"}}) == \
        "FATAL: error setting 'name' -- Error: setting name='nope' not allowed"
    assert refusal(hub, admin, {"site_settings": {"value": "x"}}) == "FATAL: must specify site_settings.name"


def test_a_readonly_setting(hub, admin):
    execute(hub, "INSERT INTO server_settings (name, value, readonly) VALUES ('kucalc', 'x', 1)")
    assert refusal(hub, admin, {"site_settings": {"name": "kucalc", "value": "y"}}) == \
        "setting name='kucalc' is readonly"
    assert execute(hub, "SELECT value FROM server_settings WHERE name = 'kucalc'") == [("x",)]


def test_a_value_that_is_too_long(hub, admin):
    assert refusal(hub, admin, {"server_settings": {"name": "long", "value": "x" * (1024 * 1024 + 1)}}) == \
        "FATAL: error setting 'value' -- Error: must have at most 1048576 characters"


# ---- Settings that take effect ----

def title(hub):
    """What stands on a page."""
    return hub.client.get(f"{hub.url}/auth/verify?token=x&email=a@example.com").text


def test_the_name_of_the_site(own):
    admin = own.account(admin=True)
    put(own, admin, "site_name", "Sunrise")
    wait_until(lambda: "Sunrise" in title(own), 60, "the new name")
    put(own, admin, "site_name", "")
    wait_until(lambda: "Sunrise" not in title(own), 60, "the name of before")
    own.cli("setting", "set", "site_name", "Sunset")
    wait_until(lambda: "Sunset" in title(own), 60, "the name that a command has set")
    own.restart()
    assert "Sunset" in title(own)


def test_whether_people_may_sign_up(own):
    admin = own.account(admin=True)
    put(own, admin, "email_signup", "no")

    def refused():
        reply = own.call("create_account", key=admin, first_name="A", last_name="B")
        return "disabled" in json.dumps(reply)
    wait_until(refused, 60, "closed")
    put(own, admin, "email_signup", "yes")
    wait_until(lambda: not refused(), 60, "open again")


def test_quotas(own):
    admin = own.account(admin=True)
    put(own, admin, "default_quotas", '{"mem": 1500, "idle_timeout": 3600, "internet": true, "cpu": 2}')
    put(own, admin, "max_upgrades", '{"memory": 1400}')

    def quota():
        project = own.project(admin)
        own.exec(admin, project, "true")
        quota = own.cli("project", "show", project)["run_quota"]
        return [quota[name] for name in ("memory_limit", "idle_timeout", "network", "cpu_limit")]
    wait_until(lambda: quota() == [1400, 3600, True, 2], 60, "the new quotas")


@pytest.mark.parametrize("name, value, reason", [
    ("default_quotas", "[]", "must be a JSON object of quotas"), ("default_quotas", "{", "must be a JSON object of quotas"),
    ("max_upgrades", '{"gpu":1}', "there is no quota 'gpu'"), ("max_upgrades", '{"memory":"x"}', "quota 'memory' must be a number"),
    ("max_upgrades", '{"memory":-1}', "quota 'memory' must be a number"),
    ("help_email", "nobody", "must be an email address"), ("email_signup", "maybe", 'must be "yes" or "no"'),
    ("verify_emails", "1", 'must be "yes" or "no"'), ("site_name", "a\nb", "must be one line"),
    ("organization_name", "x" * 1001, "must have at most 1000 bytes")])
def test_a_value_that_cannot_take_effect(hub, admin, name, value, reason):
    for table in ("site_settings", "server_settings"):
        assert refusal(hub, admin, {table: {"name": name, "value": value}}) == \
            f"FATAL: error setting 'value' -- Error: {reason}"


def test_what_the_configuration_says_counts(hub_factory):
    hub = hub_factory(env={"COHUB_SITE_NAME": "Mine"})
    admin = hub.account(admin=True)
    assert refusal(hub, admin, {"site_settings": {"name": "site_name", "value": "Other"}}) == \
        "setting name='site_name' is readonly"
    execute(hub, "INSERT INTO server_settings (name, value) VALUES ('site_name', 'Other')")
    hub.restart()
    assert "Mine" in title(hub)


# ---- cohub setting ----

def test_the_commands(own):
    assert own.cli("setting", "get") == {}
    assert own.cli("setting", "set", "organization_name", "The \"O\"") == {"organization_name": "The \"O\""}
    assert own.cli("setting", "get", "organization_name") == {"organization_name": "The \"O\""}


@pytest.mark.parametrize("words", [("get", "nope"), ("set", "nope", "x"), ("set", "verify_emails", "x")])
def test_commands_that_are_refused(hub, words):
    with pytest.raises(CommandFailed):
        hub.cli("setting", *words)


# ---- system_notifications ----

def test_notices_of_the_last_hour(hub, admin, account):
    new, old = str(uuid.uuid4()), str(uuid.uuid4())
    for notice, time in ((new, "{now}"), (old, "2020-01-01")):
        assert result(hub, admin, {"system_notifications": {
            "id": notice, "time": time, "text": "t", "priority": "highest", "done": True}}) == {}
    query = {"id": None, "text": None, "priority": None, "done": None}
    rows = result(hub, account, {"system_notifications": [query]})["system_notifications"]
    assert {"id": new, "text": "t", "priority": "highes", "done": True} in rows
    assert old not in [row["id"] for row in rows]
    assert result(hub, account, {"system_notifications": {**query, "id": old}}) == {}


def test_defaults_of_a_notice(hub, admin):
    notice = str(uuid.uuid4())
    assert result(hub, admin, {"system_notifications": {"id": notice, "time": "{now}"}}) == {}
    assert result(hub, admin, {"system_notifications": {"id": notice, "text": None, "priority": None, "done": None}}) == {
        "system_notifications": {"id": notice, "text": "", "priority": "low", "done": False}}


def test_who_writes_notices(hub, admin, account):
    assert refusal(hub, account, {"system_notifications": {"id": str(uuid.uuid4()), "text": "x"}}) == NOT_ADMIN
    assert refusal(hub, admin, {"system_notifications": {"text": "x"}}) == \
        "FATAL: must specify system_notifications.id"


# ---- registration_tokens ----

def tokens(hub, admin, pattern, options=...):
    return result(hub, admin, {"registration_tokens": pattern}, options)


def test_a_token_is_a_whole_row(hub, admin):
    token = uuid.uuid4().hex
    fields = {"descr": "D", "expires": "2099-01-01T00:00:00.000Z", "limit": 3, "disabled": True, "ephemeral": 9000000000,
              "customize": {"a": 1}}
    assert tokens(hub, admin, {"token": token, **fields}) == {}
    wanted = {"token": token, **fields, "counter": 0}
    assert tokens(hub, admin, {"token": token, "descr": None}) == {"registration_tokens": wanted}
    assert tokens(hub, admin, [{"token": token, "descr": None}]) == {"registration_tokens": [wanted]}
    assert wanted in tokens(hub, admin, {"token": "*", "descr": None})["registration_tokens"]
    execute(hub, "UPDATE registration_tokens SET counter = 2 WHERE token = ?", token)
    assert tokens(hub, admin, {"token": token, "limit": -1}) == {}
    assert {"token": token, **TOKEN_ROW, "counter": 2} in tokens(hub, admin, [{"token": "*", "descr": None}])[
        "registration_tokens"]
    assert tokens(hub, admin, {"token": token}, [{"delete": True}]) == {}
    assert tokens(hub, admin, {"token": token, "descr": None}) == {}
    assert tokens(hub, admin, {"token": token}, [{"delete": True}]) == {}


def test_a_token_made_by_a_query_signs_people_up(own):
    admin = own.account(admin=True)
    noted = {"ephemeral": 9000000000, "customize": {"a": 1}}
    assert tokens(own, admin, {"token": "sesame", "limit": 1, **noted}) == {}

    def sign_up(**more):
        return own.call("create_account", key=admin, first_name="A", last_name="B", **more)
    assert sign_up()["event"] == "account_creation_failed"
    made = sign_up(token="sesame")
    assert made["event"] == "account_created"
    assert result(own, admin, {"accounts": dict.fromkeys(noted)}, [{"account_id": made["account_id"]}]) == {
        "accounts": noted}
    assert tokens(own, admin, {"token": "sesame", "counter": None})["registration_tokens"]["counter"] == 1


@pytest.mark.parametrize("pattern", [{"token": None}, [{"token": None}], {"descr": None}])
def test_a_query_of_no_token(hub, admin, account, pattern):
    assert refusal(hub, admin, {"registration_tokens": pattern}) == "Error: don't know what to do with this query"
    assert refusal(hub, account, {"registration_tokens": pattern}) == NOT_ADMIN


@pytest.mark.parametrize("pattern", [{"token": "*"}, [{"token": "*", "limit": 1}]])
def test_all_tokens_are_not_one(hub, admin, pattern):
    assert refusal(hub, admin, {"registration_tokens": pattern}) == "Error: don't know what to do with this query"
    assert execute(hub, "SELECT count(*) FROM registration_tokens WHERE token = '*'") == [(0,)]


def test_tokens_are_for_administrators(hub, account):
    for options in (..., [{"delete": True}]):
        assert refusal(hub, account, {"registration_tokens": {"token": "x"}}, options) == NOT_ADMIN


def test_what_a_token_cannot_have(hub, admin):
    def text(options=..., **fields):
        return refusal(hub, admin, {"registration_tokens": fields}, options)
    assert text(descr="x") == "FATAL: must specify registration_tokens.token"
    assert text(token="x", counter=1) == "FATAL: changing registration_tokens.counter not allowed"
    assert text(token="x", customize="y") == "FATAL: error setting 'customize' -- Error: must be an object"
    assert text(token="x", limit="y") == 'postgresql error: invalid input syntax for type double precision: "y"'
    assert text([{"delete": True}], descr="x") == "FATAL: query must specify (primary) key 'token'"


# ---- Logs ----

def test_an_event_of_a_program(hub, admin, account):
    event = str(uuid.uuid4())
    fields = {"id": event, "event": "webapp-load", "value": {"ms": 5}, "time": "2020-01-01T00:00:00.000Z"}
    assert result(hub, account, {"central_log": fields}) == {}
    assert result(hub, hub.account(), {"central_log": {**fields, "value": {"ms": 6}}}) == {}  # it stays as it is
    assert result(hub, admin, {"central_log": {**dict.fromkeys(fields), "id": event}}) == {"central_log": fields}


def test_the_server_s_own_events_are_not_written(hub, account):
    own = str(uuid.uuid4())
    execute(hub, "INSERT INTO central_log (id, event, value, time) VALUES (?, 'create_account', '{}', 1)", own)
    for event in ("create_account", "xwebapp-", ""):
        assert refusal(hub, account, {"central_log": {"id": str(uuid.uuid4()), "event": event}}) == \
            "event must start with 'webapp-'"
    assert result(hub, account, {"central_log": {"id": own, "event": "webapp-x"}}) == {}
    assert execute(hub, "SELECT event FROM central_log WHERE id = ?", own) == [("create_account",)]


def test_bounds_of_events(hub, account):
    def text(**fields):
        return refusal(hub, account, {"central_log": fields})
    one = str(uuid.uuid4())
    assert text(event="webapp-x") == "FATAL: must specify central_log.id"
    assert text(id=one) == "FATAL: must specify central_log.event"
    assert text(id=one, event="webapp-x", value=7) == "FATAL: error setting 'value' -- Error: must be an object"
    assert text(id=one, event="webapp-x", value={"a": "x" * 4096}) == \
        "FATAL: error setting 'value' -- Error: must have at most 4096 characters"


@pytest.mark.parametrize("table, field, fields", [
    ("central_log", "event", {"id": str(uuid.uuid4())}),
    ("server_settings", "name", {"value": "x"}),
    ("registration_tokens", "token", {})])
def test_names_are_as_long_as_an_index_takes_them(own, table, field, fields):
    """Of random text: nothing that is stored of it becomes shorter."""
    admin = own.account(admin=True)
    name = "webapp-" + "".join(chr(random.randrange(0x4e00, 0x9fff)) for _ in range(831))
    assert result(own, admin, {table: {field: name, **fields}}) == {}
    assert execute(own, f"SELECT {field} FROM {table} WHERE {field} = ?", name) == [(name,)]
    assert refusal(own, admin, {table: {field: name + "x", **fields}}) == \
        f"FATAL: error setting '{field}' -- Error: must have at most 2500 bytes"


def test_a_token_made_by_command_is_as_long(hub):
    with pytest.raises(CommandFailed, match="a registration token must have at most 2500 bytes"):
        hub.cli("registration-token", "create", "--token", "x" * 2501)


def test_too_many_events_of_one_account(hub, account):
    batch = [{"central_log": {"id": str(uuid.uuid4()), "event": "webapp-x"}} for _ in range(300)]
    assert result(hub, account, batch) == [{}] * 300
    query = {"central_log": {"id": str(uuid.uuid4()), "event": "webapp-x", "time": "2001-01-01"}}
    assert refusal(hub, account, query) == "too many events: at most 300 an hour are kept; try again later"
    assert result(hub, hub.account(), query) == {}


@pytest.mark.parametrize("table", ["central_log", "client_error_log", "user_tracking"])
def test_logs_are_read_by_administrators(hub, admin, account, table):
    query = {table: [{"time": None, "event": None}]}
    assert refusal(hub, account, query, [{"limit": 1}]) == NOT_ADMIN
    assert isinstance(result(hub, admin, query, [{"limit": 1}])[table], list)


def test_errors_of_clients_are_read(hub, admin, account):
    hub.call("log_client_error", key=account, error="it broke")
    row, = result(hub, admin, {"client_error_log": [
        {"account_id": account.id, "event": None, "error": None, "expire": None}]})["client_error_log"]
    assert (row["event"], row["error"]) == ("error", "it broke") and row["expire"]


@pytest.mark.parametrize("table", ["client_error_log", "user_tracking"])
def test_nobody_writes_other_logs(hub, admin, table):
    assert refusal(hub, admin, {table: {"event": "x"}}) == f"FATAL: user set queries not allowed for table '{table}'"
