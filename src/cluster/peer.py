"""Acknowledged delivery to one peer, in batches that form by themselves, and the news that it is gone.

What is sent gathers in an outbox; one delivery is under way at a time, and its answer is the acknowledgement. When the connection
breaks, it is made again at once and what was under way goes out again: a peer gets every message at least once. A peer is one
incarnation of one process. It is lost when it refuses the connection, has become another incarnation, or is silent for too long.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from src.rmi.channel import Channel, let_go
from src.rmi.errors import LostError, SilentError, SparrowError, UnavailableError, UnreachableError
from src.sparrow.messages import Message
from src.sparrow.outbox import LARGEST_BATCH, Outbox

LOST_AFTER_S = 2.5  # without an answer, or without a connection
LATER_S = 1.0  # before telling again what the peer had no room for
NO_ROOM_S = 60.0  # a peer that has had no room for so long is given up
RECONNECT_S = 0.1  # between two tries at most, and after a connection that did not last even so long
FIRST_RETRY_S = 0.01  # whoever is being killed may take one more connection, and refuses the next

log = logging.getLogger("sparrow.peer")

Call = tuple  # (method, *arguments)


class Peer:
    """One peer and what is still to be told to it.

    ``locate`` finds its uri. ``door`` names what may travel in one call: messages with the same door; ``route`` turns such a batch
    into the call, and ``answered`` gets the batch and what the call returned. ``up`` gets what the peer said of itself, on each
    connection; ``lost`` gets the reason, once, and then nothing more happens here. ``refused`` gets a message that the peer would
    not have, which is then dropped.
    """

    def __init__(
        self,
        name: str,
        *,
        locate: Callable[[], Awaitable[str | None]],
        who: dict[str, Any],
        key: bytes | None,
        door: Callable[[Message], str],
        route: Callable[[list[Message]], Call],
        answered: Callable[[list[Message], Any], None],
        lost: Callable[[str], None],
        refused: Callable[[Message], None],
        up: Callable[[dict], None] = lambda greeting: None,
        incarnation: str | None = None,
    ) -> None:
        self.name = name
        self.incarnation = incarnation
        self._locate, self._who, self._key = locate, who, key
        self._route, self._answered = route, answered
        self._up, self._lost, self._refused = up, lost, refused
        self._outbox: Outbox[Message] = Outbox(door)
        self._one_by_one = 0  # deliveries that carry a single message, to find the one that was refused
        self._channel: Channel | None = None
        self._flushing = False
        self._no_room_since_s: float | None = None
        self._closed = False
        self._connected_at_s = float("-inf")
        self._loop = asyncio.get_running_loop()
        self._connecting: asyncio.Task | None = self._loop.create_task(self._connect())

    def send(self, message: Message) -> None:
        self._outbox.put(message)
        if not self._flushing and self._channel is not None:
            self._flushing = True
            self._loop.call_soon(self._flush)

    @property
    def connected(self) -> bool:
        return self._channel is not None

    @property
    def unsent(self) -> int:
        return len(self._outbox)

    def close(self) -> None:
        """Stop: no call of ours is made and none of the callbacks happens any more."""
        self._closed = True
        let_go(self._connecting, self._channel)
        self._channel = None

    async def _connect(self) -> None:
        try:
            self._became_connected(await asyncio.wait_for(self._reach(), LOST_AFTER_S))
        except asyncio.TimeoutError:
            self._give_up(f"no connection in {LOST_AFTER_S:g} s")
        except SparrowError as error:
            self._give_up(str(error))
        except Exception as error:  # whatever it was, a peer that is neither connected nor lost would be waited for for ever
            log.exception("connecting to %s", self.name)
            self._give_up(f"{type(error).__name__}: {error}")

    async def _reach(self) -> Channel:
        """Refused is refused; anything else may pass: who does not answer yet, or a name server that is away just now."""
        if self._loop.time() - self._connected_at_s < RECONNECT_S:
            await asyncio.sleep(RECONNECT_S)
        pause_s = FIRST_RETRY_S
        while True:
            try:
                uri = await self._locate()
                if uri is not None:
                    return await Channel.open(uri, self._who, self._key)
            except UnreachableError:
                raise
            except (LostError, UnavailableError) as error:
                log.debug("%s: trying again: %s", self.name, error)
            await asyncio.sleep(pause_s)
            pause_s = min(2 * pause_s, RECONNECT_S)

    def _became_connected(self, channel: Channel) -> None:
        greeting = channel.peer if isinstance(channel.peer, dict) else {}
        incarnation = greeting.get("incarnation")
        if greeting.get("name") != self.name or not isinstance(incarnation, str):
            channel.close()
            self._give_up(f"somebody else answers at {channel.address}")
        elif self.incarnation not in (None, incarnation):
            channel.close()
            self._give_up("it was restarted")
        else:
            self._connecting = None
            self._connected_at_s = self._loop.time()
            self.incarnation = incarnation
            self._channel = channel
            channel.on_lost = self._connection_lost
            self._up(greeting)
            if channel.closed:
                self._connection_lost()
            else:
                self._flush()

    def _connection_lost(self) -> None:
        self._channel = None
        self._outbox.failed()
        if not self._closed:
            self._connecting = self._loop.create_task(self._connect())

    def _give_up(self, reason: str) -> None:
        if not self._closed:
            self.close()
            self._lost(reason)

    def _flush(self) -> None:
        self._flushing = False
        channel = self._channel
        if channel is None:
            return
        batch = self._outbox.take(1 if self._one_by_one else LARGEST_BATCH)
        if batch:
            self._one_by_one = max(0, self._one_by_one - 1)
            method, *arguments = self._route(batch)
            channel.begin(method, tuple(arguments), partial(self._call_ended, channel, batch), LOST_AFTER_S)

    def _call_ended(self, channel: Channel, batch: list[Message], error: Exception | None, value: Any) -> None:
        if channel is not self._channel:
            return  # that connection has been given up, and what it carried goes out again
        if isinstance(error, SilentError):
            self._give_up(str(error))
        elif isinstance(error, LostError):
            return  # the channel says so too: see _connection_lost
        elif isinstance(error, BlockingIOError):
            self._told_to_wait(error)
        elif error is not None:
            self._not_taken(batch, error)
        else:
            self._outbox.delivered()
            self._no_room_since_s = None
            self._flushing = True  # what the answer gives rise to goes out below, at once
            try:
                self._answered(batch, value)
            except (TypeError, ValueError, LookupError) as malformed:
                self._give_up(f"it sent an answer that cannot be read: {malformed}")
            self._flush()

    def _told_to_wait(self, error: BlockingIOError) -> None:
        """The peer has no room: tell it again in a while, but not for ever."""
        now = self._loop.time()
        if self._no_room_since_s is None:
            log.info("%s has no room: %s", self.name, error)
            self._no_room_since_s = now
        if now - self._no_room_since_s > NO_ROOM_S:
            self._give_up(f"it has had no room for {NO_ROOM_S:.0f} s")
        else:
            self._outbox.failed()
            self._flushing = True  # what comes up meanwhile waits with it
            self._loop.call_later(LATER_S, self._flush)

    def _not_taken(self, batch: list[Message], error: BaseException) -> None:
        """The peer refused the batch and changed nothing: find out which message it was, and do without that one."""
        if len(batch) > 1:
            self._one_by_one = len(batch)
            self._outbox.failed()
        else:
            log.warning("%s refuses %s: %s", self.name, batch[0], error)
            self._outbox.delivered()
            self._refused(batch[0])
        self._flush()
