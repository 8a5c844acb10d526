"""Drop root's right to ignore permissions, or become another user."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534
PASSING_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
VERSION = 0x20080522  # version of the structures of capget and capset
LIBC = ctypes.CDLL(None, use_errno=True)


def _capabilities() -> tuple[ctypes.Array[ctypes.c_uint32], ctypes.Array[ctypes.c_uint32]]:
    """Return the header, and the effective, permitted and inheritable capabilities in two halves of 32 bits."""
    header, sets = (ctypes.c_uint32 * 2)(VERSION, 0), (ctypes.c_uint32 * 6)()
    assert LIBC.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    return header, sets


def obey_permissions() -> None:
    """Make permissions apply to this thread, as to any user but root. It still owns its files.

    If root became nobody instead, it could not read a package in a folder of mode 700.
    """
    header, sets = _capabilities()
    sets[0] &= ~PASSING_PERMISSIONS
    assert LIBC.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run the block as a user to whom permissions apply."""
    header, sets = _capabilities()
    obey_permissions()
    try:
        yield
    finally:
        LIBC.capset(header, sets)


@contextmanager
def another_user() -> Iterator[None]:
    """Run the block as the user nobody when root runs the tests; import what it needs before."""
    user = os.geteuid()
    os.seteuid(user or NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
