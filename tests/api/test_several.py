# SPDX-License-Identifier: AGPL-3.0-or-later
"""Two hubs on one data folder and one PostgreSQL database behave as one; either goes on when the other is killed."""
import concurrent.futures
import contextlib
import os
import pathlib
import re
import signal
import subprocess
import threading
import time

import psycopg2
import pytest

from harness import database, parts, raw
from harness.hub import Hub
from harness.pending import Pending
from harness.process import wait_until
from harness.server import COHUB
from harness.smtp import SmtpServer
from harness.store import execute
from test_keys import answers
from test_quota import limits

pytestmark = pytest.mark.long

SECOND_S = 40  # for what takes milliseconds when nobody else has the machine
IDLE_SOON = {"COHUB_PROJECTS_IDLE_CHECK": "1", "COHUB_PROJECTS_IDLE_GRACE": "1", "COHUB_PROJECTS_MINTIME": "1"}


@pytest.fixture
def hubs(request, tmp_path):
    """hubs(2, env=…): hubs on one data folder and one database; the first is started first."""
    made = request.node.extra_hubs
    url = database.postgres_url(COHUB)

    def make(count=2, env=None, args=(), start=True):
        for number in range(len(made), len(made) + count):
            hub = Hub(tmp_path / "data", *args, env={**(env or {}), "COHUB_DATABASE_URL": url})
            hub.database_url = url
            hub.log = tmp_path / f"hub{number}.log"
            made.append(hub)
            if start:
                hub.start()
        return made[-count:]

    yield make
    for hub in made:
        hub.end()


@pytest.fixture
def two(hubs):
    return hubs()


def state(hub, project):
    return execute(hub, "SELECT state FROM projects WHERE project_id = ?", project)[0][0]


def becomes(hub, project, wanted, timeout_s=60):
    wait_until(lambda: state(hub, project) == wanted, timeout_s, f"the project is {wanted}")


def noted_as_started(hub, project):
    """What a start writes stands after the answer to who caused it; before, a project is taken for one that has been stopped."""
    wait_until(lambda: execute(hub, "SELECT last_started FROM projects WHERE project_id = ?", project)[0][0], 60, "its start is noted")


def gate_of(hub, account, project, name="gate"):
    """A FIFO in the project's home, which a command can read from."""
    assert hub.exec(account, project, f"mkfifo {name}")["exit_code"] == 0
    return hub.data / "projects" / project / name


def reader(hub, account, project, fifo):
    """A command that waits until the test writes into the FIFO, and what is written to."""
    pending = Pending(hub, account)
    pending.send("project_exec", project_id=project, command=f"cat {fifo.name}", bash=True, timeout=100, err_on_exit=False)
    return pending, os.open(fifo, os.O_WRONLY)  # waits for the command


# ---- Accounts ----

def test_an_account_made_through_one_signs_in_at_the_other(two):
    first, second = two
    made = first.call("create_account", key=first.account(admin=True), first_name="Ada", last_name="L", email_address="ada@example.org",
                      password="correct horse", agreed_to_terms=True)
    assert "account_id" in made, made
    reply = second.call("user_auth", key=second.account(admin=True), account_id=made["account_id"], password="correct horse")
    assert "auth_token" in reply, reply
    key = first.cli("key", "create", made["account_id"])["api_key"]
    assert second.call("get_usernames", key=key, account_ids=[made["account_id"]])["usernames"][made["account_id"]]


@pytest.mark.parametrize("how", ["ban", "delete", "key"])
def test_what_ends_at_one_ends_at_the_other(two, how):
    first, second = two
    account = first.account()
    assert answers(first, account.key) == answers(second, account.key) == {(200, None)}  # both know the key
    if how == "ban":
        first.cli("account", "ban", account.id)
    elif how == "delete":
        first.call("delete_account", key=account, account_id=account.id)
    else:
        first.cli("key", "delete", str(first.cli("key", "list", account.id)[0]["id"]))
    wait_until(lambda: 200 not in {status for status, _ in answers(second, account.key)}, SECOND_S, "the other hub knows")


def test_limits_hold_over_both(two):
    """Guesses of a password count together: five are judged, whichever hub they are sent to."""
    account = two[0].account(password="correct horse")
    replies = [two[i % 2].call("change_email_address", key=account, account_id=account.id, password=f"guess {i}",
                               new_email_address="new@example.org") for i in range(7)]
    refused = [reply["error"] for reply in replies]
    assert len(set(refused[:5])) == 1 and "too many" not in refused[0].lower(), refused
    assert set(refused[5:]) and set(refused[5:]).isdisjoint(refused[:5]), refused


def test_a_key_deleted_while_the_other_hears_nothing(two):
    """The other's listener is cut off, and the database takes no more connections."""
    first, second = two
    account = first.account()
    assert answers(second, account.key) == {(200, None)}  # it knows the key
    name = execute(first, "SELECT current_database()")[0][0]
    lost = second.log.read_text().count("database_lost")
    with contextlib.closing(psycopg2.connect(first.database_url)) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 1")
        cursor.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                       " WHERE datname = current_database() AND query LIKE 'LISTEN%'")
        try:
            wait_until(lambda: second.log.read_text().count("database_lost") > lost, SECOND_S, "the other has noticed")
            cursor.execute("DELETE FROM api_keys WHERE account_id = %s", (account.id,))
            assert (200, None) not in answers(second, account.key)
        finally:
            cursor.execute(f"ALTER DATABASE {name} CONNECTION LIMIT -1")


def test_settings_that_could_not_be_read_are_read_again(hubs):
    [hub] = hubs(1)
    account = hub.account()
    execute(hub, "ALTER TABLE server_settings RENAME TO away")
    execute(hub, "SELECT pg_notify('cohub', '0123456789abcdef 1')")  # another's word that they have changed
    wait_until(lambda: "settings_not_read" in hub.log.read_text(), SECOND_S, "the hub has tried")
    execute(hub, "ALTER TABLE away RENAME TO server_settings")
    execute(hub, "INSERT INTO server_settings (name, value) VALUES ('site_name', 'Ours')")
    wait_until(lambda: hub.method(account, "system.getCustomize", ["siteName"]) == {"siteName": "Ours"}, SECOND_S, "it has it")


# ---- Projects ----

def test_a_project_that_one_started_is_used_by_the_other(two):
    first, second = two
    account = first.account()
    project = first.project(account)
    first.exec(account, project, "echo kept > /tmp/seen")
    assert second.exec(account, project, "cat /tmp/seen")["stdout"] == "kept\n"  # the same sandbox


def test_started_by_both_at_once_it_runs_once(two):
    account = two[0].account()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            project = two[0].project(account)
            ran = list(pool.map(lambda i, project=project: two[i % 2].exec(account, project, "readlink /proc/self/ns/pid")
                                ["stdout"], range(8)))
            assert len(set(ran)) == 1, ran
            becomes(two[0], project, "running")


def test_a_job_that_one_started_is_read_and_awaited_at_the_other(two):
    account = two[0].account()
    project = two[0].project(account)
    call = lambda hub, **parameters: hub.method(account, "system.exec", parameters, project=project)
    start = call(two[0], command="echo begun; until [ -e go ]; do sleep 0.05; done; echo done; exit 3", async_call=True,
                 err_on_exit=False)
    job = start["job_id"]
    wait_until(lambda: call(two[1], async_get=job)["stdout"], SECOND_S, "the other hub sees what it has written")
    assert call(two[1], async_get=job) == {**start, "stdout": "begun\n"}
    two[0].kill()
    (two[0].data / "projects" / project / "go").touch()
    end = call(two[1], async_get=job, async_await=True)
    assert end.pop("elapsed_s") > 0
    assert end == {**start, "stdout": "begun\ndone\n", "exit_code": 3, "status": "completed"}


def test_a_job_that_one_started_keeps_the_project_from_being_idle_for_the_other(hubs):
    first, = hubs(1)
    second, = hubs(1, env=IDLE_SOON)  # only this one looks
    account = first.account()
    project, witness = first.project(account), first.project(account)
    first.method(account, "system.exec", {"command": "sleep 45678", "async_call": True, "timeout": 0}, project=project)
    noted_as_started(first, project)
    first.kill()
    execute(first, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    second.exec(account, witness, "true")
    noted_as_started(second, witness)
    becomes(second, witness, "opened")
    assert state(second, project) == "running"


def test_stopped_by_one_it_ends_for_the_other(two):
    first, second = two
    account = first.account()
    project = first.project(account)
    pending, gate = reader(first, account, project, gate_of(first, account, project))
    second.exec(account, project, "true")
    second.call("query", key=account, query={"projects": {"project_id": project, "action_request": {"action": "stop"}}})
    (reply,) = pending.replies().values()
    os.close(gate)
    assert reply["event"] == "error" and "stop" in reply["error"], reply
    becomes(first, project, "opened")
    assert not first.sandbox(project)


def test_stopped_and_started_in_turns_its_record_is_right(two):
    """The end that one hub sees late does not undo that the other has started it again."""
    account = two[0].account()
    project = two[0].project(account)
    for turn in range(10):
        user, other = two[turn % 2], two[1 - turn % 2]
        assert user.exec(account, project, "echo here")["stdout"] == "here\n"
        assert other.exec(account, project, "echo there")["stdout"] == "there\n"
        other.cli("project", "stop", project)
        assert user.exec(account, project, "echo again")["stdout"] == "again\n"
        becomes(user, project, "running")
    both = [hub.exec(account, project, "true")["exit_code"] for hub in two]
    assert both == [0, 0] and state(two[0], project) == "running"


def test_limits_given_through_one_hold_in_what_the_other_started(two):
    first, second = two
    account = first.account()
    project = first.project(account)
    second.cli("upgrades", "set", account.id, "cores=2")
    first.exec(account, project, "true")
    upgrades = {account.id: {"upgrades": {"cores": 1}}}
    reply = second.call("query", key=account, query={"projects": {"project_id": project, "users": upgrades}})
    assert reply["event"] == "query", reply
    # What a host that cannot limit processors says about it is seen by both as well.
    wait_until(lambda: first.cli("project", "show", project)["run_quota"]["cpu_limit"] == 2, 60, "the quota in effect is larger")
    wait_until(lambda: "cpu" in first.cli("project", "show", project)["status"]["not_enforced"]
               or any(limits(first, project).get(name) == 200000 for name in ("cpu.cfs_quota_us", "cpu.max")), 60,
               "the running sandbox is held to it")


def test_not_stopped_for_being_idle_while_the_other_uses_it(hubs):
    first, = hubs(1)
    second, = hubs(1, env=IDLE_SOON)  # only this one looks
    account = first.account()
    project = first.project(account)
    pending, gate = reader(first, account, project, gate_of(first, account, project))
    execute(first, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    witness = first.project(account)
    second.exec(account, witness, "true")
    noted_as_started(second, witness)
    becomes(first, witness, "opened")
    assert state(first, project) == "running"
    os.write(gate, b"done")
    os.close(gate)
    (reply,) = pending.replies().values()
    assert reply["stdout"] == "done"
    execute(first, "UPDATE projects SET last_edited = 1 WHERE project_id = ?", project)
    becomes(first, project, "opened")


def test_a_hub_that_starts_disturbs_nothing(hubs):
    first, = hubs(1)
    account = first.account()
    project = first.project(account)
    pending, gate = reader(first, account, project, gate_of(first, account, project))
    second, = hubs(1)
    second.stop()
    second.start()
    assert state(first, project) == "running"
    os.write(gate, b"done")
    os.close(gate)
    (reply,) = pending.replies().values()
    assert reply["stdout"] == "done"


def test_the_hub_that_started_it_is_killed(two):
    first, second = two
    account = first.account()
    project = first.project(account)
    pending, gate = reader(second, account, project, gate_of(first, account, project))
    first.kill()
    os.write(gate, b"done")
    os.close(gate)
    (reply,) = pending.replies().values()
    assert reply["stdout"] == "done"
    groups = control_groups(second, project)
    second.cli("project", "stop", project)
    becomes(second, project, "opened")
    assert not second.sandbox(project)
    assert second.exec(account, project, "echo again")["stdout"] == "again\n"
    becomes(second, project, "running")
    wait_until(lambda: not any(group.exists() for group in groups), 60, "the control groups are gone")


def control_groups(hub, project):
    """The folders of the groups that were made for a running project's sandbox."""
    (name,) = {path.split("/")[-1] for path in
               (pathlib.Path(f"/proc/{max(hub.sandbox(project))}/cgroup").read_text().split()) if "/cohub-" in path} or {None}
    return [pathlib.Path(folder, name) for folder, folders, _ in os.walk("/sys/fs/cgroup")  # others come and go meanwhile
            if name in folders and "/cohub-" in folder]


def test_a_start_whose_hub_is_gone_is_ended_by_the_other(hubs):
    hub, _ = hubs(env={**IDLE_SOON, "COHUB_PROJECTS_START_TIMEOUT": "1"})
    project = hub.project(hub.account())
    execute(hub, "UPDATE projects SET state = 'starting', state_time = 1 WHERE project_id = ?", project)
    becomes(hub, project, "opened")


def test_a_start_under_way_is_not_disturbed_by_a_hub_that_starts(hubs):
    first, = hubs(1)
    project = first.project(first.account())
    execute(first, "UPDATE projects SET state = 'starting', state_time = ? WHERE project_id = ?", time.time_ns() // 10**6, project)
    second, = hubs(1)
    other = second.project(second.account())
    second.exec(second.account(admin=True), other, "true")
    becomes(second, other, "running")  # what it wrote at its start stands before that
    assert state(first, project) == "starting"


def test_what_is_written_through_one_counts_at_the_other(hubs):
    first, second = hubs(env={"COHUB_PROJECTS_DISK_QUOTA": "4"})
    account = first.account()

    def write(hub, project, name, size):
        return hub.call("write_text_file_to_project", key=account, project_id=project, path=name, content="x" * size)

    def is_refused():
        project = first.project(account)
        assert write(second, project, "small", 1)["event"] != "error"  # now it knows how much there is
        for number in range(3):
            write(first, project, f"large{number}", 1900000)
        assert write(first, project, "more", 1900000)["event"] == "error"
        wait_until(lambda: (execute(first, "SELECT disk_size FROM projects WHERE project_id = ?", project)[0][0] or 0) > 3000000,
                   60, "the size is recorded")
        return write(second, project, "more", 1900000)["event"] == "error"

    # A hub that took long to measure, as on a busy machine, does not do so again while somebody waits.
    assert any(is_refused() for _ in range(4))


def test_licences_are_given_back_once(two):
    first, second = two
    account = first.account()
    license_id = first.cli("license", "create", "--title", "T", "--memory", "100")["id"]
    project = first.project(account, license=license_id)
    for hub, other in (two, two[::-1]):
        hub.exec(account, project, "true")
        other.exec(account, project, "true")
        hub.cli("project", "stop", project)
        becomes(hub, project, "opened")
    wait_until(lambda: not execute(first, "SELECT 1 FROM site_license_usage_log WHERE stop IS NULL"), 60, "none is in use")
    assert execute(first, "SELECT count(*) FROM site_license_usage_log WHERE project_id = ?", project)[0][0] == 2


# ---- Copies ----

def copy_pair(hub, account):
    source, target = hub.project(account), hub.project(account)
    hub.exec(account, source, "echo text > file")
    return dict(src_project_id=source, src_path="file", target_project_id=target)


def test_a_scheduled_copy_runs_once(two):
    first, second = two
    account = first.account()
    wanted = copy_pair(first, account)
    ids = [two[i % 2].call("copy_path_between_projects", key=account, scheduled="2020-01-01", target_path=f"file{i}",
                           **wanted)["copy_path_id"] for i in range(6)]
    for copy_id in ids:
        wait_until(lambda copy_id=copy_id: "finished" in second.call("copy_path_status", key=account, copy_path_id=copy_id)
                   ["data"], 120, "the copy has finished")
    assert {row[0] for row in execute(first, "SELECT attempts FROM copy_paths")} == {1}


def test_a_call_that_waits_is_answered_although_the_other_ran_the_copy(hubs):
    """The first hub has one slot, which a copy holds whose runner stands still; the second takes what waits."""
    first, = hubs(1, env={"COHUB_PROJECTS_COPIES": "1"})
    account = first.account()
    wanted = copy_pair(first, account)
    runner = parts.runner(first)
    os.kill(runner, signal.SIGSTOP)  # so that the first copy holds the only slot
    try:
        with Pending(first, account) as held, Pending(first, account) as pending:
            held.send("copy_path_between_projects", **wanted, target_path="held")
            wait_until(lambda: execute(first, "SELECT 1 FROM copy_paths WHERE claimed_by IS NOT NULL"), 60, "it runs")
            pending.send("copy_path_between_projects", **wanted, target_path="waited")
            wait_until(lambda: execute(first, "SELECT 1 FROM copy_paths WHERE target_path = 'waited'"), 60, "it is noted")
            hubs(1, env={"COHUB_PROJECTS_COPIES": "1"})
            (reply,) = pending.replies(180).values()
            assert reply["event"] == "success", reply
            os.kill(runner, signal.SIGCONT)
            (reply,) = held.replies().values()
            assert reply["event"] == "success", reply
    finally:
        os.kill(runner, signal.SIGCONT)


def test_the_copies_of_a_killed_hub_are_taken_over(hubs):
    first, = hubs(1)
    account = first.account()
    wanted = copy_pair(first, account)
    os.kill(parts.runner(first), signal.SIGSTOP)
    copy_id = first.call("copy_path_between_projects", key=account, wait_until_done=False, **wanted)["copy_path_id"]
    wait_until(lambda: execute(first, "SELECT 1 FROM copy_paths WHERE claimed_by IS NOT NULL"), 60, "it runs")
    held = parts.runner(first)
    second, = hubs(1)
    first.kill()
    with contextlib.suppress(ProcessLookupError):
        os.kill(held, signal.SIGCONT)
    # It is not touched while the claim holds; so the test lets it end.
    execute(second, "UPDATE copy_paths SET claimed_until = 1")
    wait_until(lambda: "finished" in second.call("copy_path_status", key=account, copy_path_id=copy_id)["data"], 120,
               "the other hub has made the copy")
    assert (second.data / "projects" / wanted["target_project_id"] / "file").read_text() == "text\n"


# ---- Starting ----

def test_hubs_that_start_at_once_share_a_new_database_and_secret(request, tmp_path):
    url = database.postgres_url(COHUB, empty=True)
    hubs = [Hub(tmp_path / "data", env={"COHUB_DATABASE_URL": url}) for _ in range(4)]
    for number, hub in enumerate(hubs):
        hub.database_url, hub.log = url, tmp_path / f"hub{number}.log"
    request.node.extra_hubs.extend(hubs)
    with concurrent.futures.ThreadPoolExecutor(len(hubs)) as pool:
        list(pool.map(lambda hub: hub.start(), hubs))
    try:
        account = hubs[0].account()
        assert all(hub.call("ping", key=account)["event"] == "pong" for hub in hubs)
        assert {answer for hub in hubs for answer in answers(hub, account.key)} == {(200, None)}
    finally:
        for hub in hubs:
            hub.end()


def test_a_second_hub_on_sqlite_is_refused(request, tmp_path):
    env = {"COHUB_DATABASE_URL": ""}
    first = Hub(tmp_path / "data", env=env)
    request.node.extra_hubs.append(first)
    first.database_url = None
    first.start()
    try:
        done = subprocess.run([COHUB, "serve", "--data", first.data, "--listen", "127.0.0.1:0"], env=first.env, timeout=120,
                              capture_output=True, text=True)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.splitlines()[-1] == ("cohub: another hub serves this data folder, or it is being migrated; several "
                                                "hubs need one PostgreSQL database"), done.stderr
        assert first.call("ping")["event"] == "pong"
        assert (first.data / "run" / "url").read_text() == first.url
    finally:
        first.end()


# ---- Mail ----

def test_mail_is_sent_once(hubs):
    smtp = SmtpServer()
    try:
        pair = hubs(env={"COHUB_MAIL_URL": smtp.url})
        account = pair[0].account()
        for i in range(6):
            hub = pair[i % 2]
            reply = hub.call("invite_noncloud_collaborators", key=account, project_id=hub.project(account),
                             to=f"guest{i}@example.org", email="Join us", title="T", link2proj="https://x.example")
            assert reply["event"] == "invite_noncloud_collaborators_resp", reply
        wait_until(lambda: not execute(hub, "SELECT 1 FROM mail WHERE sent IS NULL"), 120, "all mail has been sent")
        recipients = [mail.recipients for mail in smtp.received]
        assert sorted(recipients) == [[f"guest{i}@example.org"] for i in range(6)]
    finally:
        for hub in pair:
            hub.end()
        smtp.stop()


# ---- Behind one address ----

def test_nginx_in_front_of_both(two, nginx):
    """As docs/operating.md shows. With one hub gone the other answers all."""
    first, second = two
    account = first.account()
    project = first.project(account)
    both = " ; server ".join(hub.url.split("//")[1] for hub in two)
    front = nginx(f"http://{both}")

    def call(event, **parameters):
        reply = second.client.post(f"{front.url}/api/v1/{event}", json=parameters, auth=(account.key, ""))
        return reply.status_code, reply.json()["event"] if reply.status_code == 200 else reply.text

    assert {call("ping") for _ in range(10)} == {(200, "pong")}
    calls = [sum(float(line.split()[-1]) for line in hub.client.get(f"{hub.url}/metrics").text.splitlines()
                 if "_count{event=\"ping\"}" in line) for hub in two]
    assert all(calls), calls
    first.kill()
    # A call on a connection that dies is not sent again, as it may have been carried out.
    wait_until(lambda: {call("ping") for _ in range(10)} == {(200, "pong")}, SECOND_S, "nginx has seen it")
    assert {call("project_exec", project_id=project, command="true") for _ in range(10)} == {(200, "project_exec_output")}


def test_doctor_looks_at_the_server(two):
    (line,) = [line for line in two[0].cli_run("doctor").stdout.splitlines() if " database " in line]
    assert re.fullmatch(r"ok +database +PostgreSQL \S+.*, version \d+; a hub opens at most 73 of its \d+ connections", line)


def test_a_command_that_names_no_database_is_refused(hubs):
    """Where hubs use PostgreSQL: it would read and write a file of its own."""
    hub, = hubs(1)
    lonely = Hub(hub.data)
    lonely.env.pop("COHUB_DATABASE_URL", None)
    done = lonely.cli_run("account", "list")
    assert done.returncode == 1 and "the hub of this data folder uses postgresql; name its database" in done.stderr
    assert not (hub.data / "hub.sqlite3").exists()
    hub.stop()
    with pytest.raises(AssertionError, match="uses postgresql"):
        lonely.start()


def test_a_key_of_a_project_ends_on_all_hubs(two):
    """Though each remembers it."""
    account, other = two[0].account(), two[0].account()
    project = two[0].project(account)
    two[0].call("invite_collaborator", key=account, project_id=project, account_id=other.id)
    key = two[1].cli("key", "create", other.id, "--project", project)["api_key"]
    for hub in two * 4:
        assert hub.method(key, "system.test", {}, project="")["project_id"] == project
    two[0].call("remove_collaborator", key=account, project_id=project, account_id=other.id)
    for hub in two:
        wait_until(lambda: hub.rpc(key, "system.test", {}, project="")[1] == {"error": "must sign in as project or account"},
                   SECOND_S, "the key is refused")
    assert len(two[0].cli("key", "list", other.id)) == 1


def test_a_browser_is_signed_in_on_all_hubs(two):
    account = two[0].account(password="the password")
    token = two[0].method(account, "system.generateUserAuthToken", {"user_account_id": account.id, "password": "the password"})
    value = two[0].client.get(f"{two[0].url}/auth/impersonate", params={"auth_token": token}).cookies["remember_me"]

    def page_of(hub):
        return hub.client.get(f"{hub.url}/auth/impersonate", headers={"Cookie": f"remember_me={value}"}).status_code

    assert page_of(two[1]) == 200
    two[0].call("change_password", key=account, account_id=account.id, old_password="the password", new_password="another one")
    assert page_of(two[1]) == 400


def test_a_key_is_forgotten_while_it_is_used(hubs):
    """Every change of a key has all hubs forget what they remember of keys, between any two steps of a call."""
    hub, = hubs(1)
    account = hub.account()
    [made] = hub.method(account, "system.manageApiKeys", {"action": "create"})
    pings = raw.request("/api/conat/hub", account.key, b'{"name":"system.ping"}', Content_Type="application/json") * 50
    changed = threading.Event()

    def ping():
        count = 0
        with raw.Raw(hub.url) as connection:
            while not changed.is_set():
                connection.send(pings)
                for _ in range(50):
                    assert connection.reply().body.startswith(b'{"now":')
                    count += 1
        return count

    with concurrent.futures.ThreadPoolExecutor() as pool:
        callers = [pool.submit(ping) for _ in range(6)]
        try:
            for _ in range(400):
                hub.method(account, "system.manageApiKeys", {"action": "edit", "id": made["id"], "expire": None})
        finally:
            changed.set()
        assert all(caller.result() for caller in callers)
    assert hub.running()
