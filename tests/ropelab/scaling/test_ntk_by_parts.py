"""NTK-by-parts against its formula in 40 digits, and its three bands against simpler rules."""

from typing import Any

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import Linear, NTKAware, NTKByParts
from tests.ropelab.support import refuses


def formula(d: int, base: float, rule: NTKByParts) -> list[float]:
    """Return the frequencies as LlamaPartNTKScaledRotaryEmbedding has them."""
    b, s, length = mpmath.mpf(base), mpmath.mpf(rule.factor), rule.original_max_position_embeddings

    def mask(first: float, last: float, most: float) -> list[mpmath.mpf]:
        turns = [mpmath.log(length / (mpmath.mpf(r) * 2 * mpmath.pi)) for r in (first, last)]
        dims = [d * turn / (2 * mpmath.log(b)) for turn in turns]
        low, high = max(mpmath.floor(dims[0]), 0), min(mpmath.ceil(dims[1]), d - 1)
        ramp = [min(max((i - low) / (high - low), 0), 1) for i in range(d // 2)]
        return [(1 - value) * mpmath.mpf(most) for value in ramp]

    powers = [mpmath.mpf(2 * i) / d for i in range(d // 2)]
    new_base = b * s ** (mpmath.mpf(d) / (d - 2))
    first = mask(rule.beta_0, rule.beta_1, rule.ntk_factor)
    second = mask(rule.gamma_0, rule.gamma_1, rule.extrapolation_factor)
    result = []
    for power, w1, w2 in zip(powers, first, second, strict=True):
        mixed = (1 - w1) / (s * b**power) + w1 / new_base**power
        result.append(float(mixed * (1 - w2) + w2 / b**power))
    return result


@pytest.mark.parametrize(
    ("d", "base", "rule"),
    [
        (128, 1e4, NTKByParts(8.0, 2048)),
        (48, 5e5, NTKByParts(4.0, 8192, ntk_factor=0.75, extrapolation_factor=0.5)),
        (64, 1e6, NTKByParts(2.5, 4096, beta_0=3.0, beta_1=0.5, gamma_0=24.0, gamma_1=4.0)),
    ],
)
def test_it_is_the_published_codes_formula(d: int, base: float, rule: NTKByParts) -> None:
    with mpmath.workdps(40):
        truth = formula(d, base, rule)
    spectrum = Rope(d, base=base, scaling=rule).spectrum()
    # 3 roundings in the new base's powers, 4 in each of the two blends
    np.testing.assert_allclose(spectrum.inv_freq, truth, rtol=11 * 2.0**-53, atol=0.0)
    assert (spectrum.attention_factor, spectrum.softmax_factor) == (1.0, 1.0)


def test_the_three_bands() -> None:
    rule = NTKByParts(8.0, 2048)
    inv_freq, plain, aware, slowed = (
        Rope(128, scaling=scaling).spectrum().inv_freq
        for scaling in (rule, None, NTKAware(8.0), Linear(8.0))
    )
    # 2048 tokens of base 1e4: 16 rotations at pair 20.9, 2 at 35.4, 1.25 at 38.6, 0.75 at 42.2
    assert inv_freq[:21].tolist() == plain[:21].tolist()
    assert inv_freq[36:39].tolist() == aware[36:39].tolist()
    assert inv_freq[43:].tolist() == slowed[43:].tolist()


def test_without_ntk_and_extrapolation_it_is_linear_scaling() -> None:
    rule = NTKByParts(8.0, 2048, ntk_factor=0.0, extrapolation_factor=0.0)
    assert Rope(80, scaling=rule).spectrum() == Rope(80, scaling=Linear(8.0)).spectrum()


@pytest.mark.parametrize(
    ("changed", "kind", "came"),
    [
        ({"factor": 0.0}, ValueError, "0.0"),
        ({"factor": "8"}, TypeError, "'8'"),
        ({"original_max_position_embeddings": 0}, ValueError, "0"),
        ({"original_max_position_embeddings": True}, TypeError, "True"),
        ({"ntk_factor": 1.5}, ValueError, "1.5"),
        ({"ntk_factor": float("nan")}, ValueError, "nan"),
        ({"extrapolation_factor": -0.5}, ValueError, "-0.5"),
        ({"beta_0": 0.5}, ValueError, "0.5"),
        ({"beta_1": 0.0}, ValueError, "0.0"),
        ({"gamma_0": 1.0}, ValueError, "1.0"),
        ({"gamma_1": "2"}, TypeError, "'2'"),
    ],
)
def test_parameters_out_of_range_are_refused(
    changed: dict[str, Any], kind: type[Exception], came: str
) -> None:
    good: dict[str, Any] = {"factor": 8.0, "original_max_position_embeddings": 2048}
    with refuses(kind, next(iter(changed)), came):
        NTKByParts(**{**good, **changed})
