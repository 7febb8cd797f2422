# SPDX-License-Identifier: AGPL-3.0-or-later
"""Running documented commands as they stand, and comparing replies in shape."""
import json
import re
import subprocess

UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def shape(value):
    """What stays the same from one run to the next: names and kinds, and the words of `event`."""
    if isinstance(value, dict):
        return {"UUID" if UUID.fullmatch(key) else key: item if key == "event" else shape(item)
                for key, item in value.items()}
    if isinstance(value, list):
        return sorted((shape(item) for item in value), key=repr)  # some come in any order
    return type(value).__name__


def run(script):
    """The JSON values, one a line, that a piece of shell script with curl calls prints."""
    done = subprocess.run(["bash", "-euo", "pipefail", "-c", script], capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    decoder, values, text = json.JSONDecoder(), [], done.stdout.strip()
    while text:
        value, end = decoder.raw_decode(text)
        values.append(value)
        text = text[end:].lstrip()
    return values
