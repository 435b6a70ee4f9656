"""Two GPUs in one process: ``.ci/gpu two``, which wants at least two of them."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.scaling import DynamicNTK

pytestmark = pytest.mark.multi_gpu

SPECTRUM = ropelab.Rope(128, base=5e5).spectrum()


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    assert torch.cuda.device_count() >= 2
    torch.manual_seed(0)
    return torch


@pytest.fixture(params=[0, 1], ids=["current device 0", "current device 1"])
def current(torch: Any, request: pytest.FixtureRequest) -> Any:
    with torch.cuda.device(request.param):
        yield request.param


def inputs(torch: Any, device: int) -> tuple[Any, Any, Any]:
    generator = torch.Generator().manual_seed(5)
    q, k = (torch.randn(2, 40, heads, 128, generator=generator).bfloat16() for heads in (8, 2))
    ids = torch.randint(0, 2**31 - 1, (2, 40), generator=generator)
    return q.cuda(device), k.cuda(device), ids.cuda(device)


def expected(torch: Any) -> tuple[Any, ...]:
    q, k, ids = inputs(torch, 0)
    return tuple(
        torch.from_numpy(
            ropelab.apply_rotary(x.double().cpu().numpy(), ids.cpu().numpy(), SPECTRUM)
        )
        for x in (q, k)
    )


def near(torch: Any, found: Any, wanted: Any) -> bool:
    return bool(torch.allclose(found.double().cpu(), wanted, rtol=2**-8, atol=2**-7))


def near_to(torch: Any, found: Any, wanted: Any) -> bool:
    """Compare with the specification, to an eps of bfloat16 of the largest number."""
    wanted = torch.from_numpy(np.ascontiguousarray(wanted))
    return bool((found.double().cpu() - wanted).abs().max() <= 2**-8 * wanted.abs().max())


@pytest.mark.parametrize("device", [1, 0])
def test_each_call_runs_where_its_tensors_are(torch: Any, current: int, device: int) -> None:
    import cupy

    q, k, ids = inputs(torch, device)
    wanted = expected(torch)
    for _ in range(3):  # planned, then replayed
        found = ropelab_cuda.apply_rotary_qk(q, k, ids, SPECTRUM)
        assert torch.cuda.current_device() == current == cupy.cuda.runtime.getDevice()
        assert {x.device.index for x in found} == {device}
        assert all(near(torch, x, w) for x, w in zip(found, wanted, strict=True))
    places = (q.clone(), k.clone())
    ropelab_cuda.apply_rotary_qk_(*places, ids, SPECTRUM)
    assert all(torch.equal(x, y) for x, y in zip(places, found, strict=True))
    cos, sin = ropelab_cuda.cos_sin(ids, SPECTRUM)
    phases = ropelab_cuda.exact_phases(ids, SPECTRUM)
    cached = ropelab_cuda.apply_rotary_cached(q, cos, sin)
    assert near(torch, cached, wanted[0])
    assert {x.device.index for x in (cos, sin, phases, cached)} == {device}
    assert torch.cuda.current_device() == current == cupy.cuda.runtime.getDevice()


@pytest.mark.parametrize("device", [1, 0])
def test_every_other_operation_runs_where_its_tensors_are(
    torch: Any, current: int, device: int
) -> None:
    import cupy

    rope = ropelab.Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    q, k, ids = inputs(torch, device)
    near, weight = ids % 4096, torch.linspace(0.5, 2.0, 128).bfloat16().cuda(device)
    caches = torch.zeros(2, 5, 16, 2, 128, dtype=q.dtype, device=q.device)
    slots = torch.arange(80, device=q.device).view(2, 40).flip(1)
    stored: Any = (q, k, k, ids, SPECTRUM, *caches, slots)
    spectrum = ropelab_cuda.spectrum_on_device(rope, ids)
    known = rope.spectrum(int(ids.max()) + 1)
    x, y, at, close, factors = (
        each.cpu().numpy() for each in (q.double(), k.double(), ids, near, weight.double())
    )
    for _ in range(3):  # planned, then replayed
        calls: list[tuple[Any, Any]] = [
            (
                ropelab_cuda.apply_norm_rotary_qk(q, k, weight, weight, ids, SPECTRUM),
                ropelab.apply_norm_rotary_qk(x, y, factors, factors, at, SPECTRUM),
            ),
            (
                ropelab_cuda.apply_xpos_qk(q, k, near, SPECTRUM, centre=2048),
                ropelab.apply_xpos_qk(x, y, close, SPECTRUM, centre=2048),
            ),
            (
                ropelab_cuda.apply_rotary_qk(q, k, ids, spectrum),
                ropelab.apply_rotary_qk(x, y, at, known),
            ),
            (ropelab_cuda.rotate(rope, q, k, ids), ropelab.rotate(rope, x, y, at)),
            (
                (ropelab_cuda.to_interleaved(q), ropelab_cuda.to_half(k)),
                (ropelab.to_interleaved(x), ropelab.to_half(y)),
            ),
            (
                (
                    ropelab_cuda.apply_rotary_kv_cache(*stored),
                    caches[0].view(2, 40, 2, 128).flip(1),
                    caches[1].view(2, 40, 2, 128).flip(1),
                ),
                (*ropelab.apply_rotary_qk(x, y, at, SPECTRUM), y),
            ),
        ]
        for found, wanted in calls:
            for got, want in zip(found, wanted, strict=True):
                assert got.device.index == device
                assert near_to(torch, got, want)
        caches.zero_()
        assert torch.cuda.current_device() == current == cupy.cuda.runtime.getDevice()


def test_a_spectrum_of_another_device_is_refused(torch: Any) -> None:
    rope = ropelab.Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    q, k, ids = inputs(torch, 0)
    spectrum, before = ropelab_cuda.spectrum_on_device(rope, ids.cuda(1)), q.clone()
    with pytest.raises(ValueError, match=r"spectrum: .*cuda:1"):
        ropelab_cuda.apply_rotary_qk_(q, k, ids, spectrum)
    assert torch.equal(q, before)


def test_the_stream_is_that_of_the_tensors_device(torch: Any, current: int) -> None:
    other = 1 - current
    q, k, ids = inputs(torch, other)
    wanted = ropelab_cuda.apply_rotary_qk(q, k, ids, SPECTRUM)
    torch.cuda.synchronize(other)
    side = torch.cuda.Stream(other)
    for _ in range(10):
        with torch.cuda.stream(side):
            late = torch.zeros_like(q)
            torch.cuda._sleep(2_000_000)
            late.copy_(q)
        # torch's current stream of the other device is an attribute of that device, not of ours.
        previous = torch.cuda.current_stream(other)
        try:
            with torch.cuda.device(other):
                torch.cuda.set_stream(side)
            torch.cuda.set_device(current)
            found = ropelab_cuda.apply_rotary_qk(late, k, ids, SPECTRUM)
        finally:
            with torch.cuda.device(other):
                torch.cuda.set_stream(previous)
        side.synchronize()
        assert all(torch.equal(x, y) for x, y in zip(found, wanted, strict=True))
    assert torch.cuda.current_device() == current


def test_tensors_of_two_devices_are_refused(torch: Any) -> None:
    q, k, ids = inputs(torch, 0)
    before = q.clone()
    for arguments in ((q, k.cuda(1), ids), (q, k, ids.cuda(1))):
        with pytest.raises(ValueError, match="cuda:1"):
            ropelab_cuda.apply_rotary_qk_(*arguments, SPECTRUM)
    assert torch.equal(q, before)


def test_threads_on_both_devices(torch: Any) -> None:
    wanted = expected(torch)
    wrong: list[str] = []

    def work(device: int) -> None:
        try:
            with torch.cuda.device(device):
                q, k, ids = inputs(torch, device)
                for turn in range(100):
                    found = ropelab_cuda.apply_rotary_qk(q, k, ids, SPECTRUM)
                    torch.cuda.synchronize(device)
                    if not all(near(torch, x, w) for x, w in zip(found, wanted, strict=True)):
                        wrong.append(f"device {device}, turn {turn}")
                    if torch.cuda.current_device() != device:
                        wrong.append(f"device {device} is no longer the current one")
        except Exception as error:  # a thread's own failure would pass unseen
            wrong.append(f"device {device}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(number % 2,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_warmup_loads_on_the_current_device(torch: Any, current: int) -> None:
    rope = ropelab.Rope(64, base=77.0 + current)
    loaded = ropelab_cuda.warmup(rope, q_heads=3, k_heads=1, tokens=[(1, 5)])
    assert len(loaded) == 1
    assert torch.cuda.current_device() == current
    q, k = (torch.ones(1, 5, heads, 64, device="cuda").bfloat16() for heads in (3, 1))
    ids = torch.arange(5, device="cuda")
    found = ropelab_cuda.apply_rotary_qk(q, k, ids, rope.spectrum())
    assert {x.device.index for x in found} == {current}
