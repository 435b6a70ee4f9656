"""Who goes straight to the kernels, and who must not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import ropelab
from ropelab_cuda.torch import apply_rotary, plain
from ropelab_cuda.torch.plain import are_plain
from tests.torch_layer.support import NOISE, qk

pytestmark = NOISE

SPECTRUM = ropelab.Rope(12).spectrum()
IDS = torch.arange(5)


class Tagged(torch.Tensor):
    """A subclass."""


@pytest.fixture(autouse=True, params=["first", "known"])
def guards(request: pytest.FixtureRequest) -> Iterator[None]:
    """Ask twice: before any guard has been made, and where one knows such tensors."""
    plain._guards.clear()
    if request.param == "known":
        assert are_plain(*qk(dtype=torch.float32), IDS)
    yield
    plain._guards.clear()


def test_plain_tensors_are() -> None:
    q, k = qk(dtype=torch.float32)
    for tensors in ((q, k, IDS), (q[:, :3], k.transpose(0, 1), IDS[::2]), (q, k), (q.double(), k)):
        assert are_plain(*tensors)
        assert are_plain(*tensors)
    with torch.no_grad():
        assert are_plain(q, k, IDS)


OTHERS: dict[str, Callable[[torch.Tensor], Any]] = {
    "requires grad": lambda x: x.requires_grad_(),
    "parameter": lambda x: torch.nn.Parameter(x, requires_grad=False),
    "subclass": lambda x: x.as_subclass(Tagged),
    "meta": lambda x: x.to("meta"),
    "negation": lambda x: torch.complex(x, x).conj().imag,
    "zero": lambda x: torch._efficientzerotensor(x.shape),
    "sparse": lambda x: x.to_sparse(),
    "functional": torch._to_functional_tensor,
    "nested": lambda x: torch.nested.nested_tensor([*x]),  # at which torch's guard ends the process
    "array": lambda x: x.numpy(),
    "none": lambda _: None,
}


@pytest.mark.filterwarnings("ignore:The PyTorch API of nested tensors")
@pytest.mark.parametrize("place", [0, 1])
@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_others_are_not(other: Callable[[torch.Tensor], Any], place: int) -> None:
    tensors: list[Any] = [*qk(dtype=torch.float32), IDS]
    assert are_plain(*tensors)  # and now torch's guard knows such tensors
    tensors[place] = other(tensors[place])
    assert not are_plain(*tensors)


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Writes down what the dispatcher sees."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.seen: list[str] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


class Overriding(TorchFunctionMode):
    """Writes down what torch's functions are."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.seen.append(str(func))
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("mode", [Watching, Overriding])
def test_modes_see_the_operator(mode: type[Watching | Overriding]) -> None:
    with mode() as watching:
        assert not are_plain(*qk(dtype=torch.float32), IDS)
        watching.seen.clear()
        q, k = qk(dtype=torch.float32)
        apply_rotary(q, k, IDS, SPECTRUM)
    assert "ropelab.rotary_qk.default" in watching.seen


def test_states_of_torch_that_concern_the_dispatcher() -> None:
    q, k = qk(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        assert not are_plain(q, k, IDS)
    with FakeTensorMode():  # which torch's guards do not see
        assert not are_plain(q, k, IDS)
    with forward_ad.dual_level():
        assert not are_plain(q, k, IDS)
    assert are_plain(q, k, IDS)


@pytest.mark.parametrize(
    "transform", [torch.vmap, torch.func.functionalize], ids=lambda f: f.__name__
)
def test_transforms(transform: Callable[..., Any]) -> None:
    q, k = qk(dtype=torch.float32)
    answers = []

    def ask(x: torch.Tensor) -> torch.Tensor:
        answers.extend([are_plain(x, k, IDS), are_plain(q, k, IDS)])
        return x

    transform(ask)(q)
    assert answers == [False, False]


def test_tracing() -> None:
    q, k = qk(dtype=torch.float32)
    traced = torch.jit.trace(  # type: ignore[no-untyped-call]
        lambda q, k, ids: apply_rotary(q, k, ids, SPECTRUM), (q, k, IDS), check_trace=False
    )
    assert "ropelab::rotary_qk" in str(traced.graph)
    for y, z in zip(
        traced(q + 1, k, IDS + 9), apply_rotary(q + 1, k, IDS + 9, SPECTRUM), strict=True
    ):
        assert torch.equal(y, z)
