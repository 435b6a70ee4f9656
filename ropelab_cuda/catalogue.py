"""Every kind of specialisation, planned for tensors that do not exist: what CI compiles."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from ropelab import Spectrum
from ropelab.checks import ANGLES
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement

from .compile import Specialisation
from .launch import FORMATS, plan_cos_sin, plan_phases
from .launch_norm import plan_norm_rotary
from .launch_rotary import plan_rotary, plan_rotary_cached
from .parameters import INTEGER_TYPES
from .views import View
from .work import LAYOUTS

__all__ = ["specialisations"]


def specialisations() -> list[Specialisation]:
    """Return specialisations of every kernel, dtype, layout, pipeline, alignment and width.

    Returns
    -------
    list of Specialisation
        Without repetition, always in the same order.
    """
    rotations = (_rotary(), _rotary_rare(), _rotary_stored(), _rotary_cached())
    families = (*rotations, _norm_rotary(), _tables())
    return list(dict.fromkeys(one for family in families for one in family))


def _compact(shape: tuple[int, ...], dtype: str, pointer: int = 1 << 20) -> View:
    strides = tuple(int(np.prod(shape[axis + 1 :])) for axis in range(len(shape)))
    return View(pointer, shape, strides, dtype)


def _spectrum(rotary_dim: int, axes: int = 1, period: int = 0) -> Spectrum:
    pairs = rotary_dim // 2
    return Spectrum(np.ones(pairs), axes=np.arange(pairs) % axes, periods=np.full(pairs, period))


TOKENS = 16
# (heads, head_dim, rotary_dim, position axes, elements past an aligned address)
_KINDS = (
    (32, 128, 128, 1, 0),
    (2, 64, 64, 1, 0),  # few heads: several tokens a block
    (32, 96, 24, 1, 0),  # partial: with a tail to copy
    (32, 128, 128, 3, 0),  # M-RoPE
    (32, 80, 20, 1, 1),  # unaligned: element by element
)


def _rotary() -> Iterator[Specialisation]:
    for dtype in FORMATS:
        for heads, head_dim, rotary_dim, axes, past in _KINDS:
            x = _compact((1, TOKENS, heads, head_dim), dtype, (1 << 20) + past * 8)
            out = _compact(x.shape, dtype, (1 << 40) + past * 8)
            positions = _compact(
                (axes, 1, TOKENS)[axes == 1 :], "int64" if head_dim == 128 else "int32"
            )
            for layout in LAYOUTS:
                for angles in ANGLES:
                    yield plan_rotary(
                        [(x, out)],
                        positions,
                        _spectrum(rotary_dim, axes),
                        place=Placement("bshd", layout),
                        angles=angles,
                    ).specialisation


def _rotary_rare() -> Iterator[Specialisation]:
    """Yield what few models ask for: another layout on the way out, later channels, periods."""
    positions = _compact((1, TOKENS), "int64")
    for dtype, (layout, output_layout), (head_dim, offset), period in product(
        FORMATS, (LAYOUTS, [*LAYOUTS][::-1]), ((64, 0), (192, 128)), (0, 7)
    ):
        x = _compact((1, TOKENS, 16, head_dim), dtype)
        out = _compact(x.shape, dtype, 1 << 40)
        place = Placement("bshd", layout, output_layout, offset)
        numbers = _spectrum(64, period=period)
        yield plan_rotary(
            [(x, out)], positions, numbers, place=place, angles="exact"
        ).specialisation


def _rotary_stored() -> Iterator[Specialisation]:
    """Yield results in another format, scaled if that has 8 bits."""
    positions = _compact((1, TOKENS), "int64")
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
        x = _compact((1, TOKENS, 8, 128), source)
        out = _compact(x.shape, target, 1 << 40)
        yield plan_rotary(
            [(x, out)],
            positions,
            _spectrum(rotary_dim),
            place=Placement("bshd", layout),
            angles="exact",
            scales=() if target in FORMATS else [0.5],
        ).specialisation


def _rotary_cached() -> Iterator[Specialisation]:
    for dtype in FORMATS:
        for heads, head_dim, rotary_dim, axes, past in _KINDS:
            if axes > 1:
                continue
            x = _compact((1, TOKENS, heads, head_dim), dtype, (1 << 20) + past * 8)
            out = _compact(x.shape, dtype, (1 << 40) + past * 8)
            for table_dtype in FORMATS if head_dim == 128 else ("float32",):
                table = _compact((TOKENS, rotary_dim // 2), table_dtype)
                for layout in LAYOUTS:
                    yield plan_rotary_cached(
                        [(x, out)],
                        table,
                        table,
                        place=Placement("bshd", layout),
                    ).specialisation


# (heads of q and k, head_dim, rotary_dim, offset, across heads, layout in and out, unaligned)
_NORMS = (
    ((32, 8), 128, 128, 0, False, "half", None, 0),
    ((32, 8), 128, 128, 0, False, "interleaved", None, 0),
    ((32, 32), 128, 128, 0, True, "half", None, 0),
    ((8, 4), 256, 256, 0, False, "half", None, 0),
    ((8, 4), 512, 128, 0, False, "half", None, 0),  # more units than a warp has threads
    ((32, 8), 192, 64, 128, False, "interleaved", "half", 0),
    ((40, 8), 96, 24, 0, True, "half", "interleaved", 0),
    ((32, 8), 80, 20, 0, False, "interleaved", None, 1),
)


def _norm_rotary() -> Iterator[Specialisation]:
    for dtype, many in (*product(FORMATS, (1 << 14,)), ("bfloat16", TOKENS)):
        kinds = _NORMS if dtype in ("bfloat16", "float32") else _NORMS[:3]
        for heads, head_dim, rotary_dim, offset, across, layout, output, past in kinds:
            weight_dtype = "bfloat16" if output is None else "float32"
            positions = _compact((1, many), "int64")
            x = [_compact((1, many, h, head_dim), dtype, (1 << 20) + past * 8) for h in heads]
            weights = [
                _compact((h, head_dim) if across else (head_dim,), weight_dtype) for h in heads
            ]
            yield plan_norm_rotary(
                [*zip(x, x, strict=True)],
                weights,
                positions,
                _spectrum(rotary_dim),
                norm=Norm(across_heads=across),
                place=Placement("bshd", layout, output, offset),
                angles="exact",
            ).specialisation


def _tables() -> Iterator[Specialisation]:
    for integers in INTEGER_TYPES:
        positions = _compact((2, 5), integers)
        yield plan_phases(positions, _spectrum(64), _compact((2, 5, 32), "uint64")).specialisation
    for axes in (1, 3):
        positions = _compact((axes, 2, 5)[axes == 1 :], "int64")
        spectrum = _spectrum(128, axes)
        yield plan_phases(positions, spectrum, _compact((2, 5, 64), "uint64")).specialisation
        for dtype in FORMATS:
            table = _compact((2, 5, 64), dtype)
            for angles in ANGLES:
                yield plan_cos_sin(positions, spectrum, table, table, angles=angles).specialisation
