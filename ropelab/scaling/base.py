"""What a frequency rule is, and what it may look at."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, Protocol

from ..spectrum import Spectrum

__all__ = ["Geometry", "Scaling", "check_inner", "made_for"]


class Geometry(Protocol):
    """The part of a Rope that a rule reads."""

    @property
    def head_dim(self) -> int:
        """Channels of a head, D."""

    @property
    def rotary_dim(self) -> int:
        """Rotated channels of a head, d."""

    @property
    def base(self) -> float:
        """Base b of the geometric progression, called rope_theta in configs."""

    @property
    def max_position_embeddings(self) -> int | None:
        """Length that the model is made for, in tokens, or None if unknown."""


class Scaling(ABC):
    """A frequency rule: a frozen dataclass of its parameters, with its formula.

    A rule is one module of this package. Its fields bear the names that Transformers' configs
    use, so that reading a config needs no further code; fields without a default are required.
    """

    rope_type: ClassVar[str]
    """The rule's name in configs and in `ropelab.scaling.SCALINGS`."""

    @property
    def depends_on_length(self) -> bool:
        """Whether `spectrum` reads `seq_len`; a rule around another asks that one."""
        return False

    @abstractmethod
    def spectrum(self, rope: Geometry, seq_len: int | None = None) -> Spectrum:
        """Return the frequencies and amplitudes that this rule gives a rotary embedding.

        Parameters
        ----------
        rope : Geometry
            Dimensions, base and length.
        seq_len : int, optional
            Current length in tokens; read by rules with `depends_on_length` alone.

        Returns
        -------
        Spectrum
            The numbers.
        """


def made_for(rope: Geometry, rule: str, why: str) -> int:
    """Return the length that a rope is made for, or raise ValueError saying which rule misses it.

    Parameters
    ----------
    rope : Geometry
        The rope.
    rule : str
        Name of the rule that needs ``max_position_embeddings``.
    why : str
        What it needs it for, after "to".

    Returns
    -------
    int
        Tokens.
    """
    if rope.max_position_embeddings is None:
        msg = f"max_position_embeddings: {rule} needs it, to {why}; got None; pass it to Rope"
        raise ValueError(msg)
    return rope.max_position_embeddings


def check_inner(rule: object) -> None:
    """Raise TypeError unless `rule` is a Scaling, to be the inner one of another."""
    if not isinstance(rule, Scaling):
        msg = f"inner: expected a rule such as ropelab.scaling.Default(); got {rule!r}"
        raise TypeError(msg)
