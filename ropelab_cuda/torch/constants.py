"""Objects that torch.compile takes for constants."""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any, TypeVar

import torch

__all__ = ["constant_by_identity"]

T = TypeVar("T")


def constant_by_identity(function: Callable[..., T]) -> Callable[..., T]:
    """Have torch.compile take what a function says of an object for a constant.

    Dynamo cannot trace the NumPy behind a spectrum, and need not. ``id`` is the one question to
    which it ties the answer: for another object it compiles anew.

    Parameters
    ----------
    function : callable
        Of an object that never changes, and of constants; its result is a constant.

    Returns
    -------
    callable
        The same function.
    """
    compiled_in: list[object] = []  # held, so that nothing else ever gets their addresses

    @torch.compiler.assume_constant_result  # type: ignore[untyped-decorator]
    def at(address: int, *options: Any) -> T:
        """Return what is said of the object at an address, while a graph is made."""
        subject = ctypes.cast(address, ctypes.py_object).value
        compiled_in.append(subject)
        return function(subject, *options)

    def of(subject: Any, *options: Any) -> T:
        """Return what is said of an object."""
        if torch.compiler.is_dynamo_compiling():
            said: T = at(id(subject), *options)
            return said
        return function(subject, *options)

    return of
