"""Numbers that papers, blogs and bug reports print, recomputed from the specification.

Each test names where its numbers stand. What needs trained weights is not here.
"""

from __future__ import annotations

import math
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from ropelab import Rope, Spectrum, cos_sin
from ropelab.bands import classify, completes_turn
from ropelab.precision import bfloat16, narrow
from ropelab.scaling import (
    DeepSeekYaRN,
    DynamicNTK,
    HoPE,
    Linear,
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

LLAMA_2 = Rope(128, base=1e4)
LLAMA_3_1 = Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))
LLAMA_3_2_1B = Rope(64, base=5e5, scaling=Llama3(32.0, 1.0, 4.0, 8192))
QWEN_2_5_YARN = Rope(128, base=1e6, scaling=YaRN(4.0, 32768))
LLAMA_2_YARN = Rope(128, base=1e4, scaling=YaRN(16.0, 4096))
GPT_OSS = Rope(64, base=150_000.0, scaling=YaRN(32.0, 4096, truncate=False))
DEEPSEEK_V3 = Rope(64, base=1e4, scaling=YaRN(40.0, 4096))


def unscaled(rope: Rope) -> NDArray[np.float64]:
    return Rope(rope.head_dim, base=rope.base).spectrum().inv_freq


def unit(positions: object, spectrum: Spectrum) -> NDArray[np.complex128]:
    """Return the turn of each pair at each position as a complex number."""
    cos, sin = cos_sin(np.asarray(positions), spectrum, dtype=np.float64)
    return np.asarray((cos + 1j * sin) / spectrum.attention_factor)


def printed(value: float, digits: str) -> bool:
    """Tell whether a value, rounded as many digits as were printed, is what was printed."""
    return f"{value:.{len(digits.partition('.')[2])}f}" == digits


# RoFormer, arXiv:2104.09864, section 3.4.3: the mean of |S_j| over the pairs, d = 128, b = 1e4.


def partial_sums(positions: object) -> NDArray[np.float64]:
    return np.abs(np.cumsum(unit(positions, LLAMA_2.spectrum()), axis=-1))


@pytest.mark.parametrize(
    ("distance", "decay"),
    [
        (1, "31.538"),
        (16, "15.775"),
        (64, "10.090"),
        (256, "6.543"),
        (1024, "4.024"),
        (4096, "4.883"),
    ],
)
def test_roformer_long_term_decay(distance: int, decay: str) -> None:
    assert printed(float(partial_sums([distance]).mean()), decay)


# Position Interpolation, arXiv:2306.15595, theorem 2.1: 32 ln c, and B(s) / d.


def test_position_interpolation_bounds_by_294_73() -> None:
    last = unscaled(LLAMA_2)[-1]
    logarithm = -math.log(last) * 128 / 126  # ln b from the slowest frequency
    assert printed(32 * logarithm, "294.7309")
    assert printed(2 * 32 * logarithm, "589.5")


@cache
def interpolation_bound() -> NDArray[np.float64]:
    """B(s) / d at s = 0 to 4861."""
    return partial_sums(np.arange(4862)).sum(axis=-1) / 128


@pytest.mark.parametrize(("longest", "smallest"), [(2048, "1.4075"), (4096, "1.1159")])
def test_position_interpolation_sum_over_d_is_above_one(longest: int, smallest: str) -> None:
    assert printed(float(interpolation_bound()[: longest + 1].min()), smallest)


def test_position_interpolation_sum_first_falls_below_d_at_4861() -> None:
    below = np.flatnonzero(interpolation_bound() < 1.0)
    assert below.tolist() == [4861]
    assert printed(float(interpolation_bound()[4861]), "0.99598")


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
    [(96, 1e4, 2048, 31), (128, 5e5, 8192, 35), (128, 1e4, 4096, 46)],
    ids=["phi3-mini: dimension 62", "llama-3-8b: pair 35", "llama-2: dimension 92"],
)
def test_critical_dimension(head_dim: int, base: float, length: int, critical: int) -> None:
    assert int(completes_turn(Rope(head_dim, base=base), length).sum()) == critical


def test_phi_3_mini_periods() -> None:
    wavelengths = Rope(96, base=1e4).spectrum().wavelengths
    assert printed(float(wavelengths[-1]), "51861.67")
    assert printed(float(wavelengths[7]), "24.07")


def test_pairs_of_ten_periods_begin_at() -> None:
    # d10: the first pair (from 0) with fewer than ten periods in the length.
    assert int(completes_turn(Rope(96, base=1e4), 204).sum()) == 19
    assert int(completes_turn(Rope(128, base=5e5), 819).sum()) == 24


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
    ratio = LLAMA_3_2_1B.spectrum().inv_freq / unscaled(LLAMA_3_2_1B)
    assert [f"{r:.6f}" for r in ratio[15:18]] == ["0.605573", "0.303743", "0.103448"]


@pytest.mark.parametrize(
    ("position", "cosine"),
    [(1000, "0.963"), (8192, "0.769"), (20000, "0.627"), (60000, "0.539")],
)
def test_parity_decays_where_llama_3_1_is_not_scaled(position: int, cosine: str) -> None:
    # mlx-vlm!1710 measured 0.959, 0.757, 0.619 and 0.503; this is the closed form.
    plain = unit([position], Rope(128, base=5e5).spectrum())
    turned = unit([position], LLAMA_3_1.spectrum()) * np.conj(plain)
    assert printed(float(turned.real.mean()), cosine)


# "Base of RoPE Bounds Context Length", arXiv:2405.14591: B(m) = sum of cos(m w) >= 0.


def first_negative(rope: Rope, limit: int) -> tuple[int, float]:
    spectrum = rope.spectrum()
    for start in range(0, limit, 4096):
        cos, _ = cos_sin(np.arange(start, start + 4096), spectrum, dtype=np.float64)
        total = (cos / spectrum.attention_factor).sum(axis=-1)
        below = np.flatnonzero(total < 0.0)
        if below.size:
            return start + int(below[0]), float(total[below[0]])
    return limit, math.inf


@pytest.mark.parametrize(
    ("base", "position", "value"),
    [(1e4, 1707, "-0.49893"), (5e5, 18_438, "-0.25626"), (1e6, 27_115, "-0.48676")],
)
def test_base_bound_is_first_broken_at(base: float, position: int, value: str) -> None:
    found, total = first_negative(Rope(128, base=base), 32_768)
    assert found == position
    assert printed(total, value)


@pytest.mark.parametrize(
    ("rope", "position"),
    [
        (LLAMA_3_1, 85_133),
        (LLAMA_3_2_1B, 110_699),
        (QWEN_2_5_YARN, 66_234),
        (LLAMA_2_YARN, 11_671),
        (GPT_OSS, 64_255),
    ],
    ids=["llama-3.1", "llama-3.2-1b", "qwen2.5-yarn-4", "llama-2-yarn-16", "gpt-oss"],
)
def test_base_bound_of_scaled_tables_is_first_broken_at(rope: Rope, position: int) -> None:
    assert first_negative(rope, 131_072)[0] == position


def test_base_bound_of_gemma_4_is_never_broken() -> None:
    # 192 of its 256 pairs stand still, and 64 cosines cannot outweigh them.
    inv_freq = Rope(512, base=1e6, scaling=Proportional(0.25)).spectrum().inv_freq
    assert int((inv_freq == 0.0).sum()) == 192
    assert int((inv_freq > 0.0).sum()) == 64


@pytest.mark.parametrize(
    ("base", "length", "holds"),
    [(4.294e3, 1000, True), (8.380e4, 8192, True), (3.94e5, 8192, False)],
)
def test_base_bound_is_not_monotone_in_the_base(base: float, length: int, holds: bool) -> None:
    # The smallest passing and the largest failing bases seen; both are rounded figures, so some
    # base within their last digit is meant.
    steps = sorted(range(-12, 13), key=abs)
    near = (Rope(128, base=base * (1 + step * 2e-4)) for step in steps)
    assert any((first_negative(rope, length)[0] >= length) is holds for rope in near)


@pytest.mark.parametrize(("target", "base"), [(8, 26784), (16, 71738), (32, 192144), (64, 514640)])
def test_critical_bases_of_extrapolation(target: int, base: int) -> None:
    # arXiv:2310.05209: with this base the pair that turns once in 4096 turns once in the target.
    pair = math.log(4096 / (2 * math.pi), 1e4)
    longer = target * 1024 / (2 * math.pi)
    assert round(longer ** (1 / pair)) == base


# "When Precision Meets Position", arXiv:2411.13476, and what its formats do to positions.


@pytest.mark.parametrize(
    ("first", "distinct"),
    [(256, 193), (1024, 65), (2048, 33), (4096, 17), (65536, 2), (131072, 1)],
)
def test_distinct_bfloat16_positions_of_512(first: int, distinct: int) -> None:
    values = narrow(np.arange(first, first + 512, dtype=np.float64), bfloat16)
    assert len(np.unique(values.view(np.uint16))) == distinct


@pytest.mark.parametrize(
    ("position", "error"),
    [(4096, "1.2e-04"), (131_072, "3.9e-03"), (1_048_576, "3.1e-02"), (10_000_000, "7.7e-01")],
)
def test_float32_angles_err_by(position: int, error: str) -> None:
    exact = unit([position], LLAMA_2.spectrum())
    cos, sin = cos_sin([position], LLAMA_2.spectrum(), angles="float32", dtype=np.float64)
    angle = np.abs(np.angle((cos + 1j * sin) * np.conj(exact)))
    assert f"{angle.max():.1e}" == error


def test_a_float16_angle_of_1044_is_1045() -> None:
    # gpt-neox#1003: the outer product of 2048 positions and frequencies in float16, d = 32
    spectrum, positions = Rope(32).spectrum(), np.arange(2048)
    angles = positions.astype(np.float16)[:, np.newaxis] * spectrum.inv_freq.astype(np.float16)
    assert f"{1857 * spectrum.inv_freq[1]:.4f}" == "1044.2678"
    assert angles[1857, 1] == 1045.0
    cos, _ = cos_sin(positions, spectrum, angles="float32", dtype=np.float64)
    # 0.78186 there, by the cosines of its float32
    assert printed(float(np.abs(np.cos(angles.astype(np.float64)) - cos).max()), "0.7819")


@pytest.mark.parametrize(("position", "cosine"), [(15962, "-0.9080"), (15968, "-0.7548")])
def test_cosines_that_candle_3520_misquotes(position: int, cosine: str) -> None:
    # The pull request has -0.547 and -0.882.
    cos, _ = cos_sin([position], LLAMA_2.spectrum(), dtype=np.float64)
    assert printed(float(cos[0, 0]), cosine)


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


def test_position_interpolation_is_a_division_of_positions() -> None:
    # f'(x, m) = f(x, m L / L'), with L' = 4 L
    scaled = unit(np.arange(0, 4096, 4), Rope(128, scaling=Linear(4.0)).spectrum())
    assert np.abs(scaled - unit(np.arange(1024), LLAMA_2.spectrum())).max() < 1e-12
