"""Which channels of a head turn: how many, and from where on."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from ...checks import finite_real, positive_int
from ...scaling import Scaling
from ..findings import Findings
from ..heads import channels, head_dim_of
from ..sources import first_given
from ..transformers_models import HONOURS_PARTIAL, READS_ROTARY_DIM, ROPE_MODELS
from .config import Config
from .parameters import RopeParameters

__all__ = ["DEFAULT_PARTIALS", "LAYER_PARTIALS", "layer_head_dim", "rotary_dim_of"]

# Rules that the code of each model computes for itself; all others come from shared code.
_IN_MODEL_CODE = frozenset({"default", "ntk_alpha"})

_BY_SHARE = {
    0.2: "musicflamingo",
    0.25: "gpt_neox qwen3_5_moe_text qwen3_5_text qwen3_next stablelm",
    0.5: """
        bamba dots3_note_audio_encoder glm glm4 glm4_moe glm4v_moe_text glmasr_encoder mistral4
        nemotron persimmon phi recurrent_gemma
    """,
    0.9: "moonshine",
}

DEFAULT_PARTIALS: Mapping[str, float] = MappingProxyType(
    {name: share for share, names in _BY_SHARE.items() for name in names.split()}
)
"""The share of channels that turn in each model_type whose config need not say it."""

LAYER_PARTIALS: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "deepseek_v4": {"main": 0.125, "compress": 0.125},
        "dots3_note_text": {"sliding_attention": 0.25, "indexed_attention": 0.25},
        "neomme": {"sliding_attention": 1.0, "full_attention": 0.25},
    }
)
"""The same, of models whose layers have parameters of their own."""

_DEFAULT_ROTARY_DIM = {"codegen": 64, "gptj": 64}

# The width of heads in full-attention layers, where a config gives none.
_GLOBAL_HEAD_DIM = {
    "diffusion_gemma_text": 512,
    "embedding_gemma2_text": 512,
    "gemma4_text": 512,
    "gemma4_unified_text": 512,
}


def layer_head_dim(config: Config, layer_type: str | None) -> int:
    """Return the width of a head in layers of a type.

    Parameters
    ----------
    config : Config
        Gemma 4's says it apart for full attention, as ``global_head_dim``.
    layer_type : str, optional
        One of its layer types.

    Returns
    -------
    int
        Channels of a head.

    Raises
    ------
    TypeError, ValueError
        As `head_dim_of` does.
    """
    values, model_type = config
    if layer_type == "full_attention" and model_type in _GLOBAL_HEAD_DIM:
        width = values.get("global_head_dim")
        layers, single = values.get("layer_types"), values.get("per_layer_config")
        if width is None and isinstance(single, Mapping) and isinstance(layers, (list, tuple)):
            indices = {str(i) for i, name in enumerate(layers) if name == layer_type}
            width = _own_width(single, indices)
        return channels(_GLOBAL_HEAD_DIM[model_type] if width is None else width, "head_dim")
    return head_dim_of(values, model_type)


def _own_width(single: Mapping[Any, Any], indices: set[str]) -> Any:
    """Return the first head_dim that single layers have of their own, None if none has."""
    for key, keys in single.items():
        if not str(key).isdecimal() or not isinstance(keys, Mapping):
            msg = (
                f"per_layer_config: expected a dictionary by index of layer; got {key!r}: {keys!r}"
            )
            raise TypeError(msg)
    each = (keys for key, keys in single.items() if str(key) in indices)
    return next((keys["head_dim"] for keys in each if "head_dim" in keys), None)


def rotary_dim_of(
    config: Config,
    parameters: RopeParameters,
    head_dim: int,
    scaling: Scaling,
    findings: Findings,
) -> int | None:
    """Return how many channels turn, or None for all.

    Parameters
    ----------
    config : Config
        May hold ``partial_rotary_factor`` or ``rotary_dim``.
    parameters : RopeParameters
        May hold ``partial_rotary_factor``.
    head_dim : int
        Channels of a head.
    scaling : Scaling
        The rule; ``"proportional"`` takes the share for itself.
    findings : Findings
        Is added to.

    Returns
    -------
    int or None
        Even.

    Raises
    ------
    TypeError, ValueError
        If no even number of channels would turn.
    """
    name, rule = "partial_rotary_factor", scaling.rope_type
    if rule == "proportional":
        return None
    values, model_type = config
    inner = (f" in {parameters.name}", parameters.values.get(name))
    share = first_given(name, [inner, (" at the top level", values.get(name))], findings)
    width = values.get("rotary_dim")
    if width is None and share is None:
        width = _DEFAULT_ROTARY_DIM.get(model_type or "")
        share = _default_share(model_type, parameters)
    if width is not None:
        width = positive_int(width, "rotary_dim", even=True)
        if model_type in ROPE_MODELS - READS_ROTARY_DIM:
            findings.add(
                "rotary_dim",
                f"rotary_dim = {width} has no effect: {model_type} does not read it",
                "unused-rotary-dim",
            )
            width = None
    if share is None:
        return width
    share = finite_real(share, name, above=0.0)
    if rule in _IN_MODEL_CODE and share != 1.0 and model_type not in HONOURS_PARTIAL:
        if model_type in ROPE_MODELS:
            findings.add(
                name,
                f"{name} = {share} has no effect: Transformers' {model_type} does not read it "
                f"under rope_type {rule!r}",
                "unused-share",
            )
            return width
        if model_type is not None:
            findings.add(
                name,
                f"{name} = {share} is honoured, though not all models do so under rope_type "
                f"{rule!r}, and the model_type {model_type!r} is not known",
                "share-by-model",
            )
    turned = int(head_dim * share) if share <= 1.0 else 0  # cut off as Transformers does
    if share != 1.0 and (turned == 0 or turned % 2):
        msg = (
            f"{name}: expected a share of head_dim = {head_dim}, at most 1, that is an even number "
            f"of channels; got {share}" + (f", which is {turned}" if turned else "")
        )
        raise ValueError(msg)
    if width not in (None, turned):
        used, other = (f"rotary_dim = {width}", f"{name} = {share}")
        if model_type in HONOURS_PARTIAL:
            used, other, width = other, used, None
        findings.add("rotary_dim", f"{used} is used; {other} disagrees with it", "two-values")
    return width or (turned if share != 1.0 else None)


def _default_share(model_type: str | None, parameters: RopeParameters) -> float | None:
    # A flat config of a multimodal model is read by the class of its text_config.
    for name in (model_type or "", f"{model_type}_text"):
        if name in LAYER_PARTIALS:
            return LAYER_PARTIALS[name].get(parameters.layer_type or "")
        if name in DEFAULT_PARTIALS:
            return DEFAULT_PARTIALS[name]
    return None
