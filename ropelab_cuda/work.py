"""The tensors of a rotation as its kernels see them: walked in order, accessed widely."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ropelab.checks import TENSOR_FORMATS

from . import parameters
from .launch import FORMATS, MAX_THREADS, OUTPUT_FORMATS, Macros
from .overlaps import is_same
from .tokens import Axes, walk
from .views import View

__all__ = [
    "HEADS_IN_FLIGHT",
    "MANY_PAIRS",
    "MULTIPROCESSORS",
    "Operand",
    "Scale",
    "Work",
    "arrange",
    "scale_fields",
    "scaled_at",
    "token_axes",
    "widest_access",
]

LAYOUTS = {"half": "Half", "interleaved": "Interleaved"}
VECTOR_BYTES = 16  # the widest load and store
MULTIPROCESSORS = 132  # of an H100 or H200
# Pairs of a thread at most: eight make both vectors of a half as wide as can be; four are better
# where a token would then have too few threads, each with several heads, which share its cosines.
FEW_PAIRS, MANY_PAIRS = 4, 8
HEADS_IN_FLIGHT = 4
FEWEST_THREADS = 96  # of a token, for many
FEW_BYTES = 64  # of a head that are rotated, and others not: two sectors

Operand = tuple[View, View]  # a tensor, and where its rotation goes
Scale = float | View  # a number, or where a float32 lies in device memory


@dataclass(frozen=True)
class Work:
    """What a rotation has to do, whichever way its angles come.

    Parameters
    ----------
    tensors : parameters.Tensors
        Queries and keys, for the kernel.
    outer, inner : int
        Lengths of the two axes by which tokens are walked.
    others : list of tuple of int
        The strides of positions or tables along them.
    heads : list of int
        Heads of each tensor.
    units : int
        Units of a head, each of a few pairs, or of as many channels that are not rotated.
    across : int
        Threads along a head, which share its units.
    held_bytes : int
        Bytes of a head that a thread holds: of a unit.
    angle_bytes : int
        Bytes of the cosines and sines of one token.
    in_pieces : bool
        Whether a sector or two of each row are rotated, and others not.
    macros : dict
        The part of it that is compiled in.
    """

    tensors: parameters.Tensors
    outer: int
    inner: int
    others: list[Axes]
    heads: list[int]
    units: int
    across: int
    held_bytes: int
    angle_bytes: int
    in_pieces: bool
    macros: Macros

    @property
    def has_few_tokens(self) -> bool:
        """Whether they are too few to fill a device."""
        return are_few(self.outer * self.inner)


def token_axes(values: Axes, tensor_format: str) -> Axes:
    """Pick the token axes, (batch, sequence) or (tokens,), out of a shape or of strides."""
    return tuple(values[axis] for axis in TENSOR_FORMATS[tensor_format].token_axes)


def arrange(
    operands: Sequence[Operand],
    pairs: int,
    layouts: tuple[str, str],
    tensor_format: str,
    rows: Sequence[Axes],
    rotary_offset: int = 0,
    scales: Sequence[Scale] = (),
    steps: Sequence[Axes] | None = None,
    weights: Sequence[View] | None = None,
) -> Work:
    """Return how to walk some tensors and how wide to access them.

    Parameters
    ----------
    operands : sequence of (View, View)
        One or two tensors over the same tokens, each with its output.
    pairs : int
        Pairs to rotate; further channels are copied or converted, unless they stay as they are.
    layouts : (str, str)
        Where the members of a pair come from, and where they go.
    tensor_format : str
        As in `ropelab.apply_rotary`.
    rows : sequence of tuple of int
        Strides of positions or tables along the token axes.
    rotary_offset : int
        The first rotated channel.
    scales : sequence of float or View
        What is stored of each tensor is divided by; by default it is not.
    steps : sequence of tuple of int, optional
        Further strides by which a kernel finds the rows of each output.
    weights : sequence of View, optional
        Where a norm changes every channel: its weights, (heads, head_dim) each.

    Returns
    -------
    Work
        Ready for the kernels.

    Raises
    ------
    ValueError
        If a block cannot hold a whole head, where that is needed.
    """
    first, output = operands[0]
    views = [
        replace(view, pointer=view.pointer + rotary_offset * view.item_bytes)
        for operand in operands
        for view in operand
    ]
    (outer, inner), walked = walk(
        token_axes(first.shape, tensor_format),
        [*(token_axes(view.strides, tensor_format) for view in views), *rows],
        reorder=True,
    )
    head_axis = TENSOR_FORMATS[tensor_format].head_axis
    heads, head_dim = [x.shape[head_axis] for x, _ in operands], first.shape[-1]
    strides = [
        (*walk_strides, view.strides[head_axis] if view.shape[head_axis] > 1 else 0)
        for view, walk_strides in zip(views, walked, strict=False)
    ]
    stays = all(is_same(x, out) for x, out in operands) and not scales and weights is None
    tail = 0 if stays else first.shape[-1] - 2 * pairs

    further = [() if i % 2 == 0 or steps is None else steps[i // 2] for i in range(len(views))]
    rows_of = [
        (view, (*three, *more)) for view, three, more in zip(views, strides, further, strict=True)
    ]
    rows_of += [(weight, (rotary_offset, weight.strides[0])) for weight in weights or ()]

    def widest(*lengths: int) -> int:
        """Return the elements of the widest access to which all rows and lengths align."""
        return widest_access((view, (*walk_strides, *lengths)) for view, walk_strides in rows_of)

    halves, rotated_bytes = "half" in layouts, 2 * pairs * first.item_bytes
    few = are_few(outer * inner) and weights is None
    threads = sum(heads) * (2 * pairs + tail) // (2 * MANY_PAIRS * HEADS_IN_FLIGHT)
    many = few or threads >= FEWEST_THREADS or weights is not None
    most = MANY_PAIRS if many else FEW_PAIRS
    # Two vectors a unit: one of each half; or neighbours, where tokens are few.
    two_vectors = halves or few
    lengths = (pairs, tail // 2) if two_vectors else (2 * pairs,)
    vector = widest(*lengths, tail, rotary_offset if tail else 0)
    vector = min(vector, most if two_vectors else 2 * most)
    pairs_held = vector if two_vectors else max(1, vector // 2)
    units = pairs // pairs_held
    one_layout = layouts[0] == layouts[1]
    if units > MAX_THREADS and not one_layout:
        msg = (
            f"output_layout: expected at most {MAX_THREADS * pairs_held} such pairs to change "
            f"their layout; got {pairs}; keep the layout, and permute the channels"
        )
        raise ValueError(msg)
    units += -(-tail // (2 * pairs_held))
    filled = [
        parameters.Operand(
            views[2 * i].pointer,
            views[2 * i + 1].pointer,
            *strides[2 * i],
            *strides[2 * i + 1],
            heads[i],
            *(scale_fields(scales[i]) if scales else ()),
        )
        for i in range(len(operands))
    ]
    filled += [parameters.Operand()] * (2 - len(filled))  # no keys: no heads
    return Work(
        tensors=parameters.Tensors(*filled, parameters.TokenGrid(outer, inner)),
        outer=outer,
        inner=inner,
        others=walked[len(views) :],
        heads=heads,
        units=units,
        across=min(units, MAX_THREADS),
        held_bytes=2 * pairs_held * first.item_bytes,
        angle_bytes=2 * pairs * max(4, *(view.item_bytes for view in views)),
        in_pieces=2 * pairs < head_dim and rotated_bytes <= FEW_BYTES,
        macros={
            "FORMAT": FORMATS[first.dtype],
            "OUTPUT_FORMAT": OUTPUT_FORMATS[output.dtype],
            "SCALED": int(bool(scales)),
            "KEYS_APART": 0,
            "LAYOUT": LAYOUTS[layouts[0]],
            "OUTPUT_LAYOUT": LAYOUTS[layouts[1]],
            "ONE_LAYOUT": int(one_layout),
            "PAIRS": pairs,
            "PAIRS_HELD": pairs_held,
            "VECTOR": vector,
            "TAIL": tail,
            "OFFSET": rotary_offset if tail else 0,
            "HEAD_STEP": _common_step(head_dim, heads, [three[2] for three in strides[::2]]),
            "OUT_HEAD_STEP": _common_step(head_dim, heads, [three[2] for three in strides[1::2]]),
        },
    )


def _common_step(head_dim: int, heads: Sequence[int], steps: Sequence[int]) -> int:
    """Return head_dim if the heads of all tensors adjoin, else 0: others are not worth a kernel."""
    known = {step for step, number in zip(steps, heads, strict=True) if number > 1}
    return head_dim if known <= {head_dim} else 0


def are_few(tokens: int) -> bool:
    """Say whether so many tokens cannot fill a device, one block each."""
    return tokens <= MULTIPROCESSORS


def widest_access(rows: Iterable[tuple[View, Sequence[int]]]) -> int:
    """Return the elements of the widest access to which all rows align.

    Parameters
    ----------
    rows : iterable of (View, sequence of int)
        Tensors, each with its strides and with lengths within a row.

    Returns
    -------
    int
        A power of two.
    """
    fitting = []
    for view, lengths in rows:
        size = view.item_bytes
        starts = (view.pointer, *(n * size for n in lengths))
        fitting.append(math.gcd(VECTOR_BYTES, *starts) // size)
    return min(fitting)


def scale_fields(scale: Scale) -> tuple[float, int]:
    """Return the inverse of a scale, and its address: one of both."""
    return (0.0, scale.pointer) if isinstance(scale, View) else (1.0 / scale, 0)


def scaled_at(scales: Sequence[Scale]) -> list[int]:
    """Return where the fields of tensors hold addresses of scales, as offsets in bytes."""
    both = (parameters.Tensors.q, parameters.Tensors.k)
    start = parameters.Operand.scale.offset
    return [
        operand.offset + start
        for operand, scale in zip(both, scales, strict=False)
        if isinstance(scale, View)
    ]
