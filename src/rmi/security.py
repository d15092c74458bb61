"""Who may come in: one key that all processes of a cluster share, TLS by Pyro4's own settings, and no open door without either.

On loopback nothing is needed. Whoever would listen on another address without a key, and without asking for certificates, is
refused, so that nobody opens a cluster to a network by accident.

What a key does (HMAC-SHA1 over each message, checked before anything in it is read): who has not the key gets no answer. What it
does not: a message can be read by whoever sees it pass, and a recorded one can be sent again. TLS does both.
"""

from __future__ import annotations

import ipaddress
import os
import ssl
import stat
from typing import NamedTuple

import Pyro4
from Pyro4 import socketutil

from src.rmi.errors import ConfigurationError

KEY_FILE = "SPARROW_KEY_FILE"  # in the environment: for who gives none on the command line
SHORTEST_KEY = 16  # characters; scripts/new-key writes 64
_LONGEST_KEY_FILE = 4096  # bytes


class Security(NamedTuple):
    """How a process talks to the others. ``key`` None: without one."""

    key: bytes | None = None
    insecure: bool = False  # said to be content with no protection at all

    @classmethod
    def of(cls, key_file: str | None = None, insecure: bool = False) -> Security:
        """From a key file, or the one that SPARROW_KEY_FILE names, or without a key. ConfigurationError if it cannot be used."""
        path = os.environ.get(KEY_FILE) if key_file is None else key_file
        if path == "":
            raise ConfigurationError(f"the name of the key file is empty: unset {KEY_FILE} to do without a key")
        return cls(None if path is None else read_key(path), insecure)

    def must_allow(self, address: str) -> None:
        """ConfigurationError if nobody may listen on this IP address with so little protection."""
        if self.key is None and not self.insecure and not asks_for_certificates() and not is_loopback(address):
            raise ConfigurationError(
                f"not listening on {address} without a key: whoever reaches it could submit jobs. Either make a key with "
                f"scripts/new-key FILE and give it to all with --key-file FILE (or {KEY_FILE}=FILE), or say --insecure"
            )


def read_key(path: str) -> bytes:
    """The key in a file that only its owner may read, without white space around it. ConfigurationError says what is wrong."""
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:  # a pipe must not hold us
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"the key file is not a file: {path}")
            if found.st_uid not in (0, os.geteuid()):
                raise ConfigurationError(f"the key file belongs to somebody else: {path}")
            if found.st_mode & 0o077:
                raise ConfigurationError(f"others may read or change the key file: chmod 600 {path}")
            key = file.read(_LONGEST_KEY_FILE + 1).strip()
    except FileNotFoundError:
        raise ConfigurationError(f"no such key file: {path}; make one with: scripts/new-key {path}") from None
    except OSError as error:
        raise ConfigurationError(f"the key file cannot be read: {path}: {error.strerror or error}") from None
    if not SHORTEST_KEY <= len(key) <= _LONGEST_KEY_FILE:
        raise ConfigurationError(f"a key has at least {SHORTEST_KEY} characters, and {path} has {len(key)}; see scripts/new-key")
    return key


def is_loopback(address: str) -> bool:
    """Whether only this machine can reach that IP address."""
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


# TLS: PYRO_SSL and the settings that go with it


def asks_for_certificates() -> bool:
    return bool(Pyro4.config.SSL and Pyro4.config.SSL_REQUIRECLIENTCERT)


def server_context() -> ssl.SSLContext | None:
    """For who listens; None without TLS. ConfigurationError if the certificate cannot be used."""
    config = Pyro4.config
    return _context("PYRO_SSL_SERVERCERT", config.SSL_SERVERCERT, config.SSL_SERVERKEY, config.SSL_SERVERKEYPASSWD, "server")


def client_context() -> ssl.SSLContext | None:
    """For who connects; None without TLS. ConfigurationError if the certificate cannot be used."""
    config = Pyro4.config
    return _context("PYRO_SSL_CLIENTCERT", config.SSL_CLIENTCERT, config.SSL_CLIENTKEY, config.SSL_CLIENTKEYPASSWD, "client")


def _context(setting: str, certificate: str, key: str, password: str, side: str) -> ssl.SSLContext | None:
    if not Pyro4.config.SSL:
        return None
    if not certificate and (side == "server" or Pyro4.config.SSL_REQUIRECLIENTCERT):
        raise ConfigurationError(f"PYRO_SSL is set, but {setting} is not: it names the certificate of this host")
    try:
        return socketutil.getSSLcontext(
            **{f"{side}cert": certificate, f"{side}key": key}, keypassword=password, cacerts=Pyro4.config.SSL_CACERTS
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(f"TLS cannot be set up with {setting}={certificate}: {error}") from None
