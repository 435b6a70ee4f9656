"""Channels moved from one layout to the other: of activations, and as rows of weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import product
from typing import Any

from .. import tolerances
from ..case import Case
from ..inputs import tensor
from .common import LAYOUTS

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        Both directions.
    """
    yield from _activations()
    yield from _weights()


def _activations() -> Iterator[Case]:
    for op, (path, shape, rotary_dim, axis) in product(
        ("to_half", "to_interleaved"),
        (
            ("whole", (2, 3, 10), None, -1),
            ("partial", (2, 3, 10), 6, -1),
            ("weight", (3, 8, 5), None, 1),
        ),
    ):
        arrays = {"x": tensor(shape, "bfloat16")}
        options = {"rotary_dim": rotary_dim, "axis": axis}
        yield Case(f"{op}/{path}", op, arrays, options, tolerances.equal(), ("Pairing",))


_Shape = tuple[int, ...]
_MIDDLE = {"rotary_dim": 4, "rotary_offset": 3}
_PROJECTIONS: tuple[tuple[str, _Shape, int, Mapping[str, int]], ...] = (
    ("query", (60, 3), 6, {}),
    ("key", (20, 3), 2, {}),
    ("bias", (60,), 6, {}),
    ("gain", (10,), 1, {}),
    ("first", (54, 2), 6, {"rotary_dim": 4}),
    ("middle", (54, 2), 6, _MIDDLE),
)
_FUSED: tuple[tuple[str, _Shape, int, int, Mapping[str, int]], ...] = (
    ("6-of-2", (100, 2), 6, 2, {}),
    ("3-of-3", (90, 2), 3, 3, {}),
    ("4-of-1", (48,), 4, 1, {}),
    ("partial", (90, 2), 6, 2, _MIDDLE),
)


def _weights() -> Iterator[Case]:
    """Yield weights, biases and gains of queries, of keys, and of fused projections."""
    for target in LAYOUTS:
        for path, shape, heads, extra in _PROJECTIONS:
            options = {"num_heads": heads, "target": target, **extra}
            yield _weight(f"permute_qk_weight/{path}/{target}", shape, options)
        for arrangement, (path, shape, heads, keys, extra) in product(
            ("concatenated", "grouped"), _FUSED
        ):
            options = {"num_heads": heads, "num_kv_heads": keys, "target": target}
            options |= {"arrangement": arrangement, **extra}
            yield _weight(f"permute_qkv_weight/{arrangement}/{path}/{target}", shape, options)


def _weight(path: str, shape: tuple[int, ...], options: Mapping[str, Any]) -> Case:
    op = path.partition("/")[0]
    arrays = {"weight": tensor(shape, "bfloat16")}
    return Case(path, op, arrays, dict(options), tolerances.equal(), ("Pairing",))
