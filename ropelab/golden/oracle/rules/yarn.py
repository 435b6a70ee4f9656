"""YaRN and its kin, in rotations: a ramp in the pair index is one in the logarithm of rotations.

The number of times that pair i turns within a length falls from pair to pair by one quotient, so
where codes count pairs, take logarithms and round, here whole pairs are searched for by how often
they turn.
"""

from __future__ import annotations

from typing import NamedTuple

from ..numbers import Real, exactly, mp
from .common import Card, pairs, period, speeds_of_base, stretched

__all__ = ["AMPLITUDES", "FORMULAS"]


class _Ramp(NamedTuple):
    """Rotations from which pairs are kept and from which down they are slowed, in a length."""

    length: Real
    fast: Real
    slow: Real


def _rotations(card: Card, length: Real, pair: Real) -> Real:
    return length / (2 * mp.pi * period(card, pair))


def _ramp(
    card: Card, length: int, fast: float, slow: float, *, whole: bool = True, steepest: bool = False
) -> _Ramp:
    """Return the published code's ramp: ends at whole pairs, inside of pairs 0 and d - 1."""
    upper, lower = exactly(fast), exactly(slow)
    if whole:
        k = 0
        while _rotations(card, length, k) < upper:
            k -= 1
        while _rotations(card, length, k + 1) >= upper:
            k += 1
        upper = _rotations(card, length, k)
        k = 0
        while _rotations(card, length, k) > lower:
            k += 1
        while _rotations(card, length, k - 1) <= lower:
            k -= 1
        lower = _rotations(card, length, k)
    upper = min(upper, _rotations(card, length, 0))
    lower = max(lower, _rotations(card, length, card["rotary_dim"] - 1))
    thousandth = period(card, mp.mpf(1) / 1000)
    if upper == lower:
        lower = upper / thousandth
    if steepest:  # llama.cpp: nor may the ramp fall back
        lower = min(lower, upper / thousandth)
    return _Ramp(mp.mpf(length), upper, lower)


def _kept(card: Card, ramp: _Ramp) -> list[Real]:
    """Return how far each pair is kept, 0 to 1."""
    shares = (
        mp.log(_rotations(card, ramp.length, i) / ramp.slow) / mp.log(ramp.fast / ramp.slow)
        for i in pairs(card)
    )
    return [min(max(share, mp.mpf(0)), mp.mpf(1)) for share in shares]


def _between(slow: list[Real], fast: list[Real], weights: list[Real]) -> list[Real]:
    return [a + w * (b - a) for a, b, w in zip(slow, fast, weights, strict=True)]


def _scaled(card: Card, s: Real, ramp: _Ramp) -> list[Real]:
    speeds = speeds_of_base(card)
    return _between([speed / s for speed in speeds], speeds, _kept(card, ramp))


def _stretch(card: Card) -> Real:
    if card["factor"] is not None:
        return exactly(card["factor"])
    return mp.mpf(card["max_position_embeddings"]) / card["original_max_position_embeddings"]


def _temperature(s: Real, weight: float = 1.0) -> Real:
    """Return sqrt(1 / t) of YaRN, section 3.4, with DeepSeek's weight."""
    return 1 + exactly(weight) * mp.log(max(s, mp.mpf(1))) / 10


# Transformers


def _yarn(card: Card, _: int | None) -> list[Real]:
    length, whole = card["original_max_position_embeddings"], card.get("truncate", True)
    fast, slow = card.get("beta_fast") or 32.0, card.get("beta_slow") or 1.0
    return _scaled(card, _stretch(card), _ramp(card, length, fast, slow, whole=whole))


def _yarn_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    given, s = card.get("attention_factor"), _stretch(card)
    if given is not None:
        return exactly(given), mp.mpf(1)
    weights = [card.get("mscale") or 0.0, card.get("mscale_all_dim") or 0.0]
    if 0.0 in weights:
        return _temperature(s), mp.mpf(1)
    return _temperature(s, weights[0]) / _temperature(s, weights[1]), mp.mpf(1)


def _deepseek_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    weight = card.get("mscale_all_dim") or 0.0
    return _yarn_amplitudes(card, _)[0], _temperature(_stretch(card), weight) ** 2


# the paper, sections 3.2 and 3.4


def _paper(card: Card, _: int | None) -> list[Real]:
    alpha, beta = exactly(card.get("beta_slow", 1.0)), exactly(card.get("beta_fast", 32.0))
    weights = []
    for i in pairs(card):
        r = _rotations(card, card["original_max_position_embeddings"], i)
        if r < alpha:
            weights.append(mp.mpf(0))
        elif r > beta:
            weights.append(mp.mpf(1))
        else:
            weights.append((r - alpha) / (beta - alpha))
    speeds = speeds_of_base(card)
    return _between([speed / exactly(card["factor"]) for speed in speeds], speeds, weights)


def _paper_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    return _temperature(exactly(card["factor"])), mp.mpf(1)


# ExLlamaV2: get_rope_params_yarn


def _exllama(card: Card, _: int | None) -> list[Real]:
    served = card["max_position_embeddings"]
    if served <= card["original_max_position_embeddings"]:
        return speeds_of_base(card)
    return _scaled(card, exactly(card["factor"]), _ramp(card, served, 32.0, 1.0))


def _exllama_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    if card["max_position_embeddings"] <= card["original_max_position_embeddings"]:
        return mp.mpf(1), mp.mpf(1)
    return 1 + mp.log(exactly(card["factor"])) / 10, mp.mpf(1)


# ggml: rope_yarn


def _llama_cpp(card: Card, _: int | None) -> list[Real]:
    extrapolated = speeds_of_base(card)
    interpolated = [exactly(card["freq_scale"]) * speed for speed in extrapolated]
    length = card["original_max_position_embeddings"]
    fast, slow = card.get("beta_fast", 32.0), card.get("beta_slow", 1.0)
    kept = _kept(card, _ramp(card, length, fast, slow, steepest=True))
    mix = [share * exactly(card.get("ext_factor", 1.0)) for share in kept]
    return _between(interpolated, extrapolated, mix)


def _llama_cpp_amplitudes(card: Card, _: int | None) -> tuple[Real, Real]:
    factor = exactly(card.get("attn_factor", 1.0))
    if card.get("ext_factor", 1.0):
        factor *= 1 - mp.log(exactly(card["freq_scale"])) / 10
    return factor, mp.mpf(1)


# the YaRN authors' repository: LlamaDynamicYaRNScaledRotaryEmbedding


def _dynamic_stretch(card: Card, seq_len: int | None) -> Real | None:
    limit = card["max_position_embeddings"]
    length = limit if seq_len is None else seq_len
    if length > limit or card.get("finetuned", False):
        return mp.mpf(max(length, limit)) / card["original_max_position_embeddings"]
    return None


def _dynamic(card: Card, seq_len: int | None) -> list[Real]:
    s = _dynamic_stretch(card, seq_len)
    if s is None:
        return speeds_of_base(card)
    fast, slow = card.get("beta_fast", 32.0), card.get("beta_slow", 1.0)
    return _scaled(card, s, _ramp(card, card["original_max_position_embeddings"], fast, slow))


def _dynamic_amplitudes(card: Card, seq_len: int | None) -> tuple[Real, Real]:
    return _temperature(_dynamic_stretch(card, seq_len) or mp.mpf(1)), mp.mpf(1)


# the same repository: LlamaPartNTKScaledRotaryEmbedding


def _by_parts(card: Card, _: int | None) -> list[Real]:
    s, length = exactly(card["factor"]), card["original_max_position_embeddings"]

    def share(fast: float, slow: float, most: str) -> list[Real]:
        kept = _kept(card, _ramp(card, length, fast, slow))
        return [exactly(card.get(most, 1.0)) * weight for weight in kept]

    speeds = speeds_of_base(card)
    slowed = [speed / s for speed in speeds]
    inner = (card.get("beta_0", 1.25), card.get("beta_1", 0.75))
    outer = (card.get("gamma_0", 16.0), card.get("gamma_1", 2.0))
    middle = _between(slowed, stretched(card, s), share(*inner, "ntk_factor"))
    return _between(middle, speeds, share(*outer, "extrapolation_factor"))


FORMULAS = {
    "yarn": _yarn,
    "deepseek_yarn": _yarn,
    "yarn_paper": _paper,
    "exllamav2_yarn": _exllama,
    "llama_cpp": _llama_cpp,
    "dynamic_yarn": _dynamic,
    "ntk_by_parts": _by_parts,
}

AMPLITUDES = {
    "yarn": _yarn_amplitudes,
    "deepseek_yarn": _deepseek_amplitudes,
    "yarn_paper": _paper_amplitudes,
    "exllamav2_yarn": _exllama_amplitudes,
    "llama_cpp": _llama_cpp_amplitudes,
    "dynamic_yarn": _dynamic_amplitudes,
}
