# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes text files as C arrays named docs_text_STEM_SUFFIX: embed.py OUTPUT FILE...

Arrays of numbers, because a C compiler need not take string literals of more than 4095 characters.
"""
import pathlib
import sys


def array(path):
    text = path.read_bytes()
    if max(text) > 126 or 0 in text:
        sys.exit(f"{path}: ASCII only")
    numbers = ",".join(str(byte) for byte in text.rstrip(b"\n") + b"\0")
    return f"const char docs_text_{path.name.replace('.', '_')}[] = {{{numbers}}};\n"


def main(output, *names):
    arrays = "".join(array(pathlib.Path(name)) for name in names)
    pathlib.Path(output).write_text('#include "api/docs_internal.h"\n\n' + arrays)


main(*sys.argv[1:])
