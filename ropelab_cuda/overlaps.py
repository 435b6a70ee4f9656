"""Whether tensors share memory: exact, by arithmetic on addresses that are never read.

Queries, keys and values of one packed projection interleave in memory without sharing an element,
so comparing address ranges is not enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .views import View

__all__ = ["check_overlaps", "is_same", "overlap", "overlaps_itself", "reach"]

NamedView = tuple[str, View]


def check_overlaps(
    outs: Sequence[NamedView], sources: Sequence[NamedView], others: Sequence[NamedView]
) -> None:
    """Raise ValueError if writing an output would disturb a tensor that is still to be read.

    Parameters
    ----------
    outs, sources : sequence of (str, View)
        Each output, and the tensor whose rotation it receives; both may be the same view.
    others : sequence of (str, View)
        Further inputs.
    """
    for i, (out_name, out) in enumerate(outs):
        for j, (name, source) in enumerate(sources):
            if i != j or not is_same(out, source):
                _refuse(out_name, out, name, source)
        for name, other in (*others, *outs[:i]):
            _refuse(out_name, out, name, other)


def is_same(a: View, b: View) -> bool:
    """Return whether two views are one tensor."""
    if (a.pointer, a.dtype, a.shape) != (b.pointer, b.dtype, b.shape):
        return False
    steps = zip(a.strides, b.strides, a.shape, strict=True)
    return all(i == j or length <= 1 for i, j, length in steps)


def _refuse(out_name: str, out: View, name: str, other: View) -> None:
    if overlap(out, other):
        msg = (
            f"{out_name}: expected memory that {name} does not use; got tensors that share "
            f"elements; clone one of them"
        )
        raise ValueError(msg)


def overlaps_itself(view: View) -> bool:
    """Return whether two indices may reach one element.

    Sorted by stride, each axis must step over all that the smaller ones span. This refuses some
    interlocked strides that reach each element once, which no slicing or transposing makes.

    Parameters
    ----------
    view : View
        The tensor.

    Returns
    -------
    bool
        Whether writing all indices at once is ambiguous.
    """
    if view.size <= 1:
        return False
    axes = [(abs(s), n) for s, n in zip(view.strides, view.shape, strict=True) if n > 1]
    span = 0
    for stride, length in sorted(axes):
        if stride <= span:
            return True
        span += stride * (length - 1)
    return False


def overlap(a: View, b: View) -> bool:
    """Return whether two views share an element.

    Parameters
    ----------
    a, b : View
        The tensors.

    Returns
    -------
    bool
        False for views that merely interleave.
    """
    if a.size == 0 or b.size == 0 or a.device != b.device:
        return False
    (a_first, a_end), (b_first, b_end) = reach(a), reach(b)
    if not a_first - b_end < b.pointer - a.pointer < a_end - b_first:
        return False
    try:
        # The Diophantine question "is there a common address" has exponential worst cases, which
        # are far from any real layout: give up there and call it an overlap.
        work = 1_000_000
        return np.shares_memory(_fake_array(a), _fake_array(b), max_work=work)  # type: ignore[arg-type]
    except np.exceptions.TooHardError:
        return True


def reach(view: View) -> tuple[int, int]:
    """Return how many bytes from its first element a view begins, and ends.

    Parameters
    ----------
    view : View
        A tensor that is not empty.

    Returns
    -------
    below, above : int
        Offsets of the first byte, and after the last, that it may touch.

    Examples
    --------
    >>> reach(View(1000, (3, 2), (-4, 1), "float32"))
    (-32, 8)
    """
    steps = [(n - 1) * s for n, s in zip(view.shape, view.strides, strict=True)]
    below = sum(step for step in steps if step < 0)
    above = sum(step for step in steps if step > 0)
    item = view.item_bytes
    return below * item, (above + 1) * item


class _Memory:
    """An address in NumPy's array interface; NumPy does arithmetic on it, and never reads it."""

    def __init__(self, view: View) -> None:
        self.__array_interface__: dict[str, Any] = {
            "version": 3,
            "data": (view.pointer, True),
            "shape": view.shape,
            "typestr": f"|V{view.item_bytes}",
            "strides": tuple(stride * view.item_bytes for stride in view.strides),
        }


def _fake_array(view: View) -> NDArray[Any]:
    return np.asarray(_Memory(view))
