"""The worker program and its remote object: it runs the tasks that schedulers launch on it, each in a slot. A task sleeps.

    python Worker.py [--slots N] [--name NAME]

``Worker`` only delegates: a remote call becomes an event of the node (``sparrow.worker_node``), which makes all decisions. The
worker knows a scheduler from its first call on.
"""

from __future__ import annotations

if not __package__:
    import _root  # noqa: F401
if __name__ == "__main__":
    from src.cli import interpreter

    interpreter.enter()

import argparse
import logging
import re
import socket
from collections.abc import Iterator
from typing import Any

from src.cli.logs import log_to_stderr
from src.cli.options import add_service_options, new_parser, service_arguments, whole_number
from src.cli.process import run_service
from src.cli.program import run_program
from src.cluster.service import Service
from src.cluster.worker_host import WorkerHost
from src.rmi.daemon import current_caller, expose
from src.rmi.errors import UnavailableError
from src.rmi.security import Security
from src.sparrow import messages as m
from src.sparrow.checks import MAX_NAME, identifier, number
from src.sparrow.messages import Address
from src.sparrow.names import SCHEDULERS, WORKERS
from src.sparrow.settings import WorkerSettings
from src.sparrow.worker_node import WorkerNode

log = logging.getLogger("sparrow.worker")


class Worker(Service):
    """The remote object ``sparrow.worker.<name>``.

    If ``name`` is None, it is the name of this host, with .2, .3 ... if that is taken. ``nameserver_hostname`` is HOST[:PORT]; None
    means the default of the command line. ``host``, ``port``, ``key_file``, ``insecure`` and ``allow_stock_pyro4`` are as on the
    command line. The worker serves in the calling thread with ``run()``, or in a thread of its own with ``start()`` and ``stop()``
    or as a context manager. Raises TypeError or ValueError if the name or the number of slots is not valid, and ConfigurationError
    if the key cannot be used.
    """

    def __init__(
        self,
        name: str | None = None,
        nameserver_hostname: str | None = None,
        *,
        slots: int = 1,
        host: str | None = None,
        port: int = 0,
        key_file: str | None = None,
        insecure: bool = False,
        allow_stock_pyro4: bool = False,
        settings: WorkerSettings = WorkerSettings(),
    ) -> None:
        names = names_of_this_host() if name is None else [worker_name(name)]
        security = Security.of(key_file, insecure, allow_stock_pyro4)
        super().__init__((WORKERS + name for name in names), nameserver_hostname, host, port, security, settings.naming)
        self._slots = number(slots, "slots", least=1, most=settings.max_slots)
        self._settings = settings
        self._node: WorkerNode

    # Remote methods

    @expose
    def get_name(self) -> str:
        """Returns the worker's name, without the prefix that it has in the name server."""
        return self.name[len(WORKERS) :]

    @expose
    def find_load(self) -> int:
        """Returns the number of tasks and reservations, queued and running. It is the answer to a probe."""
        return self._node.queue.load

    @expose
    def add_task(self, scheduler: Any, incarnation: Any, batch: Any) -> str:
        """Takes a batch of a scheduler, [Launch, ..., Reconcile], and returns the answers, [Holdings, ...].

        Raises TypeError or ValueError if the batch is malformed or does not come from the scheduler that its connection has
        greeted as, and BlockingIOError ("try later") if there is no room for it or a newer incarnation of the scheduler is known.
        """
        return self._from_scheduler(scheduler, incarnation, batch, "add_task")

    @expose
    def set_late_binding(self, scheduler: Any, incarnation: Any, batch: Any) -> str:
        """Takes a batch of a scheduler, [Reserve, ..., Cancel, ..., Drop, ...]. It returns and raises what ``add_task`` does."""
        return self._from_scheduler(scheduler, incarnation, batch, "set_late_binding")

    def _from_scheduler(self, scheduler: Any, incarnation: Any, batch: Any, method: str) -> str:
        address = Address(identifier(scheduler, "scheduler"), identifier(incarnation, "incarnation"))
        messages = m.decode(batch, m.taken_by(method))
        return m.encode(self._node.received(address, current_caller(), messages))

    # The life of a worker

    def _who(self) -> dict[str, Any]:
        return {**super()._who(), "slots": self._slots}

    def _named(self) -> None:
        address = Address(self.get_name(), self.incarnation)
        host = WorkerHost(address, self.names, self._who)
        self._node = host.node = WorkerNode(address, host, self._slots, self._settings)
        self._host_of_node = host

    def _not_named(self) -> None:
        self._node.close()

    async def _opened(self) -> None:
        try:
            schedulers = await self.names.list(SCHEDULERS)
        except UnavailableError as error:
            log.debug("%s: no scheduler was told: %s", self.name, error)
            return
        self._node.names_seen(schedulers)
        await self._host_of_node.greeted(self._settings.greet_s)

    def _is_idle(self) -> bool:
        return not self._node.queue.load

    async def _closing(self) -> None:
        self._node.leave(self._connected_schedulers())
        await self._host_of_node.has_left.wait()

    def _connected_schedulers(self) -> Iterator[tuple[Address, str | None]]:
        """Yields the address and the uri of each scheduler that is connected, also of those that have sent nothing yet."""
        for connection in list(self._daemon.connections):
            said = connection.peer if isinstance(connection.peer, dict) else {}
            name, incarnation, uri = said.get("name"), said.get("incarnation"), said.get("uri")
            if isinstance(name, str) and name.startswith(SCHEDULERS) and isinstance(incarnation, str):
                yield Address(name, incarnation), uri if isinstance(uri, str) else None


def names_of_this_host() -> Iterator[str]:
    """Yields names for the workers on this host: the name of the host for the first, then that with .2, .3 and so on."""
    host = re.sub(r"[^A-Za-z0-9_.-]", "-", socket.gethostname())[: MAX_NAME // 2] or "worker"
    yield host
    yield from (f"{host}.{number}" for number in range(2, 1000))


def worker_name(text: str) -> str:
    """Returns ``text`` if it is a valid name of a worker. Raises TypeError or ValueError if it is not."""
    if not isinstance(text, str):
        raise TypeError(f"a worker's name must be a string or None, not {text!r:.60}")
    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", text):
        raise ValueError(f"a worker's name is 1 to 100 letters, digits, dots, hyphens and underscores, not {text!r:.60}")
    return text


def _name(text: str) -> str:
    """Returns ``text`` if it is a valid name of a worker; for argparse."""
    try:
        return worker_name(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def main() -> int:
    """Runs the command, and returns its exit status."""
    parser = new_parser(
        "Run a worker: it takes tasks from schedulers and runs each in a slot. Start one on each machine.",
        "It waits for the name server (src/NameServer.py) and registers as sparrow.worker.NAME; schedulers find it there.\n"
        "Start and stop any of them in any order. On SIGINT or SIGTERM it hands back what it holds; a second one ends it at once.",
    )
    add_service_options(parser)
    parser.add_argument("--name", type=_name, help="its name (default: the host's name, with .2, .3 ... when that is taken)")
    parser.add_argument(
        "--slots",
        type=lambda text: whole_number(text, 1, WorkerSettings().max_slots),
        default=1,
        metavar="N",
        help="tasks that it runs at a time (default: 1)",
    )
    arguments = parser.parse_args()
    log_to_stderr(arguments.log_level)
    return run_service(
        lambda: Worker(arguments.name, arguments.nameserver, slots=arguments.slots, **service_arguments(arguments)).run()
    )


if __name__ == "__main__":
    run_program(main)
