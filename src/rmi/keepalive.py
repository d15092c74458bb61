"""The detection of a peer whose host has vanished without closing its connections."""

from __future__ import annotations

import socket

from src.rmi.settings import KeepaliveSettings


def enable_keepalive(sock: socket.socket, settings: KeepaliveSettings) -> None:
    """Make the kernel close this connection when its other host is silent for ``settings.vanished_after_s`` seconds."""
    options = [
        ("SO_KEEPALIVE", socket.SOL_SOCKET, 1),
        ("TCP_KEEPIDLE", socket.IPPROTO_TCP, settings.idle_s),
        ("TCP_KEEPINTVL", socket.IPPROTO_TCP, settings.interval_s),
        ("TCP_KEEPCNT", socket.IPPROTO_TCP, settings.probes),
        ("TCP_USER_TIMEOUT", socket.IPPROTO_TCP, settings.vanished_after_s * 1000),  # milliseconds
    ]
    for name, level, value in options:
        option = getattr(socket, name, None)  # some systems have only a part of these options
        if option is not None:
            sock.setsockopt(level, option, value)
