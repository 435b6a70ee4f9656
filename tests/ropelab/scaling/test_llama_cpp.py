"""llama.cpp's rule: what its parameters make of it, against YaRN, linear scaling and mpmath."""

from typing import Any

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import Linear, LlamaCppYaRN, YaRN
from tests.ropelab.support import refuses


@pytest.mark.parametrize("factor", [4.0, 16.0])
def test_with_ext_factor_1_it_is_yarn(factor: float) -> None:
    theirs = Rope(128, base=1e6, scaling=LlamaCppYaRN(1 / factor, 32768)).spectrum()
    assert theirs == Rope(128, base=1e6, scaling=YaRN(factor, 32768)).spectrum()


def test_with_ext_factor_0_it_is_linear_scaling() -> None:
    rule = LlamaCppYaRN(0.125, 4096, ext_factor=0.0, attn_factor=1.25)
    theirs, linear = (Rope(80, scaling=s).spectrum() for s in (rule, Linear(8.0)))
    assert theirs.inv_freq.tolist() == linear.inv_freq.tolist()
    assert theirs.attention_factor == 1.25  # no temperature without ext_factor


def test_ext_factor_weighs_the_unscaled_frequencies() -> None:
    # pairs 0 to 1 are kept, 3 is slowed by 4, and the ramp is half way down at 2
    rule = LlamaCppYaRN(0.25, 4096, ext_factor=0.5)
    inv_freq = Rope(8, scaling=rule).spectrum().inv_freq
    assert inv_freq == pytest.approx([0.625, 0.0625, 0.004375, 0.00025], rel=1e-15)


# Its loader gives DeepSeek 2 the attn_factor that cancels the temperature.
@pytest.mark.parametrize(
    ("freq_scale", "attn_factor", "magnitude"),
    [
        (0.25, 1.0, 1.138629436111989),
        (0.025, 1.0, 1.3688879454113936),
        (0.025, 1 / 1.3688879454113936, 1.0),
        (2.0, 1.0, 0.9306852819440055),  # 1 - 0.1 ln 2: no floor at 1
    ],
)
def test_the_magnitude(freq_scale: float, attn_factor: float, magnitude: float) -> None:
    for ext_factor in (1.0, 0.25):  # the temperature does not depend on how much is mixed
        rule = LlamaCppYaRN(freq_scale, 4096, ext_factor, attn_factor)
        got = Rope(64, scaling=rule).spectrum().attention_factor
        assert got == pytest.approx(magnitude, rel=1e-14)


def test_where_yarns_ends_cross_it_has_a_step_at_the_first_pair() -> None:
    # in 3 tokens no pair turns even once, and both ends lie before pair 0
    inv_freq = Rope(32).spectrum().inv_freq
    theirs = Rope(32, scaling=LlamaCppYaRN(0.25, 3)).spectrum().inv_freq
    assert (theirs / inv_freq).tolist() == [1.0] + [0.25] * 15
    yarn = Rope(32, scaling=YaRN(4.0, 3)).spectrum().inv_freq
    assert yarn.tolist() == inv_freq.tolist()


def test_the_ramp_is_ggmls() -> None:
    rule = LlamaCppYaRN(0.3, 8192, ext_factor=0.75, beta_fast=24.0, beta_slow=2.0)
    rope = Rope(96, base=5e5, rotary_dim=48, scaling=rule)
    with mpmath.workdps(40):

        def dims(rotations: int) -> mpmath.mpf:
            turns = mpmath.log(mpmath.mpf(8192) / (rotations * 2 * mpmath.pi))
            return 48 * turns / (2 * mpmath.log(5e5))

        low, high = mpmath.floor(dims(24)), mpmath.ceil(dims(2))
        truth = []
        for i in range(24):
            speed = mpmath.mpf(5e5) ** (-mpmath.mpf(i) / 24)
            mix = (1 - min(max((i - low) / (high - low), 0), 1)) * mpmath.mpf(0.75)
            truth.append(float(mpmath.mpf(0.3) * speed * (1 - mix) + speed * mix))
    # Powers and shares are rounded correctly; five roundings follow.
    np.testing.assert_allclose(rope.spectrum().inv_freq, truth, rtol=7 * 2.0**-53, atol=0.0)


@pytest.mark.parametrize(
    ("changed", "kind", "came"),
    [
        ({"freq_scale": 0.0}, ValueError, "0.0"),
        ({"freq_scale": float("nan")}, ValueError, "nan"),
        ({"freq_scale": "0.25"}, TypeError, "'0.25'"),
        ({"original_max_position_embeddings": 0}, ValueError, "0"),
        ({"original_max_position_embeddings": 4096.0}, TypeError, "4096.0"),
        ({"ext_factor": -1.0}, ValueError, "-1.0"),
        ({"ext_factor": 1.25}, ValueError, "1.25"),
        ({"ext_factor": float("nan")}, ValueError, "nan"),
        ({"ext_factor": True}, TypeError, "True"),
        ({"attn_factor": -1.0}, ValueError, "-1.0"),
        ({"attn_factor": None}, TypeError, "None"),
        ({"beta_fast": 0.5}, ValueError, "0.5"),
        ({"beta_slow": 0.0}, ValueError, "0.0"),
    ],
)
def test_parameters_out_of_range_are_refused(
    changed: dict[str, Any], kind: type[Exception], came: str
) -> None:
    good: dict[str, Any] = {"freq_scale": 0.25, "original_max_position_embeddings": 4096}
    with refuses(kind, next(iter(changed)), came):
        LlamaCppYaRN(**{**good, **changed})
