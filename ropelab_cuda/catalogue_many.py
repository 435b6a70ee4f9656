"""Kinds of specialisation for tokens that fill a device: those of the benchmark, and wide ones."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

from ropelab import Rope

from .bench.workloads import WORKLOADS
from .compile import Specialisation
from .launch import FORMATS
from .warmup import specialisations_of
from .work import LAYOUTS

__all__ = ["benchmarked", "of_many_tokens"]

MANY = (1, 1 << 14)

# head_dim, rotary_dim and rotary_offset
_WIDTHS = (
    (128, 128, 0),
    (96, 24, 0),  # a sector or two of each row rotated
    (192, 64, 128),
    (512, 512, 0),  # many threads along a head
    (80, 60, 5),  # element by element
)


def benchmarked() -> Iterator[Specialisation]:
    """Yield what every workload of the benchmark runs, out of place and in place.

    Yields
    ------
    Specialisation
        Some of them repeatedly.
    """
    for load, layout, in_place in product(WORKLOADS, LAYOUTS, (False, True)):
        yield from specialisations_of(
            Rope(load.head_dim, rotary_dim=load.width, layout=layout),
            q_heads=load.q_heads,
            k_heads=load.k_heads,
            dtype=load.dtype,
            in_place=in_place,
            tokens=[(load.batch, load.sequence)],
        )


def of_many_tokens() -> Iterator[Specialisation]:
    """Yield every kernel that has two ways to share the work, in the one for many tokens.

    Yields
    ------
    Specialisation
        The benchmark's, and others of each dtype, layout and width.
    """
    yield from benchmarked()
    for dtype, layout, width in product(FORMATS, LAYOUTS, _WIDTHS):
        rope = _rope(*width, layout)
        yield from _planned(rope, "rotary", dtype=dtype)
        if not rope.rotary_offset:
            yield from _planned(rope, "xpos", dtype=dtype)
    for dtype, width in product(("bfloat16", "float64"), _WIDTHS):
        yield from _planned(_rope(*width, "half"), "rotary", dtype=dtype, table_dtype="float32")
        yield from _planned(_rope(*width, "half"), "kv_cache", dtype=dtype)
    for layout, output, width in product(LAYOUTS, LAYOUTS, _WIDTHS[1:3]):
        rope = _rope(*width, layout, output)
        yield from _planned(rope, "rotary", output_dtype="float8_e4m3fn", scaled=True)
        yield from _planned(rope, "rotary", output_dtype="float32", angles="float32")
        yield from _planned(rope, "kv_cache", cache_dtype="float8_e4m3fn", scaled=True)


def _rope(
    head_dim: int, rotary_dim: int, offset: int, layout: str, output: str | None = None
) -> Rope:
    return Rope(
        head_dim,
        rotary_dim=rotary_dim,
        rotary_offset=offset,
        layout=layout,
        output_layout=output,
    )


def _planned(rope: Rope, call: str, **told: Any) -> tuple[Specialisation, ...]:
    return specialisations_of(rope, call, q_heads=32, k_heads=8, tokens=[MANY], **told)
