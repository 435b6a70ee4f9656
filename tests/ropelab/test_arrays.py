"""Arrays of any framework come in as the same numbers; what would lose some is refused."""

import gc
from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch._subclasses.fake_tensor import FakeTensorMode

from ropelab import bfloat16
from ropelab.arrays import as_array, as_floats, as_integers, as_reals
from tests.ropelab.support import bits, refuses

NAMES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.float16: "float16",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.int16: "int16",
    torch.int8: "int8",
    torch.uint8: "uint8",
    torch.uint16: "uint16",
    torch.uint32: "uint32",
    torch.uint64: "uint64",
    torch.bool: "bool",
    torch.complex128: "complex128",
}


class Exporter:
    """A tensor of a framework that is neither NumPy nor torch."""

    def __init__(self, tensor: torch.Tensor, *, device: int = 1, capsule: object = None) -> None:
        self.tensor, self.device, self.capsule = tensor, device, capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return self.device, 0

    def __dlpack__(self, **_: object) -> object:
        return self.capsule or self.tensor.__dlpack__()


@pytest.mark.parametrize("dtype", NAMES, ids=NAMES.get)
def test_a_torch_tensor_shares_its_memory_under_its_own_dtype(dtype: torch.dtype) -> None:
    tensor = torch.arange(24).reshape(2, 3, 4).to(dtype)
    array = as_array(tensor, "x")
    assert array.dtype == np.dtype(NAMES[dtype])
    assert array.tolist() == tensor.tolist()
    tensor[1, 2, 3] = 0
    assert array[1, 2, 3] == 0


def views(tensor: torch.Tensor) -> dict[str, torch.Tensor]:
    return {
        "whole": tensor,
        "transposed": tensor.transpose(0, 2),
        "strided": tensor[:, 1::2, ::3],
        "offset by one element": tensor.flatten()[1:9].reshape(2, 4),
        "expanded": tensor[:, :1].expand(4, 5, 6),
        "scalar": tensor[1, 2, 3],
        "empty": tensor[:, :0],
    }


@pytest.mark.parametrize("name", views(torch.zeros(4, 5, 6)))
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def test_a_view_is_read_through_its_strides(name: str, dtype: torch.dtype) -> None:
    tensor = views((torch.arange(120.0).reshape(4, 5, 6) - 60.5).to(dtype))[name]
    array = as_floats(tensor, "x")
    if dtype == torch.bfloat16:
        assert array.dtype == bfloat16
        array = array.view(np.uint16).view(ml_dtypes.bfloat16)
    assert array.shape == tensor.shape
    assert array.astype(np.float64).tolist() == tensor.double().tolist()


def test_bfloat16_arrives_bit_for_bit() -> None:
    patterns = np.arange(65536, dtype=np.uint16)  # every NaN payload and both zeros among them
    array = as_floats(torch.from_numpy(patterns.copy()).view(torch.bfloat16), "x")
    assert array.dtype == bfloat16
    assert bits(array) == bits(patterns)


def test_the_memory_outlives_the_tensor() -> None:
    array = as_array(torch.full((1000,), 7.0), "x")
    gc.collect()
    others = [torch.full((1000,), 9.0) for _ in range(50)]
    assert (array == 7.0).all()
    assert len(others) == 50


def test_borrowed_memory_cannot_be_written() -> None:
    array = as_array(torch.zeros(3), "x")
    with pytest.raises(ValueError, match="read-only"):
        array[0] = 1.0


def test_another_frameworks_export_is_read() -> None:
    tensor = torch.arange(6.0).reshape(2, 3).T
    assert as_array(Exporter(tensor), "x").tolist() == tensor.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "array", [np.zeros(3), np.zeros(3, ml_dtypes.bfloat16)], ids=["f8", "bf16"]
)
def test_a_numpy_array_is_itself(array: NDArray[Any]) -> None:
    assert as_floats(array, "x") is array


def test_a_subclass_loses_its_own_arithmetic() -> None:
    class Reversed(np.ndarray):
        def __mul__(self, other: object) -> Any:
            return -np.asarray(self) * other

    assert type(as_array(np.ones(3).view(Reversed), "x")) is np.ndarray


def test_a_mask_is_not_dropped_in_silence() -> None:
    with refuses(TypeError, "x", "MaskedArray"):
        as_array(np.ma.masked_array([1.0, 2.0], mask=[True, False]), "x")


def lazily_negative() -> torch.Tensor:
    return torch.complex(torch.ones(3), torch.ones(3)).conj().imag


def fake() -> torch.Tensor:
    with FakeTensorMode():
        return torch.ones(3)


@pytest.mark.parametrize(
    ("make", "came"),
    [
        pytest.param(lambda: torch.ones(3, requires_grad=True), "detach", id="requires grad"),
        pytest.param(lazily_negative, "negation", id="negative bit"),
        pytest.param(
            lambda: torch.ones(3, dtype=torch.complex64).conj(), "conj", id="conjugate bit"
        ),
        pytest.param(lambda: torch._efficientzerotensor((3,)), "zero", id="lazy zero"),
        pytest.param(lambda: torch.ones(3, device="meta"), "meta", id="meta"),
        pytest.param(lambda: torch.ones(3).to_sparse(), "layout", id="sparse"),
        pytest.param(lambda: Exporter(torch.ones(3), device=2), "device type 2", id="CUDA"),
    ],
)
def test_tensors_whose_numbers_are_not_in_cpu_memory_are_refused(make: Any, came: str) -> None:
    with refuses(ValueError, "q", came):
        as_array(make(), "q")


def test_a_fake_tensor_is_refused() -> None:
    tensor = fake()
    with (
        pytest.warns(UserWarning, match="data pointer of FakeTensor"),
        refuses(ValueError, "q", "FakeTensor"),
    ):
        as_array(tensor, "q")


@pytest.mark.parametrize(
    "x",
    [
        None,
        {},
        {1.0},
        object(),
        [[1.0], [1.0, 2.0]],
        (i for i in range(3)),
        torch.Tensor,
        Exporter(torch.ones(3), capsule="nonsense"),
        torch.zeros(3, dtype=torch.float8_e5m2fnuz),
    ],
    ids=lambda x: type(x).__name__,
)
def test_what_is_no_array_of_numbers_is_refused(x: object) -> None:
    with refuses(TypeError, "q"):
        as_array(x, "q")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "dtype",
    ["i4", "?", "c16", "g", ">f4", "<U3", "O", "M8[s]", [("a", "f4")], [("bfloat16", ">u2")]],
)
def test_floats_are_of_the_four_formats(dtype: Any) -> None:
    with refuses(TypeError, "q", str(np.dtype(dtype))):
        as_floats(np.zeros(3, dtype), "q")


@pytest.mark.parametrize("x", [1.0, [True], "1", np.float32(1), np.zeros(0), [2**63, -1], "1 2"])
def test_integers_are_of_an_integer_dtype(x: object) -> None:
    with refuses(TypeError, "position_ids"):
        as_integers(x, "position_ids")  # type: ignore[arg-type]


@pytest.mark.parametrize("x", [[], [[]], (), range(0)])
def test_a_list_without_numbers_is_an_array_without_integers(x: object) -> None:
    array = as_integers(x, "position_ids")  # type: ignore[arg-type]
    assert (array.dtype.kind, array.size) == ("i", 0)


@pytest.mark.parametrize("x", [[True, 1], [[0, 1], [2, np.bool_(True)]], (1.0, False)])
def test_truth_values_among_numbers_are_refused(x: object) -> None:
    for gate in (as_array, as_integers, as_reals):
        with refuses(TypeError, "q", "True" if "True" in repr(x) else "False"):
            gate(x, "q")  # type: ignore[arg-type]


def test_a_matrix_of_positions_is_an_array() -> None:
    with pytest.warns(PendingDeprecationWarning):
        matrix = np.asmatrix([[1, 2]])
    array = as_integers(matrix, "position_ids")
    assert type(array) is np.ndarray
    assert array[..., np.newaxis].shape == (1, 2, 1)


class Unwilling:
    """An exporter that fails in a way of its own."""

    def __dlpack_device__(self) -> tuple[int, int]:
        msg = "nowhere"
        raise KeyError(msg)

    def __dlpack__(self) -> object:
        raise AssertionError


class Stubborn:
    def __array__(self, *_: object, **__: object) -> NDArray[Any]:
        msg = "not today"
        raise RuntimeError(msg)


def test_whatever_a_foreign_tensor_raises_is_named() -> None:
    with refuses(ValueError, "q", "Unwilling", "nowhere"):
        as_array(Unwilling(), "q")  # type: ignore[arg-type]
    with refuses(TypeError, "q", "Stubborn", "not today"):
        as_array(Stubborn(), "q")


@pytest.mark.parametrize("x", [[1, 2], [1.0, 2], (np.float32(1), 2.0), np.array([1, 2], "f2")])
def test_reals_are_float64(x: object) -> None:
    assert as_reals(x, "inv_freq").dtype == np.float64  # type: ignore[arg-type]
    assert as_reals(x, "inv_freq").tolist() == [1.0, 2.0]  # type: ignore[arg-type]
