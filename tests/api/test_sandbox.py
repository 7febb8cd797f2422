# SPDX-License-Identifier: AGPL-3.0-or-later
"""What a command in a project can see and do: its project, and nothing else of the machine."""
import ctypes
import os
import platform
import random
import re
import socket
import threading

import pytest

from harness import parts
from harness.process import parents

# Ahead of each program below: call(NUMBER, …) is the name of the error of a system call, "" for none.
PROGRAM = """
import ctypes, errno, os, socket, sys
libc = ctypes.CDLL(None, use_errno=True)
def call(number, *args):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_char_p(a) if isinstance(a, bytes) else ctypes.c_long(a) for a in args])
    return errno.errorcode[ctypes.get_errno()] if result == -1 else ""
def failure(function, *args):
    try:
        function(*args)
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""
"""

LIBC = ctypes.CDLL(None)
AT_FDCWD, RENAME_EXCHANGE = -100, 2

on_x86_64 = pytest.mark.skipif(platform.machine() != "x86_64", reason="numbers of system calls")


@pytest.fixture
def run(hub, account, project):
    hub.exec(account, project, "true")
    return lambda command, **parameters: hub.exec(account, project, command, err_on_exit=False, **parameters)


@pytest.fixture
def python(run):
    """python(text) runs a program behind PROGRAM and gives what it printed."""
    def program(text):
        reply = run("python3", args=["-c", PROGRAM + text], timeout=60)
        assert (reply["exit_code"], reply["stderr"]) == (0, ""), reply
        return reply["stdout"].rstrip("\n")

    return program


# ---- What is there to be seen ----

def test_its_folders(run, project):
    assert run("ls", args=["-A", "/projects"])["stdout"] == f"{project}\n"
    assert run("pwd")["stdout"] == f"/projects/{project}\n"
    top = set(run("ls", args=["-A", "/"])["stdout"].split())
    assert top <= {"bin", "sbin", "lib", "lib32", "lib64", "libx32", "usr", "etc", "dev", "proc", "run", "tmp", "var", "projects"}
    assert run("ls", args=["-A", "/run", "/dev/shm", "/tmp"])["stdout"] == "/dev/shm:\n\n/run:\npasswd\n\n/tmp:\n"


@pytest.mark.parametrize("path", ["/root", "/home", "/var/log", "/var/lib/dpkg", "/boot", "/sys", "/opt", "/mnt", "/srv", "/lost+found",
                                  "/dev/mem", "/dev/kmsg", "/dev/fuse", "/dev/kvm", "/dev/disk", "/dev/vda", "/dev/sda", "/run/systemd",
                                  "/run/dbus", "/etc/shadow", "/etc/shadow-", "/etc/sudoers", "/etc/ssh"])
def test_parts_of_the_host_that_are_not_there(run, path):
    assert run("test", args=["-e", path])["exit_code"] == 1


def test_nothing_of_the_hub_is_there(hub, run):
    secret = (hub.data / "secret.key").read_bytes()
    assert len(secret) >= 32
    for path in (hub.data, hub.data / "secret.key", hub.data / "hub.sqlite3", hub.log):
        assert run("test", args=["-e", str(path)])["exit_code"] == 1
    found = run("find / \\( -name 'hub.sqlite3*' -o -name 'secret.key' -o -name agent.sock -o -name 'cohub*' \\) -not -path '/usr/*' "
                "-not -path '/proc/*' 2>/dev/null; true", timeout=60)
    assert found["stdout"] == ""


def test_descriptors_and_environment_of_the_hub_stay_outside(hub_factory):
    hub = hub_factory(env={"A_SECRET_OF_THE_HOST": "told"})
    account = hub.account()
    project = hub.project(account)
    seen = hub.exec(account, project, "env; cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n'; true")["stdout"]
    assert "HOME=" in seen and "A_SECRET_OF_THE_HOST" not in seen and "told" not in seen and "COHUB" not in seen
    listed = hub.exec(account, project, "ls", args=["-l", "/proc/self/fd"])["stdout"]
    assert re.findall(r" (\d+) -> (\w+)", listed) == [("0", "pipe"), ("1", "pipe"), ("2", "pipe")]
    assert listed.count(" -> ") == 4  # and the folder that ls reads


def test_users(run):
    names = [line.split(":")[0] for line in run("getent", args=["passwd"])["stdout"].splitlines()]
    assert names == ["root", "user", "nobody"]
    assert run("cat", args=["/etc/passwd"])["stdout"].count("\n") == 3
    assert run("whoami")["stdout"] == "user\n"


def test_status(run):
    status = dict(re.findall(r"(\w+):\t(.*)", run("cat", args=["/proc/self/status"])["stdout"]))
    uids = set(status["Uid"].split() + status["Gid"].split())
    assert len(uids) == 1 and uids != {"0"}
    assert {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert status["Groups"].split() in ([], ["65534"], sorted(uids))


def test_processes_of_the_host_are_not_there(hub, run):
    marker = str(random.randrange(10**8, 10**9))
    assert run("cat /proc/[0-9]*/comm")["stdout"].split().count("cohub") == 0
    listed = run("ps", args=["-e", "-o", "pid=", "--sort=pid"])["stdout"].split()
    assert listed[0] == "1" and len(listed) < 10 and str(hub.pid) not in listed
    # Nor do signals reach them.
    here = {os.getpid(), hub.pid, parts.serving(hub), parts.runner(hub)}
    assert marker and run(f"kill -9 {' '.join(map(str, here))}; kill -9 -1")["event"] == "project_exec_output"
    assert here <= parents().keys()


def test_network_of_the_host_is_not_reached(hub, python, run):
    with socket.create_server(("127.0.0.1", 0)) as server, socket.socket(socket.AF_UNIX) as named:
        port, name = server.getsockname()[1], f"\0cohub test {os.urandom(8).hex()}"
        named.bind(name)
        named.listen()
        hub_port = int(hub.url.rpartition(":")[2])
        text = f"""
for address in (("127.0.0.1", {port}), ("127.0.0.1", {hub_port}), ("169.254.169.254", 80), ("10.0.0.1", 53)):
    print(failure(lambda: socket.create_connection(address, 5)))
print(failure(lambda: socket.socket(socket.AF_UNIX).connect({name!r})))
"""
        answers = python(text).split()
        with socket.create_connection(("127.0.0.1", port)), socket.socket(socket.AF_UNIX) as control:
            control.connect(name)  # they are there, for who is outside
    assert answers == ["ECONNREFUSED", "ECONNREFUSED", "ENETUNREACH", "ENETUNREACH", "ECONNREFUSED"]
    assert re.findall(r"^ *(\w+):", run("cat", args=["/proc/net/dev"])["stdout"], re.M) == ["lo"]
    assert str(hub.data) not in run("cat", args=["/proc/net/unix"])["stdout"]


# ---- What can be done ----

@pytest.mark.parametrize("path", ["/x", "/usr/x", "/usr/bin/x", "/etc/x", "/etc/passwd", "/bin/sh", "/projects/x", "/dev/x", "/run/x", "/var/x",
                                  "/proc/x", "/proc/sys/kernel/hostname", "/proc/sysrq-trigger", "/proc/1/oom_score_adj"])
def test_the_system_is_read_only(python, path):
    assert python(f"print(failure(lambda: open({path!r}, 'ab').write(b'x')))") in ("EROFS", "EACCES", "ENOENT", "EPERM")
    assert python(f"print(failure(os.unlink, {path!r}))") in ("EROFS", "EACCES", "ENOENT", "EPERM")


@on_x86_64
@pytest.mark.parametrize("what, expected", [
    *[(f"call(272, {flag:#x})", "EPERM") for flag in  # unshare: user, mount, pid, net, ipc, uts, cgroup
      (0x10000000, 0x20000, 0x20000000, 0x40000000, 0x8000000, 0x4000000, 0x2000000)],
    ("call(56, 0x10000000 | 17, 0, 0, 0, 0)", "EPERM"),  # clone into a new user namespace
    ("call(435, 0, 0)", "ENOSYS"),  # clone3
    ("call(308, 0, 0)", "EPERM"),  # setns
    ("call(165, b'none', b'/tmp', b'tmpfs', 0, 0)", "EPERM"),  # mount
    ("call(166, b'/tmp', 0)", "EPERM"),  # umount2
    ("call(428, -100, b'/tmp', 1)", "EPERM"),  # open_tree
    ("call(430, b'tmpfs', 0)", "EPERM"),  # fsopen
    ("call(155, b'/tmp', b'/tmp')", "EPERM"),  # pivot_root
    ("call(161, b'/tmp')", "EPERM"),  # chroot
    ("call(101, 16, 1, 0, 0)", "EPERM"),  # ptrace attach to PID 1
    ("call(250, 0, -3, 1)", "EPERM"),  # keyctl
    ("call(248, b'user', b'x', b'y', 1, -3)", "EPERM"),  # add_key
    ("call(321, 0, 0, 0)", "EPERM"),  # bpf
    ("call(298, 0, 0, -1, -1, 0)", "EPERM"),  # perf_event_open
    ("call(323, 0)", "EPERM"),  # userfaultfd
    ("call(425, 1, 0)", "ENOSYS"),  # io_uring_setup
    ("call(175, 0, 0, b'')", "EPERM"),  # init_module
    ("call(169, 0xfee1dead, 672274793, 0x1234567, 0)", "EPERM"),  # reboot
    ("call(304, -100, 0, 0)", "EPERM"),  # open_by_handle_at
    ("call(103, 2, 0, 0)", "EPERM"),  # syslog
    ("call(105, 0)", "EINVAL"),  # setuid 0: nobody of that number here
    ("call(133, b'/tmp/node', 0o20666, 0x103)", "EPERM"),  # mknod of a device
    ("call(170, b'x', 1)", "EPERM"),  # sethostname
    ("call(227, 0, 0)", "EPERM"),  # clock_settime
    ("failure(socket.socket, socket.AF_PACKET, socket.SOCK_RAW)", "EAFNOSUPPORT"),
    ("failure(socket.socket, 38, socket.SOCK_SEQPACKET)", "EAFNOSUPPORT"),  # AF_ALG
    ("failure(socket.socket, 40, socket.SOCK_STREAM)", "EAFNOSUPPORT"),  # AF_VSOCK
    ("failure(socket.socket, socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)", "EPERM"),
    ("call(16, 0, 0x5412, b'x')", "EPERM"),  # ioctl TIOCSTI
    ("call(16, 0, 0x100005412, b'x')", "EPERM"),  # the same to the kernel
    ("call(39 | 0x40000000)", "ENOSYS"),  # getpid by the numbers of x32
    ("failure(open, '/proc/1/mem', 'rb')", "EACCES"),
    ("failure(os.listdir, '/proc/1/fd')", "EACCES"),
    ("failure(os.listdir, '/proc/1/root')", "EACCES"),
    ("failure(lambda: os.write(os.open('/proc/self/uid_map', os.O_WRONLY), b'0 0 1'))", "EPERM"),
])
def test_forbidden(python, what, expected):
    assert python(f"print({what})") == expected


@on_x86_64
def test_system_calls_of_32_bits_are_closed(python):
    """mov eax, 20 (getpid); int 0x80; ret: would go past rules that are written for 64 bits."""
    text = """
import mmap
page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
page.write(bytes.fromhex("b814000000cd80c3"))
print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())
"""
    assert python(text) == "-38"


def test_programs_with_more_rights_give_none(run):
    listed = run("find /usr/bin /usr/sbin /usr/lib -perm /6000 -type f 2>/dev/null; true", timeout=60)["stdout"].split()
    for program in [path for path in listed if path.endswith(("/su", "/mount", "/newgrp"))]:
        assert run(program, timeout=60, args=["-c", "id"])["exit_code"] != 0
    assert "nosuid" in run("findmnt -no OPTIONS /usr")["stdout"]


@pytest.mark.parametrize("signal", ["KILL", "STOP", "TERM", "SEGV", "INT", "CHLD"])
def test_the_first_process_is_out_of_reach(hub, run, project, signal):
    run("true")
    agent = parts.agent(hub, project)
    run(f"kill -{signal} 1; kill -{signal} -1", timeout=0.5)
    assert run("echo alive")["stdout"] == "alive\n"
    assert parts.agent(hub, project) == agent and agent in parents()


# ---- Projects among each other ----

def test_two_projects_do_not_see_each_other(hub, account):
    one, two = hub.project(account), hub.project(account)
    hub.exec(account, one, "echo secret | tee file /tmp/file /dev/shm/file; ipcmk -M 64; setsid sleep 987654 >/dev/null 2>&1 & true")
    look = hub.exec(account, two, f"cat file /tmp/file /dev/shm/file /projects/{one}/file ../{one}/file; ls -A . /tmp /dev/shm | cat; ipcs -m; "
                                  "pgrep -f 98765[4]; kill -9 -1", err_on_exit=False)
    assert "secret" not in look["stdout"] and "987654" not in look["stdout"]
    assert look["stderr"].count("No such file") == 5
    assert hub.exec(account, one, "cat", args=["file", "/tmp/file", "/dev/shm/file"])["stdout"] == "secret\n" * 3
    assert hub.exec(account, one, "pgrep", args=["-f", "sleep 987654"])["exit_code"] == 0


def test_tmp_goes_with_the_sandbox_and_the_home_stays(hub, account, project, run):
    run("echo x | tee file > /tmp/file")
    hub.cli("project", "stop", project)
    assert run("ls -A /tmp | grep -v ^f-; cat file")["stdout"] == "x\n"


# ---- Ways out through the calls for files ----

@pytest.mark.parametrize("target", [
    "@DATA/secret.key", "@DATA/projects/@OTHER/file", "../@OTHER/file", "/projects/@OTHER/file", "/etc/shadow", "../../secret.key",
    "/proc/self/root/etc/shadow", "/proc/1/root/etc/passwd", "/proc/1/environ", "/proc/self/cwd/../../secret.key",
])
def test_links_and_paths_lead_nowhere_outside(hub, account, project, run, target):
    other = hub.project(account)
    kept = {hub.data / "projects" / other / "file": b"other's", hub.data / "secret.key": (hub.data / "secret.key").read_bytes()}
    (hub.data / "projects" / other / "file").write_bytes(b"other's")
    target = target.replace("@DATA", str(hub.data)).replace("@OTHER", other)
    folder, _, name = target.rpartition("/")
    run("ln", args=["-s", target, "link"])
    run("ln", args=["-s", folder, "folder"])
    paths = ("link", f"folder/{name}", target)
    for path in paths:
        assert hub.call("read_text_file_from_project", key=account, project_id=project, path=path)["event"] == "error"
    for path in paths:  # may make a file of that name in the sandbox's own /tmp
        hub.call("write_text_file_to_project", key=account, project_id=project, path=path, content="overwritten")
    assert {path: path.read_bytes() for path in kept} == kept


def test_a_folder_that_turns_into_a_link_while_it_is_used(hub, account, project, run):
    """What is checked first and used later can be exchanged in between; the kernel resolves in one step."""
    home = hub.data / "projects" / project
    outside = hub.data.parent / "outside"
    outside.mkdir(exist_ok=True)
    outside.chmod(0o777)
    (outside / "file").write_text("outside")
    (outside / "file").chmod(0o666)
    run("mkdir folder; echo inside > folder/file")
    (home / "link").symlink_to(outside)
    done = threading.Event()

    def exchange():
        names = os.fsencode(home / "folder"), os.fsencode(home / "link")
        while not done.is_set():
            assert LIBC.renameat2(AT_FDCWD, names[0], AT_FDCWD, names[1], RENAME_EXCHANGE) == 0

    thread = threading.Thread(target=exchange)
    thread.start()
    try:
        contents = set()
        for n in range(20):
            contents.add(hub.call("read_text_file_from_project", key=account, project_id=project, path="folder/file").get("content"))
            hub.call("write_text_file_to_project", key=account, project_id=project, path="folder/file", content=f"inside {n}")
            hub.call("write_text_file_to_project", key=account, project_id=project, path=f"folder/new{n % 3}", content="x")
    finally:
        done.set()
        thread.join()
    assert "outside" not in contents and len(contents) > 1
    assert (outside / "file").read_text() == "outside" and os.listdir(outside) == ["file"]
