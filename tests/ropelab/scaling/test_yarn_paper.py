"""The paper's ramp against the published sizes of what sets it apart, and its own formula."""

from typing import Any

import mpmath
import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import YaRN, YaRNPaper
from tests.ropelab.support import refuses


# The largest ratio of the shipped code's frequencies over the paper's, and its pair.
@pytest.mark.parametrize(
    ("head_dim", "base", "length", "factor", "truncate", "ratio", "pair"),
    [
        pytest.param(128, 1e4, 4096, 16.0, True, 3.0414, 38, id="Llama-2"),
        pytest.param(128, 1e6, 32768, 4.0, True, 1.7130, 32, id="Qwen2.5"),
        pytest.param(64, 150_000.0, 4096, 32.0, False, 3.6798, 15, id="gpt-oss"),
        pytest.param(64, 1e4, 4096, 40.0, True, 4.2819, 20, id="DeepSeek-V3"),
    ],
)
def test_it_differs_from_the_code_as_published(
    head_dim: int,
    base: float,
    length: int,
    factor: float,
    truncate: bool,
    ratio: float,
    pair: int,
) -> None:
    shipped = Rope(head_dim, base=base, scaling=YaRN(factor, length, truncate=truncate)).spectrum()
    paper = Rope(head_dim, base=base, scaling=YaRNPaper(factor, length)).spectrum()
    quotient = shipped.inv_freq / paper.inv_freq
    assert (round(float(quotient.max()), 4), int(quotient.argmax())) == (ratio, pair)
    assert shipped.attention_factor == paper.attention_factor


# Section 3.4: sqrt(1/t) = 0.1 ln s + 1; below 1 there is no extension to make up for.
@pytest.mark.parametrize(("factor", "magnitude"), [(4.0, 1.1386294361), (0.5, 1.0)])
def test_the_temperature(factor: float, magnitude: float) -> None:
    spectrum = Rope(64, scaling=YaRNPaper(factor, 4096)).spectrum()
    assert spectrum.attention_factor == pytest.approx(magnitude, rel=1e-10)


@pytest.mark.parametrize("betas", [(32.0, 1.0), (24.0, 2.5), (5.0, 5.0)])
def test_the_ramp_is_linear_in_rotations(betas: tuple[float, float]) -> None:
    beta, alpha = betas
    rope = Rope(96, base=5e5, rotary_dim=48, scaling=YaRNPaper(8.0, 8192, beta, alpha))
    with mpmath.workdps(40):
        truth = []
        for i in range(24):
            speed = mpmath.mpf(5e5) ** (-mpmath.mpf(2 * i) / 48)
            r = 8192 * speed / (2 * mpmath.pi)
            if alpha == beta:
                share = mpmath.mpf(int(r > alpha))
            else:
                share = min(max((r - alpha) / (mpmath.mpf(beta) - alpha), 0), 1)
            truth.append(float((1 - share) * speed / 8 + share * speed))
    np.testing.assert_allclose(rope.spectrum().inv_freq, truth, rtol=8 * 2.0**-52, atol=0.0)


@pytest.mark.parametrize(
    ("changed", "kind", "came"),
    [
        ({"factor": 0.0}, ValueError, "0.0"),
        ({"factor": float("nan")}, ValueError, "nan"),
        ({"factor": None}, TypeError, "None"),
        ({"factor": True}, TypeError, "True"),
        ({"original_max_position_embeddings": 0}, ValueError, "0"),
        ({"original_max_position_embeddings": "4096"}, TypeError, "'4096'"),
        ({"beta_fast": 0.5}, ValueError, "0.5"),
        ({"beta_slow": 0.0}, ValueError, "0.0"),
        ({"beta_slow": float("nan")}, ValueError, "nan"),
        ({"beta_fast": None}, TypeError, "None"),
    ],
)
def test_parameters_out_of_range_are_refused(
    changed: dict[str, Any], kind: type[Exception], came: str
) -> None:
    good: dict[str, Any] = {"factor": 4.0, "original_max_position_embeddings": 4096}
    with refuses(kind, next(iter(changed)), came):
        YaRNPaper(**{**good, **changed})
