# SPDX-License-Identifier: AGPL-3.0-or-later
"""Copies between projects: what is copied where, who may, when, and what became of it."""


def home(hub, project):
    return hub.data / "projects" / project


def test_file(hub, account):
    source, target = hub.project(account), hub.project(account)
    (home(hub, source) / "a.txt").write_text("hello")
    reply = hub.call("copy_path_between_projects", key=account, src_project_id=source, src_path="a.txt",
                     target_project_id=target)
    assert reply == {"event": "success", "id": reply["id"]}
    assert (home(hub, target) / "a.txt").read_text() == "hello"
