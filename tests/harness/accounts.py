# SPDX-License-Identifier: AGPL-3.0-or-later
"""Makes accounts. `cohub account import` stays there between them, for starting a command takes many times as long as what it
does here, most of all one with sanitizers. Only the standard library."""
import json
import subprocess
import threading

ANSWER_S = 120


class Accounts:
    def __init__(self, program, hub):
        self.program, self.hub = program, hub
        self.lock = threading.Lock()
        self.process = None

    def make(self, person):
        """What the command says of a new account; `person` is a line of its input."""
        with self.lock:
            self.process = self.process or self._start()
            self.process.stdin.write(json.dumps(person) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        made = json.loads(line) if line else {"error": f"it ended; {self.hub.log} tells why"}
        assert "error" not in made, f"account import: {person}: {made['error']}"
        return made

    def _start(self):
        with open(self.hub.log, "ab") as log:
            return subprocess.Popen([self.program, "account", "import", "--data", self.hub.data], env=self.hub.env,
                                    stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)

    def end(self):
        """Also fails if anything was wrong with the command itself, a leak for example."""
        with self.lock:
            process, self.process = self.process, None
        if process:
            process.communicate(timeout=ANSWER_S)
            assert process.returncode == 0, f"account import: exit {process.returncode}; {self.hub.log} tells why"
