"""Bands against the numbers published for Llama-3.1 and against the wavelengths of known models."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import classify, stretches
from ropelab.scaling import DynamicNTK, Linear, Llama3, NTKAware
from tests.ropelab.support import refuses


def llama3(head_dim: int, factor: float) -> Rope:
    rule = Llama3(
        factor=factor,
        low_freq_factor=1.0,
        high_freq_factor=4.0,
        original_max_position_embeddings=8192,
    )
    return Rope(head_dim, base=500_000.0, scaling=rule)


LLAMA_3_1 = llama3(head_dim=128, factor=8.0)
LLAMA_3_2_1B = llama3(head_dim=64, factor=32.0)


@pytest.mark.parametrize(
    ("rope", "kept", "blended", "stretched"),
    [
        pytest.param(LLAMA_3_1, range(29), range(29, 35), range(35, 64), id="Llama-3.1"),
        pytest.param(LLAMA_3_2_1B, range(15), range(15, 18), range(18, 32), id="Llama-3.2-1B"),
    ],
)
def test_llama_3_has_the_published_bands(
    rope: Rope, kept: range, blended: range, stretched: range
) -> None:
    bands = classify(rope)
    assert [band.name for band in bands] == ["kept", "blended", "stretched"]
    assert [band.pairs for band in bands] == [tuple(kept), tuple(blended), tuple(stretched)]


def test_llama_3_1_divides_the_stretched_frequencies_by_eight() -> None:
    kept, _, stretched = classify(LLAMA_3_1)
    assert set(kept.stretches) == {1.0}
    assert set(stretched.stretches) == {8.0}


def test_llama_3_1_blends_the_published_wavelengths() -> None:
    _, blended, _ = classify(LLAMA_3_1)
    unscaled = np.divide(blended.wavelengths, blended.stretches)
    published = [2401.74, 2948.30, 3619.25, 4442.88, 5453.95, 6695.11]
    assert unscaled.round(2).tolist() == published


def test_llama_3_2_blends_by_the_published_ratios() -> None:
    _, blended, _ = classify(LLAMA_3_2_1B)
    ratios = [round(1.0 / stretch, 6) for stretch in blended.stretches]
    assert ratios == [0.605573, 0.303743, 0.103448]


def test_without_scaling_every_pair_is_kept() -> None:
    kept, blended, stretched = classify(Rope(64))
    assert (len(kept), len(blended), len(stretched)) == (32, 0, 0)
    assert kept.wavelengths[0] == pytest.approx(2.0 * math.pi, rel=1e-15)


def test_linear_stretches_every_pair() -> None:
    kept, blended, stretched = classify(Rope(64, scaling=Linear(factor=3.0)))
    assert (len(kept), len(blended), len(stretched)) == (0, 0, 32)


def test_ntk_keeps_the_first_pair_and_stretches_the_last() -> None:
    rope = Rope(128, scaling=NTKAware(alpha=8.0))
    kept, blended, stretched = classify(rope)
    assert (kept.pairs, stretched.pairs) == ((0,), (63,))
    assert len(blended) == 62
    assert stretched.stretches[0] == pytest.approx(8.0, rel=1e-12)


def test_dynamic_ntk_is_judged_at_the_length_asked_for() -> None:
    rope = Rope(64, scaling=DynamicNTK(factor=4.0), max_position_embeddings=2048)
    assert (stretches(rope, seq_len=2048) == 1.0).all()
    # The last pair is divided by 4 * 2 - 3 = 5 at twice the length (exllama#126).
    assert stretches(rope, seq_len=4096)[-1] == pytest.approx(5.0, rel=1e-12)


@pytest.mark.parametrize("function", [classify, stretches])
def test_what_is_no_rope_is_refused(function: Callable[[Any], object]) -> None:
    with refuses(TypeError, "rope", "NoneType"):
        function(None)
