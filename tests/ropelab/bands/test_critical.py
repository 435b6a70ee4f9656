"""Critical dimensions and bases against the papers' numbers, and against a count of turns."""

import math
from typing import Any

import mpmath
import pytest

from ropelab import Rope
from ropelab.bands import (
    completes_turn,
    critical_base,
    critical_dimension,
    critical_pair,
    knee_bases,
)
from ropelab.scaling import Linear
from tests.ropelab.support import printed, refuses


@pytest.mark.parametrize(
    ("rope", "length", "dimension"),
    [
        pytest.param(Rope(96), 2048, 62, id="phi3-mini"),
        pytest.param(Rope(128), 4096, 92, id="llama-2"),
        pytest.param(Rope(128, base=5e5), 8192, 70, id="llama-3-8b"),
    ],
)
def test_critical_dimensions_are_the_published_ones(
    rope: Rope, length: int, dimension: int
) -> None:
    assert critical_dimension(rope, length) == dimension


@pytest.mark.parametrize("dim", [2, 6, 64, 128, 256])
@pytest.mark.parametrize("base", [3.0, 1e4, 5e5])
@pytest.mark.parametrize("length", [7, 100, 4097, 131_071])
def test_the_critical_dimension_counts_pairs_that_turn_once(
    dim: int, base: float, length: int
) -> None:
    rope = Rope(dim, base=base)
    assert critical_dimension(rope, length) == 2 * int(completes_turn(rope, length).sum())


def test_the_critical_pair_is_told_before_rounding_up() -> None:
    assert printed(critical_pair(Rope(128), 4096), "45.0269")
    # The rotated width counts, not the head's, and no rule.
    partial = Rope(256, rotary_dim=128, scaling=Linear(4.0))
    assert critical_pair(partial, 4096) == critical_pair(Rope(128), 4096)


def test_a_length_that_all_pairs_turn_in_has_all_channels() -> None:
    assert critical_pair(Rope(128), 10**6) > 63
    assert critical_dimension(Rope(128), 10**6) == 128


@pytest.mark.parametrize(
    ("base", "trained", "wanted", "found"),
    [
        (1e4, 4096, 8192, "26784"),
        (1e4, 4096, 16_384, "71738"),
        (1e4, 4096, 32_768, "192144"),
        (1e4, 4096, 65_536, "514640"),
    ],
)
def test_critical_bases_are_the_published_ones(
    base: float, trained: int, wanted: int, found: str
) -> None:
    assert printed(critical_base(base, trained, wanted), found)


def test_longrope2_bases() -> None:
    assert f"{critical_base(1e4, 2048, 131_072):.3e}" == "7.495e+06"
    assert f"{critical_base(5e5, 8192, 131_072):.3e}" == "7.976e+07"


def test_the_critical_pair_stays_where_it_is() -> None:
    larger = critical_base(1e4, 4096, 20_001)
    assert critical_pair(Rope(128, base=larger), 20_001) == pytest.approx(
        critical_pair(Rope(128), 4096), rel=1e-12
    )
    with mpmath.workdps(40):
        share = mpmath.log(20_001 / (2 * mpmath.pi)) / mpmath.log(4096 / (2 * mpmath.pi))
        truth = mpmath.mpf(10_000) ** share
    assert larger == pytest.approx(float(truth), rel=1e-13)


def test_knees_are_those_of_the_slowest_cosine() -> None:
    assert [f"{base:.1f}" for base in knee_bases(4096)] == ["2607.6", "1303.8", "651.9"]
    # The slowest wavelength is then four, two times and once the length, for many pairs.
    for base, turns in zip(knee_bases(4096), (0.25, 0.5, 1.0), strict=True):
        slowest = 2 * math.pi * base
        assert 4096 / slowest == pytest.approx(turns, rel=1e-12)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [((1.0, 4096, 8192), "base"), ((1e4, 6, 8192), "trained_length"), ((1e4, 7, 6), "context_l")],
)
def test_critical_base_refuses(arguments: tuple[Any, ...], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}.*expected"):
        critical_base(*arguments)


def test_bad_ropes_and_lengths_are_refused() -> None:
    with refuses(ValueError, "base", "0.5"):
        critical_pair(Rope(8, base=0.5), 4096)
    with refuses(ValueError, "trained_length", "6"):
        critical_dimension(Rope(8), 6)
    with refuses(TypeError, "trained_length"):
        critical_dimension(Rope(8), 4096.0)  # type: ignore[arg-type]
    with refuses(TypeError, "rope"):
        critical_pair(None, 4096)  # type: ignore[arg-type]
    with refuses(ValueError, "trained_length", "0"):
        knee_bases(0)
