"""Dynamic NTK scaling: the base grows with the current length."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling, made_for
from .default import geometric
from .ntk import ntk_base

__all__ = ["DynamicNTK"]


@dataclass(frozen=True)
class DynamicNTK(Scaling):
    r"""NTK-aware scaling by the current length L, past the length the model is made for.

    .. math:: b' = b \, \alpha^{d/(d-2)}, \qquad \alpha = s\,\frac{L}{L_{max}} - (s - 1)

    with :math:`L \ge L_{max}`; shorter sequences are not scaled. Transformers' rule, as one pure
    function of the length; `DynamicLength` says which length its module has come to after a series
    of calls. vLLM and SGLang mean other things by this name: `VLLMDynamicNTK`, `SGLangDynamicNTK`.

    Parameters
    ----------
    factor : float
        The stretch s; positive, and at least 1 in practice.

    Raises
    ------
    TypeError, ValueError
        If `factor` is not a positive number.

    References
    ----------
    .. [1] Peng et al., "YaRN", 2023, arXiv:2309.00071, section 3.3, "Dynamic Scaling".
    .. [2] Transformers 5.24, modeling_rope_utils, "dynamic".

    Examples
    --------
    >>> from ropelab import Rope
    >>> rope = Rope(4, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    >>> rope.spectrum(4096).inv_freq.tolist(), rope.spectrum(8192).inv_freq.round(9).tolist()
    ([1.0, 0.01], [1.0, 0.003333333])
    """

    rope_type: ClassVar[str] = "dynamic"
    depends_on_length: ClassVar[bool] = True

    factor: float

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies at a length; without `seq_len`, at max_position_embeddings."""
        limit = made_for(rope, "DynamicNTK", "know which lengths to scale")
        length = max(limit if seq_len is None else seq_len, limit)
        alpha = self.factor * length / limit - (self.factor - 1.0)
        return Spectrum(geometric(rope.rotary_dim, ntk_base(rope.base, alpha, rope.rotary_dim)))
