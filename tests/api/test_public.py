# SPDX-License-Identifier: AGPL-3.0-or-later
"""Public paths: what strangers see in lists, read as text and get as archives, and what they do not."""
import hashlib
import os
import re
import subprocess

import pytest

from harness import parts
from harness.pending import Pending
from harness.process import stopped
from harness.server import CommandFailed
from harness.store import execute_many

BLANK = ""


@pytest.fixture
def put(home, own):
    """put(name, content="", mtime=None): a file, with the folders above it; a name with / at its end is a folder."""
    def write(name, content="", mtime=None):
        path = home / name
        for parent in reversed(path.relative_to(home).parents[:-1]):
            if not (home / parent).exists():
                (home / parent).mkdir()
                own(home / parent)
        if name.endswith("/"):
            path.mkdir(exist_ok=True)
        else:
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        own(path)
        if mtime is not None:
            os.utime(path, (mtime, mtime), follow_symlinks=False)
        return path

    return write


@pytest.fixture
def link(home, own):
    def make(name, target):
        (home / name).symlink_to(target)
        return own(home / name)

    return make


@pytest.fixture
def publish(hub, project):
    return lambda path, *options: hub.cli("project", "publish", project, path, *options)


@pytest.fixture
def listing(hub, project):
    return lambda path="", **more: hub.call("public_get_directory_listing",
                                            **{"key": BLANK, "project_id": project, "path": path, **more})


@pytest.fixture
def names(listing):
    return lambda path="", **more: [entry["name"] for entry in listing(path, **more)["result"]["files"]]


@pytest.fixture
def read(hub, project):
    return lambda path, **more: hub.call("public_get_text_file",
                                         **{"key": BLANK, "project_id": project, "path": path, **more})


def not_public(project, path):
    return f"path '{path}' of project with id '{project}' is not public"


# ---- Who may ask ----

@pytest.mark.parametrize("event", ["public_get_directory_listing", "public_get_text_file"])
def test_a_blank_key_is_enough(hub, project, put, publish, event):
    publish("")
    put("file")
    path = "" if event == "public_get_directory_listing" else "file"
    parameters = {"project_id": project, "path": path}
    for headers in ({"Authorization": "Basic Og=="}, {"Authorization": "Bearer"}, {"Authorization": "Basic"}):
        reply = hub.api(event, json=parameters, key=None, headers=headers)
        assert (reply.status_code, reply.json()["event"][:6]) == (200, "public")
    assert hub.call(event, key=hub.account(), **parameters)["event"][:6] == "public"


@pytest.mark.parametrize("event", ["public_get_directory_listing", "public_get_text_file"])
def test_an_unknown_key_is_not(hub, project, publish, event):
    publish("")
    reply = hub.api(event, json={"project_id": project, "path": ""}, key="sk_unknown")
    assert (reply.status_code, reply.json()) == (400, {"error": "No account found. Is your API key wrong?"})
    reply = hub.api(event, json={"project_id": project, "path": ""}, key=None)
    assert (reply.status_code, reply.json()) == (400, {"error": "You must provide authentication via an API key."})


@pytest.mark.parametrize("event", ["public_get_directory_listing", "public_get_text_file"])
def test_an_id_that_is_none(hub, event):
    reply = hub.call(event, key=BLANK, project_id="x", path="")
    assert reply["error"] == 'postgresql Error: invalid input syntax for type uuid: "x"'


def test_nothing_is_started(hub, project, put, publish, listing, read):
    publish("")
    put("file")
    listing()
    read("file")
    assert hub.cli("project", "show", project)["state"]["state"] == "opened"


# ---- Publishing ----

def test_the_record_of_a_path(project, publish, hub):
    shown = publish("Public/", "--description", "for all", "--license", "cc0", "--unlisted")
    assert shown.pop("id") == hashlib.sha1(f"{project}Public".encode()).hexdigest()
    assert shown == {"path": "Public", "description": "for all", "license": "cc0", "disabled": False, "unlisted": True}
    assert [entry["path"] for entry in hub.cli("project", "public", project)] == ["Public"]


def test_publishing_again_changes_the_record(project, publish, hub):
    publish("Public", "--description", "for all")
    publish("Public/", "--license", "cc0")
    records = hub.cli("project", "public", project)
    assert [(r["path"], r["description"], r["license"]) for r in records] == [("Public", "for all", "cc0")]


@pytest.mark.parametrize("path", ["..", "../x", "a/..", "a/../b", "/a", "/"])
def test_a_path_that_leads_out_is_not_published(publish, path):
    with pytest.raises(CommandFailed, match="must be contained in the project"):
        publish(path)


def test_a_path_that_is_too_long_is_not_published(publish):
    with pytest.raises(CommandFailed, match="path must have at most 4096 bytes"):
        publish("x" * 4097)


def test_1000_public_paths_and_not_one_more(hub, project, publish):
    execute_many(hub, "INSERT INTO public_paths (id, project_id, path, disabled, unlisted) VALUES (?, ?, ?, 0, 0)",
                 [(f"{project}{number}", project, str(number)) for number in range(999)])
    publish("last")
    with pytest.raises(CommandFailed, match="a project has at most 1000 public paths"):
        publish("more")
    publish("last", "--description", "changed")


def test_unpublishing_ends_access_at_once(hub, project, put, publish, listing, read):
    put("file", "text")
    publish("file")
    publish("other")
    assert read("file")["data"] == "text"
    assert hub.cli("project", "unpublish", project, "file")["disabled"] is True
    assert read("file")["error"] == not_public(project, "file")
    assert listing()["result"] == {"files": []}
    hub.cli("project", "unpublish", project, "other")
    assert listing()["error"] == "not_public"
    publish("file")
    assert read("file")["data"] == "text"


def test_what_was_not_public_cannot_be_unpublished(hub, project):
    with pytest.raises(CommandFailed, match="'file' has not been made public"):
        hub.cli("project", "unpublish", project, "file")


def test_what_is_unlisted_is_public(put, publish, read):
    put("file", "text")
    publish("file", "--unlisted")
    assert read("file")["data"] == "text"


# ---- Lists ----

def test_entries(put, link, publish, listing):
    put("A/hello.txt", "x" * 41, 1496430932)
    put("A/p2/", mtime=1496461616)
    put("A/B", "", 1496430932.9)
    link("A/link", "hello.txt")
    os.utime(put("A/hello.txt", "x" * 41, 1496430932), (1496430932, 1496430932))
    publish("A")
    files = listing("A")["result"]["files"]
    assert [f for f in files if f["name"] != "link"] == [
        {"name": "B", "size": 0, "mtime": 1496430932}, {"name": "hello.txt", "size": 41, "mtime": 1496430932},
        {"name": "p2", "isdir": True, "mtime": 1496461616}]
    assert [f["size"] for f in files if f["name"] == "link"] == [len("hello.txt")]


def test_the_order_is_that_of_the_bytes(put, publish, names):
    for name in ("b", "a", "B", "ä", "a.b", "a b", "10", "9", "😀", "\uffff"):
        put(name)
    publish("")
    assert names() == ["10", "9", "B", "a", "a b", "a.b", "b", "ä", "\uffff", "😀"]


def test_newest_first(put, publish, names):
    for name, mtime in (("c", 100), ("old", 50), ("a", 100.5), ("new", 200), ("b", 100)):
        put(name, mtime=mtime)
    publish("")
    assert names(time=True) == ["new", "a", "b", "c", "old"]


@pytest.mark.parametrize("options, expected, more", [
    ({}, "a b c d e", False), ({"start": 0, "limit": -1}, "a b c d e", False), ({"limit": 0}, "a b c d e", False),
    ({"limit": 2}, "a b", True), ({"limit": 5}, "a b c d e", False), ({"limit": 6}, "a b c d e", False),
    ({"start": 2}, "c d e", False), ({"start": 2, "limit": 2}, "c d", True), ({"start": 3, "limit": 2}, "d e", False),
    ({"start": 5}, "", False), ({"start": 9, "limit": 1}, "", False), ({"start": -2}, "d e", False),
    ({"start": -2, "limit": 1}, "d", True), ({"start": -9, "limit": 1}, "a", True), ({"start": 1e300}, "", False),
    ({"start": -1e300, "limit": 1e300}, "a b c d e", False), ({"start": "1", "limit": "1"}, "b", True),
    ({"hidden": True, "limit": 2}, ".h a", True), ({"hidden": True, "start": 1, "limit": 1}, "a", True),
])
def test_a_part_of_a_list(put, publish, listing, options, expected, more):
    for name in (".h", "a", "b", "c", "d", "e"):
        put(name)
    publish("")
    result = listing(**options)["result"]
    assert " ".join(entry["name"] for entry in result["files"]) == expected
    assert result.get("more", False) is more


def test_the_part_is_chosen_before_the_public_entries(put, publish, listing):
    for name in ("a", "b", "c", "d"):
        put(name)
    publish("c")
    assert listing(limit=2)["result"] == {"files": [], "more": True}
    assert [f["name"] for f in listing(start=1, limit=2)["result"]["files"]] == ["c"]


def test_hidden_names(put, publish, names):
    for name in (".a", "..b", "c"):
        put(name)
    publish("")
    assert (names(), names(hidden=True)) == (["c"], ["..b", ".a", "c"])


def test_hidden_in_a_form(hub, project, put, publish):
    put(".a")
    publish("")
    form = {"project_id": project, "path": "", "hidden": "true", "time": "false"}
    reply = hub.api("public_get_directory_listing", form=form, key=BLANK).json()
    assert [f["name"] for f in reply["result"]["files"]] == [".a"]


def test_only_what_is_public_itself_is_shown(put, publish, names):
    for name in ("A/x.txt", "A/y.txt", "A/B/z", "x.zip", "x"):
        put(name)
    publish("A/x.txt")
    publish("A/B/z")
    publish("x")
    assert names() == ["x"]
    assert names("A") == names("A/") == ["x.txt"]
    assert names("A/B") == ["z"]


def test_a_project_where_nothing_is_public(put, listing):
    put("file")
    assert listing()["error"] == "not_public"


def test_a_project_that_does_not_exist(hub, project):
    unknown = "11111111-1111-4111-8111-111111111111"
    call = {"key": BLANK, "project_id": unknown, "path": ""}
    assert hub.call("public_get_directory_listing", **call)["error"] == "not_public"
    assert hub.call("public_get_text_file", **call)["error"] == not_public(unknown, "")


@pytest.mark.parametrize("path", ["missing", "file", "file/", "missing/below", "x" * 300, "dangling", "loop"])
def test_what_is_no_folder_has_no_entries(put, link, publish, listing, path):
    put("file")
    link("dangling", "nowhere")
    link("loop", "loop")
    publish("")
    assert listing(path)["result"] == {"files": []}


@pytest.mark.parametrize("path", ["..", "../x", "a/../..", "a/../../b", "/", "/etc", "//", "out", "out/below"])
def test_a_list_stays_in_the_project(project, put, link, publish, listing, path):
    put("a/")
    link("out", "/etc")
    publish("")
    assert listing(path)["error"] == f"path (={path}) must be contained in project path /projects/{project}"


def test_dots_within_the_project_show_nothing(put, publish, names):
    put("A/x")
    publish("")
    assert names("A/../A") == []


def test_a_folder_that_is_shut(home, put, publish, listing):
    put("shut/")
    publish("")
    (home / "shut").chmod(0)
    assert listing("shut")["error"] == "path (=shut) cannot be read"


def test_names_that_are_no_text_are_left_out(home, own, put, publish, names):
    put("a")
    with open(os.fsencode(home) + b"/\xff", "w"):
        own(os.fsencode(home) + b"/\xff")
    publish("")
    assert names() == ["a"]


@pytest.mark.long
def test_a_large_folder(home, put, publish, listing):
    put("many/")
    subprocess.run("seq 100000 | xargs touch", shell=True, cwd=home / "many", check=True)
    publish("many")
    result = listing("many", time=True, limit=3)["result"]
    assert (len(result["files"]), result["more"]) == (3, True)
    files = listing("many")["result"]["files"]
    assert [f["name"] for f in files] == sorted(str(i) for i in range(1, 100001))


def test_links_are_not_followed_for_ever(home, put, publish, listing):
    """Each leads through some ten thousand names; all together would take the better part of a minute."""
    put("pub/d/")
    put("pub/target/")
    way = "d/../" * 800
    os.symlink(way + "target", home / "pub/chain0")
    for number in range(1, 38):
        os.symlink(f"{way}chain{number - 1}", home / f"pub/chain{number}")
    for number in range(6000):
        os.symlink("chain37", home / f"pub/link{number:04}")
    publish("pub")
    files = {f["name"]: f.get("isdir") for f in listing("pub")["result"]["files"]}
    assert len(files) == 6040 and files["chain0"] and files["target"] and files["link5999"] is None


# ---- Texts ----

@pytest.mark.parametrize("raw, text", [
    (b"", ""), (b"hello\n", "hello\n"), ("é😀\u2028".encode(), "é😀\u2028"), (b"a\x00\x1b\"\\\x7f", "a\x00\x1b\"\\\x7f"),
    (b"\xff", "\ufffd"), (b"a\xf0\x9f\x98", "a\ufffd"), (b"\xed\xa0\x80", "\ufffd" * 3),
    (b"x" * 65535 + "€".encode() + b"y", "x" * 65535 + "€y"), (b"x" * 65535 + b"\xe2\x82", "x" * 65535 + "\ufffd"),
])
def test_texts(put, publish, read, raw, text):
    put("file", raw)
    publish("file")
    assert read("file", id="mine") == {"event": "public_text_file_contents", "id": "mine", "data": text}


def test_hidden_files_below_a_public_folder(put, publish, read):
    put("A/.b/.c", "text")
    publish("A")
    assert read("A/.b/.c")["data"] == "text"


@pytest.mark.parametrize("path", ["secret", "A/../secret", "A/..", "..", "../secret", "Ab", "A/../A/x", "./A/x", "/A/x", ""])
def test_what_is_not_public(project, put, publish, read, path):
    for name in ("A/x", "secret", "Ab"):
        put(name, "text")
    publish("A")
    assert read(path)["error"] == not_public(project, path)


def test_whether_it_exists_is_not_told(project, put, publish, read):
    put("secret")
    publish("A")
    assert read("secret")["error"] == not_public(project, "secret")
    assert read("nothing")["error"] == not_public(project, "nothing")


def test_the_whole_path_is_told(project, read):
    path = "x" * 5000
    assert read(path)["error"] == not_public(project, path)


@pytest.mark.parametrize("path, error", [
    ("A/missing", "path (=A/missing) does not exist"), ("A/x/below", "path (=A/x/below) does not exist"),
    ("A/missing.zip", "path (=A/missing.zip) does not exist and neither does A/missing"),
    ("A/x.zip", "path (=A/x.zip) does not exist and neither does A/x"),
    ("A.zip.zip", "path (=A.zip.zip) does not exist and neither does A.zip"),
    ("A/loop", "path (=A/loop) does not exist"), ("A/secret", "path (=A/secret) cannot be read: EACCES"),
    ("A/fifo", "path (=A/fifo) cannot be read: EINVAL"),
])
def test_what_cannot_be_read(home, own, put, link, publish, read, path, error):
    put("A/x")
    put("A/secret").chmod(0)
    link("A/loop", "loop")
    os.mkfifo(home / "A/fifo")
    own(home / "A/fifo")
    publish("A")
    assert read(path)["error"] == error


def test_a_path_out_of_a_project_that_is_public(project, publish, read):
    publish("")
    assert read("/etc/passwd")["error"] == f"path (=/etc/passwd) must be contained in project path /projects/{project}"


def test_the_largest_text(put, publish, read):
    put("A/largest", b"x" * 20_000_000)
    os.truncate(put("A/larger"), 20_000_001)
    publish("A")
    assert len(read("A/largest")["data"]) == 20_000_000
    assert read("A/larger")["error"] == ("path (=A/larger) must be at most 20000000 bytes, "
                                         "but it is 20000001 bytes")


# ---- Links ----

def test_a_link_to_what_is_not_public_is_not_followed(project, put, link, publish, listing, read):
    put("secret/file", "secret")
    put("A/x", "text")
    link("A/file", "../secret/file")
    link("A/folder", "../secret")
    link("A/home", "..")
    publish("A")
    for path in ("A/file", "A/folder/file", "A/folder", "A/home/secret/file"):
        assert read(path)["error"] == not_public(project, path)
    assert listing("A/folder")["result"] == {"files": []}
    assert [(f["name"], f.get("isdir")) for f in listing("A")["result"]["files"]] == [
        ("file", None), ("folder", None), ("home", None), ("x", None)]
    assert "A/file" not in read("A")["data"]


def test_a_link_out_of_the_home_is_not_followed(project, put, link, publish, read):
    put("A/x")
    link("A/passwd", "/etc/passwd")
    link("A/up", "../../..")
    publish("A")
    for path in ("A/passwd", "A/up/hub.sqlite3", f"A/up/projects/{project}/A/x"):
        assert read(path)["error"] == f"path (={path}) must be contained in project path /projects/{project}"


def test_a_link_to_what_is_public_is_followed(put, link, publish, listing, read):
    put("A/x", "text")
    put("B/folder/y", "other")
    link("A/link", "x")
    link("A/folder", "../B/folder")
    publish("A")
    publish("B")
    assert read("A/link")["data"] == "text"
    assert read("A/folder/y")["data"] == "other"
    entry = next(f for f in listing("A")["result"]["files"] if f["name"] == "folder")
    assert (entry["isdir"], entry["size"]) == (True, len("../B/folder"))
    assert [f["name"] for f in listing("A/folder")["result"]["files"]] == ["y"]


def test_a_link_that_is_public_itself_is_followed(project, put, link, publish, names, read):
    put("real/x", "text")
    put("beside", "secret")
    link("Public", "real")
    publish("Public")
    assert (names("Public"), read("Public/x")["data"]) == (["x"], "text")
    assert read("real/x")["error"] == not_public(project, "real/x")
    assert read("beside")["error"] == not_public(project, "beside")


def test_a_copy_takes_no_more_than_may_be_read(hub, project, put, link, publish):
    put("secret/file", "secret")
    put("A/x", "text")
    put("A.zip", "not public itself")
    link("A/file", "../secret/file")
    link("A/folder", "../secret")
    publish("A")
    other = hub.account()
    target = hub.project(other)

    def copy(path):
        return hub.call("copy_public_path_between_projects", key=other, src_project_id=project, src_path=path,
                        target_project_id=target, target_path="copied")

    for path in ("A/file", "A/folder", "A/folder/file", "A.zip"):
        assert copy(path)["error"] == not_public(project, path)
    assert not (hub.data / "projects" / target / "copied").exists()
    assert copy("A/x")["event"] == "success"


# ---- Archives ----

def members(text):
    """The names in an archive that was taken for text: what survives of its central directory."""
    return re.findall(r"([\x20-\x7e]+?)UT\x05\x00\x01", text.split("PK\x01\x02", 1)[1])


@pytest.mark.parametrize("path, base", [("A/B", "B"), ("A/B/", "B"), ("A/B.zip", "B"), ("A", "A"), ("A.zip", "A")])
def test_a_folder_comes_as_an_archive(put, link, publish, read, path, base):
    for name in ("A/B/one", "A/B/.hidden", "A/B/below/two"):
        put(name, "text")
    put("A/B/empty/")
    link("A/B/link", "one")
    publish("A")
    data = read(path)["data"]
    assert data.startswith("PK\x03\x04")
    within = "A/B" if base == "A" else "B"
    assert members(data) == [f"{within}/{name}" for name in (".hidden", "below/two", "empty/", "one")]


def test_the_archive_of_a_home_is_called_like_the_project(project, put, publish, read):
    put("x")
    publish("")
    assert members(read("")["data"]) == [f"{project}/x"]


def test_a_file_that_is_called_like_an_archive(project, put, publish, read):
    put("A/real.zip", "no archive")
    put("A/real/x")
    put("B/")
    put("B.zip", "not public itself")
    publish("A")
    publish("B")
    assert read("A/real.zip")["data"] == "no archive"
    assert members(read("B.zip")["data"]) == ["B/"]


def test_an_archive_of_what_is_not_public(project, put, publish, read):
    put("B/x")
    publish("A")
    assert read("B.zip")["error"] == not_public(project, "B.zip")


def test_the_largest_archive(put, publish, read):
    os.truncate(put("A/a"), 10_000_000)
    os.truncate(put("A/b"), 10_000_000)
    publish("A")
    assert members(read("A")["data"]) == ["A/a", "A/b"]
    put("A/c", "x")
    for path in ("A", "A.zip"):
        assert read(path)["error"] == (f"path (={path}) must be at most 20000000 bytes, "
                                       "but it is at least 20000001 bytes")


def test_an_archive_leaves_out_what_cannot_be_read(put, publish, read):
    put("A/plain")
    put("A/secret").chmod(0)
    put("A/B/x").parent.chmod(0)
    publish("A")
    assert members(read("A")["data"]) == ["A/plain"]


def test_what_is_longer_than_any_path_is_not_public(hub, project, put, publish, read):
    put("a/x")
    publish("a")
    for path in ("a" + ".zip" * 100_000, "a/" + "x" * 5000, "a/" * 3000):
        assert read(path)["error"].endswith("is not public")
    target = hub.project(hub.account())
    assert "is not public" in hub.call("copy_public_path_between_projects", key=hub.account(admin=True), src_project_id=project,
                                       src_path="a/" + "x" * 5000, target_project_id=target)["error"]


# ---- Many at once ----

def test_one_address_cannot_fill_the_queue(hub, project, put, publish):
    put("file", b"x" * 3_000_000)
    publish("file")
    calls = Pending(hub, hub.account())
    with stopped(parts.serving(hub)):  # so that they come all at once
        for _ in range(150):
            calls.send("public_get_text_file", project_id=project, path="file")
    errors = {reply["error"] for reply in calls.replies().values() if reply and reply["event"] == "error"}
    assert errors == {"Too many requests from your address at once. Please try again later."}
    assert hub.call("ping")["event"] == "pong"
