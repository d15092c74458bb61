"""Garbage collection in a process that must not stand still.

Python's collector looks at all objects every now and then, which takes a second with the objects of 500,000 tasks. Our objects are
freed when nobody refers to them, so only new ones are looked at while there is work. All are looked at when there is none.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable

NEVER = 2**30  # collections of middle-aged objects before one of all objects
LOOK_S = 60.0  # between two times at which all objects are collected, if there is no work then


async def collect_when_idle(is_idle: Callable[[], bool]) -> None:
    """Has all objects collected only while ``is_idle()`` returns true. It runs until it is cancelled, and restores the default."""
    thresholds = gc.get_threshold()
    gc.set_threshold(thresholds[0], thresholds[1], NEVER)
    gc.freeze()  # what has been imported stays, so it is never looked at
    try:
        while True:
            await asyncio.sleep(LOOK_S)
            if is_idle():
                gc.collect()
    finally:
        gc.set_threshold(*thresholds)
