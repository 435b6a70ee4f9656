"""What a fuzzed rotation depends on, all of it, and the numbers in its tensors.

Each way to compile a kernel takes a tenth of a second or more. So what is compiled in comes from a
list of kinds, and what is not (strides, positions, tokens, the rest) is drawn freely.
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
from ropelab_cuda.work import MULTIPROCESSORS

__all__ = [
    "ALIGNED",
    "ANGLES",
    "DTYPES",
    "INTEGERS",
    "KIND",
    "LAYOUTS",
    "OUTPUTS",
    "TOKENS_OF_ONE",
    "Case",
    "Kind",
    "dealt",
    "drawn",
    "farthest",
    "generator",
    "integers_of",
    "kind_of",
    "positions_of",
    "spectrum_of",
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
# The same for a device of one multiprocessor, which all but the first of them fill several times.
TOKENS_OF_ONE = ((0, 3), (2, 7), (3, 9), (1, 40), (70, 1), (3, 37))
MOST_ELEMENTS = 1 << 18
ALIGNED = (*[(True, True)] * 3, (False, False), (True, False), (False, True))
HEADS = ((1, 1), (2, 1), (3, 3), (4, 0), (5, 2), (8, 1), (12, 4), (32, 8), (32, 32), (64, 8))


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
    integer : str
        Dtype of the positions.
    aligned : (bool, bool)
        Whether rows of inputs, and of what is written, start at multiples of 16 bytes if they can.
    multiprocessors : int
        Those of the device that the work is shared for; by one, a few tokens are as many.
    source : {"ids", "consecutive", "packed"}
        Where positions come from.
    on_device : bool
        Whether the spectrum's numbers lie in the device's memory.
    """

    dtype: str
    widths: tuple[int, int, int]
    heads: tuple[int, int]
    layout: str
    output_layout: str
    angles: str
    axes: int
    periodic: bool
    integer: str
    aligned: tuple[bool, bool]
    multiprocessors: int
    source: str
    on_device: bool


# What each of them may be, the more often the more it is named.
KIND: dict[str, tuple[Any, ...]] = {
    "dtype": DTYPES,
    "widths": WIDTHS,
    "heads": HEADS,
    "layout": LAYOUTS,
    "output_layout": (*LAYOUTS, None, None, None, None),
    "angles": ("exact", "exact", "float32"),
    "axes": (1, 1, 1, 1, 1, 3),
    "periodic": (False, False, False, False, True),
    "integer": INTEGERS,
    "aligned": ALIGNED,
    "multiprocessors": (MULTIPROCESSORS, 1),
}
# Likewise, where operations take what angles come from in any of its ways.
ANGLES: dict[str, tuple[Any, ...]] = {
    "source": ("ids", "ids", "ids", "consecutive", "packed"),
    "on_device": (False, False, False, True),
}


def dealt(count: int, seed: int, options: dict[str, tuple[Any, ...]]) -> Iterator[dict[str, Any]]:
    """Deal out options so that each appears about equally often, with ever other companions."""
    deal = random.Random(seed)
    decks = {
        name: [card for _ in range(count) for card in deal.sample(cards, len(cards))]
        for name, cards in options.items()
    }
    for i in range(count):
        yield {name: deck[i] for name, deck in decks.items()}


def kind_of(hand: dict[str, Any]) -> dict[str, Any]:
    """Return the options of a kind as they go together."""
    axes = hand["axes"] if hand["widths"][1] >= 6 else 1  # a pair for each axis
    output_layout = hand["output_layout"] or hand["layout"]
    known = {"source": "ids", "on_device": False}
    return {**known, **hand, "output_layout": output_layout, "axes": axes}


@dataclass(frozen=True, kw_only=True)
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
    again : bool
        Whether the plan of the call is used once more.
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
    seed : int
        Of all numbers that do not matter.
    """

    kind: Kind
    tokens: tuple[int, int]
    tensor_format: str
    way: str
    again: bool
    order: tuple[int, ...]
    padding: tuple[int, ...]
    lie: str
    inverse: bool
    rows: str
    positions: str
    base: float
    attention_factor: float
    seed: int

    @property
    def placement(self) -> dict[str, Any]:
        """The options that say where the pairs lie."""
        return {
            "layout": self.kind.layout,
            "output_layout": self.kind.output_layout,
            "rotary_offset": self.kind.widths[2],
            "tensor_format": self.tensor_format,
        }


def drawn(draw: st.DrawFn, kind: Kind) -> dict[str, Any]:
    """Draw what every case of a kind has; a small one shows the same failure more clearly."""
    a_token = sum(kind.heads) * kind.widths[0]
    some = TOKENS_OF_ONE if kind.multiprocessors == 1 else TOKENS
    tokens = [t for t in some if t[0] * t[1] * a_token <= MOST_ELEMENTS]
    return {
        "kind": kind,
        "tokens": draw(st.sampled_from(tokens)),
        "tensor_format": draw(st.sampled_from(("thd",) if kind.source == "packed" else FORMATS)),
        "way": draw(st.sampled_from(("new", "out", "in place"))),
        "again": draw(st.booleans()),
        "order": tuple(draw(st.permutations(range(3)))),
        "padding": tuple(draw(st.integers(0, 2)) for _ in range(4)),
        "lie": draw(st.sampled_from(("apart", "packed", "repeated"))),
        "inverse": draw(st.booleans()),
        "rows": draw(st.sampled_from(("all", "sequence", "batch", "one", "scalar", "transposed"))),
        "positions": draw(st.sampled_from(("small", "any", "edges"))),
        "base": draw(st.sampled_from((1.5, 100.0, 1e4, 5e5, 1e7))),
        "attention_factor": draw(st.sampled_from((1.0, 0.75, 1.3465735902799727))),
        "seed": draw(st.integers(0, 2**32 - 1)),
    }


# ------------------------------------------------------------------------------------------------
# The numbers of a case.


def generator(seed: int, purpose: int) -> np.random.Generator:
    """Return random numbers that depend on a seed and on what they are for."""
    return np.random.default_rng((seed, purpose))


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


def positions_of(
    case: Case, *, largest: int = 2**31 - 1, centre: int = 0, reach: int = 2**32
) -> Array:
    """Return positions as they are passed: within `largest` of 0, and `reach` of the centre."""
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
    return integers_of(case, shape, largest=largest, centre=centre, reach=reach)


def integers_of(
    case: Case, shape: tuple[int, ...], *, largest: int, centre: int = 0, reach: int = 2**32
) -> Array:
    """Return integers of the positions' dtype and values: near 0, any, or the ends of all."""
    limits, random_numbers = np.iinfo(case.kind.integer), generator(case.seed, 0)
    low = max(limits.min, -largest, centre - reach)
    high = min(limits.max, largest, centre + reach)
    if case.positions == "edges":
        middle = (low + high) // 2
        edges = np.array([low, high, centre, low + 1, high - 1, middle, middle + 1])
        edges = edges.clip(low, high)  # which may be one number
        return random_numbers.choice(edges, shape).astype(case.kind.integer)
    if case.positions == "small":
        low, high = max(low, centre - 9), min(high, centre + 99)
    return np.asarray(random_numbers.integers(low, high, shape, endpoint=True)).astype(
        case.kind.integer
    )


def farthest(kind: Kind) -> int:
    """Return the largest position: float32 counts no farther than 2^24."""
    return 2**24 if kind.angles == "float32" else 2**31 - 1


def values_of(seed: int, purpose: int, shape: tuple[int, ...], dtype: str, power: int = 0) -> Array:
    """Return numbers of 0.5 to 4 times a power of 2; a pair's eps is that of its members."""
    size = generator(seed, purpose).random(shape, np.float32) * 7.0 - 3.5
    size = np.ldexp(size + np.copysign(0.5, size), power)
    return narrow(size.astype(np.float64), float_dtype(dtype))
