"""YaRN, as ExLlamaV2 computes it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric
from .magnitude import log_magnitude
from .ramp import correction_range, yarn_frequencies

__all__ = ["ExLlamaYaRN"]


@dataclass(frozen=True)
class ExLlamaYaRN(Scaling):
    r"""`YaRN` with the ramp laid out for the length that is served, not the original one.

    ExLlamaV2 finds low and high from its ``max_seq_len``, the rope's max_position_embeddings here,
    where all others take the original length; so more pairs keep their frequency. For Qwen 2.5 at
    131072 tokens a frequency comes out up to 2.235 times as high (pair 40). A model is scaled only
    if max_seq_len is above the original length; then, with that length for L,

    .. math:: low = \lfloor c(32) \rfloor, \quad high = \lceil c(1) \rceil, \qquad
              c(r) = \frac{d \ln (L / 2 \pi r)}{2 \ln b}

    and :math:`A = 0.1 \ln s + 1`, always, whatever attention_factor or mscale its config has.

    Used by ExLlamaV2, for every model whose config says "yarn".

    Parameters
    ----------
    factor : float
        The stretch s; positive.
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] turboderp-org/exllamav2, exllamav2/rope.py, ``get_rope_params_yarn``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(
    ...     128, base=1e6, scaling=ExLlamaYaRN(4.0, 32768), max_position_embeddings=131072
    ... )
    >>> ratio = Rope(128, base=1e6).spectrum().inv_freq / rope.spectrum().inv_freq
    >>> int((ratio == 1).sum()), int((ratio == 4).sum())
    (31, 17)
    """

    rope_type: ClassVar[str] = "exllamav2_yarn"

    factor: float
    original_max_position_embeddings: int

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))
        length = positive_int(
            self.original_max_position_embeddings, "original_max_position_embeddings"
        )
        object.__setattr__(self, "original_max_position_embeddings", length)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies for max_position_embeddings tokens; `seq_len` is not read."""
        served = made_for(rope, "ExLlamaYaRN", "lay out its ramp")
        if served <= self.original_max_position_embeddings:
            return Spectrum(geometric(rope.rotary_dim, rope.base))
        ends = correction_range(rope, served, 32.0, 1.0)
        return Spectrum(yarn_frequencies(rope, self.factor, ends), log_magnitude(self.factor))
