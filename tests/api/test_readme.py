# SPDX-License-Identifier: AGPL-3.0-or-later
"""The calls on README's first screen, run one after another as a newcomer pastes them: each gives what README shows."""
import json
import re

from harness.examples import run, shape
from harness.server import ROOT

BLOCKS = re.compile(r"```sh\n([^`]*)```\n```json\n([^`]*)```")


def test_calls_give_what_readme_shows(hub):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    text = text.replace("sk_abcdefQWERTY090900000000", hub.account().key).replace("http://127.0.0.1:5000", hub.url)
    example_project = re.search(r"PROJECT=([0-9a-f-]{36})", text).group(1)
    blocks = BLOCKS.findall(text)
    assert len(blocks) == 6
    project = ""
    settings = blocks[0][0].split("curl")[0]
    for script, shown in blocks:
        replies = run(settings + script.replace(example_project, project))
        assert [shape(reply) for reply in replies] == [shape(json.loads(line)) for line in shown.splitlines()]
        if "project_id" in replies[0]:  # the first block makes the project that the others use
            project = replies[0]["project_id"]
            settings += f"PROJECT={project}\n"
