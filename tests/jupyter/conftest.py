# SPDX-License-Identifier: AGPL-3.0-or-later
"""Fixtures for tests of the kernel bridge alone: no hub, no sandbox."""
import json
import pathlib
import shutil

import pytest

from harness.kernel_bridge import Bridge

FAKE = pathlib.Path(__file__).resolve().parent / "fake_kernel.py"


@pytest.fixture(scope="session")
def _session_bridge(tmp_path_factory):
    with Bridge(tmp_path_factory.mktemp("home"), pool=2) as bridge:
        yield bridge


@pytest.fixture
def bridge(_session_bridge):
    """A bridge that the tests of a worker share, with kernels in reserve."""
    assert _session_bridge.process.poll() is None
    return _session_bridge


@pytest.fixture
def bridge_factory(tmp_path):
    """Makes bridges of the test's own: bridge_factory("--start-ms", "500", pool=2)."""
    bridges = []

    def make(*args, **options):
        bridges.append(Bridge(tmp_path / "home", *args, **options))
        return bridges[-1]

    yield make
    for bridge in bridges:
        if bridge.process.poll() is None:
            bridge.end()


def add_kernel(home, name, argv, **members):
    """Registers a kernel in a home, as its user would."""
    folder = pathlib.Path(home) / ".local/share/jupyter/kernels" / name
    folder.mkdir(parents=True)
    spec = {"argv": argv, "display_name": name.title(), "language": "fake", **members}
    (folder / "kernel.json").write_text(json.dumps(spec))
    return folder


@pytest.fixture
def fake(tmp_path):
    """Registers the fake kernel in the home that bridge_factory gives: fake("name", "mode", language="python")."""
    (tmp_path / "home").mkdir(exist_ok=True)
    shutil.copy(FAKE, tmp_path)

    def register(name="fake", mode="", argv=None, **members):
        argv = argv or ["/usr/bin/python3", str(tmp_path / FAKE.name), "{connection_file}", mode]
        return add_kernel(tmp_path / "home", name, argv, **members)

    return register
