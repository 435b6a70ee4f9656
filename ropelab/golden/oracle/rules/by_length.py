"""Rules that stretch by a length: interpolation, and the servers' static forms of dynamic NTK."""

from __future__ import annotations

from ..numbers import Real, exactly, mp
from .common import Card, pairs, period, speeds_of_base, stretched

__all__ = ["FORMULAS"]


def _slower(card: Card, stretch: Real) -> list[Real]:
    return [1 / (stretch * period(card, i)) for i in pairs(card)]


def _dynamic_linear(card: Card, seq_len: int | None) -> list[Real]:
    # position m * Lmax / L once the text is longer than Lmax
    limit = card["max_position_embeddings"]
    return _slower(card, max(mp.mpf(1), mp.mpf(seq_len or limit) / limit))


def _te_interpolation(card: Card, seq_len: int | None) -> list[Real]:
    # Transformer Engine: positions times 1 / f, or times Lp / s where that is less
    trained, factor = card["pretrained_max_position_embeddings"], exactly(card["factor"])
    return _slower(card, max(factor, mp.mpf(seq_len or 0) / trained))


def _vllm_dynamic(card: Card, _: int | None) -> list[Real]:
    # vLLM: the dynamic rule at the length of its table, which is max_position_embeddings
    longest = card["max_position_embeddings"]
    trained = card.get("max_trained_positions") or longest
    s = exactly(card["factor"])
    return stretched(card, 1 + s * max(0, longest - trained) / trained)


def _sglang_dynamic(card: Card, _: int | None) -> list[Real]:
    # SGLang: the dynamic rule at L = s * Lmax
    s = exactly(card["factor"])
    return stretched(card, 1 + s * (s - 1))


def _vllm_ntk(card: Card, _: int | None) -> list[Real]:
    # vLLM's NTKScalingRotaryEmbedding, as its code goes
    s, d, b = exactly(card["factor"]), card["rotary_dim"], exactly(card["base"])
    if card.get("mixed_b") is None:
        return [speed / s ** (mp.mpf(2) / d) for speed in speeds_of_base(card, b * s)]
    beta = exactly(card["mixed_b"])
    a = mp.log(s) / (mp.mpf(d) / 2) ** beta
    return [
        speed / mp.exp(a * mp.mpf(i + 1) ** beta) for i, speed in enumerate(speeds_of_base(card))
    ]


FORMULAS = {
    "dynamic_linear": _dynamic_linear,
    "te_interpolation": _te_interpolation,
    "vllm_dynamic": _vllm_dynamic,
    "sglang_dynamic": _sglang_dynamic,
    "vllm_ntk": _vllm_ntk,
}
