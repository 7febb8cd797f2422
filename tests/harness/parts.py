# SPDX-License-Identifier: AGPL-3.0-or-later
"""The processes that a hub consists of, by what they are."""
import os

from harness.process import parents, wait_until


def _has_threads(pid):
    try:
        return len(os.listdir(f"/proc/{pid}/task")) > 1
    except OSError:
        return False  # it ended meanwhile


def _children(hub):
    return [pid for pid, parent in parents().items() if parent == hub.pid]


def serving(hub):
    """The process that answers requests."""
    return next(pid for pid in _children(hub) if _has_threads(pid))


def runner(hub):
    """The process that starts sandboxes."""
    server = serving(hub)
    return wait_until(lambda: next((pid for pid in _children(hub) if pid != server), None), 60, "the hub has a runner")


def agent(hub, project_id):
    """PID 1 of a running project's sandbox."""
    outer = int((hub.data / "run" / project_id / "pid").read_text().split()[0])
    with open(f"/proc/{outer}/status", encoding="utf-8") as status:
        if next(line.split()[-1] for line in status if line.startswith("NSpid:")) == "1":
            return outer
    return next(pid for pid, parent in parents().items() if parent == outer)
