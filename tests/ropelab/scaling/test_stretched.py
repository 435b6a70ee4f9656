"""Another rule stretched once more: only the frequencies, and by nothing but the factor."""

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import (
    Default,
    DynamicNTK,
    ExplicitFrequencies,
    Linear,
    NTKAware,
    Resonance,
    Stretched,
    YaRN,
)
from tests.ropelab.support import refuses


def test_over_nothing_it_is_linear() -> None:
    stretched = Rope(128, scaling=Stretched(Default(), 3.0)).spectrum()
    linear = Rope(128, scaling=Linear(3.0)).spectrum()
    np.testing.assert_array_equal(stretched.inv_freq, linear.inv_freq)


def test_positions_divided_by_s_meet_the_angles_of_the_inner_rule() -> None:
    # ExLlamaV2, device.py: t /= scale, for alpha 4 as for any other rule.
    inner = Rope(128, scaling=NTKAware(4.0)).spectrum().inv_freq
    ours = Rope(128, scaling=Stretched(NTKAware(4.0), 2.5)).spectrum().inv_freq
    np.testing.assert_allclose(40.0 * ours, 16.0 * inner, rtol=2.0**-51)


def test_amplitudes_and_lengths_are_those_of_the_inner_rule() -> None:
    rule = Stretched(YaRN(4.0, 32768), 2.0)
    spectrum = Rope(128, base=1e6, scaling=rule).spectrum()
    assert spectrum.attention_factor == 1.138629436111989  # 0.1 ln 4 + 1
    assert not rule.depends_on_length
    growing = Rope(128, scaling=Stretched(DynamicNTK(2.0), 2.0), max_position_embeddings=4096)
    assert growing.scaling.depends_on_length
    # Transformers at 8192 tokens: 3.84927334e-05 in the last pair, float32.
    assert growing.spectrum(8192).inv_freq[-1] == pytest.approx(3.84927334e-05 / 2, rel=2e-7)


def test_signs_and_standing_pairs_are_kept() -> None:
    rule = Stretched(ExplicitFrequencies([-1.0, 0.0, 3.0], 1.5), 4.0)
    spectrum = Rope(6, scaling=rule).spectrum()
    assert spectrum.inv_freq.tolist() == [-0.25, 0.0, 0.75]
    assert spectrum.attention_factor == 1.5


@pytest.mark.parametrize("factor", [0.0, -2.0, float("nan"), float("inf")])
def test_bad_factors_are_refused(factor: float) -> None:
    with refuses(ValueError, "factor"):
        Stretched(Default(), factor)


def test_what_is_no_rule_is_refused() -> None:
    with refuses(TypeError, "inner"):
        Stretched("yarn", 2.0)  # type: ignore[arg-type]
    with refuses(TypeError, "factor"):
        Stretched(Default(), "2")  # type: ignore[arg-type]
    with refuses(ValueError, "inner", "whole periods"):
        Rope(8, scaling=Stretched(Resonance(), 2.0)).spectrum()
