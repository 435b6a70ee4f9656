"""Differences of frequencies and amplitudes: the expressions of both sides, and their sizes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

import ropelab
from ropelab import Rope, Spectrum, scaling
from ropelab.golden.cards.longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT
from ropelab.scaling.ntk import ntk_base

__all__ = ["ROWS", "Row", "Side", "Size", "size"]

# What an expression of a row may name.
NAMES: dict[str, Any] = {
    **{name: getattr(scaling, name) for name in scaling.__all__},
    "Rope": Rope,
    "long": PHI_3_5_LONG,
    "np": np,
    "ntk_base": ntk_base,
    "ropelab": ropelab,
    "short": PHI_3_5_SHORT,
}


class Side(NamedTuple):
    """One implementation, and the expression that gives its spectrum."""

    who: str
    code: str

    def spectrum(self) -> Spectrum:
        """Evaluate the expression."""
        value = eval(self.code, NAMES)  # our own text, below
        return value.spectrum() if isinstance(value, Rope) else value


class Row(NamedTuple):
    """One difference: what of, between whom, and where its phase is looked at."""

    what: str
    a: Side
    b: Side
    position: int


class Size(NamedTuple):
    """How large a difference is."""

    ratio: float  # largest quotient of two frequencies, either way
    pair: int  # where
    differing: int  # pairs that differ by more than rounding
    pairs: int
    radians: float  # largest difference of phase at the row's position
    amplitude: float  # quotient of the factors of cos and sin, B to A
    logits: float  # quotient of what multiplies q . k, B to A


def size(row: Row) -> Size:
    """Compute a row's numbers."""
    a, b = row.a.spectrum(), row.b.spectrum()
    one, other = np.abs(a.inv_freq), np.abs(b.inv_freq)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.where(one == other, 1.0, np.maximum(one / other, other / one))
    amplitude = b.attention_factor / a.attention_factor
    return Size(
        float(ratios.max()),
        int(ratios.argmax()),
        int((ratios > 1.0 + 2.0**-40).sum()),
        ratios.size,
        float(np.abs(a.inv_freq - b.inv_freq).max() * row.position),
        amplitude,
        amplitude**2 * b.softmax_factor / a.softmax_factor,
    )


_USUAL = "Transformers"
_QWEN = "Rope(128, base=1e6, scaling=YaRN(4.0, 32768))"
_DYNAMIC = "Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)"
_PHI = "Rope(96, scaling=LongRoPE(short, long, 4096), max_position_embeddings=131072)"


def _exllama(base: str, rule: str, length: int, head_dim: int = 128) -> Side:
    geometry = f"{head_dim}, base={base}"
    return Side("ExLlamaV2", f"Rope({geometry}, scaling={rule}, max_position_embeddings={length})")


def _phi_exllama(length: int) -> Side:
    rule = "ExLlamaLongRoPE(short, long, 4096)"
    return _exllama("1e4", rule, length, 96)


ROWS = [
    Row(
        "YaRN's ramp by the original or the served length (Qwen 2.5 at 131072)",
        Side(_USUAL, _QWEN),
        _exllama("1e6", "ExLlamaYaRN(4.0, 32768)", 131072),
        131072,
    ),
    Row(
        "The same, base 10000, 4096 tokens stretched 16 times",
        Side(_USUAL, "Rope(128, scaling=YaRN(16.0, 4096))"),
        _exllama("1e4", "ExLlamaYaRN(16.0, 4096)", 65536),
        65536,
    ),
    Row(
        "The same, base 500000, 8192 tokens stretched 8 times",
        Side(_USUAL, "Rope(128, base=5e5, scaling=YaRN(8.0, 8192))"),
        _exllama("5e5", "ExLlamaYaRN(8.0, 8192)", 65536),
        65536,
    ),
    Row(
        "YaRN with M-RoPE: the original length counts once or four times (Qwen2.5-VL)",
        Side(_USUAL, _QWEN),
        Side("vLLM", "Rope(128, base=1e6, scaling=YaRN(4.0, 131072))"),
        131072,
    ),
    Row(
        "YaRN's factor: as given, or the quotient of the two lengths",
        Side(_USUAL, _QWEN),
        Side(
            "ExLlamaV3",
            "Rope(128, base=1e6, scaling=YaRN(None, 32768), max_position_embeddings=32768)",
        ),
        131072,
    ),
    Row(
        "YaRN within the original length: always, or only past it",
        Side(_USUAL, _QWEN),
        _exllama("1e6", "ExLlamaYaRN(4.0, 32768)", 32768),
        32768,
    ),
    Row(
        "YaRN's amplitude where mscale = mscale_all_dim = 1 (Ministral 3 at 262144)",
        Side(
            _USUAL,
            "Rope(128, base=1e6, scaling=YaRN(16.0, 16384, mscale=1.0, mscale_all_dim=1.0))",
        ),
        _exllama("1e6", "ExLlamaYaRN(16.0, 16384)", 262144),
        131072,
    ),
    Row(
        "YaRN of DeepSeek without mscale keys: on cos and sin, or on the softmax",
        Side(_USUAL, "Rope(64, scaling=DeepSeekYaRN(40.0, 4096))"),
        Side(
            "DeepSeek's own code",
            "Rope(64, scaling=DeepSeekYaRN(40.0, 4096, attention_factor=1.0, mscale_all_dim=1.0))",
        ),
        131072,
    ),
    Row(
        "YaRN's softmax factor of DeepSeek-V3: applied, or left out",
        Side(
            "vLLM",
            "Rope(64, scaling=DeepSeekYaRN(40.0, 4096, mscale=1.0, mscale_all_dim=1.0))",
        ),
        Side("rope alone", "Rope(64, scaling=YaRN(40.0, 4096, mscale=1.0, mscale_all_dim=1.0))"),
        131072,
    ),
    Row(
        "YaRN's ends of the ramp: as computed, or whole pairs (gpt-oss)",
        Side("gpt-oss", "Rope(64, base=15e4, scaling=YaRN(32.0, 4096, truncate=False))"),
        Side("llama.cpp", "Rope(64, base=15e4, scaling=LlamaCppYaRN(1 / 32, 4096))"),
        131072,
    ),
    Row(
        "YaRN's ramp: in the pair index, or in rotations",
        Side(_USUAL, _QWEN),
        Side("the paper, eq. 18", "Rope(128, base=1e6, scaling=YaRNPaper(4.0, 32768))"),
        131072,
    ),
    Row(
        "YaRN's amplitude in NeMo Automodel: multiplied, or dropped in the fused path",
        Side("NeMo", _QWEN),
        Side("NeMo, fused", "Rope(128, base=1e6, scaling=YaRN(4.0, 32768, attention_factor=1.0))"),
        131072,
    ),
    Row(
        "Settings of YaRN in a GGUF file: read, or not (beta_fast 4 of Devstral 2)",
        Side("llama.cpp, mistral3", "Rope(128, base=1e6, scaling=YaRN(64.0, 4096, beta_fast=4.0))"),
        Side("llama.cpp, others", "Rope(128, base=1e6, scaling=YaRN(64.0, 4096))"),
        131072,
    ),
    Row(
        "Dynamic NTK at 8192 tokens: grown, or never",
        Side(_USUAL, f"{_DYNAMIC}.spectrum(8192)"),
        Side(
            "vLLM, NeMo",
            "Rope(128, scaling=VLLMDynamicNTK(2.0), max_position_embeddings=4096)",
        ),
        8191,
    ),
    Row(
        "Dynamic NTK at 4096 tokens: not yet, or at every length",
        Side(_USUAL, f"{_DYNAMIC}.spectrum(4096)"),
        Side("SGLang", "Rope(128, scaling=SGLangDynamicNTK(2.0), max_position_embeddings=4096)"),
        4096,
    ),
    Row(
        "Dynamic NTK after a long text of 8192 tokens, at 4096: kept, or taken back",
        Side(_USUAL, f"{_DYNAMIC}.spectrum(8192)"),
        Side("a fresh start", f"{_DYNAMIC}.spectrum(4096)"),
        4095,
    ),
    Row(
        "Alpha with half the head turned: exponent of that half, or of the whole head",
        Side("ExLlamaV2, default", "Rope(128, rotary_dim=64, scaling=NTKAware(4.0))"),
        Side("ExLlamaV2, llama3", "Rope(128, rotary_dim=64, base=ntk_base(1e4, 4.0, 128))"),
        8192,
    ),
    Row(
        "NTK: a larger base, or also every frequency divided",
        Side(_USUAL, "Rope(128, scaling=NTKAware(4.0))"),
        Side("vLLM", "Rope(128, scaling=VLLMNTK(4.0))"),
        16384,
    ),
    Row(
        "LongRoPE just past the original length (Phi-3.5): the long list, or the short",
        Side(f"{_USUAL}, vLLM", f"{_PHI}.spectrum(4097)"),
        Side("NeMo", f"{_PHI}.spectrum(None)"),
        4096,
    ),
    Row(
        "LongRoPE's amplitude within the original length",
        Side(f"{_USUAL}, vLLM", f"{_PHI}.spectrum(4096)"),
        _phi_exllama(4096),
        4095,
    ),
    Row(
        "LongRoPE's amplitude when served at 32768 tokens of 131072",
        Side(_USUAL, f"{_PHI}.spectrum(32768)"),
        _phi_exllama(32768),
        32767,
    ),
    Row(
        "One interpolation key of two, 4: divides, or does nothing",
        Side("Megatron", "Rope(128, scaling=Linear(4.0))"),
        Side("Transformer Engine", "Rope(128)"),
        8191,
    ),
    Row(
        "Interpolation past its reach: 16384 tokens, trained on 2048, factor 4",
        Side("Megatron", "Rope(128, scaling=Linear(4.0))"),
        Side(
            "Transformer Engine",
            "Rope(128, scaling=TransformerEngineInterpolation(4.0, 2048)).spectrum(16384)",
        ),
        16383,
    ),
    Row(
        "The factor 8 of proportional: divides, or is ignored (Gemma 4's rule)",
        Side(_USUAL, "Rope(512, base=1e6, scaling=Proportional(0.25, 8.0))"),
        Side("vLLM", "Rope(512, base=1e6, scaling=Proportional(0.25))"),
        131072,
    ),
    Row(
        "Frequencies kept in bfloat16, as by casting a model, base 500000",
        Side("float32 or better", "Rope(128, base=5e5)"),
        Side("a cast buffer", "Rope(128, base=5e5, scaling=RoundedFrequencies('bfloat16'))"),
        131072,
    ),
    Row(
        "Frequencies kept in bfloat16, base 10000",
        Side("float32 or better", "Rope(128)"),
        Side("a cast buffer", "Rope(128, scaling=RoundedFrequencies('bfloat16'))"),
        4096,
    ),
    Row(
        "Frequencies kept in float16, base 500000",
        Side("float32 or better", "Rope(128, base=5e5)"),
        Side("ExLlamaV2", "Rope(128, base=5e5, scaling=RoundedFrequencies('float16'))"),
        131072,
    ),
    Row(
        "Frequencies kept in float16, base 10000",
        Side("float32 or better", "Rope(128)"),
        Side("ExLlamaV2", "Rope(128, scaling=RoundedFrequencies('float16'))"),
        4096,
    ),
    Row(
        "Frequencies rounded to float32 once, base 500000",
        Side("float64", "Rope(128, base=5e5)"),
        Side("most", "Rope(128, base=5e5).spectrum().astype(np.float32)"),
        131071,
    ),
]
