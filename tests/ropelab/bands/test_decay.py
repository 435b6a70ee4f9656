"""Decay against RoFormer's and Position Interpolation's numbers, and against walks in mpmath."""

import mpmath
import numpy as np
import pytest

from ropelab import Rope, Spectrum
from ropelab.bands import (
    average_cosines,
    cosine_sum,
    decay_bound,
    extrapolation_bound,
    interpolation_bound,
    partial_sums,
    score,
)
from ropelab.scaling import ExplicitFrequencies, HoPE, Linear, Proportional
from tests.ropelab.support import printed, refuses


def walked_sums(spectrum: Spectrum, distance: int) -> list[complex]:
    with mpmath.workdps(40):
        turns = [mpmath.expj(distance * mpmath.mpf(w)) for w in spectrum.inv_freq.tolist()]
        return [complex(mpmath.fsum(turns[:j])) for j in range(1, len(turns) + 1)]


@pytest.mark.parametrize("distance", [0, 1, 257, -4095, 131_071])
def test_partial_sums_are_those_of_40_digits(distance: int) -> None:
    rope = Rope(26, base=777.0)
    truth = walked_sums(rope.spectrum(), distance)
    np.testing.assert_allclose(partial_sums(rope, distance), truth, rtol=0, atol=1e-13)
    assert decay_bound(rope, distance) == pytest.approx(np.abs(truth).mean(), rel=1e-13)


@pytest.mark.parametrize(
    ("distance", "decay"),
    [(1, "31.538"), (16, "15.775"), (64, "10.090"), (256, "6.543"), (1024, "4.024")],
)
def test_roformer_decays(distance: int, decay: str) -> None:
    assert printed(float(decay_bound(Rope(128), distance)), decay)


def test_the_decay_is_not_monotone() -> None:
    near, far = decay_bound(Rope(128), [1024, 4096])
    assert printed(float(far), "4.883")
    assert far > near


def test_no_score_is_above_the_bound() -> None:
    rope, distances = Rope(24, base=100.0), np.arange(0, 5000, 7)
    generator = np.random.default_rng(5)
    for _ in range(50):
        h = generator.normal(size=12) + 1j * generator.normal(size=12)
        steps = np.abs(np.diff(np.append(h, 0.0))).max()
        scores = score(rope, distances, amplitudes=np.abs(h), phases=np.angle(h))
        assert (np.abs(scores) <= steps * 12 * decay_bound(rope, distances) * (1 + 1e-12)).all()


def test_position_interpolation_prints_294_73() -> None:
    bound = interpolation_bound(Rope(128, scaling=Linear(8.0)))
    assert printed(1 / bound, "294.7309")
    assert printed(2 / bound, "589.5")


def test_a_score_passes_the_printed_bound_of_interpolation() -> None:
    # At s = 1/2, which Linear(2) has at distance 1; d max|h| is 128.
    plain, halved = Rope(128), Rope(128, scaling=Linear(2.0))
    error = cosine_sum(halved, 1) - cosine_sum(plain, [0, 1]).mean()
    printed_bound = 128 * interpolation_bound(plain)
    assert f"{error / printed_bound:.2f}" == "1.06"
    curvature = float((plain.spectrum().inv_freq ** 2).sum())
    assert f"{curvature / 8 / printed_bound:.2f}" == "1.15"


def test_no_interpolated_score_passes_the_bound_by_its_curvature() -> None:
    # Between whole distances m, as linear scaling by 8 makes them at 8 m + 1 to 8 m + 7.
    generator = np.random.default_rng(6)
    plain, between = Rope(16), Rope(16, scaling=Linear(8.0))
    for _ in range(20):
        h = generator.normal(size=8) + 1j * generator.normal(size=8)
        weights = {"amplitudes": np.abs(h), "phases": np.angle(h)}
        whole = score(plain, np.arange(513), **weights)
        real = score(between, np.arange(4096), **weights)
        line = np.interp(np.arange(4096) / 8, np.arange(513), whole)
        limit = float((plain.spectrum().inv_freq ** 2).sum()) / 8 * np.abs(h).max()
        assert 0.01 * limit < np.abs(real - line).max() <= limit


def test_extrapolation_is_600_times_worse_in_the_papers_range() -> None:
    rope = Rope(128, scaling=Linear(4.0))  # not read
    share = extrapolation_bound(rope, np.arange(4862)) / 2
    assert printed(float(share[:2049].min()), "1.4075")
    assert printed(float(share[:4097].min()), "1.1159")
    assert np.flatnonzero(share < 1.0).tolist() == [4861]
    assert printed(float(share[4861]), "0.99598")


@pytest.mark.parametrize("length", [1, 2, 99, 4096])
def test_average_cosines_are_means_over_the_context(length: int) -> None:
    frequencies = [1.0, 0.1, 1e-3, 1e-7, 0.0, -0.3, 6.0]
    rope = Rope(14, scaling=ExplicitFrequencies(frequencies))
    with mpmath.workdps(40):
        truth = [
            float(mpmath.fsum(mpmath.cos(m * mpmath.mpf(w)) for m in range(length)) / length)
            for w in frequencies
        ]
    np.testing.assert_allclose(average_cosines(rope, length), truth, rtol=0, atol=1e-13)


def test_pairs_that_stand_still_do_not_decay() -> None:
    rope = Rope(128, scaling=Proportional(0.25))
    assert average_cosines(rope, 4096)[16:].tolist() == [1.0] * 48
    assert average_cosines(Rope(128, scaling=Proportional(0.0)), 4096).tolist() == [1.0] * 64
    # The others vanish on the average, so the mean cosine stops at their share.
    plateau = cosine_sum(rope, np.arange(100_000)).mean() / 64
    assert plateau == pytest.approx(0.75, abs=1e-3)


def test_hope_keeps_what_plain_rope_loses_in_its_slow_pairs() -> None:
    hope, plain = (
        average_cosines(rope, 4096) for rope in (Rope(128, scaling=HoPE(4096)), Rope(128))
    )
    assert (hope[:46] == plain[:46]).all()
    assert (hope[46:] == 1.0).all()
    assert (plain[46:] < 1.0).all()


def test_bad_arguments_are_refused() -> None:
    with refuses(ValueError, "context_length", "0"):
        average_cosines(Rope(8), 0)
    with refuses(ValueError, "base", "1.0"):
        interpolation_bound(Rope(8, base=1.0))
    with refuses(TypeError, "distances"):
        decay_bound(Rope(8), [0.5])
    with refuses(TypeError, "rope"):
        extrapolation_bound(None, 1)  # type: ignore[arg-type]
