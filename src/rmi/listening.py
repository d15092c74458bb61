"""Where a process listens: what the host that a user gives means for others, and what is said about it.

A host *name* is given to be reached by others. Some systems (Debian) resolve a machine's own name to a loopback address, 127.0.1.1,
where nobody else reaches who listens. So the address decides what is said about it, and the name what is meant.
"""

from __future__ import annotations

import socket

from src.rmi.security import is_loopback

_ELSEWHERE = ("192.0.2.1", 9)  # of the addresses for documentation (RFC 5737); nothing is sent there


def is_wildcard(host: str) -> bool:
    """Returns whether a host stands for all addresses of this machine: 0.0.0.0, ::, or another way to write one of them."""
    try:
        found = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):  # whoever listens there says what is wrong
        return False
    return any(address[0] in ("0.0.0.0", "::") for *_, address in found)


def is_meant_for_others(host: str) -> bool:
    """Returns whether a host is one that other machines are to reach: every name but localhost, and every address off loopback."""
    address = _literal(host)
    if address is not None:
        return not is_loopback(address)
    name = host.rstrip(".").lower()
    return name not in ("localhost", "localhost.localdomain", "ip6-localhost") and not name.endswith(".localhost")


def loopback_warning(host: str, address: str) -> str | None:
    """Returns what to tell the user if others cannot reach this address although the host is meant for them, or None."""
    if not is_loopback(address) or not is_meant_for_others(host):
        return None
    outward = _outward_address()
    instead = f"use the one that faces them: --host {outward}" if outward else "give the address that faces them with --host"
    return f"{host} is {address} on this machine, where other machines cannot reach it; {instead}"


def described(location: str, address: str) -> str:
    """Returns HOST:PORT for people, with the address if the host is a name."""
    return location if location.rpartition(":")[0].strip("[]") == address else f"{location} ({address})"


def _literal(host: str) -> str | None:
    """Returns the address that is written here, also in a short form such as 127.1; None if it is a name."""
    try:
        if ":" in host:
            socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
            return host
        return socket.inet_ntoa(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _outward_address() -> str | None:
    """Returns the address of this machine that faces other networks, or None if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:  # connecting only asks the routing table
        try:
            probe.connect(_ELSEWHERE)
            address = str(probe.getsockname()[0])
        except OSError:
            return None
    return None if is_loopback(address) or address == "0.0.0.0" else address
