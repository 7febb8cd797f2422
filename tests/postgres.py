#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Runs a program with a PostgreSQL server of its own: postgres.py PROGRAM ARGUMENT...

The program finds in COHUB_TEST_POSTGRES the URL of an empty database, and may make others.
"""
import os
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.postgres import Cluster


def main(*command):
    with Cluster() as cluster:
        env = {**os.environ, "COHUB_TEST_POSTGRES": cluster.create("test")}
        return subprocess.run(command, env=env).returncode


sys.exit(main(*sys.argv[1:]))
