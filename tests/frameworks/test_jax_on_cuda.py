"""What the gate does with JAX's arrays on a CUDA device, for which CPU memory stands in."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab_cuda import arrays, exchange, frameworks
from ropelab_cuda.exchange import Gate
from tests.ropelab.support import refuses
from tests.ropelab_cuda.forged import Forged

NUMBERS = ropelab.Spectrum(np.array([1.0, 0.25]))
STREAM = 0x5EED
X, IDS = torch.ones(1, 3, 2, 4), torch.arange(3)


class Sharded(Forged):
    """An array on several devices, as JAX answers for it."""

    def __dlpack_device__(self) -> tuple[int, int]:
        msg = "only for unsharded arrays"
        raise BufferError(msg)


@pytest.fixture(autouse=True)
def jax(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = SimpleNamespace(
        Array=Forged,
        dtypes=SimpleNamespace(canonicalize_dtype=lambda dtype: dtype),
        dlpack=SimpleNamespace(from_dlpack=lambda array, device: ("JAX's", array, device)),
    )
    monkeypatch.setitem(sys.modules, "jax", stand_in)
    monkeypatch.setattr(frameworks.CuPy, "stream", lambda _self, device: STREAM + device)


def of_jax() -> Forged:
    """Return an array that does not say that it may not be written, as JAX's do not."""
    return Forged(X.clone(), old=True)


def test_in_place_and_out_are_refused_by_name() -> None:
    x, ids = of_jax(), Forged(IDS)
    with refuses(ValueError, "x", "JAX", "immutable"):
        ropelab_cuda.apply_rotary_(x, ids, NUMBERS)
    with refuses(ValueError, "out", "JAX", "immutable"):
        ropelab_cuda.apply_rotary(x, ids, NUMBERS, out=of_jax())
    assert torch.equal(x.tensor, X)


def test_its_producer_orders_the_stream_of_the_launch() -> None:
    x = of_jax()
    view = Gate(x, "x").floats(x, "x")
    assert (view.pointer, view.shape) == (x.tensor.data_ptr(), (1, 3, 2, 4))
    assert x.streams == [STREAM]


def test_an_array_on_several_devices() -> None:
    with refuses(ValueError, "x", "unsharded"):
        ropelab_cuda.apply_rotary(Sharded(X), Forged(IDS), NUMBERS)


@pytest.mark.parametrize("lender", ["x", "position_ids", "nobody"])
def test_a_call_waits_for_its_kernel_before_jax_may_reuse_what_it_reads(
    monkeypatch: pytest.MonkeyPatch, lender: str
) -> None:
    events: list[tuple[str, int]] = []
    runtime = SimpleNamespace(streamSynchronize=lambda stream: events.append(("wait", stream)))
    cupy = SimpleNamespace(cuda=SimpleNamespace(runtime=runtime))
    monkeypatch.setattr(exchange, "require_cupy", lambda: cupy)
    monkeypatch.setattr(exchange, "function", lambda _specialisation: None)
    monkeypatch.setattr(
        exchange,
        "prepare_launch",
        lambda *_plan: lambda stream: events.append(("launch", stream)),
    )
    monkeypatch.setattr(frameworks.CuPy, "on_device", lambda _self, _device: nullcontext())
    made = Plain(torch.empty_like(X))
    monkeypatch.setattr(frameworks.Foreign, "empty_like", lambda *_given: made)
    x: Any = of_jax() if lender == "x" else Plain(X)
    ids: Any = Forged(IDS) if lender == "position_ids" else Plain(IDS)
    found = arrays.apply_rotary(x, ids, NUMBERS)
    expected = [("launch", STREAM), ("wait", STREAM)]
    assert events == (expected[:1] if lender == "nobody" else expected)
    assert found == (("JAX's", made, (2, 0)) if lender == "x" else made)


class Plain:
    """An array of some other producer."""

    def __init__(self, tensor: Any) -> None:
        self._forged, self.shape = Forged(tensor), tensor.shape
        self.dtype = tensor.numpy().dtype

    def __dlpack_device__(self) -> tuple[int, int]:
        return self._forged.__dlpack_device__()

    def __dlpack__(self, **options: Any) -> object:
        return self._forged.__dlpack__(**options)


def test_results_are_allocated_from_the_device_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def using_allocator(allocator: object) -> Any:
        asked.append(allocator)
        return nullcontext()

    cuda = SimpleNamespace(using_allocator=using_allocator)
    cupy = SimpleNamespace(cuda=cuda, empty=lambda shape, dtype: np.empty(shape, dtype))
    monkeypatch.setattr(frameworks, "require_cupy", lambda: cupy)
    monkeypatch.setattr(frameworks.CuPy, "on_device", lambda _self, _device: nullcontext())
    x = of_jax()
    made = frameworks.Jax().empty_like(x, Gate(x, "x").floats(x, "x"), "float16")
    assert (made.shape, made.dtype, asked) == ((1, 3, 2, 4), np.float16, [None])
