"""What is known of a model's calls before the first one: shapes and dtypes, but no tensors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

from ropelab import Rope, Spectrum
from ropelab.checks import ANGLES, TENSOR_FORMATS, check_choice, check_flag, check_rope, integer
from ropelab.checks import positive_int as positive
from ropelab.pairs import Placement

from .launch import FORMATS
from .parameters import INTEGER_TYPES
from .views import View, imagined
from .work import Operand

__all__ = ["TOKENS", "Foreseen", "Tokens"]

# How threads share the work depends on the number of tokens while they are few, and on the length
# of the inner axis while it is short.
SHORT = range(1, 64)
LENGTHS = (*SHORT, *(2**power for power in range(6, 18)))
TOKENS = (
    *((batch, length) for batch in (1, 2) for length in LENGTHS),
    *(pair for short in SHORT for pair in ((short, 2048), (2048, short))),
)
OUTPUT = 1 << 40  # where results lie, far from what they are computed from


@dataclass(frozen=True)
class Tokens:
    """The tokens of one call.

    Parameters
    ----------
    batch, sequence : int
        How many there are.
    tensor_format : str
        As in `apply_rotary`.
    """

    batch: int
    sequence: int
    tensor_format: str

    def tensor(self, heads: int, head_dim: int, dtype: str) -> View:
        """Return a tensor over these tokens."""
        sizes = {"b": self.batch, "s": self.sequence, "t": self.batch * self.sequence}
        sizes |= {"h": heads, "d": head_dim}
        return imagined(tuple(sizes[axis] for axis in self.tensor_format), dtype)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of what has one element a token."""
        if self.tensor_format == "thd":
            return (self.batch * self.sequence,)
        return (self.batch, self.sequence)

    @property
    def id_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shapes that positions of these tokens come in."""
        if self.batch > 1 and self.tensor_format != "thd":
            return self.shape, (self.sequence,)
        return (self.shape,)


@dataclass(frozen=True)
class Foreseen:
    """What all kinds of calls have; parameters are those of `warmup.specialisations_of`."""

    rope: Rope
    q_heads: int
    k_heads: int = 0
    dtype: str = "bfloat16"
    tensor_format: str = "bshd"
    angles: str = "exact"
    in_place: bool = False
    position_dtype: str = "int64"
    tokens: Sequence[tuple[int, int]] = TOKENS

    def __post_init__(self) -> None:
        """Check everything but the tokens, which are checked as they are used."""
        check_rope(self.rope)
        positive(self.q_heads, "q_heads")
        if integer(self.k_heads, "k_heads"):
            positive(self.k_heads, "k_heads")
        check_choice(self.dtype, FORMATS, "dtype")
        check_choice(self.tensor_format, TENSOR_FORMATS, "tensor_format")
        check_choice(self.angles, ANGLES, "angles")
        check_flag(self.in_place, "in_place")
        check_choice(self.position_dtype, INTEGER_TYPES, "position_dtype")

    @property
    def heads(self) -> list[int]:
        """Heads of each tensor that is rotated."""
        return [self.q_heads, self.k_heads] if self.k_heads else [self.q_heads]

    @property
    def place(self) -> Placement:
        """Where the pairs lie."""
        rope = self.rope
        return Placement(self.tensor_format, rope.layout, rope.output_layout, rope.rotary_offset)

    @cached_property
    def spectrum(self) -> Spectrum:
        """The frequencies, at some length if they depend on it."""
        rope = self.rope
        return rope.spectrum(
            rope.max_position_embeddings if rope.scaling.depends_on_length else None
        )

    def batches(self) -> Iterator[Tokens]:
        """Yield the tokens of each call."""
        for batch, sequence in self.tokens:
            yield Tokens(
                positive(batch, "tokens"), positive(sequence, "tokens"), self.tensor_format
            )

    def operands(self, tokens: Tokens, output_dtype: str | None = None) -> list[Operand]:
        """Return queries, and keys if there are any, each with its output."""
        inputs = [tokens.tensor(heads, self.rope.head_dim, self.dtype) for heads in self.heads]
        if self.in_place:
            return [(x, x) for x in inputs]
        return [(x, imagined(x.shape, output_dtype or self.dtype, OUTPUT)) for x in inputs]

    def position_ids(self, tokens: Tokens) -> Iterator[View]:
        """Yield position ids of each shape that they come in."""
        axes = self.spectrum.position_axes
        for shape in tokens.id_shapes:
            yield imagined((axes, *shape) if axes > 1 else shape, self.position_dtype)
