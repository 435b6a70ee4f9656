"""Rules that depend on the length, on the GPU: no word from the device to the host, and graphs."""

from __future__ import annotations

import weakref
from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.golden import verify
from ropelab.golden.case import Array
from ropelab.layouts import pair_channels
from ropelab.positions import Consecutive, Packed
from ropelab.precision import eps, widen
from ropelab.scaling import LongRoPE
from tests.gpu.devices import CuPy, Framework, Torch
from tests.gpu.waiting import without_synchronising
from tests.length_rules import ROPES, goldens_by_length, same_numbers, spectra_on_device

pytestmark = pytest.mark.gpu

LENGTHS = (1, 4096, 4097, 5000, 131_072, 2**31 - 1, 2**40 + 1)
BOUNDS = {"float32": 3.0, "bfloat16": 1.01}  # eps of the output a pair may err, as in the goldens
PHI = ropelab.Rope(
    96,
    scaling=LongRoPE(np.linspace(1, 3, 48).tolist(), np.linspace(1, 64, 48).tolist(), 4096),
    max_position_embeddings=131_072,
)
SWITCHING = {"dynamic": ROPES["ntk"], "longrope": PHI, "dynamic yarn": ROPES["yarn"]}
STARTS = (0, 4092, 4093, 90_000, 17, 2**30)  # four tokens each: below, at and past the switch

take = Torch().take


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def pair_error(actual: Array, expected: Array) -> float:
    """Return the worst error of a pair over its norm, in eps."""
    channels = pair_channels("half", actual.shape[-1])
    got, want = ([widen(side[..., c]) for c in channels] for side in (actual, expected))
    error = np.hypot(got[0] - want[0], got[1] - want[1]) / np.hypot(*want)
    assert np.isfinite(error).all()
    return float(error.max()) / eps(expected.dtype)


def queries_and_keys(torch: Any, head_dim: int, dtype: str = "float32") -> tuple[Any, Any]:
    q, k = (torch.randn(1, 4, heads, head_dim, device="cuda") for heads in (6, 2))
    return q.to(getattr(torch, dtype)), k.to(getattr(torch, dtype))


@pytest.mark.parametrize("framework", [Torch(), CuPy()], ids=["torch", "cupy"])
def test_every_golden_by_length_is_reproduced(framework: Framework) -> None:
    asked = goldens_by_length()
    results = verify(asked, spectra_on_device(framework.put))
    assert len(results) == len(asked) >= 100
    assert [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed] == []


@pytest.mark.parametrize("name", ROPES)
def test_every_number_is_that_of_the_specification(torch: Any, name: str) -> None:
    rope, random = ROPES[name], np.random.default_rng(11)
    lengths = [*LENGTHS, *(int(n) for n in 2.0 ** random.uniform(12, 40, 20))]
    if "resonant" in name:  # the specification refuses periods past 2**63
        lengths = [length for length in lengths if length < 2**40]
    for length in lengths:
        ids = torch.tensor([0, length - 1, -3], device="cuda")
        same_numbers(rope, length, ropelab_cuda.spectrum_on_device(rope, ids))
    empty = torch.empty(0, 3, device="cuda", dtype=torch.int64)
    same_numbers(rope, None, ropelab_cuda.spectrum_on_device(rope, empty))


@pytest.mark.parametrize("count", [1, 31, 512, 8192, 8193, 100_003, 5_000_011])
@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_the_largest_of_many_positions_wherever_it_is(torch: Any, count: int, dtype: str) -> None:
    rope = ROPES["ntk"]
    ids = torch.randint(0, 4000, (count,), device="cuda", dtype=getattr(torch, dtype))
    for place in (0, count // 2, count - 1):
        ids[place] = 70_000 + place
        for view in (ids, ids.flip(0), ids[:, None].expand(count, 3)):
            spectrum = ropelab_cuda.spectrum_on_device(rope, view)
            assert spectrum.numbers_on_host().length == 70_001 + place
        ids[place] = 0


def test_the_host_does_not_wait_for_positions_that_are_counted(torch: Any) -> None:
    rope = SWITCHING["dynamic"]
    q, k = queries_and_keys(torch, rope.head_dim)
    bounds = torch.tensor([0, 3, 3, 4], device="cuda", dtype=torch.int32)
    offsets = torch.tensor([2**31 - 3, 2**40, 7], device="cuda")
    places: list[tuple[Any, Any, str]] = [
        (Consecutive(offsets[:1]), Consecutive(take(offsets[:1])), "bshd"),
        (Packed(bounds, offsets), Packed(take(bounds), take(offsets)), "thd"),
    ]
    for place, on_host, tensor_format in places:
        x, y = (q, k) if tensor_format == "bshd" else (q[0], k[0])
        ropelab_cuda.rotate(rope, x, y, place, tensor_format=tensor_format)  # compile
        with without_synchronising(torch):
            rotated = ropelab_cuda.rotate(rope, x, y, place, tensor_format=tensor_format)
        wanted = ropelab.rotate(rope, take(x), take(y), on_host, tensor_format=tensor_format)
        for got, want in zip(rotated, wanted, strict=True):
            assert pair_error(take(got), want) <= BOUNDS["float32"]


def test_no_plan_keeps_the_numbers_of_a_call(torch: Any) -> None:
    rope = SWITCHING["dynamic"]
    q, k = queries_and_keys(torch, rope.head_dim, "float16")
    ids = torch.arange(4, device="cuda")
    for _ in range(3):  # the first of them goes the whole way, later ones are replayed
        spectrum = ropelab_cuda.spectrum_on_device(rope, ids)
        ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum)
        numbers = weakref.ref(spectrum.buffer)
        del spectrum
        assert numbers() is None


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize("name", SWITCHING)
def test_rotate_is_the_specifications_and_never_synchronises(
    torch: Any, name: str, dtype: str
) -> None:
    rope = SWITCHING[name]
    q, k = queries_and_keys(torch, rope.head_dim, dtype)
    for start in STARTS:
        ids = torch.arange(start, start + 4, device="cuda")
        ropelab_cuda.rotate(rope, q, k, ids)  # compile
        torch.cuda.synchronize()
        with without_synchronising(torch):
            rotated = ropelab_cuda.rotate(rope, q, k, ids)
            places = ropelab_cuda.rotate_(rope, q.clone(), k.clone(), ids)
        wanted = ropelab.rotate(rope, take(q), take(k), take(ids))
        for results in (rotated, places):
            for got, want in zip(results, wanted, strict=True):
                assert pair_error(take(got), want) <= BOUNDS[dtype]


def test_the_host_goes_on_while_the_device_is_busy(torch: Any) -> None:
    """What set_sync_debug_mode cannot see: a wait by any other means than torch's."""
    rope = SWITCHING["dynamic"]
    q, k = queries_and_keys(torch, rope.head_dim)
    ids = torch.arange(5000, 5004, device="cuda")
    ropelab_cuda.rotate(rope, q, k, ids)
    torch.cuda.synchronize()
    done = torch.cuda.Event()
    torch.cuda._sleep(2_000_000_000)  # about a second
    rotated = ropelab_cuda.rotate(rope, q, k, ids)
    done.record()
    assert not done.query(), "the call has waited for the device"
    wanted = ropelab.rotate(rope, take(q), take(k), take(ids))
    for got, want in zip(rotated, wanted, strict=True):
        assert pair_error(take(got), want) <= BOUNDS["float32"]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("name", SWITCHING)
def test_a_captured_graph_follows_the_length(torch: Any, name: str, in_place: bool) -> None:
    rope = SWITCHING[name]
    q, k = queries_and_keys(torch, rope.head_dim)
    ids = torch.zeros(1, 4, device="cuda", dtype=torch.int64)
    rotate = ropelab_cuda.rotate_ if in_place else ropelab_cuda.rotate
    rotate(rope, q.clone(), k.clone(), ids)  # compile before the capture
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = rotate(rope, q, k, ids)
    # Both sides of the switch, back and forth: nothing of an earlier replay may stay.
    for start in (*STARTS, *STARTS[::-1]):
        before = torch.randn_like(q), torch.randn_like(k)
        q.copy_(before[0])
        k.copy_(before[1])
        ids.copy_(torch.arange(start, start + 4, device="cuda"))
        graph.replay()
        wanted = ropelab.rotate(rope, take(before[0]), take(before[1]), take(ids))
        for got, want in zip(results, wanted, strict=True):
            assert pair_error(take(got), want) <= BOUNDS["float32"], start


def test_one_spectrum_for_many_layers_in_a_graph(torch: Any) -> None:
    rope = SWITCHING["longrope"]
    layers = [queries_and_keys(torch, rope.head_dim) for _ in range(8)]
    ids = torch.zeros(4, device="cuda", dtype=torch.int32)

    def forward() -> list[Any]:
        spectrum = ropelab_cuda.spectrum_on_device(rope, ids)
        return [ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum) for q, k in layers]

    forward()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        results = forward()
    for start in STARTS:
        ids.copy_(torch.arange(start, start + 4, device="cuda"))
        graph.replay()
        for (q, k), rotated in zip(layers, results, strict=True):
            wanted = ropelab.rotate(rope, take(q), take(k), take(ids))
            for got, want in zip(rotated, wanted, strict=True):
                assert pair_error(take(got), want) <= BOUNDS["float32"]


def test_the_rotation_never_overtakes_its_spectrum(torch: Any) -> None:
    """Kernels may start before their predecessors are done: 10,000 times, each with a length."""
    rope = SWITCHING["dynamic"]
    q, k = queries_and_keys(torch, rope.head_dim)
    ids = [torch.arange(end - 4, end, device="cuda") for end in (4, 4097, 60_000)]
    wanted = [ropelab_cuda.rotate(rope, q, k, each, seq_len=int(each[-1]) + 1) for each in ids]
    moving = torch.zeros_like(ids[0])
    wrong = torch.zeros((), device="cuda", dtype=torch.int64)
    for turn in range(10_000):
        i = turn * 7 % 3
        moving.copy_(ids[i])
        rotated = ropelab_cuda.rotate(rope, q, k, moving)
        for got, want in zip(rotated, wanted[i], strict=True):
            wrong += (got != want).any()
    assert int(wrong) == 0


def test_a_spectrum_of_another_framework_is_waited_for(torch: Any) -> None:
    import cupy

    rope = SWITCHING["dynamic"]
    q, k = queries_and_keys(torch, rope.head_dim)
    ids = cupy.arange(6000, 6004)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        spectrum = ropelab_cuda.spectrum_on_device(rope, ids)  # on CuPy's stream
        by_spectrum = ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum)  # on torch's
        by_rope = ropelab_cuda.rotate(rope, q, k, ids)
    torch.cuda.synchronize()
    wanted = ropelab.rotate(rope, take(q), take(k), cupy.asnumpy(ids))
    for got, other, want in zip(by_spectrum, by_rope, wanted, strict=True):
        assert torch.equal(got, other)
        assert pair_error(take(got), want) <= BOUNDS["float32"]
