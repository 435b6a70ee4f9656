"""YaRN of the DeepSeek models: it scales the softmax as well."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..spectrum import Spectrum
from .base import Geometry
from .magnitude import yarn_magnitude
from .yarn import YaRN

__all__ = ["DeepSeekYaRN"]


@dataclass(frozen=True)
class DeepSeekYaRN(YaRN):
    r"""`YaRN`, and beside it a factor of the softmax scale.

    .. math:: \mathrm{softmax\_factor} = g(s, \mathrm{mscale\_all\_dim})^2, \qquad
              g(s, \mu) = 0.1\,\mu \ln s + 1

    if mscale_all_dim is given and not 0, else 1. With mscale equal to mscale_all_dim, as in the
    released models, cos and sin stay unscaled (A = 1), and the softmax alone carries the
    temperature. Frequencies, A and parameters are those of `YaRN`.

    Used by DeepSeek V2, V3 and R1 (40), Kimi K2 (64).

    References
    ----------
    .. [1] DeepSeek-AI, DeepSeek-V3, inference/model.py, ``mscale``; there read from mscale, and
       only past the original length.
    .. [2] Transformers 5.24, modeling_deepseek_v3, ``yarn_apply_mscale``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rule = DeepSeekYaRN(40.0, 4096, mscale=1.0, mscale_all_dim=1.0)
    >>> spectrum = Rope(64, scaling=rule).spectrum()
    >>> spectrum.attention_factor, round(spectrum.softmax_factor, 7)
    (1.0, 1.8738542)
    """

    rope_type: ClassVar[str] = "deepseek_yarn"

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return YaRN's spectrum with the softmax factor; `seq_len` is not read."""
        spectrum = super().spectrum(rope, seq_len)
        if not self.mscale_all_dim:
            return spectrum
        temperature = yarn_magnitude(self.stretch(rope), self.mscale_all_dim)
        return replace(spectrum, softmax_factor=temperature * temperature)
