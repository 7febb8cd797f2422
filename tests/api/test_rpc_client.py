# SPDX-License-Identifier: AGPL-3.0-or-later
"""What the public clients of the RPC check, with a client that sends what they send: hub-rpc 11, row by row, the MCP
server's start, and a day's work from one key."""
import re
import uuid

import httpx
import pytest

from harness.process import wait_until
from harness.rpc import Hub, Project
from harness.store import execute

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ISO_LOCAL = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
UNAUTHENTICATED = "must be signed in and MUST provide an api key"


@pytest.fixture
def administrator(hub):
    return hub.account(admin=True)


@pytest.fixture
def client(hub, administrator):
    with Hub(hub.url, administrator) as client:
        yield client


@pytest.fixture
def started(client):
    """The id of a project that runs."""
    project_id = client.projects.create_project(title="a project")
    client.projects.start(project_id)
    return project_id


@pytest.fixture
def inside(hub, administrator, started):
    with Project(hub.url, administrator, started) as inside:
        yield inside


def unique(word):
    return f"{word}-{uuid.uuid4().hex[:12]}"


def project_key(hub, account, project_id):
    return hub.cli("key", "create", account.id, "--project", project_id)["api_key"]


def new_person(client, org="no-such-org"):
    names = unique("First").replace("-", ""), unique("Last").replace("-", "")
    email = f"{unique('person')}@test.local"
    return client.org.create_user(name=org, email=email, firstName=names[0], lastName=names[1]), email, *names


def raises(text, call, *args, **parameters):
    with pytest.raises(RuntimeError, match=re.escape(text)):
        call(*args, **parameters)


# ---- The server, and who is known there ----

def test_ping(hub, client):
    assert client.system.ping()["now"] > 1_700_000_000_000
    with Hub(hub.url, "sk-invalidinvalid000001") as stranger:
        raises(UNAUTHENTICATED, stranger.system.ping)


def test_an_http_error_is_no_answer(hub, administrator):
    with Hub(hub.url + "/nowhere", administrator) as lost, pytest.raises(httpx.HTTPStatusError):
        lost.system.ping()


@pytest.mark.parametrize("with_org", [False, True])
def test_a_new_person_is_found_at_once(client, with_org):
    org = unique("org")
    if with_org:
        client.org.create(org)
    person, email, first, last = new_person(client, org)
    for query in (email, email.upper(), first, last, first.upper(), f"{first} {last}", person):
        found = client.system.user_search(query)
        assert [one["account_id"] for one in found] == [person], query
    assert client.system.user_search(unique("nobody-has-this-name")) == []


def test_names(client):
    person, _, first, last = new_person(client)
    names = client.system.get_names([person, "00000000-0000-4000-8000-000000000000"])
    assert names[person]["first_name"] == first and names[person]["last_name"] == last
    assert names["00000000-0000-4000-8000-000000000000"] == {"first_name": "Deleted", "last_name": "User"}


def test_own_account(client, administrator):
    """What the MCP server reads as the account's profile."""
    fields = ("account_id first_name last_name email_address name created last_active balance groups editor_settings "
              "other_settings terminal autosave font_size profile").split()
    account = client.db.query({"accounts": dict.fromkeys(fields)})["accounts"]
    assert account["account_id"] == administrator.id and account["email_address"] == administrator.email
    assert account["first_name"] is not None and "admin" in account["groups"]
    assert account["balance"] is None or isinstance(account["balance"], (int, float))
    assert account["editor_settings"].keys() >= {"theme", "bindings", "line_numbers", "line_wrapping"}
    assert account["other_settings"].keys() >= {"dark_mode", "katex", "i18n"}
    assert account["terminal"].keys() >= {"font_size", "color_scheme", "font"}
    assert ISO.fullmatch(account["created"])


# ---- Projects ----

def test_a_projects_life(hub, administrator, client):
    project_id = client.projects.create_project(title="life", description="of a project")
    assert str(uuid.UUID(project_id)) == project_id
    assert client.projects.start(project_id) is None
    with Project(hub.url, administrator, project_id) as inside:
        assert inside.system.ping()["now"]
        done = inside.system.exec("uname -a")
        assert "Linux" in done["stdout"] and done["exit_code"] == 0
    (record,) = client.projects.get(project_id=project_id)
    assert not record.get("deleted") and record["title"] == "life"
    assert ISO.fullmatch(record["created"]) and ISO.fullmatch(record["last_edited"])
    assert client.projects.state(project_id)["state"] == "running"
    status = client.projects.status(project_id)
    assert status.keys() & {"project", "start_ts", "version", "disk_MB", "memory"}
    assert client.projects.touch(project_id) is None
    assert client.projects.stop(project_id) is None
    wait_until(lambda: client.projects.state(project_id)["state"] == "opened", 60, "the project has stopped")
    assert client.projects.delete(project_id) is None
    (record,) = client.projects.get(all=True, project_id=project_id)
    assert record["deleted"] is True
    assert client.projects.get(all=True, project_id=project_id, deleted=False) == []


def test_state_has_no_error(client):
    state = client.projects.state(client.projects.create_project())
    assert state["state"] == "opened" and ISO.fullmatch(state["time"]) and "error" not in state
    assert client.projects.status(client.projects.create_project()) == {}


def test_listing(hub, client, administrator):
    """The filters are the client's; the six weeks are the server's."""
    titles = {title: client.projects.create_project(title=title) for title in ("b", "A", "c")}
    execute(hub, "UPDATE projects SET last_edited = last_edited - ? WHERE project_id = ?", 41 * 86400_000, titles["c"])
    assert [row["title"] for row in client.projects.get()] == ["A", "b", "c"]
    assert [row["title"] for row in client.projects.get(limit=1)] == ["A"]
    assert client.projects.get(limit=0) == [] and client.projects.get(state="running") == []
    assert len(client.projects.get(state="OPENED")) == 3
    execute(hub, "UPDATE projects SET last_edited = last_edited - ? WHERE project_id = ?", 2 * 86400_000, titles["c"])
    assert [row["title"] for row in client.projects.get()] == ["A", "b"]
    assert client.projects.get(project_id=titles["c"]) == []
    assert [row["title"] for row in client.projects.get(all=True)] == ["A", "b", "c"]
    client.db.query({"projects": {"project_id": titles["A"], "users": {administrator.id: {"hide": True}}}})
    hidden = client.projects.get(hidden=True, account_id_for_hidden=administrator.id)
    assert [row["title"] for row in hidden] == ["A"]
    assert [row["title"] for row in client.projects.get(fields=["title"])] == ["b", "A"]  # no times to sort by


def test_collaborators(client, administrator):
    project_id = client.projects.create_project()
    people = [new_person(client)[0] for _ in range(2)]
    users = client.projects.get(project_id=project_id)[0]["users"]
    assert users == {administrator.id: {"group": "owner"}}
    assert client.projects.add_collaborator(project_id, people[0]) == {"project_id": [project_id]}
    assert client.projects.add_collaborator([project_id], [people[1]]) == {"project_id": [project_id]}
    assert client.projects.remove_collaborator(project_id, people[0]) is None
    users = client.projects.get(project_id=project_id)[0]["users"]
    assert users == {administrator.id: {"group": "owner"}, people[1]: {"group": "collaborator"}}


# ---- Commands ----

def test_exec(inside):
    assert ISO_LOCAL.fullmatch(inside.system.exec("date", ["-Is"])["stdout"].strip())
    assert inside.system.exec("echo x > f")["exit_code"] == 0
    assert inside.system.exec("cat", ["f"])["stdout"] == "x\n"
    raises("exited with nonzero code 42", inside.system.exec, "echo out; echo problem >&2; exit 42", bash=True)
    raises("stderr='problem", inside.system.exec, "echo problem >&2; exit 42", bash=True)


def test_a_copy_into_a_project_that_never_ran(hub, administrator, client, inside, started):
    inside.system.exec("echo hello > a.txt")
    target = client.projects.create_project()
    assert client.projects.copy_path_between_projects(started, "a.txt", target, "b.txt") is None
    with Project(hub.url, administrator, target) as other:
        assert other.system.exec("cat b.txt")["stdout"] == "hello\n"


def test_files_of_the_mcp_server(inside):
    """Its listing of the home: `find` with -printf, in the default directory."""
    inside.system.exec("touch 'a file' && mkdir folder")
    listing = inside.system.exec("find . -maxdepth 1 -not -name . -printf '%f\\t%y\\t%s\\n' | sort", bash=True)
    assert {"a file\tf\t0"} <= set(listing["stdout"].splitlines()) and "folder\td\t" in listing["stdout"]


# ---- Organizations and messages ----

def test_organizations(client):
    org, other = unique("test-org"), unique("other-org")
    assert uuid.UUID(client.org.create(org)) and uuid.UUID(client.org.create(other))
    assert client.org.get(org)["name"] == org and org in [one["name"] for one in client.org.get_all()]
    fields = {"title": "T", "description": "D", "email_address": "o@test.local", "link": "https://test.local"}
    assert client.org.set(org, **fields) is None
    assert client.org.get(org).items() >= fields.items()
    assert client.org.get_users(org) == []
    person, email, *_ = new_person(client, org)
    assert [one["account_id"] for one in client.org.get_users(org)] == [person]
    assert client.org.add_admin(org, email) is None
    assert client.org.get(org)["admin_account_ids"] == [person]
    raises("already member of another organization", client.org.add_admin, other, person)
    assert client.org.remove_admin(org, person) is None
    assert not client.org.get(org)["admin_account_ids"]
    assert client.org.add_user(other, person) is None
    assert client.org.add_admin(other, person) is None
    assert client.org.get_users(org) == []
    token = client.org.create_token(person)
    assert len(token["token"]) == 24 and token["url"].startswith("http") and token["token"] in token["url"]
    assert client.org.expire_token(token["token"]) is None
    assert client.org.message(other, "subject", "body") is None


def test_messages(hub, client, administrator):
    person = hub.account()
    number = client.messages.send("subject", "body", [person.id])
    assert isinstance(number, int) and number > 0
    with Hub(hub.url, person) as other:
        (message,) = other.messages.get(type="received")
        assert (message["id"], message["from_id"], message["body"]) == (number, administrator.id, "body")
        reply = other.messages.send("re", "answer", [administrator.id], reply_id=number)
    assert reply > number and client.messages.get(limit=1)[0]["thread_id"] == number


# ---- Jupyter ----

@pytest.fixture
def kernel(inside):
    """The project of the test has a kernel of its own, as clients that install one find it."""
    inside.system.exec("python3 -m pip install ipykernel", timeout=110)
    inside.system.exec("python3 -m ipykernel install --user --name=python3 --display-name='Python 3'", timeout=110)
    return "python3"


def test_jupyter(client, started, inside, kernel):
    assert kernel in [one["name"] for one in client.jupyter.kernels(project_id=started)]
    total = [{"data": {"text/plain": "4950"}}]
    assert client.jupyter.execute("sum(range(100))", kernel, project_id=started)["output"] == total
    assert inside.system.jupyter_execute("sum(range(100))", kernel) == total
    for run in (lambda *a, **k: client.jupyter.execute(*a, project_id=started, **k)["output"], inside.system.jupyter_execute):
        assert run('print("Hello")', kernel) == [{"name": "stdout", "text": "Hello\n"}]
        assert run("a=1", kernel) == []
        assert run("a + 1", kernel, history=["a = 41"]) == [{"data": {"text/plain": "42"}}]
        assert run("a", kernel)[0]["ename"] == "NameError"
    kernels = inside.system.list_jupyter_kernels()
    assert kernels
    assert inside.system.stop_jupyter_kernel(kernels[0]["pid"]) == {"success": True}
    assert kernels[0]["pid"] not in [one["pid"] for one in inside.system.list_jupyter_kernels()]
    assert inside.system.stop_jupyter_kernel(1) == {"success": False}


# ---- Which key is this? ----

def test_how_the_mcp_server_learns_what_its_key_is_for(hub, account, project):
    with Hub(hub.url, account) as client:
        tested = client.system.test()
        assert tested["account_id"] == account.id and "project_id" not in tested
    key = project_key(hub, account, project)
    with Hub(hub.url, key) as client, Project(hub.url, key) as inside:
        raises(UNAUTHENTICATED, client.system.test)
        tested = inside.system.test()
        assert tested["project_id"] == project and "account_id" not in tested
    with Hub(hub.url, "sk-x") as client, Project(hub.url, "sk-x") as inside:
        raises(UNAUTHENTICATED, client.system.test)
        raises("must sign in as project or account", inside.system.test)


def test_what_the_mcp_server_lists(hub, account, project):
    fields = ["project_id", "title", "description", "last_edited", "created", "state", "deleted", "users"]
    with Hub(hub.url, account) as client:
        (record,) = client.projects.get(fields=fields, all=True)
        assert record["project_id"] == project and None not in record.values()
        names = client.system.get_names(list(record["users"]))
        assert names[account.id]["first_name"] == "Ada"


# ---- A day's work ----

def test_a_days_work_with_an_account_key(hub, account):
    friend = hub.account(first_name=unique("Grace").replace("-", ""))
    with Hub(hub.url, account) as client:
        project_id = client.projects.create_project(title="work")
        with Project(hub.url, account, project_id) as inside:
            work_inside(inside)
        (found,) = client.system.user_search(friend.email)
        client.projects.add_collaborator(project_id, found["account_id"])
        assert client.messages.send("done", "have a look", [found["account_id"]]) > 0
        output = client.jupyter.execute("6 * 7", "python3", project_id=project_id)["output"]
        assert output == [{"data": {"text/plain": "42"}}]
        assert client.sync.history(project_id, "notes.txt") == {"patches": [], "info": {}}
        client.projects.stop(project_id)
        client.projects.delete(project_id)
        assert client.projects.get(project_id=project_id, all=True)[0]["deleted"] is True


def work_inside(inside):
    inside.system.exec("printf 'one\\ntwo\\n' > notes.txt")
    assert inside.system.exec("wc", ["-l", "notes.txt"])["stdout"] == "2 notes.txt\n"
    assert inside.system.jupyter_execute("print(2 ** 10)", "python3") == [{"name": "stdout", "text": "1024\n"}]


def test_a_days_work_with_a_project_key(hub, account, project):
    """What it does not need an account for."""
    key = project_key(hub, account, project)
    with Project(hub.url, key) as inside, Hub(hub.url, key) as client:
        assert inside.system.ping()["now"] and inside.system.test()["project_id"] == project
        work_inside(inside)
        for call in (client.projects.create_project, client.system.ping, client.messages.get,
                     lambda: client.projects.state(project), lambda: client.projects.delete(project)):
            raises(UNAUTHENTICATED, call)
