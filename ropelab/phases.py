r"""Position times frequency, as an angle: the two pipelines, named and never mixed.

``"exact"``: the real number :math:`m\omega_i`, reduced modulo one turn by integer arithmetic. Turns
are kept to 2**-65, so the angle errs by at most 1.7e-19 radians a token: 4e-10 at position 2**31,
far below what float32 can hold, and visible in float64 alone; past 2**40 float32 sees it too. The
float64 frequency is taken as the exact number that it is; it is itself within an ulp, 1e-16, of
its formula.

``"float32"``: what Transformers computes. Position and frequency are rounded to float32, their
product is rounded to float32, then cos and sin of that number are taken. Near position 131,072 it
differs from exact by up to 8e-3 radians (base 1e4, 64 pairs).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from .arrays import as_integers
from .checks import ANGLES, check_choice, check_position_axes
from .positions.token_positions import check_listed
from .precision import float_dtype, narrow
from .spectrum import Spectrum, check_spectrum

__all__ = ["cos_sin", "cos_sin_values", "exact_phases", "positions_by_pair"]


def exact_phases(position_ids: ArrayLike, spectrum: Spectrum) -> NDArray[np.uint64]:
    r"""Fraction of a turn of each pair at each position, in 64-bit fixed point.

    .. math:: \varphi_i(m) = m \cdot t_i \bmod 2^{64}

    with :math:`t_i` the spectrum's turns, and m taken modulo the pair's period if it has one. The
    integers are the same on every machine.

    Parameters
    ----------
    position_ids : array-like of int, any shape
        Positions in tokens, negative ones included. If the spectrum names several position
        axes, the first axis counts them.
    spectrum : Spectrum
        The frequencies.

    Returns
    -------
    ndarray of uint64, shape position_ids.shape + (d/2,)
        Turns times 2**64.

    Raises
    ------
    TypeError
        If the positions are not integers.
    ValueError
        If the positions lack the axes that the spectrum names.

    Examples
    --------
    >>> [hex(phase) for phase in exact_phases([0, 1, -1], Spectrum([1.0]))[:, 0].tolist()]
    ['0x0', '0x28be60db9391054a', '0xd7419f246c6efab6']
    """
    positions = positions_by_pair(position_ids, spectrum)
    return positions.astype(np.uint64) * spectrum.turns  # wraps modulo 2**64


def cos_sin(
    position_ids: ArrayLike,
    spectrum: Spectrum,
    *,
    angles: str = "exact",
    dtype: DTypeLike = np.float32,
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Cosine and sine of each pair at each position, times the attention factor.

    Parameters
    ----------
    position_ids : array-like of int, any shape
        Positions in tokens; see `exact_phases`.
    spectrum : Spectrum
        Frequencies and attention factor.
    angles : {"exact", "float32"}, default "exact"
        The angle pipeline. ``"float32"`` may differ from a given Transformers build in two
        places: its float32 inv_freq is within 1.3 ulp (3.5 in the blend of Llama 3) where here
        the float64 value is rounded once, and its float32 cos and sin are within an ulp where
        here they are correctly rounded (nearly always). ``Spectrum(inv_freq)`` of a model's own
        buffer has its very frequencies.
    dtype : dtype-like, default float32
        Format of the result; rounded once.

    Returns
    -------
    cos, sin : ndarray of `dtype`, shape position_ids.shape + (d/2,)
        One value a pair, half the width of Transformers' tables.

    Raises
    ------
    TypeError
        If the positions are not integers, or `dtype` is not a floating-point format.
    ValueError
        If `angles` is unknown, or the positions lack axes.

    Examples
    --------
    >>> cos, sin = cos_sin([0, 131_072], Spectrum([1.0]))
    >>> cos[:, 0].tolist(), sin[:, 0].tolist()
    ([1.0, 0.04209081456065178], [0.0, -0.9991137981414795])
    """
    cos, sin = cos_sin_values(position_ids, spectrum, angles)
    target = float_dtype(dtype)
    return narrow(cos, target), narrow(sin, target)


def cos_sin_values(
    position_ids: ArrayLike, spectrum: Spectrum, angles: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the numbers of `cos_sin` before their last rounding, as float64."""
    check_choice(angles, ANGLES, "angles")
    if angles == "float32":
        return _float32_cos_sin(position_ids, spectrum)
    cos, sin = _cos_sin_of_turns(exact_phases(position_ids, spectrum))
    return cos * spectrum.attention_factor, sin * spectrum.attention_factor


def _cos_sin_of_turns(
    phases: NDArray[np.uint64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cosine and sine of fixed-point turns, to about an ulp of float64."""
    # To the nearest quarter turn, exactly; what is left is at most an eighth either way.
    quarter = (phases + np.uint64(1 << 61)) >> np.uint64(62)
    rest = (phases - (quarter << np.uint64(62))).view(np.int64)
    angle = rest.astype(np.float64) * (2.0 * np.pi / 2.0**64)
    c, s = np.cos(angle), np.sin(angle)
    which = quarter.astype(np.intp)
    return np.choose(which, [c, -s, -c, s]), np.choose(which, [s, c, -s, -c])


def _float32_cos_sin(
    position_ids: ArrayLike, spectrum: Spectrum
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    positions = positions_by_pair(position_ids, spectrum).astype(np.float32)
    with np.errstate(over="ignore", invalid="ignore"):  # no angle beyond float32 has a cosine
        angle = positions * spectrum.inv_freq.astype(np.float32)
        factor = np.float32(spectrum.attention_factor)
        # float64's cos of a float32 angle, rounded, is the correctly rounded float32 cos up to rare
        # double roundings; NumPy's own float32 cos depends on the processor's vector unit.
        cos = np.cos(angle.astype(np.float64)).astype(np.float32) * factor
        sin = np.sin(angle.astype(np.float64)).astype(np.float32) * factor
    return cos.astype(np.float64), sin.astype(np.float64)


def positions_by_pair(position_ids: ArrayLike, spectrum: Spectrum) -> NDArray[Any]:
    """Return the positions with a last axis that broadcasts against the pairs."""
    check_spectrum(spectrum)
    check_listed(position_ids)
    positions = as_integers(position_ids, "position_ids")
    count = spectrum.position_axes
    if count == 1:
        positions = positions[..., np.newaxis]
    else:
        check_position_axes(positions.shape, count)
        positions = np.moveaxis(positions[spectrum.axes], 0, -1)
    return positions if spectrum.periods is None else _wrapped(positions, spectrum.periods)


def _wrapped(positions: NDArray[Any], periods: NDArray[np.int64]) -> NDArray[Any]:
    """Return the positions modulo the period of each pair that has one."""
    if positions.dtype == np.uint64:  # NumPy has no integer that holds both
        periods = periods.astype(np.uint64)
    return np.where(periods > 0, positions % np.maximum(periods, 1), positions)
