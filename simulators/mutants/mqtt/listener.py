"""The TLS listeners of the small broker: the right one, and those that are weak in one way."""

from __future__ import annotations

import ctypes
import ssl
import sys
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

STRONG = "ECDHE+AESGCM:ECDHE+CHACHA20:!aNULL:!PSK:!SHA1"
_CALLBACK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p)
_KEPT: list[object] = []
"""Callbacks that OpenSSL still may call."""

NO_CRL, SIGNATURE, TIME_EARLY, TIME_EXPIRED, SELF_SIGNED = 3, 7, 9, 10, 18
NO_ISSUER, NO_CHAIN, REVOKED, PURPOSE = 20, 21, 23, 26
"""X509_V_ERR_* of OpenSSL."""


@dataclass(frozen=True, slots=True)
class ListenerFiles:
    """PEM files: the broker's certificate and key, the clients' authority and its revocation list."""

    certificate: Path
    key: Path
    ca_file: Path
    crl_file: Path


def make(
    files: ListenerFiles,
    *,
    ciphers: str = STRONG,
    lowest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_2,
    highest: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3,
    demand: ssl.VerifyMode = ssl.CERT_REQUIRED,
    forgives: Iterable[int] = (),
) -> ssl.SSLContext:
    """A listener's context; by default TLS 1.2 and 1.3, strong suites, client certificates demanded and revocable.

    Args:
        files: Certificates.
        ciphers: OpenSSL's list for TLS 1.2 and older.
        lowest: Version.
        highest: Version.
        demand: Whether client certificates are demanded.
        forgives: Errors of client certificates (X509_V_ERR_*) that are overlooked.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(ciphers)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # the weakness is the point
        context.minimum_version = lowest
        context.maximum_version = highest
    context.num_tickets = 0
    context.options |= ssl.OP_NO_TICKET
    context.load_cert_chain(files.certificate, files.key)
    context.load_verify_locations(files.ca_file)
    context.load_verify_locations(files.crl_file)
    context.verify_mode = demand
    context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF
    if forgives:
        _forgive(context, frozenset(forgives))
    return context


def _forgive(context: ssl.SSLContext, errors: frozenset[int]) -> None:
    """Overlook these errors: Python has no door to OpenSSL's verify callback, so the context is opened by hand."""
    if sys.implementation.name != "cpython":
        raise RuntimeError("this mutant needs CPython")
    library = _openssl()
    pointer = ctypes.cast(id(context) + object.__basicsize__, ctypes.POINTER(ctypes.c_void_p))[0]
    error_of = library.X509_STORE_CTX_get_error
    error_of.argtypes, error_of.restype = [ctypes.c_void_p], ctypes.c_int
    forget = library.X509_STORE_CTX_set_error
    forget.argtypes, forget.restype = [ctypes.c_void_p, ctypes.c_int], None

    def verified(good: int, store: int) -> int:
        if good or error_of(store) not in errors:
            return good
        forget(store, 0)
        library.ERR_clear_error()  # what is left there would end the handshake later
        return 1

    callback = _CALLBACK(verified)
    _KEPT.append(callback)
    library.SSL_CTX_set_verify.argtypes = [ctypes.c_void_p, ctypes.c_int, _CALLBACK]
    library.SSL_CTX_set_verify.restype = None
    library.SSL_CTX_set_verify(pointer, 0x03, callback)  # SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT


def _openssl() -> ctypes.CDLL:
    """The library that Python's own ssl module is linked to."""
    import _ssl  # noqa: PLC0415 - only these mutants need it

    return ctypes.CDLL(str(_ssl.__file__))
