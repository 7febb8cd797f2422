# SPDX-License-Identifier: AGPL-3.0-or-later
"""HTTP as bytes on a socket, for what a well-behaved client never sends."""
import base64
import dataclasses
import socket
import ssl
import urllib.parse

TIMEOUT_S = 60


@dataclasses.dataclass
class Reply:
    status: int
    headers: dict  # names in lower case
    body: bytes


def basic(key):
    return "Basic " + base64.b64encode(f"{key}:".encode()).decode()


def request(path, key=None, body=b"", method="POST", **headers):
    """The bytes of one request. Header names come with '_' for '-'; a value None leaves a header out."""
    fields = {"Host": "localhost", "Content-Length": str(len(body))}
    if key is not None:
        fields["Authorization"] = basic(key)
    fields.update({name.replace("_", "-"): value for name, value in headers.items()})
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items() if value is not None)]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


class Raw:
    """One connection to a hub, for `with`."""

    def __init__(self, url, tls=False, receive_buffer=None):
        where = urllib.parse.urlsplit(url)
        self.socket = socket.socket(socket.AF_INET6 if ":" in where.hostname else socket.AF_INET)
        self.socket.settimeout(TIMEOUT_S)
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.connect((where.hostname, where.port))
        if tls:
            context = ssl.create_default_context()
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data)
        return self

    def _more(self):
        try:
            piece = self.socket.recv(65536)
        except ConnectionResetError:
            piece = b""
        self.rest += piece
        return piece

    def reply(self):
        """The next reply, which has a Content-Length; None if the connection ends before it is whole."""
        while b"\r\n\r\n" not in self.rest:
            if not self._more():
                return None
        head, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, value in (line.split(":", 1) for line in lines)}
        status, size = int(first.split()[1]), int(headers.get("content-length", 0))
        if status == 100:
            return self.reply()
        while len(self.rest) < size:
            if not self._more():
                return None
        body, self.rest = self.rest[:size], self.rest[size:]
        return Reply(status, headers, body)

    def closed(self):
        """Waits for the end of the connection; True if nothing came before it."""
        while self._more():
            pass
        return not self.rest
