"""Rotations by several position axes: M-RoPE, and an axial grid."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ..case import DTYPES, Array, Case
from ..operations import attest
from ..tolerances import equal
from .common import LAYOUTS
from .rotation import rotation

__all__ = ["cases"]

# Eight pairs: sections as a config would list them, and the positions of words around a video.
_MROPE = (("chunked", [2, 3, 3]), ("interleaved", [4, 2, 2]), ("alternating", [3, 3, 2]))
_BLOCKS = [4, [3, 4, 6, 40.0], 5]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        M-RoPE by order, then grids, each by layout and dtype.
    """
    ids = _asked("mrope_positions", blocks=_BLOCKS, next_start="maximum")[:, np.newaxis]
    for (order, sections), layout, dtype in product(_MROPE, LAYOUTS, DTYPES):
        axes = _asked("mrope_axes", rotary_dim=16, sections=sections, order=order)
        arrays = {"position_ids": ids, "axes": axes}
        path, shape = f"rotary/mrope-{order}/{layout}", (1, ids.shape[-1], 2)
        yield rotation(path, dtype, flags=("Axes",), shape=shape, layout=layout, arrays=arrays)
    grid = _asked("image_grid", height=4, width=6, spatial_merge_size=2)[:, np.newaxis]
    for (rope, axes), layout, dtype in product(
        (("axial", [1] * 4 + [0] * 4), ("axial-dealt", [0] * 4 + [1] * 4)), LAYOUTS, DTYPES
    ):
        arrays = {"position_ids": grid, "axes": np.array(axes, np.int64)}
        options = {"rope": rope, "shape": (1, grid.shape[-1], 2), "layout": layout}
        yield rotation(
            f"rotary/grid-{rope}/{layout}", dtype, flags=("Axes",), arrays=arrays, **options
        )


def _asked(function: str, **arguments: object) -> Array:
    """Return what the oracle answers: positions as an input of rotations."""
    options = {"function": function, "arguments": arguments}
    return attest(Case("input", "positions", {}, options, equal()))["position_ids"]
