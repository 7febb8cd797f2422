# SPDX-License-Identifier: AGPL-3.0-or-later
"""One project or client that uses up what it can get: the hub and the others go on."""
import contextlib
import http.client
import json
import os
import socket
import subprocess
import urllib.parse

import pytest

from harness import parts, server
from harness.images import add_libraries
from harness.pending import Pending
from harness.process import stopped, wait_until
from harness.server import COHUB

# Sends descriptors through sockets and lets nobody take them out, as many as the kernel lets it; then waits.
FILL_SOCKETS = """
import array, socket, time
pairs, sent = [], 0
try:
    while True:
        ends = socket.socketpair()
        pairs.append(ends)
        ends[0].setblocking(False)
        try:
            while True:
                ends[0].sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0] * 253))])
                sent += 253
        except BlockingIOError:
            pass
except OSError as error:
    print(sent, error.errno, flush=True)
open("full", "w").close()
while not __import__("os").path.exists("enough"):
    time.sleep(0.05)
"""

FORK = """
import os, signal
children = []
try:
    while len(children) < 20000:
        child = os.fork()
        if child == 0:
            signal.pause()
        children.append(child)
except OSError as error:
    print(len(children), flush=True)
open("full", "w").close()
while not os.path.exists("enough"):
    __import__("time").sleep(0.05)
for child in children:
    os.kill(child, signal.SIGKILL)
"""

RUNS_S = 600  # what takes all there is runs until the test has seen enough


@pytest.fixture
def beside(hub, account, project, home):
    """beside(program, check) runs a Python program in `project` until check() has returned; gives the reply."""
    def run(program, check):
        with Pending(hub, account) as pending:
            call = pending.send("project_exec", project_id=project, command="python3", args=["-c", program], timeout=RUNS_S)
            wait_until((home / "full").exists, 120, "all is taken")
            try:
                check()
            finally:
                hub.call("write_text_file_to_project", key=account, project_id=project, path="enough", content="")
            return pending.replies(RUNS_S)[call]

    return run


def test_descriptors_on_their_way(hub, account, beside):
    """They are counted for all of a user's processes together. The hub sends a descriptor with each such write, a project's
    agent two with each piece of code for a kernel."""
    other = hub.project(account)
    code = {"input": "1+1", "kernel": "python3"}
    hub.exec(account, other, "sleep 1000 > /dev/null 2>&1 & echo $! > /tmp/pid")

    def check():
        for i in range(3):
            reply = hub.call("write_text_file_to_project", key=account, project_id=other, path=f"/tmp/{i}", content="x")
            assert reply["event"] == "file_written_to_project", reply
        assert hub.exec(account, other, "cat /tmp/[0-2]; kill -0 $(cat /tmp/pid)")["stdout"] == "xxx"
        output = hub.method(account, "system.jupyterExecute", code, project=other, timeout=60000)
        assert output == [{"data": {"text/plain": "2"}}]

    assert "109" in beside(FILL_SOCKETS, check)["stdout"]  # ETOOMANYREFS


@pytest.mark.long
def test_fork_bomb(hub, account, project, beside):
    other = hub.project(account)
    hub.cli("project", "settings", project, "memory=8000")  # processes, not memory, are what runs out

    def check():
        reply = hub.exec(account, other, "for i in $(seq 20); do /bin/echo $i; done")
        assert reply.get("exit_code") == 0, reply
        # Its own commands are started, too, though they cannot start others.
        assert hub.exec(account, project, "echo", args=["x"])["stdout"] == "x\n"

    assert 4000 < int(beside(FORK, check)["stdout"]) < 4096


def test_many_values_in_json(hub):
    """Parsed they take forty times their size, as long as the call lasts."""
    assert hub.api("ping", json={"id": [0] * 190000}).status_code == 200
    reply = hub.api("ping", json={"id": [0] * 200000})
    assert (reply.status_code, "too many values" in reply.text) == (400, True)


@pytest.mark.long
def test_many_passwords(hub_factory):
    """One caller's do not fill the queue that all wait in."""
    hub = hub_factory()
    address, key = urllib.parse.urlsplit(hub.url), hub.key
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connections = [http.client.HTTPConnection(address.hostname, address.port, timeout=60) for _ in range(130)]
    for connection in connections:
        connection.connect()
    with stopped(parts.serving(hub)):  # so that they come all at once
        for i, connection in enumerate(connections):
            body = json.dumps({"email_address": f"{i}@example.com", "password": "some password"})
            connection.request("POST", f"{address.path}/api/v1/create_account", body, headers)
    replies = []
    for connection in connections:
        replies.append(json.load(connection.getresponse()))
        connection.close()
    refused = [reply for reply in replies if "too many of your calls" in str(reply.get("reason"))]
    made = [reply for reply in replies if reply["event"] == "account_created"]
    assert len(refused) > 10 and len(made) >= 64 and len(refused) + len(made) == len(replies), replies


@pytest.mark.parametrize("folder", ["usr", "opt", "var"])
def test_image_with_a_link_out_of_it(hub, account, folder):
    """What the link points to, here all of the data folder, must not appear in the sandbox."""
    image = hub.data / "images" / f"linked-{folder}"
    image.mkdir()
    os.symlink("/usr", image / "bin")
    if folder == "var":
        (image / "var").mkdir()
        os.symlink("../../../..", image / "var" / "lib")
        (hub.data / "texmf").mkdir(exist_ok=True)
    else:
        os.symlink("../..", image / folder)
    if folder != "usr":
        add_libraries(image)
    project = hub.project(account, image=image.name)
    reply = hub.exec(account, project, "/bin/true", timeout=50)
    assert reply["event"] == "error", reply
    assert ("the project failed to start" in reply["error"]) == (folder == "usr"), reply


def test_files_that_the_hubs_user_names(tmp_path):
    """The data folder belongs to that user, and so does a configuration in it: it must not choose what root reads."""
    data, secret = tmp_path / "data", tmp_path / "secret"
    secret.write_text("of root\n")
    secret.chmod(0o600)
    data.mkdir()
    (data / "cohub.conf").write_text(f"[http]\ntls_cert = {secret}\ntls_key = {secret}\n")
    for path in (data, data / "cohub.conf"):
        os.chown(path, 65534, 65534)
    tmp_path.chmod(0o755)
    done = subprocess.run([COHUB, "serve", "--data", data, "--listen", "127.0.0.1:0"], capture_output=True, text=True,
                          timeout=120, check=False)
    assert (done.returncode, "Permission denied" in done.stderr) == (1, True), done


def test_connections_leave_descriptors(hub_factory, tmp_path, monkeypatch):
    """Clients that only connect do not take the descriptors that calls need."""
    limited = tmp_path / "cohub"
    limited.write_text(f'#!/bin/sh\nulimit -n 600\nexec {COHUB} "$@"\n')
    limited.chmod(0o755)
    monkeypatch.setattr(server, "COHUB", limited)
    hub = hub_factory()
    address, account = urllib.parse.urlsplit(hub.url), hub.account()
    project = hub.project(account)
    with contextlib.ExitStack() as stack:
        for _ in range(700):
            stack.enter_context(socket.create_connection((address.hostname, address.port), timeout=60))
        wait_until(lambda: len(os.listdir(f"/proc/{parts.serving(hub)}/fd")) > 400, 60, "the hub has accepted many")
        for i in range(20):
            reply = hub.call("write_text_file_to_project", key=account, project_id=project, path=f"{i}", content="x")
            assert reply["event"] == "file_written_to_project", reply
        assert hub.exec(account, project, "echo", args=["x"])["stdout"] == "x\n"
