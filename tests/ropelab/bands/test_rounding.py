"""Rounded positions and angles, against bits, mpmath and the float32 pipeline."""

from typing import Any

import ml_dtypes
import mpmath
import numpy as np
import pytest

from ropelab import Rope, cos_sin
from ropelab.bands import angle_errors, distinct_positions, first_alias
from ropelab.positions import mrope_axes
from ropelab.scaling import YaRN
from tests.ropelab.support import refuses


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32])
def test_the_first_alias_is_the_first_that_another_library_rounds_down(dtype: Any) -> None:
    first = first_alias(dtype)
    here = np.arange(max(first - 1000, 0), first, dtype=np.int64).astype(dtype)
    assert len(set(here.astype(np.float64).tolist())) == here.size
    assert float(np.array(first, np.int64).astype(dtype)) == first - 1


def test_the_first_alias_of_float64() -> None:
    assert float(first_alias("float64")) == float(first_alias("float64") - 1) == 2.0**53


@pytest.mark.parametrize(
    ("first", "distinct"),
    [(256, 193), (1024, 65), (2048, 33), (4096, 17), (65536, 2), (131072, 1)],
)
def test_distinct_bfloat16_positions_are_the_published_ones(first: int, distinct: int) -> None:
    assert distinct_positions(first, 512) == distinct
    other = np.arange(first, first + 512).astype(ml_dtypes.bfloat16)
    assert len(np.unique(other.view(np.uint16))) == distinct


def test_what_passes_a_formats_range_is_one_number() -> None:
    # 65504 and what rounds to it, up to 65519; then infinity.
    assert distinct_positions(65_500, 10**5, "float16") == 2
    assert distinct_positions(2**24, 5, "float32") == 3
    assert distinct_positions(2**24, 5, "float64") == 5


def exact_error(position: float, frequency: float, angle: float) -> float:
    with mpmath.workdps(60):
        off = mpmath.mpf(angle) - mpmath.mpf(position) * mpmath.mpf(frequency)
        turns = off / (2 * mpmath.pi)
        return float(abs(turns - mpmath.nint(turns)) * 2 * mpmath.pi)


FORMATS = {"float32": np.float32, "float16": np.float16, "bfloat16": ml_dtypes.bfloat16}


@pytest.mark.parametrize("positions_in", FORMATS)
@pytest.mark.parametrize("frequencies_in", FORMATS)
@pytest.mark.parametrize("angles_in", FORMATS)
def test_errors_are_those_of_another_library_and_60_digits(
    positions_in: str, frequencies_in: str, angles_in: str
) -> None:
    rope, positions = Rope(6, base=700.0), [0, 1, 257, -4095, 24_001]
    found = angle_errors(
        rope,
        positions,
        positions_in=positions_in,
        frequencies_in=frequencies_in,
        angles_in=angles_in,
    )
    p, f, a = FORMATS[positions_in], FORMATS[frequencies_in], FORMATS[angles_in]
    inv_freq = rope.spectrum().inv_freq
    # The product of two rounded numbers is exact in float64, and is rounded once.
    product = np.array(positions).astype(p).astype(np.float64)[:, None] * inv_freq.astype(f).astype(
        np.float64
    )
    angles = product.astype(a).astype(np.float64)
    truth = [
        [exact_error(m, w, x) for w, x in zip(inv_freq.tolist(), row.tolist(), strict=True)]
        for m, row in zip(positions, angles, strict=True)
    ]
    np.testing.assert_allclose(found, truth, rtol=0, atol=1e-12)


def test_the_defaults_are_the_float32_pipeline() -> None:
    rope, positions = Rope(64, scaling=YaRN(16.0, 4096)), np.arange(0, 10**6, 9973)
    factor = rope.spectrum().attention_factor
    (c, s), (cos, sin) = (
        cos_sin(positions, rope.spectrum(), angles=angles, dtype=np.float64)
        for angles in ("float32", "exact")
    )
    seen = np.abs(np.angle((c + 1j * s) * (cos - 1j * sin)))
    # Its cos and sin are float32: half an eps of each, and of their product with the factor.
    assert factor > 1.0
    np.testing.assert_allclose(angle_errors(rope, positions), seen, rtol=0, atol=3e-7)


@pytest.mark.parametrize(
    ("position", "error"),
    [(4096, "1.2e-04"), (131_072, "3.9e-03"), (1_048_576, "3.1e-02"), (10_000_000, "7.7e-01")],
)
def test_float32_angles_err_as_published(position: int, error: str) -> None:
    assert f"{angle_errors(Rope(128), position).max():.1e}" == error


def test_a_float16_angle_overflows_to_nan() -> None:
    found = angle_errors(Rope(4), [70_000, 60_000], angles_in="float16")
    assert np.isnan(found).tolist() == [[True, False], [False, False]]


def test_each_axis_rounds_its_own_positions() -> None:
    rope = Rope(6, axes=mrope_axes(6, (1, 1, 1)))
    found = angle_errors(rope, [[257], [0], [514]], positions_in="bfloat16", angles_in="float64")
    slow = rope.spectrum().inv_freq[2]
    np.testing.assert_allclose(found[0, [0, 1]], [1.0, 0.0], atol=1e-7)
    assert found[0, 2] == pytest.approx(2 * slow, rel=1e-4)


def test_bad_arguments_are_refused() -> None:
    with refuses(TypeError, "dtype", "int8"):
        first_alias("int8")
    with refuses(ValueError, "first", "-1"):
        distinct_positions(-1, 5)
    with refuses(ValueError, "first", str(2**53)):
        distinct_positions(2**53, 1)
    with refuses(ValueError, "count", "0"):
        distinct_positions(0, 0)
    with refuses(ValueError, "positions", "2**53"):
        angle_errors(Rope(8), [2**53 + 1])
    with refuses(TypeError, "positions", "float64"):
        angle_errors(Rope(8), [0.5])
    with refuses(TypeError, "angles_in", "int32"):
        angle_errors(Rope(8), 1, angles_in=np.int32)
    with refuses(ValueError, "positions", "(3, ...)"):
        angle_errors(Rope(6, axes=mrope_axes(6, (1, 1, 1))), 1)


@pytest.mark.parametrize("dtype", [ml_dtypes.bfloat16, np.float16, np.float32, np.float64])
def test_distinct_positions_are_those_that_another_library_counts(dtype: Any) -> None:
    generator = np.random.default_rng(11)
    for exponent in range(1, 40):
        first, count = (int(generator.integers(0, 2**k)) for k in (exponent, 14))
        with np.errstate(over="ignore"):  # float16 ends at 65504
            cast = np.arange(first, first + count + 1).astype(np.float64).astype(dtype)
        assert distinct_positions(first, count + 1, dtype) == np.unique(cast).size


def test_a_trillion_positions_are_counted_at_once() -> None:
    # 0 to 256, then 128 steps a doubling to 2**39, and the last 0.819 of one
    last = round((1e12 / 2**39 - 1.0) * 128)
    assert distinct_positions(0, 10**12, ml_dtypes.bfloat16) == 257 + (39 - 8) * 128 + last


def test_a_count_beyond_float64_is_refused_by_its_name() -> None:
    with refuses(ValueError, "count", "2**53", "1000000000000000000"):
        distinct_positions(0, 10**18)
