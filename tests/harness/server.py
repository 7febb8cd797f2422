# SPDX-License-Identifier: AGPL-3.0-or-later
"""The process of a hub: its start and end, its data folder, its log and its command line. Only the standard library,
so that the benchmark uses it too."""
import contextlib
import dataclasses
import itertools
import json
import os
import pathlib
import re
import signal
import subprocess
import time

from harness import database
from harness.accounts import Accounts
from harness.process import LineReader, descendants, environments, identities, parents, wait_until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BUILD = pathlib.Path(os.environ.get("COHUB_BUILD") or ROOT / "build").resolve()
COHUB = BUILD / "src" / "cli" / "cohub"

READY_S = 120  # a sanitized hub on a busy machine
STOP_S = 120  # of a sanitized hub whose database does not answer
STOPPED_WELL = 1  # of the projects that run at the end of a hub: each takes a command, and a hub may have hundreds
# What the log of a process that did something forbidden holds.
ALARMS = re.compile(r"ERROR: \w+Sanitizer|runtime error:|Assertion .* failed|SUMMARY: \w+Sanitizer")


@dataclasses.dataclass(frozen=True)
class Account:
    id: str
    email: str
    key: str
    password: str | None = None


class CommandFailed(AssertionError):
    def __init__(self, args, done):
        super().__init__(f"cohub {' '.join(args)} gave {done.returncode}: {done.stderr.strip()}")
        self.returncode, self.stdout, self.stderr = done.returncode, done.stdout, done.stderr


class Server:
    def __init__(self, data, *args, env=None):
        self.data = pathlib.Path(data)
        self.args = list(args)
        self.env = {**os.environ, **(env or {})}
        self.database_url = database.new_url(COHUB)
        if self.database_url:
            self.env.setdefault("COHUB_DATABASE_URL", self.database_url)
        self.data.parent.mkdir(parents=True, exist_ok=True)
        self.log = self.data.parent / "hub.log"
        self.log_checked = 0
        self.process = None
        self.urls = []
        self.numbers = itertools.count(1)
        self.accounts = Accounts(COHUB, self)

    # ---- The process ----

    def start(self, *more):
        """Starts it and waits until it says that it answers. One listener on a free port, if `args` name none."""
        args = [*self.args, *more]
        listen = [] if "--listen" in args else ["--listen", "127.0.0.1:0"]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([COHUB, "serve", "--data", self.data, *listen, *args], env=self.env,
                                            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=log)
        self.urls = self._ready_urls(max(1, args.count("--listen")))
        return self

    def _ready_urls(self, count):
        reader, deadline = LineReader(self.process.stdout), time.monotonic() + READY_S
        urls = []
        while len(urls) < count:
            try:
                line = reader.line(deadline)
            except TimeoutError as late:
                self.process.kill()
                line = f"(not ready: {late})"
            ready = re.fullmatch(r"cohub: ready on (https?://\S+)", line or "")
            if not ready:
                self.process.wait(STOP_S)
                raise AssertionError(f"the hub did not start: {line!r}, exit {self.process.returncode}\n"
                                     + self.log_tail())
            urls.append(ready[1])
        return urls

    @property
    def url(self):
        """The address of the first listener, without a slash at its end."""
        return self.urls[0]

    @property
    def pid(self):
        return self.process.pid

    def running(self):
        return self.process is not None and self.process.poll() is None

    def processes(self):
        """The ids of the hub's own processes and what they started, sandboxes included."""
        return {self.pid} | descendants(self.pid)

    def stop(self):
        """SIGTERM; the exit must be clean. Sandboxes go on."""
        self.accounts.end()
        self.process.terminate()
        self._gone()
        assert self.process.returncode == 0, f"exit {self.process.returncode} after SIGTERM\n{self.log_tail()}"
        self.check_log()

    def kill(self):
        """SIGKILL: as if the machine had lost it. Sandboxes go on."""
        self.process.kill()
        self._gone()

    def restart(self, *more):
        self.stop()
        return self.start(*more)

    def _gone(self):
        try:
            self.process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"still there {STOP_S} s after the signal\n{self.log_tail()}") from None
        finally:
            self.process.stdout.close()
        self.accounts.end()

    def end(self):
        """At the end of its use: stops what runs, the sandboxes too; looks at the exit, the log and what is left."""
        try:
            if self.running():
                started = identities(self.processes())
                self.stop_projects()
                self.stop()
                wait_until(lambda: self._all_ended(started), STOP_S, "the hub's processes are gone")
            elif self.data.exists():
                self.stop_projects()
        finally:
            if self.running():
                self.kill()
        self.check_log()

    def _all_ended(self, started):
        """Whether these have; a project that was about to start may have become one only now, and is stopped, too."""
        left = identities(pid for pid, _ in started) & started
        if left:
            self.stop_projects()
        return not left

    def sandbox(self, project_id):
        """The ids of all processes of a running project: bubblewrap, the agent and what it started. Empty if none runs."""
        try:
            words = (self.data / "run" / project_id / "pid").read_text().split()
        except FileNotFoundError:
            return set()
        if not words:  # its runner was killed before it could say which process it had started
            return {pid for pid, value in environments("COCALC_PROJECT_ID").items() if value == project_id}
        pid, tree = int(words[0]), parents()
        return ({pid} | descendants(pid, tree)) & tree.keys()

    def stop_projects(self):
        if not (self.data / "run").is_dir():
            return
        running = [folder.name for folder in sorted((self.data / "run").iterdir()) if (folder / "agent.sock").exists()]
        for project_id in running[:STOPPED_WELL]:
            self.cli("project", "stop", project_id)
        if len(running) > STOPPED_WELL:
            self._kill_projects(set(running[STOPPED_WELL:]))

    @staticmethod
    def _kill_projects(project_ids):
        for pid, project_id in environments("COCALC_PROJECT_ID").items():
            if project_id in project_ids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    # ---- The log ----

    def log_tail(self, lines=60):
        if not self.log.exists():
            return "(no log)"
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def check_log(self):
        """Fails if a sanitizer or an assertion spoke since the last look."""
        if not self.log.exists():
            return
        with open(self.log, "rb") as log:
            log.seek(self.log_checked)
            new = log.read()
        self.log_checked += len(new)
        text = new.decode(errors="replace")
        alarm = ALARMS.search(text)
        assert not alarm, "the hub's log holds an alarm:\n" + text[max(0, alarm.start() - 500):alarm.start() + 6000]

    # ---- The command line ----

    def cli(self, *args, input=None, check=True):
        """Runs `cohub ARGS --data …`; what it printed as JSON, or None if it printed nothing."""
        done = self.cli_run(*args, input=input)
        if check and done.returncode != 0:
            raise CommandFailed(args, done)
        return json.loads(done.stdout) if done.stdout.strip() else None

    def cli_run(self, *args, input=None):
        return subprocess.run([COHUB, *args, "--data", self.data], env=self.env, input=input, text=True,
                              stdin=subprocess.DEVNULL if input is None else None, capture_output=True, timeout=120)

    def account(self, email=None, password=None, first_name="Ada", last_name="Lovelace", admin=False):
        """A new account with a key; without a password, for that is quick, unless one is given."""
        email = email or f"user{next(self.numbers)}-{os.urandom(4).hex()}@example.org"
        person = {"email_address": email, "first_name": first_name, "last_name": last_name, "password": password,
                  "admin": admin}
        made = self.accounts.make(person)
        if not self.running():  # what looks at or moves the data then finds nobody at it
            self.accounts.end()
        return Account(made["account_id"], made["email_address"], made["api_key"], password)
