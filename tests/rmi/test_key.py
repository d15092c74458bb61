"""A cluster with a key: who gets in, who does not, and what both sides hear."""

import asyncio
import contextlib
import os
import re
import socket
import subprocess
import sys
import threading

import Pyro4
import pytest
from Pyro4 import message

from scripts.testbed.dashboard import Dashboard
from scripts.testbed.local_cluster import LocalCluster
from src.rmi import wire
from src.rmi.channel import Channel
from src.rmi.errors import AccessDeniedError, ConfigurationError, WrongCredentialsError
from src.rmi.security import KEY_FILE, STOCK_VARIABLE, Security, StockKey
from src.rmi.settings import WireLimits
from src.Scheduler import Scheduler
from src.SparrowClient import SparrowClient
from src.Worker import Worker
from tests.support.keys import KEY, made_key, run
from tests.support.live import client, eventually


@pytest.fixture(scope="module")
def keyed(tmp_path_factory):
    """A cluster with a key, and the key's file."""
    path = made_key(tmp_path_factory.mktemp("key"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(KEY_FILE, str(path))
        cluster = LocalCluster(workers=2)
        with cluster:
            patch.delenv(KEY_FILE)
            yield cluster, path


def test_who_has_the_key_gets_work_done(keyed):
    cluster, path = keyed
    for method in ("RANDOM", "BATCH+LATE_BINDING"):
        done = client(cluster, method, 2, 4, 0.01, "--json", "--key-file", path)
        assert done.returncode == 0, done.stderr


def test_a_stock_proxy_with_the_key_hears_which_option_would_let_it_in(keyed):
    cluster, _ = keyed
    with cluster.proxy("sparrow.scheduler.1") as ours:
        uri = ours._pyroUri
    with Pyro4.Proxy(uri) as proxy:
        proxy._pyroHmacKey = KEY
        with pytest.raises(Pyro4.errors.CommunicationError, match="rejected: .*--allow-stock-pyro4"):
            proxy._pyroBind()


@pytest.fixture(scope="module")
def stock_ns():
    """The address of a stock name server with the key."""
    command = [sys.executable, "-u", "-m", "Pyro4.naming", "-n", "127.0.0.1", "-p", "0", "-x"]
    with subprocess.Popen(command, env={**os.environ, "PYRO_HMAC_KEY": KEY.decode()}, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield next(match[1] for line in process.stdout if (match := re.search(r"NS running on (\S+)", line)))
        process.terminate()


@pytest.mark.parametrize("program", ["Worker.py", "Scheduler.py", "SparrowClient.py BATCH 1 1 0"])
def test_a_stock_name_server_with_the_key_is_refused_and_the_line_says_what_to_do(stock_ns, tmp_path, program):
    name, *arguments = program.split()
    done = run(name, *arguments, "--nameserver", stock_ns, "--key-file", made_key(tmp_path))
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (69, "", 1)
    assert "start python3 src/NameServer.py in its place" in done.stderr
    assert "--allow-stock-pyro4" in done.stderr


def test_the_option_lets_a_cluster_use_a_stock_name_server_and_stock_clients_with_the_key(stock_ns, tmp_path):
    key, port = made_key(tmp_path), int(stock_ns.rpartition(":")[2])
    options = {"nameserver_hostname": stock_ns, "key_file": str(key), "allow_stock_pyro4": True}
    with Scheduler("BATCH", **options), Worker("stock", **options), SparrowClient(stock_ns, key_file=str(key)) as ours:
        with Pyro4.locateNS("127.0.0.1", port, hmac_key=KEY) as names:
            proxy = Pyro4.Proxy(names.lookup("sparrow.scheduler.1"))
        proxy._pyroHmacKey = KEY
        eventually(lambda: proxy.stats()["workers"])
        assert proxy.schedule({"id": "stock", "durations_s": [0.0]})["id"] == "stock"
        proxy._pyroRelease()
        with pytest.raises(AccessDeniedError, match="--allow-stock-pyro4"):  # who does not say it, has not agreed to it
            ours.run("BATCH", 1, 1, 0.0)
        with SparrowClient(**options) as agreed:
            assert not agreed.run("BATCH", 1, 1, 0.0)[0].failed


def test_the_option_is_said_in_the_environment_too(tmp_path, monkeypatch):
    key = str(made_key(tmp_path))
    assert not isinstance(Security.of(key).key, StockKey)
    assert isinstance(Security.of(key, allow_stock_pyro4=True).key, StockKey)
    monkeypatch.setenv(STOCK_VARIABLE, "1")
    assert isinstance(Security.of(key).key, StockKey)
    assert Security.of().key is None
    monkeypatch.setenv(STOCK_VARIABLE, "yes")
    with pytest.raises(ConfigurationError, match="is 1 or 0, not 'yes'"):
        Security.of(key)


def test_who_has_not_the_key_hears_it_at_once(keyed, tmp_path):
    cluster, _ = keyed
    other = made_key(tmp_path)
    other.write_text("quite another key than theirs")
    for option, said in (((), "asks for a key"), (("--key-file", other), "has another key than we")):
        done = client(cluster, "BATCH", 1, 1, 0, *option, timeout_s=14)  # it does not wait its 15 s for a name server to come
        assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (69, "", 1)
        assert said in done.stderr
        worker = run("Worker.py", "--nameserver", cluster.nameserver, *option)
        assert (worker.returncode, len(worker.stderr.splitlines())) == (69, 1)
        assert said in worker.stderr


def test_both_sides_say_who_was_turned_away_but_not_for_each_of_a_thousand(keyed):
    cluster, _ = keyed
    with cluster.proxy("sparrow.worker.host1") as proxy:
        uri = str(proxy._pyroUri)

    async def try_it(key):
        with pytest.raises(WrongCredentialsError, match="key"):
            await Channel.open(uri, key=key)

    for n in range(60):
        asyncio.run(try_it(None if n % 2 else b"not the key that it has"))
    log = cluster.log("host1")
    assert log.count("turned away 127.0.0.1:") == 1
    assert "its key is not ours" in log


def test_someone_with_a_key_where_there_is_none_hears_it_too(clusters, tmp_path):
    done = client(clusters(1), "BATCH", 1, 1, 0, "--key-file", made_key(tmp_path))
    assert done.returncode == 69
    assert "has no key, and we have one" in done.stderr


def test_the_key_is_in_no_log_and_on_no_command_line(keyed):
    cluster, _ = keyed
    for name, process in cluster.processes.items():
        assert KEY.decode() not in cluster.log(name)
        with open(f"/proc/{process.pid}/cmdline", "rb") as line:
            assert KEY not in line.read()


def test_the_dashboard_sees_a_cluster_with_a_key(keyed, monkeypatch):
    cluster, path = keyed
    with Dashboard(cluster.nameserver) as outside:
        eventually(lambda: "asks for a key" in outside.get("/sparrow/stats")["nameserver"]["error"])
    monkeypatch.setenv(KEY_FILE, str(path))
    with Dashboard(cluster.nameserver) as inside:
        eventually(lambda: inside.get("/sparrow/stats")["totals"]["workers"] == 2)


class Squatter:
    """Somebody without the key who listens on the port of a dead process and passes all that he hears on to living ones."""

    def __init__(self, port, targets):
        self._server = socket.create_server(("127.0.0.1", port))
        self._targets = targets
        self.heard: list[bytes] = []
        self.answers: list[bytes] = []
        self._threads = [threading.Thread(target=self._listen)]
        self._threads[0].start()

    def _listen(self):
        with contextlib.suppress(OSError):
            while True:
                peer, _ = self._server.accept()
                self._threads.append(threading.Thread(target=self._pass_on, args=(peer,)))
                self._threads[-1].start()

    def _pass_on(self, peer):
        with peer, contextlib.suppress(OSError):
            peer.settimeout(2)
            greeting = peer.recv(65536)
            self.heard.append(greeting)
            peer.sendall(greeting)  # it is said back to whom it came from
            for target in self._targets:
                with socket.create_connection(target, timeout=2) as other, contextlib.suppress(OSError):
                    other.sendall(b"".join(self.heard))
                    self.answers.append(other.recv(65536))

    def close(self):
        self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()
        for thread in self._threads:
            thread.join()


def test_a_stranger_on_the_ports_of_dead_workers_gets_nobodys_confidence(tmp_path, monkeypatch):
    path = made_key(tmp_path)
    monkeypatch.setenv(KEY_FILE, str(path))
    with LocalCluster(workers=3) as cluster:
        uris = {}
        for name in ("sparrow.worker.host1", "sparrow.worker.host2", "sparrow.worker.host3", "sparrow.scheduler.1"):
            with cluster.proxy(name) as proxy:
                uris[name] = (proxy._pyroUri.host, proxy._pyroUri.port)
        living = [uris["sparrow.worker.host3"], uris["sparrow.scheduler.1"]]
        for name in ("host1", "host2"):
            cluster.kill(name)
        squatters = [Squatter(uris[f"sparrow.worker.{name}"][1], living) for name in ("host1", "host2")]
        try:
            eventually(lambda: all(squatter.heard for squatter in squatters), 20)
            eventually(lambda: all(len(squatter.answers) > 1 for squatter in squatters), 20)
            done = client(cluster, "BATCH+LATE_BINDING", 3, 4, 0.01, "--json", "--key-file", path)
            assert done.returncode == 0, done.stderr
            eventually(lambda: set(cluster.stats()["workers"]) == {"host3"})
        finally:
            for squatter in squatters:
                squatter.close()
    for answer in squatters[0].answers + squatters[1].answers:
        kinds = [frame.kind for frame in wire.FrameReader(WireLimits.max_payload_bytes).feed(answer)]
        assert set(kinds) == {message.MSG_CONNECTFAIL}
