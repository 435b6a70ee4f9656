"""What holds of every frequency rule, and what holds between two of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from ropelab import (
    SCALINGS,
    Rope,
    Spectrum,
    apply_rotary,
    cos_sin,
    exact_phases,
    to_half,
    to_interleaved,
)
from ropelab.golden.cards import CARDS, LENGTHS
from ropelab.golden.implementation import rope_of_card
from ropelab.precision import eps
from ropelab.scaling import (
    DeepSeekYaRN,
    Default,
    DynamicLinear,
    DynamicNTK,
    ExplicitFrequencies,
    HoPE,
    Linear,
    Llama3,
    LlamaCppYaRN,
    LongRoPE,
    NTKAware,
    Proportional,
    Resonance,
    RoundedFrequencies,
    Scaling,
    SGLangDynamicNTK,
    TransformerEngineInterpolation,
    VLLMDynamicNTK,
    YaRN,
    YaRNPaper,
)
from tests.ropelab.support import bits, turn_rounding

LIMIT = 2**31 - 1
MORE = settings(max_examples=60, deadline=None)
EPS = eps("float64")

ids = st.integers(-LIMIT, LIMIT)
widths = st.integers(2, 40).map(lambda half: 2 * half)
bases = st.floats(100.0, 1e7)
factors = st.floats(1.0, 128.0)
lengths = st.integers(64, 2**18)


@st.composite
def spectra(draw: st.DrawFn) -> Spectrum:
    """Draw the spectrum of a published rope, of any rule, at a length where its rule is asked."""
    name = draw(st.sampled_from(sorted(CARDS)))
    rope = rope_of_card(CARDS[name])
    asked = st.sampled_from(LENGTHS.get(name, (None,)))
    return rope.spectrum(draw(asked if name in LENGTHS else asked | lengths))


def frequencies(scaling: Scaling | None, d: int, base: float, length: int | None = None) -> Any:
    rope = Rope(d, base=base, scaling=scaling, max_position_embeddings=length)
    return rope.spectrum().inv_freq


def tokens(spectrum: Spectrum, position: int) -> NDArray[np.int64]:
    """Return one token's position, on axes that all differ if there are several."""
    one = np.full((1, 1), position, np.int64)
    count = spectrum.position_axes
    return one if count == 1 else np.stack([one - axis for axis in range(count)])


def vector(spectrum: Spectrum, seed: int) -> NDArray[np.float64]:
    """Return a head (1, 1, 1, d) without zeros."""
    draw = np.random.default_rng(seed).uniform(0.5, 2.0, spectrum.rotary_dim)
    signs = np.where(np.arange(draw.size) % 3 == 0, -1.0, 1.0)
    return (draw * signs).reshape(1, 1, 1, -1)


def pairs(x: NDArray[np.float64]) -> NDArray[np.complex128]:
    d = x.shape[-1]
    return x[..., : d // 2] + 1j * x[..., d // 2 :]


def test_every_rule_has_a_card() -> None:
    assert {card["rope_type"] for card in CARDS.values()} == set(SCALINGS)


# Of every rule


@MORE
@given(spectra(), ids, st.integers(0, 99), st.booleans())
def test_a_rotation_changes_norms_by_the_attention_factor_alone(
    spectrum: Spectrum, position: int, seed: int, inverse: bool
) -> None:
    x = vector(spectrum, seed)
    y = apply_rotary(x, tokens(spectrum, position), spectrum, inverse=inverse)
    expected = spectrum.attention_factor * np.abs(pairs(x))
    assert (np.abs(np.abs(pairs(y)) - expected) <= 6 * EPS * expected).all()


@MORE
@given(spectra(), ids, st.integers(0, 99))
def test_there_and_back_leaves_the_square_of_the_attention_factor(
    spectrum: Spectrum, position: int, seed: int
) -> None:
    x, where = vector(spectrum, seed), tokens(spectrum, position)
    back = apply_rotary(apply_rotary(x, where, spectrum), where, spectrum, inverse=True)
    expected = spectrum.attention_factor**2 * pairs(x)
    assert (np.abs(pairs(back) - expected) <= 10 * EPS * np.abs(expected)).all()


@MORE
@given(spectra(), ids, ids)
def test_rotations_compose_exactly_in_phases(spectrum: Spectrum, m: int, n: int) -> None:
    assume(spectrum.periods is None)  # else phases are rounded within a period: the law is below
    at_m, at_n = (exact_phases(tokens(spectrum, p), spectrum) for p in (m, n))
    both = exact_phases(tokens(spectrum, m) + tokens(spectrum, n), spectrum)
    assert bits(at_m + at_n) == bits(both)  # uint64 wraps as turns do


@MORE
@given(spectra(), ids, ids, ids, st.integers(0, 99))
def test_scores_depend_on_the_distance_alone(
    spectrum: Spectrum, m: int, n: int, shift: int, seed: int
) -> None:
    q, k = vector(spectrum, seed), vector(spectrum, seed + 100)

    def turned(x: NDArray[np.float64], position: int) -> NDArray[np.complex128]:
        return pairs(apply_rotary(x, tokens(spectrum, position), spectrum))

    def score(away: int) -> NDArray[np.complex128]:
        return turned(q, m + away) * np.conj(turned(k, n + away))

    size = spectrum.attention_factor**2 * np.abs(pairs(q)) * np.abs(pairs(k))
    # Without periods the phases cancel exactly. With them a turn is rounded to 2**-65, and the
    # frequency within an eps, which a period of tokens multiplies, once for each of four rotations.
    drift: NDArray[np.float64] | float = 0.0
    if spectrum.periods is not None:
        drift = 4 * (turn_rounding(spectrum.periods) + 2.0 * np.pi * EPS)
    assert (np.abs(score(shift) - score(0)) <= (20 * EPS + drift) * size).all()


@MORE
@given(spectra(), ids, st.integers(0, 99), st.sampled_from(["exact", "float32"]))
def test_the_layouts_are_permutations_of_each_other_bit_for_bit(
    spectrum: Spectrum, position: int, seed: int, angles: str
) -> None:
    x, where = vector(spectrum, seed), tokens(spectrum, position)
    half = apply_rotary(x, where, spectrum, layout="half", angles=angles)
    woven = apply_rotary(to_interleaved(x), where, spectrum, layout="interleaved", angles=angles)
    assert bits(to_half(woven)) == bits(half)


@pytest.mark.parametrize("name", CARDS)
def test_only_a_rule_that_says_so_reads_the_length(name: str) -> None:
    rope = rope_of_card(CARDS[name])
    if rope.scaling.depends_on_length:
        return
    plain, long = rope.spectrum(), rope.spectrum(10**6 + 3)
    assert bits(plain.inv_freq) == bits(long.inv_freq)
    assert plain.attention_factor == long.attention_factor


@pytest.mark.parametrize("name", LENGTHS)
def test_a_rule_that_reads_the_length_shows_it(name: str) -> None:
    rope = rope_of_card(CARDS[name])
    assert rope.scaling.depends_on_length
    asked = [rope.spectrum(length) for length in LENGTHS[name]]
    assert len({(bits(one.inv_freq), one.attention_factor) for one in asked}) > 1


@MORE
@given(spectra(), ids)
def test_a_text_token_is_turned_as_by_one_axis(spectrum: Spectrum, position: int) -> None:
    axes = np.arange(spectrum.rotary_dim // 2) % 3
    three = Spectrum(spectrum.inv_freq, axes=axes, periods=spectrum.periods)
    same = np.full((three.position_axes, 1, 1), position, np.int64)
    single = Spectrum(spectrum.inv_freq, periods=spectrum.periods)
    assert bits(exact_phases(same, three)) == bits(exact_phases(same[0], single))


@MORE
@given(spectra(), ids, ids)
def test_axes_compose(spectrum: Spectrum, height: int, width: int) -> None:
    # A rotation by two axes is one by the first, then one by the second; each leaves the other's
    # pairs alone.
    d = spectrum.rotary_dim
    axes = np.arange(d // 2) % 2
    assume(axes.max() == 1)
    two = Spectrum(spectrum.inv_freq, axes=axes)
    both, first, second = (
        exact_phases(np.array([[h], [w]]), two)
        for h, w in ((height, width), (height, 0), (0, width))
    )
    assert bits(both) == bits(first + second)
    assert not first[..., axes == 1].any()
    assert not second[..., axes == 0].any()


# Of single rules, and between them


@MORE
@given(widths, bases, factors)
def test_ntk_divides_the_last_pair_by_alpha_and_leaves_the_first(
    d: int, base: float, alpha: float
) -> None:
    scaled, plain = frequencies(NTKAware(alpha), d, base), frequencies(None, d, base)
    assert scaled[0] == plain[0] == 1.0
    # The base is rounded before its power is taken: half an ulp, times (d - 2) / d, and theirs.
    assert abs(plain[-1] / scaled[-1] / alpha - 1.0) <= 4 * EPS


@MORE
@given(widths, bases, st.integers(0, 12), ids)
def test_linear_turns_as_the_default_at_m_over_s(d: int, base: float, power: int, m: int) -> None:
    factor = 2**power
    scaled, plain = (Rope(d, base=base, scaling=s).spectrum() for s in (Linear(factor), None))
    assert bits(scaled.inv_freq * factor) == bits(plain.inv_freq)
    where = m // factor
    there, here = exact_phases([where * factor], scaled), exact_phases([where], plain)
    apart = (there - here).astype(np.int64)
    assert int(np.abs(apart).max()) <= abs(where) * (factor + 1) // 2 + 1  # turns are rounded


@MORE
@given(widths, bases, factors, lengths, st.booleans())
def test_yarn_keeps_fast_pairs_and_divides_slow_ones(
    d: int, base: float, factor: float, length: int, truncate: bool
) -> None:
    scaled = frequencies(YaRN(factor, length, truncate=truncate), d, base)
    plain, divided = frequencies(None, d, base), frequencies(Linear(factor), d, base)
    low, high = (d * math.log(length / (2 * math.pi * r)) / (2 * math.log(base)) for r in (32, 1))
    if truncate:
        low, high = math.floor(low), math.ceil(high)
    low, high, index = max(low, 0), min(high, d - 1), np.arange(d // 2)
    assume(low < high)
    fast, slow = index < low - 1e-9, index > high + 1e-9
    assert bits(scaled[fast]) == bits(plain[fast])
    assert bits(scaled[slow]) == bits(divided[slow])
    between = ~fast & ~slow
    assert (scaled[between] <= plain[between] * (1 + 4 * EPS)).all()
    assert (scaled[between] >= divided[between] * (1 - 4 * EPS)).all()


@MORE
@given(widths, bases, factors, lengths)
def test_the_papers_yarn_keeps_and_divides_by_rotations(
    d: int, base: float, factor: float, length: int
) -> None:
    scaled = frequencies(YaRNPaper(factor, length), d, base)
    plain, divided = frequencies(None, d, base), frequencies(Linear(factor), d, base)
    turns = length * plain / (2.0 * np.pi)
    fast, slow = turns > 32.001, turns < 0.999
    assert bits(scaled[fast]) == bits(plain[fast])
    assert bits(scaled[slow]) == bits(divided[slow])


@MORE
@given(widths, bases, factors, lengths, st.floats(0.5, 4.0), st.floats(0.0, 60.0))
def test_llama_3_keeps_fast_pairs_and_divides_slow_ones(
    d: int, base: float, factor: float, length: int, low: float, band: float
) -> None:
    scaled = frequencies(Llama3(factor, low, low + band, length), d, base)
    plain, divided = frequencies(None, d, base), frequencies(Linear(factor), d, base)
    turns = length * plain / (2.0 * np.pi)
    fast, slow = turns > (low + band) * 1.000001, turns < low * 0.999999
    assert bits(scaled[fast]) == bits(plain[fast])
    assert bits(scaled[slow]) == bits(divided[slow])


@MORE
@given(widths, bases, factors, lengths)
def test_deepseeks_yarn_has_yarns_frequencies(
    d: int, base: float, factor: float, length: int
) -> None:
    ours = DeepSeekYaRN(factor, length, mscale=1.0, mscale_all_dim=0.5)
    assert bits(frequencies(ours, d, base)) == bits(frequencies(YaRN(factor, length), d, base))


@MORE
@given(widths, bases, st.integers(0, 7))
def test_llama_cpp_without_its_ramp_is_linear(d: int, base: float, power: int) -> None:
    rule = LlamaCppYaRN(
        freq_scale=2.0**-power, original_max_position_embeddings=4096, ext_factor=0.0
    )
    assert bits(frequencies(rule, d, base)) == bits(frequencies(Linear(2.0**power), d, base))


@MORE
@given(widths, bases, ids)
def test_resonance_repeats_bit_for_bit_after_whole_tokens(d: int, base: float, m: int) -> None:
    spectrum = Rope(d, base=base, scaling=Resonance()).spectrum()
    assert spectrum.periods is not None
    wavelengths = Rope(d, base=base).spectrum().wavelengths
    assert np.abs(spectrum.periods - wavelengths).max() <= 0.5 * (1 + 4 * EPS * wavelengths.max())
    here = cos_sin([m], spectrum, dtype=np.float64)
    for pair, period in enumerate(spectrum.periods.tolist()):
        later = cos_sin([m + period], spectrum, dtype=np.float64)
        for one, other in zip(here, later, strict=True):
            assert bits(one[0, pair]) == bits(other[0, pair])


@MORE
@given(widths, bases, factors, lengths)
def test_longrope_with_one_factor_is_default_or_linear(
    d: int, base: float, factor: float, length: int
) -> None:
    ones, all_alike = [1.0] * (d // 2), [factor] * (d // 2)
    rope = Rope(
        d, base=base, scaling=LongRoPE(ones, all_alike, length), max_position_embeddings=length
    )
    assert bits(rope.spectrum(length).inv_freq) == bits(frequencies(None, d, base))
    assert bits(rope.spectrum(length + 1).inv_freq) == bits(frequencies(Linear(factor), d, base))
    assert rope.spectrum(length).attention_factor == 1.0


@MORE
@given(widths, bases, factors)
def test_rules_that_do_nothing_are_the_default(d: int, base: float, factor: float) -> None:
    plain, divided = frequencies(None, d, base), frequencies(Linear(factor), d, base)
    assert bits(frequencies(Linear(1.0), d, base)) == bits(plain)
    assert bits(frequencies(NTKAware(1.0), d, base)) == bits(plain)
    assert bits(frequencies(Proportional(1.0), d, base)) == bits(plain)
    assert bits(frequencies(Proportional(1.0, factor), d, base)) == bits(divided)
    assert bits(frequencies(HoPE(10**9), d, base)) == bits(plain)
    assert bits(frequencies(ExplicitFrequencies(divided.tolist()), d, base)) == bits(divided)
    assert bits(frequencies(RoundedFrequencies("float64", Linear(factor)), d, base)) == bits(
        divided
    )


@MORE
@given(widths, bases, st.integers(1, 16), st.integers(64, 2**15), st.integers(1, 2**20))
def test_rules_by_length_meet_at_their_thresholds(
    d: int, base: float, factor: int, limit: int, length: int
) -> None:
    def at(rule: Scaling, seq_len: int, made_for: int = limit) -> bytes:
        rope = Rope(d, base=base, scaling=rule, max_position_embeddings=made_for)
        return bits(rope.spectrum(seq_len).inv_freq)

    longer = max(length, limit)
    stretched = Linear(longer / limit)
    assert at(DynamicLinear(), length) == at(stretched, length)
    alpha = factor * longer / limit - (factor - 1)
    assert at(DynamicNTK(factor), length) == at(NTKAware(alpha), length)
    assert at(DynamicNTK(factor), factor * limit) == at(SGLangDynamicNTK(factor), length)
    trained = VLLMDynamicNTK(factor, max_trained_positions=limit)
    assert at(DynamicNTK(factor), longer) == at(trained, length, made_for=longer)
    fixed = TransformerEngineInterpolation(factor, limit)
    beyond = length > factor * limit
    assert at(fixed, length) == at(Linear(length / limit) if beyond else Linear(factor), length)


def test_default_is_what_a_rope_has_without_a_rule() -> None:
    assert Rope(64).scaling == Default()
