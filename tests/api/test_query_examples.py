# SPDX-License-Identifier: AGPL-3.0-or-later
"""The worked examples of user queries (user-query 18), word for word, and those of the documentation of `query`.

An example is lines of a table: its number, `as X:` where the caller is not A, the query, its options, and behind the
arrow RESULT or the text of the refusal. Lines with the same number are steps of one example.

    A, B, R    an owner, a stranger, an administrator       "…"    a time
    P, P2      projects of A: "T1" with "D1", "T2"           N      the id of nothing
"""
import json
import re
import uuid

import pytest

from harness.process import wait_until
from harness.queries import send
from harness.store import add_user, execute
from test_query_accounts import EDITOR_SETTINGS

EXAMPLES = """
1   {"accounts":{"first_name":null}} → {"accounts":{"first_name":"Ada"}}
2   {"accounts":{"account_id":null,"lti_id":null,"groups":null}} → {"accounts":{"account_id":A,"lti_id":null,"groups":[]}}
3   {"accounts":[{"account_id":null,"lti_id":null,"groups":null}]} → {"accounts":[{"account_id":A,"groups":[]}]}
4   {"accounts":{"account_id":B,"first_name":null}} → {}
5   {"accounts":[{"account_id":B,"first_name":null}]} → {"accounts":[]}
6   {"accounts":{"account_id":B,"first_name":"Eve"}} → {}
6   {"accounts":{"first_name":null}} → {"accounts":{"first_name":"Eve"}}
6   as B: {"accounts":{"first_name":null}} → {"accounts":{"first_name":"Bob"}}
7   {"accounts":{"email_address":"z@x.org"}} → FATAL: changing accounts.email_address not allowed
9   {"accounts":{"terminal":null,"autosave":null}} → {"accounts":{"terminal":{"font_size":14,"color_scheme":"default","font":"monospace"},"autosave":45}}
10  {"accounts":{"ssh_keys":{"a":{"title":"a"},"b":{"title":"b"}}}} → {}
10  {"accounts":{"ssh_keys":{"a":null}}} [{"set":true}] → {}
10  {"accounts":{"ssh_keys":null}} → {"accounts":{"ssh_keys":{"b":{"title":"b"}}}}
11  {"accounts":{"autosave":"30"}} → {}
11  {"accounts":{"autosave":null}} → {"accounts":{"autosave":30}}
12  {"accounts":{"autosave":"x"}} → postgresql error: invalid input syntax for type integer: "x"
20  {"projects":{"project_id":P,"title":null,"description":null}} → {"projects":{"project_id":P,"title":"T1","description":"D1"}}
21  {"projects":{"project_id":null,"title":"T2","description":null}} → {"projects":{"project_id":P2,"title":"T2","description":""}}
23  {"projects":{"project_id":P,"users":null,"deleted":null,"state":null}} → {"projects":{"project_id":P,"users":{A:{"group":"owner"}},"deleted":null,"state":null}}
24  {"projects":[{"project_id":P,"users":null,"deleted":null,"state":null}]} → {"projects":[{"project_id":P,"users":{A:{"group":"owner"}}}]}
25  {"projects":{"project_id":P,"title":"New"}} → {}
25  {"projects":{"project_id":P,"title":null}} → {"projects":{"project_id":P,"title":"New"}}
26  {"projects":{"title":"New"}} → FATAL: must specify projects.project_id
27  {"projects":{"project_id":P,"foo":null}} → FATAL: user get query not allowed for projects.foo
28  {"projects":{"project_id":P,"foo":1}} → FATAL: changing projects.foo not allowed
29  {"projects":{"project_id":"foo","title":null}} → invalid project_id -- foo
30  {"projects":{"project_id":"foo","title":"x"}} → postgresql error: invalid input syntax for type uuid: "foo"
31  as B: {"projects":{"project_id":P,"title":null}} → FATAL: you do not have read access to this project
32  as B: {"projects":{"project_id":P,"title":"x"}} → FATAL: user must be an admin
33  as B: {"projects":[{"project_id":null}]} → {"projects":[]}
34  {"projects":{"project_id":P,"title":"New"}} → {}
34  as R: {"projects":{"project_id":P,"title":null}} → {"projects":{"project_id":P,"title":"New"}}
35  {"projects":{"project_id":N,"title":null}} → FATAL: you do not have read access to this project
35  {"projects":{"project_id":N,"title":"x"}} → FATAL: unknown project_id 'N'
35  as R: {"projects":{"project_id":N,"title":null}} → {}
35  as R: {"projects":{"project_id":N,"title":"x"}} → FATAL: unknown project_id 'N'
37  {"projects":{"project_id":P,"title":"S"}} → {}
37  {"projects_all":[{"project_id":null,"title":{">=":"T","<=":"T2"}}]} → {"projects_all":[{"project_id":P2,"title":"T2"}]}
38  {"projects_all":[{"project_id":null,"title":{"!=":"T2"}}]} [{"limit":1},{"order_by":"-title"}] → {"projects_all":[{"project_id":P,"title":"T1"}]}
38  {"projects_all":[{"project_id":null,"title":{"!=":"T"}}]} [{"limit":1},{"order_by":"-title"}] → {"projects_all":[{"project_id":P2,"title":"T2"}]}
39  {"projects_all":[{"project_id":P,"deleted":false,"title":null}]} → {"projects_all":[]}
40  {"projects_all":[{"project_id":P,"title":"W"}]} → {}
40  {"projects_all":[{"project_id":P,"title":null}]} → {"projects_all":[{"project_id":P,"title":"W"}]}
41  {"projects_all":[{"project_id":P,"title":"W"}]} → {}
41  {"projects_all":[{"project_id":P,"title":"W"}]} [{"set":false}] → {"projects_all":[{"project_id":P,"title":"W"}]}
42  {"projects_all":[{"project_id":null}]} [{"limit":-1}] → ERROR -- opts.limit = '-1' is not an integer
43  {"projects_all":[{"project_id":null}]} [{"heads":true}] → unknown option 'heads'
44  {"projects":{"project_id":P,"title":"x"}} [{"delete":true}] → FATAL: delete from projects not allowed
45  {"projects":{"project_id":P,"env":{"A":"1","B":"2"}}} → {}
45  {"projects":{"project_id":P,"env":{"B":"3"}}} → {}
45  {"projects":{"project_id":P,"env":{"A":null}}} [{"set":true}] → {}
45  {"projects":{"project_id":P,"env":null}} → {"projects":{"project_id":P,"env":{"B":"3"}}}
46  {"projects":{"project_id":P,"users":{A:{"hide":true}}}} → {}
46  {"projects":{"project_id":P,"users":null}} → {"projects":{"project_id":P,"users":{A:{"group":"owner","hide":true}}}}
47  {"projects":{"project_id":P,"users":{A:{"foo":1}}}} → FATAL: error setting 'users' -- Error: unknown field 'foo
48  {"projects":{"project_id":P,"users":{A:{"upgrades":{"gpu":1}}}}} → FATAL: error setting 'users' -- Error: invalid upgrades field 'gpu'
51  {"projects":{"project_id":P}} → {}
51  as B: {"projects":{"project_id":P}} → {}
51  as R: {"projects":{"project_id":P}} → {}
60  [{"accounts":{"first_name":null}},{"projects_all":[{"project_id":P,"title":null}]},{"accounts":{"last_name":"L2"}}] → [{"accounts":{"first_name":"Ada"}},{"projects_all":[{"project_id":P,"title":"T1"}]},{}]
60  {"accounts":{"last_name":null}} → {"accounts":{"last_name":"L2"}}
61  [{"accounts":{"first_name":"Zoe"}},{"accounts":{"foo":1}},{"accounts":{"last_name":"X"}}] → FATAL: changing accounts.foo not allowed
61  {"accounts":{"first_name":null,"last_name":null}} → {"accounts":{"first_name":"Zoe","last_name":"L"}}
62  {"accounts":{"first_name":null},"projects":[{"project_id":null}]} → FATAL: must specify exactly one key in the query
70  {"public_paths":{"project_id":P,"path":"myfile.txt","description":"a shared text file"}} → {}
70  {"public_paths":{"project_id":P,"path":null,"description":null}} → {"public_paths":{"project_id":P,"path":"myfile.txt","description":"a shared text file"}}
71  {"public_paths":{"project_id":P,"path":"myfile.txt","description":"a shared text file"}} → {}
71  as B: {"public_paths":[{"project_id":P,"path":null,"created":null,"compute_image":null}]} → {"public_paths":[{"project_id":P,"path":"myfile.txt","compute_image":"default"}]}
73  {"public_paths":[{"path":null}]} → FATAL: must specify project_id
74  {"public_paths":{"project_id":P,"path":"p","created":"2020-09-17T10:00:00+02:00"}} → {}
74  {"public_paths":{"project_id":P,"path":"p","created":null}} → {"public_paths":{"project_id":P,"path":"p","created":"2020-09-17T08:00:00.000Z"}}
75  {"public_paths":{"project_id":P,"path":"p","created":1600000000000}} → {}
75  {"public_paths":{"project_id":P,"path":"p","created":null}} → {"public_paths":{"project_id":P,"path":"p","created":"2020-09-13T12:26:40.000Z"}}
80  {"project_log":{"project_id":P,"time":"{now}","event":{"event":"x","who":"{account_id}"}}} → {}
80  {"project_log":[{"project_id":P,"time":null,"event":null,"account_id":null}]} → {"project_log":[{"project_id":P,"time":"…","event":{"event":"x","who":A},"account_id":A}]}
82  {"file_use":{"project_id":P,"path":"a.txt","users":{A:{"edit":"2020-09-13T12:26:40.000Z"}},"last_edited":"{now}"}} → {}
82  {"file_use":{"project_id":P,"path":"a.txt","users":{A:{"read":"2020-09-13T12:26:40.000Z"}}}} → {}
82  {"file_use":{"project_id":P,"path":"a.txt","users":null}} → {"file_use":{"project_id":P,"path":"a.txt","users":{A:{"edit":"2020-09-13T12:26:40.000Z","read":"2020-09-13T12:26:40.000Z"}}}}
84  {"collaborators_one_project":[{"project_id":P,"account_id":null,"first_name":null}]} → {"collaborators_one_project":[{"account_id":A,"first_name":"Ada"}]}
85  {"stats":{"id":null}} → FATAL: get queries not allowed for table 'stats'
85  {"nope":{"x":1}} → FATAL: table 'nope' does not exist
86  {"site_settings":[{"name":null,"value":null}]} → FATAL: user must be an admin
87  {"accounts":{"first_name":null}} [{"account_id":B}] → user must be admin to sudo
87  as R: {"accounts":{"first_name":null}} [{"account_id":B}] → {"accounts":{"first_name":"Bob"}}
"""

# The documentation's, where what it shows is whole.
DOCUMENTED = """
title-and-description  {"projects":{"project_id":P,"title":null,"description":null}} → {"projects":{"project_id":P,"title":"T1","description":"D1"}}
id-by-title            {"projects":{"project_id":null,"title":"T2","description":""}} [{"set":false}] → {"projects":{"project_id":P2,"title":"T2","description":""}}
id-by-title            {"projects":{"project_id":P,"title":"MY NEW PROJECT 2","description":"desc 2"}} → {}
id-by-title            {"projects":{"project_id":null,"title":"MY NEW PROJECT 2","description":"desc 2"}} → {"projects":{"project_id":P,"title":"MY NEW PROJECT 2","description":"desc 2"}}
users                  {"projects":{"project_id":P,"users":null}} → {"projects":{"project_id":P,"users":{A:{"group":"owner"}}}}
set-title              {"projects":{"project_id":P,"title":"REVISED TITLE","description":"REVISED DESC"}} → {}
set-title              {"projects":{"project_id":P,"title":null,"description":null}} → {"projects":{"project_id":P,"title":"REVISED TITLE","description":"REVISED DESC"}}
publish                {"public_paths":{"project_id":P,"path":"myfile.txt","description":"a shared text file"}} → {}
jupyter                {"accounts":{"account_id":A,"editor_settings":{"jupyter_classic":true}}} → {}
jupyter                {"accounts":{"account_id":A,"editor_settings":{"jupyter_classic":false}}} → {}
"""

ROW = re.compile(r'(\S+) +(?:as (\w): )?(.+?)(?: (\[\{"\w+":[^\[]*\]))? → (.+)')
# A name outside of quotes, as the contract writes ids.
NAME = re.compile(r'("(?:[^"\\]|\\.)*")|\b(A|B|R|P2|P|N)\b')
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
NO_ID = "0f0f0f0f-0000-4000-8000-000000000000"


def examples(table):
    """[(name, [(caller, query, options, wanted), …]), …] in the table's order."""
    steps = {}
    for line in table.strip().splitlines():
        name, caller, query, options, wanted = ROW.fullmatch(line).groups()
        steps.setdefault(name, []).append((caller or "A", query, options, wanted))
    return [pytest.param(found, id=f"example-{name}") for name, found in steps.items()]


class World:
    """Whoever and whatever an example names is made when it is first named."""

    def __init__(self, hub):
        self.hub = hub

    def __getattr__(self, name):
        made = {
            "A": lambda: self.hub.account(first_name="Ada", last_name="L"),
            "B": lambda: self.hub.account(first_name="Bob"),
            "R": lambda: self.hub.account(first_name="Root", admin=True),
            "P": lambda: self.hub.project(self.A, title="T1", description="D1"),
            "P2": lambda: self.hub.project(self.A, title="T2"),
            "N": lambda: NO_ID,
        }[name]()
        setattr(self, name, made)
        return made

    def make(self, *names):
        return [getattr(self, name) for name in names]

    def id(self, name):
        made = getattr(self, name)
        return made if isinstance(made, str) else made.id

    def parse(self, text):
        return json.loads(NAME.sub(lambda found: found[1] or json.dumps(self.id(found[2])), text))

    def send(self, query, options=None, caller="A"):
        return send(self.hub, getattr(self, caller), self.parse(query), self.parse(options) if options else ...)

    def result(self, query, options=None, caller="A"):
        reply = self.send(query, options, caller)
        assert reply["event"] == "query", reply
        return reply["query"]


@pytest.fixture
def world(hub):
    return World(hub)


def timeless(value):
    """With … for every time."""
    if isinstance(value, dict):
        return {key: timeless(member) for key, member in value.items()}
    if isinstance(value, list):
        return [timeless(member) for member in value]
    return "…" if isinstance(value, str) and TIME.fullmatch(value) else value


def check(world, caller, query, options, wanted):
    reply = world.send(query, options, caller)
    if wanted[0] not in "{[":
        assert (reply["event"], reply.get("error")) == ("error", wanted.replace("'N'", f"'{NO_ID}'"))
        return
    assert reply["event"] == "query", reply
    result = reply["query"]
    assert (timeless(result) if "…" in wanted else result) == world.parse(wanted)


@pytest.mark.parametrize("steps", examples(EXAMPLES))
def test_example(world, steps):
    if any('"projects' in query for _, query, _, _ in steps):
        world.make("P", "P2")
    for step in steps:
        check(world, *step)


@pytest.mark.parametrize("steps", examples(DOCUMENTED))
def test_documented(world, steps):
    world.make("P", "P2")
    for step in steps:
        check(world, *step)


# ---- Those that a line cannot say ----

def test_example_8(world):
    assert world.result('{"accounts":{"editor_settings":{"tab_size":8,"jupyter_classic":true}}}') == {}
    assert world.result('{"accounts":{"editor_settings":{"theme":"vim"}}}') == {}
    assert world.result('{"accounts":{"editor_settings":null}}') == {"accounts": {"editor_settings": {
        **EDITOR_SETTINGS, "tab_size": 8, "jupyter_classic": True, "theme": "vim"}}}
    assert len(EDITOR_SETTINGS) == 30


def edited_ago(world, project, days):
    execute(world.hub, "UPDATE projects SET last_edited = last_edited - ? WHERE project_id = ?", days * 86_400_000, project)


def test_example_22(world):
    edited_ago(world, world.P2, 1)
    edited_ago(world, world.P, 2)
    assert world.result('{"projects":{"project_id":null,"title":null}}') == world.parse(
        '{"projects":{"project_id":P2,"title":"T2"}}')


def test_example_36(world):
    edited_ago(world, world.P, 60)
    assert world.result('{"projects":{"project_id":P,"title":null}}') == {}
    assert world.result('{"projects_all":{"project_id":P,"title":null}}') == world.parse(
        '{"projects_all":{"project_id":P,"title":"T1"}}')


def finished(world):
    """The action of P as it reads once it has ended."""
    def read():
        request = world.result('{"projects":{"project_id":P,"action_request":null}}')["projects"]["action_request"]
        return request if "finished" in request or "err" in request else None
    return wait_until(read, 60, "the action has ended")


@pytest.mark.parametrize("action", ["start", "stop"])
def test_example_49(world, action):
    query = '{"projects":{"project_id":P,"action_request":{"action":"%s"}}}' % action
    assert world.result(query) == {}
    assert timeless(finished(world)) == {"action": action, "started": "…", "finished": "…"}


def test_example_50(world):
    assert world.result('{"projects":{"project_id":P,"action_request":{"action":"fly"}}}') == {}
    assert finished(world)["err"] == "FATAL: action 'fly' not implemented"


def test_example_72(world):
    known = "29163de6-b5b0-496f-b75d-24be9aa2aa1d"
    execute(world.hub, "DELETE FROM projects WHERE project_id = ?", known)
    execute(world.hub, "INSERT INTO projects (project_id, title, description, created, last_edited, state)"
                       " VALUES (?, '', '', 1, 1, 'opened')", known)
    add_user(world.hub, known, world.A, "owner")
    world.P = known
    world.result('{"public_paths":{"project_id":P,"path":"myfile.txt","description":"a shared text file"}}')
    assert world.result('{"public_paths":{"project_id":P,"path":"myfile.txt","id":null}}') == {"public_paths": {
        "project_id": known, "path": "myfile.txt", "id": "b4469ba3962c5b0e8185b8d63e144bf9b673b7c2"}}


def test_example_81(world):
    for time in ("2019-12-31T00:00:00.000Z", "{now}", "{now}"):
        world.result('{"project_log":{"project_id":P,"time":"%s","event":{"event":"x"}}}' % time)
    query = '{"project_log":[{"project_id":P,"time":{">=":"2020-01-01"},"event":null,"account_id":null}]}'
    rows = world.result(query)["project_log"]
    assert len(rows) == 2 and rows == sorted(rows, key=lambda row: row["time"], reverse=True)
    assert {row["account_id"] for row in rows} == {world.A.id}


def test_example_83(world):
    add_user(world.hub, world.P, world.B, "collaborator")
    world.make("R")
    rows = world.result('{"collaborators":[{"account_id":null,"first_name":null,"last_name":null}]}')["collaborators"]
    assert sorted(rows, key=lambda row: row["first_name"]) == [
        {"account_id": world.A.id, "first_name": "Ada", "last_name": "L"},
        {"account_id": world.B.id, "first_name": "Bob", "last_name": "Lovelace"}]


def test_the_full_exchange(world):
    request = '{"id":"i1","query":{"projects_all":[{"project_id":null}]},"options":[{"heads":true}]}'
    response = world.hub.api("query", key=world.A, content=request.encode(), headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()) == (
        200, {"event": "error", "id": "i1", "error": "unknown option 'heads'"})


# ---- The documentation's, those with more to them ----

def test_documented_list_of_all_projects(world):
    world.make("P", "P2")
    reply = world.send('{"projects_all":[{"project_id":null,"title":null,"description":null}]}')
    assert (reply["event"], reply["multi_response"]) == ("query", False)
    assert sorted(reply["query"]["projects_all"], key=lambda row: row["title"]) == [
        {"project_id": world.P, "title": "T1", "description": "D1"},
        {"project_id": world.P2, "title": "T2", "description": ""}]


def test_documented_upgrades(world):
    """The second is the documentation's set query: what is not named stays."""
    bought = {"cores": 1, "memory": 3000, "mintime": 86400, "network": 1, "cpu_shares": 1024, "disk_quota": 27000,
              "member_host": 1}
    world.hub.cli("upgrades", "set", world.A.id, *(f"{name}={amount}" for name, amount in bought.items()))
    given = {**bought, "cpu_shares": 768}
    world.result('{"projects":{"project_id":P,"users":{A:{"upgrades":%s}}}}' % json.dumps(given))
    read = '{"projects":{"project_id":P,"users":null}}'
    assert world.result(read)["projects"]["users"] == {world.A.id: {"group": "owner", "upgrades": given}}
    assert world.result('{"projects":{"project_id":P,"users":{A:{"upgrades": {"cpu_shares":1024}}}}}') == {}
    assert world.result(read)["projects"]["users"][world.A.id]["upgrades"] == bought


def test_documented_editor_settings(world):
    found = world.result('{"accounts":{"account_id":A,"editor_settings":null}}')["accounts"]
    assert found == {"account_id": world.A.id, "editor_settings": EDITOR_SETTINGS}
    assert {name: found["editor_settings"][name] for name in (
        "auto_close_brackets", "bindings", "first_line_number", "strip_trailing_whitespace", "theme", "undo_depth")} == {
        "auto_close_brackets": True, "bindings": "standard", "first_line_number": 1, "strip_trailing_whitespace": False,
        "theme": "default", "undo_depth": 300}


# ---- Input that fits nothing (17), what the tests of gets, sets and tables have not ----

@pytest.mark.parametrize("operator", ["=''", "= 1 OR 1=1 --", "LIKE 'x' OR", "like", "constructor"])
def test_an_operator_that_is_none_is_a_value(world, operator):
    world.make("P")
    query = '{"projects_all":[{"project_id":null,"title":{%s:"x"}}]}' % json.dumps(operator)
    assert world.result(query) == {"projects_all": []}


@pytest.mark.parametrize("field", ["sign_up_usage_intent"])
def test_what_is_only_written_is_no_condition_either(world, field):
    query = '{"accounts":{"first_name":null,"%s":"x"}}' % field
    assert world.send(query)["error"] == f"FATAL: user get query not allowed for accounts.{field}"


def test_ten_thousand_fields_and_conditions(world):
    fields = ",".join(f'"f{number}":1' for number in range(10_000))
    assert world.send('{"projects":{"project_id":null,%s}}' % fields)["error"] == (
        "FATAL: user get query not allowed for projects.f0")
    assert world.send('{"projects":{"project_id":P,%s}}' % fields)["error"] == "FATAL: changing projects.f0 not allowed"
    operators = ",".join(f'"o{number}":1' for number in range(10_000))
    assert world.result('{"projects_all":[{"project_id":null,"env":{%s}}]}' % operators) == {"projects_all": []}


def test_a_thousand_levels(world):
    for query in ('{"accounts":{"ssh_keys":%s1%s}}' % ('{"a":' * 1000, "}" * 1000), "[" * 1000 + "]" * 1000):
        response = world.hub.api("query", key=world.A, content=b'{"query":%s}' % query.encode(),
                                 headers={"Content-Type": "application/json"})
        assert response.status_code == 400 and "error" in response.json()


@pytest.mark.long
def test_a_list_of_a_hundred_thousand(world):
    ids = [str(uuid.UUID(int=number)) for number in range(100_000)]
    query = {"projects": [{"project_id": ids, "title": None}]}
    assert world.hub.api("query", json={"query": query}, key=world.A).status_code == 413
    short = json.dumps([str(number) for number in range(100_000)])
    assert world.send('{"projects":[{"project_id":%s,"title":null}]}' % short)["error"].startswith("invalid project_id -- 0,1,2,")
    assert world.send('{"projects":{"project_id":%s,"title":"x"}}' % short)["error"].startswith(
        'postgresql error: invalid input syntax for type uuid: "')
    assert world.result('{"accounts":[{"account_id":null,"tags":%s}]}' % short) == {"accounts": []}


@pytest.mark.parametrize("number", [2**53 + 1, 2**63, -2**63 - 1, 1e300])
def test_numbers_beyond_what_is_exact_are_not_written(world, number):
    reply = world.send('{"accounts":{"autosave":%s}}' % number)
    assert reply["event"] == "error" and "for type integer" in reply["error"]


@pytest.mark.parametrize("content", [b'{"query":{"accounts":{"first_name":"\xff\xfe"}}}',
                                     b'{"query":{"accounts":{"first_name":"a\\ud800"}}}',
                                     b'{"query":{"accounts":{"ssh_keys":{"a\\u0000":1}}}}'])
def test_texts_that_are_none(world, content):
    headers = {"Content-Type": "application/json"}
    assert world.hub.api("query", key=world.A, content=content, headers=headers).status_code == 400
    assert world.result('{"accounts":{"first_name":null}}') == {"accounts": {"first_name": "Ada"}}


@pytest.mark.parametrize("text", ["'", '"', "\\", "'; DROP TABLE accounts; --", "$1", "%s", "\u2028", "\U0001f600"])
def test_texts_are_written_as_they_are(world, text):
    for field in ("first_name", "evaluate_key"):
        query = '{"accounts":{"%s":%s}}' % (field, json.dumps(text))
        assert world.result(query) == {}
        assert world.result(query, '[{"set":false}]') == {"accounts": {field: text}}


def test_a_row_of_the_log_is_not_taken_over(world):
    """A log entry's id is no way into a project (17.3)."""
    mine = world.hub.project(world.B, title="mine")
    world.result('{"project_log":{"project_id":P,"time":"{now}","event":{"event":"x"}}}')
    [entry] = world.result('{"project_log":[{"id":null,"project_id":P}]}')["project_log"]
    query = {"project_log": {"id": entry["id"], "project_id": mine, "event": {"event": "y"}}}
    assert send(world.hub, world.B, query)["error"] == "FATAL: user must be an admin"
    assert world.result('{"project_log":[{"project_id":P,"event":null}]}')["project_log"] == [
        {"project_id": world.P, "event": {"event": "x"}}]
