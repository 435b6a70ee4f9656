"""The ropes of the registry's models, written from the sources that `ropelab.models` names.

They stand here as plain numbers, one a model or a layer type, so that the goldens check how configs
are read. Only LongRoPE's lists, which have no other form, are taken from the registry's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ...models import MODELS
from .card import Card, card

__all__ = ["LENGTHS_OF_MODELS", "REGISTRY"]


def _llama3(factor: float, high: float = 4.0) -> dict[str, Any]:
    original = {"original_max_position_embeddings": 8192}
    return {"factor": factor, "low_freq_factor": 1.0, "high_freq_factor": high, **original}


def _yarn(factor: float, original: int, fast: float = 32.0, **more: Any) -> dict[str, Any]:
    ramp = {"beta_fast": fast, "beta_slow": 1.0}
    return {"factor": factor, "original_max_position_embeddings": original, **ramp, **more}


def _mscales(value: float) -> dict[str, float]:
    return {"mscale": value, "mscale_all_dim": value}


def _longrope(model: str, original: int, **more: float) -> dict[str, Any]:
    given = MODELS[model].config["rope_scaling"]
    lists = {name: list(given[name]) for name in ("short_factor", "long_factor")}
    return {**lists, "original_max_position_embeddings": original, **more}


def _chunks(*sections: int) -> list[int]:
    """Axes of Qwen2-VL: the first pairs by time, then those by height, then those by width."""
    return [axis for axis, pairs in enumerate(sections) for _ in range(pairs)]


def _woven(*sections: int) -> list[int]:
    """Axes of Qwen3-VL: time, height, width in turn, until a section's pairs are spent."""
    turn = [i % 3 for i in range(sum(sections))]
    return [axis if i < 3 * sections[axis] else 0 for i, axis in enumerate(turn)]


_INTERLEAVED: Mapping[str, Any] = {"layout": "interleaved"}

REGISTRY: Mapping[str, Card] = {
    "Apertus-8B": card(128, 12e6, "llama3", length=65536, **_llama3(8.0)),
    "Aya-23-8B": card(128, 1e4, length=8192, **_INTERLEAVED),
    "BitNet-b1.58-2B": card(128, 5e5, length=2048),
    "CodeLlama-7B": card(128, 1e6, length=16384),
    "Cohere-Command-R": card(128, 5e5, length=8192, **_INTERLEAVED),
    "Cohere2/sliding_attention": card(128, 1e4, length=8192, **_INTERLEAVED),
    "CWM": card(128, 1e6, "llama3", length=131072, **_llama3(16.0)),
    "DeepSeek-MoE-16B": card(128, 1e4, length=4096),
    "DeepSeek-V2-Lite": card(
        64,
        1e4,
        "deepseek_yarn",
        length=163840,
        **_INTERLEAVED,
        **_yarn(40.0, 4096, **_mscales(0.707)),
    ),
    "DeepSeek-V3": card(
        64,
        1e4,
        "deepseek_yarn",
        length=163840,
        **_INTERLEAVED,
        **_yarn(40.0, 4096, **_mscales(1.0)),
    ),
    "Devstral-2-123B": card(
        128,
        1e6,
        "yarn",
        length=262144,
        **_yarn(64.0, 4096, 4.0, mscale=1.0, mscale_all_dim=0.0),
    ),
    "Devstral-Small-2-24B": card(
        128, 1e8, "yarn", length=393216, **_yarn(48.0, 8192, **_mscales(1.0))
    ),
    "ERNIE-4.5": card(128, 5e5, length=131072, **_INTERLEAVED),
    "ERNIE-4.5-MoE": card(128, 5e5, length=131072, **_INTERLEAVED),
    "EXAONE-4.0-32B/sliding_attention": card(128, 1e6, "llama3", length=131072, **_llama3(16.0)),
    "EXAONE-4.5-33B/sliding_attention": card(128, 1e6, "llama3", length=262144, **_llama3(16.0)),
    "Falcon-40B": card(64, 1e4, length=2048),
    "Falcon-7B": card(64, 1e4, length=2048),
    "Falcon3-7B": card(256, 1000042.0, length=32768),
    "Gemma-2-27B": card(128, 1e4, length=8192),
    "Gemma-2-2B": card(256, 1e4, length=8192),
    "Gemma-2-9B": card(256, 1e4, length=8192),
    "Gemma-2B": card(256, 1e4, length=8192),
    "Gemma-3-1B/full_attention": card(256, 1e6, length=32768),
    "Gemma-3-1B/sliding_attention": card(256, 1e4, length=32768),
    "Gemma-3-27B/full_attention": card(128, 1e6, "linear", length=131072, factor=8.0),
    "Gemma-3-27B/sliding_attention": card(128, 1e4, length=131072),
    "Gemma-3-4B/full_attention": card(256, 1e6, "linear", length=131072, factor=8.0),
    "Gemma-3-4B/sliding_attention": card(256, 1e4, length=131072),
    "Gemma-3n/full_attention": card(256, 1e6, length=32768),
    "Gemma-3n/sliding_attention": card(256, 1e4, length=32768),
    "Gemma-4-31B/full_attention": card(
        512, 1e6, "proportional", length=262144, partial_rotary_factor=0.25
    ),
    "Gemma-4-31B/sliding_attention": card(256, 1e4, length=262144),
    "Gemma-4-E2B/full_attention": card(
        512, 1e6, "proportional", length=131072, partial_rotary_factor=0.25
    ),
    "Gemma-4-E2B/sliding_attention": card(256, 1e4, length=131072),
    "GLM-4-32B-0414": card(128, 1e4, rotary_dim=64, length=32768, **_INTERLEAVED),
    "GLM-4-9B-0414": card(128, 1e4, rotary_dim=64, **_INTERLEAVED),
    "GLM-4.1V-9B": card(
        128, 1e4, rotary_dim=64, length=65536, axes=_chunks(8, 12, 12), **_INTERLEAVED
    ),
    "GLM-4.5-355B-A32B": card(128, 1e6, rotary_dim=64),
    "GLM-5": card(64, 1e6, length=202752, **_INTERLEAVED),
    "GPT-J-6B": card(256, 1e4, rotary_dim=64, length=2048, **_INTERLEAVED),
    "GPT-NeoX-20B": card(96, 1e4, rotary_dim=24, length=2048),
    "gpt-oss-120b": card(64, 150000.0, "yarn", length=131072, **_yarn(32.0, 4096, truncate=False)),
    "Granite-3-8B-128k": card(128, 1e7, length=131072),
    "Helium": card(128, 1e5, length=4096, **_INTERLEAVED),
    "Hunyuan-A13B": card(128, 1e4, "ntk_alpha", length=32768, alpha=1000.0),
    "InternLM2.5-7B": card(128, 1e6, "dynamic", length=32768, factor=2.0),
    "Kimi-K2-Instruct-0905": card(
        64, 5e4, "deepseek_yarn", **_INTERLEAVED, **_yarn(64.0, 4096, 1.0, **_mscales(1.0))
    ),
    "Laguna/full_attention": card(128, 5e5, rotary_dim=64, length=131072),
    "Laguna/sliding_attention": card(128, 1e4, length=131072),
    "LFM2.5-VL-1.6B/full_attention": card(64, 1e6, length=128000),
    "LFM3/full_attention": card(128, 1e6, "proportional", length=128000, partial_rotary_factor=0.5),
    "LFM3/sliding_attention": card(128, 1e4, length=128000),
    "Llama-2-70B": card(128, 1e4, length=4096),
    "Llama-2-7B": card(128, 1e4, length=4096),
    "LLaMA-2-7B-32K": card(128, 1e4, "linear", length=4096, factor=8.0),
    "Llama-3-70B": card(128, 5e5, length=8192),
    "Llama-3-8B": card(128, 5e5, length=8192),
    "Llama-3.1-405B": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "Llama-3.1-70B": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "Llama-3.1-8B": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "Llama-3.1-Nemotron-70B": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "Llama-3.2-1B": card(64, 5e5, "llama3", length=131072, **_llama3(32.0)),
    "Llama-3.2-3B": card(128, 5e5, "llama3", length=131072, **_llama3(32.0)),
    "Llama-3.2-90B-Vision": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "Llama-3.3-70B": card(128, 5e5, "llama3", length=131072, **_llama3(8.0)),
    "Llama-4-Maverick": card(128, 5e5, length=1048576, **_INTERLEAVED),
    "Llama-4-Scout": card(
        128, 5e5, "llama3", length=10485760, **_INTERLEAVED, **_llama3(16.0, high=1.0)
    ),
    "Llama-4-text/chunked_attention": card(128, 5e5, length=131072, **_INTERLEAVED),
    "LongCat-Flash": card(64, 1e7, length=131072, **_INTERLEAVED),
    "MiMo-V2-Flash/full_attention": card(192, 5e6, rotary_dim=64, length=131072),
    "MiMo-V2-Flash/sliding_attention": card(192, 1e4, rotary_dim=64, length=131072),
    "MiniCPM-2B-128k": card(64, 1e6, "dynamic", length=65536, factor=4.0),
    "MiniCPM-V-4": card(
        128, 1e4, "longrope", length=32768, **_longrope("MiniCPM-V-4", 32786, factor=1.0)
    ),
    # The sections are those of the Qwen 3.5 code that runs it; its config gives none.
    "MiniCPM-V-4.6/full_attention": card(
        256, 1e7, rotary_dim=64, length=262144, axes=_woven(11, 11, 10)
    ),
    "MiniCPM3": card(32, 1e4, length=32768),
    "MiniMax-M2": card(128, 5e6, rotary_dim=64, length=196608),
    "Ministral-3-3B": card(128, 1e6, "yarn", length=262144, **_yarn(16.0, 16384, **_mscales(1.0))),
    "Mistral-4": card(
        128,
        1e4,
        "deepseek_yarn",
        rotary_dim=64,
        length=1048576,
        **_INTERLEAVED,
        **_yarn(128.0, 8192, **_mscales(1.0)),
    ),
    "Mistral-7B-v0.1": card(128, 1e4, length=32768),
    "Mistral-7B-v0.3": card(128, 1e6, length=32768),
    "Mixtral-8x22B": card(128, 1e6, length=65536),
    "Mixtral-8x7B": card(128, 1e6, length=32768),
    "ModernBERT/full_attention": card(64, 160000.0, length=8192),
    "ModernBERT/sliding_attention": card(64, 1e4, length=8192),
    "Moonlight-16B-A3B": card(64, 5e4, **_INTERLEAVED),
    "Nemotron-4": card(128, 1e4, rotary_dim=64, length=4096),
    "OLMo-1B": card(128, 1e4, length=2048),
    "OLMo-2-7B": card(128, 5e5, length=4096),
    "OLMo-3.1-32B/full_attention": card(
        128,
        5e5,
        "yarn",
        length=65536,
        **_yarn(8.0, 8192, attention_factor=1.2079441541679836),
    ),
    "OLMo-3.1-32B/sliding_attention": card(128, 5e5, length=65536),
    "Orion-14B": card(128, 1e4, length=4096),
    "Persimmon-8B": card(64, 1e4, rotary_dim=32, length=16384),
    "Phi-1": card(64, 1e4, rotary_dim=32, length=2048),
    "Phi-1.5": card(64, 1e4, rotary_dim=32, length=2048),
    "Phi-2": card(80, 1e4, rotary_dim=32, length=2048),
    "Phi-3-mini-4k": card(96, 1e4, length=4096),
    "Phi-3.5-mini": card(96, 1e4, "longrope", length=131072, **_longrope("Phi-3.5-mini", 4096)),
    "Phi-3.5-vision": card(96, 1e4, "longrope", length=131072, **_longrope("Phi-3.5-vision", 4096)),
    "Phi-4": card(128, 250000.0, length=16384),
    "Phi-4-mini": card(
        128, 1e4, "longrope", rotary_dim=96, length=131072, **_longrope("Phi-4-mini", 4096)
    ),
    "Phi-4-reasoning": card(128, 5e5, length=32768),
    "Pythia-12B": card(128, 1e4, rotary_dim=32, length=2048),
    "Pythia-160M": card(64, 1e4, rotary_dim=16, length=2048),
    "Pythia-6.9B": card(128, 1e4, rotary_dim=32, length=2048),
    "Qwen-72B-Chat": card(128, 1e6, length=32768),
    "Qwen1.5-1.8B": card(128, 1e6, length=4096),
    "Qwen2-0.5B": card(64, 1e6, length=32768),
    "Qwen2-1.5B": card(128, 1e6, length=32768),
    "Qwen2-7B": card(128, 1e6, length=32768),
    "Qwen2-VL-2B": card(128, 1e6, length=32768, axes=_chunks(16, 24, 24)),
    "Qwen2.5-3B": card(128, 1e6, length=32768),
    "Qwen2.5-7B": card(128, 1e6, length=32768),
    "Qwen2.5-7B-1M": card(128, 1e7, length=1010000),
    "Qwen2.5-Math-7B": card(128, 1e4, length=4096),
    "Qwen2.5-Omni-7B-Thinker": card(128, 1e6, length=32768, axes=_chunks(16, 24, 24)),
    "Qwen2.5-VL-7B": card(128, 1e6, length=128000, axes=_chunks(16, 24, 24)),
    "Qwen3-0.6B": card(128, 1e6, length=40960),
    "Qwen3-235B-A22B": card(128, 1e6, length=40960),
    "Qwen3-32B": card(128, 1e6, length=40960),
    "Qwen3-4B-2507": card(128, 5e6, length=262144),
    "Qwen3-Next-80B-A3B": card(256, 1e7, rotary_dim=64),
    "Qwen3-VL-30B-A3B": card(128, 5e6, length=262144, axes=_woven(24, 20, 20)),
    "Qwen3.5-27B/full_attention": card(
        256, 1e7, rotary_dim=64, length=262144, axes=_woven(11, 11, 10)
    ),
    "QwQ-32B": card(128, 1e6, length=131072),
    "RedPajama-INCITE-3B": card(80, 1e4, length=2048),
    "Seed-OSS": card(128, 1e4, length=524288),
    "SmolLM-1.7B": card(64, 1e4, length=2048),
    "SmolLM2-1.7B": card(64, 130000.0, length=8192),
    "SmolLM2-135M": card(64, 1e5, length=8192),
    "SmolLM3": card(128, 2e6, length=32768),
    "StableLM-2-1.6B": card(64, 1e4, rotary_dim=16, length=4096),
    "StableLM-3B-4E1T": card(80, 1e4, rotary_dim=20, length=4096),
    "StarCoder2-15B": card(128, 1e6, length=16384),
    "TinyLlama-1.1B": card(64, 1e4, length=2048),
    "Voxtral-Mini-3B": card(128, 1e8, length=131072),
}

# Where rules that depend on the length are asked: on both sides of the length that they look at.
LENGTHS_OF_MODELS: Mapping[str, tuple[int, ...]] = {
    "InternLM2.5-7B": (32768, 32769, 262144),
    "MiniCPM-2B-128k": (65536, 65537, 131072),
    "MiniCPM-V-4": (32786, 32787),
    "Phi-3.5-mini": (4096, 4097),
    "Phi-3.5-vision": (4096, 4097),
    "Phi-4-mini": (4096, 4097),
}
