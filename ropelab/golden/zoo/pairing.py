"""Channels paired by the wrong layout (M3)."""

from __future__ import annotations

from typing import Any

import ropelab
from ropelab import Spectrum

from ..case import Array
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
}
