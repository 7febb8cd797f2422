# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a hub without an SMTP server has mailed: `cohub mail` reads its queue and its maildir."""
import html
import re

from harness.process import wait_until

ARRIVES_S = 60


def mails(hub, address, category=None):
    """The mails to an address, the newest first, each as `cohub mail show` gives it."""
    listed = [mail for mail in hub.cli("mail", "list") if mail["to"] == address]
    return [hub.cli("mail", "show", mail["id"]) for mail in listed if category in (None, mail.get("category"))]


def mail_to(hub, address):
    """The newest mail to an address, once it is there."""
    return wait_until(lambda: mails(hub, address), ARRIVES_S, f"there is mail to {address}")[0]


def link_in(mail, path):
    """The one link of a mail that leads to a path of the site."""
    [link] = set(re.findall(rf'href="([^"]*{re.escape(path)}[^"]*)"', mail["html"]))
    return html.unescape(link)
