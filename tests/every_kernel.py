"""Launch every kind of kernel on awkward shapes, for compute-sanitizer to watch; no test itself.

    PYTORCH_NO_CUDA_MEMORY_CACHING=1 compute-sanitizer python3 -m tests.every_kernel

Without torch's cache each tensor is an allocation of its own, and a step outside it is seen. Every
result is copied to the host, so that initcheck sees an element which nobody wrote. Whether the
numbers are right is asked elsewhere.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import torch

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK
from tests.length_rules import ROPES

DTYPES = (torch.bfloat16, torch.float16, torch.float32, torch.float64)
LAYOUTS = ("half", "interleaved")
ANGLES = ("exact", "float32")

BATCH, SEQUENCE = 3, 37  # no multiple of what a block takes
LONGER = 67  # more tokens than multiprocessors, for which threads share the work differently
SMALL = (BATCH, SEQUENCE, 5, 2)  # and heads of queries and of keys
LARGE = (1, 2048, 32, 8)  # more than are resident at once


def tensor(*shape: int, dtype: torch.dtype) -> torch.Tensor:
    """Return random numbers; made on the host, so that no kernel but ours runs."""
    return torch.randn(shape).to(dtype).cuda()


def rotations(
    shape: tuple[int, int, int, int], head_dim: int, width: int, dtype: torch.dtype, layout: str
) -> list[Any]:
    """Rotate q and k in all ways; a width below head_dim leaves channels to copy."""
    batch, sequence, q_heads, k_heads = shape
    q = tensor(batch, sequence, q_heads, head_dim, dtype=dtype)
    k = tensor(batch, sequence, k_heads, head_dim, dtype=dtype)
    positions = torch.arange(-sequence, sequence)[::2].clone().cuda()  # some negative
    spectrum = ropelab.Rope(head_dim, rotary_dim=width).spectrum()
    results: list[Any] = []
    for angles in ANGLES:
        options: dict[str, Any] = {"layout": layout, "angles": angles}
        results += ropelab_cuda.apply_rotary_qk(q, k, positions, spectrum, **options)
        results.append(ropelab_cuda.apply_rotary(q, positions, spectrum, **options))
    cos, sin = ropelab_cuda.cos_sin(positions, spectrum, dtype=dtype)
    results += [cos, sin, ropelab_cuda.apply_rotary_cached(q, cos, sin, layout=layout)]
    results += ropelab_cuda.apply_rotary_cached_qk(q, k, cos, sin, layout=layout)
    ropelab_cuda.apply_rotary_cached_(q, cos, sin, layout=layout)
    ropelab_cuda.apply_rotary_cached_qk_(q, k, cos, sin, layout=layout)
    results += ropelab_cuda.apply_rotary_qk_(q, k, positions, spectrum, layout=layout)
    return results


def transposed(dtype: torch.dtype, layout: str) -> list[Any]:
    """Rotate views into one packed projection, heads before tokens, at positions of each row."""
    packed = tensor(BATCH, SEQUENCE, 9, 32, dtype=dtype).transpose(1, 2)
    q, k = packed[:, :5], packed[:, 5:7]
    positions = torch.randint(2**31 - 1, (BATCH, SEQUENCE), dtype=torch.int32).cuda()
    spectrum = ropelab.Rope(32).spectrum()
    options: dict[str, Any] = {"layout": layout, "tensor_format": "bhsd"}
    rotated = ropelab_cuda.apply_rotary_qk(q, k, positions, spectrum, inverse=True, **options)
    ropelab_cuda.apply_rotary_qk_(q, k, positions, spectrum, **options)
    return [*rotated, packed]


def several_axes(dtype: torch.dtype, layout: str) -> list[Any]:
    """Rotate by three position axes, and write out their phases."""
    spectrum = ropelab.Spectrum(np.logspace(0, -3, 5), axes=np.array([0, 1, 2, 1, 0]))
    positions = torch.randint(100, (3, BATCH, SEQUENCE), dtype=torch.uint8).cuda()
    x = tensor(BATCH, SEQUENCE, 7, 11, dtype=dtype)  # 11: no access wider than an element
    rotated = ropelab_cuda.apply_rotary(x, positions, spectrum, layout=layout)
    phases = ropelab_cuda.exact_phases(positions, spectrum)
    return [rotated, phases, *ropelab_cuda.cos_sin(positions, spectrum, angles="float32")]


def rearranged(dtype: torch.dtype, layout: str) -> list[Any]:
    """Rotate later channels into the other layout, by pairs of which some repeat exactly."""
    spectrum = ropelab.Spectrum(np.logspace(0, -3, 12), periods=np.arange(12))
    positions = torch.randint(-(2**30), 2**30, (BATCH, SEQUENCE)).cuda()
    other = LAYOUTS[1 - LAYOUTS.index(layout)]
    options: dict[str, Any] = {"layout": layout, "output_layout": other, "rotary_offset": 8}
    q, k = (tensor(BATCH, SEQUENCE, heads, 40, dtype=dtype) for heads in (17, 2))
    rotated = ropelab_cuda.apply_rotary_qk(q, k, positions, spectrum, **options)
    ropelab_cuda.apply_rotary_qk_(q, k, positions, spectrum, inverse=True, **options)
    cos, sin = ropelab_cuda.cos_sin(positions, spectrum)
    cached = ropelab_cuda.apply_rotary_cached_qk(q, k, cos, sin, **options)
    return [*rotated, q, k, *cached, ropelab_cuda.exact_phases(positions, spectrum)]


def into_caches(shape: tuple[int, int, int, int], dtype: torch.dtype, layout: str) -> list[Any]:
    """Write keys and values into caches of either order, some of eight bits; few slots are good."""
    batch, sequence, q_heads, k_heads = shape
    q, k, v = (
        tensor(batch, sequence, heads, 72, dtype=dtype) for heads in (q_heads, k_heads, k_heads)
    )
    blocks, size = 11, 16
    slots = torch.randperm(4 * batch * sequence)[: batch * sequence].reshape(batch, sequence)
    slots[0, ::5] = 2**62
    slots = (slots - blocks * size).cuda()
    positions = torch.randint(2**31 - 1, (batch, sequence), dtype=torch.int32).cuda()
    spectrum = ropelab.Spectrum(np.logspace(0, -3, 12))
    flag = torch.zeros(1, dtype=torch.int32).cuda()
    results: list[Any] = [flag]
    options: dict[str, Any] = {"layout": layout, "rotary_offset": 8, "overrun_flag": flag}
    other = LAYOUTS[1 - LAYOUTS.index(layout)]
    for stored, scale in ((dtype, 1.0), (torch.float8_e4m3fn, 0.5)):
        caches = [
            torch.zeros(blocks, k_heads, size, 72).to(stored).cuda().transpose(1, 2) for _ in "kv"
        ]
        told = {**options, "k_scale": scale, "v_scale": scale}
        given: Any = (q, k, v, positions, spectrum, *caches, slots)
        results.append(ropelab_cuda.apply_rotary_kv_cache(*given, **told))
        results.append(ropelab_cuda.apply_rotary_kv_cache(*given, output_layout=other, **told))
        ropelab_cuda.apply_rotary_kv_cache_(*given, **told)
        results += [q, *caches]
    return results


def counted(dtype: torch.dtype, layout: str) -> list[Any]:
    """Rotate by positions that the kernel counts, also where what it counts from is nonsense."""
    spectrum, tokens = ropelab.Rope(48).spectrum(), BATCH * SEQUENCE
    rows, pack = (tensor(*shape, 5, 48, dtype=dtype) for shape in ((BATCH, SEQUENCE), (tokens,)))
    wild = torch.tensor([0, 5, -3, 2**62, 7, -(2**63), 111]).cuda()
    offsets = torch.tensor([7, -(2**31), 2**40, 0, 1, 2]).cuda()
    results = []
    for first in (3, offsets[:BATCH], offsets[:1].int()):
        place: Any = Consecutive(first)
        results.append(ropelab_cuda.apply_rotary(rows, place, spectrum, layout=layout))
    for bounds in (wild, torch.tensor([0, 9, 9, 60, 60, 100, tokens], dtype=torch.int32).cuda()):
        for cp_size in (1, 3):
            place = Packed(bounds, offsets, cp_size, cp_size - 1)
            options: dict[str, Any] = {"layout": layout, "tensor_format": "thd"}
            results.append(ropelab_cuda.apply_rotary(pack, place, spectrum, **options))
    return results


def fused(dtype: torch.dtype, layout: str) -> list[Any]:
    """Norm, and write into caches, by positions and spectra that lie on the device."""
    rope = ropelab.Rope(48, scaling=DynamicNTK(2.0), max_position_embeddings=64)
    on_device = ropelab_cuda.spectrum_on_device(rope, torch.arange(-3, 99).cuda())
    wild = torch.tensor([0, 5, -3, 2**62, 7, -(2**63), 111]).cuda()
    offsets = torch.tensor([7, -(2**31), 2**40, 0, 1, 2]).cuda()
    places: Any = (
        torch.arange(SEQUENCE).cuda(),
        *(Consecutive(first) for first in (3, offsets[:BATCH])),
        *(Packed(wild, offsets, cp_size, cp_size - 1) for cp_size in (1, 3)),
    )
    results: list[Any] = []
    spectra: Any = (rope.spectrum(5), on_device)
    for place, spectrum in product(places, spectra):
        in_pack = isinstance(place, Packed)
        tokens = (BATCH * SEQUENCE,) if in_pack else (BATCH, SEQUENCE)
        options: dict[str, Any] = {"layout": layout, "tensor_format": "thd" if in_pack else "bshd"}
        q, k, v = (tensor(*tokens, heads, 48, dtype=dtype) for heads in (5, 2, 2))
        for across in (False, True):
            results += ropelab_cuda.apply_norm_rotary_qk(
                q, k, None, None, place, spectrum, across_heads=across, **options
            )
        caches = [torch.zeros(5, 16, 2, 48).to(dtype).cuda() for _ in "kv"]
        slots = (torch.randperm(BATCH * SEQUENCE).reshape(tokens) - 9).cuda()  # -9 to 101, of 80
        given: Any = (q, k, v, place, spectrum, *caches, slots)
        results += [ropelab_cuda.apply_rotary_kv_cache(*given, **options), *caches]
    return results


def looked_up(dtype: torch.dtype, layout: str, sequence: int = SEQUENCE) -> list[Any]:
    """Rotate by rows of tables, of one column a pair or two, by positions that pass their ends."""
    x, k = (tensor(BATCH, sequence, heads, 48, dtype=dtype) for heads in (5, 2))
    flag = torch.zeros(1, dtype=torch.int32).cuda()
    results: list[Any] = []
    for width, repeated in ((24, False), (48, True)):
        cos, sin = (tensor(sequence // 2, width, dtype=dtype) for _ in range(2))
        options: dict[str, Any] = {"layout": layout, "repeated": repeated, "overrun": "clamp"}
        for ids in (torch.arange(-5, sequence - 5).cuda(), Consecutive(-5)):
            given = {"position_ids": ids, "overrun_flag": flag, **options}
            results.append(ropelab_cuda.apply_rotary_cached(x, cos, sin, **given))
            results += ropelab_cuda.apply_rotary_cached_qk(x, k, cos, sin, **given)
            ropelab_cuda.apply_rotary_cached_(x, cos, sin, **given)
            ropelab_cuda.apply_rotary_cached_qk_(x, k, cos, sin, **given)
    return [*results, x, k, flag]


def stored(dtype: torch.dtype, layout: str, sequence: int = SEQUENCE) -> list[Any]:
    """Rotate into every other format, over scales that are numbers or lie on the device."""
    spectrum, positions = ropelab.Rope(24, base=1e3).spectrum(), torch.arange(sequence).cuda()
    scale = torch.full((1,), 0.3).cuda()
    results: list[Any] = []
    for name, width in product(("float8_e4m3fn", "float8_e5m2", "float16", "float64"), (24, 31)):
        q, k = (tensor(BATCH, sequence, heads, width, dtype=dtype) for heads in (5, 2))
        options: dict[str, Any] = {"layout": layout, "dtype": name}
        results += ropelab_cuda.apply_rotary_qk(
            q, k, positions, spectrum, scale=(scale, 2.0), **options
        )
        cos, sin = ropelab_cuda.cos_sin(positions, spectrum)
        results.append(ropelab_cuda.apply_rotary_cached(q, cos, sin, scale=scale, **options))
        results += ropelab_cuda.apply_rotary_cached_qk(
            q, k, cos, sin, scale=(2.0, scale), **options
        )
    return [each.view(torch.uint8) for each in results]


def by_length(rope: ropelab.Rope) -> list[Any]:
    """Compute spectra at the length of few and of many positions, and rotate by them."""
    results: list[Any] = []
    for batch, sequence, start in ((BATCH, SEQUENCE, -5), (1, 20_011, 4000)):
        ids = torch.arange(start, start + batch * sequence).reshape(batch, sequence).cuda()
        q, k = (tensor(batch, sequence, n, rope.head_dim, dtype=torch.bfloat16) for n in (3, 1))
        spectrum = ropelab_cuda.spectrum_on_device(rope, ids)
        results += ropelab_cuda.rotate(rope, q, k, ids)
        results += ropelab_cuda.rotate_(rope, q, k, ids, angles="float32")
        results += [*ropelab_cuda.cos_sin(ids, spectrum), ropelab_cuda.exact_phases(ids, spectrum)]
        results.append(spectrum.buffer[: 2 + 3 * rope.rotary_dim // 2])
    return results


def scaled(dtype: torch.dtype, layout: str, sequence: int = SEQUENCE) -> list[Any]:
    """Rotate and scale by xPos, at positions of which some are too far from the centre."""
    q, k = (tensor(BATCH, sequence, heads, 20, dtype=dtype) for heads in (9, 2))
    positions = (torch.arange(sequence) * 27_000 - 500_000).cuda()
    spectrum = ropelab.Rope(20, rotary_dim=12).spectrum()
    options: dict[str, Any] = {"layout": layout, "centre": 7}
    rotated = [*ropelab_cuda.apply_xpos_qk(q, k, positions, spectrum, **options)]
    options |= {"scale": (torch.full((1,), 0.3).cuda(), 2.0)}
    for name in ("float8_e4m3fn", "float32"):
        rotated += ropelab_cuda.apply_xpos_qk(q, k, positions, spectrum, dtype=name, **options)
    ropelab_cuda.apply_xpos_qk_(q, k, positions, spectrum, inverse=True)
    return [*(each.view(torch.uint8) for each in rotated), q, k]


def permuted(dtype: torch.dtype) -> list[Any]:
    """Move channels: of rows that lie apart, of single elements, and in place."""
    packed = tensor(BATCH, SEQUENCE, 9, 64, dtype=dtype).transpose(1, 2)
    moved = ropelab_cuda.to_half(packed[:, 2:7], 40)
    odd = tensor(BATCH, SEQUENCE, 13, dtype=dtype)[..., 1:]
    ropelab_cuda.to_half_(odd)
    ropelab_cuda.to_interleaved_(packed[:, 2:7])
    return [moved, ropelab_cuda.to_interleaved(odd, 6), odd, packed]


def normed(dtype: torch.dtype, layout: str, sequence: int = SEQUENCE) -> list[Any]:
    """Norm and rotate heads of part of a warp, of several rounds of it, and all heads together."""
    positions = torch.randint(2**20, (BATCH, sequence)).cuda()
    results: list[Any] = []
    for (q_heads, head_dim, width), across, weight_dtype in product(
        ((5, 128, 128), (9, 80, 20), (3, 512, 96), (5, 11, 6), (150, 64, 64)),
        (False, True),
        (dtype, torch.float32),
    ):
        q, k = (tensor(BATCH, sequence, heads, head_dim, dtype=dtype) for heads in (q_heads, 2))
        weights = [
            tensor(*((heads, head_dim) if across else (head_dim,)), dtype=weight_dtype)
            for heads in (q_heads, 2)
        ]
        other = LAYOUTS[1 - LAYOUTS.index(layout)]
        spectrum = ropelab.Rope(head_dim, rotary_dim=width).spectrum()
        given: Any = (*weights, positions, spectrum)
        options: dict[str, Any] = {"layout": layout, "across_heads": across, "weight_offset": 1.0}
        results += ropelab_cuda.apply_norm_rotary_qk(q, k, *given, **options)
        scale: Any = (torch.full((1,), 0.3).cuda(), 2.0)
        for name in ("float8_e4m3fn", "float32"):
            stored_q_k = ropelab_cuda.apply_norm_rotary_qk(
                q, k, *given, dtype=name, scale=scale, **options
            )
            results += [each.view(torch.uint8) for each in stored_q_k]
        results += ropelab_cuda.apply_norm_rotary_qk_(q, k, *given, output_layout=other, **options)
    return results


def main() -> None:
    """Launch, and read every result."""
    torch.manual_seed(0)
    results: list[Any] = []
    for dtype, layout in product(DTYPES, LAYOUTS):
        results += rotations(SMALL, 128, 128, dtype, layout)
    for dtype, layout in product(DTYPES[::2], LAYOUTS):
        results += rotations(SMALL, 96, 24, dtype, layout)
        results += rotations(SMALL, 7, 6, dtype, layout)
        results += transposed(dtype, layout)
        results += several_axes(dtype, layout)
        results += rearranged(dtype, layout)
        results += counted(dtype, layout)
        results += fused(dtype, layout)
        results += looked_up(dtype, layout)
        results += scaled(dtype, layout)
        results += normed(dtype, layout)
        results += stored(dtype, layout)
        results += into_caches(SMALL, dtype, layout)
    for dtype, layout in zip(DTYPES[::2], LAYOUTS, strict=True):
        longer = (BATCH, LONGER, 5, 2)
        results += rotations(longer, 96, 24, dtype, layout)
        results += into_caches(longer, dtype, layout)
        for kinds in (looked_up, stored, scaled, normed):
            results += kinds(dtype, layout, LONGER)
    for dtype in (*DTYPES, torch.int8):
        results += permuted(dtype)
    for layout in LAYOUTS:
        results += rotations(LARGE, 128, 128, torch.bfloat16, layout)
        results += rotations(LARGE, 96, 24, torch.bfloat16, layout)
        results += rotations((BATCH, LONGER, 64, 8), 128, 128, torch.bfloat16, layout)
        results += into_caches(LARGE, torch.bfloat16, layout)
    for rope in ROPES.values():
        if rope.axes is None:
            results += by_length(rope)
    for result in results:
        result.cpu()
    print(f"{len(results)} results read")


if __name__ == "__main__":
    main()
