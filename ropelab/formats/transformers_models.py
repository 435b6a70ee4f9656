"""What Transformers' model code fixes beside the config, by model_type (read in 5.24.0)."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = [
    "DEFAULT_THETA",
    "HALF_OUT",
    "HONOURS_PARTIAL",
    "INTERLEAVED",
    "LAYER_TYPES",
    "LEGACY_NAMES",
    "LISTS_NOPE",
    "MROPE",
    "NTK_ALPHA",
    "PHI3",
    "READS_ROTARY_DIM",
    "ROPE_MODELS",
    "ROTATES_LAST",
    "ROTATES_QK_ROPE",
    "SCALES_SOFTMAX",
    "SLIDING_ROPE",
    "SLIDING_ROPE_IF_WINDOWED",
    "THETA_OR_NOPE",
    "WITHOUT_ROPE",
    "MRope",
    "mrope_of",
]

DEFAULT_THETA = 10_000.0

MRope = tuple[str, tuple[int, ...]]

# Top-level keys of older models, and what they are called now.
LEGACY_NAMES = MappingProxyType(
    {
        "rotary_emb_base": "rope_theta",
        "rotary_pct": "partial_rotary_factor",
        "n_embd": "hidden_size",
        "n_head": "num_attention_heads",
        "n_layer": "num_hidden_layers",
        "num_layers": "num_hidden_layers",
        "attention_head_dim": "head_dim",
        "n_positions": "max_position_embeddings",
    }
)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Models whose code takes channels (2i, 2i + 1) in and gives them out in half order.
HALF_OUT = _names(
    """
    axk1 axk2 bailing_hybrid deepseek_v3 deepseek_v32 dots3_note dots3_note_text glm4_moe_lite
    glm_moe_dsa longcat_flash mistral4 mistral_large4 mistral_large4_text youtu
    """
)

# Models whose code pairs channels (2i, 2i + 1); all others pair (i, i + d/2).
INTERLEAVED = HALF_OUT | _names(
    """
    blt blt_global_transformer blt_local_decoder blt_local_encoder blt_patcher codegen cohere
    cohere2 cohere2_moe deepseek_v2 deepseek_v4 efficientloftr ernie4_5 ernie4_5_moe ernie4_5_vl_moe
    ernie4_5_vl_moe_text glm glm4 glm4v glm4v_text glm_ocr glm_ocr_text gptj helium hy_v4_vl_text
    llama4 llama4_text moonshine moonshine_streaming moonshine_streaming_encoder
    openai_privacy_filter pe_audio pe_audio_encoder pe_audio_video pe_audio_video_encoder pe_video
    pe_video_encoder roformer
    """
)

# Models whose heads have a part of their own for rotation, qk_rope_head_dim channels wide.
ROTATES_QK_ROPE = _names(
    """
    axk1 axk2 bailing_hybrid deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa hy_v4
    hy_v4_vl_text minicpm3 mistral_large4_text youtu
    """
)

# Names of layers that Transformers 5 accepts in layer_types: its own, those that it renames, and
# those that a model's class accepts for itself.
LAYER_TYPES = _names(
    """
    chunked_attention compressed_sparse_attention conv full_attention heavily_compressed_attention
    hybrid hybrid_sliding indexed_attention linear_attention minimax_m3_sparse moe
    reference_sliding_attention sliding_attention window_attention
    attention deepseek_sparse_attention mamba qwen_sparse_attention
    mlp recurrent
    """
)

# Models that rotate the last channels of a head, those of its rotated part.
ROTATES_LAST = _names("deepseek_v4 mistral4")

# Models whose attention multiplies its scale by YaRN's magnitude squared (`yarn_apply_mscale`).
SCALES_SOFTMAX = _names(
    """
    axk1 axk2 bailing_hybrid deepseek_v2 deepseek_v3 deepseek_v32 glm4_moe_lite glm_moe_dsa hy_v4
    hy_v4_vl_text longcat_flash minicpm3 mistral4 mistral_large4_text youtu
    """
)

# Models in whose configs "dynamic" beside alpha is the NTK-aware rule, at every length.
NTK_ALPHA = _names("hunyuan_v1_dense hunyuan_v1_moe hunyuan_vl_text")

# Models whose configs take no rule but LongRoPE, which older ones call "su" or "yarn".
PHI3 = _names("phi3 phi4_multimodal")

# Models with a list of the layers that have a rotary embedding (`no_rope_layers`).
LISTS_NOPE = _names("llama4_text mistral_large4_text smollm3")

# Models with a list of bases, 0 for a layer without a rotary embedding (`layer_rope_theta`).
THETA_OR_NOPE = _names("granite_swa granitemoe_swa muse_glimmer_text muse_spark_text")

# Models whose layers of full attention have none; in some only if others have a sliding window.
SLIDING_ROPE = _names("afmoe cohere2 cohere2_moe flint")
SLIDING_ROPE_IF_WINDOWED = _names("exaone4 exaone4_5_text exaone_moe kolibri1")

_CHUNKED, _INTERLEAVED = "chunked", "interleaved"


def _sections(order: str, sections: tuple[int, ...], text: str) -> dict[str, MRope]:
    return dict.fromkeys(text.split(), (order, sections))


# Models that turn pairs by several position axes: how axes are dealt out, and the default sections.
MROPE: Mapping[str, MRope] = MappingProxyType(
    {
        **_sections(
            _CHUNKED,
            (16, 24, 24),
            "paddleocr_vl_text qwen2_5_omni_talker qwen2_5_omni_text qwen2_5_vl_text qwen2_vl_text",
        ),
        **_sections(_CHUNKED, (8, 12, 12), "glm4v_moe_text glm4v_text glm_image_text glm_ocr_text"),
        **_sections(
            _INTERLEAVED,
            (24, 20, 20),
            """
            cohere_compass_text cosmos3_edge_text hy_v4_vl_text qwen3_omni_moe_talker_text
            qwen3_omni_moe_text qwen3_vl_moe_text qwen3_vl_text
            """,
        ),
        **_sections(_INTERLEAVED, (11, 11, 10), "qwen3_5_moe_text qwen3_5_text qwen4_exp_text"),
        **_sections("alternating", (22, 22, 20), "ernie4_5_vl_moe_text"),
        **_sections("row_column", (), "neomme"),
    }
)


def mrope_of(model_type: str | None) -> MRope | None:
    """Return a model's entry in `MROPE`; a flat config is one of the model's text part."""
    return MROPE.get(model_type or "") or MROPE.get(f"{model_type}_text")


# Models whose unscaled frequencies are as many as partial_rotary_factor says. The code of all
# others uses the whole head. Scaled frequencies come from shared code, which honours it.
HONOURS_PARTIAL = _names(
    """
    bamba deepseek_v4 diffusion_gemma_text dots3_note_audio_encoder dots3_note_text
    efficientloftr glm glm4 glm4_moe glm4_moe_lite glm4v_moe_text glm4v_text glm_image_text
    glm_ocr_text glmasr glmasr_encoder gpt_neox gpt_neox_japanese laguna mellum mimo_v2_flash
    minimax_m2 minimax_m3_vl minimax_m3_vl_text moonshine moonshine_streaming
    moonshine_streaming_encoder musicflamingo nemotron nemotron3_5_transcribe_asr_audio
    nemotron3_5_transcribe_word_timestamp nemotron3_diarization nemotron3_diarization_audio
    neomme persimmon phi phi3 phi4_multimodal qwen3_5_moe_text qwen3_5_text qwen3_next
    qwen4_exp_text recurrent_gemma solar_open stablelm step3p5 step3p7 zaya
    """
)

# Models that read rotary_dim, a number of channels.
READS_ROTARY_DIM = _names("codegen gptj minimax_m2")

# Every model known to have rotary embeddings of one position axis or by M-RoPE.
ROPE_MODELS = (
    HONOURS_PARTIAL
    | INTERLEAVED
    | _names(
        """
        afmoe apertus apertus1p5_text arcee aria_text beam bitnet chameleon cohere_compass_text
        cosmos3_edge_text csm csm_depth_decoder_model cwm dbrx deepseek_ocr2_text dia dia_decoder
        dia_encoder diffllama doge dory dots1 embedding_gemma2_text emu3 emu3_text_model esm esmc
        eurobert evolla exaone exaone4 exaone_moe falcon falcon_h1 flex_olmo flint gemma gemma2
        gemma3 gemma3_text gemma3n_text gemma4_text gemma4_unified_text gpt_oss gradium_phonon_tts
        granite granite4_vision_text granite_docling_text granite_swa granitemoe granitemoe_swa
        granitemoehybrid granitemoeshared gte higgs_audio_v2 hrm_text hunyuan_v1_dense
        hunyuan_v1_moe hunyuan_vl_text hy_v3 hy_v4 hyperclovax idefics internlm3 iquestcoder
        jais2 jetmoe jina_embeddings_v3 kolibri1 kyutai_speech_to_text lasr_encoder lfm2 lfm2_moe
        lfm3 llama mimi mimi_decoder mimi_encoder minicpm3 minimax ministral ministral3 mistral
        mixtral mllama_text_model modernbert modernbert-decoder molmo2_text moshi muse_glimmer
        muse_glimmer_assistant muse_glimmer_text muse_spark muse_spark_text nanochat neucodec
        nomic_bert olmo olmo2 olmo3 olmo_hybrid olmoe paddleocr_vl paddleocr_vl_text phimoe
        pocket_tts pocket_tts_audio_tokenizer pocket_tts_audio_tokenizer_decoder
        pocket_tts_audio_tokenizer_encoder qwen2 qwen2_5_omni qwen2_5_omni_dit
        qwen2_5_omni_talker qwen2_5_omni_text qwen2_5_vl qwen2_5_vl_text qwen2_moe qwen2_vl
        qwen2_vl_text qwen3 qwen3_moe qwen3_omni_moe qwen3_omni_moe_talker_code_predictor
        qwen3_omni_moe_talker_text qwen3_omni_moe_text qwen3_vl_moe_text qwen3_vl_text sarvam_moe
        seed_oss smollm3 starcoder2 t5_gemma_module t5gemma t5gemma2_decoder t5gemma2_text
        timesfm2_5 ultrabert unlimited_ocr_text vaultgemma voxtral_realtime voxtral_realtime_encoder
        voxtral_realtime_text xcodec2 zamba2
        """
    )
)

# Models with learned, ALiBi or relative positions.
WITHOUT_ROPE = _names(
    """
    bart bert bloom distilbert gpt2 gpt_bigcode mpt opt roberta t5
    """
)
