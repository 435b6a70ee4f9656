"""Channels paired by the wrong layout (M3)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import ropelab
from ropelab import Spectrum

from ..case import Array
from ..implementation import SPECIFICATION, Implementation
from .harness import with_options, with_rotation
from .mutant import Entries

__all__ = ["ENTRIES"]


def _other(layout: str) -> str:
    return "half" if layout == "interleaved" else "interleaved"


def _halves_not_woven_again(
    x: Array, ids: Array, spectrum: Spectrum, *, layout: str, **options: Any
) -> Array:
    """Split interleaved pairs into halves, rotate, and leave the halves as they are."""
    turned = ropelab.apply_rotary(x, ids, spectrum, layout=layout, **options)
    if layout == "half":
        return turned
    return ropelab.to_half(turned, 2 * len(spectrum.inv_freq))


def _backwards(x: Array, ids: Array, spectrum: Spectrum, *, inverse: bool, **options: Any) -> Array:
    return ropelab.apply_rotary(x, ids, spectrum, inverse=not inverse, **options)


def _without(option: str) -> Implementation:
    """Return the specification with an option left at its default."""

    def _rotated(x: Array, ids: Array, spectrum: Spectrum, **options: Any) -> Array:
        options.pop(option, None)
        return ropelab.apply_rotary(x, ids, spectrum, **options)

    return with_rotation(_rotated)


def _rows_as_they_are(weight: Array, *_: Any, **__: Any) -> Array:
    return weight.copy()


def _cut_as_one_head(weight: Array, _: int, **options: Any) -> Array:
    """Take the rows of all heads for those of one."""
    return ropelab.permute_qk_weight(weight, 1, target=options["target"])


ENTRIES: Entries = {
    "other-layout": (
        "M3",
        "half paired as interleaved, and back",
        with_options(layout=_other),
        "torchtitan#335",
    ),
    "layout-flag-ignored": (
        "M3",
        "always paired by halves, whatever the flag says",
        with_options(layout=lambda _: "half"),
        "mlx-vlm!112",
    ),
    "halves-not-woven-again": (
        "M3",
        "interleaved pairs rotated, then left in halves",
        with_rotation(_halves_not_woven_again),
        "nntile!382",
    ),
    "other-direction": (
        "M3",
        "second member negated instead of the first: rotation by -m",
        with_rotation(_backwards),
    ),
    "output-layout-ignored": (
        "M3",
        "pairs read in one layout and left in it, where the other is expected",
        _without("output_layout"),
        "vllm#26995",
    ),
    "rotated-channels-first": (
        "M9",
        "the first channels rotated where the last ones should be",
        _without("rotary_offset"),
        "zml!660",
    ),
    "weights-not-permuted": (
        "M3",
        "rows of the projections left in the other layout",
        replace(
            SPECIFICATION,
            permute_qk_weight=_rows_as_they_are,
            permute_qkv_weight=_rows_as_they_are,
        ),
        "llama.cpp!22611",
    ),
    "weights-cut-as-one-head": (
        "M3",
        "rows of a projection permuted by a wrong number of heads",
        replace(SPECIFICATION, permute_qk_weight=_cut_as_one_head),
        "llama.cpp#3018",
    ),
}
