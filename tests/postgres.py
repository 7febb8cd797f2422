#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a program with a PostgreSQL server of its own: postgres.py PROGRAM ARGUMENT...

The program finds in COHUB_TEST_POSTGRES the URL of an empty database, and may make others. By the socket whose descriptor
is COHUB_TEST_POSTGRES_CONTROL it may say one letter and get it back when it is done: `c` the server crashes, `s` it stops,
`g` it starts again.
"""
import os
import pathlib
import signal
import socket
import subprocess
import sys
import threading

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.postgres import Cluster


def obey(cluster, control):
    while letter := control.recv(1):
        if letter == b"g":
            cluster.start()
        else:
            cluster.stop(signal.SIGQUIT if letter == b"c" else signal.SIGINT)
        control.send(letter)


def main(*command):
    ours, theirs = socket.socketpair()
    with Cluster() as cluster, ours:
        env = {**os.environ, "COHUB_TEST_POSTGRES": cluster.create("test"),
               "COHUB_TEST_POSTGRES_CONTROL": str(theirs.fileno())}
        with subprocess.Popen(command, env=env, pass_fds=[theirs.fileno()]) as program:
            theirs.close()
            obeying = threading.Thread(target=obey, args=(cluster, ours))
            obeying.start()
            program.wait()
        obeying.join()
    return program.returncode


sys.exit(main(*sys.argv[1:]))
