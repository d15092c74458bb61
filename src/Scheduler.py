"""The scheduler program and its remote object: it takes jobs from clients, samples workers for the tasks, and sends reports.

    python Scheduler.py [--number N] [--method METHOD]

``Scheduler`` only delegates: a remote call becomes an event of the node (``sparrow.scheduler_node``), which makes all decisions.
Several schedulers may run; they share no state.
"""

from __future__ import annotations

if not __package__:
    import _root  # noqa: F401
if __name__ == "__main__":
    from src.cli import interpreter

    interpreter.enter()

import json
import logging
import random
import time
from typing import Any

from src.cli.logs import log_to_stderr
from src.cli.options import add_service_options, new_parser, service_arguments, whole_number
from src.cli.process import run_service
from src.cli.program import run_program
from src.cluster.scheduler_host import Form, PendingReport, SchedulerHost, as_text
from src.cluster.service import Service
from src.rmi.connection import Connection
from src.rmi.daemon import current_caller, expose
from src.rmi.security import Security
from src.sparrow import messages as m
from src.sparrow.checks import identifier, number
from src.sparrow.jobspec import JobSpec
from src.sparrow.messages import Address
from src.sparrow.names import SCHEDULERS
from src.sparrow.placement import METHODS, method_named
from src.sparrow.reports import Report
from src.sparrow.scheduler_node import SchedulerNode
from src.sparrow.settings import SchedulerSettings
from src.sparrow.taskcolumns import encode, plain

log = logging.getLogger("sparrow.scheduler")


class Scheduler(Service):
    """The remote object ``sparrow.scheduler.<n>``.

    ``scheduling_method`` is for jobs that name none. ``nameserver_hostname`` is HOST[:PORT]; None means the default of the command
    line. ``host``, ``port``, ``key_file``, ``insecure`` and ``allow_stock_pyro4`` are as on the command line; ``seed`` makes the
    sampling repeatable. The scheduler serves in the calling thread with ``run()``, or in a thread of its own with ``start()`` and
    ``stop()`` or as a context manager. Raises TypeError or ValueError if the method or the number is not valid, and
    ConfigurationError if the key cannot be used.
    """

    def __init__(
        self,
        scheduling_method: str = "RANDOM",
        nameserver_hostname: str | None = None,
        scheduler_number: int = 1,
        *,
        host: str | None = None,
        port: int = 0,
        seed: int | None = None,
        key_file: str | None = None,
        insecure: bool = False,
        allow_stock_pyro4: bool = False,
        settings: SchedulerSettings = SchedulerSettings(),
    ) -> None:
        names = [f"{SCHEDULERS}{number(scheduler_number, 'scheduler_number', least=1)}"]
        security = Security.of(key_file, insecure, allow_stock_pyro4)
        super().__init__(names, nameserver_hostname, host, port, security, settings.naming)
        self._default_method = method_named(scheduling_method).name
        self._rng = random.Random(seed)
        self._settings = settings
        self._node: SchedulerNode
        self._last: tuple[Report | None, Form | None, object] = (None, None, None)  # a report that was asked for again, in its form

    # Remote methods

    @expose
    def schedule(self, job: Any) -> Any:
        """Runs a job: ``{"id": ..., "durations_s": [...], "method": ..., "wait": true}``, or the same as JSON text.

        Returns the report when the job has ended: a dict if the job was a dict, else JSON text. If ``wait`` is false, it returns at
        once. A large job whose report is wanted must be JSON text, and a very large one have ``durations_s`` packed
        (``sparrow.packing``), and so has its report (``sparrow.taskcolumns``), since all else takes too long to write. A client may
        submit a job again under the same id: the call then waits for the same run, or repeats its report. Raises TypeError or
        ValueError if the job is malformed or its id belongs to another job, and BlockingIOError ("try later") if there is no room
        for it.
        """
        spec, is_text = JobSpec.decode(job), isinstance(job, str)
        tasks, most = len(spec.durations_s), self._settings.max_text_tasks if is_text else self._settings.max_dict_tasks
        if spec.wait and not spec.packed and tasks > most:
            how = "pack its durations (src/sparrow/packing.py)" if is_text else "send it as JSON text"
            raise ValueError(f"the report of {tasks:,} tasks would be too large, for {most:,} are allowed in this form: {how}")
        form: Form = plain if not is_text else encode if spec.packed else as_text
        report = self._node.schedule(spec, lambda: PendingReport(self._daemon.defer(), form))
        if not spec.wait:
            return _reply(is_text, {"id": spec.id, "accepted": True})
        return None if report is None else self._value_of(report, form)

    @expose
    def set_method(self, method: Any) -> None:
        """Sets the method for jobs that name none. Raises ValueError, which lists the methods, if it is unknown."""
        self._node.table.default_method = method_named(method).name
        log.info("%s: jobs that name no method get %s from now on", self.name, self._node.table.default_method)

    @expose
    def request_task(self, worker: Any, incarnation: Any, batch: Any) -> str | None:
        """Takes a batch of a worker, [Ask, ..., Done, ...], and returns the answers, [Assign or NoTask, ...].

        An empty batch is a greeting: it is answered when this scheduler has connected to the worker, or could not. Raises TypeError
        or ValueError if the batch is malformed or does not come from the worker that its connection has greeted as, and
        UnknownIdError if it names a job, task or reservation that is unknown.
        """
        address, messages = self._from_worker(worker, incarnation, batch, "request_task")
        if messages:
            return m.encode(self._node.received(address, current_caller(), messages))
        pending = self._daemon.defer()
        self._node.greeted(address, current_caller(), pending.connection, lambda: pending.answer(m.encode([])))
        return None

    @expose
    def task_completed(self, worker: Any, incarnation: Any, batch: Any) -> str:
        """Takes a batch of a worker, [Done, ..., Leave], and returns an empty batch. It raises what ``request_task`` raises."""
        address, messages = self._from_worker(worker, incarnation, batch, "task_completed")
        return m.encode(self._node.received(address, current_caller(), messages))

    @expose
    def stats(self, job_ids: Any = (), details: Any = False, brief: Any = False, first: Any = 0) -> Any:
        """Returns the state of this scheduler: its workers, the newest jobs, and counts and percentiles for each method.

        The type of the result is ``sparrow.reports.SchedulerStats``. ``progress`` has those of the jobs ``job_ids`` that are open.
        If ``details`` is true, the result also has the details of these jobs, as much as one answer may have; ``next`` says which
        job the next question begins with, and its ``first``. If ``brief`` is true, it lacks what takes long to compute. The result
        is a dict, or JSON text if ``job_ids`` is JSON text such as '["a1", "a2"]'. Raises TypeError or ValueError if ``job_ids`` is
        not a list of strings or has too many, or if ``first`` is no whole number from 0.
        """
        ids = m.parsed(job_ids) if isinstance(job_ids, str) else job_ids
        if not isinstance(ids, (list, tuple)) or not all(isinstance(id, str) for id in ids):
            raise TypeError("job_ids must be a list of job ids, or that as JSON text")
        ids = list(dict.fromkeys(ids))
        return _reply(
            isinstance(job_ids, str), self._node.stats(ids, bool(details), bool(brief), time.time(), number(first, "first"))
        )

    def _from_worker(self, worker: Any, incarnation: Any, batch: Any, method: str) -> tuple[Address, list[m.Message]]:
        address = Address(identifier(worker, "worker"), identifier(incarnation, "incarnation"))
        return address, m.decode(batch, m.taken_by(method))

    def _value_of(self, report: Report, form: Form) -> object:
        if self._last[0] is not report or self._last[1] is not form:
            self._last = report, form, form(report)
        return self._last[2]

    # The life of a scheduler

    def _named(self) -> None:
        address = Address(self.name, self.incarnation)
        self._host_of_node = SchedulerHost(address, self.names, self._who)
        self._node = SchedulerNode(address, self._host_of_node, self._rng, self._default_method, self._settings)
        self._host_of_node.node = self._node

    def _not_named(self) -> None:
        self._node.close()

    async def _opened(self) -> None:
        self._node.start()
        await self._host_of_node.first_look.wait()

    def _gone(self, peer: Any, connection: Connection) -> None:
        if self.name:
            self._node.caller_gone(connection)

    def _is_idle(self) -> bool:
        return not self._node.table.jobs

    async def _closing(self) -> None:
        self._node.close()


def _reply(as_text: bool, value: Any) -> Any:
    """Returns the value as JSON text, or as it is."""
    return json.dumps(value, separators=(",", ":")) if as_text else value


def main() -> int:
    """Runs the command, and returns its exit status."""
    parser = new_parser(
        "Run a scheduler: it takes jobs from clients, samples workers for their tasks and reports how it went.",
        "It waits for the name server (src/NameServer.py) and finds the workers there; start and stop any of them in any order.\n"
        "Several schedulers may run, on any machines: each needs a number of its own.",
    )
    add_service_options(parser)
    parser.add_argument(
        "--number", type=lambda text: whole_number(text, 1, 9999), default=1, metavar="N", help="its number (default: 1)"
    )
    parser.add_argument("--method", choices=METHODS.names(), default="RANDOM", help="for jobs that name none (default: RANDOM)")
    arguments = parser.parse_args()
    log_to_stderr(arguments.log_level)
    return run_service(
        lambda: Scheduler(arguments.method, arguments.nameserver, arguments.number, **service_arguments(arguments)).run()
    )


if __name__ == "__main__":
    run_program(main)
