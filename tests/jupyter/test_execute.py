# SPDX-License-Identifier: AGPL-3.0-or-later
"""What code gives, in the kernels that Debian has (hub-rpc 7.2, 7.3)."""
import pathlib
import re

import pytest

from harness.kernel_bridge import wait_until

ANSI = re.compile(r"\x1b\[[0-9;]*m")


def printed(items):
    """All that was printed: what is printed in several steps may come in several items."""
    return "".join(item["text"] for item in items)


@pytest.mark.parametrize("code, items", [
    ("sum(range(100))", [{"data": {"text/plain": "4950"}}]),
    ("print('Hello')", [{"name": "stdout", "text": "Hello\n"}]),
    ("import sys; print('Hello', file=sys.stderr)", [{"name": "stderr", "text": "Hello\n"}]),
    ("a = 1", []),
    ("", []),
    ("print('Grüße 🎉')", [{"name": "stdout", "text": "Grüße 🎉\n"}]),
])
def test_result(bridge, code, items):
    assert bridge.run(code) == items


def test_error_is_an_item(bridge):
    error, = bridge.run("1/0")
    assert (error["ename"], error["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert ANSI.sub("", error["traceback"][-1]) == "ZeroDivisionError: division by zero"
    assert set(error) == {"ename", "evalue", "traceback"}


@pytest.mark.parametrize("code, mime, value", [
    ("HTML('<b>x</b>')", "text/html", "<b>x</b>"),
    ("Latex('$x$')", "text/latex", "$x$"),
    ("Markdown('*x*')", "text/markdown", "*x*"),
    ("JSON({'x': [1, None, 2.5]})", "application/json", {"x": [1, None, 2.5]}),
    ("Image(data=b'\\x89PNG\\r\\n\\x1a\\n', format='png')", "image/png", "iVBORw0KGgo=\n"),
])
def test_display(bridge, code, mime, value):
    item, = bridge.run(f"from IPython.display import *\ndisplay({code})")
    assert item["data"][mime] == value
    assert "text/plain" in item["data"]
    assert "output_type" not in item and "execution_count" not in item


def test_display_id_and_update(bridge):
    items = bridge.run("from IPython.display import *\nh = display(1, display_id='x')\nh.update(2)")
    assert items == [{"data": {"text/plain": text}, "transient": {"display_id": "x"}} for text in "12"]


def test_metadata_is_kept(bridge):
    item, = bridge.run("from IPython.display import *\ndisplay({'text/plain': 'x'}, raw=True, metadata={'a': 1})")
    assert item == {"data": {"text/plain": "x"}, "metadata": {"a": 1}}


def test_clear_output_leaves_nothing(bridge):
    assert bridge.run("from IPython.display import *\nprint(1, flush=True)\nclear_output()\nprint(2)") == [
        {"name": "stdout", "text": "2\n"}]


def test_order_of_outputs(bridge):
    items = bridge.run("import sys\nfor i in range(50):\n    display(i)\n'end'")
    assert [item["data"]["text/plain"] for item in items] == [*map(str, range(50)), "'end'"]


def test_history_is_silent_and_one_cell(bridge):
    assert bridge.run("x + y", history=["x = 1\nprint(x)", "y = 2", "if x:\n    x = 10"]) == [{"data": {"text/plain": "12"}}]
    assert bridge.run("[x, 'y' in globals()]", history=["x = 1", "1/0", "y = 2"]) == [{"data": {"text/plain": "[1, False]"}}]


def test_nothing_survives(bridge):
    bridge.run("survivor = 1")
    assert bridge.run("'survivor' in globals()") == [{"data": {"text/plain": "False"}}]


def test_execution_count_starts_anew(bridge):
    code = "get_ipython().execution_count, '_' in globals() and _, len(Out)"
    assert bridge.run(code) == [{"data": {"text/plain": "(1, '', 0)"}}]


def test_input_is_refused(bridge):
    error, = bridge.run("input()")
    assert error["ename"] == "StdinNotImplementedError"


def test_comms_are_no_items(bridge):
    assert bridge.run("from ipykernel.comm import Comm\nComm(target_name='x').send({'a': 1})") == []


def test_text_that_json_cannot_have(bridge):
    text, = bridge.run("print('a\\0b\\udc80c')")
    assert text == {"name": "stdout", "text": "a\ufffdb\ufffdc\n"}


# ---- Folders ----

def test_folder_is_empty_and_goes_away(bridge):
    item, = bridge.run("import os\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\nos.chmod('a', 0)\n"
                       "print(os.getcwd(), sorted(os.listdir()), end='')")
    folder, files = item["text"].split(" ", 1)
    assert files == "['a']"
    wait_until(lambda: not pathlib.Path(folder).exists(), 60, "the folder's end")


def test_folders_differ(bridge):
    code = "import os; print(os.getcwd())"
    assert bridge.run(code) != bridge.run(code)


@pytest.mark.parametrize("path", ["with 'quotes' \"and\" $more\\", "", "absolute", "ünï"])
def test_path(bridge, path):
    folder = bridge.home / path
    folder.mkdir(exist_ok=True)
    given = str(folder) if path == "absolute" else path
    assert bridge.run("import os; print(os.getcwd(), end='')", path=given) == [{"name": "stdout", "text": str(folder)}]


def test_path_that_is_missing_is_ignored(bridge):
    assert bridge.run("1", path="no such folder") == [{"data": {"text/plain": "1"}}]


def test_path_is_there_for_history(bridge):
    (bridge.home / "h").mkdir()
    assert bridge.run("print(p, end='')", path="h", history=["import os; p = os.getcwd()"])[0]["text"] == str(bridge.home / "h")


def test_environment(bridge):
    items = bridge.run("import os\nfor n in ('PLOTLY_RENDERER', 'COCALC_JUPYTER_KERNELNAME'): print(os.environ[n])\n"
                       "print(os.path.isabs(os.environ['COCALC_JUPYTER_FILENAME']))")
    assert printed(items).split() == ["colab", "python3", "True"]


def test_descriptors_of_the_bridge_stay_there(bridge):
    items = bridge.run("import os\nfor fd in os.listdir('/proc/self/fd'):\n    try: print(os.readlink('/proc/self/fd/' + fd))\n"
                       "    except OSError: pass")
    assert "/dev/null" in printed(items) and "seqpacket" not in printed(items).lower() and "memfd" not in printed(items)


# ---- Other languages ----

def test_r(bridge):
    item, = bridge.run("1 + 1", kernel="ir", pool={"size": 0, "idle_ms": 0})
    assert item["data"]["text/plain"] == "[1] 2"


def test_r_in_a_folder_with_history_and_an_error(bridge):
    (bridge.home / "r \"x\"").mkdir()
    items = bridge.run("cat(basename(getwd()), y)\nstop('no')", kernel="ir", path="r \"x\"", history=["y <- 5; print(y)"],
                       pool={"size": 0, "idle_ms": 0})
    assert items[0] == {"name": "stdout", "text": "r \"x\" 5"}
    assert [item["evalue"] for item in items if "ename" in item] == ["Error in eval(expr, envir, enclos): no\n"]


def test_octave_in_a_folder(bridge):
    (bridge.home / "it's").mkdir()
    items = bridge.run("disp(pwd()); x + 1", kernel="octave", path="it's", history=["x = 41"],
                       pool={"size": 0, "idle_ms": 0})
    text = "".join(item["text"] for item in items)
    assert text.split("\r\n")[:2] == [str(bridge.home / "it's"), "ans = 42"]
