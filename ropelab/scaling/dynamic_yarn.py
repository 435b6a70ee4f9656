"""Dynamic YaRN: its stretch grows with the current length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import check_flag, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric
from .magnitude import yarn_magnitude
from .ramp import check_rotations, correction_range, yarn_frequencies

__all__ = ["DynamicYaRN"]


@dataclass(frozen=True)
class DynamicYaRN(Scaling):
    r"""`YaRN` with :math:`s = L / L_0` of the current length L, past max_position_embeddings.

    .. math:: s = L / L_0 \text{ for } L > L_{max}, \text{ else } 1

    or, if the model was fine-tuned with YaRN, up to that length :math:`s = L_{max} / L_0`. The ramp
    is `YaRN`'s, and so is :math:`A = 0.1 \ln s + 1`.

    Used by the evaluations of YaRN's authors, without fine-tuning.

    Parameters
    ----------
    original_max_position_embeddings : int
        Length L0 of the pre-training context, in tokens; at most the rope's
        max_position_embeddings.
    beta_fast : float, default 32.0
        Rotations from which a pair is kept.
    beta_slow : float, default 1.0
        Rotations up to which a pair is stretched fully; at most `beta_fast`.
    finetuned : bool, default False
        Whether shorter lengths are scaled as max_position_embeddings is.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, section 3.3, "Dynamic Scaling".
    .. [2] jquesnelle/yarn, scaled_rope/LlamaDynamicYaRNScaledRotaryEmbedding.py.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(8, scaling=DynamicYaRN(4096), max_position_embeddings=4096)
    >>> rope.spectrum(4096).inv_freq.tolist(), rope.spectrum(16384).inv_freq.tolist()
    ([1.0, 0.1, 0.01, 0.001], [1.0, 0.1, 0.00625, 0.00025])
    """

    rope_type: ClassVar[str] = "dynamic_yarn"
    depends_on_length: ClassVar[bool] = True

    original_max_position_embeddings: int
    beta_fast: float = 32.0
    beta_slow: float = 1.0
    finetuned: bool = False

    def __post_init__(self) -> None:
        """Validate."""
        length = positive_int(
            self.original_max_position_embeddings, "original_max_position_embeddings"
        )
        object.__setattr__(self, "original_max_position_embeddings", length)
        names = ("beta_fast", "beta_slow")
        rotations = check_rotations(self.beta_fast, self.beta_slow, names)
        for name, value in zip(names, rotations, strict=True):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "finetuned", check_flag(self.finetuned, "finetuned"))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies at a length; without `seq_len`, at max_position_embeddings."""
        limit = made_for(rope, "DynamicYaRN", "know which lengths to scale")
        original = self.original_max_position_embeddings
        if original > limit:
            msg = (
                f"original_max_position_embeddings: expected at most max_position_embeddings = "
                f"{limit}; got {original}"
            )
            raise ValueError(msg)
        length = limit if seq_len is None else seq_len
        if length <= limit and not self.finetuned:
            return Spectrum(geometric(rope.rotary_dim, rope.base))
        factor = max(length, limit) / original
        ends = correction_range(rope, original, self.beta_fast, self.beta_slow)
        return Spectrum(yarn_frequencies(rope, factor, ends), yarn_magnitude(factor))
