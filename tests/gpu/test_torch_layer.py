"""The torch layer on the GPU: no word to the host, graphs, devices; the rest runs on both."""

from __future__ import annotations

from typing import Any

import pytest

import ropelab
from ropelab.positions import Consecutive, Packed
from ropelab.scaling import DynamicNTK
from tests.gpu.waiting import without_synchronising

pytestmark = [pytest.mark.gpu, pytest.mark.filterwarnings("ignore:::torch")]

ROPE = ropelab.Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    return torch


@pytest.fixture(scope="module")
def layer() -> Any:
    import ropelab_cuda.torch

    return ropelab_cuda.torch


def inputs(torch: Any, *, requires_grad: bool = False, seed: int = 0) -> Any:
    generator = torch.Generator("cuda").manual_seed(seed)
    options = {"device": "cuda", "generator": generator, "requires_grad": requires_grad}
    q = torch.randn(2, 7, 4, 128, **options)
    k = torch.randn(2, 7, 2, 128, **options)
    ids = torch.arange(7, device="cuda") + torch.tensor([[3], [70_001 + 997 * seed]], device="cuda")
    return q, k, ids


def on_cpu(layer: Any, q: Any, k: Any, ids: Any, spectrum: Any) -> Any:
    return layer.apply_rotary(q.detach().cpu(), k.detach().cpu(), ids.cpu(), spectrum)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_both_devices_agree_and_the_host_waits_for_none(
    torch: Any, layer: Any, requires_grad: bool
) -> None:
    q, k, ids = inputs(torch, requires_grad=requires_grad)
    layer.apply_rotary(q, k, ids, layer.spectrum_for(ROPE, ids))  # compiles and loads
    with without_synchronising(torch):
        made = layer.apply_rotary(q, k, ids, layer.spectrum_for(ROPE, ids))
    for y, z in zip(made, on_cpu(layer, q, k, ids, ROPE.spectrum(70_008)), strict=True):
        torch.testing.assert_close(y.detach().cpu(), z, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_counted_positions_need_no_word_from_the_host(
    torch: Any, layer: Any, requires_grad: bool
) -> None:
    q, k, _ = inputs(torch, requires_grad=requires_grad)
    spectrum = ropelab.Rope(128).spectrum()
    offset = torch.tensor([5, 70_001], device="cuda")
    bounds = torch.tensor([0, 3, 7], device="cuda")

    def calls() -> Any:
        return (
            *layer.apply_rotary(q, k, Consecutive(offset), spectrum),
            *layer.apply_rotary(q[0], k[0], Packed(bounds), spectrum, tensor_format="thd"),
        )

    calls()
    with without_synchronising(torch):
        made = calls()
    ids = offset[:, None] + torch.arange(7, device="cuda")
    packed = torch.tensor([0, 1, 2, 0, 1, 2, 3], device="cuda")
    expected = (
        *on_cpu(layer, q, k, ids, spectrum),
        *(y[0] for y in on_cpu(layer, q[:1], k[:1], packed, spectrum)),
    )
    for y, z in zip(made, expected, strict=True):
        torch.testing.assert_close(y.detach().cpu(), z, rtol=1e-6, atol=1e-6)


def test_a_captured_graph_follows_its_positions(torch: Any, layer: Any) -> None:
    q, k, ids = inputs(torch)
    layer.apply_rotary(q, k, ids, layer.spectrum_for(ROPE, ids))
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        made = layer.apply_rotary(q, k, ids, layer.spectrum_for(ROPE, ids))
    for seed in (1, 2):
        for held, new in zip((q, k, ids), inputs(torch, seed=seed), strict=True):
            held.copy_(new)
        graph.replay()
        spectrum = ROPE.spectrum(70_001 + 997 * seed + 7)
        for y, z in zip(made, on_cpu(layer, q, k, ids, spectrum), strict=True):
            torch.testing.assert_close(y.cpu(), z, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("requires_grad", [False, True])
def test_tensors_on_different_devices_are_refused(
    torch: Any, layer: Any, requires_grad: bool
) -> None:
    q, k, ids = inputs(torch, requires_grad=requires_grad)
    spectrum = ropelab.Rope(128).spectrum()
    for name, tensors in {
        "k": (q, k.detach().cpu(), ids),
        "position_ids": (q, k, ids.cpu()),
        "q": (q.detach().cpu(), k, ids),
    }.items():
        with pytest.raises(ValueError, match=f"{name}: expected a tensor on"):
            layer.apply_rotary(*tensors, spectrum)


def test_channels_apart_are_rotated_in_place(torch: Any, layer: Any) -> None:
    q, k, ids = inputs(torch)
    apart = [x.transpose(1, 3).contiguous().transpose(1, 3) for x in (q, k)]
    spectrum = ropelab.Rope(128).spectrum()
    layer.apply_rotary_(*apart, ids, spectrum)
    for y, z in zip(apart, on_cpu(layer, q, k, ids, spectrum), strict=True):
        torch.testing.assert_close(y.cpu(), z, rtol=1e-6, atol=1e-6)
