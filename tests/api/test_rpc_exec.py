# SPDX-License-Identifier: AGPL-3.0-or-later
"""system.exec and system.signal of a project (hub-rpc 6.3, 6.7): what is run, what comes back, and in which words it fails."""
import json
import re
import threading
import time
import uuid

import httpx
import pytest

from harness.process import wait_until
from harness.rpc import Project
from harness.store import execute as store

START_MS = 50000  # a first call also starts the project
SCRIPT = r"/tmp/f-\d+-\d+-\w+"


@pytest.fixture
def key(hub, account, project):
    """A key of the project. That it can do all that follows is half of what there is to know of it."""
    return hub.cli("key", "create", account.id, "--project", project)["api_key"]


@pytest.fixture
def execute(hub, account, project):
    def execute(command=None, timeout_ms=START_MS, **parameters):
        if command is not None:
            parameters["command"] = command
        return hub.method(account, "system.exec", parameters, project=project, timeout=timeout_ms)
    return execute


@pytest.fixture
def refusal(hub, account, project):
    def refusal(command=None, timeout_ms=START_MS, **parameters):
        if command is not None:
            parameters["command"] = command
        return hub.refusal(account, "system.exec", parameters, project=project, timeout=timeout_ms)
    return refusal


def blocking(stdout="", stderr="", exit_code=0):
    return {"type": "blocking", "stdout": stdout, "stderr": stderr, "exit_code": exit_code}


# ---- How it is run ----

@pytest.mark.parametrize("parameters, stdout", [
    ({"command": "echo", "args": ["a  b", "$HOME", "*"]}, "a  b $HOME *\n"),
    ({"command": "echo $((1+1))", "bash": False}, "2\n"),
    ({"command": "echo $((1+1))", "bash": True}, "2\n"),
    ({"command": "pwd;pwd", "bash": True}, "@\n@\n"),
    ({"command": "printf", "bash": True, "args": ["%s|", "a'b", "$(id)", ""]}, "a'b|$(id)||"),
    ({"command": "pwd"}, "@\n"),
    ({"command": "pwd", "path": "sub"}, "@/sub\n"),
    ({"command": "pwd", "path": "/usr"}, "/usr\n"),
    ({"command": "pwd", "cwd": "/usr", "path": "sub"}, "/usr\n"),
    ({"command": "pwd", "cwd": "sub", "path": "/usr"}, "@/sub\n"),
    ({"command": "echo x", "compute_server_id": 0, "verbose": True, "aggregate": 1}, "x\n"),
    ({"command": "echo $COCALC_PROJECT_ID $HOME", "bash": True}, "% @\n"),
])
def test_how_it_is_run(execute, home, parameters, stdout):
    execute("mkdir", args=["-p", "sub"])
    stdout = stdout.replace("@", f"/projects/{home.name}").replace("%", home.name)
    assert execute(**parameters) == blocking(stdout)


def test_a_key_of_the_project_needs_no_project_id(hub, key):
    assert hub.method(key, "system.exec", {"command": "echo hi"}, project="") == blocking("hi\n")


def test_the_home_has_its_folders_of_programs_first_in_PATH(execute, home):
    path = f"/projects/{home.name}"
    assert execute("echo $PATH")["stdout"].startswith(f"{path}/bin:{path}/.local/bin:")


def test_the_processor_time_of_a_script_is_limited(execute):
    assert execute("ulimit -t", timeout=1.5)["stdout"] == "2\n"
    assert execute("ulimit -t")["stdout"] == "60\n"
    assert execute("ulimit -t", ulimit_timeout=False)["stdout"] == "unlimited\n"
    assert execute("ulimit -t", timeout=0)["stdout"] == "unlimited\n"


def test_variables_are_added_and_replaced(execute):
    env = {"NEW": "a=b\nc é", "HOME": "/tmp", "EMPTY": ""}
    reply = execute("printf '%s|%s|%s|' \"$NEW\" \"$HOME\" \"${EMPTY-unset}\"; echo $USER", env=env)
    assert reply["stdout"] == f"a=b\nc é|/tmp||{execute('echo $USER')['stdout']}"
    assert execute("echo ${NEW-unset}", env={})["stdout"] == "unset\n"
    assert execute("echo ${NEW-unset}", env=None)["stdout"] == "unset\n"


@pytest.mark.parametrize("env", [[], "A=b", 1, {"": "x"}, {"A=B": "x"}, {"A": 1}, {"A": None}, {"A": {}}])
def test_variables_that_are_none(refusal, env):
    assert refusal("true", env=env) == ("Error: env must be an object of texts, whose names are not empty and have no =")


@pytest.mark.parametrize("env", [{f"V{i}": "" for i in range(1001)}, {"A": "x" * 131072}])
def test_too_many_variables(refusal, env):
    assert refusal("true", env=env) == "Error: env may have at most 1000 variables and 131072 bytes"


def test_as_many_variables_as_there_may_be(execute):
    assert execute("env | grep -c ^V", env={f"V{i}": "x" * 100 for i in range(1000)})["stdout"] == "1000\n"


# ---- What fails ----

def test_an_exit_code_is_an_error(refusal, execute):
    script = "echo out; echo 'oh\nno' >&2; exit 42"
    assert refusal(script) == f"command '{script}' exited with nonzero code 42 -- stderr='oh\nno\n'"
    assert refusal("exit 42", bash=True) == "command 'exit 42' exited with nonzero code 42 -- stderr=''"
    assert execute(script, err_on_exit=False) == blocking("out\n", "oh\nno\n", 42)


def test_of_a_program_the_text_has_doubled_quotes(refusal):
    text = refusal("ls", args=["no such", "-d"])
    assert text.startswith("command ''ls' (args=no such -d)' exited with nonzero code 2 -- stderr='ls: ")
    assert refusal("false") == "command ''false' (args=)' exited with nonzero code 1 -- stderr=''"


def test_of_a_program_in_bash_the_text_is_the_quoted_words(refusal):
    assert refusal("exit", args=["3", "a'b"], bash=True).startswith("command ''exit' '3' 'a'\\''b'' exited with nonzero ")


@pytest.mark.parametrize("length, shown", [(1024, "x" * 1024), (1025, "x" * 1023 + "…")])
def test_stderr_in_a_text_is_cut(refusal, length, shown):
    text = refusal(f"head -c {length} /dev/zero | tr '\\0' x >&2; exit 1")
    assert text.endswith(f" exited with nonzero code 1 -- stderr='{shown}'")


@pytest.mark.parametrize("parameters, program, path", [
    ({"command": "no-such-program", "args": ["x"]}, "'no-such-program' (args=x)", "no-such-program"),
    ({"command": "pwd", "path": "no/such"}, "'pwd' (args=)", "pwd"),
    ({"command": "echo a b", "cwd": "/no/such"}, "echo a b", "bash"),
])
def test_what_cannot_be_started(refusal, parameters, program, path):
    start = f"command '{program}' exited with nonzero code 1 -- stderr='"
    text = refusal(**parameters)
    assert text.startswith(start) and text.endswith("'")
    assert json.loads(text[len(start):-1]) == {
        "errno": -2, "code": "ENOENT", "syscall": f"spawn {path}", "path": path, "spawnargs": parameters.get("args", [])}
    text = refusal(**parameters, err_on_exit=False)
    assert text.startswith(f"command '{program}' was not able to run -- stderr='{{\"errno\":-2,\"code\":\"ENOENT\"")


@pytest.mark.parametrize("err_on_exit", [True, False])
def test_the_time_limit_kills_all_of_it(refusal, execute, err_on_exit):
    text = refusal("(setsid sleep 98765 &) ; sleep 98765", timeout=0.3, err_on_exit=err_on_exit)
    assert re.fullmatch(f"killed command 'bash {SCRIPT}'", text)
    assert refusal("sleep", args=["98765"], timeout=0.3) == "killed command 'sleep 98765'"
    count = "ps ax | grep -c '[s]leep 98765'"
    wait_until(lambda: execute(count, err_on_exit=False)["stdout"] == "0\n", 60, "all of it is gone")


def test_a_signal_is_the_exit_code_of_a_shell(refusal, execute):
    assert refusal("echo $$ >&2; kill -9 $$").startswith("command 'echo $$ >&2; kill -9 $$' exited with nonzero code 137 -- ")
    assert execute("kill -15 $$", err_on_exit=False) == blocking(exit_code=143)


def test_the_rpcs_own_time_passes_first_and_the_command_ends_later(refusal, execute, project, home):
    execute("true")
    text = refusal("until [ -e go ]; do sleep 0.05; done; touch on; sleep 87654", timeout_ms=300, timeout=10)
    assert text == f"timeout - callHub: subject='project.{project}.0.api.-', name='system.exec', code='408' "
    (home / "go").touch()
    wait_until((home / "on").exists, 60, "the command goes on")
    count = "ps ax | grep -c '[s]leep 87654'"
    wait_until(lambda: execute(count, err_on_exit=False)["stdout"] == "0\n", 60, "the command is killed")


@pytest.mark.parametrize("parameters, text", [
    ({}, "command must be given"),
    ({"command": ""}, "command must not be empty"),
    ({"command": "true", "timeout": -1}, "the time limit must be from 0 to 86400 seconds"),
    ({"command": "true", "timeout": 86401}, "the time limit must be from 0 to 86400 seconds"),
    ({"command": "true", "max_output": -1}, "max_output must not be negative"),
    ({"command": "true", "args": ["x"] * 4097}, "at most 4096 args are allowed"),
    ({"command": "true", "compute_server_id": 1}, "this server has no compute servers"),
    ({"command": "true", "async_stats": True}, "async_stats is for asynchronous commands"),
    ({"command": "true", "async_call": True, "aggregate": 1}, "aggregate and async_call cannot be combined"),
])
def test_parameters_that_are_refused(refusal, parameters, text):
    assert refusal(**parameters) == f"Error: {text}"


# ---- Output ----

def test_output_is_cut_where_it_was_asked_for(execute):
    reply = execute("printf 'é😀xyz'; printf abc >&2", max_output=3)
    assert (reply["stdout"], reply["stderr"]) == ("é😀 (truncated at 3 characters)", "abc (truncated at 3 characters)")
    assert execute("printf ab", max_output=3)["stdout"] == "ab"
    assert execute("printf ab", max_output=0)["stdout"] == " (truncated at 0 characters)"


def test_output_that_is_no_text(execute):
    assert execute(r"printf 'a\xffb\xc3'")["stdout"] == "a\ufffdb\ufffd"


def test_output_has_a_bound_of_its_own(execute):
    stdout = execute("head -c 20000000 /dev/zero | tr '\\0' x", timeout_ms=60000)["stdout"]
    assert stdout.endswith("x (truncated at 16777216 characters)")
    assert len(stdout) == 16777216 + len(" (truncated at 16777216 characters)")


def test_equal_calls_share_a_run(execute):
    parameters = {"command": "date +%N", "aggregate": "1"}
    first = execute(**parameters)
    assert execute(**parameters) == first
    assert execute(**parameters, env={"A": "b"}) != first
    assert execute(**{**parameters, "aggregate": "2"}) != first


# ---- Asynchronous ----

def started(reply, runs=True):
    job = reply["job_id"]
    assert re.fullmatch("[0-9a-f-]{36}", job) and abs(reply["start"] / 1000 - time.time()) < 60
    assert not runs or reply["pid"] > 1
    assert reply == {"type": "async", "stdout": "", "stderr": "", "exit_code": 0, "start": reply["start"], "job_id": job,
                     "status": "running", **({"pid": reply["pid"]} if runs else {})}
    return job


def gone(job):
    return f"Error: Async operation '{job}' does not exist."


def test_a_command_goes_on_and_its_output_is_seen_meanwhile(execute, home):
    start = execute("echo one; echo two >&2; until [ -e go ]; do sleep 0.05; done; echo three", async_call=True)
    job = started(start)
    wait_until(lambda: execute(async_get=job)["stderr"], 60, "there is output")
    assert execute(async_get=job) == {**start, "stdout": "one\n", "stderr": "two\n"}
    (home / "go").touch()
    end = execute(async_get=job, async_await=True)
    assert end.pop("elapsed_s") > 0
    assert end == {**start, "stdout": "one\nthree\n", "stderr": "two\n", "status": "completed"}
    assert execute(async_get=job)["status"] == "completed"


def test_it_outlives_the_rpcs_time_but_not_its_own(execute, refusal):
    job = started(execute("sleep 76543", async_call=True, timeout=10))
    assert "code='408'" in refusal(async_get=job, async_await=True, timeout_ms=100)
    end = execute(async_get=job, async_await=True)
    assert (end["status"], end["exit_code"]) == ("error", 1)
    assert re.fullmatch(f"killed command 'bash {SCRIPT}'", end["stderr"])


def test_a_failed_one(execute):
    script = "echo out; echo err >&2; exit 3"
    end = execute(async_get=started(execute(script, async_call=True)), async_await=True)
    assert (end["status"], end["exit_code"], end["stdout"]) == ("error", 1, "out\n")
    assert end["stderr"] == f"command '{script}' exited with nonzero code 3 -- stderr='err\n'"
    end = execute(async_get=started(execute(script, async_call=True, err_on_exit=False)), async_await=True)
    assert (end["status"], end["exit_code"], end["stdout"], end["stderr"]) == ("completed", 3, "out\n", "err\n")
    end = execute(async_get=started(execute("no-such-program", async_call=True), runs=False), async_await=True)
    assert end["status"] == "error" and "ENOENT" in end["stderr"] and "pid" not in end


def test_its_output_is_bounded(execute):
    job = started(execute("head -c 1100000 /dev/zero | tr '\\0' x; until [ -e on ]; do sleep 0.05; done", async_call=True))
    notice = "x (truncated at 1048576 characters)"
    wait_until(lambda: execute(async_get=job)["stdout"].endswith(notice), 60, "all that is kept is there")
    execute("touch", args=["on"])
    stdout = execute(async_get=job, async_await=True)["stdout"]
    assert stdout.endswith(notice) and len(stdout) == 1048576 + len(notice) - 1
    job = started(execute("echo abcdef", async_call=True, max_output=2))
    assert execute(async_get=job, async_await=True)["stdout"] == "ab (truncated at 2 characters)"


def test_it_belongs_to_the_project(hub, account, project, key, execute, refusal):
    job = started(execute("echo mine; sleep 65432", async_call=True))
    assert hub.method(key, "system.exec", {"async_get": job}, project="")["job_id"] == job
    other = hub.project(account)
    assert hub.refusal(account, "system.exec", {"async_get": job}, project=other) == gone(job)
    assert refusal(async_get=str(uuid.uuid4())).endswith("does not exist.")
    assert refusal(async_get="x'") == "Error: Async operation 'x'' does not exist."


PADDING = "x" * 1_000_000


def bodies(hub):
    """What the hub holds of the bodies of calls that are under way."""
    return int(float(re.search(r"^cohub_memory_bodies_bytes (\S+)$", hub.client.get(f"{hub.url}/metrics").text, re.M)[1]))


class Waiting(threading.Thread):
    """A call that waits for the end of a job. The hub has it when it holds its body, which the call is to have PADDING in; it
    has reached the project when calls that came behind it are answered."""

    def __init__(self, hub, wait, call_behind):
        super().__init__()
        self.wait, self.end = wait, None
        before = bodies(hub)
        self.start()
        wait_until(lambda: bodies(hub) > before + len(PADDING) // 2, 60, "the hub has it")
        for _ in range(5):
            call_behind()

    def run(self):
        self.end = self.wait()

    def answer(self):
        self.join(60)
        assert self.end is not None
        return self.end


def test_it_ends_with_its_project(hub, account, project, execute, refusal):
    job = started(execute("echo begun; sleep 54321", async_call=True, timeout=0))
    wait_until(lambda: execute(async_get=job)["stdout"], 60, "it runs")
    waiting = Waiting(hub, lambda: execute(async_get=job, async_await=True, command=PADDING), lambda: execute(async_get=job))
    hub.method(account, "projects.stop", {"project_id": project})
    end = waiting.answer()
    assert end["status"] == "error" and end["stdout"] == "begun\n"
    assert re.match(f"killed command 'bash {SCRIPT}' -- the project was stopped", end["stderr"])
    assert refusal(async_get=job) == gone(job)  # in the project that is started anew


def test_a_project_has_a_hundred_of_them(hub, account):
    project = hub.project(account)
    call = lambda method=hub.method, **p: method(account, "system.exec", p, project=project)
    first = started(call(command="true", async_call=True))
    call(async_get=first, async_await=True)
    for _ in range(99):
        started(call(command="sleep", args=["43210"], async_call=True, timeout=0))
    started(call(command="sleep", args=["43210"], async_call=True, timeout=0))  # the one that has ended makes room
    assert call(hub.refusal, async_get=first) == gone(first)
    assert call(hub.refusal, command="true", async_call=True) == (
        "Error: 100 asynchronous commands of this project run already")
    hub.method(account, "projects.stop", {"project_id": project})


def test_much_output_is_whole(execute):
    """It is written by a worker, each character with six."""
    command = "head -c 400000 /dev/zero | tr '\\0' '\\001'"
    assert execute(command) == blocking("\1" * 400000)
    job = started(execute(command, async_call=True))
    end = execute(async_get=job, async_await=True)
    assert (end["status"], end["stdout"]) == ("completed", "\1" * 400000)


def test_a_long_one_is_refused(refusal):
    assert refusal("echo " + "x" * 65536, async_call=True) == (
        "Error: an asynchronous command may have at most 65536 bytes, with its args and env")


def test_what_is_wrong_is_said_at_once(refusal):
    assert refusal("", async_call=True) == "Error: command must not be empty"


@pytest.mark.parametrize("how", ["restart", "kill"])
def test_it_goes_on_while_the_server_is_gone(hub_factory, how):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    home = hub.data / "projects" / project
    call = lambda **parameters: hub.method(account, "system.exec", parameters, project=project)
    script = "echo one; until [ -e go ]; do sleep 0.05; done; seq 100000; echo over >&2; exit 5"
    start = call(command=script, async_call=True, timeout=0, err_on_exit=False)
    job = started(start)
    failing = started(call(command="until [ -e go ]; do sleep 0.05; done; echo why >&2; exit 6", async_call=True))
    wait_until(lambda: call(async_get=job)["stdout"], 60, "it runs")
    if how == "restart":
        hub.stop()
    else:
        hub.kill()
    (home / "go").touch()
    hub.start()
    end = call(async_get=job, async_await=True)
    assert end.pop("elapsed_s") > 0
    stdout = "one\n" + "".join(f"{i}\n" for i in range(1, 100001))
    assert end == {**start, "stdout": stdout, "stderr": "over\n", "exit_code": 5, "status": "completed"}
    end = call(async_get=failing, async_await=True)
    assert end["stderr"].endswith("; exit 6' exited with nonzero code 6 -- stderr='why\n'") and end["status"] == "error"
    hub.method(account, "projects.stop", {"project_id": project})


@pytest.mark.long  # clients have ten seconds
def test_who_waits_when_the_server_ends_is_told(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    call = lambda method=hub.method, **parameters: method(account, "system.exec", parameters, project=project, timeout=50000)
    job = started(call(command="sleep 32109", async_call=True, timeout=0))
    client = Project(hub.url, account, project)  # which is not closed with the hub

    def wait():
        with client, pytest.raises(httpx.HTTPStatusError) as refusal:
            client.call("system.exec", [{"async_get": job, "async_await": True, "command": PADDING}], timeout_ms=50000)
        return refusal.value.response.status_code

    waiting = Waiting(hub, wait, lambda: call(async_get=job))
    hub.stop()
    assert waiting.answer() == 503
    hub.start()
    assert call(async_get=job)["status"] == "running"
    hub.method(account, "projects.stop", {"project_id": project})


def test_its_pid_is_the_projects(execute, signal):
    start = execute("echo $$; sleep 19876 & wait", async_call=True, err_on_exit=False)
    job = started(start)
    wait_until(lambda: execute(async_get=job)["stdout"] == f"{start['pid']}\n", 60, "it says its number")
    assert execute(f"kill -15 -- -{start['pid']}") == blocking()  # its group
    end = execute(async_get=job, async_await=True)
    assert (end["exit_code"], end["pid"]) == (143, start["pid"])


def test_what_it_uses_is_told_to_who_asks(execute, home):
    script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); until [ -e enough ]; do :; done; sleep 65432"
    start = execute(script, async_call=True, async_stats=True, timeout=0)
    assert start.pop("stats") == []
    job = started(start)
    assert "stats" not in execute(async_get=job) and "stats" not in execute(async_get=job, async_stats=False)
    wait_until(lambda: any(s["cpu_secs"] > 0.3 and s["cpu_pct"] > 5 for s in execute(async_get=job, async_stats=True)["stats"]), 60,
               "it has used the processor")
    (home / "enough").touch()
    stats = execute(async_get=job, async_stats=True)["stats"]
    assert all(set(sample) == {"timestamp", "mem_rss", "cpu_pct", "cpu_secs"} for sample in stats)
    assert stats[0]["timestamp"] >= start["start"] and abs(stats[-1]["timestamp"] / 1000 - time.time()) < 60
    assert sorted(sample["timestamp"] for sample in stats) == [sample["timestamp"] for sample in stats]
    assert max(sample["cpu_pct"] for sample in stats) > 5 and stats[-1]["cpu_secs"] < 60
    assert max(sample["mem_rss"] for sample in stats) > 15
    execute(f"kill -9 -- -{start['pid']}")
    end = execute(async_get=job, async_await=True, async_stats=True)
    assert 0 < len(end["stats"]) <= 100
    assert all(sample in stats for sample in end["stats"] if sample["timestamp"] <= stats[-1]["timestamp"])


def test_samples_are_a_hundred_at_most(execute):
    job = started(execute("sleep 54320", async_call=True, timeout=0))
    seen = [[]]

    def fewer():
        seen.append(execute(async_get=job, async_stats=True)["stats"])
        return len(seen[-1]) < len(seen[-2])

    wait_until(fewer, 180, "every second sample goes")
    *_, before, after = seen
    kept = [sample for sample in after if sample["timestamp"] <= before[-1]["timestamp"]]
    assert max(map(len, seen)) <= 100 and 50 <= len(after) and kept in (before[1::2], before[3::4])


def test_a_project_in_which_it_runs_is_in_use(hub_factory):
    hub = hub_factory(env={"COHUB_PROJECTS_IDLE_CHECK": "1", "COHUB_PROJECTS_IDLE_GRACE": "1", "COHUB_PROJECTS_MINTIME": "1"})
    account = hub.account()
    project, witness = hub.project(account), hub.project(account)
    state = lambda project: hub.method(account, "projects.state", {"project_id": project})["state"]
    job = hub.method(account, "system.exec", {"command": "until [ -e go ]; do sleep 0.05; done", "async_call": True,
                                              "timeout": 0}, project=project)["job_id"]
    hub.kill()
    hub.start()  # which does not know who started it
    for _ in range(2):
        hub.exec(account, witness, "true")
        make_old(hub, project, witness)
        wait_until(lambda: state(witness) == "opened", 120, "another one is stopped")
    assert state(project) == "running"
    (hub.data / "projects" / project / "go").touch()
    wait_until(lambda: edited(hub, project) > 1, 120, "its end counts as use")
    make_old(hub, project)
    wait_until(lambda: state(project) == "opened", 120, "it is stopped, too")
    assert hub.refusal(account, "system.exec", {"async_get": job}, project=project) == gone(job)
    hub.method(account, "projects.stop", {"project_id": project})


def make_old(hub, *projects):
    for project in projects:
        store(hub, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)


def edited(hub, project):
    return store(hub, "SELECT last_edited FROM projects WHERE project_id = ?", project)[0][0]


# ---- system.signal ----

@pytest.fixture
def signal(hub, account, project):
    return lambda call=hub.method, **parameters: call(account, "system.signal", parameters, project=project)


def test_a_signal_ends_a_process(execute, signal):
    job = started(execute("echo $$; exec sleep 21098", async_call=True, err_on_exit=False))
    pid = int(wait_until(lambda: execute(async_get=job)["stdout"], 60, "it says its number"))
    assert signal(signal=0, pid=pid) is None
    assert signal(signal=15, pids=[pid]) is None
    assert execute(async_get=job, async_await=True)["exit_code"] == 143


def test_all_get_it_and_the_last_failure_counts(hub, execute, signal):
    job = started(execute("echo $$; exec sleep 10987", async_call=True, err_on_exit=False))
    pid = int(wait_until(lambda: execute(async_get=job)["stdout"], 60, "it says its number"))
    assert signal(hub.refusal, signal=9, pids=[4000000, pid]) == "Error: kill ESRCH"
    assert execute(async_get=job, async_await=True)["exit_code"] == 137


@pytest.mark.parametrize("parameters", [{"pid": 1}, {"pid": 0}, {"pid": -1}, {"pid": -5}, {"pid": 2.5}, {"pids": [2, 1]},
                                        {"pids": "2"}, {"pids": ["2"]}, {"pids": [None]}, {"pid": 1e300},
                                        {"pids": [4000000] * 4097}])
def test_numbers_that_name_no_process(hub, signal, parameters):
    assert signal(hub.refusal, signal=9, **parameters) == (
        "Error: pid must be a whole number greater than 1, and pids a list of at most 4096")


@pytest.mark.parametrize("number", [-1, 65, 1000, 1.5])
def test_numbers_that_are_no_signal(hub, signal, number):
    assert signal(hub.refusal, signal=number, pid=4000000) == "Error: kill EINVAL"
