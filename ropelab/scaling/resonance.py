"""Resonance RoPE: every wavelength a whole number of tokens."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ..spectrum import Spectrum
from .base import Geometry, Scaling, check_inner
from .default import Default

__all__ = ["Resonance"]


@dataclass(frozen=True)
class Resonance(Scaling):
    r"""The frequencies of another rule, moved so that each pair repeats after whole tokens.

    .. math:: \lambda'_i = \mathrm{round}(2\pi / \omega_i), \qquad \omega'_i = 2\pi / \lambda'_i

    rounded to the nearest integer, halves to even. The angles repeat bit for bit: the integers are
    the spectrum's `periods`. So a pair whose wavelength lies within the trained context meets no
    new angle past it. Amplitudes are those of the inner rule; a pair that stands still stays so.

    Parameters
    ----------
    inner : Scaling, default Default()
        The rule whose wavelengths are rounded; the authors take YaRN beside the default.

    Raises
    ------
    TypeError
        If `inner` is no rule.

    References
    ----------
    .. [1] Wang et al., "Resonance RoPE: Improving Context Length Generalization of Large Language
       Models", 2024, arXiv:2403.00071, and its code, sheryc/resonance_rope.

    Examples
    --------
    >>> from ropelab import Rope
    >>> spectrum = Rope(6, scaling=Resonance()).spectrum()
    >>> spectrum.periods.tolist(), spectrum.wavelengths.round(9).tolist()
    ([6, 135, 2916], [6.0, 135.0, 2916.0])
    """

    rope_type: ClassVar[str] = "resonance"

    inner: Scaling = field(default_factory=Default)

    def __post_init__(self) -> None:
        """Validate."""
        check_inner(self.inner)

    @property
    def depends_on_length(self) -> bool:
        """Whether the inner rule does."""
        return self.inner.depends_on_length

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the inner rule's spectrum with whole wavelengths; `seq_len` is passed on."""
        spectrum = self.inner.spectrum(rope, seq_len)
        periods = _nearest_periods(spectrum)
        speeds = 2.0 * np.pi / np.maximum(periods, 1)
        inv_freq = np.where(periods > 0, np.copysign(speeds, spectrum.inv_freq), 0.0)
        return replace(spectrum, inv_freq=inv_freq, periods=periods)


def _nearest_periods(spectrum: Spectrum) -> NDArray[np.int64]:
    """Return the rounded wavelengths, 0 for a pair that stands still, or raise ValueError."""
    wavelengths = np.where(spectrum.inv_freq == 0.0, 0.0, spectrum.wavelengths)
    nearest = np.rint(wavelengths)
    bad = ((nearest == 0.0) & (spectrum.inv_freq != 0.0)) | (nearest >= 2.0**63)
    if bad.any():
        worst = int(np.flatnonzero(bad)[0])
        msg = (
            f"inner: Resonance expects wavelengths that round to 1 token or more, below 2**63; "
            f"got {wavelengths[worst]:g} at pair {worst}"
        )
        raise ValueError(msg)
    return nearest.astype(np.int64)
