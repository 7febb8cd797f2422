# SPDX-License-Identifier: AGPL-3.0-or-later
"""Kernels that do not do what they should, and requests that are none."""
import json
import os
import socket

import pytest

from harness.kernel_bridge import LIMITS
from harness.process import memory_peak_kb

FINE = [{"name": "stdout", "text": "fine"}]


@pytest.fixture
def run(bridge_factory, fake):
    """Runs code in the fake kernel."""
    fake()
    own = bridge_factory()
    return lambda code, **members: own.run(code, kernel="fake", **members)


@pytest.mark.parametrize("said", [
    "k.text('x', key='wrong')",
    "k.text('x', parent={'msg_id': 'of another'})",
    "k.text('x', parent={})",
    "k.text('x', parent=[])",
    "k.iopub('no such type', {'a': 1})",
    "k.iopub('stream', {'name': 'stdout'})",
    "k.iopub('stream', {'name': 'stdout', 'text': ['x']})",
    "k.iopub('stream', [])",
    "k.iopub('stream', {}, raw=b'')",
    "k.iopub('stream', {}, raw=b'{\"name\": \"stdout\", \"text\": \"x')",
    "k.iopub('stream', {}, raw=b'[' * 100000)",
    "k.iopub('stream', {}, raw=b'{\"a\":' * 20000)",
    "k.iopub('display_data', {})",
    "k.iopub('display_data', {'data': {}, 'metadata': {}})",
    "k.iopub('display_data', {'data': 'x'})",
    "k.iopub('error', {'ename': 'x', 'evalue': 'y', 'traceback': 'z'})",
    "k.iopub('status', {'execution_state': 'sleepy'})",
    "k.iopub('execute_input', {'code': 'x', 'execution_count': 1})",
    "k.iopub('comm_msg', {'comm_id': 'x', 'data': {'a': 1}})",
    "k.iopub('x' * 1000, {'a': 1})",
    "k.reply('execute_reply', {}, key='wrong'); k.status('idle', key='wrong'); time.sleep(1)",
    "k.reply('no such reply', {})",
    "k.publisher.send(b'x')",
    "k.publisher.send_multipart([b''] * 1000)",
    "k.publisher.send_multipart([b'<IDS|MSG>'] * 8)",
    "k.publisher.send_multipart([b'<IDS|MSG>', b'', b'', b'', b''])",
    "k.publisher.send_multipart(k.frames('stream', {'name': 'stdout', 'text': 'x'})[:5])",
    "f = k.frames('stream', {'name': 'stdout', 'text': 'x'}); f[1] = f[1].upper() + b'0'; k.publisher.send_multipart(f)",
    "f = k.frames('stream', {'name': 'stdout', 'text': 'x'}); f[2] = b'\\xff' + f[2]; k.publisher.send_multipart(f)",
    "f = k.frames('stream', {'name': 'stdout', 'text': 'x'}); f[2] = f[2] + b' ' * 1000000; k.publisher.send_multipart(f)",
])
def test_what_is_no_output_is_dropped(run, said):
    assert run(f"{said}\nk.text('fine')") == FINE


def test_unusual_but_sound(run):
    items = run("k.iopub('stream', {}, raw=b'{\"name\": \"stdout\", \"text\": \"a\\\\u0000\\\\ud83d\\\\ude00\\\\ud83d\\xff\"}')\n"
                "k.iopub('display_data', {'data': {'a/b': 1}, 'metadata': {'x': {}}, 'source': 'x', 'more': [1], 'empty': {}})\n"
                "k.publisher.send_multipart(k.frames('stream', {'name': 'stdout', 'text': 'x'}) + [b'buffer'] * 40)")
    assert items == [{"name": "stdout", "text": "a\ufffd\U0001f600\ufffd\ufffd"},
                     {"data": {"a/b": 1}, "metadata": {"x": {}}, "more": [1]}, {"name": "stdout", "text": "x"}]


def test_error_only_in_the_reply(run):
    reply = {"status": "error", "ename": "E", "evalue": "v", "traceback": ["t"], "execution_count": 1, "payload": []}
    error = {"ename": "E", "evalue": "v", "traceback": ["t"]}
    end = "k.status('idle'); done = False"
    assert run(f"k.reply('execute_reply', {reply})\n{end}") == [error]
    assert run(f"k.reply('execute_reply', {reply})\nk.iopub('error', {error})\n{end}") == [error]
    assert run(f"k.reply('execute_reply', {{'status': 'aborted'}})\n{end}") == []


def test_endless_errors(run):
    error = {"ename": "E", "evalue": "", "traceback": ["x" * 100000]}
    items = run(f"for i in range(100): k.iopub('error', {error})", limits={"cell_output": 1000})
    assert 5 < len(items) < 15
    assert len([item for item in items if "output_type" in item]) == 1


def test_idle_is_lost(run):
    assert run("k.text('fine')\nk.reply('execute_reply', {'status': 'ok'})\ndone = False") == FINE


def test_reply_that_comes_after_an_interrupt(run):
    assert run("k.text('fine')\nk.status('idle')\ntry: time.sleep(60)\nexcept KeyboardInterrupt: pass",
               limits={"cell_ms": 5000}) == FINE


def test_input_request_is_refused(run):
    items = run("k.ask()\nk.stdin.recv_multipart()")
    assert items[0] == {"name": "stderr", "text": "Error: input was asked for, but there is nobody to give it."}
    assert items[1]["ename"] == "KeyboardInterrupt"


def test_input_request_of_a_kernel_whose_stdin_channel_comes_last(bridge_factory, fake):
    fake(mode="late stdin")
    items = bridge_factory().run("k.ask()\nk.stdin.recv_multipart()", kernel="fake")
    assert [item.get("name", item.get("ename")) for item in items] == ["stderr", "KeyboardInterrupt"]


def test_input_ends_for_who_misses_the_interrupt(run):
    items = run("signal.signal(signal.SIGINT, signal.SIG_IGN)\nk.ask()\n"
                "k.text(repr(json.loads(k.stdin.recv_multipart()[-1])['value']))")
    assert [item["text"] for item in items[1:]] == ["'\\x04'"]


def test_code_may_go_on_without_input(run):
    ask = "try:\n    k.ask()\n    k.stdin.recv_multipart()\nexcept KeyboardInterrupt: pass\n"
    items = run(ask + ask + "time.sleep(2)\nk.text('fine')")
    assert [item.get("name", item) for item in items] == ["stderr", "stdout"]


def test_interrupt_by_message(bridge_factory, fake):
    fake(interrupt_mode="message")
    items = bridge_factory().run("k.interrupt_request()\nk.text('fine')", kernel="fake", limits={"cell_ms": 300})
    assert items == FINE


def test_sockets_named_in_the_other_way(bridge_factory, fake):
    fake(mode=":")
    assert bridge_factory().run("k.text('fine')", kernel="fake") == FINE


def test_first_statuses_are_lost(bridge_factory, fake):
    fake(mode="late")
    assert bridge_factory().run("k.text('fine')", kernel="fake") == FINE


@pytest.mark.parametrize("mode", ["deaf", "mute"])
def test_never_ready(bridge_factory, fake, mode):
    fake(mode=mode)
    answer = bridge_factory("--start-ms", "1500").error("1", kernel="fake")
    assert answer == {"error": "Failed to start kernel process -- timeout"}


def test_ends_at_once(bridge_factory, fake):
    fake("broken", argv=["/usr/bin/python3", "-c", "import sys; sys.exit('no module named nonsense')"])
    answer = bridge_factory().error("1", kernel="broken")
    assert answer == {"error": "Failed to start kernel process. Kernel last exited with code 1.\n...\nno module named nonsense"}


def test_program_is_missing(bridge_factory, fake):
    fake("broken", argv=["no such program", "{connection_file}"])
    answer = bridge_factory().error("1", kernel="broken")
    assert answer == {"error": "Failed to start kernel process. Kernel last exited with code 127.\n...\n"
                               "cannot run no such program: No such file or directory"}


def test_stderr_never_blocks(bridge_factory, fake):
    fake()
    assert bridge_factory().run("for i in range(1000): os.write(2, b'x' * 10000); os.write(1, b'x' * 10000)\nk.text('fine')",
                                kernel="fake") == FINE


def test_flood_of_large_messages(bridge_factory, fake):
    fake()
    own = bridge_factory()
    code = "for i in range(400): k.text('x' * 900000)\nk.text('y')"
    items = own.run(code, kernel="fake", limits={"cell_output": 1000000})
    assert [len(item["text"]) for item in items if "output_type" not in item] == [900000]
    assert memory_peak_kb(own.process.pid) < 400 * 1024


def test_flood_in_history(run):
    assert run("k.text('fine')", history=["for i in range(3): k.text('x' * 40000000)"]) == FINE


def test_chdir_of_an_unknown_language(bridge_factory, fake):
    fake(language="Klingon")
    items = bridge_factory().run("k.text('fine')", kernel="fake", path="")
    assert items == [{"name": "stderr", "text": "Error: unable to change directory: chdir for language Klingon is not implemented."},
                     *FINE]


@pytest.mark.parametrize("language, said", [
    ("python", "__import__('os').chdir(\"{}\")"), ("sage", "__import__('os').chdir(\"{}\")"), ("R", "setwd(\"{}\")"),
    ("julia", "cd(\"{}\")"), ("octave", "cd('{}');"), ("matlab", "cd('{}');"), ("javascript", "process.chdir(\"{}\");"),
    ("bash", "cd -- '{}'"), ("sh", "cd -- '{}'"), ("prolog", "working_directory(_, \"{}\")."),
    ("c", "#include <unistd.h>\nchdir(\"{}\");"), ("C++14", "#include <unistd.h>\nchdir(\"{}\");"), ("sparql", None),
])
def test_chdir_statement(bridge_factory, fake, tmp_path, language, said):
    fake(language=language, argv=["/usr/bin/python3", str(tmp_path / "fake_kernel.py"), "{connection_file}", "record"])
    own = bridge_factory()
    item, = own.run("show", kernel="fake", path="sub")
    assert json.loads(item["text"]) == ([] if said is None else [[said.format(f"{own.home}/sub"), True, False]])


# ---- Requests ----

@pytest.mark.parametrize("request_text", [
    b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"op": 1}', b'{"op": "no such op"}', b"[" * 100000, b" " * 17000000,
])
def test_request_is_none(bridge, request_text):
    assert bridge.send(request_text).answer() == {"error": "malformed request for kernels"}


@pytest.mark.parametrize("members", [
    {}, {"kernel": "python3"}, {"input": "1"}, {"kernel": 1, "input": "1"}, {"kernel": "python3", "input": None},
    {"kernel": "python3", "input": "1", "history": "x"}, {"kernel": "python3", "input": "1", "history": [1]},
    {"kernel": "python3", "input": "1", "path": 1}, {"kernel": "python3", "input": "1", "limits": []},
    {"kernel": "python3", "input": "1", "pool": None},
])
def test_execution_is_none(bridge, members):
    answer = bridge.call("execute", **{"limits": LIMITS, "pool": bridge.pool, **members})
    assert answer == {"error": "malformed request for an execution"}


@pytest.mark.parametrize("group, member", [*(("limits", name) for name in LIMITS), ("pool", "size"), ("pool", "idle_ms")])
@pytest.mark.parametrize("value", [None, "1"])
def test_an_execution_without_a_number_that_it_needs_is_none(bridge, group, member, value):
    needed = {"limits": {**LIMITS}, "pool": {**bridge.pool}}
    needed[group][member] = value
    answer = bridge.call("execute", kernel="python3", input="1", **needed)
    assert answer == {"error": "malformed request for an execution"}


def test_null_is_as_left_out(bridge):
    answer = bridge.call("execute", kernel=" python3 ".strip().upper(), input="1", history=None, path=None,
                         limits={**LIMITS, "total_ms": None}, pool=bridge.pool, ulimits=None)
    assert answer == {"result": [{"data": {"text/plain": "1"}}]}


def test_strange_numbers(bridge):
    answer = bridge.call("execute", kernel="python3", input="1", pool={"size": -1, "idle_ms": 1e300},
                         limits={"cell_ms": 1e300, "cell_output": 1e300, "output": 1e300, "total_ms": 1e300},
                         ulimits={"files": 1e300, "cpu_s": 1e300, "memory_bytes": 1e300, "file_bytes": 1e300})
    assert answer == {"result": [{"data": {"text/plain": "1"}}]}


def test_messages_without_descriptors(bridge):
    bridge.socket.send(b"k")
    with open("/dev/null", "rb") as null:
        socket.send_fds(bridge.socket, [b"k"], [null.fileno()])
        socket.send_fds(bridge.socket, [b"k"], [null.fileno()] * 20)
    ends = os.pipe()
    socket.send_fds(bridge.socket, [b"k"], ends)
    for end in ends:
        os.close(end)
    assert "result" in bridge.call("list")
