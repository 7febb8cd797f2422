# SPDX-License-Identifier: AGPL-3.0-or-later
"""Processes under test: reading a line with a deadline, looking at the tree of processes."""
import contextlib
import os
import pathlib
import select
import signal
import time


class LineReader:
    """Reads lines from a descriptor, each with a deadline."""

    def __init__(self, stream):
        self.fd = stream.fileno()
        self.rest = b""

    def line(self, deadline):
        """The next line without its end, or None at the end of the stream; TimeoutError past time.monotonic()."""
        while b"\n" not in self.rest:
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.fd], [], [], left)[0]:
                raise TimeoutError(f"no line in time; so far: {self.rest!r}")
            more = os.read(self.fd, 65536)
            if not more:
                return None
            self.rest += more
        line, self.rest = self.rest.split(b"\n", 1)
        return line.decode()


def _read(pid, name):
    """The bytes of a file of a process; OSError if it ended meanwhile, or is not ours to look at."""
    fd = os.open(f"/proc/{pid}/{name}", os.O_RDONLY)
    try:
        text = b""
        while more := os.read(fd, 65536):
            text += more
        return text
    finally:
        os.close(fd)


def _pids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _state(pid):
    """The fields of a process's stat behind its name: its state, its parent, …"""
    return _read(pid, "stat").rpartition(b")")[2].split()


def parents():
    """{process id: parent's process id} of all processes that have not ended; zombies have."""
    result = {}
    for pid in _pids():
        try:
            state, parent = _state(pid)[:2]
        except (OSError, ValueError):
            continue  # it ended meanwhile
        if state not in b"ZX":
            result[pid] = int(parent)
    return result


def identities(pids):
    """(process id, start time) of those of `pids` that have not ended: another may soon have the number alone."""
    found = set()
    for pid in pids:
        try:
            fields = _state(pid)
        except OSError:
            continue
        if fields[0] not in b"ZX":
            found.add((pid, int(fields[19])))
    return found


def environments(name):
    """{process id: value} of the processes that were started with NAME=value in their environment."""
    found, start = {}, f"{name}=".encode()
    for pid in _pids():
        try:
            values = [line[len(start):] for line in _read(pid, "environ").split(b"\0") if line.startswith(start)]
        except OSError:
            continue
        if values:
            found[pid] = values[0].decode()
    return found


def descendants(pid, tree=None):
    """The ids of all processes below `pid`, itself not included, in what parents() gave."""
    tree = parents() if tree is None else tree
    found, new = set(), {pid}
    while new:
        new = {child for child, parent in tree.items() if parent in new} - found
        found |= new
    return found


def wait_until(condition, timeout_s, what):
    """Polls until condition() is true and returns what it gave; fails with `what` after the deadline."""
    deadline = time.monotonic() + timeout_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {timeout_s} s: {what}")
        select.select([], [], [], 0.01)


@contextlib.contextmanager
def stopped(pid):
    """SIGSTOP within, SIGCONT behind."""
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def with_text(text):
    """The ids of all processes on this machine whose command line holds `text`; zombies have none."""
    found = set()
    for pid in _pids():
        try:
            line = _read(pid, "cmdline")
        except OSError:
            continue
        if text.encode() in line:
            found.add(pid)
    return found


def threads(pid):
    return _status_number(pid, "Threads")


def memory_peak_kb(pid):
    """The most memory that a process has had resident."""
    return _status_number(pid, "VmHWM")


def _status_number(pid, field):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith(f"{field}:")))


def descriptors(pid):
    """How many descriptors a process has open."""
    return len(list(pathlib.Path(f"/proc/{pid}/fd").iterdir()))
