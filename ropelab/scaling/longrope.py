"""LongRoPE: a searched factor for every pair, of two lists for short and for long contexts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

import numpy as np

from ..checks import check_choice, finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric
from .magnitude import su_magnitude, yarn_magnitude
from .per_pair import check_pairs, positive_numbers

__all__ = ["LongRoPE"]

_OPTIONAL = ("factor", "attention_factor", "short_mscale", "long_mscale")


@dataclass(frozen=True)
class LongRoPE(Scaling):
    r"""Frequencies divided by a list, one list up to the original length and another past it.

    .. math:: \omega_i = \frac{b^{-2i/d}}{E_i}, \qquad A = \sqrt{1 + \ln s / \ln L_0}

    with E the short list while the current length is at most L0, else the long list, and s the
    `factor`, or :math:`L_{max} / L_0`. A is the same for both lists, and 1 if s is at most 1. The
    choice is made for a whole call: its longest sequence decides.

    Also called su. Used by Phi-3.5-mini, Phi-3.5-vision, Phi-3.5-MoE (by its mscales) and
    Phi-4-mini; MiniCPM-V 4 has twice the same list. Transformers 5 turns Phi-3.5-MoE by the short
    list at every length, and only its mscale switches. ExLlamaV2 reads the lists otherwise:
    `ExLlamaLongRoPE`.

    Parameters
    ----------
    short_factor, long_factor : sequence of float, shape (d/2,)
        Divisors E of the frequencies; positive.
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens; at least 2. It may exceed
        max_position_embeddings, as MiniCPM-V 4's does.
    factor : float, optional
        The stretch s; by default max_position_embeddings / L0.
    attention_factor : float, optional
        Replaces A, as a constant policy of Microsoft's does.
    short_mscale, long_mscale : float, optional
        Replace A, or `attention_factor`, at the lengths of the short and of the long list.
    mscale_policy : {"su", "yarn"}, default "su"
        Formula of A; ``"yarn"`` is :math:`0.1 \ln s + 1`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Ding et al., "LongRoPE", 2024, arXiv:2402.13753.
    .. [2] Transformers 5.24, modeling_rope_utils, "longrope"; the policies are those of
       microsoft/LongRoPE.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rule = LongRoPE([1.0, 1.0], [1.0, 2.5], 4096)
    >>> rope = Rope(4, scaling=rule, max_position_embeddings=131072)
    >>> rope.spectrum(4096).inv_freq.tolist(), rope.spectrum(4097).inv_freq.tolist()
    ([1.0, 0.01], [1.0, 0.004])
    >>> rope.spectrum(4096).attention_factor
    1.1902380714238083
    """

    rope_type: ClassVar[str] = "longrope"
    depends_on_length: ClassVar[bool] = True

    short_factor: Sequence[float]  # a tuple from __post_init__ on
    long_factor: Sequence[float]  # a tuple from __post_init__ on
    original_max_position_embeddings: int
    factor: float | None = None
    attention_factor: float | None = None
    short_mscale: float | None = None
    long_mscale: float | None = None
    mscale_policy: str = "su"

    def __post_init__(self) -> None:
        """Validate."""
        for name in ("short_factor", "long_factor"):
            object.__setattr__(self, name, positive_numbers(getattr(self, name), name))
        name = "original_max_position_embeddings"
        object.__setattr__(self, name, original_length(getattr(self, name), "LongRoPE"))
        for name in _OPTIONAL:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, finite_real(getattr(self, name), name, above=0.0))
        check_choice(self.mscale_policy, ("su", "yarn"), "mscale_policy")

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the divided frequencies; without `seq_len`, by the short list."""
        check_pairs(self.short_factor, rope.rotary_dim, "short_factor")
        check_pairs(self.long_factor, rope.rotary_dim, "long_factor")
        is_long = seq_len is not None and seq_len > self.original_max_position_embeddings
        divisors = self.long_factor if is_long else self.short_factor
        mscale = self.long_mscale if is_long else self.short_mscale
        amplitude = self._attention_factor(rope) if mscale is None else mscale
        return Spectrum(geometric(rope.rotary_dim, rope.base) / np.array(divisors), amplitude)

    def _attention_factor(self, rope: Geometry) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        original = self.original_max_position_embeddings
        if self.factor is not None:
            stretch = Fraction(self.factor)
        else:
            stretch = Fraction(made_for(rope, "LongRoPE", "know its stretch"), original)
        if self.mscale_policy == "yarn":
            return yarn_magnitude(stretch)
        return su_magnitude(stretch, original)


def original_length(value: object, rule: str) -> int:
    """Return the original length, or raise unless it has a logarithm to divide by."""
    name = "original_max_position_embeddings"
    length = positive_int(value, name)
    if length == 1:
        msg = f"{name}: {rule} expects at least 2, since it divides by the logarithm; got 1"
        raise ValueError(msg)
    return length
