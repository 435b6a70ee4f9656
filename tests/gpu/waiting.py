"""Calls during which the host may not wait for the device."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["without_synchronising"]


@contextmanager
def without_synchronising(torch: Any) -> Iterator[None]:
    """Let torch raise an error for any synchronisation of its own."""
    before = torch.cuda.get_sync_debug_mode()
    try:
        with warnings.catch_warnings():  # that it does not see everything
            warnings.simplefilter("ignore", UserWarning)
            torch.cuda.set_sync_debug_mode("error")
        yield
    finally:
        torch.cuda.set_sync_debug_mode(before)
