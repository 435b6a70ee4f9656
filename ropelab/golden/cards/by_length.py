"""Cards of the rules that stretch by a length."""

from __future__ import annotations

from collections.abc import Mapping

from .card import Card, card

__all__ = ["CARDS", "LENGTHS", "TOLERANCES"]

_QUOTIENT = "a correctly rounded power, divided by a quotient that is rounded once"

TOLERANCES: Mapping[str, tuple[float, str]] = {
    "dynamic_linear": (2.0, _QUOTIENT),
    "te_interpolation": (2.0, _QUOTIENT),
    "vllm_dynamic": (2.0, "as ntk_alpha; the stretches of the cards are exact"),
    "sglang_dynamic": (2.0, "as ntk_alpha; the stretches of the cards are exact"),
    "vllm_ntk": (
        5.0,
        "two correctly rounded powers and a quotient, 2 ulp; in the mixed form the exponent is off "
        "by (1 + beta) 2**-53 of itself, which enters times ln s: 2.25 ulp for the largest card",
    ),
}

CARDS: Mapping[str, Card] = {
    "dynamic-linear": card(128, 1e4, "dynamic_linear", length=4096),
    "dynamic-linear-partial": card(80, 5e5, "dynamic_linear", rotary_dim=20, length=3000),
    "te-4": card(128, 1e4, "te_interpolation", factor=4.0, pretrained_max_position_embeddings=4096),
    "te-2.5-partial": card(
        96,
        5e5,
        "te_interpolation",
        rotary_dim=24,
        factor=2.5,
        pretrained_max_position_embeddings=3000,
    ),
    # The dynamic rule of MiniCPM-2B-128k, as the two servers read it.
    "vllm-minicpm-2b-128k": card(64, 1e6, "vllm_dynamic", length=65536, factor=4.0),
    "sglang-minicpm-2b-128k": card(64, 1e6, "sglang_dynamic", length=65536, factor=4.0),
    "vllm-dynamic-trained": card(
        128, 1e4, "vllm_dynamic", length=8192, factor=2.0, max_trained_positions=4096
    ),
    # Of vLLM's own test: a context below the trained one is not scaled.
    "vllm-dynamic-below": card(
        64, 1e3, "vllm_dynamic", length=512, factor=2.0, max_trained_positions=2048
    ),
    "vllm-dynamic-partial": card(
        80,
        1e4,
        "vllm_dynamic",
        rotary_dim=32,
        length=32768,
        factor=2.5,
        max_trained_positions=2048,
    ),
    "sglang-dynamic-2": card(128, 1e4, "sglang_dynamic", length=4096, factor=2.0),
    "sglang-dynamic-2.5-partial": card(96, 5e5, "sglang_dynamic", rotary_dim=64, factor=2.5),
    "vllm-ntk-4": card(128, 1e4, "vllm_ntk", factor=4.0),
    "vllm-ntk-3-partial": card(80, 5e5, "vllm_ntk", rotary_dim=20, factor=3.0),
    "vllm-ntk-mixed": card(128, 1e4, "vllm_ntk", factor=4.0, mixed_b=0.625),
    "vllm-ntk-mixed-partial": card(80, 1e4, "vllm_ntk", rotary_dim=24, factor=2.5, mixed_b=0.75),
}

LENGTHS: Mapping[str, tuple[int | None, ...]] = {
    "dynamic-linear": (None, 1, 4095, 4096, 4097, 6000, 131072),
    "dynamic-linear-partial": (None, 3000, 3001, 1048576),
    "te-4": (None, 1, 4096, 16383, 16384, 16385, 131072),
    "te-2.5-partial": (None, 7500, 7501, 1048576),
}
