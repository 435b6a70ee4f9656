"""What DLPack's C structures say, read field by field."""

import ctypes
from typing import Any

import numpy as np
import pytest
import torch

from ropelab.dlpack import DLTensor, describe, read_capsule


def c_tensor(shape: tuple[int, ...], strides: tuple[int, ...] | None, **fields: int) -> DLTensor:
    lengths = (ctypes.c_int64 * len(shape))(*shape)
    steps = (ctypes.c_int64 * len(shape))(*strides) if strides is not None else None
    defaults = {"data": 0x1000, "device_type": 1, "dtype_code": 2, "dtype_bits": 32}
    values: dict[str, Any] = {**defaults, "dtype_lanes": 1, "ndim": len(shape), **fields}
    return DLTensor(shape=lengths, strides=steps, **values)


def test_the_pointer_includes_the_byte_offset() -> None:
    assert describe(c_tensor((2,), (1,), byte_offset=24)).pointer == 0x1000 + 24


@pytest.mark.parametrize(
    ("shape", "strides"), [((), ()), ((5,), (1,)), ((2, 3, 4), (12, 4, 1)), ((2, 0, 3), (0, 3, 1))]
)
def test_absent_strides_mean_row_major(shape: tuple[int, ...], strides: tuple[int, ...]) -> None:
    exported = describe(c_tensor(shape, None))
    assert (exported.shape, exported.strides) == (shape, strides)


def test_strides_count_elements_and_may_be_negative() -> None:
    assert describe(c_tensor((2, 3), (-3, 7))).strides == (-3, 7)


# dlpack.h: 0 int, 1 unsigned, 2 float, 4 bfloat, 5 complex, 6 bool, 10 to 13 float8 in
# its variants e4m3fn, e4m3fnuz, e5m2, e5m2fnuz.
@pytest.mark.parametrize(
    ("code", "bits", "lanes", "name"),
    [
        (0, 8, 1, "int8"),
        (1, 64, 1, "uint64"),
        (2, 16, 1, "float16"),
        (4, 16, 1, "bfloat16"),
        (5, 128, 1, "complex128"),
        (6, 8, 1, "bool"),
        (2, 32, 4, "float32 x 4 lanes"),
        (10, 8, 1, "float8_e4m3fn"),
        (12, 8, 1, "float8_e5m2"),
        (13, 8, 1, "DLPack dtype code 13 of 8 bits"),
    ],
)
def test_dtypes_have_the_names_of_numpy(code: int, bits: int, lanes: int, name: str) -> None:
    tensor = c_tensor((2,), (1,), dtype_code=code, dtype_bits=bits, dtype_lanes=lanes)
    assert describe(tensor).dtype == name


@pytest.mark.parametrize("version", [None, (1, 0)], ids=["dltensor", "dltensor_versioned"])
def test_both_kinds_of_capsule_are_read(version: tuple[int, int] | None) -> None:
    tensor = torch.arange(60, dtype=torch.int16).reshape(3, 4, 5)[1:, ::2].transpose(0, 2)
    capsule = tensor.__dlpack__(max_version=version)
    exported = read_capsule(capsule)
    assert exported.pointer == tensor.data_ptr()
    assert (exported.shape, exported.strides) == (tensor.shape, tensor.stride())
    assert (exported.dtype, exported.device_type, exported.device_id) == ("int16", 1, 0)
    assert not exported.read_only


def test_a_read_only_export_says_so() -> None:
    array = np.zeros(3)
    array.flags.writeable = False
    assert read_capsule(array.__dlpack__(max_version=(1, 1))).read_only


def test_what_is_no_fresh_capsule_is_refused() -> None:
    used = torch.zeros(3).__dlpack__()
    torch.utils.dlpack.from_dlpack(used)
    for capsule in (used, None, 3):
        with pytest.raises(TypeError, match="unconsumed DLPack capsule; got"):
            read_capsule(capsule)
