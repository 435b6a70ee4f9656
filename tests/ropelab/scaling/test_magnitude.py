"""Factors of cos and sin against the published numbers and 60 digits."""

from fractions import Fraction

import mpmath
import pytest

from ropelab.scaling.magnitude import log_magnitude, su_magnitude, yarn_magnitude


# Transformers 5.23.0; the value of 40 with mscale 0.707 is DeepSeek-V2-Lite's.
@pytest.mark.parametrize(
    ("stretch", "mscale", "published"),
    [
        (4.0, 1.0, 1.138629436111989),
        (8.0, 1.0, 1.2079441541679836),
        (16.0, 1.0, 1.2772588722),
        (32.0, 1.0, 1.3465735902799727),
        (40.0, 1.0, 1.3688879454113936),
        (64.0, 1.0, 1.4158883083359672),
        (40.0, 0.707, 1.2608037774058554),
    ],
)
def test_the_magnitudes_are_the_published_ones(
    stretch: float, mscale: float, published: float
) -> None:
    # An ulp for their logarithm and two products, another for their sum; 10 digits are printed
    # where fewer than 16 are.
    tolerance = 2 * 2.0**-52 if len(repr(published)) > 14 else 1e-10
    assert yarn_magnitude(stretch, mscale) == pytest.approx(published, rel=tolerance, abs=0.0)


@pytest.mark.parametrize("stretch", [1.0000001, 2.5, 40.0, 1e6, Fraction(131072, 4095)])
@pytest.mark.parametrize("mscale", [0.0, 0.707, 1.0, 3.5])
def test_a_magnitude_is_correctly_rounded(stretch: float | Fraction, mscale: float) -> None:
    s = Fraction(stretch)
    with mpmath.workdps(60):
        logarithm = mpmath.log(mpmath.mpf(s.numerator) / s.denominator)
        truth = float(1 + mpmath.mpf(mscale) * logarithm / 10)
    assert yarn_magnitude(stretch, mscale) == log_magnitude(stretch, mscale) == truth


@pytest.mark.parametrize("stretch", [1.0, 0.25, Fraction(1, 3)])
def test_only_the_bare_logarithm_goes_below_one(stretch: float | Fraction) -> None:
    assert yarn_magnitude(stretch, 2.0) == 1.0
    assert (log_magnitude(stretch, 2.0) < 1.0) == (stretch < 1)


@pytest.mark.parametrize("original", [2, 3, 4096, 8192, 32768])
@pytest.mark.parametrize("stretch", [Fraction(32), Fraction(5000, 4096), Fraction(3, 2), 10**9])
def test_su_is_correctly_rounded(stretch: Fraction, original: int) -> None:
    with mpmath.workdps(60):
        s = mpmath.mpf(Fraction(stretch).numerator) / Fraction(stretch).denominator
        truth = float(mpmath.sqrt(1 + mpmath.log(s) / mpmath.log(original)))
    assert su_magnitude(Fraction(stretch), original) == truth


@pytest.mark.parametrize("stretch", [Fraction(1), Fraction(1, 2), Fraction(1, 10**6)])
def test_a_context_that_is_not_stretched_has_no_factor_of_su(stretch: Fraction) -> None:
    assert su_magnitude(stretch, 4096) == 1.0
