"""Plans for moving channels from one layout to the other."""

from __future__ import annotations

import math

from . import parameters
from .launch import MAX_BLOCKS, MAX_THREADS, Macros, Plan, specialise
from .overlaps import is_same
from .tokens import merge_axes
from .views import View

__all__ = ["plan_permute"]

ACCESS_BYTES = 16  # the widest load and store
BLOCK = 256  # threads, unless a row needs more
# What moves elements of so many bytes.
WORDS = {
    1: "unsigned char",
    2: "unsigned short",
    4: "unsigned",
    8: "unsigned long long",
    16: "uint4",
}


def plan_permute(x: View, out: View, pairs: int, layouts: tuple[str, str]) -> Plan:
    """Plan a permutation of channels.

    Parameters
    ----------
    x, out : View
        A tensor whose last axis holds the channels, and where they go: itself, or a tensor of the
        same shape; last strides 1.
    pairs : int
        Pairs that change places; further channels are copied, or in place left alone.
    layouts : (str, str)
        Where the members of a pair come from, and where they go.

    Returns
    -------
    Plan
        What to launch.

    Raises
    ------
    ValueError
        If there are too many rows, or a block cannot hold a whole row, where that is needed.
    """
    in_place = is_same(x, out)
    axes = sorted(range(len(x.shape) - 1), key=lambda axis: -abs(x.strides[axis]))
    lengths, strides = merge_axes(
        tuple(x.shape[axis] for axis in axes),
        [tuple(view.strides[axis] for axis in axes) for view in (x, out)],
    )
    tail = 0 if in_place else x.shape[-1] - 2 * pairs
    size = x.item_bytes
    starts = [x.pointer, out.pointer, *(n * size for n in (*strides[0], *strides[1], pairs, tail))]
    vector = max(1, math.gcd(ACCESS_BYTES, *starts) // size)
    units = max(pairs, tail) // vector
    rows = math.prod(x.shape[:-1])
    if in_place and rows and units > MAX_THREADS:
        msg = (
            f"x: expected at most {2 * MAX_THREADS * vector} such channels to change places within "
            f"a row; got {2 * pairs}; write to another tensor by out="
        )
        raise ValueError(msg)
    across = min(units, MAX_THREADS)
    together = max(1, BLOCK // across)
    blocks = -(-rows // together)
    if blocks > MAX_BLOCKS:
        msg = f"x: expected at most {MAX_BLOCKS * together} rows; got {rows}; split the call"
        raise ValueError(msg)
    structure = parameters.permute(max(len(lengths), 1))(x.pointer, out.pointer, rows)
    for field, values in zip(
        ("lengths", "x_strides", "out_strides"), (lengths, *strides), strict=True
    ):
        getattr(structure, field)[: len(values)] = values
    macros: Macros = {
        "BITS": WORDS[size],
        "FROM": layouts[0].upper(),
        "TO": layouts[1].upper(),
        "PAIRS": pairs,
        "TAIL": tail,
        "VECTOR": vector,
        "ACROSS": across,
        "ROWS": together,
        "ROW_AXES": max(len(lengths), 1),
        "IN_PLACE": int(in_place),
    }
    fields = type(structure)
    return Plan(
        specialise("permute", macros, structure),
        (blocks, 1, 1),
        (across, together, 1),
        structure,
        ((fields.x.offset, "input", 0), (fields.out.offset, "output", 0)),
    )
