# SPDX-License-Identifier: AGPL-3.0-or-later
"""The fixtures themselves: each does what it says, and notices what it is there to notice."""
import json
import os
import re
import signal

import httpx
import pytest

from harness.process import parents


def test_hub_answers_with_a_key(hub):
    reply = hub.call("ping")
    assert reply["event"] == "pong"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", reply["now"])


def test_call_without_authorization_is_refused(hub):
    response = hub.api("ping", key=None)
    assert response.status_code == 400
    assert response.json() == {"error": "You must provide authentication via an API key."}


def test_parameters_as_a_form(hub):
    assert hub.api("ping", form={"id": "seven +/&"}).json()["id"] == "seven +/&"
    assert hub.api("ping", form=b"id=a%20b").json()["id"] == "a b"


def test_accounts_are_their_own(hub):
    one, two = hub.account(first_name="One"), hub.account(first_name="Two", password="a password")
    assert one.id != two.id and one.key != two.key and one.email != two.email
    names = hub.call("get_usernames", key=one, account_ids=[one.id, two.id])["usernames"]
    assert [names[account.id]["first_name"] for account in (one, two)] == ["One", "Two"]


def test_project_runs_a_command(hub, account, project):
    reply = hub.exec(account, project, "echo hello from $PWD")
    assert reply["stdout"] == f"hello from /projects/{project}\n"


def test_restart_keeps_accounts_and_gives_a_new_listener(hub_factory):
    hub = hub_factory()
    account, pid = hub.account(), hub.pid
    hub.restart()
    assert hub.pid != pid
    assert hub.call("ping", key=account)["event"] == "pong"


def test_sandbox_survives_a_killed_hub_and_end_stops_it(hub_factory):
    hub = hub_factory()
    account = hub.account()
    project = hub.project(account)
    hub.exec(account, project, "echo $$ > before")
    hub.kill()
    hub.start()
    assert hub.exec(account, project, "test -s before && echo still here")["stdout"] == "still here\n"
    sandbox = hub.sandbox(project)
    assert len(sandbox) >= 2
    hub.end()
    assert not sandbox & parents().keys()


def test_an_alarm_in_the_log_fails(hub_factory):
    hub = hub_factory(start=False)
    hub.log.write_text("src/x.c:1:2: runtime error: load of misaligned address\n")
    with pytest.raises(AssertionError, match="alarm"):
        hub.check_log()
    hub.check_log()  # told once


def test_an_unclean_exit_fails(hub_factory):
    hub = hub_factory()
    os.kill(hub.pid, signal.SIGKILL)
    with pytest.raises(AssertionError, match="exit -9"):
        hub.stop()


def test_a_hub_that_does_not_start_says_why(hub_factory):
    with pytest.raises(AssertionError, match="did not start"):
        hub_factory("--listen", "nowhere:0")


def test_nginx_in_front(hub, nginx, certificate):
    front = nginx(hub.url)
    plain = httpx.post(f"{front.url}/api/v1/ping", auth=(hub.key, ""), trust_env=False, timeout=60)
    assert plain.json()["event"] == "pong"
    with httpx.Client(verify=certificate[0], trust_env=False, timeout=60) as client:
        tls = client.post(f"{front.tls_url}/api/v1/ping", auth=(hub.key, ""))
    assert tls.json()["event"] == "pong"


def test_the_openapi_validator_tells_right_from_wrong(openapi_errors):
    good = {"openapi": "3.1.0", "info": {"title": "x", "version": "1"}, "paths": {}}
    assert openapi_errors(json.dumps(good)) == ""
    del good["info"]["version"]
    assert "version" in openapi_errors(json.dumps(good))
