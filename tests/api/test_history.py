# SPDX-License-Identifier: AGPL-3.0-or-later
"""sync.history: what is known of a file that people edited together, and its patches."""
import hashlib
import json

import pytest

from harness.store import add_user, execute, execute_many

PATCH = "[[[[0,\"a\"]],0,0,1,1]]"


def string_id(project, path):
    return hashlib.sha1((project + path).encode()).hexdigest()


def make(hub, account, project, path, patches, **info):
    """Stores a history; `patches` are rows of seq, time, logical_time, patch, further columns as they are."""
    string = string_id(project, path)
    columns = {"string_id": string, "project_id": project, "path": path, "users": json.dumps([account.id]), **info}
    execute(hub, f"INSERT INTO syncstrings ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})", *columns.values())
    execute_many(hub, "INSERT INTO patches (string_id, seq, time, logical_time, patch) VALUES (?, ?, ?, ?, ?)",
                 [(string, *patch) for patch in patches])
    return string


def history(hub, account, project, path="a.md", **parameters):
    return hub.method(account, "sync.history", {"project_id": project, "path": path, **parameters})


def test_no_history(hub, account, project):
    assert history(hub, account, project) == {"patches": [], "info": {}}


def test_all_of_it(hub, account, project):
    string = make(hub, account, project, "a.md", [(1, 1000, 900, PATCH), (2, 2000, 1900, PATCH)], doctype='{"type":"string"}',
                  last_active=1_600_000_000_000, init='{"time":1,"size":2,"error":""}', save='{"state":"done"}',
                  read_only=0, snapshot_interval=150, settings='{"a":1}')
    execute(hub, "UPDATE patches SET wall = 1950, user_id = 0, parents = '[900]', version = 2, is_snapshot = 1,"
            " snapshot = 'text', seq_info = '{\"seq\":1}', headers = '{\"h\":1}', key = 'k' WHERE string_id = ? AND seq = 2",
            string)
    assert history(hub, account, project) == {
        "patches": [
            {"seq": 1, "time": 1000, "mesg": {"time": 900, "patch": PATCH}},
            {"seq": 2, "time": 2000, "headers": {"h": 1}, "key": "k", "mesg": {
                "time": 1900, "wall": 1950, "patch": PATCH, "user_id": 0, "parents": [900], "version": 2,
                "is_snapshot": True, "snapshot": "text", "seq_info": {"seq": 1}}}],
        "info": {"string_id": string, "project_id": project, "path": "a.md", "users": [account.id],
                 "doctype": '{"type":"string"}', "last_active": "2020-09-13T12:26:40.000Z",
                 "init": {"time": 1, "size": 2, "error": ""}, "save": {"state": "done"}, "read_only": False,
                 "snapshot_interval": 150, "settings": {"a": 1}}}


@pytest.mark.parametrize("parameters, expected", [
    ({}, range(1, 3001)), ({"start_seq": 2999}, [2999, 3000]), ({"end_seq": 2}, [1, 2]),
    ({"start_seq": 1000, "end_seq": 2002}, range(1000, 2003)), ({"start_seq": 3001}, []), ({"end_seq": 0}, []),
    ({"start_seq": 5, "end_seq": 4}, []), ({"start_seq": -7, "end_seq": 1e300}, range(1, 3001)), ({"end_seq": -1}, []),
])
def test_a_part(hub, account, project, parameters, expected):
    make(hub, account, project, "a.md", [(seq, seq, seq, PATCH) for seq in range(1, 3001)])
    answer = history(hub, account, project, **parameters)
    assert [patch["seq"] for patch in answer["patches"]] == list(expected)
    assert answer["info"]["path"] == "a.md"


def test_a_large_one(hub, account, project):
    """Over 16 MB go out; of what is too large, a part is named that does."""
    make(hub, account, project, "a.md", [(seq, seq, seq, "x" * 1_000_000) for seq in range(1, 81)])
    assert len(history(hub, account, project, end_seq=40)["patches"]) == 40
    text = hub.refusal(account, "sync.history", {"project_id": project, "path": "a.md"})
    assert "end_seq=" in text
    end = int(text.rpartition("end_seq=")[2])
    assert len(history(hub, account, project, end_seq=end)["patches"]) == end


def test_it_goes_with_the_project(hub, account, project):
    string = make(hub, account, project, "a.md", [(1, 1, 1, PATCH)])
    execute(hub, "DELETE FROM patches WHERE string_id = ?", string)
    assert history(hub, account, project)["patches"] == []


def test_who_may_read_it(hub, account, project):
    """The same path in another project is another file."""
    viewer, other = hub.account(), hub.project(account)
    add_user(hub, project, viewer, "viewer")
    make(hub, account, project, "a.md", [(1, 1, 1, PATCH)])
    assert history(hub, account, other)["patches"] == []
    for caller in (viewer, hub.account(), hub.account(admin=True)):
        assert hub.refusal(caller, "sync.history", {"project_id": project, "path": "a.md"}) == (
            "Error: user must be collaborator on source project")
