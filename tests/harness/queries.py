# SPDX-License-Identifier: AGPL-3.0-or-later
"""User queries as one-liners: what comes of one, or the text that it is refused with."""


def send(hub, key, query, options=..., **parameters):
    if options is not ...:
        parameters["options"] = options
    return hub.call("query", key=key, query=query, **parameters)


def result(hub, key, query, options=..., **parameters):
    """RESULT of a query that works."""
    reply = send(hub, key, query, options, **parameters)
    assert reply["event"] == "query", reply
    return reply["query"]


def refusal(hub, key, query, options=..., **parameters):
    """The text of one that does not."""
    reply = send(hub, key, query, options, **parameters)
    assert reply["event"] == "error", reply
    return reply["error"]
