# SPDX-License-Identifier: AGPL-3.0-or-later
"""A hub under test: its process (harness/server.py) and a client of its API."""
import httpx

from harness.server import Account, Server

HTTP_S = 120
EXEC_S = 50  # less than the client waits
RPC_MS = 100000  # less, too


class Reply(dict):
    """What a call gave. A test that misses something in it fails with all of it: it is mostly an error's text."""

    def __missing__(self, name):
        raise KeyError(f"there is no {name!r} in the reply {dict(self)!r}")


class Hub(Server):
    def __init__(self, data, *args, env=None):
        super().__init__(data, *args, env=env)
        self.client = None
        self._key = None

    def start(self, *more):
        super().start(*more)
        self.client = httpx.Client(timeout=HTTP_S, verify=False, trust_env=False)
        return self

    def _gone(self):
        self.client.close()
        super()._gone()

    @property
    def key(self):
        """The key of an account that all tests of this hub share; for calls that need just any account."""
        if self._key is None:
            self._key = self.account().key
        return self._key

    def api(self, event, json=None, form=None, key=..., **options):
        """POSTs one call of API v1 and gives the httpx response.

        json: the parameters as a JSON body; form: as a form (a dict or a list of pairs, or bytes as they are);
        neither: no body. key: an API key or an Account, None for no Authorization header; left out: `hub.key`. More
        options go to httpx (headers, content, timeout).
        """
        key = self.key if key is ... else key
        if key is not None:
            options.setdefault("auth", (key.key if isinstance(key, Account) else key, ""))
        if form is not None:
            content = form if isinstance(form, bytes) else str(httpx.QueryParams(form)).encode()
            options.setdefault("content", content)
            options["headers"] = {"Content-Type": "application/x-www-form-urlencoded", **options.get("headers", {})}
        return self.client.post(f"{self.url}/api/v1/{event}", json=json, **options)

    def call(self, event, key=..., **parameters):
        """api() with JSON parameters; the reply as an object, which must have come with status 200."""
        response = self.api(event, json=parameters, key=key)
        assert response.status_code == 200, f"{event}: {response.status_code} {response.text}"
        return Reply(response.json())

    def rpc(self, key, name, *args, project=None, timeout=..., raw=False, **body):
        """Calls a method of the RPC; (status, JSON value), or the httpx response if `raw`.

        key: an API key or an Account, None for no Authorization header. project: None for a method of the hub; else of a
        project, whose id goes into the body unless it is "". timeout: in ms; left out: enough for a machine that is busy.
        More keywords are further members of the body.
        """
        auth = None if key is None else (key.key if isinstance(key, Account) else key, "")
        body = {"name": name, "args": list(args), "timeout": RPC_MS if timeout is ... else timeout, **body}
        if project:
            body["project_id"] = project
        endpoint = "hub" if project is None else "project"
        response = self.client.post(f"{self.url}/api/conat/{endpoint}", json=body, auth=auth)
        return response if raw else (response.status_code, response.json())

    def method(self, key, name, *args, **options):
        """The result of an rpc() that works."""
        status, value = self.rpc(key, name, *args, **options)
        assert status == 200 and not (isinstance(value, dict) and "error" in value), f"{name}: {status} {value!r}"
        return value

    def refusal(self, key, name, *args, **options):
        """The text of an rpc() that does not."""
        status, value = self.rpc(key, name, *args, **options)
        assert status == 200 and isinstance(value, dict) and list(value) == ["error"], f"{name}: {status} {value!r}"
        return value["error"]

    def project(self, account, **parameters):
        """The id of a new project of `account` (an Account or a key)."""
        reply = self.call("create_project", key=account, **{"title": "A test's", **parameters})
        assert reply["event"] == "project_created", reply
        return reply["project_id"]

    def exec(self, account, project_id, command, **parameters):
        """The reply of project_exec. A first call starts the project, for which the limit of those who name none is short."""
        return self.call("project_exec", key=account, project_id=project_id, command=command, **{"timeout": EXEC_S, **parameters})
