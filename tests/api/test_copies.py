# SPDX-License-Identifier: AGPL-3.0-or-later
"""Copies between projects: what is copied where, who may, when, in which order, and what became of it."""
import contextlib
import datetime
import fcntl
import json
import os
import pathlib
import signal
import subprocess
import tempfile
import uuid

import pytest

from harness import parts
from harness.pending import Pending
from harness.process import parents, wait_until, with_text
from harness.server import BUILD
from harness.store import add_user, execute, execute_many

MISSING = "00000000-0000-4000-8000-000000000000"
EVENT = "copy_path_between_projects"
PUBLIC_EVENT = "copy_public_path_between_projects"
FAR = "2999-01-01T00:00:00.000Z"
NOTE = "Query copy_path_status with the copy_path_id to learn if the copy operation was successful."


class Home:
    """A project's home as its user has it."""

    def __init__(self, hub, project):
        self.path = hub.data / "projects" / project
        self.owner = self.path.stat()

    def _own(self, path):
        os.chown(path, self.owner.st_uid, self.owner.st_gid, follow_symlinks=False)

    def folder(self, name, mode=0o755):
        path = self.path
        for part in pathlib.Path(name).parts:
            path = path / part
            if not path.is_dir():
                path.mkdir()
                self._own(path)
        path.chmod(mode)
        return path

    def put(self, name, content="content", mtime=None, mode=0o644):
        path = self.path / name
        self.folder(os.path.dirname(name))
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        path.chmod(mode)
        self._own(path)
        if mtime is not None:
            os.utime(path, (mtime, mtime))
        return path

    def sparse(self, name, size):
        path = self.put(name, b"")
        os.truncate(path, size)
        return path

    def link(self, name, to):
        path = self.path / name
        os.symlink(to, path)
        self._own(path)
        return path

    def tree(self):
        """{path: content, None for a folder, (text,) for a link}"""
        found = {}
        for path in sorted(self.path.rglob("*")):
            name = str(path.relative_to(self.path))
            found[name] = (os.readlink(path),) if path.is_symlink() else None if path.is_dir() else path.read_text()
        return found


class Pair:
    """A source and a target project of one account."""

    def __init__(self, hub, account, same=False):
        self.hub, self.account = hub, account
        self.source_id = hub.project(account)
        self.target_id = self.source_id if same else hub.project(account)
        self.source, self.target = Home(hub, self.source_id), Home(hub, self.target_id)

    def copy(self, src_path, target_path=None, key=None, event=EVENT, **parameters):
        if target_path is not None:
            parameters["target_path"] = target_path
        return self.hub.call(event, key=key or self.account, src_project_id=self.source_id, src_path=src_path,
                             target_project_id=self.target_id, **parameters)

    def copied(self, *args, **parameters):
        reply = self.copy(*args, **parameters)
        assert reply == {"event": "success", "id": reply["id"]}, reply

    def refused(self, *args, **parameters):
        reply = self.copy(*args, **parameters)
        assert reply["event"] == "error", reply
        return reply["error"]

    def noted(self, *args, **parameters):
        """The id of a copy that is not waited for."""
        reply = self.copy(*args, **parameters)
        assert reply == {"event": "copy_path_between_projects_response", "id": reply["id"],
                         "copy_path_id": reply["copy_path_id"], "note": NOTE}, reply
        return reply["copy_path_id"]


def status(hub, account, copy_id):
    return hub.call("copy_path_status", key=account, copy_path_id=copy_id)["data"]


def ended(hub, account, copy_id, timeout_s=180):
    return wait_until(lambda: (lambda data: data if "finished" in data else None)(status(hub, account, copy_id)),
                      timeout_s, "the copy has finished")


@pytest.fixture
def pair(hub, account):
    return Pair(hub, account)


@pytest.fixture
def within(hub, account):
    """Source and target are one project."""
    return Pair(hub, account, same=True)


# ---- Files and folders ----

def test_file(pair):
    pair.source.put("A/doc.txt", "hello", mtime=1_000_000_000, mode=0o640)
    pair.copied("A/doc.txt")
    copy = (pair.target.path / "A" / "doc.txt").stat()
    assert pair.target.tree() == {"A": None, "A/doc.txt": "hello"}
    assert (copy.st_mtime, copy.st_mode & 0o777) == (1_000_000_000, 0o640)
    assert copy.st_uid == pair.target.owner.st_uid
    assert (pair.target.path / "A").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("path, target, result", [
    ("x", None, {"x": "x"}),
    ("x", "", {"x": "x"}),
    ("x", "y", {"y": "x"}),
    ("x", "old", {"old": "x"}),
    ("x/", "y", {"y": "x"}),
    ("x", "D", {"D": None, "D/kept": "kept", "D/x": "x"}),
    ("x", "D/", {"D": None, "D/kept": "kept", "D/x": "x"}),
    ("x", "DIR3/", {"DIR3": None, "DIR3/x": "x"}),
    ("x", "a/b/c/y", {"a": None, "a/b": None, "a/b/c": None, "a/b/c/y": "x"}),
    ("./B2/../x", "a/./b/../y", {"a": None, "a/y": "x"}),
    ("B2", "D", {"D": None, "D/kept": "kept", "D/f": "f", "D/sub": None, "D/sub/g": "g"}),
    ("B2/", "D", {"D": None, "D/kept": "kept", "D/f": "f", "D/sub": None, "D/sub/g": "g"}),
    ("B2", "D/", {"D": None, "D/kept": "kept", "D/f": "f", "D/sub": None, "D/sub/g": "g"}),
    ("B2", "new", {"new": None, "new/f": "f", "new/sub": None, "new/sub/g": "g"}),
    ("B2/sub/", "new/", {"new": None, "new/g": "g"}),
])
def test_where_it_goes(pair, path, target, result):
    pair.source.put("x", "x")
    pair.source.put("B2/f", "f")
    pair.source.put("B2/sub/g", "g")
    if target == "old":
        pair.target.put("old", "older", mtime=1)
    if target in ("D", "D/"):
        pair.target.put("D/kept", "kept")
    pair.copied(path, target)
    assert pair.target.tree() == result


def test_whole_home(pair):
    pair.source.put("x", "x")
    pair.source.put(".hidden/y", "y")
    pair.source.path.chmod(0o755)
    pair.copied("", "")
    assert pair.target.tree() == {"x": "x", ".hidden": None, ".hidden/y": "y"}
    assert pair.target.path.stat().st_mode & 0o777 == 0o700
    pair.copied(".", "all")
    assert pair.target.tree()["all/x"] == "x"


def test_absolute_paths_inside(pair):
    pair.source.put("x", "x")
    pair.copied(f"/projects/{pair.source_id}/x", f"/projects/{pair.target_id}/d/y")
    assert pair.target.tree() == {"d": None, "d/y": "x"}


def test_a_folder_onto_a_file_fails(pair):
    pair.source.put("B/f", "f")
    pair.target.put("old", "old")
    assert "rsync" in pair.refused("B", "old")
    assert pair.target.tree() == {"old": "old"}


def test_missing_source(pair):
    text = pair.refused("nope/x", "a/b")
    assert f'link_stat "/projects/{pair.source_id}/nope/x" failed: No such file or directory (2)' in text
    assert pair.target.tree() == {}


def test_file_in_the_way_of_a_folder(pair):
    pair.source.put("x", "x")
    pair.target.put("a", "was here")
    pair.copied("x", "a/b/x")
    assert pair.target.tree() == {"a": None, "a/b": None, "a/b/x": "x", "a.backup": "was here"}
    (pair.target.path / "a").rename(pair.target.path / "c")
    pair.target.put("a", "another")
    pair.copied("x", "a/")
    assert pair.target.tree()["a/x"] == "x"
    assert (pair.target.tree()["a.backup"], pair.target.tree()["a.backup2"]) == ("was here", "another")


def test_exclusions(pair):
    for name in (".sage/cache/f", ".sage/temp/f", ".sage/kept", ".trash/f", "d/.Trash/f", ".sagemathcloud/f", ".smc/f",
                 ".node-gyp/f", "d/.cache/f", ".forever/f", ".snapshots/f", "d/x.sage-backup", "d/x.sage-history"):
        pair.source.put(name, "f")
    pair.copied("", "")
    assert [name for name, content in pair.target.tree().items() if content] == [".sage/kept", "d/x.sage-history"]
    pair.copied("d", "e", exclude_history=True)
    assert "e/x.sage-history" not in pair.target.tree()


# ---- Options ----

def test_newer_files_are_kept(pair):
    pair.source.put("x", "old", mtime=1_000)
    pair.target.put("x", "newer", mtime=2_000)
    pair.copied("x")
    assert pair.target.tree() == {"x": "newer"}
    pair.copied("x", overwrite_newer=True)
    assert pair.target.tree() == {"x": "old"}


def test_delete_missing(pair):
    pair.source.put("d/a", "a")
    pair.target.put("d/b", "newly made")
    pair.target.put("d/.cache/c", "excluded")
    pair.target.put("other", "beside")
    pair.copied("d", delete_missing=True)
    assert pair.target.tree() == {"d": None, "d/a": "a", "d/.cache": None, "d/.cache/c": "excluded", "other": "beside"}


def test_backup(pair):
    pair.source.put("d/a", "new", mtime=2_000)
    pair.target.put("d/a", "old", mtime=1_000)
    pair.target.put("d/b", "gone")
    pair.copied("d", backup=True, delete_missing=True)
    assert pair.target.tree() == {"d": None, "d/a": "new", "d/a~": "old", "d/b~": "gone"}


@pytest.mark.parametrize("word, true", [("true", True), ("yes", True), ("1", True), ("on", True), ("false", False),
                                        ("no", False), ("0", False), ("off", False), ("", False)])
def test_booleans_of_forms(hub, account, pair, word, true):
    pair.source.put("d/a", "a")
    pair.target.put("d/b", "b")
    hub.api(EVENT, key=account, form={"src_project_id": pair.source_id, "target_project_id": pair.target_id,
                                      "src_path": "d", "delete_missing": word})
    assert ("d/b" in pair.target.tree()) != true


@pytest.mark.parametrize("word, waits", [("true", True), ("True", False), ("false", False), ("1", False), ("", False)])
def test_only_true_waits(hub, account, pair, word, waits):
    pair.source.put("a", "a")
    reply = hub.api(EVENT, key=account, form={"src_project_id": pair.source_id, "target_project_id": pair.target_id,
                                              "src_path": "a", "wait_until_done": word}).json()
    assert ("copy_path_id" in reply) != waits
    if not waits:
        ended(hub, account, reply["copy_path_id"])


@pytest.mark.parametrize("timeout", [-1, 1e9])
def test_timeout_out_of_range(pair, timeout):
    assert pair.refused("x", timeout=timeout) == "timeout must be from 0 to 86400 seconds"


def test_with_a_timeout(pair):
    pair.source.put("x", "x")
    pair.copied("x", timeout=60.5)
    assert pair.target.tree() == {"x": "x"}


def test_without_any_transfer(pair):
    holder = Holder(pair)
    with Pending(pair.hub, pair.account) as pending:
        pending.send(EVENT, src_project_id=pair.source_id, src_path="held", target_project_id=pair.target_id, timeout=1)
        holder.await_reader()
        for receiver in sorted(holder.processes())[2:]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(receiver, signal.SIGSTOP)
        holder.let_read()
        assert "timeout" in [*pending.replies().values()][0]["error"]
    wait_until(lambda: not holder.processes(), 60, "nothing of it is left")
    assert "held" not in pair.target.tree()


def test_a_file_that_became_a_fifo(pair):
    holder = Holder(pair, "d/0")
    holder.text = f"/projects/{pair.source_id}/d"
    path = pair.source.put("d/x", "x")
    copy_id = pair.noted("d", wait_until_done=False, timeout=1)
    holder.hold()
    path.unlink()
    os.mkfifo(path, 0o644)
    pair.source._own(path)
    holder.let_go()
    assert "timeout" in ended(pair.hub, pair.account, copy_id)["error"]
    holder.gone()


def test_a_copy_that_stands_still(pair):
    """rsync cannot tell by itself when all of it is held up."""
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False, timeout=1)
    holder.hold()
    assert ended(pair.hub, pair.account, copy_id)["error"].endswith("the copy was ended: timeout without any transfer")
    holder.gone()
    assert os.listdir(pair.target.path) == []


def test_rights_of_the_owner_are_not_lent(pair):
    pair.source.put("d/program", "x", mode=0o6755)
    pair.source.folder("d/folder", mode=0o2755)
    pair.copied("d")
    pair.copied("d/program", "single")
    for name in ("d/program", "d/folder", "single"):
        assert (pair.target.path / name).stat().st_mode & 0o7777 == 0o755


def test_unchanged_files_are_not_touched(pair):
    pair.source.put("d/x", "x")
    pair.copied("d")
    before = (pair.target.path / "d/x").stat()
    pair.copied("d")
    assert (pair.target.path / "d/x").stat().st_ctime_ns == before.st_ctime_ns


# ---- Names ----

@pytest.mark.parametrize("name", ["two words", " lead", "line\nbreak", "-rf", "--delete", "a:b", "host::x", "st*ar", "[ab]",
                                  "qu?", "back\\slash", "quo'te\"", "größe", "日本", "$HOME", "~", "#x", "%41", ";x", "a~"])
def test_odd_names(pair, name):
    pair.source.put(name, "content")
    pair.source.put(f"dir {name}/{name}", "inside")
    pair.copied(name)
    pair.copied(name, f"t/{name}2")
    pair.copied(f"dir {name}", name + "-d")
    assert pair.target.tree() == {name: "content", "t": None, f"t/{name}2": "content", f"{name}-d": None,
                                  f"{name}-d/{name}": "inside"}


def test_names_that_are_no_text(pair):
    folder = os.fsencode(pair.source.folder("d"))
    with open(folder + b"/\xff\xfe", "wb") as file:
        file.write(b"x")
    pair.copied("d")
    assert os.listdir(os.fsencode(pair.target.path / "d")) == [b"\xff\xfe"]
    os.mkdir(folder + b"/\xc3")
    os.chmod(folder + b"/\xc3", 0)
    text = pair.refused("d")
    assert "\ufffd" in text and "Permission denied" in text


def test_names_of_errors_are_readable(pair):
    assert "größe" in pair.refused("größe")


def test_long_paths(pair):
    deep = "/".join(["n" * 200] * 15)
    pair.source.put("x", "x")
    pair.copied("x", deep)
    assert pair.target.tree()[deep] == "x"
    assert "File name too long" in pair.refused("x", "n" * 300)
    assert pair.refused("x", "n" * 5000) == "a path must have at most 4095 bytes"
    assert pair.refused("n/" * 3000) == "a path must have at most 4095 bytes"


# ---- Links ----

def test_links_are_copied_as_links(hub, account, pair):
    other = hub.project(account)
    Home(hub, other).put("secret", "secret")
    targets = {"passwd": "/etc/passwd", "other": f"/projects/{other}/secret", "up": "../../../hub.sqlite3", "dangling": "none",
               "inside": "file", "folder": "sub"}
    pair.source.put("d/file", "file")
    pair.source.folder("d/sub")
    for name, to in targets.items():
        pair.source.link(f"d/{name}", to)
    pair.copied("d")
    for name, to in targets.items():
        assert os.readlink(pair.target.path / "d" / name) == to
    for name in ("passwd", "other", "up", "dangling"):
        pair.copied(f"d/{name}", f"single-{name}")
        assert os.readlink(pair.target.path / f"single-{name}") == targets[name]


def test_links_on_the_way_lead_nowhere_outside(hub, account, pair):
    other = hub.project(account)
    Home(hub, other).put("secret", "secret")
    pair.source.link("root", "/")
    pair.source.link("up", "../..")
    pair.source.link("other", f"/projects/{other}")
    for path in ("other/secret", "up/hub.sqlite3", "up/secret.key", "root/root", f"root/projects/{other}/secret",
                 f"up/projects/{other}/secret", "root/etc/shadow", f"root/{str(hub.data)[1:]}/secret.key"):
        assert "No such file or directory" in pair.refused(path, "stolen")
    assert pair.target.tree() == {}


def test_links_in_the_target_lead_nowhere_outside(hub, account, pair):
    other = hub.project(account)
    pair.source.put("x", "evil")
    pair.target.link("other", f"/projects/{other}")
    pair.target.link("etc", "/etc")
    pair.target.link("source", f"/projects/{pair.source_id}")
    pair.target.link("data", str(hub.data))
    pair.target.link("up", "..")
    pair.target.link("gone", f"/projects/{pair.source_id}/none")
    pair.target.link("loop", "loop")
    # The same text whether there is something or not: whoever may copy a public file is not to learn of others.
    for link in ("other", "etc", "source", "data", "up", "gone"):
        for path in (link, f"{link}/", f"{link}/y", f"{link}/d/y"):
            assert pair.refused("x", path) == "the target path leads out of the project"
    assert "symbolic links" in pair.refused("x", "loop/x")
    assert Home(hub, other).tree() == {} and pair.source.tree() == {"x": "evil"}
    assert not os.path.exists("/etc/x") and not (hub.data / "x").exists() and not (hub.data / "d").exists()


def test_links_within_the_homes_are_followed_on_the_way(pair):
    pair.source.put("data/x", "x")
    pair.source.link("short", "data")
    pair.source.link("absolute", f"/projects/{pair.source_id}/data")
    pair.target.folder("real")
    pair.target.link("into", "real")
    pair.copied("short/x", "1")
    pair.copied("absolute/x", "2")
    pair.copied("short", "3")
    pair.copied("data/x", "into/4")
    pair.copied("data", "into")
    pair.target.link("whole", f"/projects/{pair.target_id}/real/../real")
    pair.copied("data/x", "whole/5")
    pair.target.link("file", "1")
    pair.copied("data/x", "file")  # the link makes way, as for any other file
    assert pair.target.tree() == {"1": "x", "2": "x", "3": None, "3/x": "x", "into": ("real",), "real": None, "real/4": "x",
                                  "real/x": "x", "real/5": "x", "whole": (f"/projects/{pair.target_id}/real/../real",),
                                  "file": "x"}


@pytest.mark.parametrize("path, target, text", [
    ("../x", "", "source path (=../x) must be contained in project_path (=/projects/{source})"),
    ("../x", "../y", "source path (=../x) must be contained in project_path (=/projects/{source})"),
    ("../x", "y", "source path (=../x) must be contained in project_path (=/projects/{source})"),
    ("a/../../x", "y", "source path (=a/../../x) must be contained in project_path (=/projects/{source})"),
    ("/etc/passwd", "y", "source path (=/etc/passwd) must be contained in project_path (=/projects/{source})"),
    ("/projects/{target}/x", "y",
     "source path (=/projects/{target}/x) must be contained in project_path (=/projects/{source})"),
    ("x", "../../z", "path (=../..) must be contained in project path /projects/{target}"),
    ("x", "../z", "path (=..) must be contained in project path /projects/{target}"),
    ("x", "a/../../z", "path (=a/../..) must be contained in project path /projects/{target}"),
    ("x", "/etc/z", "path (=/etc) must be contained in project path /projects/{target}"),
    ("x", "/projects/{target}x/z", "path (=/projects/{target}x) must be contained in project path /projects/{target}"),
    ("x", "..", "target path (=..) must be contained in target project path (=/projects/{target})"),
    ("x", "a/../..", "target path (=a/../..) must be contained in target project path (=/projects/{target})"),
])
def test_paths_that_lead_out(pair, path, target, text):
    pair.source.put("x", "x")
    ids = {"source": pair.source_id, "target": pair.target_id}
    assert pair.refused(path.format(**ids), target.format(**ids)) == text.format(**ids)
    assert execute(pair.hub, "SELECT 1 FROM copy_paths WHERE source_project_id = ?", pair.source_id) == []


# ---- Within one project ----

def test_within_one_project(within):
    within.source.put("a/x", "x")
    within.copied("a/x", "b/y")
    within.copied("a", "c")
    within.copied("a/x")  # onto itself
    within.copied("a", "a", delete_missing=True)
    assert within.target.tree() == {"a": None, "a/x": "x", "b": None, "b/y": "x", "c": None, "c/x": "x"}


@pytest.mark.parametrize("name", ["backup", "st*r", "b[a]", "back\\slash", "new\nline"])
def test_a_folder_into_itself(within, name):
    within.source.put("x", "x")
    within.source.put("d/y", "y")
    within.copied("", f"{name}/today")
    expected = {"x": "x", "d": None, "d/y": "y", name: None, f"{name}/today": None, f"{name}/today/x": "x",
                f"{name}/today/d": None, f"{name}/today/d/y": "y", f"{name}/today/{name}": None}
    assert within.target.tree() == expected
    within.copied("", f"{name}/today", delete_missing=True)
    assert within.target.tree() == expected


def test_a_folder_out_of_the_target_is_not_deleted(within):
    within.source.put("a/b/x", "x")
    within.source.put("a/other", "other")
    within.copied("a/b", "a", delete_missing=True)
    assert within.target.tree() == {"a": None, "a/b": None, "a/b/x": "x", "a/x": "x"}


def test_a_file_below_itself(within):
    within.source.put("x", "x")
    assert "cannot be copied into itself" in within.refused("x", "x/y")
    assert within.target.tree() == {"x": "x"}


# ---- Much ----

def test_many_files(pair):
    for folder in range(100):
        path = pair.source.folder(f"d/{folder}")
        for number in range(100):
            (path / str(number)).write_text(f"{folder} {number}")
    pair.copied("d")
    files = [path for path in pair.target.path.rglob("*") if path.is_file()]
    assert len(files) == 10_000 and (pair.target.path / "d/99/98").read_text() == "99 98"


def test_large_file(hub, pair):
    pair.source.sparse("large", 200 << 20)
    with open(pair.source.path / "large", "r+b") as file:
        file.seek(150 << 20)
        file.write(b"middle")
    pair.copied("large")
    copy = pair.target.path / "large"
    with open(copy, "rb") as file:
        file.seek(150 << 20)
        assert file.read(6) == b"middle"
    assert copy.stat().st_size == 200 << 20


def test_many_errors_are_a_short_text(pair):
    for number in range(200):
        pair.source.put(f"d/{number}", "x", mode=0)
    text = pair.refused("d")
    assert "Permission denied (13)" in text and len(text) < 480


# ---- Who may ----

def test_ids(hub, account, pair):
    def text(**ids):
        given = {"src_project_id": pair.source_id, "target_project_id": pair.target_id, **ids}
        return hub.call(EVENT, key=account, src_path="x", **given)["error"]

    assert text(src_project_id="x") == "src_project_id='x' not valid"
    assert text(target_project_id="y") == "target_project_id='y' not valid"
    assert text(src_project_id="x", target_project_id="y") == "src_project_id='x' not valid"
    assert text(src_project_id=MISSING) == f"ACCESS BLOCKED -- No read access to source project -- {MISSING}"
    assert text(target_project_id=MISSING) == f"ACCESS BLOCKED -- No write access to target project -- {MISSING}"


@pytest.mark.parametrize("source_group, target_group, blocked", [
    ("owner", "owner", None), ("viewer", "collaborator", None), ("collaborator", "collaborator", None),
    (None, "owner", "read"), ("invited_viewer", "owner", "read"), ("invited_collaborator", "owner", "read"),
    ("owner", None, "write"), ("owner", "viewer", "write"), ("owner", "invited_collaborator", "write"),
])
def test_roles(hub, pair, source_group, target_group, blocked):
    other = hub.account()
    pair.source.put("x", "x")
    for project, group in ((pair.source_id, source_group), (pair.target_id, target_group)):
        if group:
            add_user(hub, project, other, group)
    texts = {"read": f"ACCESS BLOCKED -- No read access to source project -- {pair.source_id}",
             "write": f"ACCESS BLOCKED -- No write access to target project -- {pair.target_id}"}
    if blocked:
        assert pair.refused("x", key=other) == texts[blocked]
        assert pair.target.tree() == {}
    else:
        pair.copied("x", key=other)
        assert pair.target.tree() == {"x": "x"}


def test_an_administrator_may(hub, pair):
    pair.source.put("x", "x")
    pair.copied("x", key=hub.account(admin=True))
    assert pair.target.tree() == {"x": "x"}


def test_the_projects_need_not_run(hub, account, pair):
    pair.source.put("x", "x")
    pair.copied("x")
    assert not hub.sandbox(pair.source_id) and not hub.sandbox(pair.target_id)


def test_into_a_project_made_a_moment_ago(hub, account):
    source = hub.project(account)
    Home(hub, source).put("x", "x")
    for _ in range(5):
        target = hub.project(account)
        assert hub.call(EVENT, key=account, src_project_id=source, src_path="x",
                        target_project_id=target)["event"] == "success"


# ---- Public paths ----

def test_public_path(hub, pair):
    stranger = hub.account()
    pair.source.put("PUBLIC/doc.txt", "doc")
    pair.source.put("private", "private")
    hub.cli("project", "publish", pair.source_id, "PUBLIC")
    pair.target_id = hub.project(stranger)
    pair.target = Home(hub, pair.target_id)
    pair.copied("PUBLIC/doc.txt", "A/sample.txt", key=stranger, event=PUBLIC_EVENT)
    pair.copied("PUBLIC", "all", key=stranger, event=PUBLIC_EVENT)
    assert pair.target.tree() == {"A": None, "A/sample.txt": "doc", "all": None, "all/doc.txt": "doc"}

    def public(path, **ids):
        given = {"src_project_id": pair.source_id, "target_project_id": pair.target_id, **ids}
        return hub.call(PUBLIC_EVENT, key=stranger, src_path=path, **given)["error"]

    not_public = "path '{}' of project with id '{}' is not public".format
    assert public("private") == not_public("private", pair.source_id)
    assert public("PUBLIC/../private") == not_public("PUBLIC/../private", pair.source_id)
    assert public("PUBLIC", src_project_id=MISSING) == not_public("PUBLIC", MISSING)
    assert public("PUBLIC", src_project_id="x") == not_public("PUBLIC", "x")
    assert public("private", target_project_id="x") == "invalid project_id -- x"
    other = pair.source_id
    assert public("private", target_project_id=other) == f"user must have write access to target project {other}"
    assert "No such file" in public("PUBLIC/none")
    hub.cli("project", "unpublish", pair.source_id, "PUBLIC")
    assert public("PUBLIC/doc.txt") == not_public("PUBLIC/doc.txt", pair.source_id)


@pytest.mark.parametrize("name", ["wait_until_done", "scheduled"])
def test_a_public_copy_always_waits(hub, pair, name):
    reply = hub.api(PUBLIC_EVENT, key=pair.account, json={"src_project_id": pair.source_id, "src_path": "x",
                                                          "target_project_id": pair.target_id, name: "true"})
    assert reply.status_code == 400 and f"got an unexpected argument '{name}'" in reply.json()["error"]


# ---- What became of it ----

def test_status(hub, account, pair):
    pair.source.put("x", "x")
    copy_id = pair.noted("x", "y", wait_until_done=False, backup=True)
    data = ended(hub, account, copy_id)
    times = {name: data.pop(name) for name in ("time", "started", "finished")}
    assert data == {"copy_path_id": copy_id, "source_project_id": pair.source_id, "source_path": "x",
                    "target_project_id": pair.target_id, "target_path": "y", "overwrite_newer": False,
                    "delete_missing": False, "backup": True}
    assert times["time"] <= times["started"] <= times["finished"]
    assert pair.target.tree() == {"y": "x"}


def test_status_of_a_failure(hub, account, pair):
    copy_id = pair.noted("none", wait_until_done=False)
    assert "No such file or directory" in ended(hub, account, copy_id)["error"]


def test_blocking_copies_are_noted_too(hub, account, pair):
    pair.source.put("x", "x")
    pair.copied("x")
    data = hub.call("copy_path_status", key=account, src_project_id=pair.source_id, pending=False)["data"]
    assert [(row["target_path"], "finished" in row) for row in data] == [("x", True)]


def test_status_errors(hub, account, pair):
    def text(**parameters):
        return hub.call("copy_path_status", key=account, **parameters)["error"]

    assert text() == ("'copy_path_id' (UUID) of a copy operation or 'src_project_id/target_project_id' must be defined")
    assert text(copy_path_id=MISSING) == f"Can't find copy operation with ID={MISSING}"
    assert text(copy_path_id="x") == "Can't find copy operation with ID=x"
    assert text(src_project_id="x") == "invalid src_project_id=x"
    assert text(target_project_id="x") == "invalid target_project_id=x"
    source = {"src_project_id": pair.source_id}
    assert text(limit=1001, **source) == "ILLEGAL VALUE limit='1001' (must be in [0, 1000])"
    assert text(limit=-1, **source) == "ILLEGAL VALUE limit='-1' (must be in [0, 1000])"
    assert text(offset=100001, **source) == "ILLEGAL VALUE offset='100001' (must be in [0, 100000])"
    assert text(src_project_id=MISSING) == f"ACCESS BLOCKED -- No read access to source project -- {MISSING}"
    assert text(target_project_id=MISSING) == f"ACCESS BLOCKED -- No write access to target project -- {MISSING}"


def test_status_needs_rights(hub, account, pair):
    copy_id = pair.noted("x", scheduled=FAR)
    other = hub.account()
    write = f"ACCESS BLOCKED -- No write access to target project -- {pair.target_id}"
    read = f"ACCESS BLOCKED -- No read access to source project -- {pair.source_id}"
    for event in ("copy_path_status", "copy_path_delete"):
        assert hub.call(event, key=other, copy_path_id=copy_id)["error"] == write
    add_user(hub, pair.target_id, other, "collaborator")
    for event in ("copy_path_status", "copy_path_delete"):
        assert hub.call(event, key=other, copy_path_id=copy_id)["error"] == read
    assert hub.call("copy_path_status", key=other, target_project_id=pair.target_id)["data"][0]["copy_path_id"] == copy_id
    assert hub.call("copy_path_status", key=other, src_project_id=pair.source_id)["error"] == read
    add_user(hub, pair.source_id, other, "viewer")
    assert status(hub, other, copy_id)["copy_path_id"] == copy_id


def test_lists(hub, account, pair):
    pair.source.put("a", "a")
    waiting = [pair.noted(name, scheduled=FAR) for name in ("a", "b", "a")]
    pair.copied("a", "done")
    pair.refused("none")

    def ids(**parameters):
        return [row["copy_path_id"] for row in hub.call("copy_path_status", key=account, **parameters)["data"]]

    source, target = {"src_project_id": pair.source_id}, {"target_project_id": pair.target_id}
    newest = waiting[::-1]
    assert ids(**source) == ids(**target) == ids(**source, **target) == newest
    assert ids(**source, copy_path_id=MISSING) == newest
    assert ids(**source, src_path="a") == [newest[0], newest[2]]
    assert ids(**target, src_path="") == []
    assert ids(**source, limit=2) == newest[:2] and ids(**source, limit=2, offset=2) == newest[2:]
    assert ids(**source, limit=0) == []
    assert ids(**source, target_project_id=pair.source_id) == []
    assert len(ids(**source, pending=False)) == len(ids(**target, pending="no")) == 2
    assert len(ids(**source, failed=True)) == len(ids(**target, failed="yes", pending=True)) == 1
    assert ids(**source, failed="no", pending=1) == newest
    for copy_id in waiting:
        hub.call("copy_path_delete", key=account, copy_path_id=copy_id)


# ---- Scheduled ----

def soon(seconds=1):
    """A time that is about to come, at least `seconds` of clock time away."""
    now = datetime.datetime.now(datetime.timezone.utc)
    return (now + datetime.timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_scheduled(hub, account, pair):
    pair.source.put("x", "x")
    when = soon()
    copy_id = pair.noted("x", scheduled=when)
    data = ended(hub, account, copy_id)
    assert data["scheduled"][:23] == when[:23] and data["started"] >= data["scheduled"]
    assert pair.target.tree() == {"x": "x"}


@pytest.mark.parametrize("when", ["2019-08-29 22:00", "2019-08-29T22:00:00.000+02:00", "Thu, 29 Aug 2019 22:00:00 GMT",
                                  "2019-08-29", 1567116000000, "1567116000000", 0, 2030, "2019"])
def test_scheduled_in_the_past(hub, account, pair, when):
    pair.source.put("x", "x")
    assert "error" not in ended(hub, account, pair.noted("x", scheduled=when))
    assert pair.target.tree() == {"x": "x"}


@pytest.mark.parametrize("when, shown", [("2999-08-29 22:00", "2999-08-29T22:00:00.000Z"),
                                         ("Thu, 29 Aug 2999 22:00:00 +0200", "2999-08-29T20:00:00.000Z"),
                                         (32503680000000, "3000-01-01T00:00:00.000Z")])
def test_scheduled_times_are_read(hub, account, pair, when, shown):
    copy_id = pair.noted("x", scheduled=when, wait_until_done=True)
    assert status(hub, account, copy_id)["scheduled"] == shown
    hub.call("copy_path_delete", key=account, copy_path_id=copy_id)


@pytest.mark.parametrize("when", ["soon", "", "2999-13-01", "99999999999999999", True, {}, -1, 1e300])
def test_scheduled_is_no_date(pair, when):
    shown = when if isinstance(when, str) else json.dumps(when)
    assert pair.refused("x", scheduled=when) == f"scheduled='{shown}' is not a date"


def test_delete(hub, account, pair):
    copy_id = pair.noted("x", scheduled=FAR)

    def delete(**parameters):
        return hub.call("copy_path_delete", key=account, **parameters)

    reply = delete(copy_path_id=copy_id)
    assert reply == {"event": "copy_path_status_response", "id": reply["id"], "data": f"copy_path_id = '{copy_id}' deleted"}
    gone = "Copy operation '{}' either does not exist or already finished".format
    assert delete(copy_path_id=copy_id)["error"] == gone(copy_id)
    assert delete(copy_path_id=MISSING)["error"] == gone(MISSING)
    assert delete(copy_path_id="x")["error"] == gone("x")
    assert delete()["error"] == "ERROR: copy_path_id missing"
    pair.source.put("x", "x")
    past = pair.noted("x", scheduled="2019-01-01")
    ended(hub, account, past)
    assert delete(copy_path_id=past)["error"] == gone(past)
    at_once = pair.noted("x", wait_until_done=False)
    ended(hub, account, at_once)
    assert delete(copy_path_id=at_once)["error"] == gone(at_once)


def make_due(pair, copy_id):
    """Lets the time of a scheduled copy come; another one has the hub look."""
    execute(pair.hub, "UPDATE copy_paths SET scheduled = 1 WHERE id = ?", copy_id)
    pair.noted("none", scheduled="2020-01-01")


def test_the_right_is_looked_at_again(hub, pair):
    other = hub.account()
    pair.source.put("x", "x")
    add_user(hub, pair.source_id, other, "viewer")
    add_user(hub, pair.target_id, other, "collaborator")
    copy_id = pair.noted("x", key=other, scheduled=FAR)
    execute(hub, "DELETE FROM project_users WHERE account_id = ? AND project_id = ?", other.id, pair.source_id)
    make_due(pair, copy_id)
    data = ended(hub, pair.account, copy_id)
    assert data["error"] == f"ACCESS BLOCKED -- No read access to source project -- {pair.source_id}"
    assert pair.target.tree() == {}


def test_scheduled_copies_of_the_deleted_are_not_made(hub, pair):
    other = hub.account()
    pair.source.put("x", "x")
    add_user(hub, pair.source_id, other, "viewer")
    add_user(hub, pair.target_id, other, "collaborator")
    copy_id = pair.noted("x", key=other, scheduled=FAR)
    hub.cli("account", "ban", other.id)
    make_due(pair, copy_id)
    assert ended(hub, pair.account, copy_id)["error"] == f"ACCESS BLOCKED -- No such account -- {other.id}"


# ---- Quota ----

def test_quota(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_DISK_QUOTA": "8"})
    pair = Pair(hub, hub.account())
    pair.source.sparse("large", 20 << 20)
    pair.source.put("d/file", b"x" * (5 << 20))
    pair.source.put("d/other", b"x" * (5 << 20))
    pair.source.put("fits", b"x" * (5 << 20))
    for path in ("large", "d"):
        assert "quota" in pair.refused(path)
        assert [name for name, content in pair.target.tree().items() if content] == []
    pair.copied("fits")
    pair.copied("fits")  # needs nothing more
    assert "quota" in pair.refused("fits", "again")
    pair.source.put("fits", b"y" * (5 << 20), mtime=2_000_000_000)
    pair.copied("fits")  # takes the place of the first
    pair.source.put("fits", b"z" * (5 << 20), mtime=2_000_000_100)
    assert "quota" in pair.refused("fits", backup=True)
    assert pair.target.tree()["fits"][:5] == "yyyyy"


def test_quota_counts_what_rsync_copies(hub_factory):
    """Names are excluded by where they are below the copied folder, and only there."""
    hub = hub_factory(env={"COHUB_PROJECTS_DISK_QUOTA": "8"})
    pair = Pair(hub, hub.account())
    pair.source.sparse(".sage/cache/large", 20 << 20)
    assert "quota" in pair.refused(".sage")
    pair.copied("")
    assert [name for name, content in pair.target.tree().items() if content] == []


def test_quota_of_a_source_that_grows(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_DISK_QUOTA": "300"})
    pair = Pair(hub, hub.account())
    for n in range(20):
        pair.source.put(f"d/{n:02}", "small")
    holder = Holder(pair, "d/0")
    holder.text = f"/projects/{pair.source_id}/d"
    copy_id = pair.noted("d", wait_until_done=False)
    holder.hold()
    for n in range(20):
        os.truncate(pair.source.path / "d" / f"{n:02}", 40_000_000)
    holder.let_go()
    assert "quota" in ended(hub, pair.account, copy_id)["error"]
    used = sum(path.stat().st_blocks * 512 for path in pair.target.path.rglob("*"))
    assert used < 600_000_000
    assert not [path for path in pair.target.path.rglob("*") if path.name.startswith(".")]


def test_too_long_below_the_target(pair):
    deep = pair.source.path / "deep"
    for _ in range(9):
        deep = deep / ("a" * 250)
    pair.source.put(os.path.relpath(deep / "file", pair.source.path), "x")
    target = "/".join(["b" * 250] * 9)
    assert pair.refused("deep", target) == "a path in the target would have more than 4095 bytes"
    assert [name for name, content in pair.target.tree().items() if content] == []
    pair.copied("deep", "short")


@pytest.mark.parametrize("files, backup, status", [(3, 0, 122), (4, 0, 0), (4, 4, 0), (0, 0, 122)])
def test_number_of_files(tmp_path, files, backup, status):
    """The agent, run as the hub does: two folders and names of one file, which become files of their own."""
    source, target = (tmp_path / name for name in (MISSING, MISSING.replace("4000", "4001")))
    (source / "d").mkdir(parents=True)
    target.mkdir()
    (source / "d" / "a").write_text("a")
    for name in ("b", "c"):
        os.link(source / "d" / "a", source / "d" / name)
    agent = BUILD / "src" / "agent" / "cohub-agent"
    ran = subprocess.run(["bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64",
                          "/lib64", "--symlink", "usr/bin", "/bin", "--ro-bind", agent, "/agent", "--bind", tmp_path,
                          "/projects", "--unshare-all", "--proc", "/proc", "--dev", "/dev", "--", "/agent", "--copy",
                          str(backup), "0", str(1 << 30), str(files), "0", "", f"/projects/{source.name}",
                          f"/projects/{target.name}"], check=False)
    assert ran.returncode == status
    assert (target / "d").exists() == (status == 0)


# ---- Turns, ends, restarts ----

def lease(file):
    """Who opens the file waits until the lease is given back, if within the time that the kernel allows, 45 s. False where there
    are no leases."""
    try:
        fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)  # which nobody minds
        fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_WRLCK)
    except OSError:
        return False
    return True


def has_leases():
    descriptor, path = tempfile.mkstemp()
    os.close(descriptor)
    with open(path, "rb") as file:
        os.unlink(path)
        return lease(file)


class Holder:
    """Stops the rsync of a copy as soon as it wants to read the first file, so that the test decides when it ends."""
    SIZE = 1 << 24 if has_leases() else 1 << 28  # then it has to take long enough to be seen

    def __init__(self, pair, name="held"):
        self.pair, self.name = pair, name
        self.path = pair.source.sparse(name, self.SIZE)
        self.text = f"/projects/{pair.source_id}/{name}"
        self._lease()

    def _lease(self):
        self.file = open(self.path, "rb")
        self.leased = lease(self.file)

    def let_read(self):
        self.leased = False
        self.file.close()

    def await_reader(self):
        """All of rsync runs then, and everything has been listed."""
        wait_until(lambda: fcntl.fcntl(self.file, fcntl.F_GETLEASE) != fcntl.F_WRLCK if self.leased else self.processes(), 60,
                   "rsync wants to read")

    def processes(self):
        return {pid for pid in with_text(self.text) if self._is_rsync(pid)}

    @staticmethod
    def _is_rsync(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "rsync"
        except OSError:
            return False

    @staticmethod
    def _is_stopped(pid):
        try:
            return pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in "TZX"
        except OSError:
            return True

    def hold(self):
        """Whoever comes after those that are stopped now, is kept from reading."""
        self.await_reader()
        self.held = self.processes()
        self._signal(signal.SIGSTOP)
        wait_until(lambda: all(map(self._is_stopped, self.held)), 60, "rsync is stopped")
        if self.leased:
            self.let_read()
            self._lease()
        return self

    def _signal(self, number):
        for pid in self.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def let_go(self):
        self.let_read()
        self._signal(signal.SIGCONT)

    def gone(self):
        wait_until(lambda: not self.held & parents().keys(), 60, "the held rsync is gone")


def test_one_after_the_other_and_accounts_take_turns(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_COPIES": "1"})
    first, second = (Pair(hub, hub.account()) for _ in range(2))
    holder = Holder(first)
    for pair in (first, second):
        pair.source.put("x", "x")
    ids = [(first, first.noted("held", wait_until_done=False))]
    holder.hold()
    ids += [(first, first.noted("x", wait_until_done=False)) for _ in range(3)]
    ids += [(second, second.noted("x", wait_until_done=False)) for _ in range(2)]
    assert ["started" in status(hub, pair.account, copy_id) for pair, copy_id in ids] == [True] + [False] * 5
    holder.let_go()
    ends = [ended(hub, pair.account, copy_id) for pair, copy_id in ids]
    assert not any("error" in end for end in ends)
    order = sorted(range(len(ends)), key=lambda n: ends[n]["started"])
    assert [ids[n][0] is first for n in order] == [True, False, True, False, True, True]
    assert order == [0, 4, 1, 5, 2, 3]  # and each account's in the order in which they came


def test_no_more_than_so_many_at_once(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_COPIES": "2"})
    pairs = [Pair(hub, hub.account()) for _ in range(3)]
    holders = [Holder(pair) for pair in pairs[:2]]
    ids = []
    for holder in holders:
        ids.append(holder.pair.noted("held", wait_until_done=False))
        holder.hold()
    pairs[2].source.put("x", "x")
    third = pairs[2].noted("x", wait_until_done=False)
    assert "started" not in status(hub, pairs[2].account, third)
    holders[0].let_go()
    ended(hub, pairs[2].account, third)
    assert "finished" not in status(hub, pairs[1].account, ids[1])
    holders[1].let_go()
    assert all("error" not in ended(hub, pair.account, copy_id) for pair, copy_id in zip(pairs, ids))


def test_a_slot_is_left_to_others(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_COPIES": "2"})
    pair, other = (Pair(hub, hub.account()) for _ in range(2))
    for each in (pair, other):
        each.source.put("x", "x")
    holder = Holder(pair)
    held = pair.noted("held", wait_until_done=False)
    holder.hold()
    waiting = [pair.noted("x", wait_until_done=False) for _ in range(2)]
    for scheduled in (None, "2019-01-01"):  # one that begins at once, and one that is claimed
        parameters = {"scheduled": scheduled} if scheduled else {"wait_until_done": False}
        assert "error" not in ended(hub, other.account, other.noted("x", **parameters))
    assert not any("started" in status(hub, pair.account, copy_id) for copy_id in waiting)
    holder.let_go()
    assert all("error" not in ended(hub, pair.account, copy_id) for copy_id in [held, *waiting])


def test_a_copy_has_a_control_group(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False)
    pid = min(holder.hold().held)
    groups = [line.rstrip("\n").split(":", 2) for line in open(f"/proc/{pid}/cgroup", encoding="utf-8")]
    memory = next(group for _, names, group in groups if "memory" in names.split(",") or not names)
    own = pathlib.Path(f"/proc/{parts.runner(hub)}/cgroup").read_text()
    assert "/cohub-" in memory and memory not in own
    folder = next(pathlib.Path(root + memory) for root in ("/sys/fs/cgroup/memory", "/sys/fs/cgroup")
                  if os.path.isdir(root + memory))
    limit = next(folder / name for name in ("memory.limit_in_bytes", "memory.max") if (folder / name).exists())
    assert int(limit.read_text()) == 1 << 30
    holder.let_go()
    assert "error" not in ended(hub, pair.account, copy_id)
    wait_until(lambda: not folder.exists(), 60, "the group is gone")


def test_the_newest_that_have_finished_are_known(hub, account, pair):
    other = hub.account()
    rows = [(str(uuid.uuid4()), owner.id, pair.source_id, pair.target_id, finished)
            for owner in (account, other) for finished in range(1, 2003)]
    execute_many(hub, "INSERT INTO copy_paths (id, time, account_id, source_project_id, source_path, target_project_id,"
                 " target_path, finished) VALUES (?, 0, ?, ?, 'x', ?, 'x', ? + 4102444800000)", rows)
    pair.noted("x", scheduled=FAR)
    left = execute(hub, "SELECT account_id, count(*), min(finished) - 4102444800000 FROM copy_paths WHERE finished IS NOT NULL"
                   " GROUP BY account_id")
    assert {(account.id, 2000, 3), (other.id, 2002, 1)} <= {tuple(row) for row in left}
    execute(hub, "DELETE FROM copy_paths WHERE source_project_id = ?", pair.source_id)


def test_too_many_waiting(hub, account, pair):
    execute_many(hub, "INSERT INTO copy_paths (id, time, account_id, source_project_id, source_path, target_project_id,"
                 " target_path, scheduled) VALUES (?, 0, ?, ?, 'x', ?, 'x', 32503680000000)",
                 [(str(uuid.uuid4()), account.id, pair.source_id, pair.target_id) for _ in range(999)])
    pair.noted("x", scheduled=FAR)
    assert pair.refused("x") == "1000 copies that you have asked for have not finished; please wait until some have"
    Pair(hub, hub.account()).noted("x", scheduled=FAR)  # others may
    execute(hub, "DELETE FROM copy_paths WHERE account_id = ?", account.id)


def test_who_goes_away_cancels_nothing(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    with Pending(hub, pair.account) as pending:
        pending.send(EVENT, src_project_id=pair.source_id, src_path="held", target_project_id=pair.target_id)
        holder.hold()
    holder.let_go()
    source = {"src_project_id": pair.source_id}
    wait_until(lambda: hub.call("copy_path_status", key=pair.account, pending=False, **source)["data"], 60, "it has finished")
    assert (pair.target.path / "held").stat().st_size == Holder.SIZE


def test_survives_kill(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    pair.source.put("x", "x")
    holder = Holder(pair)
    running = pair.noted("held", wait_until_done=False)
    holder.hold()
    scheduled = pair.noted("x", "later", scheduled=soon(2))
    hub.kill()
    holder.gone()
    assert "held" not in pair.target.tree()  # nothing half
    holder.let_go()
    hub.start()
    for copy_id in (running, scheduled):
        assert "error" not in ended(hub, pair.account, copy_id)
    assert (pair.target.path / "held").stat().st_size == Holder.SIZE
    assert (pair.target.path / "later").read_text() == "x"
    pair.copied("x")
    assert sorted(os.listdir(pair.target.path)) == ["held", "later", "x"]  # nothing is left of the killed one


def test_survives_restart(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    running = pair.noted("held", wait_until_done=False)
    for _ in range(4):  # more often than a copy may be cut short by deaths
        holder.hold()
        hub.stop()
        holder.gone()
        hub.start()
    holder.let_go()
    assert "error" not in ended(hub, pair.account, running)
    assert (pair.target.path / "held").stat().st_size == Holder.SIZE


def test_who_waits_does_not_hold_the_end(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_COPIES": "1"})
    pair = Pair(hub, hub.account())
    pair.source.put("x", "x")
    holder = Holder(pair)
    with Pending(hub, pair.account) as pending:
        pending.send(EVENT, src_project_id=pair.source_id, src_path="held", target_project_id=pair.target_id)
        holder.hold()
        pending.send(EVENT, src_project_id=pair.source_id, src_path="x", target_project_id=pair.target_id)
        source = {"src_project_id": pair.source_id}
        wait_until(lambda: len(hub.call("copy_path_status", key=pair.account, **source)["data"]) == 2, 60, "both are noted")
        hub.stop()
        assert [*pending.replies().values()] == [None, None]  # which is 503
    holder.let_go()
    hub.start()
    wait_until(lambda: sorted(os.listdir(pair.target.path)) == ["held", "x"], 90, "both are made")


def test_the_runner_dies(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False)
    for _ in range(3):
        holder.hold()
        os.kill(parts.runner(hub), signal.SIGKILL)
        holder.gone()
    assert ended(hub, pair.account, copy_id)["error"] == \
        "the copy was interrupted again and again, and has been given up"
    assert "held" not in pair.target.tree()


def test_the_runner_dies_once(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False)
    holder.hold()
    os.kill(parts.runner(hub), signal.SIGKILL)
    holder.gone()
    holder.let_go()
    assert "error" not in ended(hub, pair.account, copy_id)


def test_old_ones_are_forgotten(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    old, kept = pair.noted("x", wait_until_done=False), pair.noted("x", wait_until_done=False)
    for copy_id in (old, kept):
        ended(hub, pair.account, copy_id)
    hub.stop()
    execute(hub, "UPDATE copy_paths SET finished = finished - 7862400000 WHERE id = ?", old)
    execute(hub, "UPDATE copy_paths SET finished = finished - 7689600000 WHERE id = ?", kept)
    hub.start()
    wait_until(lambda: execute(hub, "SELECT id FROM copy_paths") == [(kept,)], 60, "the old one is gone")


def test_a_dead_hubs_copy_is_taken_over(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    pair.source.put("x", "x")
    copy_id = pair.noted("x", scheduled=FAR)
    hub.stop()
    execute(hub, "UPDATE copy_paths SET started = 1, attempts = 1, claimed_by = 'another', claimed_until = 1")
    hub.start()
    assert "error" not in ended(hub, pair.account, copy_id)
    assert pair.target.tree() == {"x": "x"}


def claim(hub, copy_id):
    return execute(hub, "SELECT claimed_by, ready, finished, attempts FROM copy_paths WHERE id = ?", copy_id)[0]


def claim_for_another(hub, copy_id):
    """As if this hub had been too long without the database."""
    execute(hub, "UPDATE copy_paths SET claimed_by = 'another', claimed_until = 32503680000000 WHERE id = ?", copy_id)


def test_a_copy_that_another_hub_has_claimed_is_ended_here(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    pair.source.put("x", "x")
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False)
    holder.hold()
    claim_for_another(hub, copy_id)
    pair.noted("x", scheduled="2020-01-01")  # so that the hub looks at its copies now
    holder.gone()
    hub.stop()
    assert tuple(claim(hub, copy_id)) == ("another", 0, None, 1)
    assert "held" not in pair.target.tree()


def test_the_end_of_a_copy_that_another_hub_has_claimed_is_not_noted(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False)
    holder.hold()
    claim_for_another(hub, copy_id)
    holder.let_go()
    holder.gone()
    hub.stop()
    assert tuple(claim(hub, copy_id)) == ("another", 0, None, 1)


def test_each_process_claims_by_a_name_of_its_own(hub_factory):
    """Else what it runs itself could be taken for what the hub before it has left."""
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair)
    copy_id = pair.noted("held", wait_until_done=False)
    holder.hold()
    before = claim(hub, copy_id)[0]
    hub.kill()
    holder.gone()
    hub.start()
    holder.hold()
    now = claim(hub, copy_id)[0]
    assert now != before and now.rpartition(":")[0] == before.rpartition(":")[0]


def test_the_source_goes_away_meanwhile(hub_factory):
    hub = hub_factory()
    pair = Pair(hub, hub.account())
    holder = Holder(pair, "d/held")
    copy_id = pair.noted("d", wait_until_done=False)
    holder.text = f"/projects/{pair.source_id}/d"
    holder.hold()
    for name in range(3):
        pair.source.put(f"d/{name}", "new")
    subprocess.run(["rm", "-r", pair.source.path / "d"], check=True)
    holder.let_go()
    ended(hub, pair.account, copy_id)  # whatever it had open is copied, or it says what is missing
    assert set(pair.target.tree()) <= {"d", "d/held"}
