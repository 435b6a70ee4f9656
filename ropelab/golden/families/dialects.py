"""Configs of other dialects, among them the same config read by several, to different numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .. import tolerances
from ..cards.card import Card, card
from ..case import Case

__all__ = ["cases"]

_LENGTH = "original_max_position_embeddings"
_Parameters = dict[str, Any]
_QWEN: Mapping[str, Any] = {
    "architectures": ["Qwen2ForCausalLM"],
    "model_type": "qwen2",
    "head_dim": 128,
    "hidden_size": 3584,
    "num_attention_heads": 28,
    "max_position_embeddings": 32768,
    "rope_theta": 1e6,
}
_YARN: _Parameters = {"factor": 4.0, _LENGTH: 32768}
_LLAMA: Mapping[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "max_position_embeddings": 4096,
}
_LLAMA3: _Parameters = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    _LENGTH: 8192,
}
_SHORT = [1.0, 1.05, 1.1, 1.25, 1.5, 1.75, 2.0, 2.25]
_LONG = [1.0, 1.25, 2.0, 4.0, 8.0, 16.0, 24.0, 32.0]
_PHI: Mapping[str, Any] = {
    "architectures": ["Phi3ForCausalLM"],
    "model_type": "phi3",
    "head_dim": 16,
    "max_position_embeddings": 131072,
    _LENGTH: 4096,
    "rope_scaling": {"type": "longrope", "short_factor": _SHORT, "long_factor": _LONG},
}
# The amplitude of 131072 tokens over 4096, as Phi-3's converter writes it, a float32.
_PHI_GGUF = 1.190238118171692
_DYNAMIC: Mapping[str, Any] = {**_LLAMA, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}


class _Read(NamedTuple):
    """One config, how it is read, and the card that it must be read as; None for no rope."""

    name: str
    dialect: str
    config: Mapping[str, Any]
    rope: Card | None
    findings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = {}
    seq_len: int | None = None


def _lists(chosen: list[float], length: int = 131072, **parameters: Any) -> Card:
    """Return a card of LongRoPE with one list at every length."""
    lists: _Parameters = {"short_factor": chosen, "long_factor": chosen, _LENGTH: 4096}
    return card(16, 1e4, "longrope", length=length, **lists, **parameters)


def _original(length: int) -> _Parameters:
    return {_LENGTH: length}


def _plain(**geometry: Any) -> Card:
    return card(128, 1e4, length=4096, **geometry)


def _nemo_automodel() -> Iterator[_Read]:
    name = "nemo_automodel"
    qwen = {**_QWEN, "rope_scaling": {"rope_type": "yarn", **_YARN}}
    yield _Read("qwen-yarn", name, qwen, card(128, 1e6, "yarn", length=32768, **_YARN))
    fused = card(128, 1e6, "yarn", length=32768, attention_factor=1.0, **_YARN)
    found = ("attention_factor", "rope_fusion")
    yield _Read("qwen-yarn-fused", name, qwen, fused, found, {"rope_fusion": True})
    yield _Read("dynamic-2", name, _DYNAMIC, _plain(), ("rope_type",), seq_len=8192)
    phi = {**_PHI, "rope_scaling": {**_PHI["rope_scaling"], "rope_type": "longrope"}}
    yield _Read("longrope", name, phi, _lists(_SHORT), ("long_factor",), seq_len=131072)
    partial = {**_LLAMA, "rope_parameters": {"rope_theta": 1e4, "partial_rotary_factor": 0.5}}
    yield _Read("partial-in-dictionary", name, partial, _plain(), ("partial_rotary_factor",))
    layers = {"full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6}}
    nested = {**_LLAMA, "rope_parameters": layers}
    yield _Read("nested", name, nested, _plain(), ("rope_parameters",))
    bare = {**_LLAMA, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0}}
    llama3: _Parameters = {**_LLAMA3, _LENGTH: 4096}
    keys = ("high_freq_factor", "low_freq_factor", _LENGTH)
    yield _Read(
        "llama3-defaults", name, bare, card(128, 5e5, "llama3", length=4096, **llama3), keys
    )


def _transformer_engine() -> Iterator[_Read]:
    name = "transformer_engine"
    partial = {"dim": 96, "rotary_percent": 0.25, "rotary_base": 25000.0, "interleaved": True}
    yield _Read("partial", name, partial, card(96, 25e3, rotary_dim=24, layout="interleaved"))
    two = {"seq_len_interpolation_factor": 3.0, "pretrained_max_position_embeddings": 2048}
    reach: _Parameters = {"factor": 3.0, "pretrained_max_position_embeddings": 2048}
    rope = card(128, 1e4, "te_interpolation", **reach)
    for length in (2048, 6144, 6145):
        read = _Read("two-keys", name, {"dim": 128, **two}, rope, seq_len=length)
        yield read._replace(name=f"two-keys/L{length}")
    wide = {"dim": 64, "rotary_percent": 1.5}
    yield _Read("share-above-one", name, wide, card(64, 1e4), ("rotary_percent",))


def _exllamav2() -> Iterator[_Read]:
    name = "exllamav2"
    qwen = {**_QWEN, "rope_scaling": {"type": "yarn", **_YARN}}
    for length in (32768, 131072):
        rope = card(128, 1e6, "exllamav2_yarn", length=length, **_YARN)
        read = _Read("qwen-yarn", name, qwen, rope, settings={"max_seq_len": length})
        yield read._replace(name=f"qwen-yarn/{length}")
    yield _Read("dynamic-2", name, _DYNAMIC, _plain(), ("rope_scaling",), seq_len=8192)
    lists: _Parameters = {"short_factor": _SHORT, "long_factor": _LONG, _LENGTH: 4096}
    for length in (4096, 32768):
        rope = card(16, 1e4, "exllamav2_su", length=length, **lists)
        read = _Read("longrope", name, _PHI, rope, settings={"max_seq_len": length})
        yield read._replace(name=f"longrope/{length}")
    alpha = {"scale_alpha_value": 4.0}
    half = {**_LLAMA, "partial_rotary_factor": 0.5}
    rope = card(128, 1e4, "ntk_alpha", rotary_dim=64, length=4096, alpha=4.0)
    yield _Read("alpha-of-half", name, half, rope, settings=alpha)
    llama = {**half, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", **_LLAMA3}}
    # 5e5 * 4 ** (128 / 126), correctly rounded: the exponent is that of the whole head.
    rope = card(128, 2044497.1216243107, "llama3", rotary_dim=64, length=4096, **_LLAMA3)
    yield _Read("alpha-of-half-llama3", name, llama, rope, settings=alpha)
    inner = {"rope_type": "llama3", **_LLAMA3}
    rope = card(128, 5e5, "stretched", rotary_dim=64, length=4096, inner=inner, factor=2.0)
    yield _Read("stretched-llama3", name, llama, rope, settings={"scale_pos_emb": 2.0})
    vision = {
        **_QWEN,
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    }
    axes = [0] * 16 + [1] * 24 + [2] * 24
    plain = {"rope_type": "default"}
    rope = card(128, 1e6, "rounded", length=32768, dtype="float16", inner=plain, axes=axes)
    yield _Read("qwen2-vl", name, vision, rope)
    gpt2 = {**_LLAMA, "architectures": ["GPT2LMHeadModel"]}
    yield _Read("gpt2", name, gpt2, None)


def _vllm() -> Iterator[_Read]:
    name = "vllm"
    scaling = {"rope_type": "yarn", **_YARN}
    rope = card(128, 1e6, "yarn", length=32768, **_YARN)
    yield _Read("qwen-yarn", name, {**_QWEN, "rope_scaling": scaling}, rope)
    axes = [0] * 16 + [1] * 24 + [2] * 24
    longer: _Parameters = {"factor": 4.0, _LENGTH: 131072}
    rope = card(128, 1e6, "yarn", length=32768, axes=axes, **longer)
    vision = {**_QWEN, "rope_scaling": {**scaling, "mrope_section": [16, 24, 24]}}
    yield _Read("qwen-yarn-mrope", name, vision, rope, (_LENGTH,))
    rope = card(128, 1e4, "vllm_dynamic", length=4096, factor=2.0)
    yield _Read("dynamic-2", name, _DYNAMIC, rope, ("max_trained_positions",), seq_len=8192)
    trained = {"rope_type": "dynamic", "factor": 2.0, "max_trained_positions": 2048}
    rope = card(128, 1e4, "vllm_dynamic", length=4096, factor=2.0, max_trained_positions=2048)
    yield _Read("dynamic-trained", name, {**_LLAMA, "rope_scaling": trained}, rope)
    alpha = {**_LLAMA, "rope_scaling": {"type": "dynamic", "alpha": 1000.0}}
    yield _Read("dynamic-alpha", name, alpha, card(128, 1e4, "ntk_alpha", length=4096, alpha=1e3))
    for mixed in (None, 0.625):
        ntk: _Parameters = {"factor": 4.0, **({} if mixed is None else {"mixed_b": mixed})}
        config = {**_LLAMA, "rope_scaling": {"rope_type": "ntk", **ntk}}
        rope = card(128, 1e4, "vllm_ntk", length=4096, **ntk)
        yield _Read("ntk" if mixed is None else "ntk-mixed", name, config, rope)
    for engine, chosen, other in ((4096, _SHORT, "long_factor"), (131072, _LONG, "short_factor")):
        read = _Read("longrope", name, _PHI, _lists(chosen), (other,), {"max_model_len": engine})
        yield read._replace(name=f"longrope/{engine}", seq_len=131072)
    deepseek = {
        "model_type": "deepseek_v3",
        "qk_rope_head_dim": 64,
        "max_position_embeddings": 163840,
        "rope_scaling": {
            "type": "yarn",
            "factor": 40,
            _LENGTH: 4096,
            "beta_fast": 32,
            "beta_slow": 1,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
        },
    }
    yarn: _Parameters = {"factor": 40.0, _LENGTH: 4096, "mscale": 1.0, "mscale_all_dim": 1.0}
    rope = card(64, 1e4, "deepseek_yarn", layout="interleaved", length=163840, **yarn)
    yield _Read("deepseek-v3", name, deepseek, rope)
    gemma = {"rope_type": "proportional", "partial_rotary_factor": 0.25, "factor": 8.0}
    config = {"head_dim": 512, "rope_theta": 1e6, "rope_scaling": gemma}
    rope = card(512, 1e6, "proportional", partial_rotary_factor=0.25)
    yield _Read("gemma-4-full", name, config, rope, ("factor",))


def _metadata(name: str, **given: Any) -> Mapping[str, Any]:
    keys = {"embedding_length": 4096, "attention.head_count": 32, "context_length": 32768, **given}
    prefixed = {f"{name}.{key.replace('__', '.')}": value for key, value in keys.items()}
    return {"general.architecture": name, **prefixed}


def _gguf() -> Iterator[_Read]:
    name = "gguf"
    llama = _metadata("llama", rope__freq_base=1e6)
    rope = card(128, 1e6, layout="interleaved", length=32768)
    yield _Read("llama-is-interleaved", name, llama, rope)
    qwen = _metadata(
        "qwen2",
        rope__freq_base=1e6,
        rope__scaling__type="yarn",
        rope__scaling__factor=4.0,
        rope__scaling__original_context_length=32768,
    )
    rope = card(128, 1e6, "llama_cpp", length=32768, freq_scale=0.25, **_original(32768))
    yield _Read("qwen-yarn", name, qwen, rope)
    fast = {**qwen, "qwen2.rope.scaling.yarn_beta_fast": 16.0}
    yield _Read("qwen-yarn-beta", name, fast, rope, ("rope.scaling.yarn_beta_fast",))
    phi = _metadata(
        "phi3",
        embedding_length=512,
        context_length=131072,
        rope__scaling__type="longrope",
        rope__scaling__original_context_length=4096,
        rope__scaling__attn_factor=_PHI_GGUF,
    )
    tensors = {"rope_factors_short": _SHORT, "rope_factors_long": _LONG}
    for context, chosen in ((4096, _SHORT), (131072, _LONG)):
        rope = _lists(chosen, attention_factor=_PHI_GGUF)
        read = _Read("longrope", name, phi, rope, settings={**tensors, "n_ctx": context})
        yield read._replace(name=f"longrope/{context}", seq_len=131072)
    deepseek = _metadata(
        "deepseek2",
        rope__dimension_count=64,
        rope__scaling__type="yarn",
        rope__scaling__factor=40.0,
        rope__scaling__original_context_length=4096,
        rope__scaling__yarn_log_multiplier=0.1,
    )
    weights: _Parameters = {"attention_factor": 1.0, "mscale_all_dim": 1.0, "factor": 40.0}
    rope = card(64, 1e4, "deepseek_yarn", layout="interleaved", length=32768, **weights)
    yield _Read("deepseek-v3", name, deepseek, {**rope, **_original(4096)})
    blocks = _metadata("qwen2vl", rope__freq_base=1e6, rope__dimension_sections=[16, 24, 24, 0])
    rope = card(128, 1e6, length=32768, axes=[0] * 16 + [1] * 24 + [2] * 24)
    yield _Read("qwen2-vl-blocks", name, blocks, rope)
    woven = _metadata("qwen3vl", rope__freq_base=5e6, rope__dimension_sections=[24, 20, 20, 0])
    axes = [(0, 1, 2)[i % 3] if i < 60 else (0, 3, 3)[i % 3] for i in range(64)]
    rope = card(128, 5e6, length=32768, axes=axes)
    yield _Read("qwen3-vl-woven", name, woven, rope, ("rope.dimension_sections",))
    gemma = _metadata(
        "gemma3",
        attention__key_length=256,
        rope__freq_base=1e6,
        rope__scaling__type="linear",
        rope__scaling__factor=8.0,
    )
    rope = card(256, 1e6, "linear", length=32768, factor=8.0)
    yield _Read("gemma-3-full", name, gemma, rope)
    sliding = card(256, 1e4, length=32768)
    yield _Read("gemma-3-sliding", name, gemma, sliding, settings={"sliding": True})
    yield _Read("gptj", name, {"general.architecture": "gptj"}, None)


def _megatron() -> Iterator[_Read]:
    name = "megatron"
    rotary = {"position_embedding_type": "rope", "kv_channels": 128}
    one = {**rotary, "rotary_seq_len_interpolation_factor": 4}
    yield _Read("one-key", name, one, card(128, 1e4, "linear", factor=4.0))
    llama = {**rotary, "rotary_base": 500000, "use_rope_scaling": True}
    yield _Read("llama3", name, llama, card(128, 5e5, "llama3", **_LLAMA3))
    inner = {"rope_type": "llama3", **_LLAMA3}
    both = {**llama, "rotary_seq_len_interpolation_factor": 3}
    rope = card(128, 5e5, "stretched", inner=inner, factor=3.0)
    yield _Read("llama3-stretched", name, both, rope)
    gpt_oss = {
        "position_embedding_type": "yarn",
        "kv_channels": 64,
        "rotary_base": 150000,
        "rotary_percent": 0.5,
        "yarn_rotary_scaling_factor": 32.0,
        "yarn_original_max_position_embeddings": 4096,
        "yarn_correction_range_round_to_int": False,
    }
    rope = card(64, 15e4, "yarn", factor=32.0, truncate=False, **_original(4096))
    yield _Read("gpt-oss", name, gpt_oss, rope, ("rotary_percent",))
    zero = {**gpt_oss, "rotary_percent": 1.0, "yarn_mscale": 0.5, "yarn_mscale_all_dim": 0.0}
    amplitude = {"attention_factor": 1.1732867951399863}  # 1 + 0.05 ln 32
    yield _Read("yarn-mscale-zero", name, zero, {**rope, **amplitude})
    latent = {
        "position_embedding_type": "rope",
        "multi_latent_attention": True,
        "rotary_scaling_factor": 40.0,
        "mscale": 1.0,
        "mscale_all_dim": 1.0,
    }
    yarn: _Parameters = {"factor": 40.0, _LENGTH: 4096, "mscale": 1.0, "mscale_all_dim": 1.0}
    rope = card(64, 1e4, "deepseek_yarn", layout="interleaved", output_layout="half", **yarn)
    yield _Read("latent-attention", name, latent, rope)
    yield _Read("no-rope", name, {"kv_channels": 64}, None, ("position_embedding_type",))


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By dialect.
    """
    dialects = (_nemo_automodel, _transformer_engine, _exllamav2, _vllm, _gguf, _megatron)
    for read in (read for reads in dialects for read in reads()):
        rope = read.rope
        options = {
            "dialect": read.dialect,
            "config": read.config,
            "settings": read.settings,
            "rope": None if rope is None else dict(rope),
            "seq_len": read.seq_len,
            "findings": list(read.findings),
        }
        bound = tolerances.equal() if rope is None else tolerances.frequencies(rope["rope_type"])
        path = f"dialects/{read.dialect}/{read.name}"
        yield Case(path, "read", {}, options, bound, ("ConfigKeys", "FrequencyRule"))
