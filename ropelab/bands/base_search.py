"""The base bound for bases in bulk: which of them bear a context, and the smallest that does."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..arrays import as_reals
from ..checks import finite_real, positive_int, real_within
from .cosines import rows_of

__all__ = ["bound_holds", "smallest_base"]

_WIDEST = 1 << 20  # channels
_WORK = 1 << 36  # cosines of all bases, some ten minutes
_WORK_OF_ONE = 1 << 30  # of one base, where many are tried
# Distances on either side of the last breach that are tried before all others.
_WINDOWS = (32, 512)


def bound_holds(
    bases: ArrayLike, context_length: int, *, rotary_dim: int = 128
) -> NDArray[np.bool]:
    r"""Which bases keep the sum of cosines from falling below zero within a context.

    .. math:: B(m) = \sum_{i=0}^{d/2-1} \cos\left(m\,b^{-2i/d}\right) \ge 0
              \qquad \text{for all } m < L

    The set is not an interval: beyond the smallest base that passes, others fail.

    Parameters
    ----------
    bases : array-like of float, any shape
        Bases b; above 1. Those of nearly the same size are best given one after another.
    context_length : int
        Length L in tokens; positive. Bases times tokens times pairs are at most 2**36.
    rotary_dim : int, default 128
        Rotated channels d, all of a head; even, at most 2**20.

    Returns
    -------
    ndarray of bool, same shape
        True where the context is borne.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type or range.

    See Also
    --------
    first_breach : The same for a `Rope` with its rule, from exact phases.

    References
    ----------
    .. [1] Men et al., "Base of RoPE Bounds Context Length", 2024, arXiv:2405.14591.

    Examples
    --------
    >>> bound_holds([4_200.0, 4_300.0, 6_000.0, 10_000.0], 1024).tolist()
    [False, True, False, True]
    """
    given = as_reals(bases, "bases")
    low = given[~(np.isfinite(given) & (given > 1.0))]
    if low.size:
        msg = f"bases: expected finite numbers greater than 1; got {float(low.flat[0])!r}"
        raise ValueError(msg)
    search = _Search(context_length, rotary_dim, _WORK // max(given.size, 1))
    return np.array([search.holds(base) for base in given.ravel()], bool).reshape(given.shape)


def smallest_base(
    context_length: int,
    *,
    rotary_dim: int = 128,
    step: float = 1e-4,
    largest: float = 1e10,
) -> float:
    """Find the smallest base that bears a context.

    Bases are tried from the context's length on, each a step larger than the one before, until one
    passes; bisection then finds the border between it and the last that failed. A window of passing
    bases narrower than a step may be missed, so the result is an upper bound: of Su's eleven bases
    ten are found, to both of their digits, and 6.1e7 for 5.8e7 at 512k, where the window is 1e-5
    wide. Of 64 pairs: a second for 4k, six for 128k, under a minute for 1M.

    Parameters
    ----------
    context_length : int
        Length L in tokens; positive. Tokens times pairs are at most 2**30.
    rotary_dim : int, default 128
        Rotated channels d, all of a head; even, at most 2**20.
    step : float, default 1e-4
        Relative distance of the bases tried, 1e-6 to 1.
    largest : float, default 1e10
        Where to give up.

    Returns
    -------
    float
        A base that passes, within a millionth of one that fails.

    Raises
    ------
    TypeError
        If an argument has another type.
    ValueError
        If one has another range, or no base up to `largest` passes.

    References
    ----------
    .. [1] Men et al., "Base of RoPE Bounds Context Length", 2024, arXiv:2405.14591, the table;
       Su, https://kexue.fm/archives/10122, with smaller bases from a finer search.

    Examples
    --------
    >>> f"{smallest_base(1024):.3e}"
    '4.293e+03'
    """
    search = _Search(context_length, rotary_dim, _WORK_OF_ONE)
    ratio = 1.0 + real_within(step, "step", 1e-6, 1.0)
    largest = finite_real(largest, "largest", above=1.0)
    failed = passed = max(float(search.length), 2.0)
    while not search.holds(passed):
        failed, passed = passed, passed * ratio
        if passed > largest:
            msg = (
                f"largest: expected a base up to it that bears {search.length} tokens with "
                f"{rotary_dim} channels; got none up to {largest:g}"
            )
            raise ValueError(msg)
    while passed > failed * (1.0 + 1e-6):
        middle = float(np.sqrt(failed * passed))
        if search.holds(middle):
            passed = middle
        else:
            failed = middle
    return passed


class _Search:
    """Remembers where the last base failed, since the next, if near to it, fails near there."""

    def __init__(self, context_length: object, rotary_dim: object, work: int) -> None:
        self.length = positive_int(context_length, "context_length")
        d = positive_int(rotary_dim, "rotary_dim", even=True)
        if d > _WIDEST:
            msg = f"rotary_dim: expected at most {_WIDEST} channels; got {d}"
            raise ValueError(msg)
        longest = 2 * work // d
        if self.length > longest:
            msg = (
                f"context_length: expected at most {longest} tokens, lest the search of {d} "
                f"channels take hours; got {self.length}; for one base, effective_context of its "
                f"Rope goes further"
            )
            raise ValueError(msg)
        self._exponents = -np.arange(0, d, 2) / d
        self._rows = rows_of(d // 2)
        self._breach = 0

    def holds(self, base: float) -> bool:
        """Tell whether no distance of the context has a negative sum."""
        # An ulp from the exact powers, which take a thousand times as long: at a million tokens a
        # sum moves by 1e-9, and so a border by far less than the millionth it is found to.
        inv_freq = np.power(base, self._exponents)
        rows = self._rows
        for width in _WINDOWS:
            reach = min(width, rows)
            if self._breaks(inv_freq, self._breach - reach, self._breach + reach):
                return False
        starts = sorted(range(0, self.length, rows), key=lambda first: abs(first - self._breach))
        return not any(self._breaks(inv_freq, first, first + rows) for first in starts)

    def _breaks(self, inv_freq: NDArray[np.float64], first: int, last: int) -> bool:
        distances = np.arange(max(first, 0), min(last, self.length))
        total = np.cos(distances[:, np.newaxis] * inv_freq).sum(axis=1)
        if not (total < 0.0).any():
            return False
        self._breach = int(distances[total.argmin()])
        return True
