"""Results that are stored in another format, or over a scale, in a wrong way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ropelab
from ropelab import Spectrum

from ...precision import narrow, widen
from ..case import Array
from ..implementation import SPECIFICATION
from .harness import with_rotation
from .mutant import Entries

__all__ = ["ENTRIES"]


def _multiplied(x: Array, *given: Any, scale: float | None = None, **options: Any) -> Array:
    """Multiply by the scale."""
    inverse = None if scale is None else 1.0 / scale
    return ropelab.apply_rotary(x, *given, scale=inverse, **options)


def _rounded_first(
    x: Array, *given: Any, dtype: str | None = None, scale: float | None = None, **options: Any
) -> Array:
    """Rotate in the tensor's own format, and convert what comes out."""
    turned = ropelab.apply_rotary(x, *given, **options)
    if dtype is None and scale is None:
        return turned
    return narrow(widen(turned) / (scale or 1.0), dtype or turned.dtype)


def _passed_unscaled(
    x: Array, ids: Array, spectrum: Spectrum, *, rotary_offset: int = 0, **options: Any
) -> Array:
    """Divide only the channels that are rotated."""
    rest = {**options, "rotary_offset": rotary_offset}
    turned = ropelab.apply_rotary(x, ids, spectrum, **rest)
    plain = ropelab.apply_rotary(x, ids, spectrum, **{**rest, "scale": None})
    inner = slice(rotary_offset, rotary_offset + spectrum.rotary_dim)
    plain[..., inner] = turned[..., inner]
    return plain


def _of_one_scale(function: Callable[..., tuple[Array, Array]]) -> Callable[..., Any]:
    """Take the scale of the queries for the keys."""

    def _called(*given: Any, scale: Any = None, **options: Any) -> tuple[Array, Array]:
        first = scale[0] if isinstance(scale, (list, tuple)) else scale
        return function(*given, scale=first, **options)

    return _called


ENTRIES: Entries = {
    "rounded-before-storing": (
        "M1",
        "the rotated tensor rounded to its own format before it is scaled and converted",
        with_rotation(_rounded_first),
    ),
    "scale-multiplied": (
        "M7",
        "the result multiplied by the scale",
        with_rotation(_multiplied),
    ),
    "keys-by-the-scale-of-queries": (
        "M7",
        "keys divided by the scale of the queries",
        replace(
            SPECIFICATION,
            apply_rotary_qk=_of_one_scale(ropelab.apply_rotary_qk),
            apply_xpos_qk=_of_one_scale(ropelab.apply_xpos_qk),
            apply_norm_rotary_qk=_of_one_scale(ropelab.apply_norm_rotary_qk),
        ),
    ),
    "tail-unscaled": (
        "M9",
        "channels that pass through converted, but not divided by the scale",
        with_rotation(_passed_unscaled),
    ),
}
