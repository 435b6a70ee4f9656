"""Calls like the last one go past the dispatcher, and no others; with kernels on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from unittest import mock

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

import ropelab
import ropelab_cuda.torch as layer
from ropelab.positions import Consecutive
from ropelab_cuda import recordings
from ropelab_cuda.torch import on_cpu as kernels
from ropelab_cuda.torch import on_cuda
from tests.shim.on_cpu import on_cpu

pytestmark = pytest.mark.shim

ROPE = ropelab.Rope(12, rotary_dim=8, layout="interleaved", rotary_offset=2)
SPECTRUM = ROPE.spectrum()
IDS = torch.tensor([[3, 131_071, 70_007]])
OPTIONS: dict[str, Any] = {"layout": "interleaved", "rotary_offset": 2}

Pair = tuple[torch.Tensor, torch.Tensor]


@pytest.fixture(autouse=True)
def device() -> Iterator[None]:
    """Let CPU tensors go to the kernels, with no plan known."""
    recordings.thread.mine = None
    names = ("rotary_qk", "rotary_qk_")
    with on_cpu(), mock.patch.multiple(kernels, **{name: getattr(on_cuda, name) for name in names}):
        yield
    recordings.thread.mine = None


def new(seed: int) -> Pair:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(2, 3, 4, 12, generator=generator), torch.randn(
        2, 3, 2, 12, generator=generator
    )


def out(q: torch.Tensor, k: torch.Tensor, ids: Any = IDS) -> Pair:
    return layer.apply_rotary(q, k, ids, SPECTRUM, **OPTIONS)


def in_place(q: torch.Tensor, k: torch.Tensor, ids: Any = IDS) -> Pair:
    return layer.apply_rotary_(q, k, ids, SPECTRUM, **OPTIONS)


def by_module(q: torch.Tensor, k: torch.Tensor, ids: Any = IDS) -> Pair:
    made: Pair = layer.RotaryEmbedding(ROPE)(q, k, ids)
    return made


CALLS = [out, in_place, by_module]


def goes_straight() -> AbstractContextManager[Any]:
    """Let nothing pass that asks what kind of tensors came."""
    asked = AssertionError("it went another way")
    return mock.patch("ropelab_cuda.torch.rotary.are_plain", side_effect=asked)


def check(call: Callable[..., Pair], seed: int) -> None:
    q, k = new(seed)
    wanted = [ropelab.apply_rotary(x.numpy(), IDS.numpy(), SPECTRUM, **OPTIONS) for x in (q, k)]
    for x, want in zip(call(q, k), wanted, strict=True):
        assert abs(x.detach().numpy() - want).max() <= 2e-6


@pytest.mark.parametrize("call", CALLS)
def test_the_third_call_goes_straight(call: Callable[..., Pair]) -> None:
    for seed in range(2):
        check(call, seed)
    with goes_straight():
        check(call, 2)


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A mode that counts our operators."""

    seen = 0

    def __torch_dispatch__(self, function: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:
        Watching.seen += "ropelab" in str(function)
        return function(*args, **(kwargs or {}))


OTHERS: dict[str, Callable[[], AbstractContextManager[Any]]] = {
    "a mode": Watching,
    "autocast": lambda: torch.autocast("cpu", torch.bfloat16),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("other", OTHERS)
def test_whoever_watches_is_not_passed_by(call: Callable[..., Pair], other: str) -> None:
    for seed in range(3):
        check(call, seed)
    Watching.seen = 0
    with OTHERS[other](), goes_straight(), pytest.raises(AssertionError, match="another way"):
        check(call, 3)
    if other == "a mode":
        with OTHERS[other]():
            check(call, 4)
        assert Watching.seen == 1
    with goes_straight():
        check(call, 5)


@pytest.mark.parametrize("call", [out, by_module])
def test_gradients_are_recorded_once_tensors_require_them(call: Callable[..., Pair]) -> None:
    for seed in range(3):
        check(call, seed)
    q, k = new(3)
    with torch.no_grad():
        for _ in range(3):
            call(q.clone().requires_grad_(), k)
    made = call(q.requires_grad_(), k)
    assert made[0].grad_fn is not None
    assert not made[1].requires_grad
    (back,) = torch.autograd.grad(made[0].square().sum(), q)
    torch.testing.assert_close(back, 2 * q.detach(), rtol=0.0, atol=1e-5)  # lengths stay


def test_a_leaf_is_not_overwritten_because_another_tensor_was() -> None:
    for seed in range(3):
        check(in_place, seed)
    q, k = new(3)
    before = q.clone()
    with pytest.raises(ValueError, match=r"^q: "):
        in_place(q.requires_grad_(), k)
    assert torch.equal(q, before)


@pytest.mark.parametrize("inside", [False, True])
def test_tensors_of_inference_mode(inside: bool) -> None:
    with torch.inference_mode():
        for seed in range(3):
            check(in_place, seed)
        q, k = new(3)
        before = q.clone()
    if inside:
        with torch.inference_mode():
            in_place(q, k)
        assert not torch.equal(q, before)
        return
    with pytest.raises(ValueError, match="inference mode"):
        in_place(q, k)
    assert torch.equal(q, before)


@pytest.mark.parametrize("call", CALLS)
def test_other_tensors_go_the_other_way(call: Callable[..., Pair]) -> None:
    for seed in range(3):
        check(call, seed)
    q, k = new(3)
    others: dict[str, Any] = {
        "wider": torch.cat([q, q], -1)[..., :14],
        "on the meta device": q.to("meta"),
        "negated": torch._neg_view(q.clone()),
        "no tensor": q.numpy(),
    }
    for kind, x in others.items():
        given = x.copy() if kind == "no tensor" else x
        negates = kind == "negated" and call is not in_place
        with nullcontext() if negates else pytest.raises((TypeError, ValueError)):
            made = call(given, k.clone())
            torch.testing.assert_close(made[0], -call(q.clone(), k.clone())[0])
    with pytest.raises(ValueError, match="position_ids"):
        call(q, k, IDS[:, :2])
    with pytest.raises(TypeError, match="position_ids"):
        call(q, k, IDS.double())
    call(q, k, Consecutive(5))
    check(call, 4)
