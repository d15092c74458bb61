"""Batched calls of stock proxies: several calls in one message, answered by the list of their results.

Pyro4's own code runs any number of them and gathers all results before it answers: gigabytes, from a message of 70 KB. Here calls,
results and time are bounded. Our own programs make no batched calls.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from Pyro4 import futures, util

from src.rmi.serializer import dump, joined
from src.rmi.settings import BatchLimits


def run_batch(target: Any, calls: Any, limits: BatchLimits, shown: Callable[[BaseException], BaseException]) -> bytes:
    """Call the methods of ``target`` that a batch names. Returns the payload of the reply.

    The batch ends with the first error, which takes the place of a result; ``shown`` returns an error as the caller may see it.
    What exceeds a limit is such an error. Raises ValueError if there are too many calls, none of which is made then.
    """
    if not isinstance(calls, (list, tuple)) or len(calls) > limits.max_calls:
        raise ValueError(f"a batch is a list of at most {limits.max_calls} calls: make several batches")
    deadline = time.monotonic() + limits.max_time_s
    results: list[bytes] = []
    size = 0
    for call in calls:
        try:
            if time.monotonic() > deadline:
                raise ValueError(f"the calls of this batch take more than {limits.max_time_s:g} s together: make several batches")
            method, arguments, keywords = call
            result = dump(util.getAttribute(target, method)(*arguments, **keywords))
            size += len(result)
            if size > limits.max_result_bytes:
                raise ValueError(f"the results of this batch have more than {limits.max_result_bytes} bytes: make several batches")
        except Exception as error:
            results.append(dump(futures._ExceptionWrapper(shown(error))))
            break
        results.append(result)
    return joined(results)
