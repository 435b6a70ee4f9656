"""The 8-bit formats against ml_dtypes: every pattern, every midpoint, and what lies beyond."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab
from ropelab.float8 import LARGEST, bits_of_float8, numbers_of_float8
from ropelab.layouts import to_half
from ropelab.precision import eps, narrow, stored_dtype, widen
from tests.ropelab.support import refuses

CODES = np.arange(256, dtype=np.uint8)
NAMES = tuple(LARGEST)
FINITE = {"float8_e4m3fn": CODES[:0x7F], "float8_e5m2": CODES[:0x7C]}  # ascending from zero


def theirs(name: str) -> Any:
    return np.dtype(getattr(ml_dtypes, name))


def bits(array: NDArray[Any]) -> NDArray[np.uint8]:
    return array.view(np.uint8)


@pytest.mark.parametrize("name", NAMES)
def test_all_codes_are_the_numbers_of_ml_dtypes(name: str) -> None:
    expected = CODES.view(theirs(name)).astype(np.float64)
    for array in (CODES.view(getattr(ropelab, name)), CODES.view(theirs(name))):
        np.testing.assert_array_equal(widen(array), expected)
    np.testing.assert_array_equal(np.signbit(numbers_of_float8(CODES, name)), CODES >= 0x80)
    assert np.isnan(expected).sum() == (2 if name == "float8_e4m3fn" else 6)


@pytest.mark.parametrize("name", NAMES)
def test_every_number_has_its_own_bits(name: str) -> None:
    numbers = numbers_of_float8(CODES, name)
    finite = np.isfinite(numbers)
    assert bits_of_float8(numbers[finite], name).tolist() == CODES[finite].tolist()
    assert narrow(numbers[finite], name).view(np.uint8).tolist() == CODES[finite].tolist()


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("name", NAMES)
def test_narrowing_finds_the_nearer_neighbour(name: str, sign: float) -> None:
    codes = FINITE[name]
    numbers = numbers_of_float8(codes, name)
    lower, upper = numbers[:-1], numbers[1:]
    middle = (lower + upper) / 2
    even = codes[:-1] + (codes[:-1] & 1)
    for values, expected in (
        (np.nextafter(middle, lower), codes[:-1]),  # lost by whoever goes through float32
        (middle, even),
        (np.nextafter(middle, upper), codes[1:]),
    ):
        got = bits(narrow(sign * values, name))
        np.testing.assert_array_equal(got, expected | (0x80 if sign < 0 else 0))


@pytest.mark.parametrize("name", NAMES)
def test_narrowing_is_ml_dtypes_within_the_range(name: str) -> None:
    generator = np.random.default_rng(0)
    spread = 2.0 ** generator.uniform(-20, np.log2(LARGEST[name]), 50_000)
    values = np.concatenate([spread, -spread, [0.0, -0.0]])
    assert bits(narrow(values, name)).tolist() == bits(values.astype(theirs(name))).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_beyond_the_range_is_the_largest_number_and_nan_stays(name: str) -> None:
    largest = LARGEST[name]
    values = np.array([largest * 1.01, largest * 1.5, 1e308, np.inf])
    assert widen(narrow(values, name)).tolist() == [largest] * 4
    assert widen(narrow(-values, name)).tolist() == [-largest] * 4
    nans = narrow(np.array([np.nan, -np.nan]), name)
    assert bits(nans).tolist() == bits(np.array([np.nan, -np.nan]).astype(theirs(name))).tolist()


@pytest.mark.parametrize("name", NAMES)
def test_saturation_is_what_a_clamp_before_torchs_conversion_gives(name: str) -> None:
    values = np.array([3.0e4, -1e9, np.inf, -np.inf, 470.0, -60_000.0])
    limit = LARGEST[name]
    clamped = torch.from_numpy(values).float().clamp(-limit, limit).to(getattr(torch, name))
    assert widen(narrow(values, name)).tolist() == clamped.double().tolist()


@pytest.mark.parametrize("name", NAMES)
def test_the_names_and_the_steps_after_one(name: str) -> None:
    assert stored_dtype(name) == getattr(ropelab, name)
    assert stored_dtype(theirs(name)) == theirs(name)
    assert eps(name) == float(ml_dtypes.finfo(name).eps)  # type: ignore[no-untyped-call]
    with refuses(TypeError, "dtype", "float8_e4m3fnuz"):
        stored_dtype(ml_dtypes.float8_e4m3fnuz)


@pytest.mark.parametrize("name", NAMES)
def test_a_tensor_of_8_bits_can_be_moved_but_not_rotated(name: str) -> None:
    tensor = torch.arange(8, dtype=torch.uint8).view(getattr(torch, name)).reshape(1, 1, 8)
    moved = to_half(tensor)
    assert moved.dtype == getattr(ropelab, name)
    assert bits(moved).ravel().tolist() == [0, 2, 4, 6, 1, 3, 5, 7]
    for x in (tensor, moved, moved.view(theirs(name))):
        with refuses(TypeError, "x", "float64, float32, float16 or bfloat16", f"got {name}"):
            ropelab.apply_rotary(x, 0, ropelab.Spectrum([1.0]), tensor_format="thd")
