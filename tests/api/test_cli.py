# SPDX-License-Identifier: AGPL-3.0-or-later
"""The command line: what each command prints and how it ends, and the configuration."""
import json
import os
import pathlib
import re
import subprocess
import uuid

import pytest

from harness.server import COHUB

COMMANDS = ["serve", "account create", "account import", "account list", "account show", "account ban", "account unban", "account admin",
            "account delete", "account password", "key create", "key list", "key delete",
            "registration-token create", "registration-token list", "registration-token delete", "setting get",
            "setting set", "project list", "project show",
            "project start", "project stop", "project delete", "project undelete", "ticket list", "ticket reply",
            "ticket close", "mail list", "mail show", "api", "migrate", "doctor", "version"]
NOBODY = "cc3cb7f1-14f6-4a18-a803-5034af8c0004"


@pytest.fixture
def data(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def cohub(data):
    def run(*args, input="", env=None, where=None, **options):
        place = [] if where else ["--data", data]
        return subprocess.run([COHUB, *args, *place], env={**os.environ, **(env or {})}, input=input, text=True,
                              capture_output=True, timeout=180, cwd=where, **options)
    return run


@pytest.fixture(scope="module")
def data_with_one(tmp_path_factory):
    """A data folder with the account a@x.org."""
    folder = tmp_path_factory.mktemp("cli") / "data"
    subprocess.run([COHUB, "account", "create", "--email", "a@x.org", "--no-password", "--data", folder], check=True,
                   capture_output=True)
    return folder


def printed(done):
    """The one JSON value of a command that did its work."""
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n") and done.stdout.count("\n") == 1
    return json.loads(done.stdout)


def failed(done, status, text):
    """Ended so, said so, and printed nothing to be read as a result."""
    assert (done.returncode, done.stdout) == (status, ""), done
    assert re.search(text, done.stderr), done.stderr
    assert done.stderr.startswith(("cohub", "usage: cohub"))


# ---- Help and usage ----

def test_help(cohub):
    for args in (["--help"], ["help"]):
        done = subprocess.run([COHUB, *args], text=True, capture_output=True)
        assert (done.returncode, done.stderr) == (0, "")
        for command in COMMANDS:
            assert re.search(rf"^  {command}\b", done.stdout, re.M), command
    for args in ([], ["account"]):
        failed(subprocess.run([COHUB, *args], text=True, capture_output=True), 2, "^usage: cohub COMMAND")


@pytest.mark.parametrize("args, text", [
    (["nothing"], 'there is no command "nothing"; cohub --help lists the commands'),
    (["accounts", "list"], 'there is no command "accounts"; cohub --help lists the commands'), ([""], 'there is no command ""'),
    (["account", "nothing", "x"], 'there is no command "account nothing"; cohub account --help lists the commands'),
    (["--data", "/nowhere", "account", "list"], "options come behind the command, as in .*; cohub --help lists the commands"),
    (["serve", "--nothing"], "unknown option --nothing"), (["serve", "--nothing=x"], "unknown option --nothing=x"),
])
def test_no_command(args, text):
    done = subprocess.run([COHUB, *args], text=True, capture_output=True)
    failed(done, 2, f"^cohub.*: {text}")
    assert done.stderr.count("\n") == 1


def test_help_of_a_group(cohub, data):
    done = cohub("key", "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.findall(r"^  (\w+ \w+)", done.stdout, re.M) == [command for command in COMMANDS if command.startswith("key ")]
    assert not data.exists()


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command(cohub, data, command):
    done = cohub(*command.split(), "--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"usage: cohub {command}")
    for option in ("--data", "--config", "--database", "--help"):
        assert f"  {option} " in done.stdout
    assert not data.exists()


@pytest.mark.parametrize("command, options", [
    ("serve", ["listen", "base-path", "tls-cert", "tls-key", "user", "print-config", "log-level", "log-format"]),
    ("account create", ["email", "first-name", "last-name", "password-file", "no-password", "admin"]),
    ("account list", ["search"]), ("key create", ["project", "name", "expires"]),
    ("project list", ["account", "state", "deleted"]), ("registration-token create", ["token", "descr", "limit", "expires"]),
    ("project delete", ["purge"]), ("api", ["format"]),
    ("account password", ["password-file"]), ("ticket reply", ["text-file"]),
    ("license create", ["title", "cpu", "memory", "disk", "idle-timeout", "run-limit", "expires"]),
])
def test_help_names_the_options(cohub, command, options):
    text = cohub(*command.split(), "--help").stdout
    for option in options:
        assert re.search(rf"^  --{option} +\S", text, re.M), option


@pytest.mark.parametrize("args, text", [
    *(([*command.split(), "--nothing"], "unknown option --nothing") for command in COMMANDS),
    *(([*command.split(), "a", "b", "c"], "unexpected") for command in COMMANDS),
    *(([*command.split()], "missing") for command in ("account show", "account ban", "account unban", "account admin",
      "account delete", "account password", "key create", "key list", "key delete", "registration-token delete", "project show",
      "project start", "project stop", "project delete")),
    (["account", "admin", "someone"], "missing"), (["account", "admin", "someone", "maybe"], r"on\|off"),
    (["project", "list", "--state", "archived"], "--state is opened, starting, running or stopping, not archived"),
    (["account", "create"], "--email is missing"), (["account", "create", "--email", ""], "--email is missing"),
    (["account", "create", "--email", "a@x.org", "--no-password", "--password-file", "-"], "not both"),
    (["account", "create", "--email", "a@x.org", "--admin=yes"], "no value belongs to"),
    (["account", "create", "--email", "a@x.org", "--first-name", "\udcff", "--no-password"], "UTF-8"),
    (["account", "list", "--search", "a", "--search", "b"], "given twice: --search"),
    (["project", "delete", "x", "--purge", "--purge"], "given twice: --purge"),
    (["api", "--format", "yaml"], "--format is api.json, rpc.json, openapi or markdown, not yaml"), (["serve", "--listen"], "."), (["version", "--help=x"], "no value"),
])
def test_wrong_usage(cohub, data, args, text):
    failed(cohub(*args), 2, text)
    assert not data.exists()


def test_a_value_that_is_missing_at_the_end():
    done = subprocess.run([COHUB, "account", "list", "--search"], text=True, capture_output=True)
    failed(done, 2, "a value is missing for --search")


# ---- Accounts ----

def test_the_life_of_an_account(cohub):
    made = printed(cohub("account", "create", "--email", "Ada@Example.org", "--first-name", "Ada", "--last-name=Lovelace"))
    assert made.keys() == {"account_id", "email_address", "password", "api_key"}
    assert made["email_address"] == "ada@example.org" and len(made["password"]) >= 16
    shown = printed(cohub("account", "show", "ADA@example.org"))
    assert shown == printed(cohub("account", "show", made["account_id"].upper()))
    assert (shown["account_id"], shown["first_name"], shown["last_name"]) == (made["account_id"], "Ada", "Lovelace")
    assert (shown["banned"], shown["deleted"], shown["groups"], shown["has_password"]) == (False, False, [], True)
    assert "password_hash" not in shown and "argon2" not in str(shown)
    for args, member, value in ((["ban"], "banned", True), (["ban"], "banned", True), (["unban"], "banned", False),
                                (["admin", "on"], "groups", ["admin"]), (["admin", "on"], "groups", ["admin"]),
                                (["admin", "off"], "groups", []), (["delete"], "deleted", True)):
        assert printed(cohub("account", args[0], made["account_id"], *args[1:]))[member] == value
    failed(cohub("account", "show", "ada@example.org"), 1, "no account ada@example.org")
    assert printed(cohub("account", "show", made["account_id"]))["email_address_before_delete"] == "ada@example.org"


def test_an_administrator(cohub):
    made = printed(cohub("account", "create", "--email", "a@x.org", "--no-password", "--admin"))
    assert "password" not in made
    shown = printed(cohub("account", "show", "a@x.org"))
    assert (shown["groups"], shown["has_password"]) == (["admin"], False)


@pytest.mark.parametrize("password", ["--no-password", None, "of my own"])
def test_a_new_account_signs_in(hub, password):
    email = f"{uuid.uuid4()}@x.org"
    args = ["--no-password"] if password == "--no-password" else ["--password-file", "-"] if password else []
    made = hub.cli("account", "create", "--email", email, *args, input=password)
    assert hub.call("ping", key=made["api_key"])["event"] == "pong"
    assert ("password" in made) == (password is None)
    word = made.get("password", password)
    reply = hub.call("user_auth", key=hub.account(), account_id=made["account_id"], password=word)
    assert (reply["event"] == "user_auth_token") == (password != "--no-password")


def imported(cohub, status, *lines):
    """What the command printed for each line, as objects."""
    done = cohub("account", "import", input="".join(f"{line if isinstance(line, str) else json.dumps(line)}\n" for line in lines))
    assert (done.returncode, done.stderr) == (status, "")
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_importing_accounts(cohub):
    ada, bob = imported(cohub, 0, {"email_address": "Ada@x.org", "first_name": "Ada", "last_name": "Zoë", "admin": True}, "",
                        {"email_address": "bob@x.org", "password": None, "admin": False, "first_name": None})
    assert ada.keys() == {"account_id", "email_address", "password", "api_key"} and len(ada["password"]) >= 16
    assert bob.keys() == {"account_id", "email_address", "api_key"}
    shown = printed(cohub("account", "show", "ada@x.org"))
    assert (shown["account_id"], shown["first_name"], shown["last_name"], shown["groups"], shown["has_password"]) == (
        ada["account_id"], "Ada", "Zoë", ["admin"], True)
    shown = printed(cohub("account", "show", bob["account_id"]))
    assert (shown["email_address"], shown["groups"], shown["has_password"]) == ("bob@x.org", [], False)


def test_importing_nothing(cohub):
    assert imported(cohub, 0) == []


def test_an_imported_password_signs_in(hub):
    email = f"{uuid.uuid4()}@x.org"
    made = hub.cli("account", "import", input=json.dumps({"email_address": email, "password": "of my own"}))
    assert "password" not in made
    reply = hub.call("user_auth", key=made["api_key"], account_id=made["account_id"], password="of my own")
    assert reply["event"] == "user_auth_token"


@pytest.mark.parametrize("line, answer", [
    ({"email_address": "a@x.org"}, {"email_address": "a@x.org", "error": "This e-mail address is already taken."}),
    ({"email_address": "no"}, {"email_address": "no", "error": "Email address does not appear to be valid."}),
    ({"email_address": "b@x.org", "password": "x"},
     {"email_address": "b@x.org", "error": "Password must be between 6 and 64 characters in length."}),
    ({"email_address": "b@x.org", "pass": "x"}, {"email_address": "b@x.org", "error": "there is no member pass"}),
    ({"email_address": "b@x.org", "admin": 1}, {"email_address": "b@x.org", "error": "admin must be true or false"}),
    ({"email_address": "b@x.org", "first_name": ["x"]}, {"email_address": "b@x.org", "error": "first_name must be a string"}),
    ({"email_address": 7}, {"error": "email_address must be a string"}),
    ({"first_name": "x"}, {"error": "email_address is missing"}), ({"email_address": ""}, {"email_address": "", "error": "email_address is missing"}),
    ([1], {"error": "a line must be a JSON object"}),
])
def test_a_line_that_is_wrong_holds_up_no_other(cohub, line, answer):
    """The command fails in the end."""
    first, wrong, last = imported(cohub, 1, {"email_address": "a@x.org", "password": None}, line,
                                  {"email_address": "c@x.org", "password": None})
    assert (first["email_address"], wrong, last["email_address"]) == ("a@x.org", answer, "c@x.org")


@pytest.mark.parametrize("line", ["x", "{", "\0", '{"email_address": "b@x.org"} {}', '{"a": [[1]]}'])
def test_a_line_that_is_no_json(cohub, line):
    [wrong] = imported(cohub, 1, line)
    assert re.match("invalid JSON: .* at byte", wrong["error"])


def test_the_list_of_accounts(cohub):
    for email, first in (("one@x.org", "Eins"), ("two@x.org", "Zwei"), ("50%_off@x.org", "Drei")):
        printed(cohub("account", "create", "--email", email, "--first-name", first, "--no-password"))

    def found(*args):
        return {account["email_address"] for account in printed(cohub("account", "list", *args))}

    assert found() == {"one@x.org", "two@x.org", "50%_off@x.org"}
    assert found("--search", "ZWE") == {"two@x.org"}
    assert found("--search", "o") == {"one@x.org", "two@x.org", "50%_off@x.org"}
    assert found("--search", "%_") == {"50%_off@x.org"}
    assert found("--search", "_") == {"50%_off@x.org"}
    assert found("--search", "'") == found("--search", "\\") == set()


def test_passwords(hub, tmp_path):
    account = hub.account()

    def right(password):
        # another caller each time: a failure would shut the next out
        reply = hub.call("user_auth", key=hub.account(), account_id=account.id, password=password)
        return reply["event"] == "user_auth_token"

    made = hub.cli("account", "password", account.email)
    assert made.keys() == {"account_id", "password"} and right(made["password"])
    file = tmp_path / "password"
    file.write_text("from a file\nsecond line\n")
    os.chmod(file, 0o600)
    assert hub.cli("account", "password", account.id, "--password-file", str(file)) == {"account_id": account.id}
    assert right("from a file") and not right(made["password"])
    hub.cli("account", "password", account.id, "--password-file", "-", input="from the input")
    assert right("from the input") and not right("from a file")
    for bad in ("", "\n", "short\n", "x" * 65 + "\n", "x" * 5000):
        done = hub.cli_run("account", "password", account.id, "--password-file", "-", input=bad)
        failed(done, 1, "[Pp]assword")
    failed(hub.cli_run("account", "password", account.id, "--password-file", "/nonexistent"), 1, "/nonexistent")
    assert right("from the input")


@pytest.mark.parametrize("args, text", [
    (["account", "create", "--email", "malformed", "--no-password"], "Email address does not appear to be valid"),
    (["account", "create", "--email", "a@x.org", "--no-password"], "already taken"),
    (["account", "create", "--email", "b@x.org", "--no-password", "--first-name", "evil.com"], "URLs are not allowed"),
    (["account", "create", "--email", "b@x.org", "--password-file", "/nonexistent"], "/nonexistent"),
    *((["account", command, who, *more], "no account") for who in ("nobody@x.org", NOBODY, "", "x" * 10_000)
      for command, *more in (["show"], ["ban"], ["unban"], ["admin", "on"], ["delete"], ["password"])),
    (["key", "create", "nobody"], "no account nobody"), (["key", "list", NOBODY], "no account"),
    (["key", "delete", "x"], "no key id"), (["key", "delete", "0"], "no key id"), (["key", "delete", "99999"], "no api key"),
    (["key", "delete", "99999999999999999999"], "no key id"),
    *((["project", command, what], "project") for what in (NOBODY, "nonsense")
      for command in ("show", "start", "stop", "delete")),
    (["project", "list", "--account", "nobody"], "no account nobody"),
    (["account", "list", "--database", "oracle:x"], "database"),
    (["account", "list", "--config", "/nonexistent/file"], "/nonexistent/file"),
])
def test_failures(data_with_one, args, text):
    failed(subprocess.run([COHUB, *args, "--data", data_with_one], text=True, capture_output=True, stdin=subprocess.DEVNULL),
           1, text)


@pytest.mark.parametrize("args", [["account", "list"], ["account", "show", "x"], ["key", "list", "x"], ["project", "list"]])
def test_a_missing_data_folder_is_said_once_and_not_made(cohub, data, args):
    done = cohub(*args)
    failed(done, 1, re.escape(str(data)))
    assert done.stderr.count("No such file or directory") == 1
    assert not data.exists()


# ---- Projects ----

def test_the_life_of_a_project(hub, account):
    project = hub.project(account, title="Mine")
    shown = hub.cli("project", "show", project)
    assert (shown["project_id"], shown["title"], shown["state"]["state"]) == (project, "Mine", "opened")
    assert [found["project_id"] for found in hub.cli("project", "list", "--account", account.email)] == [project]
    assert hub.cli("project", "start", project)["state"]["state"] == "running"
    assert hub.sandbox(project)
    assert hub.exec(account, project, "echo hello")["stdout"] == "hello\n"
    assert [found["project_id"] for found in hub.cli("project", "list", "--account", account.id, "--state", "running")] == [project]
    assert hub.cli("project", "stop", project)["state"]["state"] == "opened"
    assert not hub.sandbox(project)
    assert hub.cli("project", "list", "--account", account.id, "--state", "running") == []
    assert hub.cli("project", "delete", project)["deleted"] is True
    assert (hub.data / "projects" / project).is_dir()
    hub.cli("project", "delete", project, "--purge")
    assert not (hub.data / "projects" / project).exists()
    failed(hub.cli_run("project", "show", project), 1, "project")


# ---- The rest ----

def test_version(cohub, data):
    assert re.fullmatch(r"\d+\.\d+\.\d+\S*", printed(cohub("version"))["version"])
    assert subprocess.run([COHUB, "--version"], text=True, capture_output=True).stdout == cohub("version").stdout
    assert not data.exists()


def test_a_lost_secret_is_told(cohub, data):
    """Whoever restores a database without its secret finds every key refused."""
    assert cohub("account", "create", "--email", "a@x.org", "--no-password").stderr == ""
    (data / "secret.key").unlink()
    done = cohub("account", "list")
    assert printed(done) and re.search(r"warning secret_key_lost void_api_keys=1 .*API keys of before are void", done.stderr)
    assert cohub("account", "list").stderr == ""


def test_help_names_what_upgrades_there_are(cohub):
    for command in (["project", "settings"], ["upgrades", "set"], ["upgrades", "apply"]):
        text = cohub(*command, "--help").stdout
        assert all(name in text for name in ("disk_quota", "memory_request (MB)", "mintime (seconds)", "always_running"))


def test_api(cohub, data, openapi_errors):
    done = cohub("api")
    text = json.dumps(json.loads(done.stdout))
    assert cohub("api", "--format", "api.json").stdout == done.stdout
    for name in ("ping", "create_account", "project_exec"):
        assert name in text
    done = cohub("api", "--format=openapi")
    assert openapi_errors(done.stdout) == "" and json.loads(done.stdout)["openapi"].startswith("3.1")
    assert cohub("api", "--format", "markdown").stdout.startswith("#")
    formats, = re.findall(r"--format FORMAT +(\S+), (\S+), (\S+) or (\S+);", cohub("api", "--help").stdout)
    assert formats == ("api.json", "rpc.json", "openapi", "markdown")
    for form in formats:
        text = cohub("api", "--format", form, env={"COHUB_SITE_URL": "https://hub.example.org/base"}).stdout
        assert "https://hub.example.org/base/api/" in text and "https://cocalc.com" not in text
    assert not data.exists()


@pytest.mark.parametrize("there", [True, False])
def test_doctor(cohub, data, there):
    if there:
        printed(cohub("account", "create", "--email", "a@x.org", "--no-password"))
    done = cohub("doctor")
    assert done.returncode == 0, done.stdout
    assert data.exists() == there and os.listdir(data.parent) == ["data"] * there
    assert ("none yet" in done.stdout) == (not there)
    lines = done.stdout.splitlines()
    assert len(lines) >= 5
    for line in lines:
        assert re.match(r"(ok|note)\s+\w+\s+\S", line), line
    for check in ("sandbox", "agent", "limits", "network", "paths", "shell", "rsync", "open", "database", "disk", "mail"):
        assert any(line.split()[1] == check for line in lines), check


def test_doctor_fails_where_something_needed_is_missing(cohub):
    done = cohub("doctor", env={"PATH": "/nonexistent"})
    assert done.returncode == 1
    for program in ("bubblewrap", "bash", "rsync"):
        assert re.search(rf"^FAILED .*{program}.*not installed", done.stdout, re.M), program


def test_a_result_that_cannot_be_printed_is_a_failure(cohub):
    with open("/dev/full", "w") as full:
        assert subprocess.run([COHUB, "version"], stdout=full).returncode == 1


# ---- Where the data is ----

def test_where_the_data_is(cohub, tmp_path):
    made = [tmp_path / "data", tmp_path / "by variable", tmp_path / "by option"]
    create = ["account", "create", "--no-password", "--email"]
    environment = {name: value for name, value in os.environ.items() if name != "COHUB_DATA"}
    subprocess.run([COHUB, *create, "a@x.org"], cwd=tmp_path, env=environment, check=True, capture_output=True)
    subprocess.run([COHUB, *create, "b@x.org"], cwd=tmp_path, env={**environment, "COHUB_DATA": made[1]}, check=True,
                   capture_output=True)
    subprocess.run([COHUB, *create, "c@x.org", "--data", made[2]], cwd=tmp_path, env={**environment, "COHUB_DATA": made[1]},
                   check=True, capture_output=True)
    for folder, email in zip(made, ("a@x.org", "b@x.org", "c@x.org")):
        done = subprocess.run([COHUB, "account", "list", "--data", folder], text=True, capture_output=True)
        assert [account["email_address"] for account in printed(done)] == [email]


def test_a_database_elsewhere(cohub, data, tmp_path):
    data.mkdir()
    other = tmp_path / "other"
    other.mkdir()
    if os.geteuid() == 0:
        printed(cohub("account", "create", "--email", "first@x.org", "--no-password"))
        owner = data.stat()
        os.chown(other, owner.st_uid, owner.st_gid)
        for folder in (tmp_path, *tmp_path.parents):
            if folder != pathlib.Path("/"):
                folder.chmod(folder.stat().st_mode | 0o011)
    url = f"sqlite:{other}/mine.sqlite3"
    printed(cohub("account", "create", "--email", "a@x.org", "--no-password", "--database", url))
    assert (other / "mine.sqlite3").exists()
    assert len(printed(cohub("account", "list", env={"COHUB_DATABASE_URL": url}))) == 1
    assert all(account["email_address"] != "a@x.org" for account in printed(cohub("account", "list")))


# ---- Configuration ----

def config_of(cohub, *args, **options):
    """One JSON value, and a line for each setting."""
    done = cohub("serve", "--print-config", *args, **options)
    assert done.returncode == 0, done.stderr
    settings = json.loads(done.stdout)
    assert [re.match(r'[{ ]"([\w.]+)": ', line)[1] for line in done.stdout.splitlines()] == list(settings)
    return settings


@pytest.mark.parametrize("url, shown", [
    ("postgresql://ada:s3:c@ret@db.example/hub?sslmode=require", "postgresql://ada:(set)@db.example/hub?sslmode=require"),
    ("postgresql://ada@[::1]:5432/hub?password=s3cret&host=/run", "postgresql://ada@[::1]:5432/hub?password=(set)&host=/run"),
    ("postgresql:///hub?sslpassword=s3cret", "postgresql:///hub?sslpassword=(set)"),
    ("sqlite:/a:b@c", "sqlite:/a:b@c"),
])
def test_the_password_of_the_database_is_not_printed(cohub, url, shown):
    assert config_of(cohub, "--database", url)["database.url"] == {"value": shown, "source": "option"}


def test_each_value_comes_from_somewhere(cohub, data):
    assert config_of(cohub)["site.name"] == {"value": "cohub", "source": "default"}
    assert all(setting["source"] == "default" for setting in config_of(cohub).values())
    data.mkdir()
    file = data / "cohub.conf"
    file.write_text("; a comment\n# another\n[site]\nname = From the file\n\n[http]\nbase_path=/file\nlisten = 127.0.0.1:1\n"
                    "listen = 127.0.0.1:2\n")
    settings = config_of(cohub)
    assert settings["site.name"] == {"value": "From the file", "source": "file"}
    assert settings["http.base_path"] == {"value": "/file", "source": "file"}
    assert settings["http.listen"] == {"value": "127.0.0.1:1 127.0.0.1:2", "source": "file"}
    env = {"COHUB_HTTP_BASE_PATH": "/environment", "COHUB_HTTP_LISTEN": "127.0.0.1:3"}
    settings = config_of(cohub, env=env)
    assert settings["http.base_path"] == {"value": "/environment", "source": "environment"}
    assert settings["http.listen"] == {"value": "127.0.0.1:3", "source": "environment"}
    assert settings["site.name"]["source"] == "file"
    settings = config_of(cohub, "--base-path", "/option", "--listen", "127.0.0.1:4", "--listen=127.0.0.1:5", env=env)
    assert settings["http.base_path"] == {"value": "/option", "source": "option"}
    assert settings["http.listen"] == {"value": "127.0.0.1:4 127.0.0.1:5", "source": "option"}
    other = data / "other.conf"
    other.write_text("[site]\nname = Other\n")
    settings = config_of(cohub, "--config", str(other))
    assert settings["site.name"] == {"value": "Other", "source": "file"}
    assert settings["http.base_path"]["source"] == "default"


@pytest.mark.parametrize("text, line, message", [
    ("[http]\nbody_size_max = many\n", 2, r'http\.body_size_max is "many"; allowed are whole numbers from 1024 to'),
    ("[http]\n\n# x\nbody_size_max = 5\n", 4, "allowed are whole numbers"),
    ("[http]\nbody_size_max = 5000x\n", 2, "allowed are whole numbers"),
    ("[http]\nbody_size_max = 99999999999999999999\n", 2, "allowed are whole numbers"),
    ("[http]\nbody_size_max =\n", 2, "allowed are whole numbers"),
    ("[http]\nnothing = 1\n", 2, r'unknown key "nothing" in \[http\]; allowed are: listen, base_path'),
    ("[nothing]\nx = 1\n", 2, r"unknown section \[nothing\]; allowed are: http, database, log, mail, projects, jupyter, server, limits, site$"),
    ("listen = 127.0.0.1:0\n", 1, "before the first"),
    ("[site]\nname = x\nsign_up = perhaps\n", 3, r'site\.sign_up is "perhaps"; allowed are: open token closed'),
    ("[log]\nlevel = loud\n", 2, "allowed are: debug info warning error"),
    ("[site]\nname = x\nnonsense\n", 3, "KEY = VALUE"),
    ("[site\nname = x\n", 1, "KEY = VALUE"),
    ("[site]\nname = x\nnonsense\n[http]\nloops = x\n", 3, "KEY = VALUE"),
    ("[site]\nloops = x\nnonsense\n", 2, "unknown key"),
    ("[site]\n\nname = " + "x" * 300 + "\n", 3, "longer than"),
])
def test_a_bad_file_stops_the_start(cohub, data, text, line, message):
    data.mkdir()
    file = data / "cohub.conf"
    file.write_text(text)
    for args in (["serve", "--listen", "127.0.0.1:0"], ["serve", "--print-config"], ["account", "list"]):
        failed(cohub(*args), 1, re.escape(f"{file}, line {line}: ") + ".*" + message)


@pytest.mark.parametrize("name, value, message", [
    ("COHUB_HTTP_BODY_SIZE_MAX", "x", "allowed are whole numbers"), ("COHUB_SITE_SIGN_UP", "", "allowed are: open token closed"),
    ("COHUB_LOG_FORMAT", "xml", "allowed are: text json"), ("COHUB_HTTP_LOOPS", "-1", "allowed are whole numbers from 0"),
])
def test_a_bad_variable_stops_the_start(cohub, name, value, message):
    failed(cohub("serve", env={name: value}), 1, f"environment variable {name}: .*{message}")


@pytest.mark.parametrize("args, status, message", [
    (["--base-path", "no-slash"], 1, "base path"), (["--base-path", "/x/"], 1, "base path"),
    (["--log-level", "loud"], 2, "allowed are"), (["--tls-cert", "/nonexistent"], 1, "TLS|nonexistent"),
    (["--user", "nobody-of-that-name"], 1, "nobody-of-that-name"),
])
def test_a_bad_option_stops_the_start(cohub, args, status, message):
    if os.geteuid() != 0 and "--user" in args:
        pytest.fail("these tests run as root")
    failed(cohub("serve", "--listen", "127.0.0.1:0", *args), status, message)


@pytest.mark.parametrize("name, value, message", [
    ("HTTP_TRUSTED_PROXIES", "10.0.0.0/33", "10.0.0.0"), ("HTTP_LISTEN", "5000", 'listen address "5000" is not HOST:PORT'),
    ("HTTP_BASE_PATH", "x", "base path"), ("HTTP_TLS_CERT", "/x", "TLS needs both"),
    ("MAIL_URL", "mail.example.org", "mail.url is"), ("MAIL_FROM", "hub", 'mail.from is "hub"; it must be an address'),
    ("SITE_HELP_EMAIL", "help", 'site.help_email is "help"'), ("SITE_HELP_EMAIL", "Help <a@b>", "site.help_email"),
    ("SITE_URL", "hub.example.org", "it must begin with http:// or https://"), ("SITE_URL", "https://", "it must have a host"),
    ("SITE_URL", 'https://a"b', "it must have a host"),
])
def test_what_cannot_be_stops_the_start_before_anything_is_made(cohub, data, name, value, message):
    for args in ([], ["--print-config"]):
        failed(cohub("serve", *args, env={f"COHUB_{name}": value}), 1, re.escape(message))
    assert not data.exists()


# ---- Root and others ----

@pytest.fixture
def as_nobody(for_everybody):
    """Runs the command as a user without rights."""
    def run(*args, **options):
        return subprocess.run([for_everybody, *args], user=65534, group=65534, extra_groups=[], text=True,
                              capture_output=True, timeout=180, **options)
    return run


def test_a_new_folder_of_root_is_given_away(cohub, data):
    printed(cohub("account", "create", "--email", "a@x.org", "--no-password"))
    owner = data.stat()
    assert owner.st_uid != 0 and owner.st_mode & 0o777 == 0o700
    assert {file.stat().st_uid for file in data.rglob("*")} == {owner.st_uid}


def test_a_folder_of_root_with_something_in_it_is_not(cohub, data):
    data.mkdir()
    (data / "something").write_text("x")
    failed(cohub("account", "create", "--email", "a@x.org", "--no-password"), 1, "belongs to root.*chown")
    assert data.stat().st_uid == 0 and os.listdir(data) == ["something"]


def test_a_folder_of_the_group_root_is_refused(cohub, data):
    printed(cohub("account", "create", "--email", "a@x.org", "--no-password"))
    group = data.stat().st_gid
    os.chown(data, -1, 0)
    for command in (["account", "list"], ["serve", "--listen", "127.0.0.1:0"]):
        failed(cohub(*command), 1, r"belongs to the group root; give it to a group of its owner's: chown -R \w+: ")
    os.chown(data, -1, group)
    printed(cohub("account", "list"))


def test_somebody_else_is_refused(cohub, data, as_nobody):
    printed(cohub("account", "create", "--email", "a@x.org", "--no-password"))
    failed(as_nobody("account", "list", "--data", data), 1, "Permission denied|belongs to another")


def test_a_user_without_rights(as_nobody, data, cohub):
    data.mkdir()
    os.chown(data, 65534, 65534)
    made = printed(as_nobody("account", "create", "--email", f"{uuid.uuid4()}@x.org", "--no-password", "--data", data))
    assert printed(as_nobody("account", "show", made["account_id"], "--data", data))["account_id"] == made["account_id"]
    # root acts as the folder's owner
    second = printed(cohub("account", "create", "--email", "root@x.org", "--no-password"))
    assert printed(as_nobody("account", "show", second["account_id"], "--data", data))["email_address"] == "root@x.org"
    assert {file.stat().st_uid for file in data.rglob("*")} == {65534}
