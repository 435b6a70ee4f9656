"""Channels moved from one layout to the other."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from .. import tolerances
from ..case import Case
from ..inputs import tensor

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        Both directions.
    """
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
