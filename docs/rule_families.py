"""The order of the frequency rules, in families."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["FAMILIES"]

# Every rule is in one family; a rule that only one runtime has stands with the runtimes.
FAMILIES: Mapping[str, tuple[str, ...]] = {
    "The progression, and interpolation": (
        "default",
        "linear",
        "dynamic_linear",
        "te_interpolation",
        "inv_freq",
    ),
    "NTK: slow pairs more than fast ones": ("ntk_alpha", "dynamic", "ntk_by_parts", "llama3"),
    "YaRN": ("yarn", "deepseek_yarn", "yarn_paper", "dynamic_yarn"),
    "LongRoPE": ("longrope",),
    "A share of the head": ("proportional", "hope"),
    "Several position axes": ("axial",),
    "Around another rule": ("resonance", "rounded", "stretched"),
    "Single runtimes": (
        "exllamav2_yarn",
        "exllamav2_su",
        "llama_cpp",
        "vllm_ntk",
        "vllm_dynamic",
        "sglang_dynamic",
    ),
}
