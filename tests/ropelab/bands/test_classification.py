"""Bands against the numbers published for Llama-3.1 and against the wavelengths of known models."""

import math

import numpy as np
import pytest

from ropelab import Rope
from ropelab.bands import classify, completes_turn, stretches
from ropelab.scaling import DynamicNTK, Linear, Llama3, NTKAware


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


@pytest.mark.parametrize(
    ("rope", "context_length", "turning"),
    [
        pytest.param(Rope(128, base=1e4), 4_096, 46, id="Llama-2 4k"),
        pytest.param(Rope(128, base=5e5), 8_192, 35, id="Llama-3 8k"),
        pytest.param(Rope(128, base=5e5), 131_072, 49, id="Llama-3 base 128k"),
        pytest.param(Rope(128, base=1e6), 32_768, 40, id="Qwen2.5 32k"),
        pytest.param(Rope(256, base=1e4), 8_192, 100, id="Gemma-7B 8k"),
    ],
)
def test_the_published_number_of_pairs_completes_a_turn(
    rope: Rope, context_length: int, turning: int
) -> None:
    assert completes_turn(rope, context_length).sum() == turning


def test_scaling_leaves_ten_pairs_fewer_turning_within_llama_3_1s_context() -> None:
    assert completes_turn(LLAMA_3_1, 131_072).sum() == 39


@pytest.mark.parametrize("length", [0, -1])
def test_a_context_length_that_is_not_positive_is_refused(length: int) -> None:
    with pytest.raises(ValueError, match=f"context_length.*got {length}"):
        completes_turn(Rope(4), length)
