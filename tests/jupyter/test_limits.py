# SPDX-License-Identifier: AGPL-3.0-or-later
"""Time, output and the system's limits; how the end of a kernel is told (hub-rpc 7.4)."""
import pytest

from harness.process import identities, memory_peak_kb, wait_until

CELL_MS = 5000  # within which a kernel beside other work gets to where its code waits
NOTICE = "Output truncated since it exceeded the {} output limit of {} characters"


def notice(which, size):
    return {"name": "stdout", "output_type": "stream", "text": NOTICE.format(which, size)}


def texts(items):
    return [item.get("text") or item.get("ename") for item in items]


# ---- Time ----

def test_interrupted(bridge):
    items = bridge.run("print('begun')\nimport time\ntime.sleep(60)\nprint('not this')", limits={"cell_ms": CELL_MS})
    assert items[0] == {"name": "stdout", "text": "begun\n"}
    assert (items[-1]["ename"], items[-1]["evalue"]) == ("KeyboardInterrupt", "")
    assert "not this\n" not in texts(items)


def test_history_and_input_have_time_each(bridge):
    items = bridge.run("print(x)\nimport time\ntime.sleep(60)", limits={"cell_ms": CELL_MS},
                       history=["x = 7\nimport time\ntime.sleep(60)\nx = 8"])
    assert (texts(items)[0], texts(items)[-1]) == ("7\n", "KeyboardInterrupt")


def test_killed_if_interrupts_do_not_work(bridge):
    answer = bridge.error("import signal, os, time\nsignal.signal(signal.SIGINT, lambda *_: print('no', flush=True))\n"
                          "while True: time.sleep(1)", limits={"cell_ms": CELL_MS})
    assert answer == {"error": "Kernel last terminated by signal SIGKILL."}


def test_total_time_over_before_a_cell(bridge):
    answer = bridge.error("1", limits={"total_ms": 500}, history=["import time; time.sleep(0.6)"])
    assert answer == {"error": "Total time limit (=0.5 seconds) exceeded"}


def test_total_time_ends_a_cell(bridge):
    bridge.run("1")  # so that others are kept in reserve
    wait_until(lambda: bridge.state().get("idle"), 180, "a kernel that waits")
    assert texts(bridge.run("import time; time.sleep(60)", limits={"total_ms": 2 * CELL_MS}))[-1] == "KeyboardInterrupt"


# ---- Output ----

def test_cell_output(bridge):
    code = "for i in range(4):\n    display('x' * 100)\nprint('late')\n1/0"
    items = bridge.run(code, limits={"cell_output": 300})
    assert [item["data"]["text/plain"] for item in items[:2]] == [repr("x" * 100)] * 2
    assert items[2] == notice("cell", 300)
    assert texts(items[3:]) == ["ZeroDivisionError"]


def test_global_output(bridge):
    assert bridge.run("print('x' * 200)", limits={"output": 100}) == [notice("global", 100)]


def test_size_is_that_of_the_item_in_characters(bridge):
    # {"data":{"text/plain":"''"}} with a text of ten characters in two quotes: 37, each of the ten two units.
    code = "'" + "🎉" * 10 + "'"
    assert bridge.run(code, limits={"cell_output": 48})[0]["data"]["text/plain"] == code
    assert bridge.run(code, limits={"cell_output": 47}) == [notice("cell", 47)]


def test_output_of_history_does_not_count(bridge):
    assert bridge.run("1", limits={"cell_output": 100}, history=["print('x' * 1000000)"]) == [{"data": {"text/plain": "1"}}]


def test_clearing_makes_room(bridge):
    code = ("from IPython.display import *\nfor i in range(5):\n    clear_output()\n    print('x' * 50, flush=True)\n"
            "print('end')")
    assert texts(bridge.run(code, limits={"cell_output": 150})) == ["x" * 50 + "\n", "end\n"]


def test_hundred_megabytes(bridge_factory):
    own = bridge_factory()
    items = own.run("for i in range(100):\n    print('x' * 1000000, flush=True)\nprint('end')\n1/0")
    assert texts(items)[-2:] == [NOTICE.format("cell", 1000000), "ZeroDivisionError"]
    assert memory_peak_kb(own.process.pid) < 200 * 1024


def test_one_huge_message(bridge):
    items = bridge.run("print('x' * 100000000)\nprint('end')", history=["print('x' * 50000000)\nx = 1"])
    assert items == [notice("cell", 1000000)]


def test_too_much_in_history_does_not_reach_the_result(bridge):
    assert bridge.run("print(x)", history=["print('x' * 100000000)\nx = 1"]) == [{"name": "stdout", "text": "1\n"}]


def test_large_output_within_the_limits(bridge):
    items = bridge.run("print('é' * 5000000)", limits={"cell_output": 6000000, "output": 6000000})
    assert items == [{"name": "stdout", "text": "é" * 5000000 + "\n"}]


def test_many_values(bridge):
    code = "from IPython.display import *\ndisplay(JSON({'x': [0] * 300000}))"
    assert bridge.run(code, limits={"cell_output": 3000000}) == [notice("cell", 3000000)]


# ---- The system's limits ----

def test_ulimits(bridge):
    limits = {"files": 200, "file_bytes": 1 << 20, "cpu_s": 1000, "memory_bytes": 3000000 << 10}
    item, = bridge.run("import resource as r\nprint([r.getrlimit(x) for x in (r.RLIMIT_NOFILE, r.RLIMIT_FSIZE, r.RLIMIT_AS)],\n"
                       "1000 < r.getrlimit(r.RLIMIT_CPU)[0] < 1030, sep='\\n')", ulimits=limits)
    assert item["text"] == f"{[(200, 200), (1 << 20, 1 << 20), (3000000 << 10, 3000000 << 10)]}\nTrue\n"


def test_no_ulimits(bridge):
    item, = bridge.run("import resource as r\nprint(r.getrlimit(r.RLIMIT_CPU)[0], r.getrlimit(r.RLIMIT_AS)[0])", ulimits={})
    assert item["text"] == "-1 -1\n"


def test_memory_limit(bridge):
    items = bridge.run("x = bytearray(4 << 30)", ulimits={"memory_bytes": 3000000 << 10})
    assert texts(items) == ["MemoryError"]


def test_cpu_limit(bridge):
    answer = bridge.error("while True: pass", ulimits={"cpu_s": 1})
    assert answer == {"error": "Kernel last exited with code 137.", "died": True}


# ---- Ends ----

def test_exit_code(bridge):
    assert bridge.error("import os; os._exit(3)") == {"error": "Kernel last exited with code 3.", "died": True}


def test_signal(bridge):
    answer = bridge.error("import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    assert answer == {"error": "Kernel last terminated by signal SIGKILL.", "died": True}


def test_end_of_stderr(bridge_factory, fake):
    fake()
    answer = bridge_factory().error("os.write(2, b'old\\n' * 5000 + b'\\xff last words\\n\\n')\nos._exit(3)", kernel="fake")
    text, dots, stderr = answer["error"].split("\n", 2)
    assert (text, dots, stderr[-13:]) == ("Kernel last exited with code 3.", "...", "\n\ufffd last words")
    assert stderr.startswith("old\n") and len(stderr) < 4200


def test_end_in_history(bridge):
    assert bridge.error("1", history=["import os; os._exit(0)"]) == {"error": "Kernel last exited with code 0.", "died": True}


def test_children_end_with_their_kernel(bridge):
    item, = bridge.run("import subprocess\nprint(subprocess.Popen(['sleep', '1000']).pid)")
    wait_until(lambda: not identities([int(item["text"])]), 60, "the end of the kernel's child")


def test_given_up_kills_the_kernel(bridge_factory):
    own = bridge_factory()
    call = own.start("while True: pass", limits={"cell_ms": 600000})
    own.wait_for(busy=1)
    call.give_up()
    own.wait_for()
    assert own.run("1") == [{"data": {"text/plain": "1"}}]


@pytest.mark.parametrize("kernel, code", [("ir", "repeat {}"), ("octave", "while true; end")])
def test_other_languages_are_interrupted(bridge, kernel, code):
    bridge.start(code, kernel=kernel, limits={"cell_ms": 500}, pool={"size": 0, "idle_ms": 0}).answer()
