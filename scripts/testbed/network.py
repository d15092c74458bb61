"""Hosts of their own on this machine, and a network between them that loses and delays what it is told to.

Each host is a network namespace with a TUN device; a process of ours reads packets from one and writes them to another. That needs
root, Linux, /dev/net/tun and the ip command. Nothing of it has a name in the system, so the kernel removes it when the processes in
it and this one have ended.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import shutil
import struct
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from types import TracebackType
from typing import IO

from scripts.testbed.local_cluster import ROOT, LocalCluster, end_with_parent

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_SUBNET = "10.77.0."
_OURS = "/proc/thread-self/ns/net"


def why_not() -> str:
    """Returns why there can be no such network here; empty if there can."""
    if not sys.platform.startswith("linux"):
        return "network namespaces need Linux"
    if os.geteuid() != 0:
        return "making network namespaces needs root"
    if not os.path.exists("/dev/net/tun"):
        return "there is no /dev/net/tun"
    if shutil.which("ip") is None:
        return "there is no ip command"
    return ""


class Network:
    """A context manager: the hosts exist within the block. A thread is on this machine, or ``inside`` one of the hosts."""

    def __init__(self, hosts: Sequence[str]) -> None:
        self._hosts = tuple(hosts)
        self._namespaces: dict[str, int] = {}
        self._to_router: IO[str]
        self._from_router: IO[str]
        self._open = ExitStack()

    def __enter__(self) -> Network:
        with ExitStack() as undo:
            self._open = undo
            devices = [self._add(host) for host in self._hosts]
            command = [sys.executable, str(ROOT / "scripts" / "testbed" / "router.py")]
            command += [f"{self.address(host)}={device}" for host, device in zip(self._hosts, devices)]
            router = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
                pass_fds=devices,
                start_new_session=True,
                preexec_fn=end_with_parent,
            )
            undo.callback(self._end_router, router)
            assert router.stdin is not None
            assert router.stdout is not None
            self._to_router, self._from_router = router.stdin, router.stdout
            self.heal()  # its answer says that it works
            self._open = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._open.close()

    def _add(self, host: str) -> int:
        """Make a host. Returns the descriptor of its network device."""
        with _back_afterwards():
            _check(_libc().unshare(_CLONE_NEWNET))
            device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)  # it belongs to the namespace in which it is opened
            self._open.callback(os.close, device)
            self._namespaces[host] = os.open(_OURS, os.O_RDONLY)
            self._open.callback(os.close, self._namespaces[host])
            fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"net0", _IFF_TUN | _IFF_NO_PI))
            for command in ("link set lo up", f"addr add {self.address(host)}/24 dev net0", "link set net0 up"):
                subprocess.run(["ip", *command.split()], check=True)
        return device

    def _end_router(self, router: subprocess.Popen[str]) -> None:
        router.kill()
        router.wait()
        for pipe in (self._to_router, self._from_router):
            with suppress(BrokenPipeError):
                pipe.close()

    def address(self, host: str) -> str:
        """Returns the address of a host."""
        return f"{_SUBNET}{self._hosts.index(host) + 1}"

    @contextmanager
    def inside(self, host: str) -> Iterator[None]:
        """Within the block this thread opens sockets and starts processes on that host."""
        with _back_afterwards():
            _check(_libc().setns(self._namespaces[host], _CLONE_NEWNET))
            yield

    def drop(self, sender: str, receiver: str) -> None:
        """Drop all packets of that direction until ``heal``."""
        self._tell([self.address(sender), self.address(receiver), None])

    def delay(self, sender: str, receiver: str, seconds: float) -> None:
        """Delay all packets of that direction until ``heal``."""
        self._tell([self.address(sender), self.address(receiver), seconds])

    def heal(self) -> None:
        """End all drops and delays."""
        self._tell([])

    def _tell(self, rule: list[str | float | None]) -> None:
        """Returns when it is in force."""
        self._to_router.write(json.dumps(rule) + "\n")
        if self._from_router.readline() != "done\n":
            raise OSError("the process between the hosts has ended")


class NetworkCluster(LocalCluster):
    """A cluster with the name server, the scheduler and each worker on a host of its own. Enter ``network`` first."""

    def __init__(self, workers: int) -> None:
        super().__init__(workers)
        self.network = Network(["scheduler1", "nameserver", *(f"host{number}" for number in range(1, workers + 1))])
        self._inside = ExitStack()

    def __enter__(self) -> NetworkCluster:
        with ExitStack() as undo:
            undo.enter_context(self.network)
            undo.enter_context(self.network.inside("scheduler1"))  # from where a client sees it, and so do we
            self.address = self.network.address("nameserver")
            super().__enter__()
            self._inside = undo.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._inside:
            super().__exit__(kind, error, trace)

    def _serve(self, name: str, script: str, *options: str) -> None:
        """Start a service that listens beyond loopback: it needs a key, or --insecure."""
        super()._serve(name, script, *options, "--insecure")

    def _spawn(self, name: str, *arguments: str) -> None:
        with self.network.inside(name):
            super()._spawn(name, *arguments)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@contextmanager
def _back_afterwards() -> Iterator[None]:
    """Return this thread to its network namespace at the end of the block."""
    former = os.open(_OURS, os.O_RDONLY)
    try:
        yield
    finally:
        _check(_libc().setns(former, _CLONE_NEWNET))
        os.close(former)
