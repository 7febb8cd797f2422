# SPDX-License-Identifier: AGPL-3.0-or-later
"""The files of a project by the RPC (hub-rpc 6.7): what each method does, and that none reaches what is outside the home."""
import concurrent.futures
import contextlib
import json
import os
import subprocess
import threading

import pytest


@pytest.fixture
def home(hub, account, project):
    hub.method(account, "system.ping", {}, project=project)  # makes it
    return hub.data / "projects" / project


@pytest.fixture
def outside(home):
    """A folder with a file, beside the homes."""
    folder = home.parent.parent / f"outside-{home.name}"
    folder.mkdir()
    (folder / "file").write_text("secret")
    return folder


def give_away(folder, home):
    if os.geteuid() == 0:
        owner = home.stat()
        subprocess.run(["chown", "-Rh", f"{owner.st_uid}:{owner.st_gid}", folder], check=True)


def give(home):
    """What a test has made becomes the project's, as the hub may run as another user."""
    give_away(home, home)


@pytest.fixture
def call(hub, account, project, home):
    def call(name, *args):
        give(home)
        return hub.method(account, name, *args, project=project)
    return call


@pytest.fixture
def refusal(hub, account, project, home):
    def refusal(name, *args):
        give(home)
        return hub.refusal(account, name, *args, project=project)
    return refusal


def names(home):
    return sorted(entry.name for entry in home.iterdir() if not entry.name.startswith("."))


def must_be_in(path):
    return f"Error: path '{path}' must be in the project's home folder"


# ---- system.listing ----

def test_a_folder_is_listed(call, home):
    (home / "sub").mkdir()
    for name in ("one", "two", ".hidden"):
        (home / "sub" / name).touch()
    (home / "file").write_text("four")
    (home / "link").symlink_to("sub")
    (home / "dangling").symlink_to("missing")
    for name in ("sub", "file"):
        os.utime(home / name, (1, 1500000000.25))
    listing = {entry.pop("name"): entry for entry in call("system.listing", {"path": ""})}
    assert list(listing) == sorted(listing)
    assert listing["sub"] == {"isdir": True, "size": 2, "mtime": 1500000000.25}
    assert listing["file"] == {"size": 4, "mtime": 1500000000.25}
    assert listing["link"] == {"issymlink": True, "link_target": "sub", "isdir": True, "size": 2, "mtime": 1500000000.25}
    assert listing["dangling"].pop("mtime") > 1500000000
    assert listing["dangling"] == {"issymlink": True, "link_target": "missing", "size": 7}


@pytest.mark.parametrize("path", ["sub", "sub/", "./sub", "@/sub", "sub/../sub", "way"])
def test_hidden_entries_are_listed_if_asked_for(call, home, path):
    (home / "sub").mkdir()
    (home / "sub" / ".hidden").touch()
    (home / "way").symlink_to("sub")
    path = path.replace("@", f"/projects/{home.name}")
    assert call("system.listing", {"path": path}) == []
    assert [entry["name"] for entry in call("system.listing", {"path": path, "hidden": True})] == [".hidden"]


def test_a_link_out_of_the_home_tells_of_itself_alone(call, home, outside):
    (home / "out").symlink_to(outside / "file")
    entry = [entry for entry in call("system.listing", {}) if entry["name"] == "out"][0]
    assert (entry["size"], entry["link_target"]) == (len(str(outside / "file")), str(outside / "file"))


def test_names_that_are_no_text_are_told(call, home):
    os.mkdir(home / "odd")
    open(os.fsencode(home / "odd") + b"/a\xff", "w").close()
    (home / "odd" / "b\nc").touch()
    listing = call("system.listing", {"path": "odd"})
    assert [(entry["name"], entry.get("error")) for entry in listing] == [("a\ufffd", "the name is not UTF-8"), ("b\nc", None)]


@pytest.mark.parametrize("path, text", [
    ("missing", "Error: ENOENT: no such file or directory, scandir 'missing'"),
    ("file", "Error: ENOTDIR: not a directory, scandir 'file'"),
    ("..", must_be_in("..")), ("/etc", must_be_in("/etc")), ("out", must_be_in("out")), ("a/../../x", must_be_in("a/../../x")),
    ("/projects/../etc", must_be_in("/projects/../etc")),
])
def test_what_cannot_be_listed(refusal, home, outside, path, text):
    (home / "file").touch()
    (home / "out").symlink_to(outside)
    assert refusal("system.listing", {"path": path}) == text


# ---- system.deleteFiles ----

def test_files_and_folders_are_removed(call, home):
    (home / "sub" / "deep").mkdir(parents=True)
    (home / "sub" / "deep" / "file").touch()
    (home / "new\nline").touch()
    (home / "stays").touch()
    paths = ["sub", "new\nline", "missing", "missing/x", "stays/x", f"/projects/{home.name}/also-missing"]
    assert call("system.deleteFiles", {"paths": paths}) is None
    assert names(home) == ["stays"]


def test_links_are_removed_and_not_followed(call, home, outside):
    (home / "link").symlink_to(outside)
    (home / "sub").mkdir()
    (home / "sub" / "link").symlink_to(outside)
    assert call("system.deleteFiles", {"paths": ["link/", "sub"]}) is None
    assert names(home) == []
    assert (outside / "file").read_text() == "secret"


def test_a_tree_of_any_depth_is_removed(call, home):
    folder = os.open(home, os.O_RDONLY)
    for _ in range(1000):
        os.mkdir("d", dir_fd=folder)
        os.close(os.open("f", os.O_CREAT | os.O_WRONLY, dir_fd=folder))
        below = os.open("d", os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(folder)
    assert call("system.deleteFiles", {"paths": ["d", "f"]}) is None
    assert [name for name in os.listdir(home) if name.startswith(".cohub") or name in "df"] == []


def swap_for_a_link(home, target, done):
    """Does to a folder that the hub makes what code of the project could; True if it came in time."""
    while not done.is_set():
        for name in os.listdir(home):
            if name.startswith(".cohub-") and not (home / name).is_symlink():
                with contextlib.suppress(FileNotFoundError):  # it is removed already
                    os.rename(home / name, home / "swapped")
                    os.symlink(target, home / name)
                    return True
    return False


def test_what_is_moved_aside_stays_in_the_home(hub, account, project, home, outside):
    (outside / "file").unlink()
    give_away(outside, home)
    done = threading.Event()
    swapped = False
    while not swapped:  # who is faster is chance
        deep = home.joinpath("tree", *["d"] * 63)
        deep.mkdir(parents=True)
        for number in range(5000):
            (deep / str(number)).mkdir()
        give(home)
        done.clear()
        with concurrent.futures.ThreadPoolExecutor() as pool:
            swap = pool.submit(swap_for_a_link, home, f"../../{outside.name}", done)
            _, reply = hub.rpc(account, "system.deleteFiles", {"paths": ["tree"]}, project=project)
            done.set()
            swapped = swap.result()
        # The link may come before its folder was opened: then it is found.
        assert reply is None or swapped and reply == {"error": "Error: ENOTDIR: not a directory, rm 'tree'"}
    assert list(outside.iterdir()) == []


def test_a_folder_of_many_files_is_removed(call, home):
    (home / "many").mkdir()
    for number in range(5000):
        (home / "many" / str(number)).touch()
    assert call("system.deleteFiles", {"paths": ["many"]}) is None
    assert names(home) == []


@pytest.mark.parametrize("path", ["..", "../x", "/etc/passwd", "out/file", "/projects/12345678-1234-4234-8234-123456789012/x"])
def test_nothing_outside_is_removed(refusal, home, outside, path):
    (home / "out").symlink_to(outside)
    assert refusal("system.deleteFiles", {"paths": [path]}) == must_be_in(path)
    assert (outside / "file").exists()


@pytest.mark.parametrize("path", ["", ".", "/projects/@", "/projects/@/", "sub/.."])
def test_the_home_itself_stays(refusal, home, path):
    (home / "sub").mkdir()
    path = path.replace("@", home.name)
    assert refusal("system.deleteFiles", {"paths": [path]}) == f"Error: EBUSY: device or resource busy, open '{path}'"
    assert names(home) == ["sub"]


def test_too_many_paths(refusal):
    assert refusal("system.deleteFiles", {"paths": ["x"] * 10001}) == "Error: at most 10000 paths are allowed"


# ---- system.moveFiles, system.renameFile ----

@pytest.mark.parametrize("dest", ["to", "/projects/@/to", "way"])
def test_files_are_moved_into_a_folder(call, home, dest):
    (home / "to").mkdir()
    (home / "way").symlink_to("to")
    (home / "sub" / "a").mkdir(parents=True)
    (home / "file").write_text("x")
    assert call("system.moveFiles", {"paths": ["file", "sub/a/"], "dest": dest.replace("@", home.name)}) is None
    assert names(home / "to") == ["a", "file"] and names(home / "sub") == []
    assert call("system.moveFiles", {"paths": ["to/file"], "dest": ""}) is None
    assert (home / "file").read_text() == "x"


def test_a_link_is_moved_and_not_what_it_leads_to(call, home, outside):
    (home / "link").symlink_to(outside)
    (home / "to").mkdir()
    assert call("system.moveFiles", {"paths": ["link"], "dest": "to"}) is None
    assert os.readlink(home / "to" / "link") == str(outside)


@pytest.mark.parametrize("paths, dest, text", [
    (["missing"], "to", "Error: ENOENT: no such file or directory, rename 'missing'"),
    (["a"], "to", "Error: EEXIST: file exists, rename 'a'"),
    (["a"], "missing", "Error: ENOENT: no such file or directory, scandir 'missing'"),
    (["a"], "a", "Error: ENOTDIR: not a directory, scandir 'a'"),
    (["to"], "to", "Error: EINVAL: invalid argument, rename 'to'"),
    (["a"], "..", must_be_in("..")), (["a"], "out", must_be_in("out")), (["a"], "/tmp", must_be_in("/tmp")),
    (["../x"], "to", must_be_in("../x")), (["out/file"], "to", must_be_in("out/file")),
])
def test_what_cannot_be_moved(refusal, home, outside, paths, dest, text):
    (home / "to").mkdir()
    (home / "to" / "a").write_text("old")
    (home / "a").write_text("new")
    (home / "out").symlink_to(outside)
    assert refusal("system.moveFiles", {"paths": paths, "dest": dest}) == text
    assert (home / "a").read_text() == "new" and (home / "to" / "a").read_text() == "old"
    assert (outside / "file").exists()


def test_a_file_is_renamed(call, home):
    (home / "a").write_text("x")
    (home / "sub").mkdir()
    assert call("system.renameFile", {"src": "a", "dest": f"/projects/{home.name}/sub/b\nc"}) is None
    assert (home / "sub" / "b\nc").read_text() == "x" and names(home) == ["sub"]


@pytest.mark.parametrize("src, dest, text", [
    ("missing", "b", "Error: ENOENT: no such file or directory, rename 'missing'"),
    ("a", "b", "Error: EEXIST: file exists, rename 'a'"),
    ("a", "no/b", "Error: ENOENT: no such file or directory, open 'no/b'"),
    ("a", "../b", must_be_in("../b")), ("a", "out/b", must_be_in("out/b")), ("out/file", "c", must_be_in("out/file")),
    ("", "c", "Error: EBUSY: device or resource busy, open ''"), ("a", "b/..", "Error: EBUSY: device or resource busy, open 'b/..'"),
])
def test_what_cannot_be_renamed(refusal, home, outside, src, dest, text):
    (home / "a").write_text("a")
    (home / "b").mkdir()
    (home / "out").symlink_to(outside)
    assert refusal("system.renameFile", {"src": src, "dest": dest}) == text
    assert (home / "a").exists() and (outside / "file").exists()


# ---- system.realpath, system.canonicalPaths ----

def test_where_paths_really_are(call, refusal, home, outside):
    (home / "sub" / "deep").mkdir(parents=True)
    (home / "way").symlink_to("sub")
    (home / "out").symlink_to(outside)
    paths = {"way/deep": "sub/deep", "./sub/../way": "sub", f"/projects/{home.name}/way": "sub", "out": "out", "": "",
             "out/file": "out/file"}
    for path, real in paths.items():
        assert call("system.realpath", path) == real
    assert refusal("system.realpath", "missing") == "Error: ENOENT: no such file or directory, realpath 'missing'"
    assert refusal("system.realpath", "../x") == must_be_in("../x")
    assert call("system.canonicalPaths", [*paths, "missing"]) == [*paths.values(), "missing"]
    assert call("system.canonicalPaths", []) == []
    assert refusal("system.canonicalPaths", ["sub", "/etc"]) == must_be_in("/etc")


# ---- Text files ----

@pytest.mark.parametrize("path", ["a/b/file.txt", "/projects/@/a/file", "new\nline"])
def test_a_text_file_is_written_and_read(call, home, path):
    path = path.replace("@", home.name)
    assert call("system.writeTextFileToProject", {"path": path, "content": "é😀\n"}) is None
    assert call("system.readTextFileFromProject", {"path": path}) == "é😀\n"


def test_what_cannot_be_read(call, refusal, home):
    path = f"/projects/{home.name}/missing"
    assert refusal("system.readTextFileFromProject", {"path": "missing"}) == (
        f"Error: ENOENT: no such file or directory, stat '{path}'")
    (home / "bytes").write_bytes(b"a\xff")
    assert call("system.readTextFileFromProject", {"path": "bytes"}) == "a\ufffd"
    (home / "large").write_bytes(b"x" * 10000001)
    assert refusal("system.readTextFileFromProject", {"path": "large"}).startswith("Error: Attempt to open large file of size")
    assert refusal("system.writeTextFileToProject", {"path": "", "content": "x"}).startswith("Error: EISDIR: is a directory, open")


def test_no_link_leads_the_server_out_of_the_home(refusal, home, outside):
    (home / "out").symlink_to(outside)
    assert "ENOENT" in refusal("system.readTextFileFromProject", {"path": "out/file"})  # not there in the sandbox
    refusal("system.writeTextFileToProject", {"path": "../x/file", "content": ""})
    assert (outside / "file").read_text() == "secret"


# ---- editor.newFile, system.version ----

def test_a_new_file_is_empty_and_replaces_none(call, refusal, home, outside):
    assert call("editor.newFile", "a/b.txt") is None
    assert (home / "a" / "b.txt").read_bytes() == b""
    (home / "old").write_text("x")
    (home / "link").symlink_to("old")
    (home / "out").symlink_to(outside)
    assert call("editor.newFile", "old") is None and call("editor.newFile", "link") is None
    assert (home / "old").read_text() == "x"
    assert refusal("editor.newFile", "out/new").startswith("Error: EXDEV: ")
    assert refusal("editor.newFile", "/tmp/new").startswith("Error: EXDEV: ")
    assert not (outside / "new").exists()


def test_the_version_is_a_number(call):
    assert isinstance(call("system.version", {}), int)


# ---- All of them ----

@pytest.mark.parametrize("name, args", [
    ("system.listing", [{"path": 1}]), ("system.deleteFiles", [{}]), ("system.deleteFiles", [{"paths": "x"}]),
    ("system.moveFiles", [{"paths": ["x"]}]), ("system.renameFile", [{"src": "a"}]), ("system.realpath", []),
    ("system.canonicalPaths", ["x"]), ("system.canonicalPaths", [[1]]), ("system.writeTextFileToProject", [{"path": "x"}]),
    ("editor.newFile", [None]),
])
def test_parameters_of_other_types(refusal, name, args):
    assert refusal(name, *args).startswith("Error: ")


def test_a_key_of_the_project_is_enough(hub, account, project, home):
    key = hub.cli("key", "create", account.id, "--project", project)["api_key"]
    assert hub.method(key, "system.writeTextFileToProject", {"path": "x", "content": "y"}, project="") is None
    assert json.dumps([entry["name"] for entry in hub.method(key, "system.listing", {}, project="")]) == '["x"]'
