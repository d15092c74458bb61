"""Who may come in, and what those hear who may not."""

import contextlib
import os
import re
import socket
import subprocess
import sys

import Pyro4
import pytest
from Pyro4 import message

from scripts.testbed.local_cluster import ROOT
from src.cli.logs import printable
from src.rmi import wire
from src.rmi.errors import ConfigurationError
from src.rmi.security import KEY_FILE, Security, read_key
from src.rmi.settings import WireLimits
from tests.support.keys import KEY, made_key, run
from tests.support.live import client, eventually


def script(name, *arguments, **options):
    command = [sys.executable, str(ROOT / "scripts" / name), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, **options)


# The key file


def test_the_key_is_what_is_in_the_file_without_white_space(tmp_path):
    assert read_key(str(made_key(tmp_path))) == KEY


def test_a_new_key_is_only_for_its_owner_and_never_overwritten(tmp_path):
    path = tmp_path / "key"
    assert script("new-key", path).returncode == 0
    assert path.stat().st_mode & 0o777 == 0o600
    key = read_key(str(path))
    assert len(key) == 64
    again = script("new-key", path)
    assert (again.returncode, read_key(str(path))) == (1, key)
    assert "is there already" in again.stderr


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        (KEY, 0o640, "chmod 600"),
        (KEY, 0o602, "chmod 600"),
        (b"short", 0o600, "at least 16 characters"),
        (b"", 0o600, "at least 16 characters"),
        (b"x" * 5000, 0o600, "at least 16 characters"),
        (None, 0o600, "no such key file"),
    ],
    ids=["others read", "others write", "short", "empty", "long", "missing"],
)
def test_a_key_file_that_cannot_be_used_is_refused_with_the_reason(tmp_path, content, mode, said):
    path = tmp_path / "key"
    if content is not None:
        path.write_bytes(content)
        path.chmod(mode)
    with pytest.raises(ConfigurationError, match=said):
        read_key(str(path))


@pytest.mark.parametrize("program", ["Scheduler.py", "Worker.py", "SparrowClient.py BATCH 1 1 0", "NameServer.py", "../server.py"])
def test_a_command_says_in_one_line_what_is_wrong_with_its_key_file(tmp_path, program):
    name, *arguments = program.split()
    done = run(name, *arguments, "--key-file", tmp_path / "none")
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert f"make one with: scripts/new-key {tmp_path / 'none'}" in done.stderr


def test_the_environment_names_the_key_file_and_the_command_line_wins(tmp_path, monkeypatch):
    monkeypatch.setenv(KEY_FILE, str(made_key(tmp_path)))
    assert Security.of().key == KEY
    other = tmp_path / "other"
    other.write_text("another key of some length")
    other.chmod(0o600)
    assert Security.of(str(other)).key == b"another key of some length"


# Where one may listen


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.7.6", "::1"])
def test_on_loopback_no_key_is_needed(address):
    Security().check_listen_address(address)


@pytest.mark.parametrize("address", ["192.0.2.1", "10.0.0.1", "0.0.0.0", "::", "fe80::1%eth0", "2001:db8::1"])
def test_elsewhere_it_takes_a_key_or_to_say_insecure(address):
    with pytest.raises(ConfigurationError, match=r"--key-file FILE .* or say --insecure"):
        Security().check_listen_address(address)
    Security(key=KEY).check_listen_address(address)
    Security(insecure=True).check_listen_address(address)


def test_elsewhere_certificates_will_do_if_they_are_asked_for(monkeypatch):
    monkeypatch.setattr(Pyro4.config, "SSL", True)
    with pytest.raises(ConfigurationError):
        Security().check_listen_address("192.0.2.1")
    monkeypatch.setattr(Pyro4.config, "SSL_REQUIRECLIENTCERT", True)
    Security().check_listen_address("192.0.2.1")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes network namespaces")
@pytest.mark.parametrize("program", ["Scheduler.py", "Worker.py", "NameServer.py"])
def test_a_daemon_on_a_network_without_a_key_does_not_start(program):
    inside = f"ip link set lo up && ip address add 10.9.9.9/24 dev lo && exec {sys.executable} {ROOT}/src/{program} --host 10.9.9.9"
    done = subprocess.run(["unshare", "-n", "sh", "-c", inside], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 2, done.stderr
    assert "not listening on 10.9.9.9 without a key" in done.stderr
    assert len(done.stderr.splitlines()) == 1


# What is signed


@pytest.mark.parametrize("key", [None, KEY], ids=["no key", "key"])
def test_messages_are_what_pyro4_makes(key):
    for kind, data, seq in (
        (message.MSG_INVOKE, b"abc", 7),
        (message.MSG_RESULT, b"", 0),
        (message.MSG_CONNECT, b"x" * 5000, 65535),
    ):
        expected = message.Message(kind, data, wire.SERPENT_ID, 0, seq, hmac_key=key).to_bytes()
        assert wire.to_bytes(kind, data, seq, key) == expected
        (frame,) = wire.FrameReader(WireLimits.max_payload_bytes).feed(expected)
        assert (frame.payload, frame.annotated, frame.is_from(key)) == (data, False, True)
        assert not frame.is_from(b"another")
        assert not frame.is_from(KEY if key is None else None)


def test_a_message_that_was_changed_is_not_from_the_key():
    sent = bytearray(wire.to_bytes(message.MSG_INVOKE, b"take 1 of it", 1, KEY))
    sent[-7] ^= 1
    (frame,) = wire.FrameReader(WireLimits.max_payload_bytes).feed(bytes(sent))
    assert not frame.is_from(KEY)


# What others may ask, and what of theirs is shown


@pytest.mark.parametrize(
    ("name", "methods"),
    [
        ("sparrow.scheduler.1", {"schedule", "set_method", "request_task", "task_completed", "stats"}),
        ("sparrow.worker.host1", {"add_task", "find_load", "get_name", "set_late_binding"}),
        ("Pyro.Daemon", {"ping", "get_metadata"}),
    ],
)
def test_nothing_is_exposed_but_what_is_documented(clusters, name, methods):
    with clusters(2).proxy(name if name != "Pyro.Daemon" else "sparrow.scheduler.1") as proxy:
        if name == "Pyro.Daemon":
            proxy = Pyro4.Proxy(f"PYRO:Pyro.Daemon@{proxy._pyroUri.location}")
        proxy._pyroBind()
        assert proxy._pyroMethods == methods
        assert not proxy._pyroAttrs
        for hidden in ("_book", "__init__", "run", "stop", "registered", "__class__", "_daemon.close"):
            with pytest.raises(AttributeError):
                proxy._pyroInvoke(hidden, (), {})
        proxy._pyroRelease()


def test_what_others_say_stays_on_one_line_and_moves_no_cursor():
    said = printable("worker a\n12:00:00 ERROR   forged\x1b[2J\u202e\x00" + "x" * 10_000)
    assert said.startswith(r"worker a\n12:00:00 ERROR   forged\x1b[2J\u202e\x00xxx")
    assert len(said) < 3_000


def test_names_that_are_none_of_ours_are_passed_over(cluster):
    with Pyro4.locateNS("127.0.0.1", int(cluster.nameserver.rpartition(":")[2])) as names:
        for name in ("sparrow.worker.a\nb", "sparrow.worker.\x1b[2J", "sparrow.worker." + "x" * 500, "sparrow.scheduler.<script>"):
            names.register(name, "PYRO:x@127.0.0.1:1")
        names.register("sparrow.worker.stale", "PYRO:x@127.0.0.1:1")
    eventually(lambda: "worker stale is registered but cannot be used" in cluster.log("scheduler1"))
    assert client(cluster, "BATCH", 2, 4, 0.01, "--quiet").returncode == 0
    assert "xxx" not in cluster.log("scheduler1")
    assert "\x1b" not in cluster.log("scheduler1")


# TLS


def certified(folder, *hosts):
    """The settings of a host with a new certificate of the authority in that folder."""
    made = script("new-certs", folder, *hosts)
    assert made.returncode == 0, made.stderr
    told = subprocess.run(
        ["sh", "-c", ". ./env && env"], cwd=folder / hosts[0].split(",")[0], capture_output=True, text=True, check=True
    ).stdout
    return {line.partition("=")[0]: line.partition("=")[2] for line in told.splitlines() if line.startswith("PYRO_SSL")}


def test_a_cluster_with_certificates_takes_nobody_without(tmp_path):
    ours, theirs = certified(tmp_path / "ours", "here,127.0.0.1"), certified(tmp_path / "theirs", "here")
    assert (tmp_path / "ours" / "authority.key").stat().st_mode & 0o077 == 0
    assert (tmp_path / "ours" / "here" / "host.key").stat().st_mode & 0o077 == 0
    without = {name: value for name, value in ours.items() if "CLIENT" not in name or name == "PYRO_SSL_REQUIRECLIENTCERT"}
    program = f"{ROOT}/src/SparrowClient.py BATCH+LATE_BINDING 2 4 0.01 --json"
    attempts = f"""
        {sys.executable} {program} || exit 1
        env {" ".join(f"{name}={value}" for name, value in theirs.items())} {sys.executable} {program} --timeout 1.5
        echo theirs $?
        env -i PYRO_NS_PORT=$PYRO_NS_PORT {" ".join(f"{name}={value}" for name, value in without.items())} \
            {sys.executable} {program} --timeout 1.5
        echo without $?
        env -u PYRO_SSL {sys.executable} {program} --timeout 1.5
        echo plain $?
    """
    done = script("cluster", "--workers", 2, "--", "sh", "-c", attempts, env={**os.environ, **ours})
    assert '"completed": 8' in done.stdout, done.stderr
    assert re.findall(r"\w+ \d+$", done.stdout, re.M) == ["theirs 69", "without 2", "plain 69"]
    assert "no TLS in common" in done.stderr
    assert "Traceback" not in done.stderr


def test_certificates_are_refused_for_what_is_no_host(tmp_path):
    for host in ("a b", "-x", "a,", "a\nb", "../up"):
        done = script("new-certs", tmp_path / "certs", "--", host)
        assert done.returncode == 2, done.stderr
    assert not (tmp_path / "certs").exists()


def test_a_missing_certificate_is_one_clear_line(tmp_path):
    for settings, said in (
        ({"PYRO_SSL": "1"}, "PYRO_SSL_SERVERCERT is not"),
        ({"PYRO_SSL": "1", "PYRO_SSL_SERVERCERT": str(tmp_path / "none")}, "TLS cannot be set up"),
    ):
        done = run("Worker.py", env={**os.environ, **settings})
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert said in done.stderr


# The name server of our own


@pytest.fixture
def own_nameserver(tmp_path):
    """Its address, and a way to start it again with the names that it had."""
    running: list[subprocess.Popen[bytes]] = []
    log = (tmp_path / "log").open("w")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    def start():
        for process in running:
            process.terminate()
            assert process.wait(5) == 0
        storage = f"sql:{tmp_path / 'names'}"
        command = [
            sys.executable,
            str(ROOT / "src" / "NameServer.py"),
            "--host",
            "127.0.0.1",
            "--port",
            str(port),
            "--storage",
            storage,
        ]
        running[:] = [subprocess.Popen(command, stderr=log)]
        eventually(lambda: _listens(port))

    start()
    yield port, start
    running[0].terminate()
    running[0].wait(5)
    log.close()


def _listens(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
        return True
    return False


def test_our_name_server_is_used_like_the_stock_one_whoever_is_connected(own_nameserver):
    port, restart = own_nameserver
    with contextlib.ExitStack() as held:
        for _ in range(100):
            held.enter_context(socket.create_connection(("127.0.0.1", port)))
        with Pyro4.locateNS("127.0.0.1", port) as names:
            names.register("a.name", "PYRO:x@127.0.0.1:5")
            with pytest.raises(Pyro4.errors.NamingError):
                names.register("a.name", "PYRO:y@127.0.0.1:5", safe=True)
            with pytest.raises(ValueError, match="256"):
                names.register("n" * 2000, "PYRO:x@127.0.0.1:5")
            assert set(names.list()) == {"a.name", "Pyro.NameServer"}
    restart()
    with Pyro4.locateNS("127.0.0.1", port) as names:
        assert str(names.lookup("a.name")) == "PYRO:x@127.0.0.1:5"
