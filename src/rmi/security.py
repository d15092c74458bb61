"""Who may connect: the key that a cluster shares, TLS by Pyro4's own settings, and where a process may listen without them.

On loopback nothing is needed. A process that would listen on another address without a key, and without asking for certificates, is
refused, so that nobody opens a cluster to a network by accident.

With a key, our programs open a conversation with a handshake and seal each message of it (``session``): a peer without the key
gets no answer to any call. The key does not keep messages secret; TLS does. Stock Pyro4 programs with the key are accepted only by
option (``StockKey``).
"""

from __future__ import annotations

import os
import socket
import ssl
import stat
from typing import NamedTuple

import Pyro4
from Pyro4 import socketutil

from src.rmi.errors import ConfigurationError
from src.rmi.settings import KeyFileLimits

LOOPBACK_6 = bytes(15) + b"\1"  # ::1; the module ipaddress would take a quarter of a megabyte in each process
KEY_FILE = "SPARROW_KEY_FILE"  # the environment variable that names the key file if the command line does not
STOCK_OPTION = "--allow-stock-pyro4"
STOCK_VARIABLE = "SPARROW_ALLOW_STOCK_PYRO4"  # the environment variable that stands for the option if it is 1
STOCK_LOSS = "who sees messages pass can change them and send them again"


class StockKey(bytes):
    """A key with which stock Pyro4 programs may take part too: of what they say only the payload is signed, and may be repeated."""


class Security(NamedTuple):
    """How a process protects its connections.

    ``key`` is that of the cluster, a ``StockKey`` if stock Pyro4 may take part, or None. ``insecure`` says that the user accepts
    connections without any protection.
    """

    key: bytes | None = None
    insecure: bool = False

    @classmethod
    def of(cls, key_file: str | None = None, insecure: bool = False, allow_stock_pyro4: bool = False) -> Security:
        """Returns the security with the key in this file, or in the one that SPARROW_KEY_FILE names, or without a key.

        Stock Pyro4 programs may take part if ``allow_stock_pyro4``, or if SPARROW_ALLOW_STOCK_PYRO4 is 1. Raises ConfigurationError
        if the file or the variable cannot be used.
        """
        path = os.environ.get(KEY_FILE) if key_file is None else key_file
        if path == "":
            raise ConfigurationError(f"the name of the key file is empty: unset {KEY_FILE} to do without a key")
        said = os.environ.get(STOCK_VARIABLE, "0")
        if said not in ("0", "1"):
            raise ConfigurationError(f"{STOCK_VARIABLE} is 1 or 0, not {said!r:.60}")
        key = None if path is None else read_key(path)
        return cls(key if key is None or not (allow_stock_pyro4 or said == "1") else StockKey(key), insecure)

    def check_listen_address(self, address: str, for_others: bool = False) -> None:
        """Raises ConfigurationError if other machines reach this IP address, or are meant to, and nothing protects it."""
        open_to_others = for_others or not is_loopback(address)
        if self.key is None and not self.insecure and not requires_client_certificates() and open_to_others:
            raise ConfigurationError(
                f"not listening on {address} without a key: whoever reaches it could submit jobs. Either make a key with "
                f"scripts/new-key FILE and give it to all with --key-file FILE (or {KEY_FILE}=FILE), or say --insecure"
            )


def read_key(path: str, limits: KeyFileLimits = KeyFileLimits()) -> bytes:
    """Returns the key in a file, without the white space around it.

    Raises ConfigurationError if the file cannot be read, belongs to another user, may be read by others, or holds no key.
    """
    try:
        with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:  # opening a pipe would wait
            found = os.fstat(file.fileno())
            if not stat.S_ISREG(found.st_mode):
                raise ConfigurationError(f"the key file is not a file: {path}")
            if found.st_uid not in (0, os.geteuid()):
                raise ConfigurationError(f"the key file belongs to another user: {path}")
            if found.st_mode & 0o077:
                raise ConfigurationError(f"others may read or change the key file: chmod 600 {path}")
            key = file.read(limits.max_file_bytes + 1).strip()
    except FileNotFoundError:
        raise ConfigurationError(f"no such key file: {path}; make one with: scripts/new-key {path}") from None
    except OSError as error:
        raise ConfigurationError(f"the key file cannot be read: {path}: {error.strerror or error}") from None
    if not limits.min_key_bytes <= len(key) <= limits.max_file_bytes:
        raise ConfigurationError(
            f"a key has at least {limits.min_key_bytes} characters, and {path} has {len(key)}; see scripts/new-key"
        )
    return key


def is_loopback(address: str) -> bool:
    """Returns whether only this machine can reach this IP address."""
    if ":" in address:
        return socket.inet_pton(socket.AF_INET6, address.partition("%")[0]) == LOOPBACK_6
    return socket.inet_pton(socket.AF_INET, address)[0] == 127


def describe_key_mismatch(our_key: bytes | None, has_key: bool) -> str:
    """Returns what is wrong with the key of a peer, and what to do, for the user of the process that connected to it."""
    if our_key is None:
        return "asks for a key: give the file with --key-file FILE, or in SPARROW_KEY_FILE"
    if not has_key:
        return "has no key, and we have one: give it the same, or us none (--key-file FILE, or SPARROW_KEY_FILE)"
    return "has another key than we: all need the same file (--key-file FILE, or SPARROW_KEY_FILE)"


def describe_stock_daemon() -> str:
    """Returns what is wrong with a peer that has our key and is stock Pyro4, for the user of the process that connected to it."""
    return (
        "has our key but is stock Pyro4, as pyro4-ns is: start python3 src/NameServer.py in its place (best), or give all "
        f"{STOCK_OPTION} (or {STOCK_VARIABLE}=1), with which {STOCK_LOSS}"
    )


def describe_rejection(our_key: bytes | None, has_key: bool, is_stock: bool) -> str:
    """Returns why the handshake of a peer has failed, for the log of the process that it connected to.

    ``is_stock`` says that the peer has our key and is stock Pyro4.
    """
    if our_key is None:
        return "it has a key, and we have none" if has_key else "its greeting cannot be read"
    if is_stock:
        return f"it has our key but is stock Pyro4, which is accepted only with {STOCK_OPTION} (or {STOCK_VARIABLE}=1)"
    return "its key is not ours" if has_key else "it has no key"


# TLS: PYRO_SSL and the settings that go with it


def requires_client_certificates() -> bool:
    """Returns whether whoever connects to this process must have a certificate."""
    return bool(Pyro4.config.SSL and Pyro4.config.SSL_REQUIRECLIENTCERT)


def server_context() -> ssl.SSLContext | None:
    """Returns the TLS context for listening, or None without TLS. Raises ConfigurationError if the certificate cannot be used."""
    config = Pyro4.config
    return _context("PYRO_SSL_SERVERCERT", config.SSL_SERVERCERT, config.SSL_SERVERKEY, config.SSL_SERVERKEYPASSWD, "server")


def client_context() -> ssl.SSLContext | None:
    """Returns the TLS context for connecting, or None without TLS. Raises ConfigurationError if the certificate cannot be used."""
    config = Pyro4.config
    return _context("PYRO_SSL_CLIENTCERT", config.SSL_CLIENTCERT, config.SSL_CLIENTKEY, config.SSL_CLIENTKEYPASSWD, "client")


def describe_tls_error(address: str, error: ssl.SSLError) -> str:
    """Returns why there is no TLS connection to this address, and what to do."""
    why = getattr(error, "verify_message", "") or error.reason or str(error)
    return (
        f"{address} and we have no TLS in common: {why}; all need PYRO_SSL=1 and certificates of one authority (scripts/new-certs)"
    )


def _context(setting: str, certificate: str, key: str, password: str, side: str) -> ssl.SSLContext | None:
    if not Pyro4.config.SSL:
        return None
    if not certificate and (side == "server" or Pyro4.config.SSL_REQUIRECLIENTCERT):
        raise ConfigurationError(f"PYRO_SSL is set, but {setting} is not: it names the certificate of this host")
    try:
        context: ssl.SSLContext = socketutil.getSSLcontext(
            **{f"{side}cert": certificate, f"{side}key": key}, keypassword=password, cacerts=Pyro4.config.SSL_CACERTS
        )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(f"TLS cannot be set up with {setting}={certificate}: {error}") from None
    return context
