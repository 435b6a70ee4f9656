"""Every kind of specialisation whose results go out in another format, or over scales."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ropelab import Spectrum
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement

from .compile import Specialisation
from .decay import Decay
from .launch import FORMATS
from .launch_norm import plan_norm_rotary
from .launch_rotary import plan_rotary
from .views import imagined

__all__ = ["stored_specialisations"]

TOKENS, MANY = 16, 1 << 14


def stored_specialisations() -> Iterator[Specialisation]:
    """Yield specialisations of every kernel that stores as it is told, but for caches.

    Yields
    ------
    Specialisation
        Always in the same order.
    """
    yield from _rotary()
    yield from _xpos()
    yield from _norm()


def _spectrum(rotary_dim: int) -> Spectrum:
    return Spectrum(np.ones(rotary_dim // 2))


def _rotary() -> Iterator[Specialisation]:
    """Yield results in another format, scaled if that has 8 bits."""
    positions = imagined((1, TOKENS), "int64")
    for (source, target), (layout, rotary_dim) in product(
        (
            ("bfloat16", "float8_e4m3fn"),
            ("float16", "float8_e5m2"),
            ("float64", "float8_e4m3fn"),
            ("float32", "bfloat16"),
            ("bfloat16", "float64"),
        ),
        (("half", 128), ("interleaved", 128), ("half", 64)),
    ):
        x = imagined((1, TOKENS, 8, 128), source)
        out = imagined(x.shape, target, 1 << 40)
        yield plan_rotary(
            [(x, out)],
            positions,
            _spectrum(rotary_dim),
            place=Placement("bshd", layout),
            angles="exact",
            scales=() if target in FORMATS else [0.5],
        ).specialisation


def _xpos() -> Iterator[Specialisation]:
    """Yield rotations that decay, with a tail to convert."""
    for source, target, scales in (
        ("bfloat16", "float8_e4m3fn", (0.5, 2.0)),
        ("float32", "float8_e5m2", (0.5, 2.0)),
        ("float64", "float16", ()),
        ("bfloat16", "float32", ()),
    ):
        x = imagined((1, TOKENS, 32, 96), source)
        yield plan_rotary(
            [(x, imagined(x.shape, target, 1 << 40))] * 2,
            imagined((1, TOKENS), "int64"),
            _spectrum(24),
            place=Placement("bshd", "half"),
            angles="exact",
            scales=scales,
            decay=Decay(512.0, 0),
        ).specialisation


def _norm() -> Iterator[Specialisation]:
    """Yield norms whose results go out in another format, most over scales."""
    for (source, target, scales), (head_dim, rotary_dim), across in product(
        (
            ("bfloat16", "float8_e4m3fn", (0.5, 2.0)),
            ("float32", "float8_e5m2", (0.5, 2.0)),
            ("float64", "float16", ()),
            ("bfloat16", "float32", (0.5, 2.0)),
            ("float16", "float64", ()),
        ),
        ((128, 128), (96, 24)),
        (False, True),
    ):
        x = [imagined((1, MANY, heads, head_dim), source) for heads in (32, 8)]
        weights = [
            imagined((view.shape[2], head_dim) if across else (head_dim,), source) for view in x
        ]
        yield plan_norm_rotary(
            [(view, imagined(view.shape, target, 1 << 40)) for view in x],
            weights,
            imagined((1, MANY), "int64"),
            _spectrum(rotary_dim),
            norm=Norm(across_heads=across),
            place=Placement("bshd", "half"),
            angles="exact",
            scales=scales,
        ).specialisation
