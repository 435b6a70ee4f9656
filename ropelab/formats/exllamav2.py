"""Reading configs as ExLlamaV2 does, with the settings that it is loaded with."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ..checks import check_flag, finite_real, positive_int
from ..rope import Rope
from ..scaling import (
    Default,
    ExLlamaLongRoPE,
    ExLlamaYaRN,
    Linear,
    Llama3,
    NTKAware,
    RoundedFrequencies,
    Scaling,
    Stretched,
)
from ..scaling.ntk import ntk_base
from .dialect import note_unread, rule_from, section_axes, share_of
from .findings import Findings, Reading, warn_of
from .heads import head_dim_of
from .sources import note_layer_bases, read_config

__all__ = ["from_exllamav2", "read_exllamav2"]

Config = Mapping[str, Any] | str | os.PathLike[str] | object

_LENGTH = "original_max_position_embeddings"
_LENGTHS = (
    "max_sequence_length",
    "model_max_length",
    "max_position_embeddings",
    "max_seq_len",
    "n_positions",
)
_WITHOUT_ROPE = frozenset({"GPT2LMHeadModel", "GPTBigCodeForCausalLM"})
_INTERLEAVED = frozenset({"Cohere2ForCausalLM", "CohereForCausalLM", "Glm4ForCausalLM"})
_MROPE = frozenset({"Qwen2VLForConditionalGeneration", "Qwen2_5_VLForConditionalGeneration"})
_GEMMA3 = "Gemma3ForConditionalGeneration"
_WINDOWS = 10_000.0  # the base of its sliding windows, whatever the config says
_METHODS = ("llama3", "longrope", "su", "yarn")
_OWN = ("rope_type", "type")
# What the types without a rule of their own read of the dictionary.
_PLAIN: Mapping[str, tuple[str, ...]] = {
    "default": (),
    "linear": ("factor",),
    "mrope": ("mrope_section",),
}


def from_exllamav2(
    config: Config,
    *,
    max_seq_len: int | None = None,
    scale_pos_emb: float | None = None,
    scale_alpha_value: float = 1.0,
    sliding: bool = False,
) -> Rope | None:
    """Return the rotary embedding that ExLlamaV2 builds from a config and its settings.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config.
    max_seq_len : int, optional
        Length that the model is loaded for; by default the config's. Decides on YaRN and LongRoPE.
    scale_pos_emb : float, optional
        Divides positions, on top of whatever rule; by default the factor of a linear rule, or 1.
    scale_alpha_value : float, default 1.0
        The NTK-aware stretch alpha.
    sliding : bool, default False
        Whether the layers of Gemma 3's sliding windows are meant, which have base 10000, unscaled.

    Returns
    -------
    Rope or None
        None for an architecture that has no rotary embedding there.

    Raises
    ------
    TypeError, ValueError
        If a key is missing, or a value has another type or range.

    Warns
    -----
    UserWarning
        For keys that ExLlamaV2 does not read.

    References
    ----------
    .. [1] turboderp, ExLlamaV2 0.3.2, ``config.py``, ``rope.py``, ``device.py``.

    Examples
    --------
    >>> from_exllamav2(
    ...     {"architectures": ["LlamaForCausalLM"], "head_dim": 128, "rope_theta": 1e4},
    ...     scale_alpha_value=2.6,
    ... ).scaling
    NTKAware(alpha=2.6)
    """
    reading = read_exllamav2(
        config,
        max_seq_len=max_seq_len,
        scale_pos_emb=scale_pos_emb,
        scale_alpha_value=scale_alpha_value,
        sliding=sliding,
    )
    warn_of(reading.findings)
    return reading.rope


def read_exllamav2(
    config: Config,
    *,
    max_seq_len: int | None = None,
    scale_pos_emb: float | None = None,
    scale_alpha_value: float = 1.0,
    sliding: bool = False,
) -> Reading:
    """Return what `from_exllamav2` does, with its findings instead of warnings.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        As there.
    max_seq_len, scale_pos_emb, scale_alpha_value, sliding : int, float, float, bool
        As there.

    Returns
    -------
    Reading
        The rope and the findings.

    Examples
    --------
    >>> config = {"architectures": ["LlamaForCausalLM"], "head_dim": 128,
    ...           "rope_scaling": {"type": "dynamic", "factor": 2.0}}
    >>> reading = read_exllamav2(config)
    >>> reading.rope.scaling, [finding.key for finding in reading.findings]
    (Default(), ['rope_scaling'])
    """
    values, findings = read_config(config), Findings()
    text = values.get("text_config")
    places = [values, text] if isinstance(text, Mapping) else [values]
    architecture = _architecture(values, findings)
    if architecture in _WITHOUT_ROPE:
        return Reading(None, tuple(findings))
    _note_unread(places, findings)
    both = {key: value for place in reversed(places) for key, value in place.items()}
    width = head_dim_of(both, None)
    turned = share_of(width, values.get("partial_rotary_factor", 1.0), "partial_rotary_factor")
    scaling = _dictionary(_first(places, "rope_scaling"))
    kind = _kind(scaling, findings)
    base = _first(places, "rope_theta") or (1e6 if architecture == _GEMMA3 else 10_000.0)
    _note_layer_bases(both, architecture, base, findings)
    stretch = _stretch(kind, scaling, scale_pos_emb)
    if check_flag(sliding, "sliding"):
        if architecture != _GEMMA3:
            msg = f"sliding: expected False, but for {_GEMMA3}; got True for {architecture!r}"
            raise ValueError(msg)
        base, stretch = _WINDOWS, 1.0
    alpha = finite_real(scale_alpha_value, "scale_alpha_value", above=0.0)
    if alpha != 1.0 and kind in _METHODS:
        base = ntk_base(finite_real(base, "rope_theta", above=0.0), alpha, width)
    rule = _rule(kind, scaling, values, alpha, findings)
    if architecture in _MROPE:
        rule = RoundedFrequencies("float16", rule)
    if stretch != 1.0:
        rule = Linear(stretch) if rule == Default() else Stretched(rule, stretch)
    loaded = _first(places, *_LENGTHS) or 2048 if max_seq_len is None else max_seq_len
    rope = Rope(
        width,
        base=base,
        rotary_dim=turned,
        scaling=rule,
        layout="interleaved" if architecture in _INTERLEAVED else "half",
        max_position_embeddings=positive_int(loaded, "max_seq_len"),
        axes=_axes(kind, scaling, architecture, turned // 2, findings),
    )
    return Reading(rope, tuple(findings))


def _architecture(values: Mapping[str, Any], findings: Findings) -> str:
    names = values.get("architectures")
    if names is None:
        findings.add("architectures", "architectures: missing; read as LlamaForCausalLM")
        return "LlamaForCausalLM"
    if not isinstance(names, (list, tuple)) or len(names) != 1:
        msg = f"architectures: expected a list of one name; got {names!r}"
        raise ValueError(msg)
    return str(names[0])


def _first(places: list[Mapping[str, Any]], *keys: str) -> Any:
    """Return the first value that is not None, of the config before its text_config."""
    given = (place.get(key) for place in places for key in keys)
    return next((value for value in given if value is not None), None)


def _dictionary(value: object) -> Mapping[str, Any]:
    if value is not None and not isinstance(value, Mapping):
        msg = f"rope_scaling: expected a dictionary or None; got {value!r}"
        raise TypeError(msg)
    return value or {}


def _note_unread(places: list[Mapping[str, Any]], findings: Findings) -> None:
    """Note keys of Transformers 5 and of partial width where ExLlamaV2 does not look."""
    if _first(places, "rope_parameters"):
        findings.add(
            "rope_parameters", "rope_parameters: not read; only rope_theta and rope_scaling are"
        )
    for key in ("partial_rotary_factor", _LENGTH):
        if places[0].get(key) is None and _first(places, key) is not None:
            findings.add(key, f"{key}: not read inside text_config")


def _note_layer_bases(
    both: Mapping[str, Any], architecture: str, base: float, findings: Findings
) -> None:
    if architecture != _GEMMA3:
        note_layer_bases(both, f"ExLlamaV2 turns every layer by base {base!r}", findings)
    elif both.get("rope_local_base_freq") != _WINDOWS:
        note_layer_bases(both, "the layers of sliding windows have base 10000", findings)


def _kind(scaling: Mapping[str, Any], findings: Findings) -> str:
    new, old = scaling.get("rope_type"), scaling.get("type")
    if new and old:
        msg = f"rope_scaling: expected rope_type or type; got both, {new!r} and {old!r}; keep one"
        raise ValueError(msg)
    if scaling and not (new or old):
        findings.add("rope_scaling", "rope_scaling: rope_type is missing and read as 'default'")
    kind = str(old or new or "default")
    if kind in _PLAIN:
        note_unread(scaling, (*_OWN, *_PLAIN[kind]), f"{kind} in rope_scaling", findings)
    if kind in (*_METHODS, *_PLAIN):
        return kind
    findings.add(
        "rope_scaling",
        f"rope_scaling: {kind!r} is not known to ExLlamaV2, which does not scale at all",
    )
    return "default"


def _stretch(kind: str, scaling: Mapping[str, Any], given: float | None) -> float:
    """Return what positions are divided by; a setting replaces the config's factor."""
    if given is None and kind == "linear":
        if scaling.get("factor") is None:
            msg = f"rope_scaling: linear needs factor; got {dict(scaling)}"
            raise ValueError(msg)
        return finite_real(scaling["factor"], "factor", above=0.0)
    return finite_real(1.0 if given is None else given, "scale_pos_emb", above=0.0)


def _rule(
    kind: str,
    scaling: Mapping[str, Any],
    values: Mapping[str, Any],
    alpha: float,
    findings: Findings,
) -> Scaling:
    """Return the rule without the division of positions; its base has alpha in it already."""
    if kind == "llama3":
        return rule_from(Llama3, scaling, "rope_scaling", findings, _OWN)
    if kind == "yarn":
        return rule_from(ExLlamaYaRN, scaling, "rope_scaling", findings, _OWN)
    if kind in ("longrope", "su"):
        if _LENGTH not in values:
            msg = f"{_LENGTH}: {kind} needs it at the top level of the config"
            raise ValueError(msg)
        found = {**scaling, _LENGTH: values[_LENGTH]}
        return rule_from(ExLlamaLongRoPE, found, "rope_scaling", findings, (*_OWN, _LENGTH))
    return Default() if alpha == 1.0 else NTKAware(alpha)


def _axes(
    kind: str,
    scaling: Mapping[str, Any],
    architecture: str,
    pairs: int,
    findings: Findings,
) -> tuple[int, ...] | None:
    if kind != "mrope":
        return None
    if architecture not in _MROPE:
        findings.add("mrope_section", f"mrope_section: has no effect in {architecture}")
        return None
    if "mrope_section" not in scaling:
        msg = f"rope_scaling: mrope needs mrope_section; got {dict(scaling)}"
        raise ValueError(msg)
    return section_axes(scaling["mrope_section"], pairs, "mrope_section")
