"""The numbers a frequency rule yields. From here on no code knows which rule they came from."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .arrays import as_integers, as_reals
from .checks import finite_real
from .precision import float_dtype, narrow, widen

__all__ = ["Spectrum", "check_spectrum"]


@dataclass(frozen=True, eq=False, init=False)
class Spectrum:
    r"""Frequencies and amplitudes of one rotary embedding.

    Pair ``i`` turns by ``inv_freq[i]`` radians a token.

    Parameters
    ----------
    inv_freq : array-like of float, shape (d/2,)
        Angular speed of each pair in radians per token; finite. Kept as float64.
    attention_factor : float, default 1.0
        Multiplies cos and sin, so that q . k is multiplied by its square.
    softmax_factor : float, default 1.0
        Multiplies the softmax scale of the attention that follows; no function here applies it.
    axes : array-like of int, shape (d/2,), optional
        Which position axis turns each pair; by default all are turned by axis 0.
    periods : array-like of int, shape (d/2,), optional
        Tokens after which each pair repeats exactly, bit for bit; 0 for a pair that no whole
        number of tokens brings back. None, the default, if there is no other pair.

    Raises
    ------
    TypeError, ValueError
        If an argument has another type, shape or range.

    Examples
    --------
    >>> spectrum = Spectrum([1.0, 0.01])
    >>> spectrum.rotary_dim, [round(x, 4) for x in spectrum.wavelengths.tolist()]
    (4, [6.2832, 628.3185])
    >>> [hex(turn) for turn in spectrum.turns.tolist()]
    ['0x28be60db9391054a', '0x684dc4c179c52d']
    """

    inv_freq: NDArray[np.float64]
    attention_factor: float
    softmax_factor: float
    axes: NDArray[np.int64] | None  # never None; dataclasses.replace takes what __init__ takes
    periods: NDArray[np.int64] | None

    def __init__(
        self,
        inv_freq: ArrayLike,
        attention_factor: float = 1.0,
        softmax_factor: float = 1.0,
        axes: ArrayLike | None = None,
        periods: ArrayLike | None = None,
    ) -> None:
        frequencies = as_reals(inv_freq, "inv_freq")
        if frequencies.ndim != 1 or frequencies.size == 0:
            msg = f"inv_freq: expected shape (d/2,) with d >= 2; got shape {frequencies.shape}"
            raise ValueError(msg)
        if not np.isfinite(frequencies).all():
            worst = int(np.flatnonzero(~np.isfinite(frequencies))[0])
            msg = f"inv_freq: expected finite numbers; got {frequencies[worst]} at pair {worst}"
            raise ValueError(msg)
        fields = {
            "inv_freq": _frozen(frequencies),
            "attention_factor": finite_real(attention_factor, "attention_factor"),
            "softmax_factor": finite_real(softmax_factor, "softmax_factor"),
            "axes": _by_pair(axes, frequencies.size, "axes", "one position axis >= 0"),
            "periods": _periods(periods, frequencies.size),
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def __reduce__(self) -> tuple[type[Spectrum], tuple[Any, ...]]:
        # Through the constructor, since NumPy's copies and pickles are writeable.
        factors = (self.attention_factor, self.softmax_factor)
        return type(self), (self.inv_freq, *factors, self.axes, self.periods)

    @property
    def rotary_dim(self) -> int:
        """Number of rotated channels ``d``, two a pair."""
        return 2 * self.inv_freq.size

    @property
    def position_axes(self) -> int:
        """Number of axes that position_ids must carry; 1 unless `axes` says otherwise."""
        assert self.axes is not None
        return int(self.axes.max()) + 1

    @property
    def wavelengths(self) -> NDArray[np.float64]:
        """Tokens for one full turn of each pair, ``2 pi / inv_freq``; infinite if it stands."""
        with np.errstate(divide="ignore", over="ignore"):
            return 2.0 * np.pi / np.abs(self.inv_freq)

    @cached_property
    def turns(self) -> NDArray[np.uint64]:
        r"""Turns per token in 64-bit fixed point, shape (d/2,).

        .. math:: t_i = \mathrm{round}(\omega_i / 2\pi \cdot 2^{64}) \bmod 2^{64}

        Exact: the float64 ``inv_freq`` is taken as the rational number that it is.
        """
        turns = np.array([_turn(value) for value in self.inv_freq.tolist()], np.uint64)
        turns.flags.writeable = False
        return turns

    def astype(self, dtype: DTypeLike) -> Spectrum:
        """Return the spectrum with its frequencies rounded to a format.

        Parameters
        ----------
        dtype : dtype-like
            ``np.float32`` gives the frequencies that models were trained with.

        Returns
        -------
        Spectrum
            `inv_freq` is float64 again, holding the rounded values. A frequency that has moved
            has no period any more.

        Examples
        --------
        >>> Spectrum([0.01]).astype(np.float32).inv_freq.tolist()
        [0.009999999776482582]
        """
        rounded = widen(narrow(self.inv_freq, float_dtype(dtype)))
        periods = self.periods
        if periods is not None:
            periods = np.where(rounded == self.inv_freq, periods, 0)
        return replace(self, inv_freq=rounded, periods=periods)

    def __eq__(self, other: object) -> bool:
        """Compare every number."""
        return isinstance(other, Spectrum) and self._key == other._key

    def __hash__(self) -> int:
        """Hash every number."""
        return hash(self._key)

    @cached_property
    def _key(self) -> tuple[bytes | float, ...]:
        assert self.axes is not None
        periods = b"" if self.periods is None else self.periods.tobytes()
        factors = (self.attention_factor, self.softmax_factor)
        return (self.inv_freq.tobytes(), self.axes.tobytes(), periods, *factors)


def check_spectrum(spectrum: object) -> None:
    """Raise TypeError unless it is a Spectrum."""
    if not isinstance(spectrum, Spectrum):
        msg = (
            f"spectrum: expected a ropelab.Spectrum; got {type(spectrum).__name__}; "
            f"a Rope gives one by .spectrum()"
        )
        raise TypeError(msg)


def _by_pair(values: ArrayLike | None, pairs: int, name: str, expected: str) -> NDArray[np.int64]:
    """Return one integer a pair, none of them negative, or raise; by default zeros."""
    given = np.zeros(pairs, np.int64) if values is None else as_integers(values, name)
    if given.shape != (pairs,) or given.min() < 0 or given.max() >= 2**63:
        msg = (
            f"{name}: expected {expected} and below 2**63 for each of {pairs} pairs; "
            f"got {given.tolist()}"
        )
        raise ValueError(msg)
    return _frozen(given.astype(np.int64))


def _periods(periods: ArrayLike | None, pairs: int) -> NDArray[np.int64] | None:
    given = _by_pair(periods, pairs, "periods", "a number of tokens >= 0")
    return given if given.any() else None


def _frozen(values: NDArray[Any]) -> NDArray[Any]:
    copy = values.copy()
    copy.flags.writeable = False
    return copy


# Enough for the largest float64, 2**1024, times 2**64, with 192 bits to spare.
_PI_BITS = 1280


@cache
def _pi() -> int:
    """Return ``floor(pi * 2**1280)`` up to a few units, by Machin's formula in integers."""

    def arctan_inverse(n: int) -> int:
        term = total = (1 << _PI_BITS) // n
        k, sign = 3, -1
        while term:
            term //= n * n
            total += sign * (term // k)
            k, sign = k + 2, -sign
        return total

    return 4 * (4 * arctan_inverse(5) - arctan_inverse(239))


def _turn(inv_freq: float) -> int:
    """Return ``round(inv_freq / 2 pi * 2**64) mod 2**64``; irrational, so never a tie."""
    numerator, denominator = inv_freq.as_integer_ratio()
    scaled = numerator << (64 + _PI_BITS)
    period = 2 * _pi() * denominator
    return ((2 * scaled + period) // (2 * period)) % 2**64
