"""A remote object whose calls cost what one likes, and a daemon that serves it."""

import asyncio
import time

from Pyro4 import message

from src.rmi import wire
from src.rmi.daemon import Daemon, expose
from src.rmi.serializer import dump, dump_call
from src.rmi.settings import DaemonSettings

GREETING = wire.to_bytes(message.MSG_CONNECT, dump({"handshake": "x"}), 0)


class Costly:
    def __init__(self):
        self.calls = 0

    @expose
    def think(self, seconds, said=""):
        self.calls += 1
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            pass

    @expose
    def text(self, size):
        self.calls += 1
        return "x" * size

    @expose
    def fail(self):
        raise LookupError("no such thing")

    @expose
    def broken(self):
        raise ZeroDivisionError("what only we may know")


def request(method, *arguments, seq=1, flags=0):
    return bytes(message.Message(message.MSG_INVOKE, dump_call("costly", method, arguments, {}), 1, flags, seq).to_bytes())


def served(use, settings=DaemonSettings()):
    """Run ``use(uri, daemon, the object)`` against a daemon with these settings."""

    async def run():
        daemon, costly = Daemon("127.0.0.1", settings=settings), Costly()
        uri = str(daemon.register(costly, "costly"))
        await daemon.serve()
        try:
            return await use(uri, daemon, costly)
        finally:
            daemon.stop()
            await asyncio.sleep(0)

    return asyncio.run(run())
