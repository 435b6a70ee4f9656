"""YaRN's ramp: which pairs keep their frequency, which are slowed, and the blend between.

The ramp is found in 45 digits and rounded once: logarithms of float64 differ by an ulp between C
libraries, and a ramp moved by an ulp moves a frequency that is divided by s by up to s of them.
"""

from __future__ import annotations

import math
from decimal import Decimal, localcontext

import numpy as np
from numpy.typing import NDArray

from ..checks import finite_real
from .base import Geometry
from .default import geometric
from .power import DIGITS

__all__ = [
    "NARROWEST",
    "blend",
    "check_rotations",
    "correction_range",
    "kept_share",
    "yarn_frequencies",
]

_PI = Decimal("3.14159265358979323846264338327950288419716939937510")

NARROWEST = Decimal("0.001")
"""Width in pairs of a ramp whose ends coincide."""


def check_rotations(fast: object, slow: object, names: tuple[str, str]) -> tuple[float, float]:
    """Return two numbers of rotations, or raise unless they are positive and fast >= slow."""
    upper, lower = (
        finite_real(value, name, above=0.0) for value, name in zip((fast, slow), names, strict=True)
    )
    if upper < lower:
        msg = f"{names[0]}: expected at least {names[1]} = {lower}; got {upper}"
        raise ValueError(msg)
    return upper, lower


def correction_range(
    rope: Geometry, length: int, fast: float, slow: float, *, truncate: bool = True
) -> tuple[Decimal, Decimal]:
    r"""Return the pair up to which frequencies are kept, and the one from which all are slowed.

    .. math:: c(r) = \frac{d \ln (L_0 / 2 \pi r)}{2 \ln b}

    is the pair, in fractions of one, that turns r times in a length. The range is from c(fast),
    rounded down, to c(slow), rounded up, and is cut at 0 and at d - 1 (not d/2 - 1).

    Parameters
    ----------
    rope : Geometry
        Its rotary_dim is d, its base b.
    length : int
        The length :math:`L_0`, in tokens.
    fast, slow : float
        Rotations within that length.
    truncate : bool, default True
        Whether to round the ends to whole pairs.

    Returns
    -------
    low, high : Decimal
        Pair indices.

    Raises
    ------
    ValueError
        If the base is not above 1: then no pair turns slower than the one before.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071; the code published with it,
       ``find_correction_range``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> low, high = correction_range(Rope(64, base=150_000.0), 4096, 32.0, 1.0, truncate=False)
    >>> float(low), float(high)
    (8.092779115512402, 17.398024501588555)
    """
    if rope.base <= 1.0:
        msg = f"base: YaRN expects more than 1, so that pairs turn ever slower; got {rope.base}"
        raise ValueError(msg)
    with localcontext() as context:
        context.prec = DIGITS
        ends = [
            rope.rotary_dim
            * (length / (2 * _PI * Decimal(rotations))).ln()
            / (2 * Decimal(rope.base).ln())
            for rotations in (fast, slow)
        ]
    if truncate:
        ends = [Decimal(math.floor(ends[0])), Decimal(math.ceil(ends[1]))]
    return max(ends[0], Decimal(0)), min(ends[1], Decimal(rope.rotary_dim - 1))


def kept_share(low: Decimal, high: Decimal, pairs: int) -> NDArray[np.float64]:
    r"""Return how far each pair keeps its frequency: 1 up to low, 0 from high on.

    .. math:: \gamma_i = 1 - \mathrm{clip}\left(
              \frac{i - \mathrm{low}}{\mathrm{high} - \mathrm{low}}, 0, 1\right)

    Parameters
    ----------
    low, high : Decimal
        Pair indices; if equal, the ramp is `NARROWEST` wide. If low is above high, as it is where
        both ends lie outside the pairs, the formula holds as it stands.
    pairs : int
        How many pairs.

    Returns
    -------
    ndarray of float64, shape (pairs,)
        Each the nearest float64.

    Examples
    --------
    >>> kept_share(Decimal(1), Decimal(5), 6).tolist()
    [1.0, 1.0, 0.75, 0.5, 0.25, 0.0]
    """
    with localcontext() as context:
        context.prec = DIGITS
        width = high - low or NARROWEST
        shares = [1 - min(max((i - low) / width, Decimal(0)), Decimal(1)) for i in range(pairs)]
        return np.array([float(share) for share in shares])


def blend(
    slowed: NDArray[np.float64], inv_freq: NDArray[np.float64], kept: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the mean of slowed and unscaled frequencies, the latter weighted by `kept`."""
    return (1.0 - kept) * slowed + kept * inv_freq


def yarn_frequencies(
    rope: Geometry, factor: float, ends: tuple[Decimal, Decimal]
) -> NDArray[np.float64]:
    r"""Return the frequencies divided by a factor, but for the pairs that keep theirs.

    .. math:: \omega'_i = (1 - \gamma_i)\,\omega_i / s + \gamma_i\,\omega_i

    Parameters
    ----------
    rope : Geometry
        The rope.
    factor : float
        The stretch s.
    ends : tuple of Decimal
        As `correction_range` returns them.

    Returns
    -------
    ndarray of float64, shape (d/2,)
        Radians per token.

    Examples
    --------
    >>> from ropelab import Rope
    >>> yarn_frequencies(Rope(6, base=1000.0), 4.0, (Decimal(0), Decimal(2))).round(4).tolist()
    [1.0, 0.0625, 0.0025]
    """
    inv_freq = geometric(rope.rotary_dim, rope.base)
    return blend(inv_freq / factor, inv_freq, kept_share(*ends, inv_freq.size))
