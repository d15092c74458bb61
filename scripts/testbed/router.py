"""The process between the hosts of ``network``: it carries packets between their devices, delays some and drops others.

An argument ADDRESS=DESCRIPTOR for each host. A rule is a line of JSON on standard input: ``[sender, receiver, seconds]``, how much
later, or null for never, or ``[]`` for an end of all rules. The answer is a line, when it is in force.
"""

from __future__ import annotations

import heapq
import json
import os
import select
import socket
import sys
import time
from contextlib import suppress

_LARGEST = 65536  # bytes of a packet


def route(devices: dict[bytes, int]) -> None:
    """Carry packets until standard input ends."""
    rules: dict[tuple[bytes, bytes], float | None] = {}  # sender, receiver -> seconds later, or None for never
    late: list[tuple[float, int, int, bytes]] = []  # when, in which order, to which device
    order = 0
    poll = select.poll()
    for descriptor in (sys.stdin.fileno(), *devices.values()):
        poll.register(descriptor, select.POLLIN)
    while True:
        wait_ms = None if not late else max(0.0, 1000 * (late[0][0] - time.monotonic()))
        ready = [descriptor for descriptor, _ in poll.poll(wait_ms)]
        while late and late[0][0] <= time.monotonic():
            _, _, device, packet = heapq.heappop(late)
            _deliver(device, packet)
        if sys.stdin.fileno() in ready:
            line = sys.stdin.readline()
            if not line:
                return
            rule = json.loads(line)
            if rule:
                rules[socket.inet_aton(rule[0]), socket.inet_aton(rule[1])] = rule[2]
            else:
                rules.clear()
            print("done", flush=True)
        for device in set(ready) & set(devices.values()):
            packet = os.read(device, _LARGEST)
            sender, receiver = packet[12:16], packet[16:20]
            seconds = rules.get((sender, receiver), 0.0)
            if packet[0] >> 4 != 4 or receiver not in devices or seconds is None:
                continue
            if seconds:
                order += 1
                heapq.heappush(late, (time.monotonic() + seconds, order, devices[receiver], packet))
            else:
                _deliver(devices[receiver], packet)


def _deliver(device: int, packet: bytes) -> None:
    with suppress(BlockingIOError):  # a full device drops packets, as a network does
        os.write(device, packet)


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        route({socket.inet_aton(pair.partition("=")[0]): int(pair.partition("=")[2]) for pair in sys.argv[1:]})
