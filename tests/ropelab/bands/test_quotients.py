"""Quotients of the frequencies of two embeddings, by hand."""

import math

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import frequency_ratios
from ropelab.bands.quotients import AGREEMENT, frequency_quotients
from ropelab.scaling import ExplicitFrequencies, Linear, Proportional
from tests.ropelab.support import refuses


def test_frequency_ratios_are_infinite_where_the_first_alone_stands() -> None:
    half, whole = Rope(8, scaling=Proportional(0.5)), Rope(8)
    assert frequency_ratios(half, whole).tolist() == [1.0, 1.0, math.inf, math.inf]
    assert frequency_ratios(whole, half).tolist() == [1.0, 1.0, 0.0, 0.0]
    assert frequency_ratios(half, half).tolist() == [1.0] * 4


def test_ropes_of_different_widths_have_no_ratios() -> None:
    with refuses(ValueError, "b", "8", "16"):
        frequency_ratios(Rope(8), Rope(16))
    with refuses(TypeError, "rope", "Spectrum"):
        frequency_ratios(Rope(8), Rope(8).spectrum())  # type: ignore[arg-type]


def test_the_larger_of_both_quotients() -> None:
    one = Rope(10, scaling=ExplicitFrequencies((1.0, 0.5, 0.25, 0.0, 0.125)))
    other = Rope(10, scaling=ExplicitFrequencies((1.0, 1.5, 0.05, 0.0, 0.0)))
    expected = [1.0, 3.0, 5.0, 1.0, math.inf]
    assert frequency_quotients(one, other) == pytest.approx(expected, rel=1e-15)
    assert frequency_quotients(other, one) == pytest.approx(expected, rel=1e-15)


def test_float32_agrees_and_float16_does_not() -> None:
    rope = Rope(128, base=500_000.0)
    for format_, agree in ((np.float32, True), (np.float16, False)):
        numbers = tuple(rope.spectrum().inv_freq.astype(format_).astype(float).tolist())
        cast = Rope(128, base=500_000.0, scaling=ExplicitFrequencies(numbers))
        worst = float(frequency_quotients(rope, cast).max())
        assert (worst <= 1.0 + AGREEMENT) is agree
    scaled = Rope(128, base=500_000.0, scaling=Linear(1.0 + 2e-6))
    assert frequency_quotients(rope, scaled).min() > 1.0 + AGREEMENT
