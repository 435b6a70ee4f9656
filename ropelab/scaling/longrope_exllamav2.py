"""LongRoPE as ExLlamaV2 reads it: decided once, when the model is loaded."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric
from .longrope import original_length
from .magnitude import su_magnitude
from .per_pair import check_pairs, positive_numbers

__all__ = ["ExLlamaLongRoPE"]


@dataclass(frozen=True)
class ExLlamaLongRoPE(Scaling):
    r"""LongRoPE's lists, chosen by the length that the model is loaded for.

    .. math:: \omega_i = \frac{b^{-2i/d}}{E_i}, \qquad
              A = \sqrt{1 + \frac{\ln(a / L_0)}{\ln L_0}}

    with a the rope's max_position_embeddings. If a exceeds L0, E is the long list at every length;
    else it is the short list and A is 1. `LongRoPE` switches as the text grows and has A of the
    longest context at every length: for Phi-3.5, scores of short texts are 1.42 times as large.

    Used by ExLlamaV2 for "su" and "longrope".

    Parameters
    ----------
    short_factor, long_factor : sequence of float, shape (d/2,)
        Divisors E of the frequencies; positive.
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens; at least 2.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Ding et al., "LongRoPE", 2024, arXiv:2402.13753.
    .. [2] ExLlamaV2, ``get_rope_params_su``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rule = ExLlamaLongRoPE([1.0, 1.0], [1.0, 2.5], 4096)
    >>> for loaded in (4096, 32768):
    ...     spectrum = Rope(4, scaling=rule, max_position_embeddings=loaded).spectrum()
    ...     print(spectrum.inv_freq.tolist(), round(spectrum.attention_factor, 5))
    [1.0, 0.01] 1.0
    [1.0, 0.004] 1.11803
    """

    rope_type: ClassVar[str] = "exllamav2_su"

    short_factor: Sequence[float]  # a tuple from __post_init__ on
    long_factor: Sequence[float]  # a tuple from __post_init__ on
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        """Validate."""
        for name in ("short_factor", "long_factor"):
            object.__setattr__(self, name, positive_numbers(getattr(self, name), name))
        name = "original_max_position_embeddings"
        object.__setattr__(self, name, original_length(getattr(self, name), "ExLlamaLongRoPE"))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the divided frequencies; `seq_len` is not read."""
        check_pairs(self.short_factor, rope.rotary_dim, "short_factor")
        check_pairs(self.long_factor, rope.rotary_dim, "long_factor")
        original = self.original_max_position_embeddings
        loaded = made_for(rope, "ExLlamaLongRoPE", "choose a list")
        divisors = self.long_factor if loaded > original else self.short_factor
        amplitude = su_magnitude(Fraction(loaded, original), original)
        return Spectrum(geometric(rope.rotary_dim, rope.base) / np.array(divisors), amplitude)
