# SPDX-License-Identifier: AGPL-3.0-or-later
"""The RPC's projects.copyPathBetweenProjects."""
import os
import time
import types

import pytest

from harness.process import wait_until, with_text
from harness.rpc import Hub as Rpc
from harness.store import add_user, execute
from test_copies import Home

MISSING = "12345678-1234-4234-8234-123456789012"
NOT_UUIDS = "Error: invalid account_id or project_id -- all must be valid uuid's"


@pytest.fixture
def pair(hub, account):
    """Two projects of one account, their homes, and a copy between them: pair.copy("a", "b", …)."""
    source, target = hub.project(account), hub.project(account)

    def copy(src_path, target_path=None, key=account, **more):
        parameters = {"src_project_id": source, "src_path": src_path, "target_project_id": target, **more}
        if target_path is not None:
            parameters["target_path"] = target_path
        with Rpc(hub.url, key) as client:
            return client.call("projects.copyPathBetweenProjects", [parameters], timeout_ms=60000)

    def refused(*args, **more):
        with pytest.raises(RuntimeError) as raised:
            copy(*args, **more)
        return str(raised.value)

    homes = [Home(hub, project) for project in (source, target)]
    return types.SimpleNamespace(source_id=source, target_id=target, source=homes[0], target=homes[1], copy=copy, refused=refused)


def files(home):
    return {name: text for name, text in home.tree().items() if isinstance(text, str)}


def test_a_file(hub, pair):
    pair.source.put("a/doc.txt", "text", mtime=10 ** 9, mode=0o640)
    before = execute(hub, "SELECT last_edited FROM projects WHERE project_id = ?", pair.target_id)
    assert pair.copy("a/doc.txt") is None
    assert files(pair.target) == {"a/doc.txt": "text"}
    info = os.stat(pair.target.path / "a/doc.txt")
    assert (info.st_mode & 0o777, info.st_mtime) == (0o640, 10 ** 9)
    assert execute(hub, "SELECT last_edited FROM projects WHERE project_id = ?", pair.target_id) == before
    assert not hub.sandbox(pair.source_id) and not hub.sandbox(pair.target_id)


def test_to_a_target_path_with_missing_folders(pair):
    pair.source.put("doc.txt", "text")
    pair.copy("doc.txt", "x/y/z.txt")
    assert files(pair.target) == {"x/y/z.txt": "text"}


def test_the_contents_of_a_folder(pair):
    pair.source.put("a/one", "1")
    pair.source.put("a/deep/two", "2")
    pair.source.link("a/link", "one")
    pair.target.put("b/there", "3")
    pair.copy("a", "b")
    assert files(pair.target) == {"b/one": "1", "b/deep/two": "2", "b/there": "3"}
    assert pair.target.tree()["b/link"] == ("one",)


def test_within_one_project(hub, account, pair):
    pair.source.put("a", "text")
    with Rpc(hub.url, account) as client:
        parameters = {"src_project_id": pair.source_id, "src_path": "a"}
        assert client.projects.copy_path_between_projects(**parameters, target_path="b") is None
        assert files(pair.source) == {"a": "text", "b": "text"}
        assert client.projects.copy_path_between_projects(**parameters) is None  # onto itself
        assert client.projects.copy_path_between_projects(**parameters, target_path="./x/../a") is None
    assert files(pair.source) == {"a": "text", "b": "text"}


@pytest.mark.parametrize("overwrite", [False, True])
def test_newer_files_of_the_target(pair, overwrite):
    pair.source.put("a", "old", mtime=10 ** 9)
    pair.target.put("a", "new")
    pair.copy("a", overwrite_newer=overwrite)
    assert files(pair.target) == {"a": "old" if overwrite else "new"}


def test_delete_missing_and_backup(pair):
    pair.source.put("a/one", "new")
    pair.target.put("a/one", "old", mtime=10 ** 9)
    pair.target.put("a/two", "2")
    pair.copy("a", backup=True)
    assert files(pair.target) == {"a/one": "new", "a/one~": "old", "a/two": "2"}
    pair.copy("a", delete_missing=True)
    assert files(pair.target) == {"a/one": "new"}


@pytest.mark.parametrize("patterns, left", [
    (["*.o"], {"keep", "sub/keep", "sub/data/x.csv", "build/out"}),
    (["/build"], {"keep", "a.o", "sub/keep", "sub/b.o", "sub/data/x.csv"}),
    (["data/*.csv", "build/"], {"keep", "a.o", "sub/keep", "sub/b.o"}),
    (["**/data"], {"keep", "a.o", "sub/keep", "sub/b.o", "build/out"}),
    (["+ *", "!", "- keep"], {"keep", "a.o", "sub/keep", "sub/b.o", "sub/data/x.csv", "build/out"}),
    ([], {"keep", "a.o", "sub/keep", "sub/b.o", "sub/data/x.csv", "build/out"}),
])
def test_exclude(pair, patterns, left):
    for name in ("keep", "a.o", "sub/keep", "sub/b.o", "sub/data/x.csv", "build/out", ".cache/never"):
        pair.source.put(f"a/{name}", name)
    pair.copy("a", "b", exclude=patterns)
    assert set(files(pair.target)) == {f"b/{name}" for name in left}


@pytest.mark.parametrize("patterns", [["*.dat"], ["/sub/"], ["sub/x.*"]])
def test_what_is_excluded_needs_no_room(hub, pair, patterns):
    execute(hub, "UPDATE projects SET settings = ? WHERE project_id = ?", '{"disk_quota":1}', pair.target_id)
    pair.source.put("a/small", "text")
    pair.source.put("a/sub/x.dat", "x" * 3_000_000)
    assert "disk" in pair.refused("a")
    pair.copy("a", exclude=patterns)
    assert files(pair.target) == {"a/small": "text"}


@pytest.mark.parametrize("patterns", [["x"] * 101, ["x" * 4001], [""], ["a\nb"]])
def test_patterns_that_are_refused(pair, patterns):
    pair.source.put("a/b", "text")
    assert pair.refused("a", exclude=patterns) == (
        "Error: exclude must have at most 100 patterns, of 4000 bytes together, none of them empty or with a line break")


def test_a_bandwidth_is_kept(pair):
    pair.source.put("a", "x" * 100_000)
    pair.copy("a", bwlimit=23, wait_until_done=False)
    wait_until(lambda: with_text("--bwlimit=23\0"), 60, "rsync runs with the limit")
    wait_until(lambda: files(pair.target) == {"a": "x" * 100_000}, 60, "it is copied")


@pytest.mark.parametrize("option, text", [
    ({"bwlimit": -1}, "Error: bwlimit must be from 0 to 1000000000 KB a second"),
    ({"timeout": -1}, "Error: timeout must be from 0 to 86400 seconds"),
    ({"scheduled": "never"}, "Error: scheduled='never' is not a date"),
    ({"scheduled": -1}, "Error: scheduled='-1' is not a date"),
])
def test_options_that_are_refused(pair, option, text):
    pair.source.put("a", "text")
    assert pair.refused("a", **option) == text
    assert files(pair.target) == {}


def test_without_waiting(pair):
    pair.source.put("a", "text")
    assert pair.copy("a", wait_until_done=False) is None
    wait_until(lambda: files(pair.target) == {"a": "text"}, 60, "it is copied")


def test_scheduled(hub, pair):
    pair.source.put("a", "text")
    assert pair.copy("a", scheduled="2999-01-01T00:00:00Z", bwlimit=5, exclude=["x", "y"]) is None
    row = execute(hub, "SELECT scheduled > 0, bandwidth, exclude_patterns FROM copy_paths WHERE target_project_id = ?", pair.target_id)
    assert [(bool(row[0][0]), *row[0][1:])] == [(True, 5, "x\ny")] and files(pair.target) == {}


def test_a_scheduled_copy_keeps_its_patterns(pair):
    for name in ("keep", "x.o"):
        pair.source.put(f"a/{name}", name)
    pair.copy("a", scheduled=int(time.time() * 1000) + 300, exclude=["*.o"])
    wait_until(lambda: files(pair.target) == {"a/keep": "keep"}, 60, "it is copied")


# ---- Rights ----

def test_rights(hub, account, pair):
    pair.source.put("a", "text")
    other, admin = hub.account(), hub.account(admin=True)
    source, target = (f"Error: user must be collaborator on {end} project" for end in ("source", "target"))
    assert pair.refused("a", key=other) == pair.refused("a", key=admin) == source
    add_user(hub, pair.source_id, other, "viewer")
    assert pair.refused("a", key=other) == source
    execute(hub, "UPDATE project_users SET \"group\" = 'collaborator' WHERE account_id = ?", other.id)
    assert pair.refused("a", key=other) == target
    assert pair.refused("a", target_project_id=MISSING) == target
    assert pair.refused("a", src_project_id=MISSING) == source
    assert pair.refused("a", src_project_id="x") == pair.refused("a", target_project_id="x") == NOT_UUIDS
    add_user(hub, pair.target_id, other, "collaborator")
    assert pair.copy("a", key=other) is None


def test_public(hub, pair):
    pair.source.put("open/a", "text")
    stranger = hub.account()
    mine = hub.project(stranger)
    assert pair.refused("open/a", key=stranger, target_project_id=mine, public=True) == (
        f"Error: path 'open/a' of project with id '{pair.source_id}' is not public")
    hub.cli("project", "publish", pair.source_id, "open")
    assert pair.copy("open/a", key=stranger, target_project_id=mine, public=True) is None
    assert files(Home(hub, mine)) == {"open/a": "text"}


# ---- Paths ----

@pytest.mark.parametrize("path", ["../x", "a/../../x", "/etc/passwd", "/projects/" + MISSING])
def test_paths_that_lead_out(pair, path):
    pair.source.put("a", "text")
    assert pair.refused(path, "b") == "Error: source path must be contained in project home dir"
    assert pair.refused("a", path) == "Error: target path must be contained in target project home dir"


def test_a_link_that_leads_out_of_the_target(pair):
    pair.source.put("a", "text")
    pair.target.link("out", "/tmp")
    assert pair.refused("a", "out/a") == "Error: target path must be contained in target project home dir"


def test_a_name_that_begins_as_the_home_does(pair):
    assert pair.refused(f"/projects/{pair.source_id}x/a", "b") == "Error: source path must be contained in project home dir"


def test_a_source_that_is_missing(pair):
    assert "ENOENT: no such file or directory" in pair.refused("nope/x")
    assert files(pair.target) == {}


def test_a_copy_that_fails(pair):
    pair.source.put("a/b", "text")
    pair.target.put("a/b/in the way", "text")
    text = pair.refused("a")
    assert text.startswith("Error: WARNING: copy exited with an error -- ") and "cannot delete non-empty directory" in text
    assert text.endswith(' -- "rsync a a"')


def test_into_a_project_that_is_started_by_what_comes_next(hub, account, pair):
    pair.source.put("a", "text")
    pair.copy("a")
    assert hub.exec(account, pair.target_id, "cat a")["stdout"] == "text"
