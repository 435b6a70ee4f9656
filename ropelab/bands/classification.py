"""Wavelength bands: which pairs a frequency rule keeps, blends and stretches.

A rule is judged by its numbers alone: the wavelengths of a `Rope` are divided by those of the same
`Rope` without scaling. No rule has to say what it does, and none can misreport it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ..checks import check_rope
from ..rope import Rope
from ..scaling import Default

__all__ = ["Band", "BandName", "classify", "falls_into_bands", "stretches"]

BandName = Literal["kept", "blended", "stretched"]

# Two wavelengths closer than this, relatively, differ by the rounding of their quotient alone.
_ROUNDING = 8 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Band:
    """Pairs that a frequency rule treats alike.

    Parameters
    ----------
    name : {"kept", "blended", "stretched"}
        What happens to the pairs of the band; see `classify`.
    pairs : tuple of int
        Indices of the pairs, ascending. They need not be neighbours, and there may be none.
    wavelengths : tuple of float
        Length of one turn of each pair after scaling, in tokens.
    stretches : tuple of float
        How many times longer each wavelength is than without scaling.

    See Also
    --------
    classify : Makes the bands of a `Rope`.
    """

    name: BandName
    pairs: tuple[int, ...]
    wavelengths: tuple[float, ...]
    stretches: tuple[float, ...]

    def __len__(self) -> int:
        return len(self.pairs)


def stretches(rope: Rope, *, seq_len: int | None = None) -> NDArray[np.float64]:
    """How many times longer each pair's wavelength is than without scaling.

    Parameters
    ----------
    rope : Rope
        The rotary embedding to look at.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    ndarray of float64, shape (rotary_dim // 2,)
        The quotient for each pair: 1 where the rule changes nothing, infinite where it stops the
        pair from turning.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Linear
    >>> stretches(Rope(4, scaling=Linear(factor=8.0))).tolist()
    [8.0, 8.0]
    """
    check_rope(rope)
    scaled = rope.spectrum(seq_len).inv_freq
    unscaled = replace(rope, scaling=Default()).spectrum().inv_freq
    with np.errstate(divide="ignore", over="ignore"):
        return np.asarray(unscaled / scaled)


def classify(rope: Rope, *, seq_len: int | None = None) -> tuple[Band, Band, Band]:
    """Split the pairs of a rotary embedding by what its frequency rule does to them.

    Parameters
    ----------
    rope : Rope
        The rotary embedding to look at.
    seq_len : int, optional
        Length of the sequence in tokens, for a rule that depends on it.

    Returns
    -------
    kept : Band
        Pairs whose wavelength the rule leaves alone.
    blended : Band
        Pairs in between: changed, but not by the full stretch.
    stretched : Band
        Pairs whose wavelength grows by the largest stretch that the rule applies to any pair.

    References
    ----------
    .. [1] Meta, llama-models, ``apply_scaling`` (July 2024), whose three branches are the bands.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import Llama3
    >>> rule = Llama3(
    ...     factor=8.0,
    ...     low_freq_factor=1.0,
    ...     high_freq_factor=4.0,
    ...     original_max_position_embeddings=8192,
    ... )
    >>> [(band.name, len(band)) for band in classify(Rope(128, base=500_000.0, scaling=rule))]
    [('kept', 29), ('blended', 6), ('stretched', 29)]
    """
    stretch = stretches(rope, seq_len=seq_len)
    wavelength = rope.spectrum(seq_len).wavelengths

    kept = _same(stretch, 1.0)
    stretched = _same(stretch, stretch.max()) & ~kept
    return (
        _band("kept", kept, wavelength, stretch),
        _band("blended", ~kept & ~stretched, wavelength, stretch),
        _band("stretched", stretched, wavelength, stretch),
    )


def falls_into_bands(kept: Band, blended: Band, stretched: Band) -> bool:
    """Return whether a rule has bands, rather than changing each pair by another amount."""
    return not len(blended) or (len(kept) > 0 and len(stretched) > 1)


def _same(stretch: NDArray[np.float64], value: float) -> NDArray[np.bool]:
    return np.isclose(stretch, value, rtol=_ROUNDING, atol=0.0)


def _band(
    name: BandName,
    members: NDArray[np.bool],
    wavelength: NDArray[np.float64],
    stretch: NDArray[np.float64],
) -> Band:
    return Band(
        name=name,
        pairs=tuple(np.flatnonzero(members).tolist()),
        wavelengths=tuple(wavelength[members].tolist()),
        stretches=tuple(stretch[members].tolist()),
    )
