"""Frequencies in a narrow format: as torch rounds them, and what it costs."""

import numpy as np
import pytest
import torch

import ropelab
from ropelab import Rope
from ropelab.scaling import Default, DynamicNTK, Linear, RoundedFrequencies, Scaling
from tests.ropelab.support import refuses


def frequencies(base: float, rule: Scaling) -> np.ndarray:
    return Rope(128, base=base, scaling=rule).spectrum().inv_freq


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32"])
@pytest.mark.parametrize("base", [1e4, 5e5, 1e6])
@pytest.mark.parametrize("inner", [Default(), Linear(3.0)])
def test_torch_rounds_the_same(dtype: str, base: float, inner: Scaling) -> None:
    exact = torch.tensor(frequencies(base, inner), dtype=torch.float64)
    theirs = exact.to(getattr(torch, dtype)).to(torch.float64).numpy()
    ours = frequencies(base, RoundedFrequencies(dtype, inner))
    np.testing.assert_array_equal(ours, theirs)


# ExLlamaV2's rope_freq_half, computed for its difference from float32.
@pytest.mark.parametrize(("base", "subnormal"), [(5e5, 16), (1e6, 19)])
def test_how_much_of_a_frequency_half_precision_loses(base: float, subnormal: int) -> None:
    exact, half = frequencies(base, Default()), frequencies(base, RoundedFrequencies("float16"))
    small = exact < 2.0**-14
    assert int(small.sum()) == subnormal
    error = np.abs(half - exact) / exact
    assert 4e-4 < error[~small].max() <= 4.9e-4
    assert error[small].max() <= 8.7e-3


@pytest.mark.parametrize(("base", "position", "radians"), [(1e4, 4096, 0.99), (5e5, 131072, 21.5)])
def test_how_far_the_angle_goes_astray(base: float, position: int, radians: float) -> None:
    exact, half = frequencies(base, Default()), frequencies(base, RoundedFrequencies("float16"))
    assert np.abs(position * (half - exact)).max() == pytest.approx(radians, rel=5e-3)


def test_the_length_is_passed_on() -> None:
    inner = DynamicNTK(2.0)
    rule = RoundedFrequencies(ropelab.bfloat16, inner)
    rope = Rope(64, scaling=rule, max_position_embeddings=4096)
    assert rope.spectrum(8192) != rope.spectrum(4096)
    assert (rule.depends_on_length, RoundedFrequencies("float16").depends_on_length) == (
        True,
        False,
    )
    assert rule == RoundedFrequencies("bfloat16", inner)
    assert hash(rule) == hash(RoundedFrequencies("bfloat16", inner))


def test_another_format_or_no_rule_is_refused() -> None:
    with refuses(TypeError, "dtype", "float8"):
        RoundedFrequencies("float8")
    with refuses(TypeError, "dtype", "int32"):
        RoundedFrequencies(np.int32)
    with refuses(TypeError, "inner", "None"):
        RoundedFrequencies("float16", None)  # type: ignore[arg-type]
    with refuses(ValueError, "inv_freq", "inf", "pair 0"):
        Rope(2, scaling=RoundedFrequencies("float16", Linear(1e-5))).spectrum()
