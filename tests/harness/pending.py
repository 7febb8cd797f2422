# SPDX-License-Identifier: AGPL-3.0-or-later
"""Many calls of API v1 at once from one thread: each has a connection, on which nothing but it is sent."""
import json
import selectors
import socket
import time
from urllib.parse import urlsplit

from harness import raw

REPLY_S = 120


class Pending:
    """Calls that were sent and not answered. Answers may come in any order."""

    def __init__(self, hub, account):
        self.address = urlsplit(hub.url)
        self.key = account.key
        self.calls = {}  # by socket, what came so far
        self.selector = selectors.DefaultSelector()

    def send(self, event, **parameters):
        """Sends one call, and gives the socket that stands for it."""
        request = raw.request(f"/api/v1/{event}", self.key, json.dumps(parameters).encode(), Connection="close",
                              Content_Type="application/json")
        call = socket.create_connection((self.address.hostname, self.address.port))
        call.sendall(request)
        self.calls[call] = b""
        self.selector.register(call, selectors.EVENT_READ)
        return call

    def replies(self, timeout_s=REPLY_S):
        """The replies to all calls: {socket: object}, None for a connection that ended without a whole one."""
        deadline, done = time.monotonic() + timeout_s, {}
        while self.calls:
            ready = self.selector.select(max(0, deadline - time.monotonic()))
            assert ready, f"{len(self.calls)} calls without an answer after {timeout_s} s"
            for key, _ in ready:
                self._read(key.fileobj, done)
        return done

    def _read(self, call, done):
        try:
            more = call.recv(1 << 20)
        except ConnectionResetError:
            more = b""
        if more:
            self.calls[call] += more
            return
        self.selector.unregister(call)
        call.close()
        head, _, body = self.calls.pop(call).partition(b"\r\n\r\n")
        done[call] = json.loads(body) if b"HTTP/1.1 200" in head and body.endswith(b"}") else None

    def close(self):
        for call in self.calls:
            call.close()
        self.calls = {}
        self.selector.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()
