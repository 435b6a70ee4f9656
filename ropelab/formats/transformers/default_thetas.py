"""The base that Transformers' config classes take where a config gives none (read in 5.24.0).

Each class has an attribute ``default_theta``, 10000 unless it says otherwise
(`RotaryEmbeddingConfigMixin` in ``modeling_rope_utils.py``); some have a dictionary, by layer type.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from ..findings import Findings
from ..transformers_models import DEFAULT_THETA, ROPE_MODELS

__all__ = ["DEFAULT_THETAS", "LAYER_THETAS", "OWN_PARAMETERS", "default_theta"]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_BY_THETA = {
    100.0: "eomt_dinov3 gemma4_vision",
    1_000.0: "nomic_bert",
    1_200.0: "musicflamingo",
    20_000.0: "jina_embeddings_v3 pe_audio_encoder pe_audio_video_encoder pe_video_encoder",
    25_000.0: "fuyu",
    100_000.0: "helium",
    150_000.0: "gpt_oss openai_privacy_filter",
    160_000.0: "gte",
    500_000.0: """
        EvollaModel bitnet blt blt_global_transformer blt_local_decoder blt_local_encoder cohere csm
        csm_depth_decoder_model ernie4_5 ernie4_5_moe ernie4_5_vl_moe_text evolla exaone
        flex_olmo llama4_text mllama_text_model muse_glimmer_assistant paddleocr_vl_text
        qwen3_vl_moe_text qwen3_vl_text
    """,
    1_000_000.0: """
        cwm emu3_text_model lfm2 lfm2_moe lfm3 lfm3_vl_vision minimax mixtral phimoe
        qwen2_5_omni_talker qwen2_5_omni_text qwen2_5_vl_text qwen2_vl_text qwen3_omni_moe_text
        solar_open
    """,
    2_000_000.0: "smollm3",
    5_000_000.0: "minimax_m2 minimax_m3_vl_text",
    6_000_000.0: "bailing_hybrid",
    8_000_000.0: "sarvam_moe",
    10_000_000.0: "longcat_flash",
    11_158_840.0: "hy_v3",
    12_000_000.0: "apertus apertus1p5_text",
    100_000_000.0: "cosmos3_edge_text",
}

DEFAULT_THETAS: Mapping[str, float] = MappingProxyType(
    {name: theta for theta, names in _BY_THETA.items() for name in _names(names)}
)
"""The base of each model_type whose default is one base, but not 10000."""

_SLIDING, _FULL = "sliding_attention", "full_attention"


def _pair(full: float, sliding: float = 10_000.0) -> Mapping[str, float]:
    return MappingProxyType({_SLIDING: sliding, _FULL: full})


LAYER_THETAS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "deepseek_v4": MappingProxyType({"main": 10_000.0, "compress": 160_000.0}),
        "diffusion_gemma_text": _pair(1e6),
        "dots3_note_text": MappingProxyType(
            {_SLIDING: 50_000.0, "indexed_attention": 80_000_000.0}
        ),
        "embedding_gemma2_text": _pair(1e6),
        "gemma3_text": _pair(1e6),
        "gemma3n_text": _pair(1e6),
        "gemma4_text": _pair(1e6),
        "gemma4_unified_text": _pair(1e6),
        "laguna": _pair(5e5),
        "mellum": _pair(5e5),
        "mimo_v2_flash": _pair(5e6),
        "modernbert": _pair(160_000.0),
        "modernbert-decoder": _pair(160_000.0),
        "neomme": _pair(1e6),
        "olmo3": _pair(5e5, 5e5),
        "t5gemma2_decoder": _pair(1e6),
        "t5gemma2_text": _pair(1e6),
        "zaya": MappingProxyType({"hybrid": 5e6, "hybrid_sliding": 10_000.0}),
    }
)
"""The bases of each model_type whose default differs from layer to layer."""

# Models whose config class fills in a rule of its own where a config has no dictionary at all.
OWN_PARAMETERS = _names(
    """
    apertus apertus1p5_text beam cwm deepseek_v4 diffusion_gemma_text dory dots3_note_text
    embedding_gemma2_text
    gemma4_text gemma4_unified_text gpt_oss higgs_audio_v2 laguna lfm3 mellum mimo_v2_flash
    ministral3 mistral4 mistral_large4_text muse_spark_text openai_privacy_filter step3p5 ultrabert
    zaya
    """
)


def default_theta(model_type: str | None, findings: Findings) -> float:
    """Return the base of a config that gives none, or raise ValueError if there is not one.

    Parameters
    ----------
    model_type : str or None
        Of the config.
    findings : Findings
        Is added to.

    Returns
    -------
    float
        Transformers' default for the model, or 10000, with a finding, for an unknown one.

    Raises
    ------
    ValueError
        If the model's default differs from layer to layer.
    """
    # A flat config of a multimodal model is read by the class of its text_config.
    names = (model_type, f"{model_type}_text", f"{model_type}_text_model") if model_type else ()
    for name in names:
        if name in DEFAULT_THETAS:
            return DEFAULT_THETAS[name]
        if name in LAYER_THETAS:
            each = ", ".join(
                f"{theta:g} for {layer}" for layer, theta in LAYER_THETAS[name].items()
            )
            msg = (
                f"rope_theta: a config without one has, in Transformers' {name}, {each}; "
                f"give rope_theta, or rope_parameters for each of these layer types"
            )
            raise ValueError(msg)
    if model_type not in ROPE_MODELS:
        known = (
            f"the model_type is {model_type!r}, which is not known"
            if model_type
            else "there is no model_type"
        )
        findings.add(
            "rope_theta",
            f"rope_theta is missing and {known}; base {DEFAULT_THETA:g} is assumed, which is not "
            f"every model's default; give rope_theta",
            "base-missing",
        )
    return DEFAULT_THETA
