"""Attention factors in mpmath, and as published."""

from fractions import Fraction

import mpmath
import pytest

from ropelab.scaling.magnitude import su_magnitude, yarn_magnitude


@pytest.mark.parametrize("original", [2, 3, 4096, 8192, 32768])
@pytest.mark.parametrize("stretch", [Fraction(32), Fraction(5000, 4096), Fraction(3, 2), 10**9])
def test_su_is_correctly_rounded(stretch: Fraction, original: int) -> None:
    with mpmath.workdps(60):
        s = mpmath.mpf(Fraction(stretch).numerator) / Fraction(stretch).denominator
        truth = float(mpmath.sqrt(1 + mpmath.log(s) / mpmath.log(original)))
    assert su_magnitude(Fraction(stretch), original) == truth


# 0.1 ln s + 1 at s = 4, 8, 32, 40, 64, in float64.
@pytest.mark.parametrize(
    ("stretch", "published"),
    [
        (4, 1.138629436111989),
        (8, 1.2079441541679836),
        (32, 1.3465735902799727),
        (40, 1.3688879454113936),
        (64, 1.4158883083359672),
    ],
)
def test_yarn_is_the_published_one(stretch: int, published: float) -> None:
    assert yarn_magnitude(Fraction(stretch)) == published


@pytest.mark.parametrize("stretch", [Fraction(1), Fraction(1, 2), Fraction(1, 10**6)])
def test_a_context_that_is_not_stretched_has_no_factor(stretch: Fraction) -> None:
    assert su_magnitude(stretch, 4096) == yarn_magnitude(stretch) == 1.0
