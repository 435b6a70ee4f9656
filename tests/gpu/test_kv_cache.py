"""Caches on a GPU: sizes, graphs whose slots change, streams, and what nobody may touch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden.case import Array
from ropelab.positions import Consecutive
from ropelab.precision import widen
from ropelab.scaling import Llama3
from tests.gpu.devices import Torch, put_argument
from tests.gpu.test_norm_rotary import COUNTED
from tests.gpu.test_on_gpu import BOUNDS, LLAMA31, pair_error, randn
from tests.length_rules import ROPES

pytestmark = pytest.mark.gpu

take = Torch().take
LAYOUTS = ("half", "interleaved")


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def bits(torch: Any, x: Any) -> Any:
    """Return a tensor's bits as integers."""
    return x.view({1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}[x.itemsize])


def poisoned(torch: Any, *shape: int, dtype: str) -> Any:
    """Return a tensor of NaNs."""
    return torch.full(shape, float("nan"), device="cuda", dtype=getattr(torch, dtype))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_caches_of_more_than_two_to_the_31_elements(torch: Any, layout: str) -> None:
    blocks, size, kv_heads, head_dim = 70_001, 16, 8, 256
    shape = (blocks, size, kv_heads, head_dim)
    k_cache, v_cache = (torch.zeros(shape, device="cuda", dtype=torch.bfloat16) for _ in "kv")
    assert k_cache.numel() > 2**31
    q, k, v = (randn(torch, 6, n, head_dim, dtype="bfloat16") for n in (32, kv_heads, kv_heads))
    spectrum, last = ropelab.Rope(head_dim).spectrum(), blocks * size - 1
    slots = torch.tensor([last, 0, -1, 1_048_576, 524_288, last + 1], device="cuda")
    ids = torch.tensor([131_071, 7, 8, 9, 2**31 - 1, 3], device="cuda")
    options: dict[str, Any] = {"layout": layout, "tensor_format": "thd"}
    flag = torch.zeros(1, device="cuda", dtype=torch.int32)
    ropelab_cuda.apply_rotary_kv_cache(
        q, k, v, ids, spectrum, k_cache, v_cache, slots, overrun_flag=flag, **options
    )
    expected = ropelab.apply_rotary(take(k), take(ids), spectrum, **options)
    written = [0, 1, 3, 4]
    for cache, rows in ((k_cache, expected), (v_cache, take(v))):
        held = take(cache.view(-1, kv_heads, head_dim)[slots[written]])
        if cache is v_cache:
            assert held.tobytes() == np.ascontiguousarray(rows[written]).tobytes()
        else:
            assert pair_error(held, rows[written], layout, head_dim) <= 1.01
        assert int(bits(torch, cache).ne(0).any(-1).any(-1).sum()) == len(written)
    assert int(flag) == 1


@pytest.mark.parametrize("stored", ["bfloat16", "float8_e4m3fn"])
@pytest.mark.parametrize("heads_first", [False, True])
def test_a_prefill_writes_every_token_and_no_other_row(
    torch: Any, stored: str, heads_first: bool
) -> None:
    batch, sequence, blocks, size = 3, 1000, 300, 16
    q, k, v = (randn(torch, batch, sequence, n, 128, dtype="bfloat16") for n in (32, 8, 8))
    shape = (blocks, 8, size, 128) if heads_first else (blocks, size, 8, 128)
    caches = [poisoned(torch, *shape, dtype="float32").to(getattr(torch, stored)) for _ in "kv"]
    views = [cache.transpose(1, 2) if heads_first else cache for cache in caches]
    slots = torch.randperm(blocks * size, device="cuda")[: batch * sequence]
    slots = slots.view(batch, sequence)
    slots[:, ::7] = -1
    ids = torch.arange(sequence, device="cuda") + 100_000
    before = [bits(torch, view).clone() for view in views]
    given: Any = (q, k, v, ids, LLAMA31.spectrum(), *views, slots)
    rotated = ropelab_cuda.apply_rotary_kv_cache(*given, k_scale=0.5, v_scale=0.25)
    plain = ropelab_cuda.apply_rotary_qk(
        q, k, ids, LLAMA31.spectrum(), dtype=stored, scale=(1.0, 0.5)
    )
    assert torch.equal(rotated, ropelab_cuda.apply_rotary(q, ids, LLAMA31.spectrum()))
    kept = slots >= 0
    divided = (v.float() / 0.25).to(getattr(torch, stored))
    for view, old, rows in zip(views, before, (plain[1], divided), strict=True):
        held = bits(torch, view).reshape(-1, 8, 128)
        assert torch.equal(held[slots[kept]], bits(torch, rows)[kept])
        free = torch.ones(blocks * size, device="cuda", dtype=torch.bool)
        free[slots[kept]] = False
        assert torch.equal(held[free], old.reshape(-1, 8, 128)[free])


def test_a_captured_graph_follows_new_slots_positions_and_tensors(torch: Any) -> None:
    tokens, blocks, size = 5, 20, 16
    q, k, v = (randn(torch, tokens, n, 128, dtype="bfloat16") for n in (8, 2, 2))
    caches = [poisoned(torch, blocks, size, 2, 128, dtype="bfloat16") for _ in "kv"]
    slots = torch.full((tokens,), -1, device="cuda")
    ids = torch.zeros(tokens, device="cuda", dtype=torch.int64)
    flag = torch.zeros(1, device="cuda", dtype=torch.int32)
    spectrum = LLAMA31.spectrum()
    options: dict[str, Any] = {"tensor_format": "thd", "overrun_flag": flag}
    given: Any = (q, k, v, ids, spectrum, *caches, slots)
    ropelab_cuda.apply_rotary_kv_cache(*given, **options)  # compile before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = ropelab_cuda.apply_rotary_kv_cache(*given, **options)
    assert all(bool(cache.isnan().all()) for cache in caches)
    used: list[int] = []
    for start in (3, 131_000, 2**31 - 9):
        new = [s for s in range(start % 64, blocks * size, 37) if s not in used][:tokens]
        used += new[:-1]
        slots.copy_(torch.tensor([*new[:-1], blocks * size + start], device="cuda"))
        ids.copy_(torch.arange(start, start + tokens, device="cuda"))
        for x in (q, k, v):
            x.copy_(torch.randn_like(x))
        flag.zero_()
        graph.replay()
        expected = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum, tensor_format="thd")
        assert torch.equal(out, expected[0])
        for cache, rows in zip(caches, (expected[1], v), strict=True):
            flat = cache.view(-1, 2, 128)
            assert torch.equal(flat[new[:-1]], rows[:-1])
            assert int((~flat.isnan()).any(-1).any(-1).sum()) == len(used)
        assert int(flag) == 1


def test_slots_are_read_after_the_kernel_before_has_written_them(torch: Any) -> None:
    """A producer of slots, keys and positions just before, on a stream of its own; many times."""
    tokens, side = 256, torch.cuda.Stream()
    q, k, v = (randn(torch, tokens, n, 128, dtype="bfloat16") for n in (8, 2, 2))
    caches = [torch.zeros(64, 16, 2, 128, device="cuda", dtype=torch.bfloat16) for _ in "kv"]
    orders = torch.stack([torch.randperm(1024, device="cuda")[:tokens] for _ in range(8)])
    slots, ids = torch.zeros_like(orders[0]), torch.arange(tokens, device="cuda") + 70_000
    torch.cuda.synchronize()
    wrong = torch.zeros((), device="cuda", dtype=torch.int64)
    given: Any = (q, k, v, ids, LLAMA31.spectrum(), *caches, slots)
    with torch.cuda.stream(side):
        expected = ropelab_cuda.apply_rotary(k, ids, LLAMA31.spectrum(), tensor_format="thd")
        for i in range(400):
            slots.copy_(orders[i % 8])
            ropelab_cuda.apply_rotary_kv_cache_(*given, tensor_format="thd")
            rows = caches[0].view(-1, 2, 128)[orders[i % 8]]
            wrong += (rows != expected).sum()
            caches[0].zero_()
    side.synchronize()
    assert int(wrong) == 0


@pytest.mark.parametrize("dtype", ["float64", "float32", "float16", "bfloat16"])
@pytest.mark.parametrize("layouts", [LAYOUTS, LAYOUTS[::-1], ("half", "half")])
@pytest.mark.parametrize("heads", [(64, 8, 128, 64, 96), (3, 1, 40, 0, 7), (32, 32, 192, 128, 128)])
def test_many_shapes_against_the_specification(
    torch: Any, heads: tuple[int, ...], layouts: tuple[str, str], dtype: str
) -> None:
    q_heads, kv_heads, head_dim, first, width = heads
    rotary_dim = head_dim - first - head_dim % 8
    spectrum = ropelab.Rope(
        head_dim, rotary_dim=rotary_dim, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192)
    ).spectrum()
    batch, sequence, blocks, size = 2, 37, 23, 5
    q, k = (randn(torch, batch, sequence, n, head_dim, dtype=dtype) for n in (q_heads, kv_heads))
    v = randn(torch, batch, sequence, kv_heads, width, dtype=dtype)
    caches = [torch.zeros(blocks, size, kv_heads, n, device="cuda", dtype=q.dtype)
              for n in (head_dim, width)]  # fmt: skip
    slots = torch.randperm(blocks * size, device="cuda")[: batch * sequence].int()
    slots = slots.view(batch, sequence) - 3
    ids = torch.randint(0, 131_072, (sequence,), device="cuda")
    options: dict[str, Any] = {"layout": layouts[0], "output_layout": layouts[1]}
    options |= {"rotary_offset": first}
    known: list[Array] = [take(cache).copy() for cache in caches]
    on_host: Any = (*map(take, (q, k, v, ids)), spectrum, *known, take(slots))
    expected = ropelab.apply_rotary_kv_cache(*on_host, **options)
    given: Any = (q, k, v, ids, spectrum, *caches, slots)
    before = q.clone()
    rotated = ropelab_cuda.apply_rotary_kv_cache(*given, **options)
    assert torch.equal(q, before)
    ropelab_cuda.apply_rotary_kv_cache_(*given, **options)
    assert torch.equal(q, rotated)
    drift = 131_072 * 2 * np.pi * 2.0**-65 * 2.0**52 if dtype == "float64" else 0.0
    for got, want in ((take(rotated), expected), (take(caches[0]), known[0])):
        assert got[..., :first].tobytes() == want[..., :first].tobytes()
        written = widen(want).any(-1)
        assert not got[~written].view(np.uint8).any()
        turned, true = (side[written][..., first:] for side in (got, want))
        assert pair_error(turned, true, layouts[1], rotary_dim) <= BOUNDS[dtype] + drift
    assert take(caches[1]).tobytes() == known[1].tobytes()


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("kind", COUNTED)
def test_positions_that_are_counted_and_spectra_of_the_device(
    torch: Any, kind: str, on_device: bool
) -> None:
    tokens, place = COUNTED[kind]
    known = ROPES["ntk"].spectrum(70_000)
    spectrum: Any = known
    if on_device:
        ids = torch.arange(70_000, device="cuda")
        spectrum = ropelab_cuda.spectrum_on_device(ROPES["ntk"], ids)
    options: dict[str, Any] = {"tensor_format": "thd" if len(tokens) == 1 else "bshd"}
    q, k, v = (randn(torch, *tokens, n, 128, dtype="bfloat16") for n in (16, 4, 4))
    slots = torch.randperm(1280, device="cuda")[: int(np.prod(tokens))].view(tokens)
    caches = [torch.zeros(80, 16, 4, 128, device="cuda", dtype=torch.bfloat16) for _ in "kv"]
    given: Any = (q, k, v, put_argument(Torch(), place), spectrum, *caches, slots)
    rotated = ropelab_cuda.apply_rotary_kv_cache(*given, **options)
    wanted: Any = ropelab.apply_rotary_qk(take(q), take(k), place, known, **options)
    assert pair_error(take(rotated), wanted[0], "half", 128) <= BOUNDS["bfloat16"]
    keys, values = (cache.view(-1, 4, 128)[slots] for cache in caches)
    assert pair_error(take(keys), wanted[1], "half", 128) <= BOUNDS["bfloat16"]
    assert torch.equal(values, v)
    for cache in caches:
        assert int(bits(torch, cache).ne(0).any(-1).any(-1).sum()) == slots.numel()


def test_offsets_slots_and_lengths_advance_within_a_captured_graph(torch: Any) -> None:
    """A decoding step: the graph counts on, and computes the spectrum anew."""
    rope, starts = ROPES["ntk"], [5, 4093, 17]
    q, k, v = (randn(torch, 3, 1, n, 128, dtype="float32") for n in (8, 2, 2))
    caches = [poisoned(torch, 6, 16, 2, 128, dtype="float32") for _ in "kv"]
    offset = torch.tensor(starts, device="cuda")
    slots = torch.tensor([[0], [32], [64]], device="cuda")

    def step() -> Any:
        offset.add_(1)
        slots.add_(1)
        spectrum = ropelab_cuda.spectrum_on_device(rope, offset)
        given: Any = (q, k, v, Consecutive(offset), spectrum, *caches, slots)
        return ropelab_cuda.apply_rotary_kv_cache(*given)

    step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = step()
    for number in range(2, 7):  # capturing runs nothing
        for x in (q, k, v):
            x.copy_(torch.randn_like(x))
        graph.replay()
        ids = np.array([[start + number] for start in starts])
        spectrum = rope.spectrum(int(ids.max()) + 1)
        wanted = ropelab.apply_rotary_qk(take(q), take(k), ids, spectrum)
        assert pair_error(take(out), wanted[0], "half", 128) <= BOUNDS["float32"]
        rows = [number, 32 + number, 64 + number]
        keys, values = (cache.view(-1, 2, 128)[rows][:, None] for cache in caches)
        assert pair_error(take(keys), wanted[1], "half", 128) <= BOUNDS["float32"]
        assert torch.equal(values, v)
        assert int((~caches[0].isnan()).any(-1).any(-1).sum()) == 3 * number


def test_a_spectrum_of_another_framework_is_waited_for(torch: Any) -> None:
    import cupy

    q, k, v = (randn(torch, 1, 4, n, 128, dtype="float32") for n in (8, 2, 2))
    caches = [torch.zeros(1, 4, 2, 128, device="cuda") for _ in "kv"]
    ids, slots = cupy.arange(6000, 6004), torch.arange(4, device="cuda")
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        spectrum = ropelab_cuda.spectrum_on_device(ROPES["ntk"], ids)  # on CuPy's stream
        given: Any = (q, k, v, ids, spectrum, *caches, slots)
        rotated = ropelab_cuda.apply_rotary_kv_cache(*given)  # on torch's
    torch.cuda.synchronize()
    known = ROPES["ntk"].spectrum(6004)
    wanted = ropelab.apply_rotary_qk(take(q), take(k), cupy.asnumpy(ids), known)
    assert pair_error(take(rotated), wanted[0], "half", 128) <= BOUNDS["float32"]
    assert pair_error(take(caches[0]), wanted[1], "half", 128) <= BOUNDS["float32"]
