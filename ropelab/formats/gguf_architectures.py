"""What llama.cpp fixes by a file's architecture (read in llama.cpp as of llama_cpp_python 0.3.36).

Names are those of ``general.architecture``; the groups are those of ``llama_model_rope_type``.
"""

from __future__ import annotations

__all__ = [
    "ARCHITECTURES",
    "EITHER",
    "HALF",
    "INTERLEAVED",
    "LATENT",
    "LOG_MULTIPLIER",
    "SAME_BASE_IN_WINDOWS",
    "SAME_IN_WINDOWS",
    "SECTIONS",
    "SOFTMAX",
    "WHOLE_HEAD",
    "WITHOUT_ROPE",
    "WOVEN",
]


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


# NONE: models that do not turn anything.
WITHOUT_ROPE = _names(
    """
    arwkv7 bloom clip glm5-next gpt2 gptj jais jamba jina-bert-v2 kimi-k3
    kimi-linear mamba mamba2 mpt nemotron_h nemotron_h_moe refact rwkv6 rwkv6qwen2 rwkv7
    t5 t5encoder wavtokenizer-dec
    """
)

# NORM: channels (2i, 2i + 1) form a pair.
INTERLEAVED = _names(
    """
    arcee arctic baichuan bailingmoe bailingmoe3 chameleon chatglm cohere2 cohere2moe
    command-r deci deepseek deepseek2 deepseek2-ocr deepseek32 deepseek4 dots3note eagle3
    ernie4_5 ernie4_5-moe glm-dsa glm4 granite granite_swa granitehybrid granitemoe
    graniteswitch hy_v4 internlm2 llada llama llama-embed llama4 maincoder minicpm
    mistral3 mistral4 muse-glimmer nanbeige neo-bert olmo plm pockettts smollm3 starcoder
    xverse
    """
)

# NEOX: channels (i, i + d/2) form a pair.
HALF = _names(
    """
    afmoe apertus bailingmoe2 bert bitnet codeshell cogvlm dbrx dots1 dream eurobert
    exaone exaone-moe exaone4 falcon falcon-h1 gemma gemma-embedding gemma2 gemma3 gemma3n
    gemma4 gemma4-assistant glm4moe gpt-oss gptneox grok grovemoe hrm_text hunyuan-dense
    hunyuan-moe hunyuan_vl hy_v3 jais2 jina-bert-v3 laguna lfm2 lfm2moe llada-moe maple
    mellum mimo2 minicpm3 minimax-01 minimax-m2 minimax-m3 modern-bert nemotron nomic-bert
    nomic-bert-moe olmo2 olmoe openelm orion pangu-embedded phi2 phi3 phimoe plamo plamo2
    plamo3 qwen qwen2 qwen2moe qwen3 qwen3moe qwen3next rnd1 seed_oss smallthinker
    spark2_5 stablelm starcoder2 step35 talkie
    """
)

# MROPE: halves, and pairs shared out among position axes by blocks.
SECTIONS = _names("paddleocr qwen2vl")

# IMROPE: halves, and axes taking turns from pair to pair.
WOVEN = _names("qwen35 qwen35moe qwen3tts qwen3vl qwen3vlmoe qwen4exp")

ARCHITECTURES = WITHOUT_ROPE | INTERLEAVED | HALF | SECTIONS | WOVEN

# Those of NORM and NEOX that are MROPE where a file has sections.
EITHER = _names("bailingmoe3 glm4 glm4moe hunyuan_vl")

# Models whose turned channels are a projection of their own, dimension_count wide.
LATENT = _names(
    """
    deepseek2 deepseek2-ocr deepseek32 dots3note glm-dsa hy_v4 minicpm3 mistral4 plm
    """
)

# Those of them whose softmax scale has YaRN's magnitude too.
SOFTMAX = _names("deepseek2 deepseek32 glm-dsa mistral4")

# Models whose loader insists on a whole head.
WHOLE_HEAD = _names("deci falcon llama llama-embed")

# Models that read yarn_log_multiplier; those of SOFTMAX have a tenth of mscale_all_dim there.
LOG_MULTIPLIER = _names("deepseek2 deepseek32 mistral3 mistral4")

# Models whose sliding-window layers are scaled like the others; the rest do not scale those.
SAME_IN_WINDOWS = _names(
    """
    afmoe cohere2 cohere2moe exaone-moe exaone4 gemma2 gpt-oss llama4 maple mellum smallthinker
    spark2_5
    """
)

# Models whose sliding-window layers have the base of the others where freq_base_swa is missing;
# the rest have 10000.
SAME_BASE_IN_WINDOWS = SAME_IN_WINDOWS | _names("laguna muse-glimmer olmo2")
