"""The run of a service process: its limit of descriptors, its exit status, and the error line in its log."""

from __future__ import annotations

import resource
from collections.abc import Callable

from src.cli.exit_status import ExitStatus
from src.cli.logs import log, log_to_stderr
from src.cli.streams import OutputError
from src.cluster.signals import ignore_signals
from src.rmi.errors import ConfigurationError, SparrowError, UnavailableError
from src.rmi.settings import DaemonSettings


def raise_descriptor_limit() -> None:
    """Raises the limit of open descriptors as far as the system allows: a scheduler needs one for each connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * DaemonSettings.max_connections  # connections from others, and as many to others
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, wanted) if most != resource.RLIM_INFINITY else wanted, most))


def run_service(run: Callable[[], None]) -> ExitStatus:
    """Runs a service to its end, logs the reason if that is an error, and returns its exit status.

    Raises OutputError if the help of the command line cannot be written.
    """
    raise_descriptor_limit()
    log_to_stderr("info")  # until the command line says another level, and so that an error in it is said
    try:
        run()
    except OutputError:
        raise
    except UnavailableError as error:
        log.error("%s", error)
        return ExitStatus.UNAVAILABLE
    except ConfigurationError as error:
        log.error("%s", error)
        return ExitStatus.USAGE
    except SparrowError as error:
        log.error("%s", error)
        return ExitStatus.TASK_FAILED
    except Exception as error:  # a defect of this program
        log.error("unexpected %s: %s (--log-level debug shows where)", type(error).__name__, error)
        log.debug("where it happened", exc_info=error)
        return ExitStatus.TASK_FAILED
    finally:
        ignore_signals()
    return ExitStatus.OK
