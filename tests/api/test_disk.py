# SPDX-License-Identifier: AGPL-3.0-or-later
"""The disk quota: what is refused, what a command cannot write, who is stopped, and the way back below it."""
import json
import os
import re

import pytest

from harness.pending import Pending
from harness.process import wait_until
from harness.store import execute

MB = 1_000_000  # soft with a quota of 1; 1.2 MB are the hard one


@pytest.fixture
def hub(hub_factory):
    """One whose projects have 1 MB, and that looks at them every second."""
    return hub_factory(env={"COHUB_PROJECTS_DISK_QUOTA": "1", "COHUB_PROJECTS_IDLE_CHECK": "1"})


@pytest.fixture
def put(home):
    """put(name, size): a file that the hub has not seen being written."""
    def write(name, size):
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * size)
        owner = os.stat(home)
        for made in (path, path.parent):
            os.chown(made, owner.st_uid, owner.st_gid)
        return path

    return write


@pytest.fixture
def write(hub, account, project):
    return lambda path, size: hub.call("write_text_file_to_project", key=account, project_id=project, path=path,
                                       content="y" * size)


@pytest.fixture
def run(hub, account, project):
    return lambda command, **more: hub.exec(account, project, command, **{"bash": True, "err_on_exit": False, **more})


@pytest.fixture
def counted(hub, project):
    """Waits until the hub knows of at least so many bytes, and gives them: more than 1 MB, which the record has soon. A file is
    written by what is known, which may be as old as twenty measurements take."""
    def size():
        return execute(hub, "SELECT disk_size FROM projects WHERE project_id = ?", project)[0][0] or 0

    return lambda least: wait_until(lambda: size() >= least and size(), 60, f"{least} bytes are known")


@pytest.fixture
def state(hub, project):
    return lambda: hub.cli("project", "show", project)["state"]


def refused(project, path):
    return {"errno": -122, "code": "EDQUOT", "syscall": "write", "path": f"/projects/{project}/{path}"}


def is_written(reply):
    return reply["event"] == "file_written_to_project"


# ---- Writing files ----

def test_what_is_too_much_is_refused_before_anything_is_written(home, project, write):
    assert write("a/b/large", MB)["error"] == refused(project, "a/b/large")
    assert list(home.iterdir()) == []


def test_what_fits_is_written(home, write):
    assert is_written(write("a/large", 900_000))
    assert (home / "a/large").stat().st_size == 900_000


def test_each_write_counts_for_the_next(project, write):
    assert [is_written(write(f"file{i}", 300_000)) for i in range(5)] == [True, True, True, False, False]


def test_writes_at_once_do_not_go_beyond_together(hub, account, project, home):
    calls = Pending(hub, account)
    for i in range(20):
        calls.send("write_text_file_to_project", project_id=project, path=f"file{i}", content="z" * 95_000)
    written = [is_written(reply) for reply in calls.replies().values()]
    assert 0 < written.count(True) <= 10  # 98 KB each, in whole blocks
    assert len(list(home.iterdir())) == written.count(True)


def test_a_file_that_may_not_grow_keeps_its_old_text(home, write):
    assert is_written(write("file", 100_000))
    assert write("file", 1_100_000)["error"]["code"] == "EDQUOT"
    assert (home / "file").read_text() == "y" * 100_000
    assert [path.name for path in home.iterdir()] == ["file"]


def test_growing_counts_only_what_is_added(write):
    assert is_written(write("file", 600_000))
    assert is_written(write("file", 950_000))


@pytest.mark.parametrize("size", [1_100_000, 1_000, 0])
def test_who_has_too_much_may_write_the_same_or_less(put, write, size):
    put("file", 1_100_000)
    assert write("new", 1)["error"]["code"] == "EDQUOT"
    assert is_written(write("file", size))


def test_who_has_too_much_may_write_a_small_file_again(put, write):
    put("large", 1_100_000)
    put("small", 10)
    assert is_written(write("small", 10))


def test_shrinking_a_file_makes_room(put, write):
    put("file", 1_100_000)
    assert is_written(write("file", 10))
    assert is_written(write("new", 900_000))


def test_holes_are_no_room(home, put, write):
    os.truncate(put("holes", 0), 100 * MB)
    put("large", 1_100_000)
    assert write("holes", 500_000)["error"]["code"] == "EDQUOT"


def test_a_link_in_the_home_leads_to_the_same_quota(hub, account, project, home, run, write):
    run("mkdir folder; ln -s folder/target link; ln -s large.txt to-large; ln -s /tmp/file outside")
    assert write("link", MB)["error"] == refused(project, "link")
    assert not (home / "folder/target").exists()
    assert is_written(write("link", 950_000))
    assert write("to-large", 200_000)["error"] == refused(project, "to-large")


def test_what_lies_outside_the_home_does_not_count(put, run, write):
    put("large", 1_100_000)
    run("ln -s /tmp/file outside")
    assert is_written(write("/tmp/file", 100))
    assert is_written(write("outside", 200))


# ---- What counts ----

@pytest.mark.parametrize("hide, mode", [("chmod 0 folder", 0), ("chmod 400 folder", 0o400),
                                        ("chmod 0 folder/below; chmod 100 folder", 0o100)])
def test_a_folder_that_is_shut_counts_too(home, project, run, write, counted, hide, mode):
    run(f"mkdir -p folder/below; head -c 1100000 /dev/zero > folder/below/file; {hide}")
    counted(1_100_000)
    assert write("file", 1)["error"] == refused(project, "file")
    wait_until(lambda: (home / "folder").stat().st_mode & 0o777 == mode, 60, "it is shut again")


def test_two_names_of_a_file_count_once(run, write):
    run("head -c 500000 /dev/zero > file; for i in 1 2 3 4; do ln file name$i; done")
    assert is_written(write("new", 400_000))


def test_links_count_nothing_of_what_they_lead_to(run, write):
    run("ln -s /usr usr; ln -s / root")
    assert is_written(write("new", 900_000))


def test_the_projects_own_quota_counts(hub, project, write):
    execute(hub, "UPDATE projects SET settings = ? WHERE project_id = ?", json.dumps({"disk_quota": 3}), project)
    assert is_written(write("file", 2_000_000))
    assert write("another", 1_000_000)["error"] == refused(project, "another")


def test_the_record_says_how_much_it_is(put, run, counted):
    put("file", 1_100_000)
    run("true")
    assert counted(1_100_000) <= 1_120_000


# ---- Commands ----

def test_a_command_cannot_write_a_file_beyond_the_hard_quota(home, run):
    # It begins far behind a hole: what is really written does not have the project stopped meanwhile.
    done = run("head -c 900000 /dev/zero > old; dd if=/dev/zero of=file bs=10k seek=110 count=1000")
    assert done["exit_code"] == 1
    assert "File too large" in done["stderr"]
    assert (home / "file").stat().st_size <= 1_200_000


def test_what_a_command_wrote_counts_and_what_it_removed_is_free(run, project, write, counted):
    run("head -c 1100000 /dev/zero > file")
    counted(1_100_000)
    assert write("new", 1)["error"] == refused(project, "new")
    run("rm file")
    wait_until(lambda: is_written(write("new", 900_000)), 60, "the room")


def test_a_file_can_be_changed_in_place_whatever_is_left(run):
    run("head -c 1050000 /dev/zero > file")
    done = run("printf x | dd of=file bs=1 seek=1000000 conv=notrunc")
    assert done["exit_code"] == 0


def test_the_first_command_of_a_hub_knows_the_quota(hub, project, write, run):
    execute(hub, "UPDATE projects SET settings = ? WHERE project_id = ?", json.dumps({"disk_quota": 5}), project)
    assert is_written(write("file", 2_900_000))
    hub.restart()
    assert run("printf x | dd of=file bs=1 seek=2900000 conv=notrunc")["exit_code"] == 0


# ---- Who goes beyond ----

FILL = "for i in $(seq 30); do head -c 100000 /dev/zero > file$i; done"
EXCEEDED = re.compile(r"disk quota exceeded: \d\.\d MB of 1 MB")


def is_stopped(state):
    return state["state"] == "opened" and EXCEEDED.fullmatch(state.get("error") or "")


def test_a_project_beyond_its_hard_quota_is_stopped_and_can_free_space(home, run, state, write):
    run(FILL)
    wait_until(lambda: is_stopped(state()), 60, "the project's end")
    done = run("echo grows > new")
    assert (done["exit_code"], (home / "new").stat().st_size) == (1, 0)
    assert "File too large" in done["stderr"]
    assert run("sleep 2.5; rm file*; echo removed")["stdout"] == "removed\n"  # it is not stopped for what it had
    wait_until(lambda: (now := state())["state"] == "running" and "error" not in now, 60, "its record says so")
    assert is_written(write("new", 500_000))


def test_the_command_that_fills_the_disk_is_told_why_it_ends(run, state):
    reply = run(f"{FILL}; exec sleep 1000", timeout=600, err_on_exit=False)
    told = re.search("killed command 'bash [^']+' -- the project was stopped: (.*), , $", reply["error"])
    assert EXCEEDED.fullmatch(told[1])
    wait_until(lambda: is_stopped(state()), 60, "the project's end")  # it may have been measured once more


def test_what_goes_on_in_the_background_is_looked_at(run, state):
    run(f"(sleep 1; {FILL}) > /dev/null 2>&1 &")
    wait_until(lambda: is_stopped(state()), 60, "the project's end")


def test_a_hub_that_comes_back_looks_at_what_runs(hub, home, run, state):
    run("true")
    hub.stop()
    (home / "file").write_bytes(b"x" * 2_000_000)
    hub.start()
    wait_until(lambda: is_stopped(state()), 60, "the project's end")


def test_too_deep_folders_stop_a_project_however_often_it_is_started(home, run, state):
    run('for i in $(seq 150); do mkdir d; cd d; done')
    wait_until(lambda: "too many folders in folders" in state().get("error", ""), 60, "the project's end")
    # It has a moment after each start; a slow machine may need a second one.
    wait_until(lambda: run("echo again").get("stdout") == "again\n", 60, "a command runs")
    wait_until(lambda: "too many folders in folders" in state().get("error", ""), 60, "its end again")


# ---- Files without a name ----

def hold(name, size, then="exec sleep 1000"):
    """A command that goes on in the background, with a file open that it has removed."""
    return f"exec 3> {name}; rm {name}; head -c {size} /dev/zero >&3; touch ready; {then}"


def background(command):
    return f"({command}) > /dev/null 2>&1 &"


@pytest.fixture
def ready(home, run):
    """Waits for the file, and has the hub look at what there is now."""
    def wait():
        wait_until((home / "ready").exists, 60, "the file")
        run("true")

    return wait


def test_a_removed_file_counts_while_it_is_open(project, run, write, ready, counted):
    run(background(hold("file", 1_100_000)))
    ready()
    counted(1_100_000)
    assert write("new", 1)["error"] == refused(project, "new")
    run("pkill sleep")
    wait_until(lambda: is_written(write("new", 900_000)), 60, "the room")


def test_a_removed_file_counts_once(run, write, ready):
    run(background(hold("file", 600_000, "sleep 1000 & exec sleep 1000")))
    ready()
    assert is_written(write("new", 300_000))


def test_a_removed_file_in_memory_does_not_count(run, write, ready):
    run(background(hold("/tmp/file", 900_000)))
    ready()
    assert is_written(write("new", 900_000))


def test_removed_files_beyond_the_hard_quota_stop_the_project_and_are_gone_then(run, state, write):
    run(background(" ".join(hold(f"file{i}", 900_000, "sleep 1000 &") for i in range(3))))
    wait_until(lambda: is_stopped(state()), 60, "the project's end")
    assert is_written(write("new", 900_000))
