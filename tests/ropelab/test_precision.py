"""Widening is exact; narrowing rounds once, to nearest, ties to even, in every format."""

import ml_dtypes
import numpy as np
import pytest
from numpy.typing import DTypeLike, NDArray

from ropelab import bfloat16, float8_e5m2
from ropelab.precision import eps, float_dtype, narrow, widen
from tests.ropelab.support import refuses

PATTERNS = np.arange(65536, dtype=np.uint16)
# Neighbours 0x0000..0x7f80 (and 0x7c00) ascend through subnormals and normals up to infinity.
UP_TO_INFINITY = {"bfloat16": PATTERNS[:0x7F81], "float16": PATTERNS[:0x7C01]}
DTYPES = {"bfloat16": bfloat16, "float16": np.dtype(np.float16)}


def values_of(pattern: NDArray[np.uint16], name: str) -> NDArray[np.float64]:
    """Return the value of each pattern; where infinity stands, the power of two after the last."""
    native = ml_dtypes.bfloat16 if name == "bfloat16" else np.float16
    values = pattern.view(native).astype(np.float64)
    return np.where(np.isinf(values), 2.0**128 if name == "bfloat16" else 2.0**16, values)


def test_all_bfloat16_patterns_widen_to_the_number_of_ml_dtypes() -> None:
    with np.errstate(invalid="ignore"):  # ml_dtypes warns of signalling NaNs; we must not
        expected = PATTERNS.view(ml_dtypes.bfloat16).astype(np.float64)
    for array in (PATTERNS.view(bfloat16), PATTERNS.view(ml_dtypes.bfloat16)):
        np.testing.assert_array_equal(widen(array), expected)
        assert widen(array).dtype == np.float64


@pytest.mark.parametrize("stride", [2, -1])
def test_bfloat16_widens_through_any_stride(stride: int) -> None:
    array = PATTERNS[:256].reshape(16, 16).view(bfloat16)[::stride, ::stride]
    expected = array.copy().view(np.uint16).view(ml_dtypes.bfloat16).astype(np.float64)
    np.testing.assert_array_equal(widen(array), expected)


@pytest.mark.parametrize("steps", [-1, 0, 1])
def test_narrowing_to_bfloat16_is_ml_dtypes_at_and_beside_every_float32_midpoint(
    steps: int,
) -> None:
    # Float32 bits 0x....7fff, 0x....8000 and 0x....8001 surround each midpoint of two bfloat16s,
    # from both zeros through the subnormals to overflow. ml_dtypes rounds a float32 only once.
    middles = ((PATTERNS.astype(np.uint32) << 16) + np.uint32(0x8000 + steps)).view(np.float32)
    middles = middles[~np.isnan(middles)]
    expected = middles.astype(ml_dtypes.bfloat16).view(np.uint16)
    assert narrow(middles.astype(np.float64), "bfloat16").view(np.uint16).tolist() == (
        expected.tolist()
    )


@pytest.mark.parametrize("name", ["bfloat16", "float16"])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_narrowing_finds_the_nearer_neighbour_of_a_float64(name: str, sign: float) -> None:
    patterns = UP_TO_INFINITY[name]
    lower, upper = values_of(patterns[:-1], name), values_of(patterns[1:], name)
    middle = (lower + upper) / 2  # exact: one more bit than the format holds
    even = patterns[:-1] + (patterns[:-1] & 1)
    cases = [
        (lower, patterns[:-1]),
        (np.nextafter(middle, lower), patterns[:-1]),  # lost by whoever goes through float32
        (middle, even),
        (np.nextafter(middle, upper), patterns[1:]),
    ]
    for values, expected in cases:
        got = narrow(sign * values, DTYPES[name]).view(np.uint16)
        np.testing.assert_array_equal(got, expected | (0x8000 if sign < 0 else 0))


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "bfloat16", pytest.param(ml_dtypes.bfloat16, id="ml_dtypes")],
)
def test_narrowing_keeps_zeros_infinities_nans_and_what_the_format_holds(dtype: DTypeLike) -> None:
    values = np.array([0.0, -0.0, np.inf, -np.inf, np.nan, 1.5, -0.0078125])
    got = narrow(values, dtype)
    np.testing.assert_array_equal(widen(got), values)
    assert np.signbit(widen(got)[:4]).tolist() == [False, True, False, True]
    if dtype is ml_dtypes.bfloat16:
        assert got.dtype == ml_dtypes.bfloat16


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("value", [1.7e308, -1.7e308])
def test_narrowing_beyond_the_range_gives_infinity_without_a_warning(
    dtype: DTypeLike, value: float
) -> None:
    assert widen(narrow(np.array([value]), dtype)).tolist() == [np.copysign(np.inf, value)]


@pytest.mark.parametrize(
    ("dtype", "bits"), [("float64", 53), ("float32", 24), ("float16", 11), ("bfloat16", 8)]
)
def test_eps_is_the_step_after_one(dtype: DTypeLike, bits: int) -> None:
    assert eps(dtype) == 2.0 ** (1 - bits)
    one_and_half_a_step = np.array([1.0 + eps(dtype) / 2, 1.0 + eps(dtype)])
    assert widen(narrow(one_and_half_a_step, dtype)).tolist() == [1.0, 1.0 + eps(dtype)]


@pytest.mark.parametrize("dtype", [np.float32, "float16", bfloat16, ml_dtypes.bfloat16, "=f8"])
def test_the_four_formats_are_recognised_in_every_spelling(dtype: DTypeLike) -> None:
    assert float_dtype(dtype) == np.dtype(dtype)


@pytest.mark.parametrize(
    "dtype",
    [
        np.int16,
        bool,
        np.complex128,
        np.longdouble,
        ">f4",
        ml_dtypes.float8_e4m3fn,
        float8_e5m2,
        object,
        None,
        "x",
    ],
)
def test_every_other_dtype_is_refused_by_name(dtype: DTypeLike) -> None:
    came = str(dtype) if dtype in (None, "x", ">f4") else np.dtype(dtype).name
    came = "float8_e5m2" if dtype is float8_e5m2 else came
    with refuses(TypeError, "cos", came):
        float_dtype(dtype, "cos")


@pytest.mark.parametrize("values", [[1.0], 1.0, b"x", np.array([2**60 + 1]), np.array([1j])])
def test_what_is_of_no_format_is_not_widened(values: object) -> None:
    with pytest.raises(TypeError, match="values: expected float64"):
        widen(values)  # type: ignore[arg-type]
