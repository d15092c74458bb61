"""How many messages each TCP connection of this machine has sent, as Linux 4.6 and newer count them (``sock_diag(7)``)."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

# From linux/netlink.h, linux/sock_diag.h, linux/inet_diag.h and linux/tcp.h
_NETLINK_SOCK_DIAG = 4
_SOCK_DIAG_BY_FAMILY = 20
_NLM_F_REQUEST_AND_DUMP = 0x301
_NLMSG_ERROR, _NLMSG_DONE = 2, 3
_INET_DIAG_INFO = 2
_ALL_STATES = 0xFFFFFFFF
_HEADER = struct.Struct("=IHHII")  # length, type, flags, sequence, port id
_REQUEST = struct.Struct("=BBBBI48x")  # family, protocol, extensions, padding, states, socket id
_ANSWER_SIZE, _INODE_AT = 72, 68  # of inet_diag_msg
_DATA_SEGMENTS_OUT_AT = 156  # in tcp_info
_NUMBER = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")  # length, type
_BUFFER = 1 << 20


def sent() -> dict[int, int] | None:
    """Returns, for each connection, the segments with data that it has sent, by the inode of its socket; None if nobody counts."""
    counts: dict[int, int] = {}
    try:
        for family in (socket.AF_INET, socket.AF_INET6):
            counts.update(_dump(family))
    except (OSError, AttributeError):  # another system than Linux, or a sandbox without these sockets
        return None
    return counts


def inodes(pid: int | str) -> Iterator[int]:
    """Yields the inodes of a process's sockets; ``self`` is this process. Raises OSError if the process is gone."""
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # closed meanwhile
            target = os.readlink(entry)
            if target.startswith("socket:["):
                yield int(target[len("socket:[") : -1])


def _dump(family: int) -> Iterator[tuple[int, int]]:
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_SOCK_DIAG) as asked:
        request = _REQUEST.pack(family, socket.IPPROTO_TCP, 1 << (_INET_DIAG_INFO - 1), 0, _ALL_STATES)
        asked.send(_HEADER.pack(_HEADER.size + len(request), _SOCK_DIAG_BY_FAMILY, _NLM_F_REQUEST_AND_DUMP, 1, 0) + request)
        while True:
            data, at = asked.recv(_BUFFER), 0
            while at < len(data):
                length, kind, *_ = _HEADER.unpack_from(data, at)
                if kind == _NLMSG_DONE:
                    return
                if kind == _NLMSG_ERROR:
                    raise OSError("the kernel does not say what connections have sent")
                yield from _of_answer(data[at + _HEADER.size : at + length])
                at += _aligned(length)


def _of_answer(answer: bytes) -> Iterator[tuple[int, int]]:
    (inode,) = _NUMBER.unpack_from(answer, _INODE_AT)
    at = _ANSWER_SIZE
    while at < len(answer):
        length, kind = _ATTRIBUTE.unpack_from(answer, at)
        if kind == _INET_DIAG_INFO and length >= _ATTRIBUTE.size + _DATA_SEGMENTS_OUT_AT + _NUMBER.size:
            yield inode, _NUMBER.unpack_from(answer, at + _ATTRIBUTE.size + _DATA_SEGMENTS_OUT_AT)[0]
        at += _aligned(length)


def _aligned(length: int) -> int:
    return (length + 3) & ~3
