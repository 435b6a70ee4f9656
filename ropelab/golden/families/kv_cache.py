"""Keys and values written into caches: paged and contiguous, with tokens that have no slot."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from ..case import DTYPES, STORED_DTYPES, Array, Case
from ..inputs import tensor
from .common import LAYOUTS
from .refusal import refused
from .rotation import rotation

__all__ = ["cases"]

# Blocks, and rows of each: neither is a number of heads or of tokens.
_BLOCKS, _SIZE = 5, 3
# Of 15 slots: scattered, out of order, the first and not the last, one token without.
_SLOTS = np.array([[7, -1, 0], [12, 4, 8]], np.int64)
_SHAPE, _KEY_HEADS = (2, 3, 4), 2
# No ratios of small numbers, which could make a tie: values have to be equal, however computed.
_SCALES = {"k_scale": 0.36787944117144233, "v_scale": 0.7310585786300049}
# Tensors and caches whose last roundings both have a bound of one eps of their own.
_STORED = (
    ("bfloat16", "float8_e4m3fn"),
    ("float16", "float8_e5m2"),
    ("float16", "bfloat16"),
)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By layout and dtype, then what else may vary, then bad input.
    """
    for layout, dtype in product(LAYOUTS, DTYPES):
        yield _case(f"kv/paged/{layout}", dtype, layout=layout)
    for dtype in ("float32", "bfloat16"):
        yield from _places(dtype)
    for layout, (dtype, stored) in product(LAYOUTS, _STORED):
        told: dict[str, Any] = {"layout": layout, "stored": stored}
        yield _case(f"kv/stored/{layout}/{stored}", dtype, **told)
        told |= {"rope": "partial", "rotary_offset": 5, "scales": _SCALES}
        yield _case(f"kv/scaled/{layout}/{stored}", dtype, shape=(1, 3, 2), heads_k=1, **told)
    yield from _refusals()


def _rows(length: int, starts: tuple[int, ...]) -> Array:
    """Return the slots of new tokens behind those that each sequence's row holds already."""
    first = [row * length + start for row, start in enumerate(starts)]
    return np.array(first)[:, np.newaxis] + np.arange(_SHAPE[1])


def _places(dtype: str) -> Iterator[Case]:
    """Yield cases of other formats, layouts, channels, angles and slots."""
    yield _case("kv/contiguous", dtype, blocks=2, size=7, slots=_rows(7, (4, 0)))
    yield _case("kv/heads-first", dtype, heads_first=True, layout="interleaved")
    decoded = np.array([[9], [-1], [14]])
    yield _case("kv/decode", dtype, shape=(3, 1, 4), heads_k=1, slots=decoded)
    for axes in ("bhsd", "sbhd"):
        yield _case(f"kv/{axes}", dtype, tensor_format=axes)
    packed = np.array([3, -5, 14, 0, 10], np.int32)
    yield _case("kv/thd", dtype, tensor_format="thd", shape=(5, 4), slots=packed)
    for layout in LAYOUTS:
        told: dict[str, Any] = {"layout": layout, "rope": "partial", "value_dim": 10}
        yield _case(f"kv/trailing/{layout}", dtype, rotary_offset=12, **told)
    crossed: dict[str, Any] = {"layout": "interleaved", "output_layout": "half"}
    yield _case("kv/interleaved-to-half", dtype, **crossed)
    yield _case("kv/float32-angles", dtype, angles="float32", factor=1.25)
    yield _case("kv/rows-of-one", dtype, blocks=15, size=1)
    yield _case("kv/no-slots", dtype, slots=np.array([-1]))


def _case(
    path: str,
    dtype: str,
    *,
    blocks: int = _BLOCKS,
    size: int = _SIZE,
    slots: Array | None = None,
    value_dim: int | None = None,
    heads_first: bool = False,
    stored: str | None = None,
    scales: Mapping[str, float] = MappingProxyType({}),
    **told: Any,
) -> Case:
    """Return a case: the rotation of the same queries and keys, with values and caches."""
    told = {"shape": _SHAPE, "heads_k": _KEY_HEADS, **told}
    case = rotation(path, dtype, flags=("Indexing", "Offset"), **told)
    arrays = dict(case.arguments)
    k = arrays["k"]
    arrays["v"] = tensor((*k.shape[:-1], value_dim or k.shape[-1]), dtype, seed=3)
    for name in ("k", "v"):
        shape = (blocks, size, told["heads_k"], arrays[name].shape[-1])
        arrays[f"{name}_cache"] = _stale(shape, STORED_DTYPES[stored or dtype])
    arrays["slots"] = _SLOTS[: told["shape"][0]] if slots is None else slots
    options = {key: value for key, value in case.options.items() if key != "inverse"}
    options |= {"heads_first": True} if heads_first else {}
    options |= scales
    return replace(case, op="apply_rotary_kv_cache", arguments=arrays, options=options)


def _stale(shape: tuple[int, ...], dtype: np.dtype[Any]) -> Array:
    """Return what a cache holds before: bytes that make finite numbers of every format."""
    count = int(np.prod(shape)) * dtype.itemsize
    return (np.arange(count) * 37 % 0x70).astype(np.uint8).view(dtype).reshape(shape)


def _refusals() -> Iterator[Case]:
    good = _case("kv/good", "float32")
    k_cache, v = good.arguments["k_cache"], good.arguments["v"]
    for name, error, arrays, options in (
        ("slot-past-the-cache", "ValueError", {"slots": _SLOTS + 3}, {}),
        ("slot-of-two-tokens", "ValueError", {"slots": np.array([[7, 1, 0], [7, 4, 8]])}, {}),
        ("slot-not-whole", "TypeError", {"slots": _SLOTS.astype(np.float64)}, {}),
        ("slots-too-long", "ValueError", {"slots": np.array([7, 1, 0, 3])}, {}),
        ("slots-transposed", "ValueError", {"slots": _SLOTS.T.copy()}, {}),
        ("cache-of-other-heads", "ValueError", {"k_cache": k_cache[:, :, :1].copy()}, {}),
        ("cache-too-narrow", "ValueError", {"v_cache": k_cache[..., :14].copy()}, {}),
        ("cache-of-two-axes", "ValueError", {"k_cache": k_cache[0, 0].copy()}, {}),
        ("caches-of-two-sizes", "ValueError", {"v_cache": k_cache[:, :2].copy()}, {}),
        ("cache-of-integers", "TypeError", {"k_cache": k_cache.view(np.int32)}, {}),
        ("values-of-other-heads", "ValueError", {"v": v[:, :, :1].copy()}, {}),
        ("values-of-other-tokens", "ValueError", {"v": v[:, :2].copy()}, {}),
        ("scale-zero", "ValueError", {}, {"k_scale": 0.0}),
        ("scale-negative", "ValueError", {}, {"v_scale": -1.0}),
        ("scale-is-text", "TypeError", {}, {"v_scale": "1"}),
    ):
        told = {**good.options, **options}
        given = {**good.arguments, **arrays}
        yield refused(f"kv-{name}", "apply_rotary_kv_cache", error, told, given)
