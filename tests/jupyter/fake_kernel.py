# SPDX-License-Identifier: AGPL-3.0-or-later
"""A kernel that says what a test wants: it runs the code of an execute_request as Python, with `k` as itself.

    k.iopub("stream", {"name": "stdout", "text": "x"})    what a good kernel would send
    k.iopub(..., parent=..., key=..., raw=...)             what others would

The second argument is a mode: ":" names the sockets as some kernels do, "deaf" never answers, "mute" says nothing on the
iopub channel, "late" only after a while, "record" runs no code, "late stdin" has its stdin channel when it is asked the
first time, or after a while.
"""
import hashlib
import hmac
import json
import os
import signal
import sys
import time

import zmq


class Kernel:
    def __init__(self, file, mode):
        self.mode = mode
        with open(file, encoding="utf-8") as stream:
            self.connection = json.load(stream)
        self.key = self.connection["key"]
        context = zmq.Context()
        self.shell = self.bind(context, zmq.ROUTER, "shell")
        self.publisher = self.bind(context, zmq.PUB, "iopub")
        self.control = self.bind(context, zmq.ROUTER, "control")
        if mode == "late stdin":
            self.shell.poll(500)
        self.stdin = self.bind(context, zmq.ROUTER, "stdin")
        self.parent, self.identity, self.infos = {}, b"", 0
        self.seen = []

    def bind(self, context, kind, name):
        made = context.socket(kind)
        made.linger = 1000
        separator = ":" if self.mode == ":" else "-"
        made.bind(f"ipc://{self.connection['ip']}{separator}{self.connection[name + '_port']}")
        return made

    def frames(self, kind, content, parent=None, key=None, raw=None):
        header = {"msg_id": os.urandom(8).hex(), "session": "s", "username": "u", "date": "2026-01-01T00:00:00Z",
                  "msg_type": kind, "version": "5.3"}
        parent = self.parent if parent is None else parent
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        if raw is not None:
            parts[3] = raw
        mac = hmac.new((key or self.key).encode(), b"".join(parts), hashlib.sha256).hexdigest().encode()
        return [b"<IDS|MSG>", mac, *parts]

    def iopub(self, kind, content, **how):
        if self.mode != "mute":
            self.publisher.send_multipart([b"topic", *self.frames(kind, content, **how)])

    def status(self, state, **how):
        self.iopub("status", {"execution_state": state}, **how)

    def text(self, text, **how):
        self.iopub("stream", {"name": "stdout", "text": text}, **how)

    def reply(self, kind, content, **how):
        self.shell.send_multipart([self.identity, *self.frames(kind, content, **how)])

    def ask(self):
        while self.stdin.poll(0):  # late answers, as kernels do
            self.stdin.recv()
        self.stdin.send_multipart([self.identity, *self.frames("input_request", {"prompt": "?", "password": False})])

    def interrupt_request(self):
        """Waits for one on the control channel."""
        identity, *frames = self.control.recv_multipart()
        assert json.loads(frames[2])["msg_type"] == "interrupt_request"

    def record(self, request):
        """In this mode code is not run: "show" shows what came before it."""
        if request["code"] == "show":
            self.text(json.dumps(self.seen))
        else:
            self.seen.append([request["code"], request["silent"], request["store_history"]])

    def execute(self, request):
        done = {"status": "ok", "execution_count": 1, "user_expressions": {}}
        names = {"k": self, "request": request, "os": os, "signal": signal, "time": time, "zmq": zmq, "json": json}
        try:
            if self.mode == "record":
                self.record(request)
            else:
                exec(request["code"], names)
        except KeyboardInterrupt:
            self.iopub("error", {"ename": "KeyboardInterrupt", "evalue": "", "traceback": []})
            done["status"] = "error"
        if names.get("done", True):
            self.reply("execute_reply", done)
            self.status("idle")

    def serve(self):
        while True:
            self.identity, _, _, header, _, _, content, *_ = self.shell.recv_multipart()
            self.parent = json.loads(header)
            if self.mode == "deaf":
                continue
            self.infos += 1
            if self.mode != "late" or self.infos > 3:
                self.status("busy")
            if self.parent["msg_type"] == "execute_request":
                self.execute(json.loads(content))
            else:
                self.reply("kernel_info_reply", {"status": "ok"})
                if self.mode != "late" or self.infos > 3:
                    self.status("idle")


Kernel(*sys.argv[1:3]).serve()
