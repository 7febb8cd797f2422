#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Checks the order of the layers in src/: includes point down only.

Three checks, a line for each thing that is wrong; the exit status is the number of checks that failed. `--count`
prints the number of checks.
"""
import concurrent.futures
import os
import pathlib
import re
import subprocess
import sys

SRC = pathlib.Path(__file__).resolve().parent.parent / "src"

# From the bottom up. A folder may include itself and every folder of a lower row, but for what EXCEPT names. One that is
# in no row belongs to the folder that it is in: svc/tables to svc.
LAYERS = [
    {"base"},
    {"loop"},
    {"db", "proto", "http"},
    {"query", "runner"},
    {"svc"},
    {"api"},
    {"pages", "api/v1", "api/rpc"},
    {"server"},
    {"cli"},
]
# What a folder must not know although it is lower.
EXCEPT = {"query": {"http"}, "runner": {"http"}, "svc": {"http"}}
# Programs of their own, beside the layers: they may include only this, and nobody includes them.
# Of base, the agent has what needs no code.
PROGRAMS = {"agent": {"base/limits.h", "base/macros.h", "proto"}, "jupyter": {"base", "proto"}}

LEVEL = {folder: level for level, folders in enumerate(LAYERS) for folder in folders}
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^">]+)[">]', re.MULTILINE)


def sources():
    return sorted(path for path in SRC.rglob("*.[ch]"))


def includes(path):
    """The (mark, name) pairs of a file's includes, in their order."""
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def folder_of(name):
    """The layer that a path below src/ belongs to, or None."""
    parts = name.split("/")[:-1]
    while parts:
        folder = "/".join(parts)
        if folder in LEVEL or folder in PROGRAMS:
            return folder
        parts.pop()
    return None


def allowed(source, name):
    target = folder_of(name)
    if source == target:
        return True
    if source in PROGRAMS:
        return bool(PROGRAMS[source] & {name, target})
    return target in LEVEL and LEVEL[target] < LEVEL[source] and target not in EXCEPT.get(source, ())


def includes_point_down():
    for path in sources():
        name = path.relative_to(SRC).as_posix()
        folder = folder_of(name)
        if folder is None:
            yield f"{name}: its folder is not in the table of layers"
            continue
        for mark, target in includes(path):
            if mark != '"':
                continue
            if "/" not in target:
                yield f'{name}: "{target}" must be written with its folder'
            elif not allowed(folder, target):
                yield f'{name}: {folder} must not include "{target}"'


def own_header_comes_first():
    for path in sources():
        if path.suffix != ".c" or not path.with_suffix(".h").exists():
            continue
        own = path.with_suffix(".h").relative_to(SRC).as_posix()
        first = next(iter(includes(path)), None)
        if first != ('"', own):
            yield f'{path.relative_to(SRC)}: must include "{own}" first'


def compiler_flags():
    packages = ["gnutls", "libcjson", "libmicrohttpd", "libseccomp", "libsodium", "libpq", "libuv", "libzmq", "sqlite3"]
    flags = subprocess.run(["pkg-config", "--cflags", *packages], check=True, capture_output=True, text=True).stdout
    return ["-std=gnu17", "-D_GNU_SOURCE", "-Wall", "-Werror", f"-I{SRC}", *flags.split()]


def compile_alone(header, flags):
    unit = f'#include "{header.relative_to(SRC).as_posix()}"\n'
    done = subprocess.run(["cc", *flags, "-fsyntax-only", "-x", "c", "-"], input=unit, capture_output=True, text=True)
    return None if done.returncode == 0 else f"{header.relative_to(SRC)} does not compile alone:\n{done.stderr}"


def headers_compile_alone():
    flags = compiler_flags()
    headers = [path for path in sources() if path.suffix == ".h"]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        yield from filter(None, pool.map(lambda header: compile_alone(header, flags), headers))


CHECKS = [includes_point_down, own_header_comes_first, headers_compile_alone]


def main():
    if sys.argv[1:] == ["--count"]:
        print(len(CHECKS))
        return 0
    failed = 0
    for check in CHECKS:
        problems = list(check())
        for problem in problems:
            print(f"{check.__name__}: {problem}")
        failed += bool(problems)
    return failed


sys.exit(main())
