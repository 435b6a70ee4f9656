"""YaRN, as Transformers computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import check_flag, finite_real, positive_int, real_within
from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .magnitude import yarn_magnitude
from .ramp import check_rotations, correction_range, yarn_frequencies

__all__ = ["YaRN"]

_BETA_FAST, _BETA_SLOW = 32.0, 1.0


@dataclass(frozen=True)
class YaRN(Scaling):
    r"""Short wavelengths kept, long ones stretched, a ramp in the pair index between.

    .. math:: \omega'_i = (1 - \gamma_i)\,\omega_i / s + \gamma_i\,\omega_i, \qquad
              \gamma_i = 1 - \mathrm{clip}\left(
              \frac{i - \mathrm{low}}{\mathrm{high} - \mathrm{low}}, 0, 1\right)

    with :math:`\omega_i = b^{-2i/d}`, and low and high the pairs that turn beta_fast and beta_slow
    times in the original length: the whole numbers around :math:`c(\mathrm{beta\_fast})` and
    :math:`c(\mathrm{beta\_slow})`, :math:`c(r) = d \ln (L_0 / 2 \pi r) / (2 \ln b)`, within 0 and
    d - 1. The scaling holds at every length. cos and sin are multiplied by

    .. math:: A = g(s, 1), \qquad g(s, \mu) = 0.1\,\mu \ln s + 1 \quad (1 \text{ for } s \le 1)

    or by :math:`g(s, \mathrm{mscale}) / g(s, \mathrm{mscale\_all\_dim})` if both are
    given and not 0.

    Many functions bear this name. This is the one most models are run with; where its numbers
    differ, the others are `YaRNPaper` (a ramp in rotations), `ExLlamaYaRN`, `LlamaCppYaRN`,
    `DynamicYaRN`, and `DeepSeekYaRN`, which also scales the softmax. gpt-oss needs none: its rule
    is this one with ``truncate=False``.

    Used by Qwen 2.5 for long contexts (4), gpt-oss (32), Devstral 2 (64), OLMo 3.

    Parameters
    ----------
    factor : float or None
        The stretch s; positive. None means max_position_embeddings over the original length.
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens.
    attention_factor : float, optional
        A itself; at least 0.
    beta_fast : float, default 32.0
        Rotations in L0 from which a pair is kept. None and 0 mean the default, as in Transformers.
    beta_slow : float, default 1.0
        Rotations in L0 up to which a pair is stretched fully; at most `beta_fast`. None and 0 mean
        the default.
    mscale, mscale_all_dim : float, optional
        DeepSeek's weights of the logarithm in A; at least 0.
    truncate : bool, default True
        Whether low is rounded down, and high up, to whole pairs.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Peng et al., "YaRN: Efficient Context Window Extension of Large Language Models", 2023,
       arXiv:2309.00071; the ramp is that of the code published with it.
    .. [2] Transformers 5.24, modeling_rope_utils, "yarn".

    Examples
    --------
    >>> from ropelab import Rope
    >>> spectrum = Rope(128, base=1e6, scaling=YaRN(4.0, 32768)).spectrum()
    >>> ratio = Rope(128, base=1e6).spectrum().inv_freq / spectrum.inv_freq
    >>> int((ratio == 1).sum()), int((ratio == 4).sum()), spectrum.attention_factor
    (24, 24, 1.138629436111989)
    """

    rope_type: ClassVar[str] = "yarn"

    factor: float | None
    original_max_position_embeddings: int
    attention_factor: float | None = None
    beta_fast: float = _BETA_FAST
    beta_slow: float = _BETA_SLOW
    mscale: float | None = None
    mscale_all_dim: float | None = None
    truncate: bool = True

    def __post_init__(self) -> None:
        """Validate."""
        if self.factor is not None:
            object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))
        length = positive_int(
            self.original_max_position_embeddings, "original_max_position_embeddings"
        )
        object.__setattr__(self, "original_max_position_embeddings", length)
        for name in ("attention_factor", "mscale", "mscale_all_dim"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, real_within(value, name, 0.0))
        names = ("beta_fast", "beta_slow")
        fast, slow = (
            _given(getattr(self, name), name) or default
            for name, default in zip(names, (_BETA_FAST, _BETA_SLOW), strict=True)
        )
        for name, value in zip(names, check_rotations(fast, slow, names), strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "truncate", check_flag(self.truncate, "truncate"))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the blended frequencies; `seq_len` is not read."""
        factor = self.stretch(rope)
        ends = correction_range(
            rope,
            self.original_max_position_embeddings,
            self.beta_fast,
            self.beta_slow,
            truncate=self.truncate,
        )
        return Spectrum(yarn_frequencies(rope, factor, ends), self._magnitude(factor))

    def stretch(self, rope: Geometry) -> float:
        """Return s: the factor, or else the quotient of the two lengths.

        Parameters
        ----------
        rope : Geometry
            Its ``max_position_embeddings`` is read if `factor` is None.

        Returns
        -------
        float
            Positive.

        Raises
        ------
        ValueError
            If the rope has no such length, or one below the original.
        """
        if self.factor is not None:
            return self.factor
        length = self.original_max_position_embeddings
        limit = made_for(rope, type(self).__name__, "find the factor, which is None")
        if limit < length:
            msg = (
                f"original_max_position_embeddings: expected at most max_position_embeddings = "
                f"{limit}, since factor is None; got {length}"
            )
            raise ValueError(msg)
        return limit / length

    def _magnitude(self, factor: float) -> float:
        if self.attention_factor is not None:
            return self.attention_factor
        if self.mscale and self.mscale_all_dim:
            upper, lower = (yarn_magnitude(factor, m) for m in (self.mscale, self.mscale_all_dim))
            return upper / lower
        return yarn_magnitude(factor)


def _given(value: object, name: str) -> float:
    """Return the rotations, 0 for None: for both, Transformers takes the default."""
    return 0.0 if value is None else finite_real(value, name)
