"""Cards of YaRN and its kin, with where they come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .card import Card, card

__all__ = ["CARDS", "LENGTHS", "SMALL", "TOLERANCES"]


def _yarn(factor: float | None, original: int, **parameters: Any) -> dict[str, Any]:
    return {"factor": factor, "original_max_position_embeddings": original, **parameters}


# How near float64 must come, in ulp, and why. A relative error of 2**-53 is an ulp at most.
_SHARES = (
    "correctly rounded powers and shares, and so no trace of the ramp's logarithms; a division, a "
    "complement, two products and a sum, 5.2 ulp together, and half a one of the golden"
)
TOLERANCES: Mapping[str, tuple[float, str]] = {
    "yarn": (6.0, _SHARES),
    "deepseek_yarn": (6.0, f"{_SHARES}; the softmax factor is a rounded square, 3"),
    "yarn_paper": (
        14.0,
        "rotations within 4 ulp move the blend by 4 (s - 1) / 31 ulp, 5.1 for a factor of 40, "
        "where it begins; two roundings of the share, and 5.7 as for yarn",
    ),
    "exllamav2_yarn": (6.0, _SHARES),
    "llama_cpp": (7.0, f"{_SHARES}; the share is multiplied by ext_factor, 1"),
    "dynamic_yarn": (7.0, f"{_SHARES}; the stretch is a rounded quotient, 1"),
    "ntk_by_parts": (
        12.0,
        "the NTK-aware frequencies within 3 ulp; two blends of 4, whose shares are correctly "
        "rounded and then multiplied; half an ulp of the golden",
    ),
}

_QWEN: Mapping[str, Any] = {"base": 1e6, "head_dim": 128}
_LLAMA: Mapping[str, Any] = {"base": 1e4, "head_dim": 128}
_GPT_OSS: Mapping[str, Any] = {"base": 150000.0, "head_dim": 64}
_DEEPSEEK: Mapping[str, Any] = {
    "base": 1e4,
    "head_dim": 64,
    "length": 163840,
    "layout": "interleaved",
}
_EQUAL: Mapping[str, Any] = {"mscale": 1.0, "mscale_all_dim": 1.0}
_LITE: Mapping[str, Any] = {"mscale": 0.707, "mscale_all_dim": 0.707}

CARDS: Mapping[str, Card] = {
    # Qwen2.5's documented setting for long contexts
    "qwen2.5-yarn-4": card(**_QWEN, rope_type="yarn", length=131072, **_yarn(4.0, 32768)),
    # openai/gpt-oss, gpt_oss/torch/model.py
    "gpt-oss-20b": card(
        **_GPT_OSS, rope_type="yarn", length=131072, **_yarn(32.0, 4096, truncate=False)
    ),
    "gpt-oss-20b-truncated": card(
        **_GPT_OSS, rope_type="yarn", length=131072, **_yarn(32.0, 4096, truncate=True)
    ),
    # Devstral-2-123B's config.json: an mscale_all_dim of 0 counts as none
    "devstral-2-123b": card(
        **_QWEN,
        rope_type="yarn",
        length=262144,
        **_yarn(64.0, 4096, beta_fast=4.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=0.0),
    ),
    # Yarn-Llama-2 64k, the paper's model
    "yarn-llama-2-64k": card(**_LLAMA, rope_type="yarn", length=65536, **_yarn(16.0, 4096)),
    # DeepSeek-V3's config.json, as generic YaRN reads it, and with its factor left implicit
    "deepseek-v3-yarn": card(**_DEEPSEEK, rope_type="yarn", **_yarn(40.0, 4096, **_EQUAL)),
    "yarn-implicit-factor": card(**_DEEPSEEK, rope_type="yarn", **_yarn(None, 4096)),
    "yarn-attention-factor": card(
        **_QWEN, rope_type="yarn", **_yarn(4.0, 32768, attention_factor=0.8125)
    ),
    # Transformers: betas that are None or 0 are the defaults; a factor below 1 has no temperature
    "yarn-empty-betas": card(
        **_LLAMA, rope_type="yarn", **_yarn(16.0, 4096, beta_fast=0, beta_slow=None)
    ),
    "yarn-below-1": card(**_LLAMA, rope_type="yarn", **_yarn(0.5, 4096)),
    "yarn-mscale-alone": card(**_LLAMA, rope_type="yarn", **_yarn(16.0, 4096, mscale=0.5)),
    "yarn-mscale-ratio": card(
        **_LLAMA, rope_type="yarn", **_yarn(16.0, 4096, mscale=1.5, mscale_all_dim=0.25)
    ),
    "yarn-partial": card(96, 5e5, "yarn", rotary_dim=48, **_yarn(8.0, 8192)),
    # a step: both ends at one fraction of a pair
    "yarn-step": card(
        **_LLAMA,
        rope_type="yarn",
        **_yarn(16.0, 4096, beta_fast=7.0, beta_slow=7.0, truncate=False),
    ),
    # ends outside the pairs: cut at 0 and at d - 1, which is past the last pair; and crossed
    "yarn-cut-low": card(32, 1e4, "yarn", **_yarn(4.0, 64)),
    "yarn-cut-high": card(32, 10.0, "yarn", **_yarn(4.0, 1024)),
    "yarn-crossed-low": card(32, 1e4, "yarn", **_yarn(4.0, 3)),
    "yarn-crossed-high": card(32, 10.0, "yarn", **_yarn(4.0, 65536)),
    # DeepSeek-V3's and V2-Lite's config.json; Kimi-K2-Instruct-0905's
    "deepseek-v3": card(**_DEEPSEEK, rope_type="deepseek_yarn", **_yarn(40.0, 4096, **_EQUAL)),
    "deepseek-v2-lite": card(**_DEEPSEEK, rope_type="deepseek_yarn", **_yarn(40.0, 4096, **_LITE)),
    "kimi-k2-0905": card(
        64,
        5e4,
        "deepseek_yarn",
        layout="interleaved",
        length=262144,
        **_yarn(64.0, 4096, beta_fast=1.0, beta_slow=1.0, **_EQUAL),
    ),
    "deepseek-implicit-factor": card(
        **_DEEPSEEK, rope_type="deepseek_yarn", **_yarn(None, 4096, mscale=1.0, mscale_all_dim=0.5)
    ),
    "deepseek-without-mscale": card(
        **_DEEPSEEK, rope_type="deepseek_yarn", **_yarn(40.0, 4096, mscale_all_dim=0.0)
    ),
    "yarn-paper-llama-2-64k": card(**_LLAMA, rope_type="yarn_paper", **_yarn(16.0, 4096)),
    "yarn-paper-qwen2.5": card(**_QWEN, rope_type="yarn_paper", **_yarn(4.0, 32768)),
    "yarn-paper-deepseek-v3": card(**_DEEPSEEK, rope_type="yarn_paper", **_yarn(40.0, 4096)),
    "yarn-paper-partial": card(
        96, 5e5, "yarn_paper", rotary_dim=48, **_yarn(8.0, 8192, beta_fast=24.0, beta_slow=2.0)
    ),
    # Qwen2.5 served at four times its length, and at just its length, where nothing is scaled
    "exllamav2-qwen2.5": card(
        **_QWEN, rope_type="exllamav2_yarn", length=131072, **_yarn(4.0, 32768)
    ),
    "exllamav2-qwen2.5-short": card(
        **_QWEN, rope_type="exllamav2_yarn", length=32768, **_yarn(4.0, 32768)
    ),
    "exllamav2-llama-2-64k": card(
        **_LLAMA, rope_type="exllamav2_yarn", length=65536, **_yarn(16.0, 4096)
    ),
    "exllamav2-llama-3-64k": card(128, 5e5, "exllamav2_yarn", length=65536, **_yarn(8.0, 8192)),
    "llama-cpp-qwen2.5": card(
        **_QWEN, rope_type="llama_cpp", freq_scale=0.25, original_max_position_embeddings=32768
    ),
    "llama-cpp-mixed": card(
        96,
        5e5,
        "llama_cpp",
        rotary_dim=48,
        freq_scale=0.025,
        original_max_position_embeddings=8192,
        ext_factor=0.75,
        attn_factor=0.7305166,
        beta_fast=24.0,
        beta_slow=2.0,
    ),
    "llama-cpp-linear": card(
        **_LLAMA,
        rope_type="llama_cpp",
        freq_scale=0.125,
        original_max_position_embeddings=4096,
        ext_factor=0.0,
        attn_factor=1.25,
    ),
    "llama-cpp-sped-up": card(
        **_LLAMA, rope_type="llama_cpp", freq_scale=1.5, original_max_position_embeddings=4096
    ),
    # here YaRN leaves all pairs alone, and llama.cpp slows all but the first
    "llama-cpp-crossed": card(
        32, 1e4, "llama_cpp", freq_scale=0.25, original_max_position_embeddings=3
    ),
    "dynamic-yarn": card(
        **_LLAMA, rope_type="dynamic_yarn", length=4096, original_max_position_embeddings=4096
    ),
    "dynamic-yarn-finetuned": card(
        96,
        5e5,
        "dynamic_yarn",
        rotary_dim=48,
        length=16384,
        original_max_position_embeddings=4096,
        finetuned=True,
        beta_fast=24.0,
        beta_slow=2.0,
    ),
    "dynamic-yarn-longer": card(
        64, 1e4, "dynamic_yarn", length=8192, original_max_position_embeddings=2048
    ),
    "ntk-by-parts-llama-8": card(**_LLAMA, rope_type="ntk_by_parts", **_yarn(8.0, 2048)),
    "ntk-by-parts-mixed": card(
        96,
        5e5,
        "ntk_by_parts",
        rotary_dim=48,
        **_yarn(
            4.0,
            8192,
            ntk_factor=0.75,
            extrapolation_factor=0.5,
            beta_0=3.0,
            beta_1=0.5,
            gamma_0=24.0,
            gamma_1=4.0,
        ),
    ),
}

# Around the threshold, and far past it.
LENGTHS: Mapping[str, tuple[int | None, ...]] = {
    "dynamic-yarn": (None, 1, 4095, 4096, 4097, 8192, 65536),
    "dynamic-yarn-finetuned": (None, 1, 16384, 16385, 131072),
    "dynamic-yarn-longer": (None, 8192, 8193, 16384),
}

# The same rules in small heads, for rotations.
SMALL: Mapping[str, Card] = {
    "yarn": card(16, 1e4, "yarn", **_yarn(16.0, 4096)),
    "deepseek_yarn": card(
        12, 1e4, "deepseek_yarn", **_yarn(40.0, 4096, mscale=1.0, mscale_all_dim=0.707)
    ),
}
