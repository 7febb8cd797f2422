# SPDX-License-Identifier: AGPL-3.0-or-later
"""The kernel bridge as its agent sees it: a process at the other end of a SOCK_SEQPACKET pair, and a socket an answer.

    with Bridge(home) as bridge:
        assert bridge.run("1+1") == [{"data": {"text/plain": "2"}}]
"""
import fcntl
import json
import os
import pathlib
import select
import socket
import subprocess

from harness.process import wait_until
from harness.server import BUILD

PROGRAM = BUILD / "src" / "jupyter" / "cohub-jupyter"
ANSWER_S = 180  # an R that starts beside other work
LIMITS = {"cell_ms": 600000, "cell_output": 1000000, "output": 5000000}


class Call:
    """A request under way; its answer can be waited for."""

    def __init__(self, end):
        self.end = end

    def answer(self, timeout=ANSWER_S):
        self.end.settimeout(timeout)
        text = b"".join(iter(lambda: self.end.recv(1 << 20), b""))
        self.end.close()
        return json.loads(text)

    def waits(self):
        """Whether there is nothing to read yet."""
        return not select.select([self.end], [], [], 0)[0]

    def give_up(self):
        self.end.close()


def memory_file(content):
    fd = os.memfd_create("request", os.MFD_ALLOW_SEALING | os.MFD_CLOEXEC)
    os.write(fd, content)
    fcntl.fcntl(fd, fcntl.F_ADD_SEALS,
                fcntl.F_SEAL_SEAL | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK)
    return fd


class Bridge:
    def __init__(self, home, *args, env=None, pool=0):
        self.home = pathlib.Path(home)
        self.home.mkdir(parents=True, exist_ok=True)
        self.pool = {"size": pool, "idle_ms": 600000}
        variables = {"HOME": str(home), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", **(env or {})}
        for name in ("ASAN_OPTIONS", "UBSAN_OPTIONS"):
            if name in os.environ:
                variables[name] = os.environ[name]
        self.socket, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.log = open(self.home / "bridge.log", "ab+")
        self.process = subprocess.Popen([PROGRAM, "--socket-fd", str(other.fileno()), *args], env=variables,
                                        pass_fds=[other.fileno()], stdin=subprocess.DEVNULL, stderr=self.log)
        other.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()

    def end(self):
        """Closes the socket; the bridge must end well."""
        self.socket.close()
        status = self.process.wait(timeout=ANSWER_S)
        self.log.seek(0)
        assert (status, self.log.read()) == (0, b"")

    def send(self, content):
        """A request as bytes; a Call."""
        mine, other = socket.socketpair()
        fd = memory_file(content)
        socket.send_fds(self.socket, [b"k"], [fd, other.fileno()])
        os.close(fd)
        other.close()
        return Call(mine)

    def begin(self, op, **members):
        return self.send(json.dumps({"op": op, **members}).encode())

    def call(self, op, **members):
        return self.begin(op, **members).answer()

    def start(self, code, kernel="python3", limits=None, **members):
        """Begins to run code."""
        members.setdefault("pool", self.pool)
        return self.begin("execute", kernel=kernel, input=code, limits={**LIMITS, **(limits or {})}, **members)

    def run(self, code, **members):
        """The items that code gives."""
        answer = self.start(code, **members).answer()
        assert list(answer) == ["result"], answer
        return answer["result"]

    def error(self, code, **members):
        answer = self.start(code, **members).answer()
        assert "error" in answer, answer
        return answer

    def list(self):
        return self.call("list")["result"]

    def state(self):
        """How many kernels are in which state."""
        states = [kernel["state"] for kernel in self.list()]
        return {state: states.count(state) for state in states}

    def wait_for(self, **states):
        """Until so many kernels are in these states, and none in others."""
        wait_until(lambda: self.state() == states, ANSWER_S, f"kernels in the states {states}")
