"""What one call costs, with and without a key: a daemon and a channel in one thread, each call after the answer to the last.

The figures are CPU time, both ends together, so that other work on the machine counts little.

    python -m scripts.testbed.callcost [--against FOLDER] [--rounds N]

``--against`` measures another checkout too, in turn with this one: each round has a fresh process for each.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from scripts.testbed.local_cluster import ROOT

WARM_UP, CALLS = 2_000, 10_000
KEY = b"0123456789abcdef" * 4
ARGUMENTS = ("sparrow.scheduler.1", "0123456789ab", '[["Done","0123456789abcdef0123456789abcdef.12",3,1,0.000123,0.100456]]')


def measure() -> dict[str, float]:
    """Returns the CPU time of one call, both ends together, in microseconds, in the checkout that is the current folder."""
    from src.rmi.channel import Channel
    from src.rmi.daemon import Daemon, expose
    from src.rmi.security import Security

    class Sink:
        """The remote object."""

        @expose
        def take(self, *arguments: Any) -> str:
            """Returns a short text."""
            return "[]"

    async def calls(channel: Channel, count: int) -> float:
        began = time.process_time()
        done = asyncio.get_running_loop().create_future()

        def ended(error: Exception | None, value: Any) -> None:
            nonlocal count
            count -= 1
            if count and error is None:
                channel.begin("take", ARGUMENTS, ended)
            else:
                done.set_result(error)

        channel.begin("take", ARGUMENTS, ended)
        failure = await done
        if failure is not None:
            raise failure
        return time.process_time() - began

    async def with_key(key: bytes | None) -> float:
        daemon = Daemon("127.0.0.1", security=Security(key))
        uri = str(daemon.register(Sink(), "sparrow.worker.host1"))
        await daemon.serve()
        channel = await Channel.open(uri, key=key)
        await calls(channel, WARM_UP)
        passed_s = await calls(channel, CALLS)
        channel.close()
        daemon.stop()
        await asyncio.sleep(0)
        return passed_s / CALLS * 1e6

    return {"no key": asyncio.run(with_key(None)), "key": asyncio.run(with_key(KEY))}


def main() -> int:
    """Print a table: the median of each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", type=Path, metavar="FOLDER", help="another checkout to measure in turn")
    parser.add_argument("--rounds", type=int, default=20, metavar="N", help="(default: 20)")
    parser.add_argument("--once", action="store_true", help="measure the checkout in the current folder, and print JSON")
    options = parser.parse_args()
    if options.once:
        print(json.dumps(measure()))
        return 0
    roots = {"this": ROOT} | ({"other": options.against.resolve()} if options.against else {})
    found: dict[tuple[str, str], list[float]] = {}
    for number in range(options.rounds):
        for name, root in sorted(roots.items(), reverse=bool(number % 2)):
            code = f"import sys; sys.path[:0] = [{str(root)!r}]; sys.argv = ['callcost', '--once']; exec(open({__file__!r}).read())"
            done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
            for kind, value in json.loads(done.stdout).items():
                found.setdefault((name, kind), []).append(value)
    for (name, kind), values in sorted(found.items()):
        print(f"{name:6} {kind:7} {statistics.median(values):6.1f} us a call (least {min(values):.1f})")
    return 0


if __name__ == "__main__":
    sys.exit(main())
