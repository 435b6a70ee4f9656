"""The base bound against the first negative sums that were found with 40 digits."""

from collections.abc import Iterator

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import (
    PUBLISHED_BASES,
    asymptotic_base,
    cosine_sum,
    effective_context,
    first_breach,
    fitted_base,
)
from ropelab.bands.breach_search import search_breach
from ropelab.positions import mrope_axes
from ropelab.scaling import ExplicitFrequencies, Linear, Proportional, Resonance
from tests.ropelab.support import refuses


@pytest.mark.parametrize(
    ("dim", "base", "beside"), [(128, 1e4, 0), (64, 700.0, 0), (6, 1e4, 0), (64, 700.0, 5)]
)
def test_the_first_breach_is_that_of_a_walk_in_40_digits(
    dim: int, base: float, beside: int
) -> None:
    rope = Rope(dim + beside, base=base, rotary_dim=dim)
    found = first_breach(rope, 4096)
    assert found is not None
    assert found == first_breach(Rope(dim, base=base), 4096, head_dim=dim + beside)
    with mpmath.workdps(40):
        still = mpmath.mpf(beside) / 2
        inv_freq = [mpmath.mpf(w) for w in rope.spectrum().inv_freq.tolist()]
        sums = [
            still + mpmath.fsum(mpmath.cos(m * w) for w in inv_freq)
            for m in range(found.distance + 1)
        ]
    assert [m for m, total in enumerate(sums) if total < 0] == [found.distance]
    assert found.value == pytest.approx(float(sums[-1]), abs=1e-12)


def test_one_pair_breaks_the_bound_past_a_quarter_turn() -> None:
    # cos 2 is the first below zero.
    for rope, distance in ((Rope(2), 2), (Rope(2, scaling=Linear(1000.0)), 1571)):
        found = first_breach(rope, 10_000)
        assert found is not None
        assert found.distance == distance
        angle = distance * float(rope.spectrum().inv_freq[0])
        assert found.value == pytest.approx(np.cos(angle), abs=1e-12)


def test_the_limit_itself_is_not_tried() -> None:
    assert first_breach(Rope(128), 1707) is None
    assert effective_context(Rope(128), 1707) == 1707
    found = first_breach(Rope(128), 1708)
    assert found is not None
    assert found.distance == effective_context(Rope(128), 2**20) == 1707


def test_a_breach_beyond_the_first_distances_taken_at_once() -> None:
    assert effective_context(Rope(128, base=5e5), 18_438) == 18_438
    assert effective_context(Rope(128, base=5e5), 20_000) == 18_438


def test_pairs_that_stand_still_may_outweigh_all_others() -> None:
    # An end in finite time shows that nothing is walked through.
    assert first_breach(Rope(512, base=1e6, scaling=Proportional(0.25)), 2**62) is None
    assert effective_context(Rope(8, scaling=Proportional(0.5)), 2**62) == 2**62
    assert first_breach(Rope(8, scaling=Proportional(0.75)), 2**62) is not None


def test_channels_that_are_not_rotated_may_outweigh_all_others() -> None:
    # GPT-NeoX-20B and DeepSeek-V3; the rotated part alone breaks the bound.
    neox = Rope(96, rotary_dim=24)
    assert effective_context(neox, 2048, head_dim=24) == 223
    assert first_breach(neox, 2**62) is None
    assert effective_context(Rope(64), 2**62, head_dim=192) == 2**62
    assert first_breach(Rope(8, rotary_dim=4), 2**62) is None
    assert first_breach(Rope(8, rotary_dim=6), 2**62) is not None
    with refuses(ValueError, "head_dim", "rotary_dim = 24", "16"):
        first_breach(neox, 2048, head_dim=16)


def test_channels_that_are_not_rotated_spare_work() -> None:
    # With 46 pairs that stand still beside 64, whole intervals are seen to be above zero.
    found = search_breach(Rope(220, base=1e6, rotary_dim=128), 10**7, 1 << 19)
    assert found == (None, 10**7)


def test_text_has_the_same_distance_on_every_axis() -> None:
    rope = Rope(128, axes=mrope_axes(128, (16, 24, 24)))
    assert first_breach(rope, 4096) == first_breach(Rope(128), 4096)


def test_the_published_table_is_whole_and_sorted() -> None:
    assert [row.context_length for row in PUBLISHED_BASES] == [1024 * 2**k for k in range(11)]
    for row in PUBLISHED_BASES:
        assert asymptotic_base(row.context_length) < row.su <= row.paper


def test_the_fitted_law_is_within_a_factor_of_two_of_the_published_table() -> None:
    # Its largest miss is at 1k: 0.79 times. The last column of the paper lies far above Su's.
    ratios = [fitted_base(row.context_length) / row.paper for row in PUBLISHED_BASES]
    assert 0.4 < min(ratios) < max(ratios) < 1.6


def test_the_asymptote_is_the_zero_of_the_cosine_integral() -> None:
    with mpmath.workdps(30):
        zero = mpmath.findroot(mpmath.ci, 0.6)
    assert f"{float(zero):.4f}" == "0.6165"
    assert asymptotic_base(10**6) == pytest.approx(float(10**6 / zero), rel=1e-13)


def test_many_pairs_come_near_the_asymptote() -> None:
    # With 4096 pairs the bound breaks where the integral does.
    rope = Rope(8192, base=asymptotic_base(1000))
    assert effective_context(rope, 2000) == pytest.approx(1000, rel=0.03)


@pytest.mark.parametrize("function", [fitted_base, asymptotic_base])
def test_bases_of_no_length_are_refused(function) -> None:  # type: ignore[no-untyped-def]
    with refuses(ValueError, "context_length", "0"):
        function(0)
    with refuses(TypeError, "context_length", "1.5"):
        function(1.5)


@pytest.mark.parametrize("function", [first_breach, effective_context])
def test_a_limit_is_a_positive_integer(function) -> None:  # type: ignore[no-untyped-def]
    with refuses(ValueError, "limit", "0"):
        function(Rope(8), 0)
    with refuses(TypeError, "limit", "8.0"):
        function(Rope(8), 8.0)
    with refuses(TypeError, "rope", "NoneType"):
        function(None, 8)


def _ropes() -> Iterator[Rope]:
    generator = np.random.default_rng(7)
    yield Rope(16, scaling=Resonance())
    yield Rope(128, base=3e5, axes=mrope_axes(128, (16, 24, 24)))
    for _ in range(30):
        # Wavelengths from shorter than two tokens to longer than the limit, either way round.
        values = 2.0 * np.pi / np.exp(generator.uniform(0.0, 11.0, 24))
        yield Rope(
            48, scaling=ExplicitFrequencies((values * generator.choice([-1, 1], 24)).tolist())
        )


def test_intervals_hide_no_breach() -> None:
    found = set()
    for rope in _ropes():
        given = np.arange(20_000)
        axes = rope.spectrum().position_axes
        total = cosine_sum(rope, given if axes == 1 else np.broadcast_to(given, (axes, 20_000)))
        below = np.flatnonzero(total < 0.0)
        breach = first_breach(rope, 20_000)
        assert (breach and breach.distance) == (int(below[0]) if below.size else None)
        if breach:
            assert breach.value == pytest.approx(total[below[0]], abs=1e-12)
            found.add(breach.distance)
    assert max(found) > 100


def test_a_far_limit_is_decided_by_intervals() -> None:
    # Walked through, the first would take hours, and the other as many gigabytes.
    assert first_breach(Rope(128, base=1e30), 10**12) is None
    found = first_breach(Rope(1 << 15, base=1e4), 10**6)
    assert found is not None
    # From infinitely many pairs on; the zero of the cosine integral
    assert found.distance == pytest.approx(0.6165 * 1e4, rel=1e-3)


def test_a_limit_beyond_the_work_is_refused_with_what_is_known() -> None:
    found = search_breach(Rope(128, base=1e12), 10**9, 1 << 20)
    assert found.breach is None
    assert 10_000 < found.tried < 10**9
    assert (cosine_sum(Rope(128, base=1e12), np.arange(10_000)) > 0.0).all()


def test_first_breach_says_where_its_work_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ropelab.bands.base_bound._WORK", 1 << 20)
    with refuses(ValueError, "limit", "2**20 cosines", "1000000000"):
        first_breach(Rope(128, base=1e12), 10**9)
