"""What must not be overwritten is refused, and then nothing has been written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import ropelab
from ropelab_cuda.torch import apply_rotary_, ops
from ropelab_cuda.torch.spectra import as_text
from tests.torch_layer.support import NOISE, pair_error, qk, turned

pytestmark = NOISE

BASE = 500.0
SPECTRUM = ropelab.Rope(12, base=BASE).spectrum()
INV_FREQ = [BASE ** (-i / 6) for i in range(6)]
IDS = torch.tensor([[3, 70_001, 2, 131_071, 0], [-4, 9, 77_777, 5, 100_003]])


class Tagged(torch.Tensor):
    """A subclass that changes nothing."""


def given() -> tuple[torch.Tensor, torch.Tensor]:
    return qk(dtype=torch.float32)


def check_rotated(made: tuple[torch.Tensor, ...], before: tuple[torch.Tensor, ...]) -> None:
    for y, x in zip(made, before, strict=True):
        assert pair_error(y.detach(), turned(x.detach(), IDS, INV_FREQ)) <= 1.5


@pytest.mark.parametrize("kind", ["leaf", "not a leaf"])
def test_what_requires_grad_is_not_overwritten(kind: str) -> None:
    q, k = given()
    x = k.clone().requires_grad_()
    x = x if kind == "leaf" else x * 1
    calls: list[Callable[[], object]] = [
        lambda: apply_rotary_(q, x, IDS, SPECTRUM),
        lambda: ops.rotary_qk_(
            *(q, x, IDS, as_text(SPECTRUM), None, "exact", "bshd", "half", None, 0, False)
        ),
    ]
    before = q.clone()
    for call in calls:
        with pytest.raises(ValueError, match="k: expected a tensor that may be overwritten; got"):
            call()
    assert torch.equal(q, before)
    assert torch.equal(x, k)
    with torch.no_grad():
        apply_rotary_(q, x, IDS, SPECTRUM)
    check_rotated((q, x), (before, k))


@pytest.mark.parametrize("name", ["q", "k"])
@pytest.mark.parametrize("grad_mode", [torch.enable_grad, torch.no_grad], ids=lambda f: f.__name__)
@pytest.mark.parametrize("subclass", [False, True], ids=["straight", "dispatched"])
def test_what_inference_mode_made_is_overwritten_in_it_alone(
    subclass: bool, grad_mode: Callable[[], Any], name: str
) -> None:
    q, k = given()
    tensors = {"q": q.clone(), "k": k.clone()}
    with torch.inference_mode():
        tensors[name] = tensors[name].clone()
    if subclass:
        other = "k" if name == "q" else "q"
        tensors[other] = tensors[other].as_subclass(Tagged)
    x, y = tensors.values()
    with grad_mode(), pytest.raises(ValueError, match=f"{name}: expected .* inference mode, which"):
        apply_rotary_(x, y, IDS, SPECTRUM)
    for now, before in ((x, q), (y, k)):
        assert torch.equal(now.as_subclass(torch.Tensor), before)
    with torch.inference_mode():
        apply_rotary_(x, y, IDS, SPECTRUM)
    check_rotated((x.as_subclass(torch.Tensor), y.as_subclass(torch.Tensor)), (q, k))


IMMUTABLE: dict[str, Callable[[torch.Tensor], torch.Tensor]] = {
    "zero": lambda x: torch._efficientzerotensor(x.shape),
    "sparse": lambda x: x.to_sparse(),
    "meta": lambda x: x.to("meta"),
    "other dtype": lambda x: x.bfloat16(),
    "float8": lambda x: x.to(torch.float8_e4m3fn),
    "other tokens": lambda x: x[:, :4],
    "negation": lambda x: torch.complex(x, x).conj().imag,
    "expanded": lambda x: x[:, :1].expand_as(x),
    "nested": lambda x: torch.nested.nested_tensor([*x]),
    "none": lambda _: None,  # type: ignore[dict-item,return-value]
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("place", [0, 1], ids=["q", "k"])
@pytest.mark.parametrize("other", IMMUTABLE.values(), ids=IMMUTABLE)
def test_nothing_has_been_written_when_one_of_two_is_refused(
    other: Callable[[torch.Tensor], torch.Tensor], place: int
) -> None:
    tensors = [x.clone() for x in given()]
    tensors[place] = other(tensors[place])
    with pytest.raises((TypeError, ValueError, RuntimeError, NotImplementedError)):
        apply_rotary_(tensors[0], tensors[1], IDS, SPECTRUM)
    assert torch.equal(tensors[1 - place], given()[1 - place])


def test_memory_that_is_shared_is_not_overwritten() -> None:
    q, _ = given()
    before = q.clone()
    with pytest.raises(ValueError, match="q: expected memory that k does not use"):
        apply_rotary_(q, q[:, :, :2], IDS, SPECTRUM)
    with pytest.raises(ValueError, match="k: expected memory of its own for every element"):
        apply_rotary_(q, torch.ones(2, 5, 1, 12).expand(2, 5, 2, 12), IDS, SPECTRUM)
    assert torch.equal(q, before)


def test_transforms_overwrite_nothing() -> None:
    q, k = given()
    with pytest.raises(NotImplementedError, match=r"apply_rotary_: a transform of torch\.func"):
        torch.vmap(lambda q: apply_rotary_(q, k, IDS, SPECTRUM))(q[None])
