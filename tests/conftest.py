# SPDX-License-Identifier: AGPL-3.0-or-later
"""What every black-box test starts from: a real hub on a real socket, with accounts and projects in it.

    def test_ping(hub):
        assert hub.api("ping").json()["event"] == "pong"

`hub` is shared by the tests of one worker, so each test makes the accounts and projects it needs. A test that stops,
kills or configures a hub takes `hub_factory` and gets one of its own. docs/testing.md tells more.
"""
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

from harness.front import Nginx
from harness.hub import Hub
from harness.server import COHUB


def _hubs_of(item):
    return [value for value in item.funcargs.values() if isinstance(value, Hub)] + getattr(item, "extra_hubs", [])


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item):
    item.extra_hubs = []


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """Puts the end of the log of each hub that the test used into the report of a failure."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for hub in _hubs_of(item):
            report.sections.append((f"log of the hub in {hub.data}", hub.log_tail()))


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_make_parametrize_id(val, argname):
    """Bytes and long texts do not become parts of a test's name: the workers would disagree about what a clock or chance
    put into them, and nobody could read it. The parameter's name and number stand for them."""
    return argname if isinstance(val, bytes) or (isinstance(val, str) and len(val) > 80) else None


@pytest.fixture(scope="session")
def _session_hub(tmp_path_factory):
    hub = Hub(tmp_path_factory.mktemp("hub") / "data")
    hub.start()
    yield hub
    hub.end()


@pytest.fixture
def hub(_session_hub):
    """The worker's hub. It is there again if the test before ended it."""
    if not _session_hub.running():
        _session_hub.start()
    yield _session_hub
    _session_hub.check_log()


@pytest.fixture
def hub_factory(request, tmp_path):
    """Makes hubs of the test's own: hub_factory("--base-path", "/x", env={"COHUB_…": "…"}, start=True)."""
    hubs = request.node.extra_hubs

    def make(*args, env=None, start=True):
        hub = Hub(tmp_path / f"hub{len(hubs)}" / "data", *args, env=env)
        hubs.append(hub)
        if start:
            hub.start()
        return hub

    yield make
    for hub in hubs:
        hub.end()


@pytest.fixture
def account(hub):
    """A new account of the shared hub, with an API key."""
    return hub.account()


@pytest.fixture
def project(hub, account):
    """The id of a new project of `account`."""
    return hub.project(account)


@pytest.fixture
def home(hub, project):
    """The home as the host sees it. What a test puts there belongs to the hub's user, as the project's files do."""
    return hub.data / "projects" / project


@pytest.fixture
def own(home):
    """own(path) hands a file over to the user of the home, and gives it back."""
    owner = os.stat(home)

    def hand_over(path):
        os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)
        return path

    return hand_over


@pytest.fixture
def for_everybody(tmp_path):
    """The program where every user can run it, also if the checkout is in a closed folder; tmp_path is open to all."""
    for folder in (tmp_path, *tmp_path.parents):
        if folder != pathlib.Path("/"):
            folder.chmod(folder.stat().st_mode | 0o011)
    for program in (COHUB, COHUB.parent.parent / "agent" / "cohub-agent"):
        shutil.copy(program, tmp_path)
    return tmp_path / COHUB.name


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """(certificate file, key file) for 127.0.0.1 and localhost, signed by itself: verify=certificate[0] trusts it."""
    folder = tmp_path_factory.mktemp("tls")
    files = folder / "cert.pem", folder / "key.pem"
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
                    "-days", "2", "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
                    "-out", files[0], "-keyout", files[1]], check=True, capture_output=True)
    for file in files:  # a hub that gave root up reads them before; nginx's worker reads them as its user
        os.chmod(file, 0o644)
    return str(files[0]), str(files[1])


@pytest.fixture
def nginx(tmp_path, certificate):
    """Starts Debian's nginx before a hub: nginx(hub.url) gives an object with .url and .tls_url."""
    fronts = []

    def start(upstream, locations=""):
        front = Nginx(tmp_path / f"nginx{len(fronts)}", upstream, certificate, locations)
        fronts.append(front)
        return front

    yield start
    for front in fronts:
        front.stop()


@pytest.fixture
def openapi_errors():
    """openapi_errors(text) is what a public validator finds wrong with an OpenAPI 3.1 document; "" if nothing."""
    validator = pathlib.Path(__file__).resolve().parent / "openapi" / "validate.mjs"

    def errors(document):
        done = subprocess.run(["node", validator], input=document, text=True, capture_output=True, timeout=300)
        assert (done.returncode == 0) == (done.stderr == ""), done.stderr
        return done.stderr

    return errors
