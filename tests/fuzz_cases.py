"""What a fuzzed call depends on, all of it, and the numbers in its tensors.

Each way to compile a kernel takes a tenth of a second or more. So what is compiled in comes from a
list of `KINDS`, and what is not (strides, positions, tokens, the rest) is drawn freely.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hypothesis import strategies as st

import ropelab
from ropelab.golden.case import Array
from ropelab.precision import float_dtype, narrow

__all__ = [
    "DTYPES",
    "KINDS",
    "LAYOUTS",
    "OUTPUTS",
    "Case",
    "Kind",
    "cases",
    "positions_of",
    "spectrum_of",
    "tables_of",
    "token_axes_of",
    "values_of",
]

DTYPES = ("bfloat16", "float16", "float32", "float64")
OUTPUTS = (*DTYPES, "float8_e4m3fn", "float8_e5m2")
LAYOUTS = ("half", "interleaved")
FORMATS = ("bshd", "bhsd", "sbhd", "thd")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32")
WIDTHS = (  # head_dim, rotary_dim, first rotated channel
    *((32, 32, 0), (64, 64, 0), (96, 96, 0), (128, 128, 0), (256, 256, 0), (512, 512, 0)),
    *((80, 20, 0), (96, 24, 0), (128, 64, 0), (192, 64, 128), (100, 50, 0), (66, 64, 1)),
    *((2, 2, 0), (7, 6, 0), (11, 4, 5)),
)
TOKENS = (
    *((batch, sequence) for batch in (1, 2, 3, 5) for sequence in (1, 2, 3, 5, 8, 17)),
    *((0, 3), (2, 0), (70, 1), (1, 40), (3, 401), (1201, 1)),  # from nothing to a full device
)
MOST_ELEMENTS = 1 << 18
HEADS = ((1, 1), (2, 1), (3, 3), (4, 0), (5, 2), (8, 1), (12, 4), (32, 8))


@dataclass(frozen=True)
class Kind:
    """What a kernel is compiled for, or nearly: the rest follows from shapes.

    Parameters
    ----------
    dtype, layout, output_layout, angles : str
        As in `ropelab.apply_rotary`.
    widths : (int, int, int)
        head_dim, rotary_dim and the first rotated channel.
    heads : (int, int)
        Of q and of k; no keys if 0.
    axes : int
        Position axes.
    periodic : bool
        Whether pairs repeat after a whole number of tokens.
    table_dtype : str or None
        Of given cosines and sines; None to compute them from positions.
    integer : str
        Dtype of the positions.
    output : str or None
        Another dtype of the results than that of the inputs, unless they are in place.
    scaled : bool
        Whether results are divided by a scale, likewise.
    aligned : bool
        Whether rows start at multiples of 16 bytes if they can.
    """

    dtype: str
    widths: tuple[int, int, int]
    heads: tuple[int, int]
    layout: str
    output_layout: str
    angles: str
    axes: int
    periodic: bool
    table_dtype: str | None
    integer: str
    output: str | None
    scaled: bool
    aligned: bool


def _kinds(count: int) -> Iterator[Kind]:
    """Deal out options so that each appears about equally often, with ever other companions."""
    deal = random.Random(4)

    def decks(*options: Any) -> list[Any]:
        return [card for _ in range(count) for card in deal.sample(options, len(options))][:count]

    dtypes, widths, heads = decks(*DTYPES), decks(*WIDTHS), decks(*HEADS)
    sources, targets = decks(*LAYOUTS), decks(*LAYOUTS, None, None, None, None)
    angles, axes = decks("exact", "exact", "float32"), decks(1, 1, 1, 1, 1, 3)
    integers = decks(*INTEGERS)
    outputs, scaled = decks(*OUTPUTS, *[None] * 6), decks(True, False, False, False)
    periodic = decks(False, False, False, False, True)
    tables, aligned = decks(None, None, None, "float32", "own"), decks(True, True, False)
    for i in range(count):
        yield Kind(
            dtypes[i],
            widths[i],
            heads[i],
            sources[i],
            targets[i] or sources[i],
            angles[i],
            axes[i] if widths[i][1] >= 6 else 1,  # a pair for each axis
            periodic[i],
            dtypes[i] if tables[i] == "own" else tables[i],
            integers[i],
            outputs[i] if outputs[i] != dtypes[i] else None,
            scaled[i],
            aligned[i],
        )


KINDS = tuple(_kinds(100))


@dataclass(frozen=True)
class Case:
    """One call.

    Parameters
    ----------
    kind : Kind
        What is compiled in.
    tokens : (int, int)
        Batch and sequence.
    tensor_format : str
        Order of the axes, as the kernel is told.
    way : {"new", "out", "in place"}
        Where the results go.
    order : tuple of int
        Axes before the last, from the outermost in memory to the innermost; of inputs and outputs
        another order each.
    padding : tuple of int
        Units of memory that are left out after each axis, from the innermost.
    lie : {"apart", "packed", "repeated"}
        q and k in memory of their own, in one packed projection, or with one head for all.
    inverse : bool
        Which way to turn.
    rows : {"all", "sequence", "batch", "one", "scalar", "transposed"}
        Shape and strides of the positions.
    positions : {"small", "any", "edges"}
        Values of the positions.
    base, attention_factor : float
        Of the spectrum.
    scale : float
        Of the results, if the kind wants one.
    seed : int
        Of all numbers that do not matter.
    """

    kind: Kind
    tokens: tuple[int, int]
    tensor_format: str
    way: str
    order: tuple[int, ...]
    padding: tuple[int, ...]
    lie: str
    inverse: bool
    rows: str
    positions: str
    base: float
    attention_factor: float
    scale: float
    seed: int

    @property
    def output(self) -> str:
        """Dtype of the results."""
        in_place = self.way == "in place"
        return self.kind.output if self.kind.output and not in_place else self.kind.dtype

    @property
    def storage(self) -> dict[str, Any]:
        """The options that say how results are stored; none if as the inputs are."""
        if self.way == "in place":
            return {}
        given: dict[str, Any] = {"dtype": self.output} if self.kind.output else {}
        return given | ({"scale": self.scale} if self.kind.scaled else {})


@st.composite
def cases(draw: st.DrawFn, kinds: tuple[Kind, ...] = KINDS) -> Case:
    """Draw a case; a small one shows the same failure more clearly."""
    kind = draw(st.sampled_from(kinds))
    a_token = sum(kind.heads) * kind.widths[0]
    return Case(
        kind=kind,
        tokens=draw(st.sampled_from([t for t in TOKENS if t[0] * t[1] * a_token <= MOST_ELEMENTS])),
        tensor_format=draw(st.sampled_from(FORMATS)),
        way=draw(st.sampled_from(("new", "out", "in place"))),
        order=tuple(draw(st.permutations(range(3)))),
        padding=tuple(draw(st.lists(st.integers(0, 2), min_size=4, max_size=4))),
        lie=draw(st.sampled_from(("apart", "packed", "repeated"))),
        inverse=draw(st.booleans()),
        rows=draw(st.sampled_from(("all", "sequence", "batch", "one", "scalar", "transposed"))),
        positions=draw(st.sampled_from(("small", "any", "edges"))),
        base=draw(st.sampled_from((1.5, 100.0, 1e4, 5e5, 1e7))),
        attention_factor=draw(st.sampled_from((1.0, 0.75, 1.3465735902799727))),
        scale=draw(st.sampled_from((0.25, 1.0, 3.0))),
        seed=draw(st.integers(0, 2**32 - 1)),
    )


# ------------------------------------------------------------------------------------------------
# The numbers of a case.


def generator(case: Case, purpose: int) -> np.random.Generator:
    """Return random numbers that depend on the case's seed and what they are for."""
    return np.random.default_rng((case.seed, purpose))


def spectrum_of(case: Case) -> ropelab.Spectrum:
    """Return the frequencies, which reach from fast to slow."""
    pairs = case.kind.widths[1] // 2
    inv_freq = case.base ** (-np.arange(pairs) / pairs)
    return ropelab.Spectrum(
        inv_freq,
        attention_factor=case.attention_factor,
        axes=np.arange(pairs) * 7 % case.kind.axes,
        periods=np.arange(pairs) * 5 % 11 if case.kind.periodic else None,
    )


def token_axes_of(case: Case) -> tuple[int, ...]:
    """Return the lengths of the token axes."""
    batch, sequence = case.tokens
    return (batch * sequence,) if case.tensor_format == "thd" else (batch, sequence)


def positions_of(case: Case) -> Array:
    """Return the positions, of the shape and dtype in which they are passed."""
    tokens = token_axes_of(case)
    shapes: dict[str, tuple[int, ...]] = {
        "sequence": tokens[-1:],
        "batch": (*tokens[:-1], 1),
        "one": (1,) * len(tokens),
        "scalar": (),
    }
    shape = shapes.get(case.rows, tokens)
    if case.kind.axes > 1:
        shape = (case.kind.axes, *(shape or (1,)))  # a scalar has no axis to stack
    limits, random_numbers = np.iinfo(case.kind.integer), generator(case, 0)
    low, high = max(limits.min, -(2**31) + 1), min(limits.max, 2**31 - 1)
    if case.kind.angles == "float32" and case.kind.table_dtype is None:
        low, high = max(low, -(2**24)), min(high, 2**24)
    if case.positions == "edges":
        edges = np.array([low, high, 0, 1, high - 1, high // 2, high // 2 + 1])
        return random_numbers.choice(edges, shape).astype(case.kind.integer)
    if case.positions == "small":
        low, high = max(low, -9), min(high, 99)
    return np.asarray(random_numbers.integers(low, high, shape, endpoint=True)).astype(
        case.kind.integer
    )


def tables_of(case: Case) -> tuple[Array, Array]:
    """Return cosines and sines of the case's positions."""
    assert case.kind.table_dtype is not None
    cos, sin = ropelab.cos_sin(positions_of(case), spectrum_of(case), dtype=case.kind.table_dtype)
    return cos, sin


def values_of(case: Case, shape: tuple[int, ...], purpose: int) -> Array:
    """Return numbers whose pairs have norms near 1, where an eps is an eps in every format."""
    random_numbers = generator(case, purpose)
    size = random_numbers.uniform(0.5, 4.0, shape) * random_numbers.choice((-1.0, 1.0), shape)
    return narrow(size, float_dtype(case.kind.dtype))
