# SPDX-License-Identifier: AGPL-3.0-or-later
"""A client of the RPC that sends what the public Python client sends, byte for byte where a server can tell.

    hub = Hub(hub.url, account)
    project_id = hub.projects.create_project(title="a")
    Project(hub.url, account, project_id).system.exec("date", ["-Is"])

A call gives the result, or raises a RuntimeError with the server's text, or an httpx.HTTPStatusError where the status is
not of 2xx. A parameter that is None is not sent; False, 0, "" and [] are.
"""
import datetime

import httpx

HTTP_TIMEOUT_S = 120
DEFAULT_FIELDS = ["project_id", "title", "last_edited", "created", "state", "deleted", "users"]


class _Client:
    """One endpoint and one key."""

    path = None

    def __init__(self, url, key):
        key = getattr(key, "key", key)
        self._http = httpx.Client(base_url=url, auth=(key, ""), headers={"Content-Type": "application/json"},
                                  timeout=HTTP_TIMEOUT_S, verify=False, trust_env=False, follow_redirects=False)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._http.close()

    def call(self, name, args, timeout_ms=None):
        body = {"name": name, "args": args, **self._more()}
        if timeout_ms is not None:
            body["timeout"] = timeout_ms
        response = self._http.post(self.path, json=body)
        response.raise_for_status()
        value = response.json()
        if isinstance(value, dict) and "error" in value:
            raise RuntimeError(value["error"])
        return value

    def _more(self):
        return {}


class _Group:
    """The methods of one group: they name their parameters as the wire does."""

    name = None

    def __init__(self, client):
        self._client = client

    def _call(self, method, **parameters):
        return self._client.call(f"{self.name}.{method}", [_given(parameters)])

    def _call_opts(self, method, **parameters):
        return self._client.call(f"{self.name}.{method}", [{"opts": _given(parameters)}])

    def _call_timed(self, method, timeout, **parameters):
        """The body's timeout is in milliseconds; the seconds stay among the parameters."""
        timeout_ms = None if timeout is None else 1000 * timeout
        return self._client.call(f"{self.name}.{method}", [_given({**parameters, "timeout": timeout})], timeout_ms)


def _given(parameters):
    return {name: value for name, value in parameters.items() if value is not None}


# ---- The hub's methods ----

class _HubSystem(_Group):
    name = "system"

    def ping(self):
        return self._call("ping")

    def test(self):
        return self._call("test")

    def get_names(self, account_ids):
        return self._client.call("system.getNames", [account_ids])

    def user_search(self, query):
        return self._call("userSearch", query=query)


class _Projects(_Group):
    name = "projects"

    def get(self, fields=None, all=False, project_id=None, limit=None, deleted=None, hidden=None, state=None,
            account_id_for_hidden=None):
        """No method of the server: a query, whose rows are chosen and sorted here."""
        table = "projects_all" if all else "projects"
        wanted = {field: None for field in (DEFAULT_FIELDS if fields is None else fields)}
        if project_id:
            wanted["project_id"] = project_id
        rows = self._client.db.query({table: [wanted]})[table]
        if deleted is not None:
            rows = [row for row in rows if bool(row.get("deleted")) == deleted]
        if state:
            rows = [row for row in rows if _state(row).lower() == state.lower()]
        if hidden is not None and account_id_for_hidden:
            rows = [row for row in rows if _is_hidden(row, account_id_for_hidden) in (None, hidden)]
        rows = sorted(rows, key=_recency, reverse=True)
        return rows if limit is None or limit < 0 else rows[:limit]

    def create_project(self, title=None, description=None, license=None, public_path_id=None):
        return self._call("createProject", title=title, description=description, license=license,
                          public_path_id=public_path_id)

    def add_collaborator(self, project_id, account_id):
        return self._call_opts("addCollaborator", project_id=project_id, account_id=account_id)

    def remove_collaborator(self, project_id, account_id):
        return self._call_opts("removeCollaborator", project_id=project_id, account_id=account_id)

    def copy_path_between_projects(self, src_project_id, src_path, target_project_id=None, target_path=None):
        return self._call("copyPathBetweenProjects", src_project_id=src_project_id, src_path=src_path,
                          target_project_id=target_project_id, target_path=target_path)

    def start(self, project_id):
        return self._call("start", project_id=project_id)

    def stop(self, project_id):
        return self._call("stop", project_id=project_id)

    def touch(self, project_id):
        return self._call("touch", project_id=project_id)

    def state(self, project_id):
        return self._call("state", project_id=project_id)

    def status(self, project_id):
        return self._call("status", project_id=project_id)

    def delete(self, project_id):
        return self._call("deleteProject", project_id=project_id)


def _state(row):
    state = row.get("state")
    if isinstance(state, dict):
        state = state.get("state") or state.get("status")
    return "" if state is None else str(state)


def _is_hidden(row, account_id):
    """None if the row's users are no map, and the filter lets it pass."""
    users = row.get("users") or {}
    if not isinstance(users, dict):
        return None
    user = users.get(account_id, {})
    return isinstance(user, dict) and bool(user.get("hide"))


def _seconds(value):
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(value.replace("Z", "+00:00")).timestamp()
        except ValueError:
            pass
    try:
        return float(value or 0)
    except (TypeError, ValueError):
        return 0.0


def _recency(row):
    return _seconds(row.get("last_edited")), _seconds(row.get("created")), (row.get("title") or "").lower(), \
        row.get("project_id") or ""


class _Jupyter(_Group):
    name = "jupyter"

    def kernels(self, project_id=None):
        return self._call("kernels", project_id=project_id)

    def execute(self, input, kernel, history=None, project_id=None, path=None, timeout=90):
        return self._call_timed("execute", timeout, input=input, kernel=kernel, history=history, project_id=project_id,
                                path=path)


class _Sync(_Group):
    name = "sync"

    def history(self, project_id, path, start_seq=0, end_seq=None):
        return self._call("history", project_id=project_id, path=path, start_seq=start_seq, end_seq=end_seq)


class _Db(_Group):
    name = "db"

    def query(self, query):
        return self._call("userQuery", query=query)


class _Messages(_Group):
    name = "messages"

    def send(self, subject, body, to_ids, reply_id=None):
        return self._call("send", subject=subject, body=body, to_ids=to_ids, reply_id=reply_id)

    def get(self, limit=None, offset=None, type=None, cutoff=None):
        return self._call("get", limit=limit, offset=offset, type=type, cutoff=cutoff)


class _Organizations(_Group):
    name = "org"

    def get_all(self):
        return self._call("getAll")

    def create(self, name):
        return self._call("create", name=name)

    def get(self, name):
        return self._call("get", name=name)

    def set(self, name, title=None, description=None, email_address=None, link=None):
        return self._call("set", name=name, title=title, description=description, email_address=email_address, link=link)

    def add_admin(self, name, user):
        return self._call("addAdmin", name=name, user=user)

    def add_user(self, name, user):
        return self._call("addUser", name=name, user=user)

    def create_user(self, name, email, firstName=None, lastName=None, password=None):
        return self._call("createUser", name=name, email=email, firstName=firstName, lastName=lastName, password=password)

    def create_token(self, user):
        return self._call("createToken", user=user)

    def expire_token(self, token):
        return self._call("expireToken", token=token)

    def get_users(self, name):
        return self._call("getUsers", name=name)

    def remove_user(self, name, user):
        return self._call("removeUser", name=name, user=user)

    def remove_admin(self, name, user):
        return self._call("removeAdmin", name=name, user=user)

    def message(self, name, subject, body):
        return self._call("message", name=name, subject=subject, body=body)


class Hub(_Client):
    path = "/api/conat/hub"

    def __init__(self, url, key):
        super().__init__(url, key)
        self.system, self.projects, self.jupyter = _HubSystem(self), _Projects(self), _Jupyter(self)
        self.sync, self.db, self.messages, self.org = _Sync(self), _Db(self), _Messages(self), _Organizations(self)


# ---- A project's methods ----

class _ProjectSystem(_Group):
    name = "system"

    def ping(self):
        return self._call("ping")

    def test(self):
        return self._call("test")

    def exec(self, command, args=None, path=None, cwd=None, timeout=None, max_output=None, bash=None, env=None,
             async_call=None, compute_server_id=None):
        return self._call_timed("exec", timeout, command=command, args=args, path=path, cwd=cwd, max_output=max_output,
                                bash=bash, env=env, async_call=async_call, compute_server_id=compute_server_id)

    def jupyter_execute(self, input, kernel, history=None, path=None, timeout=90):
        return self._call_timed("jupyterExecute", timeout, input=input, kernel=kernel, history=history, path=path)

    def list_jupyter_kernels(self):
        return self._call("listJupyterKernels")

    def stop_jupyter_kernel(self, pid):
        return self._call("stopJupyterKernel", pid=pid)


class Project(_Client):
    path = "/api/conat/project"

    def __init__(self, url, key, project_id=None):
        super().__init__(url, key)
        self._project_id = project_id
        self.system = _ProjectSystem(self)

    def _more(self):
        return {"project_id": self._project_id} if self._project_id else {}
