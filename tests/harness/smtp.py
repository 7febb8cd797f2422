# SPDX-License-Identifier: AGPL-3.0-or-later
"""A real SMTP server in a thread of the test, by aiosmtpd, that does to a recipient what the test tells it to."""
import asyncio
import dataclasses
import email
import email.policy
import ssl
import threading

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword

START_S = 60


@dataclasses.dataclass
class Received:
    sender: str
    recipients: list
    content: bytes  # as it came, dots taken away again
    encrypted: bool
    user: str | None

    @property
    def message(self):
        return email.message_from_bytes(self.content.replace(b"\r\n", b"\n"), policy=email.policy.default)

    def part(self, subtype):
        """The text of the part text/SUBTYPE."""
        return next(part.get_content() for part in self.message.walk() if part.get_content_type() == f"text/{subtype}")


class _Protocol(SMTP):
    """Counts connections."""

    def __init__(self, server, *args, **options):
        self.server = server
        super().__init__(*args, **options)

    def connection_made(self, transport):
        first = self.transport is None  # else STARTTLS is over
        if first:
            self.server.connections += 1
            self.server.open += 1
            self.server.open_most = max(self.server.open_most, self.server.open)
        self.server.transports.add(transport)
        super().connection_made(transport)

    def connection_lost(self, error):
        self.server.open -= 1
        super().connection_lost(error)


class SmtpServer:
    """mode: "plain", "starttls" (offered), "starttls-only" (demanded) or "smtps". `port` of an earlier one, or a free one.

    rules[address] is what happens to mail for it: "refuse" (550), "later" (451), "stall" (no answer, ever), "die" (the
    connection ends in the middle of the message), "reject" (554 to the whole message). Else it is accepted.
    """

    def __init__(self, mode="plain", certificate=None, user=None, password=None, port=0):
        self.mode, self.user, self.password, self.port = mode, user, password, port
        self.rules, self.received, self.asked, self.transports = {}, [], [], set()
        self.connections = self.open = self.open_most = 0
        self.context = None
        if mode != "plain":
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*certificate)
        self.loop = asyncio.new_event_loop()
        self.listener = None
        self.ready = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()
        assert self.ready.wait(START_S), "the SMTP server did not start"

    @property
    def url(self):
        return f"{'smtps' if self.mode == 'smtps' else 'smtp'}://localhost:{self.port}"

    def to(self, address):
        """What was accepted for this address."""
        return [mail for mail in list(self.received) if mail.recipients == [address]]

    def stop(self):
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(START_S)
        assert not self.thread.is_alive()

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.listener = self.loop.run_until_complete(self.loop.create_server(
            self._protocol, "127.0.0.1", self.port, ssl=self.context if self.mode == "smtps" else None))
        self.port = self.listener.sockets[0].getsockname()[1]
        self.ready.set()
        self.loop.run_forever()
        self.listener.close()
        for transport in self.transports:
            if not transport.is_closing():  # one with TLS that is cannot be asked for more
                transport.abort()
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        self.loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
        self.loop.close()

    def _protocol(self):
        return _Protocol(self, self, hostname="mail.example.com", loop=self.loop,
                         tls_context=self.context if self.mode.startswith("starttls") else None,
                         require_starttls=self.mode == "starttls-only", authenticator=self._authenticate,
                         auth_required=self.user is not None, auth_require_tls=False)

    def _authenticate(self, _server, _session, _envelope, _mechanism, data):
        good = isinstance(data, LoginPassword) and (data.login.decode(), data.password.decode()) == (self.user, self.password)
        return AuthResult(success=good, handled=False, auth_data=data)

    # ---- What aiosmtpd asks ----

    async def handle_RCPT(self, _server, _session, envelope, address, _options):
        self.asked.append(address)
        rule = self.rules.get(address)
        if rule == "refuse":
            return "550 5.1.1 nobody here by that name"
        if rule == "later":
            return "451 4.3.0 come back later"
        if rule == "stall":
            await asyncio.Event().wait()
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        rule = self.rules.get(envelope.rcpt_tos[0])
        if rule == "die":
            server.transport.abort()
            return "250 never seen"
        if rule == "reject":
            return "554 5.6.0 not this"
        login = session.auth_data
        self.received.append(Received(envelope.mail_from, envelope.rcpt_tos, envelope.content, session.ssl is not None or
                                      self.mode == "smtps", login.login.decode() if login else None))
        return "250 taken"
