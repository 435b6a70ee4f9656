"""Dynamic linear scaling: position interpolation by just as much as a text needs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric

__all__ = ["DynamicLinear"]


@dataclass(frozen=True)
class DynamicLinear(Scaling):
    r"""Frequencies divided by how far a text exceeds the length the model is made for.

    .. math:: \omega_i = b^{-2i/d} \cdot \min\left(1, \frac{L_{max}}{L}\right)

    with L the current length.

    Used by the YaRN authors' code, as a baseline.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, section 3.3, "Dynamic Scaling".
    .. [2] jquesnelle/yarn, ``LlamaDynamicScaledRotaryEmbedding`` with ``ntk=False``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(4, scaling=DynamicLinear(), max_position_embeddings=4096)
    >>> rope.spectrum(4096).inv_freq.tolist(), rope.spectrum(16384).inv_freq.tolist()
    ([1.0, 0.01], [0.25, 0.0025])
    """

    rope_type: ClassVar[str] = "dynamic_linear"
    depends_on_length: ClassVar[bool] = True

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the divided frequencies; without `seq_len`, at max_position_embeddings."""
        limit = made_for(rope, "DynamicLinear", "know which lengths to scale")
        length = max(limit if seq_len is None else seq_len, limit)
        return Spectrum(geometric(rope.rotary_dim, rope.base) / (length / limit))
