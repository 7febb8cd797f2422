# SPDX-License-Identifier: AGPL-3.0-or-later
"""Which kernels there are, which run, and how many (hub-rpc 6.5, 6.6, 7.1, 7.5)."""
import base64
import json
import os
import pathlib
import signal
import time

import pytest

from harness.process import identities, wait_until

TWO = [{"data": {"text/plain": "2"}}]


def by_name(bridge):
    return {spec["name"]: spec for spec in bridge.call("kernels")["result"]}


# ---- Installed kernels ----

def test_kernels_of_debian(bridge):
    python = by_name(bridge)["python3"]
    assert python == {
        "name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python", "env": {},
        "metadata": {"debugger": True}, "resource_dir": "/usr/share/jupyter/kernels/python3",
        "argv": ["/usr/bin/python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]}
    assert {"ir", "octave"} <= set(by_name(bridge))


def test_order_and_members(bridge_factory, fake):
    fake("One", display_name="zzz", interrupt_mode="message", env={"A": "b"}, metadata={"cocalc": {"disabled": True}},
         language="text/x-macaulay2")
    fake("two", display_name="AAA")
    kernels = bridge_factory().call("kernels")["result"]
    assert [kernel["display_name"] for kernel in kernels] == sorted(kernel["display_name"] for kernel in kernels)
    assert [kernels[0]["name"], kernels[-1]["name"]] == ["two", "one"]
    assert {**kernels[-1], "argv": 0, "resource_dir": 0} == {
        "name": "one", "display_name": "zzz", "language": "Macaulay2", "interrupt_mode": "message", "env": {"A": "b"},
        "metadata": {"cocalc": {"disabled": True}}, "argv": 0, "resource_dir": 0}
    assert kernels[-1]["resource_dir"].endswith("/.local/share/jupyter/kernels/One")


def test_own_kernel_wins_and_shows_at_once(bridge_factory, fake):
    own = bridge_factory()
    assert by_name(own)["python3"]["display_name"] == "Python 3 (ipykernel)"
    add(own.home, "python3", {"argv": ["x"], "display_name": "Mine", "language": "python"})
    assert by_name(own)["python3"]["display_name"] == "Mine"


def test_jupyter_path_comes_first(bridge_factory, tmp_path):
    for i in "ab":
        folder = tmp_path / i / "kernels" / "k"
        folder.mkdir(parents=True)
        (folder / "kernel.json").write_text(json.dumps({"argv": ["x"], "display_name": i}))
    own = bridge_factory(env={"JUPYTER_PATH": f"/nowhere::{tmp_path}/a:{tmp_path}/b"})
    assert by_name(own)["k"]["display_name"] == "a"


def add(home, name, spec):
    folder = pathlib.Path(home) / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text(spec if isinstance(spec, str) else json.dumps(spec))
    return folder


@pytest.mark.parametrize("spec", [
    "", "{", "[]", {}, {"argv": []}, {"argv": "x"}, {"argv": [1]}, {"argv": ["x"], "display_name": 1},
    {"argv": ["x"], "language": []}, {"argv": ["x"], "env": {"A": 1}}, {"argv": ["x"], "env": []},
    {"argv": ["x"], "metadata": "x"}, {"argv": ["x"], "interrupt_mode": 1}, {"argv": ["x"] * 30000},
])
def test_malformed_specification_is_passed_over(bridge_factory, spec):
    own = bridge_factory()
    add(own.home, "bad", spec)
    add(own.home, "good", {"argv": ["x"]})
    kernels = by_name(own)
    assert "bad" not in kernels
    assert (kernels["good"]["display_name"], kernels["good"]["language"]) == ("good", "")


def test_specification_that_is_no_file(bridge_factory):
    own = bridge_factory()
    folder = add(own.home, "pipe", "")
    (folder / "kernel.json").unlink()
    os.mkfifo(folder / "kernel.json")
    assert "pipe" not in by_name(own)


def test_logo(bridge_factory):
    own = bridge_factory()
    folder = add(own.home, "k", {"argv": ["x"]})
    assert own.call("logo", kernel="k") == {"result": None}
    (folder / "logo-svg.svg").write_bytes(b"<svg/>")
    assert own.call("logo", kernel="K".lower())["result"] == {"filename": "logo-svg.svg",
                                                              "base64": base64.b64encode(b"<svg/>").decode()}
    (folder / "logo-64x64.png").write_bytes(b"\x89PNG")
    assert own.call("logo", kernel="k")["result"]["filename"] == "logo-64x64.png"
    (folder / "logo-64x64.png").write_bytes(b"x" * 2000000)
    assert own.call("logo", kernel="k")["result"]["filename"] == "logo-svg.svg"
    assert own.call("logo", kernel="none") == own.call("logo") == {"result": None}


def test_unknown_kernel(bridge):
    error = bridge.error("1", kernel="No such")["error"]
    assert error.startswith('**Unable to Spawn Jupyter Kernel:**\n\nError: No spec available for kernel "No such".  '
                            'Available specs: ["')
    assert '"python3"' in error and "jupyter console --kernel=No such" in error


def test_environment_of_a_specification(bridge_factory, fake):
    fake(env={"NEW": "x", "LANG": "${LANG}:${NONE}", "=": "y"})
    item, = bridge_factory().run("k.text(' '.join(os.environ[n] for n in ('NEW', 'LANG')))", kernel="fake")
    assert item["text"] == "x C.UTF-8:${NONE}"


# ---- Kernels that run ----

def test_list_and_connection_file(bridge_factory):
    own = bridge_factory(pool=1)
    assert own.list() == []
    assert own.run("1+1") == TWO
    own.wait_for(idle=1)
    kernel, = own.list()
    file = pathlib.Path(kernel["connectionFile"])
    assert kernel == {"pid": kernel["pid"], "connectionFile": str(file), "kernel_name": "python3", "state": "idle"}
    assert [path.stat().st_mode & 0o777 for path in (file, file.parent)] == [0o600, 0o700]
    connection = json.loads(file.read_text())
    assert (connection["transport"], connection["signature_scheme"]) == ("ipc", "hmac-sha256")
    assert len(connection["key"]) == 64
    assert os.getpgid(kernel["pid"]) == os.getsid(kernel["pid"]) == kernel["pid"]


def test_who_asks_right_after_a_call_finds_the_next_kernel(bridge_factory):
    own = bridge_factory(pool=1)
    own.run("1")
    own.wait_for(idle=1)
    used, = own.list()
    own.run("1")
    kernel, = own.list()
    assert kernel["pid"] != used["pid"]


def test_stop(bridge_factory):
    own = bridge_factory(pool=1)
    own.run("1")
    own.wait_for(idle=1)
    pid = own.list()[0]["pid"]
    for wrong in (os.getpid(), own.process.pid, 0, -1, -pid, pid + 0.5, 1e300, str(pid), None):
        assert own.call("stop", pid=wrong) == {"result": {"success": False}}
    assert own.call("stop", pid=pid) == {"result": {"success": True}}
    assert own.call("stop", pid=pid) == {"result": {"success": False}}
    assert own.list() == []
    wait_until(lambda: not pathlib.Path(f"/proc/{pid}").exists(), 60, "the end of the kernel")
    assert own.run("1+1") == TWO


def test_stop_of_one_that_runs_code(bridge_factory):
    own = bridge_factory()
    call = own.start("while True: pass")
    own.wait_for(busy=1)
    assert own.call("stop", pid=own.list()[0]["pid"]) == {"result": {"success": True}}
    assert call.answer() == {"error": "Kernel last terminated by signal SIGKILL."}


def test_end_of_the_bridge_ends_kernels(bridge_factory):
    own = bridge_factory(pool=1)
    own.run("open('file', 'w').close()")
    call = own.start("import time, subprocess\nsubprocess.Popen(['sleep', '1000'])\ntime.sleep(1000)", pool={"size": 1, "idle_ms": 60000})
    own.wait_for(busy=1, idle=1)
    pids = [kernel["pid"] for kernel in own.list()]
    folder = pathlib.Path(own.list()[0]["connectionFile"]).parent
    own.end()
    assert call.end.recv(1) == b""
    for pid in pids:
        assert not pathlib.Path(f"/proc/{pid}").exists()
    wait_until(lambda: not folder.exists(), 60, "the end of the bridge's folder")


def test_kernels_do_not_outlive_a_bridge_that_is_killed(bridge_factory):
    own = bridge_factory(pool=1)
    own.run("1")
    own.wait_for(idle=1)
    pid = own.list()[0]["pid"]
    own.process.kill()
    own.process.wait()
    wait_until(lambda: not identities([pid]), 60, "the end of the kernel")


def test_bridge_cannot_be_traced(bridge):
    assert os.stat(f"/proc/{bridge.process.pid}/mem").st_uid == 0


# ---- Kernels in reserve ----

def test_pool_is_filled_and_used(bridge_factory):
    own = bridge_factory(pool=2)
    assert own.run("1+1") == TWO
    own.wait_for(idle=2)
    before = [kernel["pid"] for kernel in own.list()]
    item, = own.run("import os; os.getpid()")
    assert int(item["data"]["text/plain"]) == before[0]
    own.wait_for(idle=2)
    assert own.list()[0]["pid"] == before[1]


def test_no_pool(bridge_factory):
    own = bridge_factory()
    own.run("1")
    wait_until(lambda: own.list() == [], 60, "no kernels")


def test_pool_is_culled(bridge_factory):
    own = bridge_factory()
    own.run("1", pool={"size": 2, "idle_ms": 4000})
    wait_until(lambda: own.list() == [], 180, "no kernels")


def test_pool_shrinks_with_what_is_asked(bridge_factory):
    own = bridge_factory(pool=2)
    own.run("1")
    own.wait_for(idle=2)
    own.run("1", pool={"size": 1, "idle_ms": 60000})
    own.wait_for(idle=1)


def test_pool_is_bounded_over_all_names(bridge_factory, fake):
    for name in ("one", "two"):
        fake(name)
    own = bridge_factory(pool=1000)
    own.run("k.text('x')", kernel="one")
    own.wait_for(idle=10)
    own.run("k.text('x')", kernel="two")
    wait_until(lambda: [kernel["kernel_name"] for kernel in own.list()] == ["two"] * 10, 180, "kernels of the other name")


def test_kernel_that_ends_while_it_waits(bridge_factory, fake):
    fake()
    own = bridge_factory(pool=1)
    own.run("1", kernel="fake")
    own.wait_for(idle=1)
    os.kill(own.list()[0]["pid"], signal.SIGKILL)
    own.wait_for()  # none takes its place until somebody asks again
    assert own.run("k.text('x')", kernel="fake") == [{"name": "stdout", "text": "x"}]


def test_changed_specification(bridge_factory, fake):
    folder = fake()
    own = bridge_factory(pool=1)
    own.run("1", kernel="fake")
    own.wait_for(idle=1)
    spec = json.loads((folder / "kernel.json").read_text())
    (folder / "kernel.json").write_text(json.dumps({**spec, "env": {"NEW": "1"}}))
    assert own.run("k.text(os.environ['NEW'])", kernel="fake") == [{"name": "stdout", "text": "1"}]


# ---- Many calls ----

def test_more_calls_than_run_at_once(bridge_factory, fake):
    fake()
    own = bridge_factory()
    os.mkfifo(own.home / "go")
    calls = [own.start(f"open('{own.home}/go').read()\nk.text('{i}')", kernel="fake") for i in range(20)]
    own.wait_for(busy=16)
    assert [call.waits() for call in calls] == [True] * 20
    calls[16].give_up()
    answers = []
    deadline = time.monotonic() + 180
    while len(answers) < 19 and time.monotonic() < deadline:
        _let_go(own.home / "go")
        for i, call in enumerate(calls):
            if call and i != 16 and not call.waits():
                answers.append(call.answer()["result"][0]["text"])
                calls[i] = None
    assert sorted(answers, key=int) == [str(i) for i in range(20) if i != 16]


def _let_go(fifo):
    """Lets those go on that wait for somebody to write."""
    try:
        os.close(os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:  # nobody reads just now
        pass


def test_slow_reader_does_not_keep_others_waiting(bridge_factory, fake):
    fake()
    own = bridge_factory()
    slow = own.start("k.text('x' * 5000000)", kernel="fake", limits={"cell_output": 6000000, "output": 6000000})
    wait_until(lambda: not slow.waits(), 60, "the beginning of the answer")
    assert own.run("k.text('y')", kernel="fake") == [{"name": "stdout", "text": "y"}]
    assert slow.answer() == {"result": [{"name": "stdout", "text": "x" * 5000000}]}
