"""What vLLM makes of a dynamic rule with a factor: one base for every length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real, positive_int
from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric
from .ntk import ntk_base

__all__ = ["VLLMDynamicNTK"]


@dataclass(frozen=True)
class VLLMDynamicNTK(Scaling):
    r"""NTK-aware scaling by the longest context, whatever the current length.

    .. math:: b' = b \, \alpha^{d/(d-2)}, \qquad
              \alpha = s\,\frac{\max(L_{max}, L_{train})}{L_{train}} - (s - 1)

    vLLM's reading of ``rope_type`` "dynamic" with a factor. Without `max_trained_positions` it
    takes Lmax for it, so that alpha is 1 and nothing is scaled; nor is a context shorter than the
    trained one. `DynamicNTK`, which is Transformers', grows alpha with the text instead.

    Parameters
    ----------
    factor : float
        The stretch s; positive.
    max_trained_positions : int, optional
        Length Ltrain of the pre-training context, in tokens.

    Raises
    ------
    TypeError, ValueError
        If a parameter has another type or range.

    References
    ----------
    .. [1] vLLM, ``DynamicNTKScalingRotaryEmbedding`` and the test beside it; vllm#5093.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rule = VLLMDynamicNTK(2.0, max_trained_positions=4096)
    >>> rope = Rope(4, scaling=rule, max_position_embeddings=8192)
    >>> rope.spectrum().inv_freq.round(9).tolist()
    [1.0, 0.003333333]
    """

    rope_type: ClassVar[str] = "vllm_dynamic"

    factor: float
    max_trained_positions: int | None = None

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))
        if self.max_trained_positions is not None:
            trained = positive_int(self.max_trained_positions, "max_trained_positions")
            object.__setattr__(self, "max_trained_positions", trained)

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies of the larger base; `seq_len` is not read."""
        limit = made_for(rope, "VLLMDynamicNTK", "know the longest context")
        trained = limit if self.max_trained_positions is None else self.max_trained_positions
        alpha = self.factor * max(limit, trained) / trained - (self.factor - 1.0)
        base = ntk_base(rope.base, alpha, rope.rotary_dim)
        return Spectrum(geometric(rope.rotary_dim, base))
