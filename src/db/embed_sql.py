# SPDX-License-Identifier: AGPL-3.0-or-later
"""Writes the SQL files of one dialect as a C table: embed_sql.py DIALECT OUTPUT FILE...

The files are named NNNN_words.sql and numbered from 0001 without a gap. Texts become arrays of
numbers, because a C compiler need not take string literals of more than 4095 characters.
"""
import pathlib
import sys


def array(number, text):
    numbers = ",".join(str(byte) for byte in text + b"\0")
    return f"static const char sql_{number}[] = {{{numbers}}};\n"


def main(dialect, output, *names):
    files = sorted((pathlib.Path(name) for name in names), key=lambda file: file.name)
    for number, file in enumerate(files, 1):
        if not file.name.startswith(f"{number:04d}_"):
            sys.exit(f"{file}: expected number {number:04d}")
    texts = [file.read_bytes() for file in files]
    for file, text in zip(files, texts):
        if max(text) > 126 or min(text) < 9:
            sys.exit(f"{file}: ASCII only")
    rows = "".join(f'    {{"{file.stem}", sql_{i}}},\n' for i, file in enumerate(files, 1))
    pathlib.Path(output).write_text(
        '#include "db/migrations.h"\n\n'
        + "".join(array(i, text) for i, text in enumerate(texts, 1))
        + f"const struct db_migration db_migrations_{dialect}[] = {{\n{rows}}};\n"
        + f"const size_t db_migrations_{dialect}_count = {len(files)};\n"
    )


main(*sys.argv[1:])
