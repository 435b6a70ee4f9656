"""Numbers that papers, blogs and bug reports print, recomputed from the specification.

Each test names where its numbers stand. What needs trained weights is not here.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from ropelab import Rope
from ropelab.bands import (
    classify,
    completes_turn,
    critical_base,
    critical_dimension,
    frequency_ratios,
    turns_within,
)
from ropelab.positions import shard_positions, shard_tokens
from ropelab.scaling import (
    DeepSeekYaRN,
    DynamicNTK,
    HoPE,
    Llama3,
    LongRoPE,
    NTKAware,
    Proportional,
    Resonance,
    Scaling,
    VLLMDynamicNTK,
    YaRN,
    YaRNPaper,
)
from tests.ropelab.support import printed

LLAMA_2 = Rope(128, base=1e4)
LLAMA_3_1 = Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))
LLAMA_3_2_1B = Rope(64, base=5e5, scaling=Llama3(32.0, 1.0, 4.0, 8192))
QWEN_2_5_YARN = Rope(128, base=1e6, scaling=YaRN(4.0, 32768))
LLAMA_2_YARN = Rope(128, base=1e4, scaling=YaRN(16.0, 4096))
GPT_OSS = Rope(64, base=150_000.0, scaling=YaRN(32.0, 4096, truncate=False))
DEEPSEEK_V3 = Rope(64, base=1e4, scaling=YaRN(40.0, 4096))


def unscaled(rope: Rope) -> NDArray[np.float64]:
    return Rope(rope.head_dim, base=rope.base).spectrum().inv_freq


# NTK-aware scaling, reddit r/LocalLLaMA 14lz7j5 (2023); exllama#126; vllm#5093.


def base_of(rope: Rope, seq_len: int | None = None) -> float:
    """Return the base that a spectrum's second frequency shows."""
    return float(rope.spectrum(seq_len).inv_freq[1] ** (-rope.rotary_dim / 2))


@pytest.mark.parametrize(
    ("alpha", "base"), [(2.0, "20221.2617"), (4.0, "40889.9424"), (8.0, "82684.6226")]
)
def test_ntk_aware_bases(alpha: float, base: str) -> None:
    assert printed(base_of(Rope(128, scaling=NTKAware(alpha))), base)


@pytest.mark.parametrize(
    ("length", "multiple"), [(2048, "1.00000"), (4096, "5.26644"), (8192, "14.12138")]
)
def test_dynamic_ntk_base_multipliers(length: int, multiple: str) -> None:
    rope = Rope(64, scaling=DynamicNTK(4.0), max_position_embeddings=2048)
    assert printed(base_of(rope, length) / 1e4, multiple)


@pytest.mark.parametrize("length", [1, 2048, 8192])
def test_vllm_has_one_dynamic_base_for_every_length(length: int) -> None:
    rule = VLLMDynamicNTK(4.0, max_trained_positions=2048)
    rope = Rope(64, scaling=rule, max_position_embeddings=8192)
    assert printed(base_of(rope, length) / 1e4, "14.12138")


# YaRN, arXiv:2309.00071, section 3.2, and the code published with it; vllm!28244 for gpt-oss.


def ramp_of(rope: Rope) -> tuple[float, float]:
    """Return where an untruncated ramp begins and ends, by two pairs on it."""
    rule = rope.scaling
    assert isinstance(rule, YaRN)
    length = rule.original_max_position_embeddings
    untruncated = Rope(
        rope.head_dim, base=rope.base, scaling=YaRN(rule.factor, length, truncate=False)
    )
    factor = rule.factor or 1.0
    share = (untruncated.spectrum().inv_freq / unscaled(rope) - 1 / factor) / (1 - 1 / factor)
    on_it = np.flatnonzero((share > 0.02) & (share < 0.98))
    first, last = int(on_it[0]), int(on_it[-1])
    slope = (share[last] - share[first]) / (last - first)
    return float(first + (1 - share[first]) / slope), float(first - share[first] / slope)


@pytest.mark.parametrize(
    ("rope", "ends"),
    [
        (LLAMA_2_YARN, ("20.94448", "45.02688")),
        (QWEN_2_5_YARN, ("23.59595", "39.65088")),
        (GPT_OSS, ("8.092779115512", "17.398024501589")),
        (DEEPSEEK_V3, ("10.47224", "22.51344")),
    ],
    ids=["llama-2", "qwen2.5", "gpt-oss", "deepseek-v3"],
)
def test_yarn_ramp_ends(rope: Rope, ends: tuple[str, str]) -> None:
    low, high = ramp_of(rope)
    assert printed(low, ends[0])
    assert printed(high, ends[1])


@pytest.mark.parametrize(
    ("rope", "ratio", "pair"),
    [
        (LLAMA_2_YARN, "3.0414", 38),
        (QWEN_2_5_YARN, "1.7130", 32),
        (GPT_OSS, "3.6798", 15),
        (DEEPSEEK_V3, "4.2819", 20),
    ],
    ids=["llama-2", "qwen2.5", "gpt-oss", "deepseek-v3"],
)
def test_yarn_as_shipped_and_as_published_are_two_functions(
    rope: Rope, ratio: str, pair: int
) -> None:
    rule = rope.scaling
    assert isinstance(rule, YaRN)
    assert rule.factor is not None
    paper = YaRNPaper(rule.factor, rule.original_max_position_embeddings)
    published = Rope(rope.head_dim, base=rope.base, scaling=paper).spectrum().inv_freq
    apart = rope.spectrum().inv_freq / published
    assert int(apart.argmax()) == pair
    assert printed(float(apart.max()), ratio)


@pytest.mark.parametrize(
    ("rope", "percent", "pair"),
    [
        (LLAMA_2_YARN, "35.5", 45),
        (QWEN_2_5_YARN, "4.7", 39),
        (GPT_OSS, "76", 17),
        (DEEPSEEK_V3, "33", 22),
    ],
    ids=["llama-2", "qwen2.5", "gpt-oss", "deepseek-v3"],
)
def test_yarn_truncation_moves_a_frequency_by(rope: Rope, percent: str, pair: int) -> None:
    rule = rope.scaling
    assert isinstance(rule, YaRN)
    other = YaRN(rule.factor, rule.original_max_position_embeddings, truncate=not rule.truncate)
    moved = Rope(rope.head_dim, base=rope.base, scaling=other).spectrum().inv_freq
    change = np.abs(moved / rope.spectrum().inv_freq - 1.0)
    assert int(change.argmax()) == pair
    assert printed(100 * float(change.max()), percent)


@pytest.mark.parametrize(
    ("factor", "amplitude"),
    [
        (4.0, "1.1386294"),
        (16.0, "1.2772588722"),  # vllm!48623
        (32.0, "1.3465736"),
        (40.0, "1.3688879"),
        (64.0, "1.4158883"),  # vllm!46280
    ],
)
def test_yarn_amplitudes(factor: float, amplitude: str) -> None:
    spectrum = Rope(128, scaling=YaRN(factor, 4096)).spectrum()
    assert printed(spectrum.attention_factor, amplitude)


@pytest.mark.parametrize(
    ("mscale", "factor", "softmax"),
    [
        (1.0, 40.0, "1.8739"),
        (1.0, 40.0, "1.8738542"),
        (0.707, 40.0, "1.5896262"),
        (1.0, 64.0, "2.0047397"),
        (1.0, 32.0, "1.8132604"),
    ],
    ids=["mobius!548", "deepseek-v3", "v2-lite", "kimi-64", "kimi-32"],
)
def test_deepseek_softmax_multipliers(mscale: float, factor: float, softmax: str) -> None:
    rule = DeepSeekYaRN(factor, 4096, mscale=mscale, mscale_all_dim=mscale)
    spectrum = Rope(64, scaling=rule).spectrum()
    assert spectrum.attention_factor == 1.0
    assert printed(spectrum.softmax_factor, softmax)


# LongRoPE, arXiv:2402.13753, as Phi-3 applies it: s = 32, L = 4096.


def test_longrope_attention_scale() -> None:
    rule = LongRoPE([1.0, 1.0], [1.0, 2.0], 4096)
    rope = Rope(4, scaling=rule, max_position_embeddings=131_072)
    assert rope.spectrum(4096).attention_factor == 1.1902380714238083


# LongRoPE2, arXiv:2502.20082, section 3; Liu et al., arXiv:2310.05209, for Llama-2.


@pytest.mark.parametrize(
    ("head_dim", "base", "length", "critical"),
    [(96, 1e4, 2048, 62), (128, 5e5, 8192, 70), (128, 1e4, 4096, 92)],
    ids=["phi3-mini: dimension 62", "llama-3-8b: pair 35", "llama-2: dimension 92"],
)
def test_critical_dimension(head_dim: int, base: float, length: int, critical: int) -> None:
    rope = Rope(head_dim, base=base)
    assert critical_dimension(rope, length) == critical
    assert int(completes_turn(rope, length).sum()) == critical // 2


def test_phi_3_mini_periods() -> None:
    wavelengths = Rope(96, base=1e4).spectrum().wavelengths
    assert printed(float(wavelengths[-1]), "51861.67")
    assert printed(float(wavelengths[7]), "24.07")


def test_pairs_of_ten_periods_begin_at() -> None:
    # d10: the first pair (from 0) with fewer than ten periods in the length.
    assert int((turns_within(Rope(96, base=1e4), 2048) >= 10).sum()) == 19
    assert int((turns_within(Rope(128, base=5e5), 8192) >= 10).sum()) == 24


# Meta's rule for Llama 3.1, llama-models, July 2024; tiny-vllm!1 for the 1B model.


@pytest.mark.parametrize(
    ("rope", "pairs"),
    [(LLAMA_3_1, (29, 6, 29)), (LLAMA_3_2_1B, (15, 3, 14))],
    ids=["llama-3.1", "llama-3.2-1b"],
)
def test_llama_3_bands(rope: Rope, pairs: tuple[int, int, int]) -> None:
    bands = classify(rope)
    assert tuple(len(band) for band in bands) == pairs
    assert [pair for band in bands for pair in band.pairs] == list(range(sum(pairs)))


def test_llama_3_1_wavelengths_of_the_blended_pairs() -> None:
    told = ["2401.74", "2948.30", "3619.25", "4442.88", "5453.95", "6695.11"]
    found = (2.0 * np.pi / unscaled(LLAMA_3_1))[29:35]
    assert [f"{wavelength:.2f}" for wavelength in found] == told


def test_llama_3_2_1b_ratios_of_the_blended_pairs() -> None:
    ratio = frequency_ratios(Rope(64, base=5e5), LLAMA_3_2_1B)
    assert [f"{r:.6f}" for r in ratio[15:18]] == ["0.605573", "0.303743", "0.103448"]


@pytest.mark.parametrize(("target", "base"), [(8, 26784), (16, 71738), (32, 192144), (64, 514640)])
def test_critical_bases_of_extrapolation(target: int, base: int) -> None:
    # arXiv:2310.05209: with this base the pair that turns once in 4096 turns once in the target.
    assert round(critical_base(1e4, 4096, 1024 * target)) == base


@pytest.mark.parametrize(
    ("base", "length", "target", "found"),
    [(1e4, 2048, 131_072, "7.495e+06"), (5e5, 8192, 131_072, "7.976e+07")],
    ids=["phi3-mini", "llama-3-8b"],
)
def test_ntk_bases_of_longrope2(base: float, length: int, target: int, found: str) -> None:
    # arXiv:2502.20082: the smallest base whose critical pair turns once in the target length.
    assert f"{critical_base(base, length, target):.3e}" == found


@pytest.mark.parametrize(("rank", "held"), [(0, [0, 3, 4, 7]), (1, [1, 2, 5, 6])])
def test_zigzag_shards_of_a_pack(rank: int, held: list[int]) -> None:
    # Megatron-LM!5243: rank 0 had the tokens [0, 3, 0, 3].
    assert shard_tokens([0, 4, 8], 2, rank).tolist() == held
    assert shard_positions([0, 4, 8], 2, rank).tolist() == [m % 4 for m in held]


# Resonance RoPE, arXiv:2403.00071; HoPE, arXiv:2410.21216; p-RoPE, arXiv:2410.06205.


def test_resonance_changes_a_wavelength_by_at_most() -> None:
    spectrum = Rope(128, scaling=Resonance()).spectrum()
    before = LLAMA_2.spectrum().wavelengths
    assert spectrum.periods is not None
    assert printed(100 * float(np.abs(spectrum.periods / before - 1.0).max()), "4.52")
    assert [f"{w:.3f}" for w in before[:2]] == ["6.283", "7.256"]
    assert spectrum.periods[:2].tolist() == [6, 7]


@pytest.mark.parametrize(
    ("rope", "length", "kept"),
    [
        (LLAMA_2, 4096, 46),
        (Rope(128, base=5e5), 8192, 35),
        (Rope(128, base=5e5), 131_072, 49),
        (Rope(128, base=1e6), 32_768, 40),
        (Rope(256, base=1e4), 8192, 100),
    ],
    ids=["llama-2", "llama-3", "llama-3.1 without its rule", "qwen2.5", "gemma-7b"],
)
def test_pairs_that_turn_within_the_length(rope: Rope, length: int, kept: int) -> None:
    assert int(completes_turn(rope, length).sum()) == kept
    hope = Rope(rope.head_dim, base=rope.base, scaling=HoPE(length))
    assert int((hope.spectrum().inv_freq > 0).sum()) == kept


@pytest.mark.parametrize(
    ("rule", "longest"),
    [(Proportional(0.25), "188"), (None, "5060000")],
    ids=["proportional", "partial"],
)
def test_longest_wavelength_of_gemma_4(rule: Scaling | None, longest: str) -> None:
    # neuronx-distributed-inference!106: 188 tokens if right, 5.06 million as partial(128).
    rope = Rope(512, base=1e6, scaling=rule, rotary_dim=None if rule else 128)
    inv_freq = rope.spectrum().inv_freq
    found = 2.0 * np.pi / inv_freq[inv_freq > 0].min()
    assert f"{float(f'{found:.3g}'):.0f}" == longest
