"""Every kind of specialisation, planned for tensors that do not exist: what CI compiles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice, product

import numpy as np

from ropelab import Rope, Spectrum
from ropelab.checks import ANGLES
from ropelab.norm_rotary import Norm
from ropelab.pairs import Placement
from ropelab.scaling import (
    DynamicLinear,
    DynamicNTK,
    DynamicYaRN,
    LongRoPE,
    Resonance,
    RoundedFrequencies,
    Scaling,
    Stretched,
)

from .catalogue_many import of_many_tokens
from .catalogue_stored import stored_specialisations
from .compile import Specialisation
from .decay import Decay
from .device_spectrum import AnySpectrum
from .launch import FORMATS, plan_cos_sin, plan_phases
from .launch_kv_cache import Cached, plan_rotary_kv_cache
from .launch_lengths import plan_length_spectrum
from .launch_norm import plan_norm_rotary
from .launch_permute import plan_permute
from .launch_rotary import Lookup, plan_rotary, plan_rotary_cached, plan_rotary_indexed
from .lengths import spectrum_to_plan
from .parameters import INTEGER_TYPES
from .position_sources import ConsecutiveSource, Ids, OffsetSource, PackedSource, PositionSource
from .views import View, imagined
from .work import LAYOUTS

__all__ = ["specialisations"]


def specialisations() -> list[Specialisation]:
    """Return specialisations of every kernel, dtype, layout, pipeline, alignment and width.

    Returns
    -------
    list of Specialisation
        Without repetition, always in the same order.
    """
    families = (
        *(_rotary(), _rotary_rare(), stored_specialisations(), _counted()),
        *(_rotary_cached(), _indexed(), _rotary_xpos(), _permute()),
        *(_kv_cache(), _norm_rotary(), _tables(), _lengths(), of_many_tokens()),
    )
    return list(dict.fromkeys(one for family in families for one in family))


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
            x = imagined((1, TOKENS, heads, head_dim), dtype, (1 << 20) + past * 8)
            out = imagined(x.shape, dtype, (1 << 40) + past * 8)
            positions = imagined(
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
    positions = imagined((1, TOKENS), "int64")
    for dtype, (layout, output_layout), (head_dim, offset), period in product(
        FORMATS, (LAYOUTS, [*LAYOUTS][::-1]), ((64, 0), (192, 128)), (0, 7)
    ):
        x = imagined((1, TOKENS, 16, head_dim), dtype)
        out = imagined(x.shape, dtype, 1 << 40)
        place = Placement("bshd", layout, output_layout, offset)
        numbers = _spectrum(64, period=period)
        yield plan_rotary(
            [(x, out)], positions, numbers, place=place, angles="exact"
        ).specialisation


def _sources() -> Iterator[PositionSource]:
    """Yield what counts positions, of some types in memory."""
    for dtype in (None, "int32", "int64"):
        view = None if dtype is None else imagined((3,), dtype)
        offset = OffsetSource(7, view)
        yield ConsecutiveSource(offset)
        yield PackedSource(offset, imagined((4,), "int32"), 2, 1)


def _angles(rotary_dim: int) -> Iterator[tuple[PositionSource, AnySpectrum]]:
    """Yield what norms and caches take beside ids and a spectrum that the host knows."""
    rope = Rope(rotary_dim, scaling=DynamicNTK(2.0), max_position_embeddings=8192)
    on_device = spectrum_to_plan(rope)
    for source in _sources():
        yield source, _spectrum(rotary_dim)
    for source in (Ids(imagined((TOKENS,), "int64")), *islice(_sources(), 2)):
        yield source, on_device


def _counted() -> Iterator[Specialisation]:
    """Yield rotations by positions that the kernel counts."""
    for source, dtype, (heads, head_dim, rotary_dim) in product(
        _sources(), ("bfloat16", "float32"), ((32, 128, 128), (32, 96, 24))
    ):
        x = imagined((TOKENS, heads, head_dim), dtype)
        out = imagined(x.shape, dtype, 1 << 40)
        place, numbers = Placement("thd", "half"), _spectrum(rotary_dim)
        yield plan_rotary([(x, out)], source, numbers, place=place, angles="exact").specialisation


def _indexed() -> Iterator[Specialisation]:
    """Yield rotations by tables of which positions name the rows, of one value a pair or two."""
    ids = Ids(imagined((TOKENS,), "int64"))
    for dtype, (layout, step), source in product(
        ("bfloat16", "float64"), (("half", 1), ("interleaved", 2)), (ids, *_sources())
    ):
        x = imagined((TOKENS, 32, 128), dtype)
        out = imagined(x.shape, dtype, 1 << 40)
        table = View(1 << 30, (99, 64), (128, step), dtype)
        place, lookup = Placement("thd", layout), Lookup(source, View(1 << 31, (), (), "int32"))
        yield plan_rotary_indexed([(x, out)], table, table, lookup, place=place).specialisation


def _rotary_cached() -> Iterator[Specialisation]:
    for dtype in FORMATS:
        for heads, head_dim, rotary_dim, axes, past in _KINDS:
            if axes > 1:
                continue
            x = imagined((1, TOKENS, heads, head_dim), dtype, (1 << 20) + past * 8)
            out = imagined(x.shape, dtype, (1 << 40) + past * 8)
            for table_dtype in FORMATS if head_dim == 128 else ("float32",):
                table = imagined((TOKENS, rotary_dim // 2), table_dtype)
                for layout in LAYOUTS:
                    yield plan_rotary_cached(
                        [(x, out)],
                        table,
                        table,
                        place=Placement("bshd", layout),
                    ).specialisation


# dtype, dtype of both caches, scale, (heads, head_dim, rotary_dim, position axes, elements past)
_CACHES = (
    *((dtype, dtype, None, _KINDS[0]) for dtype in FORMATS),
    *(("bfloat16", "bfloat16", None, kind) for kind in _KINDS[1:]),
    ("bfloat16", "float8_e4m3fn", 0.5, _KINDS[0]),
    ("float16", "float8_e5m2", None, _KINDS[2]),
    ("float32", "bfloat16", 2.0, _KINDS[0]),
)


def _kv_cache() -> Iterator[Specialisation]:
    for layout, (dtype, stored, scale, kind) in product(LAYOUTS, _CACHES):
        yield _into_cache(dtype, stored, scale, kind, Placement("thd", layout))
    for layout in LAYOUTS:  # another one on the way out, and only some channels
        place = Placement("thd", layout, next(name for name in LAYOUTS if name != layout), 64)
        yield _into_cache("bfloat16", "bfloat16", None, (16, 192, 64, 1, 0), place)
    place = Placement("thd", "half")
    for source, spectrum in _angles(128):
        yield _into_cache("bfloat16", "bfloat16", None, _KINDS[0], place, source, spectrum)


def _into_cache(
    dtype: str,
    stored: str,
    scale: float | None,
    kind: tuple[int, int, int, int, int],
    place: Placement,
    source: PositionSource | None = None,
    spectrum: AnySpectrum | None = None,
) -> Specialisation:
    heads, head_dim, rotary_dim, axes, past = kind
    q, k, v = (
        imagined((TOKENS, n, head_dim), dtype, (1 << 20) + past * 8)
        for n in (heads, -(-heads // 4), -(-heads // 4))
    )
    cache = imagined((8, 16, k.shape[1], head_dim), stored, 1 << 30)
    return plan_rotary_kv_cache(
        (q, q),
        Cached(k, cache, scale),
        Cached(v, cache, scale),
        source or imagined((axes, TOKENS)[axes == 1 :], "int64"),
        imagined((TOKENS,), "int64"),
        spectrum or _spectrum(rotary_dim, axes),
        place=place,
        angles="exact",
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
            positions = imagined((1, many), "int64")
            x = [imagined((1, many, h, head_dim), dtype, (1 << 20) + past * 8) for h in heads]
            weights = [
                imagined((h, head_dim) if across else (head_dim,), weight_dtype) for h in heads
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
    for (source, spectrum), across in product(_angles(128), (False, True)):
        x = [imagined((TOKENS, h, 128), "bfloat16") for h in (32, 8)]
        yield plan_norm_rotary(
            [*zip(x, x, strict=True)],
            [None, None],
            source,
            spectrum,
            norm=Norm(across_heads=across),
            place=Placement("thd", "half"),
            angles="exact",
        ).specialisation


def _tables() -> Iterator[Specialisation]:
    for integers in INTEGER_TYPES:
        positions = imagined((2, 5), integers)
        yield plan_phases(positions, _spectrum(64), imagined((2, 5, 32), "uint64")).specialisation
    for axes in (1, 3):
        positions = imagined((axes, 2, 5)[axes == 1 :], "int64")
        spectrum = _spectrum(128, axes)
        yield plan_phases(positions, spectrum, imagined((2, 5, 64), "uint64")).specialisation
        for dtype in FORMATS:
            table = imagined((2, 5, 64), dtype)
            for angles in ANGLES:
                yield plan_cos_sin(positions, spectrum, table, table, angles=angles).specialisation


_RULES: tuple[Scaling, ...] = (
    LongRoPE([1.0] * 64, [4.0] * 64, 4096),
    DynamicNTK(2.0),
    DynamicLinear(),
    DynamicYaRN(4096),
    RoundedFrequencies("float16", Stretched(DynamicYaRN(4096), 2.0)),
    Resonance(DynamicNTK(2.0)),
)


def _lengths() -> Iterator[Specialisation]:
    """Yield spectra computed on the device, and the kernels behind them."""
    x, positions = imagined((1, TOKENS, 32, 128), "bfloat16"), imagined((1, TOKENS), "int64")
    for scaling in _RULES:
        rope = Rope(128, scaling=scaling, max_position_embeddings=8192)
        spectrum = spectrum_to_plan(rope)
        many = imagined((1, 1 << 17), "int32")
        for plan in plan_length_spectrum(many, spectrum.rule, spectrum.view):
            yield plan.specialisation
        table = imagined((1, TOKENS, 64), "float64")
        for angles in ANGLES:
            yield plan_rotary(
                [(x, x)], positions, spectrum, place=Placement("bshd", "half"), angles=angles
            ).specialisation
            yield plan_cos_sin(positions, spectrum, table, table, angles=angles).specialisation
        phases = imagined(table.shape, "uint64")
        yield plan_phases(positions, spectrum, phases).specialisation


def _rotary_xpos() -> Iterator[Specialisation]:
    positions = imagined((1, TOKENS), "int64")
    for dtype, layout in product(FORMATS, LAYOUTS):
        for heads, head_dim, rotary_dim, _, past in (_KINDS[0], _KINDS[2], _KINDS[4]):
            if head_dim != 128 and dtype in ("float32", "float16"):
                continue
            x = imagined((1, TOKENS, heads, head_dim), dtype, (1 << 20) + past * 8)
            out = imagined(x.shape, dtype, (1 << 40) + past * 8)
            plan = plan_rotary(
                [(x, out)] * 2,
                positions,
                _spectrum(rotary_dim),
                place=Placement("bshd", layout),
                angles=ANGLES[layout == "half"],
                decay=Decay(512.0, 0),
            )
            yield plan.specialisation


def _permute() -> Iterator[Specialisation]:
    half, interleaved = LAYOUTS
    for dtype in ("int8", "float16", "float32", "int64", "complex128"):
        x = imagined((1, TOKENS, 8, 128), dtype)
        padded = replace(x, pointer=1 << 40, strides=(1 << 20, 1 << 16, 1 << 8, 1))
        for ends in ((half, interleaved), (interleaved, half)):
            yield plan_permute(x, x, 64, ends).specialisation
            yield plan_permute(x, padded, 12, ends).specialisation
            odd = replace(x, pointer=(1 << 30) + x.item_bytes)
            yield plan_permute(x, odd, 64, ends).specialisation
