# SPDX-License-Identifier: AGPL-3.0-or-later
"""Files of a project, read and written as text: one, many, large ones, odd ones, and who stands in the way."""
import os
import stat
import threading

import pytest

from harness.pending import Pending

TOO_LARGE = ("Attempt to open large file of size {}MB; the maximum allowed size is 10MB. "
             "Use vim, emacs, or pico from a terminal instead.")


@pytest.fixture
def put(home, own):
    def write(name, content, mode=None):
        path = home / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if mode is not None:
            path.chmod(mode)
        return own(path)

    return write


@pytest.fixture
def link(home, own):
    def make(name, target):
        (home / name).symlink_to(target)
        return own(home / name)

    return make


@pytest.fixture
def read(hub, account, project):
    return lambda path, **more: hub.call("read_text_file_from_project", key=account,
                                         **{"project_id": project, "path": path, **more})


@pytest.fixture
def write(hub, account, project):
    return lambda path, content="new", **more: hub.call("write_text_file_to_project", key=account,
                                                        **{"project_id": project, "path": path, "content": content, **more})


def errno_error(code, number, call, path):
    return {"errno": -number, "code": code, "syscall": call, "path": path}


# ---- Reading one ----

@pytest.mark.parametrize("raw, content", [
    (b"hello", "hello"), (b"", ""), (b"a\r\nb\n\n", "a\r\nb\n\n"), ("é😀\u2028".encode(), "é😀\u2028"),
    (b"\xef\xbb\xbfbom", "\ufeffbom"), (b"a\x00b\x1b\"\\", "a\x00b\x1b\"\\"),
    (b"\xff", "\ufffd"), (b"a\xc3", "a\ufffd"), (b"\xf0\x9f\x98x", "\ufffdx"), (b"\xed\xa0\x80", "\ufffd" * 3),
    (b"\xc0\xaf", "\ufffd" * 2),
])
def test_content(put, read, raw, content):
    put("file", raw)
    reply = read("file", id="mine")
    assert reply == {"event": "text_file_read_from_project", "id": "mine", "content": content}


@pytest.mark.parametrize("path", [
    "a/b c/é😀\nx", "./a/b c/é😀\nx", "a/./b c//é😀\nx", "a/../a/b c/é😀\nx", "@/a/b c/é😀\nx", "@//a/b c/é😀\nx", "inner/é😀\nx",
    "up/a/b c/é😀\nx", "absolute/b c/é😀\nx", "/projects/..@/a/b c/é😀\nx", "../*/a/b c/é😀\nx",
])
def test_the_same_file_by_many_paths(home, own, put, link, read, project, path):
    for name in ("a", "a/b c"):
        (home / name).mkdir()
        own(home / name)
    put("a/b c/é😀\nx", "found")
    link("inner", "a/b c")
    link("up", f"../{project}")
    link("absolute", f"/projects/{project}/a")
    path = path.replace("*", project).replace("@", f"/projects/{project}")
    assert read(path)["content"] == "found"


@pytest.mark.parametrize("size", [9_999_999, 10_000_000])
def test_the_largest_file(put, read, size):
    put("file", b"x" * size)
    assert len(read("file")["content"]) == size


@pytest.mark.parametrize("size, told", [(10_000_001, 10), (10_600_000, 11), (3_000_000_000, 3000)])
@pytest.mark.parametrize("where", ["home", "elsewhere"])
def test_a_file_that_is_too_large(hub, account, project, put, read, size, told, where):
    if where == "home":
        os.truncate(put("file", b""), size)
    else:
        hub.exec(account, project, f"truncate -s {size} /tmp/file")
    reply = read("file" if where == "home" else "/tmp/file")
    assert (reply["event"], reply["error"]) == ("error", TOO_LARGE.format(told))


@pytest.mark.parametrize("path, error", [
    ("missing", ("ENOENT", 2, "stat")), ("missing/file", ("ENOENT", 2, "stat")), ("file/below", ("ENOTDIR", 20, "open")),
    ("file/", ("ENOTDIR", 20, "open")), ("folder", ("EISDIR", 21, "read")), ("folder/", ("EISDIR", 21, "read")),
    ("", ("EISDIR", 21, "read")), (".", ("EISDIR", 21, "read")), ("secret", ("EACCES", 13, "open")),
    ("closed/file", ("EACCES", 13, "open")), ("fifo", ("EINVAL", 22, "read")), ("loop", ("ELOOP", 40, "open")),
    ("dangling", ("ENOENT", 2, "stat")), ("x" * 255, ("ENOENT", 2, "stat")), ("x" * 256, ("ENAMETOOLONG", 36, "open")),
    ("x/" * 2100, ("ENAMETOOLONG", 36, "open")),
])
def test_what_cannot_be_read(home, own, put, link, read, project, path, error):
    put("file", "text")
    put("secret", "text", 0)
    for name in ("folder", "closed"):
        (home / name).mkdir()
        own(home / name)
    put("closed/file", "text")
    (home / "closed").chmod(0)
    os.mkfifo(home / "fifo")
    own(home / "fifo")
    link("loop", "loop")
    link("dangling", "nowhere")
    reply = read(path)
    assert reply["event"] == "error"
    assert reply["error"] == errno_error(*error, f"/projects/{project}/{path}")


@pytest.mark.parametrize("path, error", [
    ("/missing", ("ENOENT", 2, "stat")), ("/etc", ("EISDIR", 21, "read")), ("/dev/zero", ("EINVAL", 22, "read")),
    ("/etc/passwd/x", ("ENOTDIR", 20, "stat")), ("/proc/1/environ", ("EACCES", 13, "open")), ("/tmp/fifo", ("EINVAL", 22, "read")),
    ("/tmp/" + "x" * 256, ("ENAMETOOLONG", 36, "stat")), ("/" + "x/" * 2100, ("ENAMETOOLONG", 36, "open")),
    ("/projects", ("EISDIR", 21, "read")), ("..", ("EISDIR", 21, "read")),
])
def test_what_cannot_be_read_elsewhere(hub, account, project, read, path, error):
    hub.exec(account, project, "mkfifo", args=["/tmp/fifo"])
    reply = read(path)
    full = path if path.startswith("/") else f"/projects/{project}/{path}"
    assert (reply["event"], reply["error"]) == ("error", errno_error(*error, full))


def test_elsewhere_is_the_sandbox_s_view(hub, account, project, read, link):
    hub.exec(account, project, "echo inside > /tmp/x")
    link("link", "/tmp/x")
    assert read("/tmp/x")["content"] == read("link")["content"] == "inside\n"
    name = hub.exec(account, project, "hostname")["stdout"]
    assert read("/proc/sys/kernel/hostname")["content"] == name != os.uname().nodename + "\n"
    assert read("../../etc/passwd")["content"].count("user:x:") == 1


@pytest.mark.parametrize("name", ["x" * 255, "é" * 127 + "x", "a b", " ", "a\nb", "-rf", "*", "'\"`$\\", "\u202e", "😀", "..."])
def test_names(read, write, home, name):
    assert write(name, "content")["event"] == "file_written_to_project"
    assert (home / name).read_text() == read(name)["content"] == "content"


def test_a_name_with_a_nul_is_refused(hub, account, project):
    for event in ("read_text_file_from_project", "write_text_file_to_project"):
        reply = hub.api(event, json={"project_id": project, "path": "a\0b", **({"content": ""} if "write" in event else {})},
                        key=account)
        assert reply.json().get("error"), reply.text
    assert not (hub.data / "projects" / project / "a").exists()


def test_files_in_the_home_start_no_project(hub, account, project, put, read, write):
    put("file", "text")
    assert read("file")["content"] == "text" and read("missing")["event"] == "error"
    assert write("a/b", "text")["event"] == "file_written_to_project"
    assert hub.cli("project", "show", project)["state"]["state"] == "opened" and not hub.sandbox(project)


# ---- Reading many ----

@pytest.mark.parametrize("project_ids, paths", [(2, "a"), (2, ["a"]), (1, []), (0, ["a"]), (1, ["a", "b"]), (1, None)])
def test_lists_that_do_not_fit(hub, account, project, project_ids, paths):
    parameters = {"project_id": [project] * project_ids, "path": "a" if paths is None else paths}
    reply = hub.call("read_text_file_from_project", key=account, **parameters)
    assert (reply["event"], reply["error"]) == \
        ("error", "if project_id is an array, then path must be an array of the same length")


def test_one_project_and_a_list_of_paths(read):
    assert read(["a"])["event"] == "error"


def test_no_file_at_all(read):
    assert read([], project_id=[])["content"] == []


def test_pairs_by_position(hub, account, project, put, read):
    other = hub.project(account)
    (hub.data / "projects" / other / "a").write_text("other's")
    put("a", "first's")
    put("large", b"")
    os.truncate(hub.data / "projects" / project / "large", 20_000_000)
    ids, paths = [project, other, project, other], ["a", "a", "large", "missing"]
    content = read(paths, project_id=ids)["content"]
    assert sorted(content, key=lambda one: ids.index(one["project_id"]) * 10 + len(one["path"])) == [
        {"project_id": project, "path": "a", "content": "first's"},
        {"project_id": project, "path": "large", "error": TOO_LARGE.format(20)},
        {"project_id": other, "path": "a", "content": "other's"},
        {"project_id": other, "path": "missing", "error": errno_error("ENOENT", 2, "stat", f"/projects/{other}/missing")},
    ]


def test_one_project_that_may_not_be_read_fails_all(hub, account, project, put, read):
    put("a", "text")
    foreign = hub.project(hub.account())
    reply = read(["a", "a"], project_id=[project, foreign])
    assert (reply["event"], reply["error"]) == \
        ("error", f"User {account.id} does not have read access to project {foreign}")
    assert read(["a", "a"], project_id=[project, "x"])["error"] == \
        "Internal error determining user permission -- invalid project_id -- x"


def test_the_same_file_twice(put, project, read):
    put("a", "text")
    assert read(["a", "a"], project_id=[project, project])["content"] == \
        [{"project_id": project, "path": "a", "content": "text"}] * 2


def test_1000_files_and_not_one_more(put, project, read):
    for n in range(1000):
        put(f"f{n}", f"content {n}")
    paths = [f"f{n}" for n in range(1000)]
    content = read(paths, project_id=[project] * 1000)["content"]
    assert sorted((one["path"], one["content"]) for one in content) == sorted((path, f"content {path[1:]}") for path in paths)
    assert read(paths + ["f0"], project_id=[project] * 1001)["error"] == "too many files in one call"


def test_a_slow_file_does_not_hold_up_the_others(hub, account, project, put, read):
    """In the order of completion: what needs the sandbox, which has to start, comes behind one at least that needs none."""
    put("quick", "text")
    content = read(["/proc/version"] + ["quick"] * 5, project_id=[project] * 6)["content"]
    assert content[0] == {"project_id": project, "path": "quick", "content": "text"}
    assert sorted(one["path"] for one in content) == ["/proc/version"] + ["quick"] * 5


def test_many_large_files_stay_within_a_bound(put, project, read):
    put("large", b"x" * 9_000_000)
    content = read(["large"] * 12, project_id=[project] * 12)["content"]
    got = [one for one in content if "content" in one]
    assert 1 <= len(got) <= 7 and all(len(one["content"]) == 9_000_000 for one in got)
    assert {one["error"] for one in content if "error" in one} == \
        {"The files are too large to be read in one call; read this one by itself."}


# ---- Writing ----

@pytest.mark.parametrize("content", ["", "text\n", "a\r\nb", "é😀\u2028\ufeff", "\x01\x1b\"\\", "x" * 1_000_000])
def test_written_as_it_is(home, write, content):
    reply = write("file", content, id="mine")
    assert reply == {"event": "file_written_to_project", "id": "mine"}
    assert (home / "file").read_bytes() == content.encode()


def test_missing_folders_are_made_for_the_user_alone(home, write):
    write("a/b c/d/file", "text")
    for folder in ("a", "a/b c", "a/b c/d"):
        assert stat.S_IMODE(os.stat(home / folder).st_mode) == 0o700
    assert (home / "a/b c/d/file").read_text() == "text"


@pytest.mark.parametrize("where", ["", "/tmp/"])
def test_a_new_file_s_mode_and_owner(hub, account, project, write, where):
    write(where + "file")
    write(where + "folder/file")
    told = hub.exec(account, project, "stat", args=["-c", "%a %u", where + "file", where + "folder", where + "folder/file"])
    uid = hub.exec(account, project, "id", args=["-u"])["stdout"].strip()
    assert told["stdout"] == f"644 {uid}\n700 {uid}\n644 {uid}\n"


@pytest.mark.parametrize("mode", [0o600, 0o755, 0o666, 0o200])
def test_a_file_keeps_its_mode(home, put, write, mode):
    put("file", "old", mode)
    assert write("file")["event"] == "file_written_to_project"
    assert stat.S_IMODE(os.stat(home / "file").st_mode) == mode
    assert (home / "file").read_text() == "new"


@pytest.mark.parametrize("target, where", [
    ("real", "home"), ("folder/real", "home"), ("../@/real", "home"), ("/projects/@/real", "home"),
    ("/tmp/real", "elsewhere"), ("../../tmp/real", "elsewhere"), ("chain", "home"),
])
def test_a_link_is_followed(hub, account, project, home, own, put, link, write, target, where):
    (home / "folder").mkdir()
    own(home / "folder")
    link("chain", "real")
    link("link", target.replace("@", project))
    hub.exec(account, project, f"echo old > {target.replace('@', project)}")
    assert write("link")["event"] == "file_written_to_project"
    assert (home / "link").is_symlink()
    assert hub.exec(account, project, "cat", args=["link"])["stdout"] == "new"
    name = {"home": "folder/real" if "folder" in target else "real", "elsewhere": "/tmp/real"}[where]
    assert hub.exec(account, project, "cat", args=[name])["stdout"] == "new"


def test_a_link_to_nothing_makes_its_target(home, link, write):
    link("link", "target")
    assert write("link")["event"] == "file_written_to_project"
    assert (home / "target").read_text() == "new" and (home / "link").is_symlink()


def test_a_folder_reached_by_a_link(home, own, link, write):
    (home / "folder").mkdir()
    own(home / "folder")
    link("link", "folder")
    write("link/new/file", "text")
    assert (home / "folder/new/file").read_text() == "text"


@pytest.mark.parametrize("path, error", [
    ("folder", ("EISDIR", 21, "open")), ("folder/", ("EISDIR", 21, "open")), ("", ("EISDIR", 21, "open")),
    (".", ("EISDIR", 21, "open")), ("folder/..", ("EISDIR", 21, "open")), ("file/below", ("ENOTDIR", 20, "mkdir")),
    ("file/below/that", ("ENOTDIR", 20, "mkdir")), ("readonly", ("EACCES", 13, "open")),
    ("closed/file", ("EACCES", 13, "open")), ("closed/new/file", ("EACCES", 13, "mkdir")), ("fifo", ("ENXIO", 6, "open")),
    ("x" * 256, ("ENAMETOOLONG", 36, "open")), ("x" * 256 + "/file", ("ENAMETOOLONG", 36, "open")),
])
def test_what_cannot_be_written(home, own, put, write, project, path, error):
    put("file", "old")
    put("readonly", "old", 0o444)
    for name in ("folder", "closed"):
        (home / name).mkdir()
        own(home / name)
    (home / "closed").chmod(0o555)
    os.mkfifo(home / "fifo")
    own(home / "fifo")
    before = sorted(os.listdir(home))
    reply = write(path)
    assert (reply["event"], reply["error"]) == ("error", errno_error(*error, f"/projects/{project}/{path}"))
    assert sorted(os.listdir(home)) == before and not os.listdir(home / "closed")
    assert (home / "file").read_text() == (home / "readonly").read_text() == "old"


@pytest.mark.parametrize("path, error", [
    ("/etc/x", ("EROFS", 30, "open")), ("/usr/new/x", ("EROFS", 30, "mkdir")), ("/x", ("EROFS", 30, "open")),
    ("/projects/x", ("EROFS", 30, "open")), ("/tmp", ("EISDIR", 21, "open")), ("/dev/null", ("EINVAL", 22, "open")),
    ("/proc/1/comm", ("EACCES", 13, "open")), ("../../etc/passwd", ("EROFS", 30, "open")),
])
def test_what_cannot_be_written_elsewhere(write, project, path, error):
    reply = write(path)
    full = path if path.startswith("/") else f"/projects/{project}/{path}"
    assert (reply["event"], reply["error"]) == ("error", errno_error(*error, full))


def test_elsewhere_in_the_sandbox(hub, account, project, write):
    assert write("/tmp/a/b", "text")["event"] == "file_written_to_project"
    assert hub.exec(account, project, "cat", args=["/tmp/a/b"])["stdout"] == "text"
    assert hub.exec(account, project, "ls", args=["-A", "/tmp/a"])["stdout"] == "b\n"


def test_a_reader_never_sees_half_a_file(hub, account, project, home, read, write):
    """Old text or new text, by the API and in the folder, with writers and readers at once."""
    texts = [letter * 200_000 for letter in "abcd"]
    write("file", texts[0])
    done, seen = threading.Event(), []

    def look():
        while not done.is_set():
            seen.append((home / "file").read_text())

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        with Pending(hub, account) as pending:
            for n in range(80):
                pending.send("write_text_file_to_project", project_id=project, path="file", content=texts[n % 4])
                pending.send("read_text_file_from_project", project_id=project, path="file")
            replies = list(pending.replies().values())
    finally:
        done.set()
        watcher.join()
    contents = [reply["content"] for reply in replies if reply["event"] == "text_file_read_from_project"]
    assert len(contents) == 80 and set(contents) <= set(texts) and set(seen) <= set(texts)
    assert os.listdir(home) == ["file"]


def test_writes_to_new_folders_at_once(hub, account, project, home):
    with Pending(hub, account) as pending:
        for n in range(60):
            pending.send("write_text_file_to_project", project_id=project, path=f"a/b/c/{n}", content=str(n))
        replies = pending.replies().values()
    assert {reply["event"] for reply in replies} == {"file_written_to_project"}
    assert {name: (home / "a/b/c" / name).read_text() for name in os.listdir(home / "a/b/c")} == \
        {str(n): str(n) for n in range(60)}
