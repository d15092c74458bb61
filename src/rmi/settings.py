"""Every limit and every time that this package keeps, with its default: frozen, and handed in where it is needed.

A process that wants other values makes an instance with them and passes it on, as in
``Daemon(host, settings=DaemonSettings(max_connections=10))``. Facts of Pyro4's protocol (formats, kinds, flags) are no settings:
they stand in ``wire``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, eq=False, repr=False)
class WireLimits:
    """How large and how complex a message may be. All processes of a cluster should have the same limits."""

    # Bytes in one payload. A job of 100,000 tasks takes 2 MB, and its report 6 MB.
    max_payload_bytes: int = 16 * 2**20
    # Bytes in the payload of the first message of a peer, which is read before anything is known about that peer.
    max_greeting_bytes: int = 4096
    # Bytes in all annotations of one message together. A signature takes 26, a greeting with a key 70.
    max_annotations_bytes: int = 1024
    # Texts and numbers in one payload, and also the characters that are part of neither. Each of them may take a kilobyte of
    # memory while Python's parser reads the payload.
    max_values: int = 250_000
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
    probes: int = 3

    @property
    def vanished_after_s(self) -> int:
        """Seconds without a sign of the other host after which the kernel closes the connection, with or without data under way."""
        return self.idle_s + self.interval_s * self.probes


@dataclass(frozen=True, eq=False, repr=False)
class DaemonSettings:
    """What one daemon grants its peers: time, memory and connections."""

    wire: WireLimits = WireLimits()
    keepalive: KeepaliveSettings = KeepaliveSettings()
    # Seconds from the connection to the end of the handshake, and for the handshake of TLS.
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
    # Calls in flight at one time. There are 65,536 sequence numbers, and half of them are enough to find a free one quickly.
    max_calls_in_flight: int = 0x7FFF


@dataclass(frozen=True, eq=False, repr=False)
class NameServerLimits:
    """What may be registered with a name server."""

    # Names at one time.
    max_names: int = 20_000
    # Characters in a name, in its uri, and in its metadata.
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
