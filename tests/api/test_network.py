# SPDX-License-Identifier: AGPL-3.0-or-later
"""The network of a project: the internet, and nothing of the host's own.

The internet is a server in a network namespace of the test's, which the host reaches by a pair of interfaces.
"""
import http.server
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import uuid

import pytest

from harness.parts import agent
from harness.process import wait_until

PORT = 8077  # in a network namespace of its own


def ip(*args):
    subprocess.run(["ip", *args], check=True, capture_output=True)


SERVE = ["-m", "http.server", "--directory", "/usr/share/doc/bash", str(PORT)]


class World:
    """Addresses that tests beside this one do not use: of the server outside, of the host on its way there, and of the
    server on a link of the host's."""

    def __init__(self):
        number = random.randrange(1 << 14)
        net = f"198.{18 + (number >> 13)}.{(number >> 5) & 255}."
        low = (number & 31) * 8
        self.host, self.outside = f"{net}{low + 1}", f"{net}{low + 2}"
        self.link_local = f"169.254.{1 + number % 250}.{1 + number // 250}"


@pytest.fixture(scope="module")
def internet():
    """An HTTP server on a host of its own."""
    name = "t" + uuid.uuid4().hex[:10]
    world = World()
    ip("netns", "add", name)
    server = None
    try:
        ip("link", "add", name, "type", "veth", "peer", "name", "outside", "netns", name)
        ip("addr", "add", f"{world.host}/30", "dev", name)
        ip("link", "set", name, "up")
        ip("-n", name, "addr", "add", f"{world.outside}/30", "dev", "outside")
        ip("-n", name, "addr", "add", f"{world.link_local}/32", "dev", "lo")
        ip("-n", name, "link", "set", "lo", "up")
        ip("-n", name, "link", "set", "outside", "up")
        ip("route", "add", f"{world.link_local}/32", "via", world.outside)
        server = subprocess.Popen(["ip", "netns", "exec", name, sys.executable, *SERVE], stdout=subprocess.DEVNULL,
                                  stderr=subprocess.DEVNULL)
        wait_until(lambda: fetches(world.outside, PORT), 60, "the server outside answers")
        yield world
    finally:
        if server:
            server.send_signal(signal.SIGKILL)
            server.wait()
        subprocess.run(["ip", "link", "del", name], check=False, capture_output=True)
        ip("netns", "del", name)


def fetches(address, port):
    command = ["curl", "-sf", "--max-time", "30", "-o", "/dev/null", f"http://{address}:{port}/"]
    return subprocess.run(command, check=False).returncode == 0


@pytest.fixture
def host_server():
    """An HTTP server on all addresses of this host; its port."""
    server = http.server.ThreadingHTTPServer(("0.0.0.0", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def connected(hub, account, project):
    """A project with the network, which runs."""
    hub.cli("project", "settings", project, "network=1")
    assert hub.exec(account, project, "true")["exit_code"] == 0
    return project


SCRIPT = """
import socket, sys
address, port, interface = sys.argv[1], int(sys.argv[2]), sys.argv[3]
s = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
s.settimeout(int(sys.argv[4]))
if interface:
    s.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
try:
    s.connect((address, port))
    s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
    print(s.recv(8).decode())
except OSError as error:
    print(type(error).__name__)
"""


def connects(hub, account, project, address, port, interface="", wait_s=3):
    """True if a server answered in so many seconds."""
    reply = hub.exec(account, project, "/usr/bin/python3", args=["-c", SCRIPT, address, str(port), interface, str(wait_s)],
                     timeout=120)
    assert reply["exit_code"] == 0, reply
    return reply["stdout"].startswith("HTTP/1")


def test_on_reaches_the_internet(hub, account, connected, internet):
    assert connects(hub, account, connected, internet.outside, PORT, wait_s=60)


def test_off_reaches_nothing(hub, account, project, internet, host_server):
    for address, port in ((internet.outside, PORT), *((host, host_server) for host in (internet.host, "10.0.2.2", "127.0.0.1"))):
        assert not connects(hub, account, project, address, port)


@pytest.mark.parametrize("interface", ["", "tap0"])
@pytest.mark.parametrize("address", ["its own", "127.0.0.1", "127.7.7.7", "10.0.2.2", "0.0.0.0", "255.255.255.255"])
def test_host_is_out_of_reach(hub, account, connected, internet, host_server, address, interface):
    address = internet.host if address == "its own" else address
    assert not connects(hub, account, connected, address, host_server, interface)


@pytest.mark.parametrize("interface", ["", "tap0"])
def test_link_local_is_out_of_reach(hub, account, connected, internet, interface):
    assert fetches(internet.link_local, PORT), "the host does reach it"
    assert not connects(hub, account, connected, internet.link_local, PORT, interface)


def test_own_loopback_works(hub, account, connected):
    script = "/usr/bin/python3 -m http.server 8000 >/dev/null 2>&1 & " \
             "until curl -so /dev/null http://127.0.0.1:8000/; do sleep 0.05; done; echo reached; kill %1"
    assert hub.exec(account, connected, script, bash=True, timeout=120)["stdout"] == "reached\n"


def test_routes_cannot_be_changed(hub, account, connected):
    reply = hub.exec(account, connected, "ip route del prohibit 169.254.0.0/16; ip route", bash=True)
    assert "Operation not permitted" in reply["stderr"] and "prohibit 169.254.0.0/16" in reply["stdout"]


def test_names_are_asked_of_the_networks_own_server(hub, account, connected):
    assert hub.exec(account, connected, "cat /etc/resolv.conf", bash=True)["stdout"] == "nameserver 10.0.2.3\n"


def slirps(group_of):
    """The processes of networks in the group of a process."""
    group = open(f"/proc/{group_of}/cgroup", encoding="utf-8").read()
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.readlink(f"/proc/{pid}/exe").endswith("slirp4netns") and open(f"/proc/{pid}/cgroup").read() == group:
                found.append(int(pid))
        except OSError:
            pass
    return found


def test_network_goes_on_under_another_hub_and_ends_with_the_sandbox(hub_factory, internet):
    hub = hub_factory(env={"COHUB_PROJECTS_NETWORK": "1"})
    account = hub.account()
    project = hub.project(account)
    assert connects(hub, account, project, internet.outside, PORT, wait_s=60)
    (process,) = slirps(agent(hub, project))
    assert os.stat(f"/proc/{process}").st_uid != 0
    hub.kill()
    hub.start()
    assert connects(hub, account, project, internet.outside, PORT, wait_s=60)
    hub.cli("project", "stop", project)
    wait_until(lambda: not os.path.exists(f"/proc/{process}/exe"), 60, "slirp4netns has ended")


@pytest.fixture
def path_without_slirp():
    """A folder that everybody may enter, with the programs that the hub needs but for slirp4netns."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:  # the runner does not see the host's /tmp
        os.chmod(folder, 0o755)
        for program in ("bwrap", "bash", "git", "rsync"):
            os.symlink(f"/usr/bin/{program}", f"{folder}/{program}")
        yield folder


def test_project_starts_without_what_networks_need(hub_factory, path_without_slirp):
    hub = hub_factory(env={"COHUB_PROJECTS_NETWORK": "1", "PATH": path_without_slirp})
    account = hub.account()
    project = hub.project(account)
    reply = hub.exec(account, project, "cat /proc/net/dev", bash=True)
    assert reply["event"] == "project_exec_output", reply
    assert "lo:" in reply["stdout"] and "tap0:" not in reply["stdout"]
