"""YaRN, as llama.cpp computes it."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import ClassVar

from ..checks import finite_real, positive_int, real_within
from ..spectrum import Spectrum
from .base import Geometry, Scaling
from .default import geometric
from .magnitude import log_magnitude
from .ramp import NARROWEST, blend, check_rotations, correction_range, kept_share

__all__ = ["LlamaCppYaRN"]


@dataclass(frozen=True)
class LlamaCppYaRN(Scaling):
    r"""The rule of ggml's rope operator, in its own parameters.

    .. math:: \omega'_i = (1 - \gamma_i)\,f\,\omega_i + \gamma_i\,\omega_i, \qquad
              \gamma_i = e \left(1 - \mathrm{clip}\left(
              \frac{i - low}{\max(0.001, high - low)}, 0, 1\right)\right)

    with f the freq_scale, e the ext_factor, and low and high whole pairs as in `YaRN`. cos and sin
    are multiplied by attn_factor, and unless e = 0 also by :math:`1 + 0.1 \ln (1/f)`, which is less
    than 1 for f above 1. So e = 0 is linear scaling and e = 1 is YaRN; the temperature does not
    fade with e.

    Used by llama.cpp for every model; its loader sets f, e and attn_factor from a file's metadata.

    Parameters
    ----------
    freq_scale : float
        f, one over the stretch; positive.
    original_max_position_embeddings : int
        Length of the pre-training context, n_ctx_orig, in tokens.
    ext_factor : float, default 1.0
        e, the weight of the unscaled frequencies; 0 to 1. llama.cpp's -1, "not given", is for its
        loader: say 1 for YaRN and 0 otherwise.
    attn_factor : float, default 1.0
        Factor of cos and sin; at least 0.
    beta_fast : float, default 32.0
        Rotations from which a pair is kept.
    beta_slow : float, default 1.0
        Rotations up to which a pair is stretched fully; at most `beta_fast`.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] ggml-org/llama.cpp, ggml/src/ggml-cpu/ops.cpp, ``rope_yarn``, and ggml/src/ggml.c,
       ``ggml_rope_yarn_corr_dims``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> spectrum = Rope(8, scaling=LlamaCppYaRN(0.25, 4096)).spectrum()
    >>> spectrum.inv_freq.tolist(), spectrum.attention_factor
    ([1.0, 0.1, 0.00625, 0.00025], 1.138629436111989)
    """

    rope_type: ClassVar[str] = "llama_cpp"

    freq_scale: float
    original_max_position_embeddings: int
    ext_factor: float = 1.0
    attn_factor: float = 1.0
    beta_fast: float = 32.0
    beta_slow: float = 1.0

    def __post_init__(self) -> None:
        """Validate."""
        names = ("beta_fast", "beta_slow")
        fast, slow = check_rotations(self.beta_fast, self.beta_slow, names)
        fields = {
            "freq_scale": finite_real(self.freq_scale, "freq_scale", above=0.0),
            "original_max_position_embeddings": positive_int(
                self.original_max_position_embeddings, "original_max_position_embeddings"
            ),
            "ext_factor": real_within(self.ext_factor, "ext_factor", 0.0, 1.0),
            "attn_factor": real_within(self.attn_factor, "attn_factor", 0.0),
            "beta_fast": fast,
            "beta_slow": slow,
        }
        for name, value in fields.items():
            object.__setattr__(self, name, value)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the blended frequencies; `seq_len` is not read."""
        inv_freq = geometric(rope.rotary_dim, rope.base)
        slowed = inv_freq * self.freq_scale
        if self.ext_factor == 0.0:
            return Spectrum(slowed, self.attn_factor)
        length = self.original_max_position_embeddings
        low, high = correction_range(rope, length, self.beta_fast, self.beta_slow)
        kept = self.ext_factor * kept_share(low, _above(low, high), inv_freq.size)
        magnitude = self.attn_factor * log_magnitude(1 / Fraction(self.freq_scale))
        return Spectrum(blend(slowed, inv_freq, kept), magnitude)


def _above(low: Decimal, high: Decimal) -> Decimal:
    """Return the end of a ramp that never falls back; the ends are whole pairs."""
    return max(high, low + NARROWEST)
