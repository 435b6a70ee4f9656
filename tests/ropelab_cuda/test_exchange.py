"""The gate: what it takes, what it refuses and in which words; CPU memory stands in for a GPU's."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import ropelab
import ropelab_cuda
from ropelab_cuda import frameworks, torch_tensors
from ropelab_cuda.exchange import Gate
from tests.ropelab.support import refuses
from tests.ropelab_cuda.forged import Forged
from tests.shim.on_cpu import on_cpu

NUMBERS = ropelab.Spectrum(np.array([1.0, 0.25]))
STREAM = 0x5EED


@pytest.fixture
def cpu() -> Iterator[None]:
    with on_cpu():
        yield


@pytest.fixture
def cupy_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks.CuPy, "stream", lambda _self, device: STREAM + device)


def ones(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.ones(*shape, dtype=dtype)


X, IDS = ones(1, 3, 2, 4), torch.arange(3)


# ------------------------------------------------------------------------------------------------
# What is taken


@pytest.mark.parametrize("use_c_api", [True, False])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
def test_a_torch_tensor_is_described_by_both_ways_of_export(
    use_c_api: bool, dtype: torch.dtype
) -> None:
    tensor = torch.zeros(4, 6, 8, dtype=dtype).transpose(0, 1)[1:, :, 2:]
    export, owner = frameworks.Torch(use_c_api=use_c_api).export(tensor, "x", None)
    assert export.pointer == tensor.data_ptr()
    assert export.shape == (5, 4, 6)
    assert export.strides == (8, 48, 1)
    assert export.dtype == str(dtype).removeprefix("torch.")
    assert owner is tensor or tensor in owner  # type: ignore[operator]


def test_the_c_api_is_found_in_this_torch() -> None:
    assert torch_tensors._c_exporter(torch.Tensor) is not None


@pytest.mark.shim
@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_torch_in_and_torch_out(dtype: torch.dtype) -> None:
    x = torch.randn(2, 3, 5, 4, generator=torch.Generator().manual_seed(0)).to(dtype)
    before = x.clone()
    y = ropelab_cuda.apply_rotary(x, IDS, NUMBERS)
    assert type(y) is torch.Tensor
    assert (y.dtype, y.shape, y.stride()) == (x.dtype, x.shape, x.stride())
    assert torch.equal(x, before)
    expected = ropelab.apply_rotary(x.double(), IDS, NUMBERS)
    assert np.abs(y.double().numpy() - expected).max() <= 8 * torch.finfo(dtype).eps


@pytest.mark.shim
@pytest.mark.usefixtures("cpu")
def test_a_parameter_is_taken_under_no_grad_and_answered_by_a_tensor() -> None:
    with torch.no_grad():
        y = ropelab_cuda.apply_rotary(torch.nn.Parameter(X.clone()), IDS, NUMBERS)
    assert type(y) is torch.Tensor
    assert not y.requires_grad


@pytest.mark.shim
@pytest.mark.usefixtures("cpu")
def test_phases_and_tables_of_torch_positions() -> None:
    phases = ropelab_cuda.exact_phases(IDS, NUMBERS)
    assert phases.dtype == torch.uint64
    assert phases.numpy().tolist() == ropelab.exact_phases(IDS, NUMBERS).tolist()
    cos, sin = ropelab_cuda.cos_sin(IDS, NUMBERS, dtype=torch.bfloat16)
    assert (cos.dtype, sin.shape) == (torch.bfloat16, (3, 2))


@pytest.mark.shim
@pytest.mark.usefixtures("cpu")
def test_writing_in_place_bumps_the_version() -> None:
    x, out = X.clone(), torch.empty_like(X)
    ropelab_cuda.apply_rotary_(x, IDS, NUMBERS)
    assert x._version == 1
    ropelab_cuda.apply_rotary(x, IDS, NUMBERS, out=out)
    assert (x._version, out._version) == (1, 1)
    weight = torch.ones(1, 3, 2, 4, requires_grad=True)
    saved = X.clone()
    loss = (weight * saved).sum()
    ropelab_cuda.apply_rotary_(saved, IDS, NUMBERS)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()  # type: ignore[no-untyped-call]


@pytest.mark.shim
@pytest.mark.usefixtures("cpu")
def test_an_inference_tensor_is_rotated_in_place() -> None:
    with torch.inference_mode():
        x = torch.ones(1, 3, 2, 4)
        ropelab_cuda.apply_rotary_(x, IDS, NUMBERS)
    assert not torch.equal(x, X)


@pytest.mark.usefixtures("cupy_stream")
@pytest.mark.parametrize("old", [True, False])
@pytest.mark.parametrize("device", [(2, 0), (2, 1), (13, 0)])
def test_any_producer_is_taken_by_its_capsule(device: tuple[int, int], old: bool) -> None:
    forged = Forged(torch.zeros(3, 4)[:, 1:], device, old=old)
    view = Gate(forged, "x").floats(forged, "x")
    assert (view.shape, view.strides, view.dtype) == ((3, 3), (4, 1), "float32")
    assert (view.pointer, view.device) == (forged.tensor.data_ptr(), device[1])
    assert forged.streams == [STREAM + device[1]]


def test_the_legacy_stream_is_called_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(frameworks.CuPy, "stream", lambda _self, _device: 0)
    forged = Forged(X)
    Gate(forged, "x").floats(forged, "x")
    assert forged.streams == [1]


@pytest.mark.shim
@pytest.mark.usefixtures("cpu")
def test_positions_of_another_framework_are_ordered_on_the_first_ones_stream(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(frameworks.Torch, "stream", lambda _self, device: STREAM + device)
    forged = Forged(IDS)
    y = ropelab_cuda.apply_rotary(X, forged, NUMBERS)
    assert forged.streams == [STREAM]
    assert torch.equal(y, ropelab_cuda.apply_rotary(X, IDS, NUMBERS))


# ------------------------------------------------------------------------------------------------
# What is refused. The stand-in for the device is on, so that only the reason named is a reason.


def refused_tensors() -> dict[str, tuple[Callable[[], Any], type[Exception], str]]:
    complex_ = torch.ones(1, 3, 2, 4, dtype=torch.complex64)
    return {
        "list": (lambda: [1.0], TypeError, "list"),
        "integers": (lambda: torch.ones(1, 3, 2, 4, dtype=torch.int32), TypeError, "int32"),
        "float8": (lambda: X.to(torch.float8_e4m3fn), TypeError, "float8_e4m3fn"),
        "complex": (lambda: complex_, TypeError, "complex64"),
        "conjugated": (lambda: complex_.conj(), ValueError, "conjugation"),
        "negated": (
            lambda: torch.ones(1, 3, 2, 4, dtype=torch.complex64).conj().imag,
            ValueError,
            "negation",
        ),
        "zero": (lambda: torch._efficientzerotensor((1, 3, 2, 4)), ValueError, "zero"),
        "sparse": (lambda: X.to_sparse(), TypeError, "torch.sparse_coo"),
        "grad": (lambda: X.clone().requires_grad_(), ValueError, "requires grad"),
        "parameter": (lambda: torch.nn.Parameter(X.clone()), ValueError, "detach()"),
        "subclass": (lambda: X.as_subclass(Subclass), TypeError, "Subclass"),
        "last stride": (lambda: torch.ones(1, 3, 2, 8)[..., ::2], ValueError, "(48, 16, 8, 2)"),
        "three axes": (lambda: torch.ones(3, 2, 4), ValueError, "(3, 2, 4)"),
        "narrow head": (
            lambda: torch.ones(1, 3, 2, 3),
            ValueError,
            "head_dim (the last axis) is 3",
        ),
    }


class Subclass(torch.Tensor):
    """A tensor that may stand for anything."""


@pytest.mark.usefixtures("cpu")
@pytest.mark.filterwarnings("ignore:Sparse invariant checks")
@pytest.mark.parametrize("kind", refused_tensors())
def test_a_tensor_that_cannot_be_taken(kind: str) -> None:
    make, error, came = refused_tensors()[kind]
    with refuses(error, "x", came):
        ropelab_cuda.apply_rotary(make(), IDS, NUMBERS)


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize(
    ("ids", "error", "came"),
    [
        (torch.arange(3.0), TypeError, "float32"),
        (torch.ones(3, dtype=torch.bool), TypeError, "bool"),
        (torch.ones(3, dtype=torch.uint64), TypeError, "uint64"),
        (torch.arange(4), ValueError, "(4,)"),
        (torch.zeros(3, 1, dtype=torch.int64), ValueError, "(3, 1)"),
        ([0, 1, 2], TypeError, "list"),
    ],
)
def test_positions_that_cannot_be_taken(ids: Any, error: type[Exception], came: str) -> None:
    with refuses(error, "position_ids", came):
        ropelab_cuda.apply_rotary(X, ids, NUMBERS)


def test_a_functorch_wrapper_is_refused() -> None:
    with on_cpu(), refuses(TypeError, "x", "torch.func"):
        torch.vmap(lambda x: ropelab_cuda.apply_rotary(x, IDS, NUMBERS))(torch.ones(2, 1, 3, 2, 4))


def test_a_fake_tensor_is_refused() -> None:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        fake = torch.empty(1, 3, 2, 4, device="cuda")
    with refuses(TypeError, "x", "FakeTensor"):
        ropelab_cuda.apply_rotary(fake, IDS, NUMBERS)


@pytest.mark.parametrize("x", [X, X.numpy(), Forged(X, (3, 0)), Forged(X, (10, 0))])
def test_memory_that_is_no_cuda_devices(x: Any) -> None:
    with refuses(ValueError, "x", type(x).__name__, "CUDA device"):
        ropelab_cuda.apply_rotary(x, IDS, NUMBERS)


@pytest.mark.usefixtures("cupy_stream")
def test_tensors_of_two_devices() -> None:
    q, k = Forged(X, (2, 0)), Forged(X, (2, 1))
    with refuses(ValueError, "k", "cuda:0", "cuda:1"):
        ropelab_cuda.apply_rotary_qk(q, k, IDS, NUMBERS)
    with refuses(ValueError, "position_ids", "cuda:0", "cuda:1"):
        ropelab_cuda.apply_rotary(q, Forged(IDS, (2, 1)), NUMBERS)


@pytest.mark.usefixtures("cupy_stream")
def test_a_read_only_tensor_is_not_written() -> None:
    forged = Forged(X.clone())
    forged.flags = 1
    with refuses(ValueError, "x", "read-only"):
        ropelab_cuda.apply_rotary_(forged, Forged(IDS), NUMBERS)


@pytest.mark.usefixtures("cpu")
def test_queries_and_keys_that_do_not_belong_together() -> None:
    with refuses(TypeError, "k", "float32", "float64"):
        ropelab_cuda.apply_rotary_qk(X, X.double(), IDS, NUMBERS)
    with refuses(ValueError, "k", "(1, 4, 2, 4)"):
        ropelab_cuda.apply_rotary_qk(X, ones(1, 4, 2, 4), IDS, NUMBERS)
    with refuses(TypeError, "k", "ndarray"):
        ropelab_cuda.apply_rotary_qk(X, X.numpy(), IDS, NUMBERS)


def bad_outputs() -> dict[str, tuple[Any, type[Exception], str]]:
    return {
        "shape": (ones(1, 3, 2, 6), ValueError, "(1, 3, 2, 6)"),
        "dtype": (X.double(), TypeError, "float64"),
        "framework": (X.numpy(), TypeError, "ndarray"),
        "list": ([0.0], TypeError, "list"),
        "last stride": (ones(1, 3, 2, 8)[..., ::2], ValueError, "last stride 1"),
        "itself": (ones(1, 1, 1, 4).expand(1, 3, 2, 4), ValueError, "share memory"),
        "grad": (X.clone().requires_grad_(), ValueError, "requires grad"),
    }


@pytest.mark.usefixtures("cpu")
@pytest.mark.parametrize("kind", bad_outputs())
def test_an_output_that_cannot_be_taken(kind: str) -> None:
    out, error, came = bad_outputs()[kind]
    with refuses(error, "out", came):
        ropelab_cuda.apply_rotary(X, IDS, NUMBERS, out=out)


@pytest.mark.usefixtures("cpu")
def test_overlaps_are_refused_before_anything_is_written() -> None:
    memory = torch.randn(64, generator=torch.Generator().manual_seed(0))
    before = memory.clone()
    x, shifted = memory[:24].view(1, 3, 2, 4), memory[8:32].view(1, 3, 2, 4)
    with refuses(ValueError, "out", "x"):
        ropelab_cuda.apply_rotary(x, IDS, NUMBERS, out=shifted)
    with refuses(ValueError, "q", "k"):
        ropelab_cuda.apply_rotary_qk_(x, shifted, IDS, NUMBERS)
    with refuses(ValueError, "out[1]", "out[0]"):
        ropelab_cuda.apply_rotary_qk(X, X, IDS, NUMBERS, out=(x, shifted))
    ids = memory.view(torch.int32)[:3]
    with refuses(ValueError, "x", "position_ids"):
        ropelab_cuda.apply_rotary_(x, ids, NUMBERS)
    with refuses(TypeError, "out", "Tensor"):
        ropelab_cuda.apply_rotary_qk(X, X, IDS, NUMBERS, out=x)  # type: ignore[arg-type]
    assert torch.equal(memory, before)


@pytest.mark.usefixtures("cpu")
def test_options_and_spectra_that_are_none() -> None:
    for option in ("layout", "tensor_format", "angles"):
        with refuses(ValueError, option, "'neox'"):
            ropelab_cuda.apply_rotary(X, IDS, NUMBERS, **{option: "neox"})  # type: ignore[arg-type]
    with refuses(TypeError, "spectrum", "Rope"):
        ropelab_cuda.apply_rotary(X, IDS, ropelab.Rope(4))  # type: ignore[arg-type]
    with refuses(TypeError, "dtype", "int32"):
        ropelab_cuda.cos_sin(IDS, NUMBERS, dtype="int32")


@pytest.mark.usefixtures("cpu")
def test_tables_that_cannot_be_taken() -> None:
    cos = ones(3, 2)
    with refuses(TypeError, "sin", "float64"):
        ropelab_cuda.apply_rotary_cached(X, cos, cos.double())
    with refuses(ValueError, "sin", "1"):
        ropelab_cuda.apply_rotary_cached(X, cos, ones(3, 1))
    with refuses(ValueError, "cos", "at most 2 columns", "got 4", "repeated=True"):
        ropelab_cuda.apply_rotary_cached(X, ones(3, 4), ones(3, 4))
    with refuses(ValueError, "cos", "(4, 2)"):
        ropelab_cuda.apply_rotary_cached(X, ones(4, 2), ones(4, 2))


def test_without_cupy_the_import_works_and_the_first_use_says_what_to_install() -> None:
    script = (
        "import sys; sys.modules['cupy'] = None\n"
        "import ropelab_cuda\n"
        "from ropelab_cuda._cupy import require_cupy\n"
        "try: require_cupy()\n"
        "except ImportError as error: print(error)\n"
    )
    root = Path(__file__).parents[2]
    outcome = subprocess.run(
        [sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True
    )
    assert "ropelab[cuda13]" in outcome.stdout
    assert "ropelab[cuda12]" in outcome.stdout
