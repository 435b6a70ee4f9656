"""Norms of queries and keys that are fused with their rotation (M7, M9, M11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Spectrum

from ...norm_rotary import rms_norm
from ...pairs import Storage, stored
from ...precision import widen
from ..case import Array
from ..implementation import SPECIFICATION, Implementation
from .mutant import Entries

__all__ = ["ENTRIES"]

_NORM = ("eps", "weight_offset", "across_heads", "tensor_format")
Weight = Array | None
Options = dict[str, Any]


def _each(one: Callable[..., Array]) -> Implementation:
    """Return the specification that norms and rotates one float64 tensor after the other."""

    def _both(
        q: Array,
        k: Array,
        q_weight: Weight,
        k_weight: Weight,
        *given: Any,
        dtype: Any = None,
        scale: Any = None,
        **options: Any,
    ) -> tuple[Array, Array]:
        new_q, new_k = (
            stored(one(widen(x), weight, *given, options), storage.by_default(x.dtype))
            for x, weight, storage in zip(
                (q, k), (q_weight, k_weight), Storage.of_both(dtype, scale), strict=True
            )
        )
        return new_q, new_k

    return replace(SPECIFICATION, apply_norm_rotary_qk=_both)


def _told(options: Options, **changes: Any) -> tuple[Options, Options]:
    """Return what a norm is told, with changes, and what a rotation is told."""
    norm = {name: options[name] for name in _NORM} | changes
    kept = ("tensor_format",)
    return norm, {key: value for key, value in options.items() if key in kept or key not in _NORM}


def _eps_after_the_root(
    x: Array, weight: Weight, ids: Array, spectrum: Spectrum, options: Options
) -> Array:
    """Divide by the root plus eps."""
    norm, rotation = _told(options)
    bare = {**norm, "eps": 0.0, "weight_offset": 0.0}
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = rms_norm(x, **bare)
        root = np.where(unit == 0.0, 0.0, x / unit)
        scaled = unit * np.where(np.isfinite(root), root / (root + norm["eps"]), 0.0)
    ones = rms_norm(np.ones_like(x), weight, **{**norm, "eps": 0.0})
    return ropelab.apply_rotary(np.nan_to_num(scaled) * ones, ids, spectrum, **rotation)


def _weight_after_the_rotation(
    x: Array, weight: Weight, ids: Array, spectrum: Spectrum, options: Options
) -> Array:
    """Multiply by the weights what has been rotated already."""
    norm, rotation = _told(options)
    turned = ropelab.apply_rotary(rms_norm(x, **norm), ids, spectrum, **rotation)
    factors: Array = rms_norm(np.ones_like(x), weight, **{**norm, "eps": 0.0})
    return turned * factors


def _offset_forgotten(
    x: Array, weight: Weight, ids: Array, spectrum: Spectrum, options: Options
) -> Array:
    """Take Gemma's weights for those of others."""
    norm, rotation = _told(options, weight_offset=0.0)
    return ropelab.apply_rotary(rms_norm(x, weight, **norm), ids, spectrum, **rotation)


def _heads_apart(
    x: Array, weight: Weight, ids: Array, spectrum: Spectrum, options: Options
) -> Array:
    """Take the mean over each head where it goes over all of them."""
    norm, rotation = _told(options)
    factors = rms_norm(np.ones_like(x), weight, **{**norm, "eps": 0.0})
    apart = rms_norm(x, **{**norm, "across_heads": False})
    return ropelab.apply_rotary(apart * factors, ids, spectrum, **rotation)


def _rotated_channels_alone(
    x: Array, weight: Weight, ids: Array, spectrum: Spectrum, options: Options
) -> Array:
    """Take the mean over the channels that turn, and leave the others as they came."""
    norm, rotation = _told(options)
    first = options.get("rotary_offset", 0)
    turning = slice(first, first + spectrum.rotary_dim)
    factors = rms_norm(np.ones_like(x), weight, **{**norm, "eps": 0.0})
    part = x.copy()
    part[..., turning] = rms_norm(x[..., turning], **norm) * factors[..., turning]
    return ropelab.apply_rotary(part, ids, spectrum, **rotation)


ENTRIES: Entries = {
    "norm-eps-after-the-root": (
        "M7",
        "norm: eps added to the root instead of the mean square",
        _each(_eps_after_the_root),
    ),
    "norm-weight-after-the-rotation": (
        "M11",
        "norm: weights multiplied after the rotation, when channels have mixed",
        _each(_weight_after_the_rotation),
    ),
    "norm-offset-forgotten": (
        "M7",
        "norm: weights that are stored less 1 taken as they are",
        _each(_offset_forgotten),
    ),
    "norm-heads-apart": (
        "M11",
        "norm: each head normed alone where all heads of a token go together",
        _each(_heads_apart),
    ),
    "norm-of-rotated-channels": (
        "M9",
        "norm: only over the channels that are rotated",
        _each(_rotated_channels_alone),
    ),
}
