"""The memory into which the connections of one thread receive.

asyncio allocates 256 KB for each ``recv`` unless a protocol brings its own memory. Depending on what else is on the heap, the C
library returns that memory to the system each time, which was measured to cost 60 us a round trip. One buffer per thread is enough:
an event loop fills it, and the protocol takes everything out of it before the loop reads from another connection.
"""

from __future__ import annotations

import mmap
import threading

# What is read of one connection before the event loop goes on to others. A client takes all answers in it at once: two hundred
# reports of small jobs, which takes 15 ms.
_BUFFER_BYTES = 64 * 1024


class _PerThread(threading.local):
    def __init__(self) -> None:
        self.buffer = memoryview(mmap.mmap(-1, _BUFFER_BYTES))  # a page takes memory once it has been written


_per_thread = _PerThread()


def receive_buffer() -> memoryview:
    """Returns the buffer of this thread. It must be emptied before control returns to the event loop."""
    return _per_thread.buffer
