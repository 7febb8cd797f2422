# SPDX-License-Identifier: AGPL-3.0-or-later
"""Jupyter kernels by the RPC: which there are, running code in them, which run. The kernels are real, in sandboxes."""
import concurrent.futures
import datetime
import json
import os
import pathlib
import re
import shutil
import subprocess

import httpx
import pytest

from harness import parts, rpc
from harness.images import add_libraries
from harness.process import memory_peak_kb, wait_until

NOT_COLLABORATOR = "Error: permission denied -- user must be collaborator on project"
NOT_ENABLED = "Error: Jupyter API is not enabled on this server."


class Kernels:
    """A project and both ways to its kernels."""

    def __init__(self, hub, account=None, project=None):
        self.server = hub
        self.account = account or hub.account()
        self.project_id = project or hub.project(self.account)
        self.hub = rpc.Hub(hub.url, self.account)
        self.project = rpc.Project(hub.url, self.account, self.project_id)

    def run(self, input, kernel="python3", **more):
        return self.project.call("system.jupyterExecute", [{"input": input, "kernel": kernel, **more}], 110000)

    def list(self):
        return self.project.system.list_jupyter_kernels()

    def exec(self, command):
        reply = self.server.exec(self.account, self.project_id, command, bash=True, timeout=60)
        assert reply["event"] == "project_exec_output", reply
        return reply["stdout"]


@pytest.fixture(scope="module")
def _shared(_session_hub):
    return Kernels(_session_hub)


@pytest.fixture
def kernels(hub, _shared):
    """A project that the tests of this file share, as each kernel is a fresh one."""
    return _shared


@pytest.fixture
def own(hub_factory):
    """Makes a project of a hub of its own, which is configured: own(CELL_SECONDS=1)."""
    return lambda **settings: Kernels(hub_factory(
        env={f"COHUB_JUPYTER_{name}": str(value) for name, value in settings.items()}))


def message(call, *args, **parameters):
    with pytest.raises(RuntimeError) as error:
        call(*args, **parameters)
    return str(error.value)


# ---- Which there are (7.1) ----

def test_kernels_of_the_system(kernels):
    found = kernels.hub.jupyter.kernels(project_id=kernels.project_id)
    assert [kernel["name"] for kernel in found] == ["octave", "python3", "ir"]  # by display_name
    python = found[1]
    spec = json.loads(pathlib.Path("/usr/share/jupyter/kernels/python3/kernel.json").read_text())
    assert python == {"name": "python3", "display_name": spec["display_name"], "language": "python", "env": {},
                      "metadata": spec["metadata"], "resource_dir": "/usr/share/jupyter/kernels/python3",
                      "argv": spec["argv"]}
    assert kernels.project.call("editor.jupyterKernels", [{"noCache": True}]) == found


def test_a_kernel_of_the_user_is_there_at_once(hub):
    kernels = Kernels(hub)
    before = kernels.hub.jupyter.kernels(project_id=kernels.project_id)
    kernels.exec("/usr/bin/python3 -m ipykernel install --user --name=Mine --display-name='A kernel of mine'")
    after = kernels.hub.jupyter.kernels(project_id=kernels.project_id)
    assert [kernel["name"] for kernel in after if kernel not in before] == ["mine"]
    assert after[0]["display_name"] == "A kernel of mine"
    assert kernels.run("6*7", "mine") == [{"data": {"text/plain": "42"}}]


def test_logo(kernels):
    logo = kernels.project.call("editor.jupyterKernelLogo", ["python3"])
    assert logo["filename"].endswith((".png", ".svg")) and len(logo["base64"]) > 100
    assert kernels.project.call("editor.jupyterKernelLogo", ["no-such"]) is None


# ---- Running code (7.2, 7.3) ----

@pytest.mark.parametrize("input, output", [
    ("sum(range(100))", [{"data": {"text/plain": "4950"}}]),
    ("print('Hello')", [{"name": "stdout", "text": "Hello\n"}]),
    ("a=1", []),
    ("", []),
    ("print('Größe 📐')", [{"name": "stdout", "text": "Größe 📐\n"}]),
])
def test_output(kernels, input, output):
    assert kernels.project.system.jupyter_execute(input, "python3") == output
    made = kernels.hub.jupyter.execute(input, "python3", project_id=kernels.project_id)
    assert made["output"] == output and set(made) == {"output", "created"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", made["created"])
    datetime.datetime.fromisoformat(made["created"].replace("Z", "+00:00"))


def test_history(kernels):
    history = ["a = 6", "print('of the history')", "b = 7"]
    assert kernels.run("print(a * b)", history=history) == [{"name": "stdout", "text": "42\n"}]
    made = kernels.hub.jupyter.execute("a * b", "python3", history=history, project_id=kernels.project_id)
    assert made["output"] == [{"data": {"text/plain": "42"}}]


def test_nothing_is_left_for_the_next_call(kernels):
    kernels.run("a = 1")
    assert kernels.run("a")[0]["ename"] == "NameError"


def test_an_exception_is_an_item(kernels):
    [item] = kernels.run("1/0")
    assert (item["ename"], item["evalue"]) == ("ZeroDivisionError", "division by zero")
    assert set(item) == {"ename", "evalue", "traceback"} and "ZeroDivisionError" in "\n".join(item["traceback"])


def test_folder(kernels):
    kernels.exec("mkdir -p some/where")
    look = "import os; print(os.getcwd(), os.listdir())"
    home = f"/projects/{kernels.project_id}"
    assert kernels.run(look, path="some/where") == [{"name": "stdout", "text": f"{home}/some/where []\n"}]
    [item] = kernels.run(look)
    assert not item["text"].startswith(home) and item["text"].endswith(" []\n")


@pytest.mark.parametrize("kernel, input, text", [
    ("ir", "cat(6 * 7)", "42"),
    ("octave", "disp(6 * 7)", "42"),
])
def test_other_languages(kernels, kernel, input, text):
    printed = "".join(item.get("text", "") for item in kernels.run(input, kernel))
    assert text in printed


def test_results_are_not_kept(kernels):
    input = "import random; random.random()"
    made = [kernels.hub.jupyter.execute(input, "python3", project_id=kernels.project_id)["output"] for _ in range(2)]
    assert made[0] != made[1]


def test_a_kernel_sees_what_a_command_sees(kernels):
    """Its system, its user, its limits; and no descriptor of those that started it."""
    [item] = kernels.run("import os, json, resource\n"
                         "print(json.dumps([os.getuid(), os.environ['HOME'], os.environ['COCALC_PROJECT_ID'],\n"
                         "  sorted(os.listdir('/')), os.listdir('/projects'), os.path.exists('/run/cohub'),\n"
                         "  resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CPU),\n"
                         "  [os.readlink(f'/proc/self/fd/{fd}') for fd in os.listdir('/proc/self/fd')\n"
                         "   if os.path.exists(f'/proc/self/fd/{fd}')]]))")
    uid, home, project_id, root, projects, libraries, files, cpu, descriptors = json.loads(item["text"])
    assert (uid, home, project_id) == (2001, f"/projects/{kernels.project_id}", kernels.project_id)
    assert root == sorted(kernels.exec("ls -A /").split()) and projects == [kernels.project_id]
    assert not libraries and files == [1000, 1000]
    assert 30 <= cpu[0] <= 33  # what its start has used does not count
    assert not any("cohub" in path or "memfd" in path or "request" in path for path in descriptors), descriptors


# ---- Refusals (2.4) ----

@pytest.mark.parametrize("parameters, error", [
    ({"kernel": "python3"}, "Error: input or hash must not be null"),
    ({"kernel": "python3", "input": None}, "Error: input or hash must not be null"),
    ({"input": "1", "project_id": "x"}, "Error: kernel must be specified in hash is not specified"),
    ({"input": "1", "kernel": ""}, "Error: kernel must be specified in hash is not specified"),
    ({"input": "1", "kernel": "python3"}, NOT_ENABLED),
    ({"input": "1", "kernel": "python3", "project_id": "x"},
     "Error: invalid account_id or project_id -- all must be valid uuid's"),
])
def test_refused(kernels, parameters, error):
    assert message(kernels.hub.call, "jupyter.execute", [parameters]) == error


def test_an_unknown_hash_has_no_result(kernels):
    assert kernels.hub.call("jupyter.execute", [{"hash": "0" * 40}]) is None


def test_no_kernels_without_a_project(kernels):
    assert message(kernels.hub.jupyter.kernels) == NOT_ENABLED


def test_only_collaborators(hub, kernels):
    stranger, admin = hub.account(), hub.account(admin=True)
    for other in stranger, admin:
        client = rpc.Hub(hub.url, other)
        assert message(client.jupyter.kernels, project_id=kernels.project_id) == NOT_COLLABORATOR
        assert message(client.jupyter.execute, "1", "python3", project_id=kernels.project_id) == NOT_COLLABORATOR
        assert message(rpc.Project(hub.url, other, kernels.project_id).system.jupyter_execute, "1", "python3") == \
            "user must be a collaborator on the project"
    hub.call("add_collaborator", key=kernels.account, project_id=kernels.project_id, account_id=stranger.id)
    made = rpc.Hub(hub.url, stranger).jupyter.execute("1+1", "python3", project_id=kernels.project_id)
    assert made["output"] == [{"data": {"text/plain": "2"}}]


def test_a_key_of_the_project(hub, kernels):
    key = hub.cli("key", "create", kernels.account.id, "--project", kernels.project_id)["api_key"]
    project = rpc.Project(hub.url, key)
    assert project.system.jupyter_execute("1+1", "python3") == [{"data": {"text/plain": "2"}}]
    assert [kernel["name"] for kernel in project.call("editor.jupyterKernels", [{}])][1] == "python3"
    assert "must be signed in" in message(rpc.Hub(hub.url, key).jupyter.kernels, project_id=kernels.project_id)


@pytest.mark.parametrize("parameters, error", [
    ({"kernel": None}, "Error: kernel must be specified"),
    ({"input": None}, "Error: input must be specified"),
    ({"limits": 5}, "Error: limits must be an object"),
    ({"pool": "large"}, "Error: pool must be an object"),
    ({"limits": {"timeout_ms_per_cell": "long"}}, "Error: timeout_ms_per_cell must be a number that is not negative"),
    ({"limits": {"max_output": -1}}, "Error: max_output must be a number that is not negative"),
    ({"pool": {"size": -1}}, "Error: size must be a number that is not negative"),
    ({"limits": {"start_time": 1, "timeout_ms": 2000}}, "Error: Total time limit (=2 seconds) exceeded"),
    ({"kernel": "k" * 201}, "Error: the name of a kernel has at most 200 bytes"),
    ({"path": "p" * 4097}, "Error: the path is too long"),
])
def test_refused_by_the_project(kernels, parameters, error):
    usual = {"input": "1", "kernel": "python3"}
    assert message(kernels.project.call, "system.jupyterExecute", [{**usual, **parameters}]) == error


def test_unknown_kernel(kernels):
    text = ("Error: **Unable to Spawn Jupyter Kernel:**\n\nError: No spec available for kernel \"no-such\".  "
            "Available specs: [")
    by_project = message(kernels.project.system.jupyter_execute, "1", "no-such")
    assert by_project.startswith(text) and "jupyter console --kernel=no-such" in by_project
    assert message(kernels.hub.jupyter.execute, "1", "no-such", project_id=kernels.project_id) == \
        "Error: " + by_project


# ---- Limits (7.4) ----

def test_a_cell_that_takes_too_long_is_interrupted(kernels):
    items = kernels.run("print('begun', flush=True)\nwhile True: pass", limits={"timeout_ms_per_cell": 5000})
    assert items[0] == {"name": "stdout", "text": "begun\n"} and items[-1]["ename"] == "KeyboardInterrupt"


def test_time_is_configured_and_raised_by_the_callers_timeout(own):
    kernels = own(CELL_SECONDS=1, CELL_SECONDS_MAX=20)
    slow = "import time; time.sleep(3); print('slept')"
    slept = [{"name": "stdout", "text": "slept\n"}]
    assert kernels.run(slow)[-1]["ename"] == "KeyboardInterrupt"
    assert kernels.run(slow, timeout=90) == slept
    assert kernels.hub.jupyter.execute(slow, "python3", project_id=kernels.project_id)["output"] == slept
    assert kernels.run("import time; time.sleep(60)", timeout=90)[-1]["ename"] == "KeyboardInterrupt"


def test_the_hub_waits_for_a_time_of_its_own(own):
    kernels = own(ANSWER_SECONDS=4)
    kernels.project.system.ping()
    wait = "import time; time.sleep(3)"
    assert message(kernels.hub.jupyter.execute, wait, "python3", history=[wait],
                   project_id=kernels.project_id) == "timeout"
    assert kernels.run(wait, history=[wait]) == []


def test_the_caller_waits_for_a_time_of_its_own(kernels):
    error = message(kernels.project.call, "system.jupyterExecute",
                    [{"kernel": "python3", "input": "import time; time.sleep(4)"}], 500)
    assert error == f"timeout - callHub: subject='project.{kernels.project_id}.0.api.-', " \
                    "name='system.jupyterExecute', code='408' "


def test_output_is_bounded(kernels):
    items = kernels.run("for i in range(100): print('x' * 1000)", limits={"max_output_per_cell": 10000})
    size = sum(len(json.dumps(item)) for item in items)
    assert size < 11000
    assert items[-1]["text"] == "Output truncated since it exceeded the cell output limit of 10000 characters"


def test_much_output_leaves_the_hub_small(own):
    kernels = own()
    kernels.run("1")
    before = memory_peak_kb(parts.serving(kernels.server))
    items = kernels.run("for i in range(1000): print('x' * 100000)", timeout=90)
    assert "truncated" in items[-1]["text"]
    assert memory_peak_kb(parts.serving(kernels.server)) - before < 40 * 1024


def test_processor_time(own):
    kernels = own(CPU_SECONDS=1, CELL_SECONDS=90)
    error = message(kernels.run, "while True: pass")
    assert error.startswith("Error: Kernel last exited with code 137.")


def test_address_space(own):
    kernels = own(MEMORY=500)
    assert kernels.run("x = bytearray(600 << 20)")[-1]["ename"] == "MemoryError"
    assert own().run("x = bytearray(600 << 20)") == []


# ---- What goes wrong ----

def test_a_kernel_that_ends_itself(kernels):
    error = message(kernels.run, "import os, sys; print('last words', file=sys.__stderr__, flush=True); os._exit(3)")
    assert error.startswith("Error: Kernel last exited with code 3.")
    error = message(kernels.hub.jupyter.execute, "import os; os.kill(os.getpid(), 9)", "python3",
                    project_id=kernels.project_id)
    assert error.startswith("Error: Error: Kernel last terminated by signal ") and "memory" not in error


def test_a_project_without_memory(hub_factory):
    kernels = Kernels(hub_factory(env={"COHUB_PROJECTS_MEMORY": "300"}))
    error = message(kernels.run, "x = bytearray(1 << 30)\nfor i in range(0, len(x), 4096): x[i] = 1")
    assert error.startswith("Error: Kernel last terminated by signal ")
    assert error.endswith("\n...\nThe project ran out of memory: its limit is 300 MB.")
    assert kernels.run("1+1") == [{"data": {"text/plain": "2"}}]


def test_the_bridge_is_killed(hub):
    kernels = Kernels(hub)
    kernels.run("1")
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(message, kernels.run, "import time; open('/tmp/begun', 'w'); time.sleep(600)", timeout=90)
        wait_until(lambda: kernels.exec("ls /tmp/begun 2>/dev/null; true"), 60, "the code runs")
        kernels.exec("kill -9 $(grep -lz -- --socket-fd /proc/[0-9]*/cmdline | cut -d/ -f3)")
        assert running.result() == "Error: the process that runs the kernels has ended"
    assert kernels.run("1+1") == [{"data": {"text/plain": "2"}}]


def test_the_project_is_stopped_meanwhile(hub):
    kernels = Kernels(hub)
    with concurrent.futures.ThreadPoolExecutor() as pool:
        running = pool.submit(message, kernels.run, "import time; open('/tmp/begun', 'w'); time.sleep(600)", timeout=90)
        wait_until(lambda: kernels.exec("ls /tmp/begun 2>/dev/null; true"), 60, "the code runs")
        hub.cli("project", "stop", kernels.project_id)
        assert running.result().startswith("Error: the project was stopped")
    assert kernels.run("1+1") == [{"data": {"text/plain": "2"}}]  # it starts again


def test_a_caller_who_goes_leaves_no_kernel_behind(hub):
    kernels = Kernels(hub)
    kernels.run("1")
    body = {"name": "system.jupyterExecute", "timeout": 60000, "project_id": kernels.project_id,
            "args": [{"kernel": "python3", "input": "import time; open('/tmp/begun', 'w'); time.sleep(60)",
                      "limits": {"timeout_ms_per_cell": 3000}}]}
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{hub.url}/api/conat/project", json=body, auth=(kernels.account.key, ""), timeout=1.5)
    wait_until(lambda: all(kernel["state"] != "busy" for kernel in kernels.list()), 60, "the code has ended")
    assert kernels.run("1+1") == [{"data": {"text/plain": "2"}}]


# ---- Those that run (6.5, 6.6) ----

def test_list_and_stop(hub):
    kernels = Kernels(hub)
    kernels.exec("true")
    assert kernels.list() == []
    kernels.run("1")
    [kernel] = wait_until(kernels.list, 60, "one waits for the next call")
    assert kernel["kernel_name"] == "python3" and kernel["pid"] > 1
    assert re.fullmatch(r"/.*/kernel-[0-9a-f-]{36}\.json", kernel["connectionFile"])
    assert kernels.exec(f"ls {kernel['connectionFile']}").strip() == kernel["connectionFile"]
    assert kernels.project.system.stop_jupyter_kernel(1) == {"success": False}
    assert kernels.project.system.stop_jupyter_kernel(2.5) == {"success": False}
    assert kernels.project.system.stop_jupyter_kernel(kernel["pid"]) == {"success": True}
    assert kernel["pid"] not in [other["pid"] for other in kernels.list()]
    assert kernels.project.system.stop_jupyter_kernel(kernel["pid"]) == {"success": False}
    assert message(kernels.project.call, "system.stopJupyterKernel", [{}]) == "Error: pid must be specified"


def test_none_waits_without_a_reserve(own):
    kernels = own(POOL=0)
    assert kernels.run("1+1") == [{"data": {"text/plain": "2"}}]
    wait_until(lambda: kernels.list() == [], 60, "the one used has ended")
    kernels.run("1", pool={"size": 2})
    wait_until(lambda: len(kernels.list()) == 2, 120, "two wait")


def test_kernels_survive_the_hub(own):
    kernels = own()
    kernels.run("1")
    before = wait_until(lambda: [k for k in kernels.list() if k["state"] == "idle"], 120, "one waits")
    kernels.server.restart()
    again = Kernels(kernels.server, kernels.account, kernels.project_id)
    assert [kernel["pid"] for kernel in again.list()] == [kernel["pid"] for kernel in before]
    assert again.run("1+1") == [{"data": {"text/plain": "2"}}]


def test_many_at_once(kernels):
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        made = pool.map(lambda i: kernels.run(f"{i} * 7"), range(6))
        assert [items[0]["data"]["text/plain"] for items in made] == [str(7 * i) for i in range(6)]


# ---- Images ----

def add_program(image, path):
    told = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
    for file in [path, *re.findall(r"(/\S+) \(0x", told)]:
        target = image / os.path.realpath(os.path.dirname(file)).lstrip("/") / os.path.basename(file)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def test_an_image_without_jupyters_libraries(hub_factory):
    """The bridge runs with the host's libraries, and the kernel with what the image has."""
    hub = hub_factory()
    account = hub.account()
    image = hub.data / "images" / "tiny"
    folder = image / "usr" / "share" / "jupyter" / "kernels" / "Tiny"
    folder.mkdir(parents=True)
    add_libraries(image)
    add_program(image, "/usr/bin/dash")
    (folder / "kernel.json").write_text(json.dumps({
        "argv": ["/usr/bin/dash", "-c", "echo $0 in /usr/share/* >&2; exit 3", "{connection_file}"],
        "display_name": "Tiny", "language": "none"}))
    kernels = Kernels(hub, account, hub.project(account, image="tiny"))
    found = kernels.hub.jupyter.kernels(project_id=kernels.project_id)
    assert [(kernel["name"], kernel["display_name"]) for kernel in found] == [("tiny", "Tiny")]
    error = message(kernels.run, "1", "tiny")
    assert error.startswith("Error: Failed to start kernel process. Kernel last exited with code 3.")
    assert re.search(r"kernel-\S+\.json in /usr/share/jupyter$", error)
    # Of the host there are its libraries, to be read, and nothing else.
    read = hub.call("read_text_file_from_project", key=account, project_id=kernels.project_id,
                    path="/proc/self/mounts")["content"]
    mounts = [line.split() for line in read.splitlines() if line.split()[1].startswith("/run/cohub")]
    assert [mount[1] for mount in mounts] == ["/run/cohub/lib"] and "ro" in mounts[0][3].split(",")


# ---- Without the bridge ----

def test_doctor_lists_kernels(hub):
    line = next(line for line in hub.cli_run("doctor").stdout.splitlines() if line.split()[1] == "kernels")
    assert line.split()[0] == "ok" and {"python3", "ir", "octave"} <= set(re.split(r"[, ]+", line))
