"""Argument checks that several position schemes make."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_integers
from ..checks import integer

__all__ = [
    "LARGEST",
    "check_offset_shape",
    "check_packed_tokens",
    "check_reach",
    "check_unread_offset",
    "count",
    "integers",
    "offset_of_each",
    "unread_shape",
]

LARGEST = 2**63 - 1  # positions are int64


def count(value: object, name: str) -> int:
    """Return `value` as an int, or raise unless it is an integer from 0 to 2**63 - 1."""
    number = integer(value, name, "an integer >= 0")
    if not 0 <= number <= LARGEST:
        msg = f"{name}: expected an integer from 0 to 2**63 - 1; got {number}"
        raise ValueError(msg)
    return number


def integers(x: ArrayLike, name: str) -> NDArray[np.int64]:
    """Return `x` as a new array of int64, or raise unless its numbers are integers of that range.

    Parameters
    ----------
    x : array-like of int
        Any integer dtype.
    name : str
        The argument's name, for messages.

    Returns
    -------
    ndarray of int64
        A copy.
    """
    given = as_integers(x, name)
    if given.size and int(given.max()) > LARGEST:
        msg = f"{name}: expected integers up to 2**63 - 1; got {int(given.max())}"
        raise ValueError(msg)
    return given.astype(np.int64)


def check_reach(first: int, steps: int, name: str) -> None:
    """Raise ValueError if `steps` steps from `first` leave the integers of 64 bits."""
    if first + steps > LARGEST:
        msg = f"{name}: expected positions up to 2**63 - 1; got {first} and {steps} steps after it"
        raise ValueError(msg)


def _is_tensor(x: object) -> bool:
    return hasattr(x, "__dlpack_device__")


def unread_shape(x: Any, name: str) -> tuple[int, ...] | None:
    """Return the shape of integers, of which a tensor, wherever it lies, is not read; or raise."""
    if _is_tensor(x) and not isinstance(x, np.ndarray):
        shape = getattr(x, "shape", None)  # a producer need not tell it but by its capsule
        return None if shape is None else tuple(shape)
    return as_integers(x, name).shape


def check_unread_offset(offset: Any) -> Any:
    """Return an offset, as an int if it is one; or raise if it is none, as far as it tells."""
    is_number = isinstance(offset, (int, np.generic))  # asked first: torch.compile may trace an int
    if not is_number and (hasattr(offset, "__len__") or _is_tensor(offset)):
        check_offset_shape(unread_shape(offset, "offset"))
        return offset
    number = integer(offset, "offset", "an integer, or integers in shape (sequences,)")
    if not -LARGEST - 1 <= number <= LARGEST:
        msg = f"offset: expected an integer of 64 bits; got one of {number.bit_length()} bits"
        raise ValueError(msg)
    return number


def check_offset_shape(shape: tuple[int, ...] | None, sequences: int | None = None) -> None:
    """Raise ValueError unless offsets of that shape are one for all or one a sequence."""
    if shape is None or shape in ((), (1,)) or (len(shape) == 1 and sequences in (None, shape[0])):
        return
    each = "each sequence" if sequences is None else f"each of {sequences} sequences"
    msg = f"offset: expected one integer, or one for {each}; got shape {shape}"
    raise ValueError(msg)


def offset_of_each(offset: ArrayLike, sequences: int, steps: int) -> NDArray[np.int64]:
    """Return the offset of each sequence; or raise, also if positions would leave int64."""
    first = integers(offset, "offset")
    check_offset_shape(first.shape, sequences)
    check_reach(int(first.max(initial=0)), steps, "offset")
    return np.broadcast_to(first, (sequences,))


def check_packed_tokens(tokens: tuple[int, ...]) -> None:
    """Raise ValueError unless the tokens are those of a pack, along one axis."""
    if len(tokens) != 1:
        msg = (
            f"position_ids: a Packed expects tensor_format 'thd', whose tokens have one axis; got "
            f"tokens of shape {tokens}; rotate sequences of one length by Consecutive"
        )
        raise ValueError(msg)
