"""Phases against Python's integers, cosines against mpmath and against torch's own."""

import mpmath
import numpy as np
import pytest
import torch
from numpy.typing import DTypeLike

from ropelab import Rope, Spectrum, bfloat16, cos_sin, exact_phases
from ropelab.precision import narrow
from tests.ropelab.support import POSITIONS, exact_cos_sin, refuses, turn_rounding

SPECTRUM = Rope(10, base=500_000.0).spectrum()
LLAMA_3 = Rope(128, base=500_000.0).spectrum()


def python_phases(positions: object, spectrum: Spectrum = SPECTRUM) -> list[int]:
    flat = np.asarray(positions, object).ravel().tolist()
    return [int(m) * int(t) % 2**64 for m in flat for t in spectrum.turns.tolist()]


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", ">i4", ">u8"])
def test_phases_are_python_integers_at_both_ends_of_every_dtype(dtype: str) -> None:
    limits = np.iinfo(dtype)
    positions = np.array([limits.min, limits.min + 1, 0, 1, 77, limits.max - 1, limits.max], dtype)
    phases = exact_phases(positions, SPECTRUM)
    assert phases.dtype == np.uint64
    assert phases.shape == (7, 5)
    assert phases.ravel().tolist() == python_phases(positions)


@pytest.mark.parametrize("shape", [(), (3,), (1, 3), (2, 1), (2, 3), (2, 0, 3), (2, 3, 4)])
def test_phases_add_an_axis_of_pairs_to_any_shape(shape: tuple[int, ...]) -> None:
    # Distinct, shuffled, both signs, far beyond any table.
    count = int(np.prod(shape))
    positions = (np.arange(count) * 1_000_003 * (-1) ** np.arange(count)).reshape(shape)
    phases = exact_phases(positions, SPECTRUM)
    assert phases.shape == (*shape, 5)
    assert phases.ravel().tolist() == python_phases(positions)


def test_phases_read_strided_and_foreign_positions() -> None:
    table = np.arange(24, dtype=np.int32).reshape(4, 6) * -99_991
    for view in (table[::2, ::-3], table.T, np.broadcast_to(table[0, 1], (2, 3))):
        assert exact_phases(view, SPECTRUM).ravel().tolist() == python_phases(view)
    tensor = torch.from_numpy(table).T[1:, ::2]
    assert exact_phases(tensor, SPECTRUM).ravel().tolist() == python_phases(table.T[1:, ::2])
    assert exact_phases(range(-3, 3), SPECTRUM).ravel().tolist() == python_phases(range(-3, 3))


def test_each_pair_reads_the_position_axis_that_turns_it() -> None:
    spectrum = Spectrum(SPECTRUM.inv_freq, axes=[2, 0, 1, 1, 0])
    positions = np.array(POSITIONS[:6]).reshape(3, 2)
    turns = spectrum.turns.tolist()
    expected = [
        [
            int(positions[axis, s]) * t % 2**64
            for axis, t in zip([2, 0, 1, 1, 0], turns, strict=True)
        ]
        for s in range(2)
    ]
    assert exact_phases(positions, spectrum).tolist() == expected


@pytest.mark.parametrize("spectrum", [SPECTRUM, LLAMA_3], ids=["narrow", "Llama-3"])
def test_exact_cos_and_sin_err_only_by_the_rounding_of_the_turns(spectrum: Spectrum) -> None:
    positions = np.array(POSITIONS)
    expected = exact_cos_sin(positions, spectrum.inv_freq.tolist())
    # float64's own cos and sin, their argument's rounding and ours: three half-units and to spare.
    bound = turn_rounding(positions)[:, np.newaxis] + 2 * 2.0**-52
    for got, truth in zip(cos_sin(positions, spectrum, dtype=np.float64), expected, strict=True):
        assert (np.abs(got - truth) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16, bfloat16])
def test_exact_cos_and_sin_are_rounded_once_to_any_format(dtype: DTypeLike) -> None:
    positions = np.array(POSITIONS).reshape(3, 3)
    expected = exact_cos_sin(positions, SPECTRUM.inv_freq.tolist())
    for got, truth in zip(cos_sin(positions, SPECTRUM, dtype=dtype), expected, strict=True):
        # None of these truths lies within 4e-10, the rounding of the turns, of a rounding boundary.
        np.testing.assert_array_equal(got, narrow(truth, dtype))


def test_the_attention_factor_multiplies_both() -> None:
    scaled = Spectrum([0.3], attention_factor=-2.5)
    cos, sin = cos_sin([7], scaled, dtype=np.float64)
    truth = exact_cos_sin(np.array([7]), [0.3])
    np.testing.assert_allclose([cos, sin], np.multiply(truth, -2.5), rtol=4 * 2.0**-52)


def test_the_softmax_factor_touches_neither() -> None:
    assert np.array_equal(cos_sin([7], Spectrum([0.3], 1.0, 5.0)), cos_sin([7], Spectrum([0.3])))


def torch_angles(positions: np.ndarray, inv_freq: torch.Tensor) -> torch.Tensor:
    """Multiply as Transformers 5.x does: float32 positions times float32 frequencies."""
    return torch.from_numpy(positions)[..., None].float() * inv_freq.float()


def test_float32_angles_are_torchs_own_to_the_last_bit() -> None:
    positions = np.arange(-70_000, 131_072, 1009)
    angles = torch_angles(positions, torch.tensor(LLAMA_3.inv_freq))
    cos, sin = cos_sin(positions, LLAMA_3, angles="float32")
    # One bit of an angle above 1000 moves its cosine by 1e-4: only the same angle fits.
    with mpmath.workdps(40):
        truth = [(mpmath.cos(a), mpmath.sin(a)) for a in map(mpmath.mpf, angles.ravel().tolist())]
        expected = np.array([[float(c), float(s)] for c, s in truth]).astype(np.float32)
    np.testing.assert_array_equal(cos.ravel(), expected[:, 0])
    np.testing.assert_array_equal(sin.ravel(), expected[:, 1])


@pytest.mark.parametrize("factor", [1.0, 1.1386294])
def test_float32_cos_and_sin_are_torchs_within_an_ulp_each(factor: float) -> None:
    positions = np.arange(131_072, step=97).reshape(2, -1)
    inv_freq = 1.0 / (500_000.0 ** (torch.arange(0, 128, 2).float() / 128))
    angles = torch_angles(positions, inv_freq)
    spectrum = Spectrum(inv_freq, attention_factor=factor)
    ours = cos_sin(positions, spectrum, angles="float32")
    # torch's float32 cos is good to an ulp, ours to half of one; the factor rounds once more.
    for got, theirs in zip(ours, (angles.cos() * factor, angles.sin() * factor), strict=True):
        np.testing.assert_array_max_ulp(got, theirs.numpy(), maxulp=1 if factor == 1.0 else 2)


def test_the_two_pipelines_differ_at_long_contexts_as_documented() -> None:
    exact, trained = (cos_sin([131_071], LLAMA_3, angles=a)[0] for a in ("exact", "float32"))
    assert 1e-4 < np.abs(exact - trained).max() < 7e-3


def test_float32_frequencies_with_exact_angles_are_a_third_thing() -> None:
    rounded = LLAMA_3.astype(np.float32)
    cos, _ = cos_sin([131_071], rounded, dtype=np.float64)
    truth, _ = exact_cos_sin(np.array([131_071]), [float(np.float32(w)) for w in LLAMA_3.inv_freq])
    np.testing.assert_allclose(cos, truth, rtol=0.0, atol=1e-13)


@pytest.mark.parametrize("positions", [1.0, [0.5], [True], None, "7", {7}, [2**64], np.zeros(0)])
def test_positions_that_are_not_integers_are_refused(positions: object) -> None:
    for function in (exact_phases, cos_sin):
        with refuses(TypeError, "position_ids"):
            function(positions, SPECTRUM)  # type: ignore[arg-type]


def test_positions_without_the_spectrums_axes_are_refused() -> None:
    spectrum = Spectrum([1.0, 0.5], axes=[0, 1])
    for positions in ([1, 2, 3], 7):
        with refuses(ValueError, "position_ids", "2", str(np.shape(positions))):
            exact_phases(positions, spectrum)


@pytest.mark.parametrize("spectrum", [None, [1.0], Rope(8), Spectrum])
def test_a_spectrum_of_another_type_is_refused(spectrum: object) -> None:
    for function in (exact_phases, cos_sin):
        with refuses(TypeError, "spectrum"):
            function([1], spectrum)  # type: ignore[arg-type]


def test_options_out_of_range_are_refused() -> None:
    with refuses(ValueError, "angles", "'float64'", "'exact'", "'float32'"):
        cos_sin([1], SPECTRUM, angles="float64")
    with refuses(TypeError, "dtype", "int32"):
        cos_sin([1], SPECTRUM, dtype=np.int32)
