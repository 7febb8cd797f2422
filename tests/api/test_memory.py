# SPDX-License-Identifier: AGPL-3.0-or-later
"""What one caller may have the hub hold in memory, and that others get their turn meanwhile."""
import re

import pytest

from harness import parts
from harness.pending import Pending
from harness.process import stopped, wait_until

NO_MEMORY = {"error": "the server has no memory left for this; try again later"}
MEMORY_MAX = 12_000_000
SHARE = MEMORY_MAX // 4


@pytest.fixture
def small(hub_factory):
    """A hub with little memory, of which a caller gets a quarter."""
    return hub_factory(env={"COHUB_HTTP_MEMORY_MAX": str(MEMORY_MAX)})


def metric(hub, name):
    text = hub.client.get(hub.url + "/metrics").text
    found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.M)
    return float(found[1]) if found else 0


def held(hub):
    return metric(hub, "cohub_memory_bodies_bytes")


def put(hub, project, name, content):
    path = hub.data / "projects" / project / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


# ---- Bodies and replies ----

def test_a_caller_holds_a_share(small):
    """What a call was sent is held once, and as long as it is under way; who has much of that gets no more."""
    account, other = small.account(), small.account()
    project = small.project(account)
    size = 2 * SHARE // 3
    with Pending(small, account) as pending:
        pending.send("project_exec", project_id=project, command=f"touch begun; sleep 600 # {'x' * size}", timeout=600)
        wait_until((small.data / "projects" / project / "begun").exists, 60, "the command runs")
        assert size <= held(small) < size + 200_000
        large = {"id": "x" * size}
        refused = small.api("ping", json=large, key=account)
        assert (refused.status_code, refused.json()) == (503, NO_MEMORY)
        assert small.rpc(account, "system.ping", large) == (503, NO_MEMORY)
        assert small.api("ping", key=account).status_code == 200
        assert small.api("ping", json=large, key=other).json()["event"] == "pong"
    small.cli("project", "stop", project)
    wait_until(lambda: held(small) < 100_000, 60, "it is given back")
    assert small.api("ping", json=large, key=account).status_code == 200


# ---- Files ----

def test_files_are_read_within_the_share(small):
    account = small.account()
    project = small.project(account)
    put(small, project, "large", b"x" * (SHARE + 1))
    put(small, project, "small", b"x" * 300_000)
    read = {"project_id": project, "path": "large"}
    refused = small.api("read_text_file_from_project", json=read, key=account)
    assert (refused.status_code, refused.json()) == (503, NO_MEMORY)
    assert small.rpc(account, "system.readTextFileFromProject", {"path": "large"}, project=project) == (503, NO_MEMORY)
    content = small.call("read_text_file_from_project", key=account, project_id=[project] * 2,
                         path=["large", "small"])["content"]
    assert sorted((one["path"], one.get("error"), len(one.get("content", ""))) for one in content) == \
        [("large", NO_MEMORY["error"], 0), ("small", None, 300_000)]
    wait_until(lambda: held(small) < 100_000, 60, "it is given back")


# ---- Output ----

def printing(size):
    return f"head -c {size} /dev/zero | tr '\\0' x"


def kept(reply):
    """How many characters of output there are, and whether that is all."""
    text = reply["stdout"].rstrip(")")
    return text.count("x"), "truncated" not in text


def test_a_project_keeps_a_quarter_of_all_output(hub, account, project):
    """Beyond it the first 16 KiB of each stream are kept, and other projects have their own."""
    other = hub.account()
    others = hub.project(other)
    with Pending(hub, account) as pending:
        for _ in range(5):
            pending.send("project_exec", project_id=project, command=printing(16 << 20) + "; sleep 600", timeout=600)
        wait_until(lambda: not kept(hub.exec(account, project, printing(100_000)))[1], 120, "all that it may keep is taken")
        assert 16384 <= kept(hub.exec(account, project, printing(100_000)))[0] < 100_000
        assert kept(hub.exec(other, others, printing(100_000))) == (100_000, True)
    hub.cli("project", "stop", project)
    wait_until(lambda: kept(hub.exec(account, project, printing(100_000))) == (100_000, True), 120, "it is given back")


# ---- Turns ----

def test_results_of_one_caller_do_not_hold_up_another(hub, account, project):
    def answered():
        """Whose calls have been answered, in that order."""
        lines = [line for line in hub.log.read_text().splitlines() if " call=read_text_file_from_project " in line]
        return [who for line in lines for who in (account.id, other.id) if f" account={who} " in line]

    other, count = hub.account(), 12
    others = hub.project(other)
    put(hub, project, "nothing", b"\0" * 2_000_000)
    put(hub, others, "nothing", b"\0" * 300_000)
    with Pending(hub, account) as pending, Pending(hub, other) as single:
        with stopped(parts.serving(hub)):  # so that the one comes right behind the many
            for _ in range(count):
                pending.send("read_text_file_from_project", project_id=project, path="nothing")
            call = single.send("read_text_file_from_project", project_id=others, path="nothing")
        assert len(single.replies()[call]["content"]) == 300_000
        wait_until(lambda: other.id in answered(), 60, "it is in the log")
        before = answered().index(other.id)
        assert all(len(reply["content"]) == 2_000_000 for reply in pending.replies(300).values())
    wait_until(lambda: len(answered()) == count + 1, 60, "all are in the log")
    assert before < 2 * count / 3
