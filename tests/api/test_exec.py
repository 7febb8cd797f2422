# SPDX-License-Identifier: AGPL-3.0-or-later
"""project_exec in depth: how a command is run, where, with what around it, what comes back, and what ends it."""
import json
import os
import random
import re

import pytest

from harness import parts
from harness.process import memory_peak_kb, threads, wait_until, with_text
from harness.pending import Pending
from harness.store import execute

SCRIPT = r"/tmp/f-\d+-\d+-\w+"


@pytest.fixture
def run(hub, account, project):
    """run(command, …) is the reply of one call in a project of the test's own, which runs: a short limit is the command's."""
    hub.exec(account, project, "true")
    return lambda command, **parameters: hub.exec(account, project, command, **parameters)


def marker():
    """A number of seconds that no other process of this machine sleeps for."""
    return str(random.randrange(10**8, 10**9))


def gone(text):
    """Whether no process has `text` in its command line. A killed one may take a moment to be buried."""
    return wait_until(lambda: not with_text(text), 60, f"no process with {text} is left")


def until_it_spoke(call):
    """The reply of call(limit), with a limit that left the command the time to say something."""
    for limit in (0.5, 5, 50):
        reply = call(limit)
        if reply.get("stdout") or ", out\n, " in reply.get("error", ""):
            break
    return reply


def failure(reply, command, args=""):
    """REASON, STDOUT and STDERR as one text, out of an error's text that must begin as documented."""
    start = f"Error executing command '{command}' with args '{args}' -- "
    assert reply["event"] == "error", reply
    assert reply["error"].startswith(start), reply
    return reply["error"][len(start):]


# ---- How the command is run ----

@pytest.mark.parametrize("command, parameters, stdout", [
    ("echo", {"args": ["a  b", "$HOME", "*", "'"]}, "a  b $HOME * '\n"),
    ("/bin/echo", {"args": ["-n", "x"]}, "x"),
    ("pwd", {}, "@\n"),
    ("echo", {}, "\n"),
    ("echo $((1+1))", {}, "2\n"),
    ("printf\t%s\t$((1+1))", {}, "2"),
    ("true\necho two; echo three", {}, "two\nthree\n"),
    (" pwd", {}, "@\n"),
    ("pwd;pwd ", {}, "@\n@\n"),
    ("pwd;pwd\n", {}, "@\n@\n"),
    ("pwd;pwd", {"bash": True}, "@\n@\n"),
    ("echo é😀 'x  y'", {"args": []}, "é😀 x  y\n"),
    ("for i in 1 2 3; do\n  echo $i\ndone", {"bash": False}, "1\n2\n3\n"),
    ("cat <<X\na\\b 'c' \"d\"\nX", {}, "a\\b 'c' \"d\"\n"),
    ("printf", {"bash": True, "args": ["%s|", "a'b", "c\nd", "$HOME", "`id`", "$(id)", "\\", "\"", "é😀", "", "*", "!",
                                       "x  y", ";"]},
     "a'b|c\nd|$HOME|`id`|$(id)|\\|\"|é😀||*|!|x  y|;|"),
    ("cd", {"bash": True, "args": ["/"]}, ""),
])
def test_how_it_is_run(run, project, command, parameters, stdout):
    reply = run(command, **parameters)
    assert reply.pop("id")
    assert reply == {"event": "project_exec_output", "stdout": stdout.replace("@", f"/projects/{project}"), "stderr": "",
                     "exit_code": 0}


@pytest.mark.parametrize("command, args", [
    ("pwd;pwd", []), ("$HOME", []), ("~", []), ("cd", []), ("echo hi", ["x"]), ("cd", ["/"]), ("", ["x"]),
])
def test_without_bash_it_is_the_name_of_a_program(run, command, args):
    reply = run(command, args=args)
    assert reply["event"] == "error"
    assert "ENOENT" in reply["error"] or reply["error"] == "command must not be empty"


def test_a_program_by_a_path_and_through_PATH(run, home):
    run("mkdir -p bin sub; printf '#!/bin/sh\\necho $0' | tee bin/mine sub/mine >/dev/null; chmod +x bin/mine sub/mine")
    assert run("mine")["stdout"] == f"/projects/{home.name}/bin/mine\n"
    assert run("./mine", path="sub")["stdout"] == "./mine\n"
    assert run("sub/mine")["stdout"] == "sub/mine\n"


def test_the_script_is_a_private_file_that_goes_away(run):
    assert re.fullmatch(SCRIPT + " 700\n", run("echo $0 $(stat -c %a $0)")["stdout"])
    run("exit 1", bash=True)
    run("sleep 1000", timeout=0.1)
    run("kill -9 $$")
    assert run("ls", args=["-A", "/tmp"])["stdout"] == ""


def test_no_start_up_file_is_read(run):
    run("for f in .bashrc .bash_profile .profile .bash_login; do echo 'echo read' > $f; done")
    assert run("echo only; shopt -q login_shell && echo login; echo $-")["stdout"] == "only\nhB\n"


def test_standard_input_is_a_pipe_that_gives_nothing(run):
    assert run("readlink /proc/self/fd/0")["stdout"].startswith("pipe:")
    assert failure(run("cat", timeout=0.2), "cat") == "killed command 'cat', , "
    assert failure(run("cat", args=["-"], timeout=0.2), "cat", "-") == "killed command 'cat -', , "


@pytest.mark.parametrize("command, text", [
    ("smc-jupyter", "do not run smc-jupyter directly"),
    ("ipython-notebook", "do not run ipython-notebook directly"),
])
def test_refused_by_name(run, command, text):
    reply = run(command)
    assert (reply["event"], reply["error"]) == ("error", text)


def test_a_script_of_100_kilobytes_and_one_of_800(run):
    assert run("# " + "x" * 100_000 + "\necho $((6*7))")["stdout"] == "42\n"
    assert run("true <<'X'\n" + "é" * 400_000 + "\nX\nwc -c <$0")["stdout"] == f"{800_000 + 23}\n"


def test_4096_arguments_and_not_one_more(run):
    args = [str(n) for n in range(4096)]
    assert run("echo", args=args)["stdout"] == " ".join(args) + "\n"
    assert run("printf", args=["%s "] + args[1:], bash=True)["stdout"] == " ".join(args[1:]) + " "
    assert run("echo", args=args + ["one"])["error"] == "at most 4096 args are allowed"


def test_an_argument_longer_than_the_system_takes(run):
    reply = run("echo", args=["x" * 200_000])
    assert '"code":"E2BIG"' in failure(reply, "echo", "x" * 200_000)


# ---- Working directory ----

@pytest.mark.parametrize("path, directory", [
    (None, "HOME"), ("", "HOME"), (".", "HOME"), ("Private", "HOME/Private"), ("Private/", "HOME/Private"),
    ("Private/./b c", "HOME/Private/b c"), ("Private/../Private", "HOME/Private"), ("..", "/projects"),
    ("/", "/"), ("/etc", "/etc"), ("/etc/./alternatives", "/etc/alternatives"), ("é😀", "HOME/é😀"), ("link", "/etc"),
])
def test_working_directory(run, project, path, directory):
    run("mkdir -p 'Private/b c' é😀; ln -s /etc link")
    reply = run("/bin/pwd", **({} if path is None else {"path": path}))
    assert reply["stdout"] == directory.replace("HOME", f"/projects/{project}") + "\n"


@pytest.mark.parametrize("path, code, number", [
    ("missing", "ENOENT", -2), ("file", "ENOTDIR", -20), ("closed", "EACCES", -13), ("loop", "ELOOP", -40),
    ("x" * 256, "ENAMETOOLONG", -36), ("/projects/x", "ENOENT", -2),
])
def test_working_directory_that_is_none(run, path, code, number):
    run("touch file; mkdir -m 0 closed; ln -s loop loop")
    error = {"errno": number, "code": code, "syscall": "spawn pwd", "path": "pwd", "spawnargs": []}
    told = json.dumps(error, separators=(",", ":"))
    assert failure(run("pwd", path=path), "pwd") == f"command 'pwd' (args=) exited with nonzero code 1 -- stderr='{told}', , "
    assert failure(run("pwd", path=path, err_on_exit=False), "pwd") == \
        f"command 'pwd' (args=) was not able to run -- stderr='{told}', , "


# ---- Environment ----

def environment(run):
    return dict(line.split("=", 1) for line in run("env")["stdout"].splitlines())


def test_environment(run, project):
    found = environment(run)
    home = f"/projects/{project}"
    assert found.pop("PATH").startswith(f"{home}/bin:") and found.pop("LANG").endswith("UTF-8")
    assert found.pop("TERM") and found.pop("SHELL") == "/bin/bash" and found.pop("PWD") == home
    assert found.pop("PIP_BREAK_SYSTEM_PACKAGES") == "1"  # Debian's pip installs into the home
    assert found == {"HOME": home, "SMC": f"{home}/.smc", "COCALC_PROJECT_ID": project, "USER": "user",
                     "LOGNAME": "user", "COCALC_USERNAME": "user"}


def test_environment_of_the_project_from_its_next_start(hub, run, project):
    run("true")
    value = json.dumps({"GREETING": "hello  $HOME\nü", "EMPTY": "", "NUMBER": 5, "LANG": "C"})
    execute(hub, "UPDATE projects SET env = ? WHERE project_id = ?", value, project)
    assert run("echo \"${GREETING-none}\"")["stdout"] == "none\n"
    hub.cli("project", "stop", project)
    assert run("echo \"$GREETING/${EMPTY-none}/${NUMBER-none}/$LANG\"")["stdout"] == "hello  $HOME\nü/none/none/C\n"


# ---- Output ----

def test_both_streams(run):
    reply = run("echo out; echo err >&2; printf more; exit 0")
    assert (reply["stdout"], reply["stderr"]) == ("out\nmore", "err\n")


@pytest.mark.parametrize("raw, text", [
    (r"\377", "�"), (r"a\200b", "a�b"), (r"\303\251\303", "é�"), (r"\360\237\230", "�"),
    (r"\355\240\200", "���"), (r"\300\257", "��"), (r"\0x\1\33[1m\r", "\0x\1\33[1m\r"), (r"\342\200\250", "\u2028"),
])
def test_bytes_that_are_not_utf_8(run, raw, text):
    reply = run("printf", args=[raw])
    assert (reply["event"], reply["stdout"]) == ("project_exec_output", text)


@pytest.mark.parametrize("output, cap, stdout", [
    ("xyz abc\\n", 3, "xyz (truncated at 3 characters)"),
    ("abc", 4, "abc"),
    ("abc", 3, "abc (truncated at 3 characters)"),
    ("abc", 0, " (truncated at 0 characters)"),
    ("", 1, ""),
    ("éü€", 3, "éü€ (truncated at 3 characters)"),
    ("éü€x", 4, "éü€x (truncated at 4 characters)"),
    ("éü€x", 2, "éü (truncated at 2 characters)"),
    ("😀😀", 2, "😀 (truncated at 2 characters)"),
    ("😀😀", 3, "😀 (truncated at 3 characters)"),
    ("😀😀", 4, "😀😀 (truncated at 4 characters)"),
    ("😀😀", 5, "😀😀"),
    ("\\377\\377\\377", 2, "�� (truncated at 2 characters)"),
    ("\\377\\377", 3, "��"),
    ("abc", 10**15, "abc"),
])
def test_max_output(run, output, cap, stdout):
    reply = run("printf", args=[output], max_output=cap)
    assert (reply["stdout"], reply["exit_code"]) == (stdout, 0)
    assert reply["stderr"] == ("" if cap else " (truncated at 0 characters)")


@pytest.mark.parametrize("cap", [-1, -0.5, "-3"])
def test_max_output_below_0(run, cap):
    assert run("echo", args=["abc"], max_output=cap)["error"] == "max_output must not be negative"


def test_max_output_caps_each_stream_and_holds_up_neither(run):
    reply = run("seq 300000; seq 300000 >&2; echo end > end", max_output=5)
    assert (reply["stdout"], reply["stderr"]) == ("1\n2\n3 (truncated at 5 characters)",) * 2
    assert run("cat", args=["end"])["stdout"] == "end\n"


def test_max_output_and_failures(run):
    assert failure(run("echo 12345; echo 67890 >&2; exit 3", max_output=2), "echo 12345; echo 67890 >&2; exit 3") \
        .endswith("exited with nonzero code 3 -- stderr='67', 12, 67")
    reply = run("echo 12345; exit 3", max_output=2, err_on_exit=False)
    assert (reply["stdout"], reply["exit_code"]) == ("12 (truncated at 2 characters)", 3)


def test_100_megabytes_of_output_cost_the_hub_a_bounded_part(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "true")
    before = memory_peak_kb(parts.serving(hub))
    reply = hub.api("project_exec", key=account, timeout=300, json={
        "project_id": project, "command": "head -c 100000000 /dev/zero | tr '\\0' x; echo end >&2", "timeout": 290}).json()
    cap = 16 * 1024 * 1024
    assert reply["stdout"] == "x" * cap + f" (truncated at {cap} characters)"
    assert reply["stderr"] == "end\n"
    assert memory_peak_kb(parts.serving(hub)) - before < 200_000  # kept, decoded and as JSON; all of it would be 300 and more


# ---- Exit codes and failures ----

@pytest.mark.parametrize("command, parameters, program, code, out, err", [
    ("false", {}, "command 'false' (args=)", 1, "", ""),
    ("sh", {"args": ["-c", "echo out; echo err >&2; exit 3"]},
     "command 'sh' (args=-c echo out; echo err >&2; exit 3)", 3, "out\n", "err\n"),
    ("echo a; exit 255", {}, f"command 'bash' (args={SCRIPT})", 255, "a\n", ""),
    ("exit 4", {"bash": True}, f"command 'bash' (args={SCRIPT})", 4, "", ""),
    ("ls", {"args": ["/missing", "/none"], "bash": True}, f"command 'bash' (args={SCRIPT})", 2, "", "ls: .*\nls: .*\n"),
    ("nosuch ", {}, f"command 'bash' (args={SCRIPT})", 127, "", f"{SCRIPT}: line 1: nosuch: command not found\n"),
    ("/etc/ ", {}, f"command 'bash' (args={SCRIPT})", 126, "", f"{SCRIPT}: line 1: /etc/: Is a directory\n"),
    ("sh -c 'kill -9 $$'", {}, f"command 'bash' (args={SCRIPT})", 137, "", f"{SCRIPT}: line 1: .*Killed.*\n"),
])
def test_nonzero_exit(run, command, parameters, program, code, out, err):
    text = failure(run(command, **parameters), command, ",".join(parameters.get("args", [])))
    pattern = program.replace("(", r"\(").replace(")", r"\)") if SCRIPT in program else re.escape(program)
    told = re.fullmatch(f"{pattern} exited with nonzero code {code} -- stderr='(.*)', (.*), (.*)", text, re.DOTALL)
    assert told, text
    assert told[1] == told[3] and told[2] == out and re.fullmatch(err, told[1])
    reply = run(command, **parameters, err_on_exit=False)
    assert (reply["event"], reply["exit_code"], reply["stdout"]) == ("project_exec_output", code, out)
    assert re.fullmatch(err, reply["stderr"])


def test_null_is_as_if_left_out(run):
    names = ("path", "args", "timeout", "aggregate", "max_output", "bash", "err_on_exit", "id")
    assert "exited with nonzero code 3" in failure(run("exit 3", **dict.fromkeys(names)), "exit 3")


@pytest.mark.parametrize("text, is_error", [("true", True), ("1", True), ("yes", True), ("on", True), ("false", False),
                                            ("0", False), ("no", False), ("off", False), ("", False)])
def test_booleans_of_forms(hub, account, project, text, is_error):
    form = {"project_id": project, "command": "false", "err_on_exit": text}
    assert (hub.api("project_exec", key=account, form=form).json()["event"] == "error") == is_error


@pytest.mark.parametrize("form, stdout", [({"args[]": ["a b", "c"]}, "a b c"), ({"args[]": "x" * 9, "max_output": "3"}, "xxx (truncated at 3 characters)")])
def test_lists_and_numbers_of_forms(hub, account, project, form, stdout):
    reply = hub.api("project_exec", key=account, form={"project_id": project, "command": "echo", "timeout": "30", **form})
    assert reply.json()["stdout"].rstrip("\n") == stdout


@pytest.mark.parametrize("command, args, code, number", [
    ("nosuch", [], "ENOENT", -2), ("nosuch", ["a", "b\"c"], "ENOENT", -2), ("./nosuch", ["x"], "ENOENT", -2),
    ("/etc", [], "EACCES", -13), ("./plain", [], "EACCES", -13),
])
def test_a_program_that_cannot_be_run(run, command, args, code, number):
    run("echo text > plain")
    error = {"errno": number, "code": code, "syscall": f"spawn {command}", "path": command, "spawnargs": args}
    told = json.dumps(error, separators=(",", ":"))
    program = f"command '{command}' (args={' '.join(args)})"
    assert failure(run(command, args=args), command, ",".join(args)) == \
        f"{program} exited with nonzero code 1 -- stderr='{told}', , "
    assert failure(run(command, args=args, err_on_exit=False), command, ",".join(args)) == \
        f"{program} was not able to run -- stderr='{told}', , "


@pytest.mark.parametrize("command", [
    "echo err >&2; echo out; sleep 1000", "echo err >&2; echo out; kill -9 $$", "echo err >&2; echo out; kill -SEGV $$",
])
def test_killed_by_the_limit_or_a_signal(run, command):
    reply = until_it_spoke(lambda limit: run(command, timeout=limit))
    assert re.fullmatch(f"killed command 'bash {SCRIPT}', out\n, err\n", failure(reply, command))
    reply = until_it_spoke(lambda limit: run(command, timeout=limit, err_on_exit=False))
    assert reply.pop("id")
    assert reply == {"event": "project_exec_output", "stdout": "out\n", "stderr": "err\n", "exit_code": 1}


@pytest.mark.parametrize("end", ["stop", "delete"])
def test_a_command_that_ends_with_its_project_says_so(hub, account, project, end, run):
    """It did not reach its limit, nor did it end by itself, whether exit codes matter or not."""
    command = f"echo out; sleep {marker()}"
    with Pending(hub, account) as pending:
        for err_on_exit in (True, False):
            pending.send("project_exec", project_id=project, command=command, timeout=600, err_on_exit=err_on_exit)
        wait_until(lambda: len(with_text(command.split()[-1])) >= 2, 60, "both commands run")
        hub.cli("project", end, project)
        replies = list(pending.replies().values())
    assert len(replies) == 2
    for reply in replies:
        assert re.fullmatch(f"killed command 'bash {SCRIPT}' -- the project was stopped, out\n, ", failure(reply, command))


def test_the_text_of_a_killed_program_has_its_arguments(run):
    assert run("sleep", args=["1000", "2000"], timeout=0.2)["error"] == \
        "Error executing command 'sleep' with args '1000,2000' -- killed command 'sleep 1000 2000', , "


def test_refused_connections_get_the_hint(run):
    text = run("echo curl: Connection refused >&2; exit 7")["error"]
    assert re.search("-- Email .+@.+ if you need full internet access, which is disabled by default[.]$", text)
    assert "Email" not in run("echo curl: refused; exit 7")["error"]


# ---- timeout ----

def test_the_limit_is_10_seconds_by_default(hub, account, project, run):
    assert hub.call("project_exec", key=account, project_id=project, command="ulimit -t")["stdout"] == "10\n"
    assert run("ulimit -t", timeout=77)["stdout"] == "77\n"
    assert run("ulimit -t", timeout=2.5)["stdout"] == "3\n"  # a fraction is no mistake
    assert run("ulimit -t", timeout=0)["stdout"] == "unlimited\n"


@pytest.mark.parametrize("tree", [
    "sleep {0}",
    "sleep {0} & sleep {0} & wait",
    "bash -c 'bash -c \"sleep {0}; :\"; :'; :",
    "setsid sleep {0} & sleep {0}",
    "(setsid sleep {0} >/dev/null 2>&1 </dev/null &); sleep {0}",
    "(trap '' TERM INT HUP; nohup sleep {0}) >/dev/null 2>&1 & disown; sleep {0}",
    "set -m; sleep {0} & kill -STOP $!; sleep {0}",
    "while :; do (sleep {0} &); done",
    # Forks and ends, forks and ends: never long enough there to be looked at.
    "exec python3 -c 'import os\nwhile True:\n  if os.fork(): os._exit(0) if os.getpid() != os.getpgrp() else os.wait()' {0}",
    "f() {{ f | f & }}; (ulimit -u 300; f {0}); sleep {0}",
])
def test_the_limit_ends_the_whole_tree(run, tree):
    number = marker()
    command = tree.format(number) + f" # {number}"
    assert "killed command" in failure(run(command, timeout=0.5, max_output=10), command)
    gone(number)
    wait_until(lambda: run("pgrep", args=["-f", f"/tmp/f-.*|{number}"], err_on_exit=False)["stdout"] == "", 60,
               "nothing of it is left")


def test_a_daemon_with_redirected_output_lives_on(run):
    number = marker()
    assert run(f"setsid sleep {number} </dev/null >/dev/null 2>&1 & echo started")["stdout"] == "started\n"
    wait_until(lambda: len(with_text(number)) == 1, 60, "the daemon runs")
    assert run("echo another")["stdout"] == "another\n"
    assert run("pkill", args=["-f", number])["exit_code"] == 0
    gone(number)


def test_the_reply_waits_for_who_holds_the_output_but_not_past_the_limit(run):
    assert run("(sleep 0.2; echo late) & echo early")["stdout"] == "early\nlate\n"
    number = marker()
    reply = until_it_spoke(lambda limit: run(f"sleep {number} & echo early", timeout=limit))
    assert (reply["event"], reply["stdout"], reply["exit_code"]) == ("project_exec_output", "early\n", 0)
    run("pkill", args=["-f", number], err_on_exit=False)


def test_timeout_0_is_no_limit_but_has_an_answer(run):
    assert run("sleep 0.2; echo done", timeout=0)["stdout"] == "done\n"


@pytest.mark.parametrize("timeout", [-1, -0.001, 86401, 1e300])
def test_timeouts_that_are_none(run, timeout):
    reply = run("echo", timeout=timeout)
    assert (reply["event"], reply["error"]) == ("error", "timeout must be from 0 to 86400 seconds")


def test_the_limit_counts_from_the_start_of_the_command(hub, account):
    """A project that has to be started first does not cost the command its time, nor is the limit forgotten."""
    reply = until_it_spoke(lambda limit: hub.exec(account, hub.project(account), "echo out; sleep 1000", timeout=limit))
    assert reply["error"].endswith(", out\n, ")
    assert "killed command" in reply["error"]


def test_a_caller_who_left_leaves_nothing_behind(hub, account, project):
    number = marker()
    with Pending(hub, account) as pending:
        pending.send("project_exec", project_id=project, command="sleep", args=[number], timeout=5)
        wait_until(lambda: with_text(number), 60, "the command runs")
    gone(number)


# ---- aggregate ----

@pytest.fixture
def gated(hub, account, project, home):
    """A command that counts its runs, each of which waits until the test opens its gate."""
    hub.exec(account, project, "touch", args=["runs"])
    opened = set()

    class Gated:
        parameters = {"project_id": project, "command": "mkfifo $$; echo $$ >> runs; cat $$; wc -l <runs", "timeout": 100}

        @staticmethod
        def runs():
            return (home / "runs").read_text().split()

        @classmethod
        def wait_for_run(cls, count):
            wait_until(lambda: len(cls.runs()) == count, 60, f"run {count} has begun")

        @classmethod
        def open(cls):
            for gate in set(cls.runs()) - opened:
                opened.add(gate)
                with open(home / gate, "w", encoding="utf-8"):
                    pass

    return Gated


def shared(pending, gated, stamps, **more):
    return [pending.send("project_exec", **gated.parameters, aggregate=stamp, id=f"id {index}", **more)
            for index, stamp in enumerate(stamps)]


def test_without_a_stamp_each_call_runs(hub, account, gated):
    with Pending(hub, account) as pending:
        for stamp in ({}, {}, {"aggregate": None}):
            pending.send("project_exec", **gated.parameters, **stamp)
        gated.wait_for_run(3)
        gated.open()
        assert all(reply["exit_code"] == 0 for reply in pending.replies().values())


def test_a_stamp_that_is_not_greater_shares_the_run_under_way(hub, account, gated):
    with Pending(hub, account) as pending:
        leader = shared(pending, gated, [10])
        gated.wait_for_run(1)
        calls = leader + shared(pending, gated, [5, 10, 9.5])
        taken_in(hub, account, gated)
        gated.open()
        replies = pending.replies()
    assert [replies[call]["stdout"] for call in calls] == ["1\n"] * 4
    assert [replies[call]["id"] for call in calls] == ["id 0", "id 0", "id 1", "id 2"]
    assert len(gated.runs()) == 1


def test_greater_stamps_wait_and_the_greatest_runs_for_all(hub, account, gated):
    with Pending(hub, account) as pending:
        first = shared(pending, gated, [10])[0]
        gated.wait_for_run(1)
        waiting = shared(pending, gated, [15, 30, 20])
        taken_in(hub, account, gated)
        gated.open()
        gated.wait_for_run(2)
        gated.open()
        replies = pending.replies()
    assert replies[first]["stdout"] == "1\n"
    assert [replies[call]["stdout"] for call in waiting] == ["2\n"] * 3
    assert len(gated.runs()) == 2


def taken_in(hub, account, gated):
    """Calls that were sent before have been taken in: as many as it has loops are answered after them, and commands that were
    asked for after them have run."""
    with Pending(hub, account) as pending:
        for _ in range(32):
            pending.send("ping")
        pending.replies()
    for _ in range(3):
        assert hub.exec(account, gated.parameters["project_id"], "true")["exit_code"] == 0


def counted(run, **parameters):
    return run("echo x >> runs; wc -l <runs", **parameters)["stdout"].strip()


def test_a_result_is_kept_for_stamps_that_are_not_greater(run):
    assert counted(run, aggregate=10) == "1"
    assert [counted(run, aggregate=stamp) for stamp in (10, 9, -5, 10.0, 11, 10, 11)] == ["1", "1", "1", "1", "2", "2", "2"]


def nested(levels):
    """An object in whose comparison each level costs twice as much as the one below, unless care is taken."""
    return {"a": nested(levels - 1)} if levels else 1


@pytest.mark.parametrize("first, second, runs", [
    ("b", "a", "1"), ("b", "b", "1"), ("b", "c", "2"), ("9", "10", "1"),
    ({"value": 3}, {"value": 3, "other": 1}, "1"), ({"value": 3}, {"value": 2}, "2"), ({"value": 3}, {"value": 4}, "2"),
    ({"value": {"a": 1, "b": [{"x": 2, "y": None}]}}, {"value": {"b": [{"y": None, "x": 2.0}], "a": 1}}, "1"),
    ({"value": [1, 2]}, {"value": [2, 1]}, "2"), ({"other": 3}, {"other": 3}, "2"), ({"value": "3"}, "3", "2"), ("9", 9, "1"),
    ({"value": nested(60)}, {"value": nested(60)}, "1"),
])
def test_stamps_that_are_texts_or_objects(run, first, second, runs):
    assert counted(run, aggregate=first) == "1"
    assert counted(run, aggregate=second) == runs


@pytest.mark.parametrize("stamp", ["x" * 999, {"value": {f"{i}": i for i in range(1000)}}, {"other": ["x" * 1000]}])
def test_stamps_that_are_too_long(run, stamp):
    assert run("true", aggregate=stamp)["error"].endswith("aggregate must have at most 1000 bytes of JSON")
    assert counted(run, aggregate="x" * 998) == "1"


@pytest.mark.parametrize("other", [
    {"timeout": 11}, {"max_output": 100}, {"err_on_exit": False}, {"bash": True}, {"path": "."},
])
def test_calls_that_differ_in_anything_else_are_not_equal(run, other):
    assert counted(run, aggregate=1) == "1"
    assert counted(run, aggregate=1, **other) == "2"


def test_other_projects_and_arguments_are_not_equal(hub, account, run):
    assert run("sh", args=["-c", "echo x >> runs; wc -l <runs", "a"], aggregate=1)["stdout"] == "1\n"
    assert run("sh", args=["-c", "echo x >> runs; wc -l <runs", "b"], aggregate=1)["stdout"] == "2\n"
    assert hub.exec(account, hub.project(account), "sh", args=["-c", "echo x >> runs; wc -l <runs", "a"],
                    aggregate=1)["stdout"] == "1\n"


def test_errors_are_shared_too(run):
    first = run("echo x >> runs; wc -l <runs; exit 3", aggregate=1)
    second = run("echo x >> runs; wc -l <runs; exit 3", aggregate=1)
    assert first.pop("id") != second.pop("id")
    assert first == second and first["event"] == "error"
    assert run("wc", args=["-l", "runs"])["stdout"] == "1 runs\n"


# ---- Many ----

def test_1000_calls_that_wait_hold_no_threads(hub_factory):
    hub = hub_factory()
    account = hub.account()
    projects = [hub.project(account) for _ in range(4)]
    for project in projects:
        hub.exec(account, project, "mkfifo", args=["gate"])
    gates = [os.open(hub.data / "projects" / project / "gate", os.O_RDWR) for project in projects]
    server = parts.serving(hub)
    most = threads(server) + 8  # those that write to PostgreSQL come as they are needed
    with Pending(hub, account) as pending:
        for index in range(1000):
            pending.send("project_exec", project_id=projects[index % 4], command="head", args=["-c1", "gate"], timeout=600)
        wait_until(lambda: len(with_text("head\0-c1\0gate")) >= 1000, 300, "all run")
        assert threads(server) <= most
        assert hub.call("ping", key=account)["event"] == "pong"
        for gate in gates:
            os.write(gate, b"x" * 250)
        replies = pending.replies(300)
    for gate in gates:
        os.close(gate)
    assert len(replies) == 1000
    assert {(reply["event"], reply["stdout"], reply["exit_code"]) for reply in replies.values()} == \
        {("project_exec_output", "x", 0)}
    assert threads(server) <= most
