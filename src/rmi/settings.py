"""Every limit and every time that this package keeps, with its default: frozen, and handed in where it is needed.

A process that wants other values makes an instance with them and passes it on, as in
``Daemon(host, settings=DaemonSettings(max_connections=10))``. Facts of Pyro4's protocol (formats, kinds, flags) are no settings:
they stand in ``wire``.
"""

from __future__ import annotations

from dataclasses import dataclass

from src.sparrow.jsontext import MAX_CHARACTERS
from src.sparrow.settings import VANISHED_S


@dataclass(frozen=True, eq=False, repr=False)
class ParsingLimits:
    """How complex a payload may be that is not one of the frequent ones: parsing takes up to about 60 ms and 80 MB."""

    # Texts, brackets, and rows of numbers: the names of 20,000 workers with their uris are 40,000.
    max_tokens: int = 60_000
    # Numbers. A job of 100,000 tasks has as many.
    max_numbers: int = 150_000
    # Characters of one number, as in JSON text: long ones take long to read.
    max_number_characters: int = MAX_CHARACTERS
    # Lists, tuples and dicts around each other.
    max_depth: int = 50
    # Bytes of a payload that contains a backslash. A report of 100,000 tasks takes 6 MB.
    max_escaped_bytes: int = 8 * 2**20
    # Backslashes in one payload.
    max_escapes: int = 250_000
    # Bytes of a payload that contains something beyond ASCII: Python takes four bytes for each of its characters then.
    max_beyond_ascii_bytes: int = 2 * 2**20


@dataclass(frozen=True, eq=False, repr=False)
class WireLimits:
    """How large and how complex a message may be. All processes of a cluster should have the same limits."""

    parsing: ParsingLimits = ParsingLimits()
    # Bytes in one payload. A job of 100,000 tasks takes 2 MB, and its report 6 MB.
    max_payload_bytes: int = 16 * 2**20
    # Bytes in the payload of the first message of a peer, which is read before anything is known about that peer.
    max_greeting_bytes: int = 4096
    # Fields of what a peer says of itself there.
    max_greeting_fields: int = 16
    # Bytes in all annotations of one message together. A signature takes 26, a greeting with a key 70.
    max_annotations_bytes: int = 1024
    # Annotations of one message.
    max_annotations: int = 8
    # Bytes that are shown of a payload in a serializer that is not read here, such as the reason why a peer refuses a connection.
    max_shown_bytes: int = 1000


@dataclass(frozen=True, eq=False, repr=False)
class KeepaliveSettings:
    """When the kernel closes a connection whose other host has vanished. A peer that answers costs nothing."""

    # Seconds without traffic after which the kernel sends the first probe.
    idle_s: int = 3
    # Seconds between two probes.
    interval_s: int = 1
    # Probes without an answer after which the connection is closed.
    probes: int = VANISHED_S - 3

    @property
    def vanished_after_s(self) -> int:
        """Seconds without a sign of the other host after which the kernel closes the connection, with or without data under way."""
        return self.idle_s + self.interval_s * self.probes


@dataclass(frozen=True, eq=False, repr=False)
class TurnSettings:
    """How the connections of a daemon take turns."""

    # Seconds of work after which others come first: the event loop's timers, answers to our own calls, and who waits for a turn.
    turn_s: float = 0.001
    # Seconds that one may owe and is still served before those who owe more.
    modest_debt_s: float = 0.01
    # Seconds that a new connection owes, so that those who are known are served before those who come again and again.
    newcomer_debt_s: float = 0.02
    # The part of the time that passes by which a debt shrinks: who takes less than this part of the time owes nothing.
    decay: float = 0.1
    # Seconds of a turn that count as slow, after which all who owe rest.
    slow_s: float = 0.003
    # How many times as long they rest as the slow turn took, and seconds of the longest rest.
    rest: float = 3.0
    most_rest_s: float = 0.25
    # Seconds of the largest debt, and so the longest time that one waits for others that cost less.
    most_debt_s: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class BatchLimits:
    """How much one batched call of a stock proxy may ask for. It ends with an error at the first call beyond."""

    # Calls in one batch.
    max_calls: int = 100
    # Bytes of their results together.
    max_result_bytes: int = 2**20
    # Seconds, from the first call to the beginning of the last.
    max_time_s: float = 0.05


@dataclass(frozen=True, eq=False, repr=False)
class TlsSettings:
    """What a daemon grants those that begin TLS. What they may hold is 0.3 MB for each of ``max_handshakes``."""

    # Connections between their first byte and their greeting.
    max_handshakes: int = 128
    # Seconds for the handshake of TLS. Whoever calls gives up after 2.5 s.
    handshake_s: float = 2.5
    # Seconds from the connection to the first byte, and the connections of which none has come.
    first_byte_s: float = 2.5
    max_silent: int = 1024
    # Connections of one address that wait for a handshake; the oldest is closed for another one.
    max_waiting_of_an_address: int = 1024
    # Seconds until connections are accepted again after no descriptor was left.
    accept_retry_s: float = 1.0


@dataclass(frozen=True, eq=False, repr=False)
class DaemonSettings:
    """What one daemon grants its peers: time, memory and connections."""

    wire: WireLimits = WireLimits()
    keepalive: KeepaliveSettings = KeepaliveSettings()
    turns: TurnSettings = TurnSettings()
    batch: BatchLimits = BatchLimits()
    tls: TlsSettings = TlsSettings()
    # Seconds from the connection, with TLS from the end of its handshake, to the end of the greeting.
    greeting_timeout_s: float = 5.0
    # Seconds from the first bytes of a message to its last.
    message_timeout_s: float = 30.0
    # Connections at one time; the rules for who gives way are in ``room``.
    max_connections: int = 4096
    # Connections of peers that give the same name and uri. A process has one or two, and old ones whose host has vanished.
    max_connections_of_a_name: int = 16
    # Seconds without another look at all connections, after all of them had something outstanding.
    room_look_again_s: float = 0.1
    # Connections that the kernel accepts while the daemon is busy.
    backlog_connections: int = 1024
    # Bytes of replies to one peer that it has not read. A peer that leaves more of them unread is disconnected at its next call.
    max_unsent_bytes: int = 64 * 2**20
    # Bytes of replies that all peers together have not read.
    max_total_unsent_bytes: int = 256 * 2**20
    # Bytes of unread replies on one connection from which on the total is computed, because that looks at every connection.
    unsent_check_bytes: int = 2**20
    # Bytes of messages that have not arrived as a whole, on all connections together.
    max_total_partial_bytes: int = 64 * 2**20
    # Seconds between two log lines of the same kind: a peer was rejected, or no descriptor is left.
    warning_interval_s: float = 10.0


@dataclass(frozen=True, eq=False, repr=False)
class ChannelSettings:
    """How long one channel waits for its peer, and how much it accepts from it."""

    wire: WireLimits = WireLimits()
    keepalive: KeepaliveSettings = KeepaliveSettings()
    # Seconds for the connection and the handshake together.
    connect_timeout_s: float = 2.5
    # Seconds from one address of a host to the next, while none has answered (RFC 8305).
    next_address_s: float = 0.25
    # Seconds for the answer to a call that names no time of its own.
    answer_timeout_s: float = 2.5
    # Seconds between two looks at the deadlines of the calls in flight: an answer may be this much later than its deadline.
    deadline_check_interval_s: float = 0.25
    # Seconds from the first bytes of a message to its last.
    message_timeout_s: float = 30.0
    # Bytes of messages that have not arrived as a whole, on all channels of a thread together.
    max_total_partial_bytes: int = 64 * 2**20
    # Calls in flight at one time. There are 65,536 sequence numbers, and half of them are enough to find a free one quickly.
    max_calls_in_flight: int = 0x7FFF


@dataclass(frozen=True, eq=False, repr=False)
class NameServerLimits:
    """What may be registered with a name server."""

    # Names at one time.
    max_names: int = 20_000
    # Characters in a name. Ours have at most 128.
    max_name_characters: int = 256
    # Characters in a uri. All names with their uris fit into one message.
    max_uri_characters: int = 512
    # Characters in the metadata of a name.
    max_characters: int = 1024
    # Seconds after which a claimed name is removed that nobody has renewed. Its holder renews it every 4 s.
    lease_s: float = 60.0


@dataclass(frozen=True, eq=False, repr=False)
class KeyFileLimits:
    """Which keys are accepted."""

    # Bytes in a key. scripts/new-key writes 64.
    min_key_bytes: int = 16
    # Bytes in a key file.
    max_file_bytes: int = 4096
