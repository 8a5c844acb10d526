"""Giving up what lets root pass every permission, or being another user altogether."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

NOBODY = 65534
PASSING_PERMISSIONS = 1 << 1 | 1 << 2  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
VERSION = 0x20080522  # of the structures that capget and capset take
LIBC = ctypes.CDLL(None, use_errno=True)


def _capabilities() -> tuple[ctypes.Array[ctypes.c_uint32], ctypes.Array[ctypes.c_uint32]]:
    """Return the header, and effective, permitted and inheritable capabilities in two halves of 32 bits."""
    header, sets = (ctypes.c_uint32 * 2)(VERSION, 0), (ctypes.c_uint32 * 6)()
    assert LIBC.capget(header, sets) == 0, os.strerror(ctypes.get_errno())
    return header, sets


def obey_permissions() -> None:
    """Let permissions hold for this thread, as they do for whoever is not root. It still owns what it owned.

    Root who becomes nobody instead could not read a package that lies in a folder of mode 700.
    """
    header, sets = _capabilities()
    sets[0] &= ~PASSING_PERMISSIONS
    assert LIBC.capset(header, sets) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run the block as somebody whom permissions stop."""
    header, sets = _capabilities()
    obey_permissions()
    try:
        yield
    finally:
        LIBC.capset(header, sets)


@contextmanager
def another_user() -> Iterator[None]:
    """Run the block as nobody when root runs the tests; what it needs must be imported before."""
    user = os.geteuid()
    os.seteuid(user or NOBODY)
    try:
        yield
    finally:
        os.seteuid(user)
