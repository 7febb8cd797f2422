#!/usr/bin/python3
# SPDX-License-Identifier: AGPL-3.0-or-later
"""Counts test results: `tally.py meson TESTLOG.json` or `tally.py junit REPORT.xml` prints "PASSED FAILED".

Whatever is not a plain pass is a failure, skipped tests and an empty or missing report included.
"""
import json
import sys
import xml.etree.ElementTree as xml


def meson(path):
    with open(path, encoding="utf-8") as lines:
        return [json.loads(line)["result"] == "OK" for line in lines]


def junit(path):
    return [len(case.findall("failure") + case.findall("error") + case.findall("skipped")) == 0
            for case in xml.parse(path).iter("testcase")]


def main():
    kind, path = sys.argv[1:]
    try:
        results = {"meson": meson, "junit": junit}[kind](path)
    except (OSError, ValueError, xml.ParseError) as error:
        print(f"no test results: {error}", file=sys.stderr)
        results = []
    if not results:
        results = [False]
    print(results.count(True), results.count(False))


main()
