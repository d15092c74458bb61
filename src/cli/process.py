"""The start and the end of a service process: its limit of descriptors, its exit status, and the error line for the user."""

from __future__ import annotations

import resource
import sys
from collections.abc import Callable
from typing import NoReturn

from src.cli.exit_status import ExitStatus
from src.cli.logs import log
from src.rmi.errors import ConfigurationError, SparrowError, UnavailableError
from src.rmi.settings import DaemonSettings


def raise_descriptor_limit() -> None:
    """Raises the limit of open descriptors as far as the system allows: a scheduler needs one for each connection."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * DaemonSettings.max_connections  # connections from others, and as many to others
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, wanted) if most != resource.RLIM_INFINITY else wanted, most))


def run_service(run: Callable[[], None]) -> NoReturn:
    """Runs a service to its end, and ends the process with the documented exit status and a line with the reason."""
    raise_descriptor_limit()
    try:
        run()
    except UnavailableError as error:
        log.error("%s", error)
        sys.exit(ExitStatus.UNAVAILABLE)
    except ConfigurationError as error:
        log.error("%s", error)
        sys.exit(ExitStatus.USAGE)
    except SparrowError as error:
        log.error("%s", error)
        sys.exit(ExitStatus.TASK_FAILED)
    except KeyboardInterrupt:
        sys.exit(ExitStatus.INTERRUPTED)
    except Exception as error:  # a defect of this program: one line for the user, the traceback for its developers
        log.error("unexpected %s: %s (--log-level debug shows where)", type(error).__name__, error)
        log.debug("where it happened", exc_info=error)
        sys.exit(ExitStatus.TASK_FAILED)
    sys.exit(ExitStatus.OK)
