"""Many position axes in the wrong order (M13)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Spectrum

from ..case import Array
from ..implementation import Implementation
from .harness import listed, with_rotation, with_spectrum
from .mutant import Entries

__all__ = ["ENTRIES"]


def _with_axes(change: Callable[[Array], Array]) -> Implementation:
    """Return the specification with other axes put in, where there is more than one."""

    def _changed(spectrum: Spectrum) -> Spectrum:
        if spectrum.position_axes == 1:
            return spectrum
        return replace(spectrum, axes=change(np.asarray(spectrum.axes)))

    return with_spectrum(_changed)


def _woven(axes: Array) -> Array:
    """Deal the axes out in turn, as many pairs to each as before."""
    left, dealt = np.bincount(axes).tolist(), []
    while any(left):
        for axis, count in enumerate(left):
            if count:
                dealt.append(axis)
                left[axis] -= 1
    return np.array(dealt, np.int64)


def _with_axis_positions(change: Callable[[Array], Array]) -> Implementation:
    """Return the specification with other positions put in, where they have many axes."""

    def _rotated(x: Array, ids: Array, spectrum: Spectrum, **options: Any) -> Array:
        axes = spectrum.position_axes
        given = change(listed(ids, x, options["tensor_format"], axes)) if axes > 1 else ids
        return ropelab.apply_rotary(x, given, spectrum, **options)

    return with_rotation(_rotated)


def _first_axis_everywhere(ids: Array) -> Array:
    return np.broadcast_to(ids[:1], ids.shape)


def _second_axis_zeroed(ids: Array) -> Array:
    kept = ids.copy()
    kept[1] = 0
    return kept


ENTRIES: Entries = {
    "axes-reversed": (
        "M13",
        "the axes counted from the last: w, h, t",
        _with_axes(lambda axes: axes.max() - axes),
        "pytorch-image-models!2541",
    ),
    "last-two-axes-swapped": (
        "M13",
        "width and height exchanged",
        _with_axes(lambda axes: np.where(axes > axes.max() - 2, 2 * axes.max() - 1 - axes, axes)),
        "llama.cpp!13282",
    ),
    "woven-flag-dropped": (
        "M13",
        "interleaved sections read as chunks",
        _with_axes(np.sort),
        "vllm-fork!2117",
    ),
    "chunks-woven": (
        "M13",
        "chunked sections dealt out in turn",
        _with_axes(_woven),
        "vllm-omni!1784",
    ),
    "first-axis-everywhere": (
        "M13",
        "every pair turned by the first axis",
        _with_axis_positions(_first_axis_everywhere),
        "sglang!34446",
    ),
    "second-axis-zeroed": (
        "M13",
        "the height index is always 0",
        _with_axis_positions(_second_axis_zeroed),
        "vllm!29425",
    ),
}
