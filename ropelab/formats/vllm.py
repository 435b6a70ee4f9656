"""Reading configs as vLLM's ``get_rope`` does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..checks import check_flag, finite_real, positive_int
from ..rope import Rope
from ..scaling import (
    VLLMNTK,
    DeepSeekYaRN,
    Default,
    Linear,
    Llama3,
    LongRoPE,
    NTKAware,
    Proportional,
    Scaling,
    VLLMDynamicNTK,
    YaRN,
)
from .dialect import note_unread, rule_from, section_axes, share_of, yarn_amplitude
from .findings import Findings, Reading, warn_of
from .heads import channels, head_dim_of
from .sources import optional_text, read_config
from .transformers_models import INTERLEAVED
from .vllm_parameters import LENGTH, parameters_of

__all__ = ["from_vllm", "read_vllm"]

Config = Mapping[str, Any] | str | os.PathLike[str] | object

_LENGTH = LENGTH
_OWN = (
    "mrope_interleaved",
    "mrope_section",
    "partial_rotary_factor",
    "rope_theta",
    "rope_type",
    "type",
)
# Models whose code calls get_rope with "deepseek_yarn" for every scaled type, and scales softmax.
_DEEPSEEK = frozenset({"deepseek_v2", "deepseek_v3", "deepseek_v32", "glm_moe_dsa", "kimi_k2"})
_SAME = {("su", "longrope"), ("mrope", "default")}
_AGREED = {"su": "longrope", "mrope": "default"}
_PLAIN: Mapping[str, type[Scaling]] = {
    "default": Default,
    "linear": Linear,
    "llama3": Llama3,
    "ntk": VLLMNTK,
}
_SPECIAL = (
    "deepseek_llama_scaling",
    "deepseek_yarn",
    "dynamic",
    "longrope",
    "proportional",
    "yarn",
)
_KNOWN = tuple(sorted((*_PLAIN, *_SPECIAL)))


def from_vllm(
    config: Config,
    *,
    max_model_len: int | None = None,
    is_neox_style: bool | None = None,
    layer_type: str | None = None,
) -> Rope | None:
    """Return the rotary embedding that vLLM builds from a config.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config; a multimodal one is read at its ``text_config``.
    max_model_len : int, optional
        Length that the engine is started with; by default ``max_position_embeddings``. Decides
        between LongRoPE's lists, for all positions.
    is_neox_style : bool, optional
        Whether channels i and i + d/2 form a pair; by default as the model's code has it.
    layer_type : str, optional
        Which layers are meant, where the config has bases or rope parameters by layer type:
        ``"full_attention"`` or ``"sliding_attention"`` for instance.

    Returns
    -------
    Rope or None
        Never None; the type is that of the other dialects.

    Raises
    ------
    TypeError, ValueError
        If a key is missing, a value has another type or range, or two keys contradict each other.

    Warns
    -----
    UserWarning
        For keys that vLLM does not read, and for everything that Transformers reads otherwise.

    References
    ----------
    .. [1] vLLM, ``vllm/model_executor/layers/rotary_embedding``, ``patch_rope_parameters``.

    Examples
    --------
    >>> from_vllm(
    ...     {"head_dim": 128, "max_position_embeddings": 4096,
    ...      "rope_scaling": {"rope_type": "ntk", "factor": 4.0}}
    ... ).scaling
    VLLMNTK(factor=4.0, mixed_b=None)
    """
    reading = read_vllm(
        config,
        max_model_len=max_model_len,
        is_neox_style=is_neox_style,
        layer_type=layer_type,
    )
    warn_of(reading.findings)
    return reading.rope


def read_vllm(
    config: Config,
    *,
    max_model_len: int | None = None,
    is_neox_style: bool | None = None,
    layer_type: str | None = None,
) -> Reading:
    """Return what `from_vllm` does, with its findings instead of warnings.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        As there.
    max_model_len, is_neox_style, layer_type : int, bool, str, optional
        As there.

    Returns
    -------
    Reading
        The rope and the findings.

    Examples
    --------
    >>> config = {"head_dim": 128, "max_position_embeddings": 4096,
    ...           "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    >>> [finding.key for finding in read_vllm(config).findings]
    ['max_trained_positions']
    """
    findings = Findings()
    values = read_config(config)
    if isinstance(values.get("text_config"), Mapping):
        values = values["text_config"]
    model_type = optional_text(values.get("model_type"), "model_type")
    found = parameters_of(values, optional_text(layer_type, "layer_type"), findings)
    kind = _kind(found, str(model_type))
    latent = values.get("qk_rope_head_dim")  # a projection of its own, that get_rope is called for
    width = head_dim_of(values, None) if latent is None else channels(latent, "qk_rope_head_dim")
    turned = share_of(width, found.get("partial_rotary_factor", 1.0), "partial_rotary_factor")
    if kind == "proportional":
        turned = width  # all of them are there; the rule lets the last pairs stand still
    neox = model_type not in INTERLEAVED
    if is_neox_style is not None:
        neox = check_flag(is_neox_style, "is_neox_style")
    sections = found.get("mrope_section")
    limit = values.get("max_position_embeddings")
    if limit is not None:
        limit = positive_int(limit, "max_position_embeddings")
    axes = None
    if sections is not None:
        woven = check_flag(found.get("mrope_interleaved", False), "mrope_interleaved")
        order = "interleaved" if woven else "chunked"
        axes = section_axes(sections, turned // 2, "mrope_section", order=order)
    rope = Rope(
        width,
        base=found.get("rope_theta", 10_000.0),
        rotary_dim=turned,
        scaling=_rule(kind, found, (limit, max_model_len), findings),
        layout="half" if neox else "interleaved",
        max_position_embeddings=limit,
        axes=axes,
    )
    if kind == "longrope" and not neox:
        msg = (
            "is_neox_style: expected True under longrope, which vLLM has for pairs of halves alone"
        )
        raise ValueError(msg)
    return Reading(rope, tuple(findings))


def _kind(found: Mapping[str, Any], model_type: str) -> str:
    """Return the type under vLLM's name, or raise where two names contradict each other."""
    new, old = (optional_text(found.get(key), key) for key in ("rope_type", "type"))
    if new is not None and old is not None and new != old and (old, new) not in _SAME:
        msg = f"rope_type: {new!r} contradicts type {old!r}; vLLM refuses both; keep one"
        raise ValueError(msg)
    kind = new or old or "default"
    if kind == "mrope" and "mrope_section" not in found:
        msg = f"mrope_section: 'mrope' needs it; got {dict(found)}"
        raise ValueError(msg)
    kind = _AGREED.get(kind, kind)
    if model_type in _DEEPSEEK and kind != "default":
        scales = check_flag(found.get("apply_yarn_scaling", True), "apply_yarn_scaling")
        kind = "deepseek_yarn" if scales else "deepseek_llama_scaling"
    if kind not in _KNOWN:
        msg = f"rope_type: expected one of {', '.join(_KNOWN)}; got {kind!r}"
        raise ValueError(msg)
    return kind


def _rule(
    kind: str,
    found: dict[str, Any],
    lengths: tuple[int | None, int | None],
    findings: Findings,
) -> Scaling:
    place = "rope_scaling"
    if kind in _PLAIN:
        known = _OWN if kind == "llama3" else (*_OWN, _LENGTH)
        return rule_from(_PLAIN[kind], found, place, findings, known)
    if kind == "dynamic":
        return _dynamic(found, place, findings)
    if kind == "proportional":
        if found.get("factor", 1.0) != 1.0:
            findings.add(
                "factor", "factor: not read under proportional; Transformers divides by it"
            )
        note_unread(found, (*_OWN, _LENGTH, "factor"), f"{kind} in {place}", findings)
        share = found.get("partial_rotary_factor", 1.0)
        return Proportional(finite_real(share, "partial_rotary_factor", above=0.0))
    if kind == "longrope":
        return _longrope(found, place, lengths, findings)
    if kind == "yarn":
        if found.get("mrope_section") is not None and _LENGTH in found:
            longer = 4 * positive_int(found[_LENGTH], _LENGTH)
            findings.add(
                _LENGTH,
                f"{_LENGTH}: {found[_LENGTH]} counts four times, {longer}, where mrope_section "
                f"is given; Transformers takes it as it is",
            )
            found = {**found, _LENGTH: longer}
        return rule_from(YaRN, found, place, findings, _OWN)
    amplitude = yarn_amplitude(
        found.get("factor"), found.get("mscale", 1.0), found.get("mscale_all_dim", 0.0)
    )
    kept = {key: value for key, value in found.items() if key not in ("mscale", "attention_factor")}
    rule = DeepSeekYaRN if kind == "deepseek_yarn" else YaRN
    known = (*_OWN, "apply_yarn_scaling")
    if kind != "deepseek_yarn":
        kept.pop("mscale_all_dim", None)
    for key in ("attention_factor", "truncate"):
        if found.get(key) is not None:
            findings.add(key, f"{key}: not read under {kind}")
            kept.pop(key, None)
    return rule_from(rule, {**kept, **amplitude}, place, findings, known)


def _dynamic(found: dict[str, Any], place: str, findings: Findings) -> Scaling:
    if "alpha" in found:
        kept = {key: value for key, value in found.items() if key != "factor"}
        return rule_from(NTKAware, kept, place, findings, (*_OWN, _LENGTH))
    if "factor" not in found:
        msg = f"{place}: dynamic needs alpha or factor; got {found}"
        raise ValueError(msg)
    if found.get("max_trained_positions") is None:
        findings.add(
            "max_trained_positions",
            "max_trained_positions: missing, so dynamic does not scale at all in vLLM, at any "
            "length; Transformers stretches the base as the text grows",
        )
    return rule_from(VLLMDynamicNTK, found, place, findings, (*_OWN, _LENGTH))


def _longrope(
    found: dict[str, Any],
    place: str,
    lengths: tuple[int | None, int | None],
    findings: Findings,
) -> Scaling:
    """LongRoPE with one list for all positions, since the engine's length decides."""
    limit, engine = lengths
    engine = limit if engine is None else positive_int(engine, "max_model_len")
    if limit is None or engine is None:
        msg = "max_position_embeddings: longrope needs it, for its amplitude"
        raise ValueError(msg)
    for key in ("short_factor", "long_factor", _LENGTH):
        if key not in found:
            msg = f"{place}: longrope needs {key}; got {sorted(found)}"
            raise ValueError(msg)
    which = "long" if engine > positive_int(found[_LENGTH], _LENGTH) else "short"
    other = "short" if which == "long" else "long"
    findings.add(
        f"{other}_factor",
        f"{other}_factor: not read, since the engine's {engine} tokens decide for "
        f"{which}_factor at every position; Transformers looks at the text's length",
    )
    lists, mscales = ("short_factor", "long_factor"), ("short_mscale", "long_mscale")
    note_unread(found, (*_OWN, _LENGTH, *lists, *mscales), f"longrope in {place}", findings)
    mscale = found.get(f"{which}_mscale")
    chosen = {
        "short_factor": found[f"{which}_factor"],
        "long_factor": found[f"{which}_factor"],
        _LENGTH: found[_LENGTH],
        "attention_factor": mscale,
    }
    return rule_from(LongRoPE, chosen, place)
