"""Another rule with all its frequencies divided by one more factor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from ..checks import finite_real
from ..spectrum import Spectrum
from .base import Geometry, Scaling, check_inner

__all__ = ["Stretched"]


@dataclass(frozen=True)
class Stretched(Scaling):
    r"""Position interpolation on top of another rule: :math:`\omega'_i = \omega_i / s`.

    The inner rule keeps its amplitudes, axes and dependence on length; only the positions that it
    sees are closer together. `ropelab.scaling.Linear` is the same over unscaled frequencies.

    Used by ExLlamaV2, whose ``scale_pos_emb`` divides the positions under every method, and by
    Megatron's ``rotary_seq_len_interpolation_factor`` beside Llama 3's rule.

    Parameters
    ----------
    inner : Scaling
        The rule whose frequencies are divided; of any kind but those with periods.
    factor : float
        The stretch s; positive.

    Raises
    ------
    TypeError, ValueError
        If `inner` is no rule, or `factor` not a positive number.

    References
    ----------
    .. [1] ExLlamaV2 0.3.2, ``device.py``, ``prepare_sincos``: positions divided by the scale,
       whatever rule made the frequencies.

    Examples
    --------
    >>> from ropelab import Rope
    >>> from ropelab.scaling import NTKAware
    >>> Rope(4, scaling=Stretched(NTKAware(4.0), 2.0)).spectrum().inv_freq.tolist()
    [0.5, 0.00125]
    """

    rope_type: ClassVar[str] = "stretched"

    inner: Scaling
    factor: float

    def __post_init__(self) -> None:
        """Validate."""
        check_inner(self.inner)
        object.__setattr__(self, "factor", finite_real(self.factor, "factor", above=0.0))

    @property
    def depends_on_length(self) -> bool:
        """Whether the inner rule does."""
        return self.inner.depends_on_length

    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the inner rule's spectrum with divided frequencies."""
        inner = self.inner.spectrum(rope, seq_len)
        if inner.periods is not None:
            msg = (
                f"inner: expected a rule without whole periods, which a division would break; "
                f"got {self.inner.rope_type!r}; put Stretched inside it"
            )
            raise ValueError(msg)
        return replace(inner, inv_freq=inner.inv_freq / self.factor)
