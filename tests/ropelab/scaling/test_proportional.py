"""p-RoPE against Transformers, and against the partial rotary width it is taken for."""

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import Proportional
from tests.ropelab.scaling.peers import FLOAT32, assert_within, run, samples, slack
from tests.ropelab.support import refuses

GEMMA_4 = Rope(512, base=1e6, scaling=Proportional(0.25))


def test_gemma_4_is_the_golden_value_of_transformers() -> None:
    # Transformers 5.23.0 in float32, at indices 0, 1, n/4, n/2, 3n/4, n-1; the sum.
    spectrum = GEMMA_4.spectrum()
    values = [1, 0.947463512, 0, 0, 0, 0]
    np.testing.assert_allclose(samples(spectrum), values, rtol=FLOAT32, atol=0.0)
    assert spectrum.inv_freq.sum() == pytest.approx(18.4324747, rel=1e-7)
    assert int((spectrum.inv_freq > 0).sum()) == 64
    assert spectrum.attention_factor == 1.0


@pytest.mark.parametrize(
    ("head_dim", "base", "share", "factor"),
    [
        (512, 1e6, 0.25, 1.0),
        (128, 1e6, 0.5, 4.0),
        (80, 1e4, 0.3, 3.0),  # 0.3 * 80 is 24 in float64 and below it in exact arithmetic
        (26, 1e4, 0.5, 1.0),  # 13 channels, six pairs
        (96, 5e5, 1.0, 8.0),
        (64, 1e4, 0.0, 1.0),
    ],
)
def test_transformers_computes_the_same(
    head_dim: int, base: float, share: float, factor: float
) -> None:
    rope = Rope(head_dim, base=base, scaling=Proportional(share, factor))
    parameters = {
        "rope_type": "proportional",
        "partial_rotary_factor": share,
        "factor": factor,
    }
    inv_freq, _ = run(rope, parameters)
    assert_within(inv_freq, rope.spectrum().inv_freq, slack(rope))


def test_it_is_not_the_partial_rotary_width() -> None:
    # neuronx-distributed-inference!106: the longest rotated wavelength is 188 tokens, and 5.06
    # million where Gemma 4 is read as rotating its first 128 channels.
    turning = GEMMA_4.spectrum().inv_freq > 0
    assert round(GEMMA_4.spectrum().wavelengths[turning].max()) == 188
    partial = Rope(512, base=1e6, rotary_dim=128).spectrum().wavelengths.max()
    assert f"{partial / 1e6:.2f}" == "5.06"


@pytest.mark.parametrize(
    ("share", "kind", "came"),
    [
        (1.5, ValueError, "1.5"),
        (-0.1, ValueError, "-0.1"),
        (float("nan"), ValueError, "nan"),
        ("0.5", TypeError, "'0.5'"),
    ],
)
def test_a_share_out_of_range_is_refused(share: float, kind: type[Exception], came: str) -> None:
    with refuses(kind, "partial_rotary_factor", came):
        Proportional(share)


def test_a_partial_width_is_refused() -> None:
    with refuses(ValueError, "rotary_dim", "head_dim = 512", "128"):
        Rope(512, rotary_dim=128, scaling=Proportional(0.25)).spectrum()
    with refuses(ValueError, "factor", "0.0"):
        Proportional(0.5, 0.0)
