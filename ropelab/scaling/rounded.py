"""Frequencies kept in a narrow format, as some implementations do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from numpy.typing import DTypeLike

from ..precision import float_dtype
from ..spectrum import Spectrum
from .base import Geometry, Scaling, check_inner
from .default import Default

__all__ = ["RoundedFrequencies"]


@dataclass(frozen=True)
class RoundedFrequencies(Scaling):
    r"""The frequencies of another rule, rounded to a format.

    .. math:: \omega'_i = \mathrm{round}(\omega_i)

    to the nearest number of the format, and to the even one of two.

    With float16 this is ExLlamaV2's ``rope_freq_half``, which it has for Qwen2-VL and Qwen2.5-VL:
    frequencies lose up to 4.9e-4 of their size, and where they are subnormal, below 6.1e-5, up to
    8.7e-3. With bfloat16 it is what ``model.bfloat16()`` makes of a buffer of frequencies.

    Rounded once, from float64; such codes round to float32 before.

    Parameters
    ----------
    dtype : dtype-like
        float16, ``"bfloat16"``, float32, or float64, which changes nothing.
    inner : Scaling, default Default()
        The rule whose frequencies are rounded.

    Raises
    ------
    TypeError
        If `dtype` is another format, or `inner` is no rule.

    References
    ----------
    .. [1] ExLlamaV2, ``get_rope_params``.

    Examples
    --------
    >>> from ropelab import Rope
    >>> Rope(4, scaling=RoundedFrequencies("float16")).spectrum().inv_freq.tolist()
    [1.0, 0.01000213623046875]
    """

    rope_type: ClassVar[str] = "rounded"

    dtype: DTypeLike
    inner: Scaling = field(default_factory=Default)

    def __post_init__(self) -> None:
        """Validate."""
        object.__setattr__(self, "dtype", float_dtype(self.dtype))
        check_inner(self.inner)

    @property
    def depends_on_length(self) -> bool:
        """Whether the inner rule does."""
        return self.inner.depends_on_length

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the inner rule's spectrum with rounded frequencies; `seq_len` is passed on."""
        return self.inner.spectrum(rope, seq_len).astype(self.dtype)
