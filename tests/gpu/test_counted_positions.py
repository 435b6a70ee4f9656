"""Positions that kernels count, and rows that they look up: graphs, streams, sizes on a GPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import ropelab
import ropelab_cuda
from ropelab.positions import Consecutive, Packed
from tests.gpu.devices import Torch
from tests.gpu.test_on_gpu import pair_error, randn

pytestmark = pytest.mark.gpu

SPECTRUM = ropelab.Rope(128, base=5e5).spectrum()
take = Torch().take


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def test_offsets_advance_within_a_captured_graph(torch: Any) -> None:
    """A decoding step: the graph adds to the offsets, and rotates by what they have become."""
    q = randn(torch, 3, 1, 8, 128, dtype="float32")
    offset = torch.tensor([5, 131_000, 2**31 - 9], device="cuda")
    ropelab_cuda.apply_rotary(q, Consecutive(offset), SPECTRUM)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        offset.add_(1)
        out = ropelab_cuda.apply_rotary(q, Consecutive(offset), SPECTRUM)
    for step in range(1, 6):
        q.copy_(torch.randn_like(q))
        graph.replay()
        ids = np.array([[5], [131_000], [2**31 - 9]]) + step
        expected = ropelab.apply_rotary(take(q), ids, SPECTRUM)
        assert pair_error(take(out), expected, "half", 128) <= 3.0


def test_a_pack_is_cut_anew_within_a_captured_graph(torch: Any) -> None:
    tokens = 512
    q = randn(torch, tokens, 4, 128, dtype="bfloat16")
    bounds = torch.tensor([0, 100, 100, 400, tokens], device="cuda", dtype=torch.int32)
    offset = torch.zeros(4, device="cuda", dtype=torch.int64)
    options: dict[str, Any] = {"tensor_format": "thd"}
    ropelab_cuda.apply_rotary(q, Packed(bounds, offset), SPECTRUM, **options)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = ropelab_cuda.apply_rotary(q, Packed(bounds, offset), SPECTRUM, **options)
    for cut in ([0, 512, 512, 512, 512], [0, 1, 2, 511, 512], [0, 0, 256, 256, 512]):
        bounds.copy_(torch.tensor(cut))
        offset.random_(-(2**31), 2**31)
        graph.replay()
        place = Packed(take(bounds), take(offset))
        expected = ropelab.apply_rotary(take(q), place, SPECTRUM, **options)
        assert pair_error(take(out), expected, "half", 128) <= 1.01


@pytest.mark.parametrize("cp_size", [2, 4])
def test_long_packs_and_all_ranks(torch: Any, cp_size: int) -> None:
    lengths = np.random.default_rng(0).integers(0, 300, 700) * 2 * cp_size
    bounds = np.cumsum([0, *lengths])
    offset = np.random.default_rng(1).integers(-(2**31), 2**31, 700)
    x = randn(torch, int(bounds[-1]) // cp_size, 2, 32, dtype="float32")
    spectrum = ropelab.Rope(32).spectrum()
    options: dict[str, Any] = {"tensor_format": "thd"}
    device = [torch.from_numpy(numbers).cuda() for numbers in (bounds, offset)]
    for rank in range(cp_size):
        out = ropelab_cuda.apply_rotary(
            x, Packed(device[0], device[1], cp_size, rank), spectrum, **options
        )
        place = Packed(bounds, offset, cp_size, rank)
        expected = ropelab.apply_rotary(take(x), place, spectrum, **options)
        assert pair_error(take(out), expected, "half", 32) <= 3.0


def test_a_producer_just_before_is_waited_for(torch: Any) -> None:
    """Offsets, lengths and positions that the kernel before writes are never read too early."""
    tokens, steps = 64, 200
    x = randn(torch, tokens, 4, 64, dtype="float32")
    spectrum = ropelab.Rope(64).spectrum()
    cos, sin = ropelab_cuda.cos_sin(torch.arange(999, device="cuda"), spectrum)
    values = torch.randint(0, 900, (steps,), device="cuda")
    offset = torch.zeros(1, device="cuda", dtype=torch.int64)
    bounds = torch.tensor([0, tokens], device="cuda")
    flag = torch.zeros(1, device="cuda", dtype=torch.int32)
    options: dict[str, Any] = {"tensor_format": "thd"}
    answers = []
    for step in range(steps):
        offset.copy_(values[step : step + 1])
        answers.append(ropelab_cuda.apply_rotary(x, Packed(bounds, offset), spectrum, **options))
        offset.fill_(10**6)
        offset.copy_(values[step : step + 1])
        answers.append(
            ropelab_cuda.apply_rotary_cached(
                x,
                cos,
                sin,
                position_ids=Consecutive(offset),
                overrun="clamp",
                overrun_flag=flag,
                **options,
            )
        )
    torch.cuda.synchronize()
    assert flag.item() == 0  # no stale position has raised it
    for step, value in enumerate(values.tolist()):
        expected = ropelab_cuda.apply_rotary(
            x, torch.arange(value, value + tokens, device="cuda"), spectrum, **options
        )
        assert torch.equal(answers[2 * step], expected)
        torch.testing.assert_close(answers[2 * step + 1], expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("repeated", [False, True])
@pytest.mark.parametrize("layout", ["half", "interleaved"])
def test_tables_amid_nan_are_never_left(torch: Any, layout: str, repeated: bool) -> None:
    rows, width = 50, 128 if repeated else 64
    memory = torch.full((2, rows + 20, width), float("nan"), device="cuda")
    cos, sin = memory[0, 10:-10], memory[1, 10:-10]
    angles = torch.randn(rows, 64, device="cuda")
    wide = torch.cat([angles, angles], -1) if layout == "half" else angles.repeat_interleave(2, -1)
    cos.copy_((wide if repeated else angles).cos())
    sin.copy_((wide if repeated else angles).sin())
    x = randn(torch, 4, 1000, 8, 128, dtype="bfloat16")
    ids = torch.randint(-(2**62), 2**62, (4, 1000), device="cuda")
    ids[:, ::2] %= rows
    flag = torch.zeros(1, device="cuda", dtype=torch.int32)
    options: dict[str, Any] = {"layout": layout, "repeated": repeated, "overrun": "clamp"}
    out = ropelab_cuda.apply_rotary_cached(
        x, cos, sin, position_ids=ids, overrun_flag=flag, **options
    )
    given = (take(x), take(cos.contiguous()), take(sin.contiguous()))
    expected = ropelab.apply_rotary_cached(*given, position_ids=take(ids), **options)
    assert pair_error(take(out), expected, layout, 128) <= 1.01
    assert flag.item() == 1
    with pytest.raises(ValueError, match="position_ids: expected 0 to 49"):
        ropelab_cuda.apply_rotary_cached(x, cos, sin, position_ids=ids, repeated=repeated)
    out = ropelab_cuda.apply_rotary_cached(
        x, cos, sin, position_ids=ids % rows, layout=layout, repeated=repeated
    )
    assert bool(out.isfinite().all())


def test_memory_of_the_host_is_refused(torch: Any) -> None:
    x = randn(torch, 2, 3, 4, 128, dtype="float32")
    for offset in (torch.tensor([1, 2]), np.array([1, 2])):
        with pytest.raises(ValueError, match="offset: expected a tensor on a CUDA device"):
            ropelab_cuda.apply_rotary(x, Consecutive(offset), SPECTRUM)
    with pytest.raises(TypeError, match="offset: expected a CUDA tensor"):
        ropelab_cuda.apply_rotary(x, Consecutive([1, 2]), SPECTRUM)
