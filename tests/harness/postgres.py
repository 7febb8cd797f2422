# SPDX-License-Identifier: AGPL-3.0-or-later
"""A PostgreSQL server of the tests' own: a cluster in a temporary folder, reached by a socket in it, gone with its process.

The server runs as an unprivileged user, as it insists on; it is ended by its process id. It does not wait for the disk: what
it has acknowledged survives its own death, but not the machine's."""
import getpass
import os
import pathlib
import pwd
import shutil
import signal
import subprocess
import tempfile

from harness.process import wait_until

START_S = 120
STOP_S = 120
CONNECT_S = 60
ROLE = "cohub"  # what the hub signs in as: an ordinary role that may make databases
SETTINGS = {"listen_addresses": "", "fsync": "off", "full_page_writes": "off",
            "shared_buffers": "32MB", "max_connections": "300", "autovacuum_naptime": "20s", "jit": "off",
            "log_min_messages": "fatal", "logging_collector": "off", "max_pred_locks_per_transaction": "256"}


def programs():
    """The folder of initdb and postgres: the newest that Debian's packages brought, or the one on PATH."""
    folders = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
    found = shutil.which("postgres")
    if not folders and not found:
        raise FileNotFoundError("there is no PostgreSQL server; see tools/packages/test.txt")
    return folders[-1] if folders else pathlib.Path(found).resolve().parent


def _user():
    """Whom the server runs as."""
    if os.geteuid() != 0:
        return getpass.getuser()
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


class Cluster:
    def __init__(self):
        self.programs = programs()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="cohub-postgres-", dir="/tmp"))
        self.folder.chmod(0o755)  # the hub that connects is yet another user
        self.user = _user()
        if os.geteuid() == 0:
            shutil.chown(self.folder, self.user)
        self.process = None
        self._run("initdb", "--pgdata", self.folder / "data", "--username", "postgres", "--auth", "trust", "--encoding",
                  "UTF8", "--locale", "C.UTF-8", "--no-sync", "--no-instructions")

    # Nothing of the server survives who started it, however that ended.
    def _command(self, program, *args):
        as_user = ["--reuid", self.user, "--regid", str(pwd.getpwnam(self.user).pw_gid), "--clear-groups"]
        return ["setpriv", *(as_user if os.geteuid() == 0 else []), "--pdeathsig", "QUIT",
                self.programs / program, *args]

    def _run(self, program, *args):
        done = subprocess.run(self._command(program, *args), cwd="/", capture_output=True, text=True)
        assert done.returncode == 0, f"{program}: {done.stderr}"

    def start(self):
        settings = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                self._command("postgres", "-D", self.folder / "data", "-k", self.folder, *settings),
                stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")
        wait_until(self._answers, START_S, "the PostgreSQL server answers")
        return self

    def _answers(self):
        assert self.process.poll() is None, self._log()
        return subprocess.run([self.programs / "pg_isready", "-q", "-h", self.folder]).returncode == 0

    def _log(self):
        return (self.folder / "log").read_text(errors="replace")[-2000:]

    def stop(self, how=signal.SIGINT):
        """SIGINT: ends all connections, then itself; SIGQUIT: as if it had crashed."""
        self.process.send_signal(how)
        self.process.wait(STOP_S)

    def restart(self, how=signal.SIGINT):
        self.stop(how)
        return self.start()

    def remove(self):
        if self.process and self.process.poll() is None:
            self.stop()
        shutil.rmtree(self.folder)

    def __enter__(self):
        try:
            self.start()
            self.psql("postgres", f"CREATE ROLE {ROLE} LOGIN CREATEDB", role="postgres")
        except BaseException:
            self.remove()
            raise
        return self

    def __exit__(self, *_):
        self.remove()

    def url(self, database):
        return f"postgresql://{ROLE}@/{database}?connect_timeout={CONNECT_S}&host={self.folder}"

    def psql(self, database, statement, role=ROLE):
        """Runs one statement outside a transaction; the rows as lines of fields with tabs between."""
        done = subprocess.run([self.programs / "psql", "-X", "-q", "-A", "-t", "-F", "\t", "-v", "ON_ERROR_STOP=1", "-h",
                               self.folder, "-U", role, "-d", database, "-c", statement],
                              capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def create(self, database, template=None):
        """A new database; with a template as a copy of that, to which nobody is connected."""
        self.psql("postgres", f"CREATE DATABASE {database}" + (f" TEMPLATE {template}" if template else ""))
        return self.url(database)
