"""A spectrum keeps its numbers exactly; its turns are the integers that mpmath gives."""

import copy
import math
import pickle
from collections.abc import Callable
from dataclasses import replace

import ml_dtypes
import mpmath
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ropelab import Rope, Spectrum, cos_sin, exact_phases
from tests.ropelab.support import refuses


def turn(inv_freq: float) -> int:
    # 308 digits before the point and 324 after it leave 70 of 700 to spare.
    with mpmath.workdps(700):
        return int(mpmath.nint(mpmath.mpf(inv_freq) / (2 * mpmath.pi) * 2**64)) % 2**64


@pytest.mark.parametrize(
    ("head_dim", "base"), [(128, 1e4), (128, 5e5), (96, 1e4), (64, 150_000.0), (256, 1e6), (2, 7.0)]
)
def test_turns_of_models_are_exact(head_dim: int, base: float) -> None:
    spectrum = Rope(head_dim, base=base).spectrum()
    assert spectrum.turns.tolist() == [turn(w) for w in spectrum.inv_freq.tolist()]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=5))
def test_turns_of_any_float64_are_exact(inv_freq: list[float]) -> None:
    turns = Spectrum(inv_freq).turns
    assert turns.dtype == np.uint64
    assert turns.tolist() == [turn(w) for w in inv_freq]


@pytest.mark.parametrize(
    "inv_freq", [0.0, -0.0, 5e-324, 2.0**-66, math.pi, 2.0 * math.pi, -1.0, 1e300, -1.7e308]
)
def test_turns_of_extreme_frequencies_are_exact(inv_freq: float) -> None:
    assert Spectrum([inv_freq]).turns.tolist() == [turn(inv_freq)]


def test_wavelengths_are_the_tokens_of_one_turn() -> None:
    with mpmath.workdps(50):
        expected = [float(2 * mpmath.pi / mpmath.mpf(w)) for w in (1.0, 0.1, 1e-7)]
    wavelengths = Spectrum([1.0, -0.1, 1e-7, 0.0]).wavelengths
    np.testing.assert_array_max_ulp(wavelengths[:3], np.array(expected), maxulp=1)
    assert wavelengths[3] == math.inf


@pytest.mark.parametrize("dtype", [np.float32, np.float16, ml_dtypes.bfloat16])
def test_astype_rounds_the_frequencies_and_nothing_else(dtype: type[np.generic]) -> None:
    spectrum = Spectrum(
        [1.0, 1 / 3, -1e-3], attention_factor=1.1, softmax_factor=0.7, axes=[0, 1, 0]
    )
    rounded = spectrum.astype(dtype)
    # float32 is finer by far than the other two, so that going through it changes nothing here.
    expected = spectrum.inv_freq.astype(np.float32).astype(dtype).astype(np.float64)
    assert rounded.inv_freq.dtype == np.float64
    assert rounded.inv_freq.tolist() == expected.tolist()
    assert (rounded.attention_factor, rounded.softmax_factor) == (1.1, 0.7)
    assert rounded.axes is not None
    assert rounded.axes.tolist() == [0, 1, 0]


def test_astype_of_a_changed_spectrum_changes_the_turns() -> None:
    spectrum = Spectrum([1 / 3])
    assert spectrum.turns.tolist() == [turn(1 / 3)]
    assert spectrum.astype(np.float32).turns.tolist() == [turn(float(np.float32(1 / 3)))]


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.float16, torch.bfloat16])
def test_a_models_own_buffer_is_taken_exactly(dtype: torch.dtype) -> None:
    buffer = (10_000.0 ** -(torch.arange(0, 8, 2, dtype=torch.float64) / 8)).to(dtype)
    assert Spectrum(buffer).inv_freq.tolist() == buffer.double().tolist()


def test_the_callers_array_is_copied_and_ours_is_read_only() -> None:
    mine = np.array([1.0, 0.5])
    spectrum = Spectrum(mine)
    mine[0] = 9.0
    assert spectrum.inv_freq.tolist() == [1.0, 0.5]
    for array in (spectrum.inv_freq, spectrum.turns, spectrum.axes):
        assert array is not None
        assert not array.flags.writeable


@pytest.mark.parametrize(
    "again", [copy.copy, copy.deepcopy, lambda s: pickle.loads(pickle.dumps(s))]
)
def test_a_copy_is_equal_and_read_only_too(again: Callable[[Spectrum], Spectrum]) -> None:
    spectrum = Spectrum([1.0, 0.5], 1.5, 0.5, axes=[0, 1])
    other = again(spectrum)
    assert other == spectrum
    for array in (other.inv_freq, other.turns, other.axes):
        assert array is not None
        assert not array.flags.writeable


def test_a_spectrum_may_be_changed_by_replace() -> None:
    spectrum = Spectrum([1.0, 0.5], 1.5, axes=[0, 1])
    assert replace(spectrum, inv_freq=np.ones(3), axes=None) == Spectrum([1.0, 1.0, 1.0], 1.5)


def test_a_wavelength_that_no_float64_holds_is_infinite_without_a_warning() -> None:
    assert Spectrum([5e-324]).wavelengths.tolist() == [math.inf]


def test_spectra_are_equal_if_every_number_is() -> None:
    spectrum = Spectrum([1.0, 0.5], attention_factor=1.5)
    assert spectrum == Spectrum(np.array([1.0, 0.5], np.float32), attention_factor=1.5)
    assert hash(spectrum) == hash(Spectrum([1.0, 0.5], 1.5))
    others = [
        Spectrum([1.0, 0.25], 1.5),
        Spectrum([1.0, 0.5]),
        Spectrum([1.0, 0.5], 1.5, 2.0),
        Spectrum([1.0, 0.5], 1.5, axes=[0, 1]),
    ]
    assert all(spectrum != other for other in others)


@pytest.mark.parametrize(
    ("inv_freq", "kind", "came"),
    [
        (None, TypeError, "None"),
        ("abc", TypeError, "abc"),
        (["1.0"], TypeError, "1.0"),
        ([True, 1.0], TypeError, "True"),
        ([1j], TypeError, "1j"),
        (np.array([1]), TypeError, "int64"),
        (np.ones(2, np.longdouble), TypeError, "float128"),
        (np.ones(2, ">f8"), TypeError, ">f8"),
        ([], ValueError, "(0,)"),
        (1.0, ValueError, "()"),
        ([[1.0]], ValueError, "(1, 1)"),
        ([1.0, math.nan], ValueError, "nan at pair 1"),
        ([math.inf], ValueError, "inf at pair 0"),
    ],
)
def test_frequencies_that_are_not_a_row_of_finite_numbers_are_refused(
    inv_freq: object, kind: type[Exception], came: str
) -> None:
    with refuses(kind, "inv_freq", came):
        Spectrum(inv_freq)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", ["attention_factor", "softmax_factor"])
@pytest.mark.parametrize(
    ("value", "kind"),
    [
        ("1", TypeError),
        (True, TypeError),
        (None, TypeError),
        (1j, TypeError),
        (np.ones(1), TypeError),
        (math.nan, ValueError),
        pytest.param(10**400, ValueError, id="huge"),
    ],
)
def test_factors_that_are_not_finite_numbers_are_refused(
    name: str, value: object, kind: type[Exception]
) -> None:
    with refuses(kind, name):
        Spectrum([1.0], **{name: value})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("axes", "kind", "came"),
    [
        ([0.0, 1.0], TypeError, "float64"),
        ([True, False], TypeError, "bool"),
        ([0], ValueError, "[0]"),
        ([0, -1], ValueError, "[0, -1]"),
        ([[0, 1]], ValueError, "[[0, 1]]"),
    ],
)
def test_axes_that_do_not_name_one_axis_a_pair_are_refused(
    axes: object, kind: type[Exception], came: str
) -> None:
    with refuses(kind, "axes", came):
        Spectrum([1.0, 0.5], axes=axes)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("dtype", "came"),
    [
        (None, "None"),
        ("foo", "foo"),
        (">f4", ">f4"),
        (np.int32, "int32"),
        (torch.float32, "torch.float32"),
    ],
)
def test_a_dtype_that_is_not_one_of_the_four_formats_is_refused(dtype: object, came: str) -> None:
    with refuses(TypeError, "dtype", came):
        Spectrum([1.0]).astype(dtype)  # type: ignore[arg-type]


def test_a_pair_with_a_period_repeats_bit_for_bit_however_far() -> None:
    spectrum = Spectrum([1.0, 2.0 * np.pi / 7], periods=[0, 7])
    far = np.array([3, 3 + 7 * (2**31 // 7), 3 - 7 * 10**9, 3 + 7 * 2**55])
    phases = exact_phases(far, spectrum)
    assert (phases[:, 1] == phases[0, 1]).all()
    assert len(set(phases[:, 0].tolist())) == 4
    without = exact_phases(far[:1], Spectrum(spectrum.inv_freq))
    assert phases[:1].tolist() == without.tolist()
    for dtype in (np.uint8, np.int8, np.uint64):
        small = np.array([0, 6, 7, 8, 100], dtype)
        expected = exact_phases(small.astype(np.int64), spectrum)
        assert exact_phases(small, spectrum).tolist() == expected.tolist()
    cos, _ = cos_sin(far, spectrum, angles="float32")
    assert (cos[:, 1] == cos[0, 1]).all()


def test_a_rounded_frequency_has_no_period_any_more() -> None:
    spectrum = Spectrum([2.0 * np.pi / 7, 0.0, 0.5], periods=[7, 5, 0])
    assert spectrum.astype(np.float64) == spectrum
    kept = spectrum.astype(np.float16).periods
    assert kept is not None
    assert kept.tolist() == [0, 5, 0]  # what stands still repeats as before
    # Else the pair would jump wherever a period ends: scores of equal distances would differ.
    alone = Spectrum([2.0 * np.pi / 7], periods=[7]).astype(np.float16)
    before, after = exact_phases([6, 7], alone)[:, 0].tolist()
    assert (after - before) % 2**64 == int(alone.turns[0])


def test_periods_are_none_if_no_pair_has_one() -> None:
    assert Spectrum([1.0], periods=[0]) == Spectrum([1.0])
    assert Spectrum([1.0], periods=[6]) != Spectrum([1.0])
    with pytest.raises(
        ValueError, match=r"periods: expected a number of tokens >= 0 .* got \[-1\]"
    ):
        Spectrum([1.0], periods=[-1])


def test_integers_past_64_bits_do_not_wrap() -> None:
    huge = np.array([2**63], np.uint64)
    with refuses(ValueError, "axes", str(2**63)):
        Spectrum([1.0], axes=huge)
    with refuses(ValueError, "periods", str(2**63)):
        Spectrum([1.0], periods=huge)
