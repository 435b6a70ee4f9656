"""Reading configs as NeMo Automodel's Llama and Qwen2 code does."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..checks import check_flag, positive_int
from ..rope import Rope
from ..scaling import Default, Linear, Llama3, LongRoPE, Proportional, Scaling, YaRN
from .dialect import note_unread, rule_from, share_of
from .findings import Findings, Reading, warn_of
from .heads import head_dim_of
from .sources import note_layer_bases, read_config

__all__ = ["from_nemo_automodel", "read_nemo_automodel"]

Config = Mapping[str, Any] | str | os.PathLike[str] | object

_LENGTH = "original_max_position_embeddings"
_PARTIAL = "partial_rotary_factor"
# Keys that a dictionary may hold beside those of its rule.
_OWN = ("rope_type", "type", "rope_theta", _PARTIAL)
_LLAMA3 = {"factor": 1.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
# Rules that Automodel takes from Transformers' table.
_BORROWED: Mapping[str, type[Scaling]] = {
    "linear": Linear,
    "longrope": LongRoPE,
    "proportional": Proportional,
    "yarn": YaRN,
}


def from_nemo_automodel(config: Config, *, rope_fusion: bool = False) -> Rope | None:
    """Return the rotary embedding that NeMo Automodel's Llama code builds from a config.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config.
    rope_fusion : bool, default False
        Whether the fused path of Transformer Engine is taken.

    Returns
    -------
    Rope or None
        Never None; the type is that of the other dialects.

    Raises
    ------
    TypeError, ValueError
        If a key is missing, or a value has another type or range.

    Warns
    -----
    UserWarning
        For everything that Transformers reads otherwise.

    References
    ----------
    .. [1] NVIDIA-NeMo, Automodel, ``nemo_automodel/components/models/llama/rope_utils.py``.

    Examples
    --------
    >>> from_nemo_automodel(
    ...     {"head_dim": 128, "max_position_embeddings": 4096,
    ...      "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    ... ).scaling
    Linear(factor=8.0)
    """
    reading = read_nemo_automodel(config, rope_fusion=rope_fusion)
    warn_of(reading.findings)
    return reading.rope


def read_nemo_automodel(config: Config, *, rope_fusion: bool = False) -> Reading:
    """Return what `from_nemo_automodel` does, with its findings instead of warnings.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        As there.
    rope_fusion : bool, default False
        As there.

    Returns
    -------
    Reading
        The rope and the findings.

    Examples
    --------
    >>> config = {"head_dim": 128, "max_position_embeddings": 4096,
    ...           "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    >>> reading = read_nemo_automodel(config)
    >>> reading.rope.scaling, [finding.key for finding in reading.findings]
    (Default(), ['rope_type'])
    """
    values, findings = read_config(config), Findings()
    fused = check_flag(rope_fusion, "rope_fusion")
    base, parameters, place = _parameters(values, findings)
    note_layer_bases(values, f"Automodel turns every layer by base {base!r}", findings)
    width = head_dim_of(values, None)
    name = str(parameters.get("rope_type", parameters.get("type", "default")))
    turned = _rotary_dim(values, parameters, name, width, findings)
    if turned < width and not fused:
        findings.add(
            _PARTIAL,
            f"partial_rotary_factor: only the path with rope_fusion can turn {turned} of {width} "
            f"channels; the other one fails at the first multiplication",
        )
    rope = Rope(
        width,
        base=base,
        rotary_dim=turned,
        scaling=_rule(name, values, parameters, place, findings),
        max_position_embeddings=values.get("max_position_embeddings"),
    )
    return Reading(_fused(rope, values, findings) if fused else rope, tuple(findings))


def _parameters(
    values: Mapping[str, Any], findings: Findings
) -> tuple[float, Mapping[str, Any], str]:
    """Return base, dictionary and its name; rope_parameters goes first, and is not nested."""
    theta, old = values.get("rope_theta"), values.get("rope_scaling")
    given = values.get("rope_parameters")
    for name, value in (("rope_parameters", given), ("rope_scaling", old)):
        if value is not None and not isinstance(value, Mapping):
            msg = f"{name}: expected a dictionary or None; got {value!r}"
            raise TypeError(msg)
    if not given:
        return 10_000.0 if theta is None else theta, old or {}, "rope_scaling"
    if old and old != given:
        findings.add(
            "rope_scaling", "rope_scaling: not read beside rope_parameters; Transformers prefers it"
        )
    nested = sorted(key for key, value in given.items() if isinstance(value, Mapping))
    if nested:
        findings.add(
            "rope_parameters",
            f"rope_parameters: the entries of {', '.join(nested)} are not read, since Automodel "
            f"knows no rope parameters by layer type; every layer turns by base 10000, unscaled",
        )
        given = {key: value for key, value in given.items() if key not in nested}
    base = given.get("rope_theta", 10_000.0)
    if theta is not None and base != theta:
        findings.add(
            "rope_theta", f"rope_theta: {base} of rope_parameters is used; {theta} is not read"
        )
    return base, given, "rope_parameters"


def _rotary_dim(
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    name: str,
    width: int,
    findings: Findings,
) -> int:
    """Return the turned channels; Automodel's own rules look at the config's attribute alone."""
    outer, inner = values.get(_PARTIAL), parameters.get(_PARTIAL)
    if name == "proportional":
        return width
    if name in _BORROWED or name == "dynamic":
        share = outer if inner is None else inner
    else:
        share = outer
        if inner is not None and inner != outer:
            findings.add(
                _PARTIAL,
                f"{_PARTIAL}: {inner} inside the dictionary is not read, the config's is",
            )
    return width if share is None else share_of(width, share, _PARTIAL)


def _rule(
    name: str,
    values: Mapping[str, Any],
    parameters: Mapping[str, Any],
    place: str,
    findings: Findings,
) -> Scaling:
    found = dict(parameters)
    limit = values.get("max_position_embeddings")
    if name == "default":
        return rule_from(Default, found, place, findings, _OWN)
    if name == "dynamic":
        findings.add(
            "rope_type",
            "rope_type: 'dynamic' is asked for once, without a length, so it never scales; "
            "Transformers stretches the base as the text grows",
        )
        note_unread(found, (*_OWN, _LENGTH, "factor"), f"dynamic in {place}", findings)
        return Default()
    if name == "llama3":
        return _llama3(found, limit, place, findings)
    if name not in _BORROWED:
        known = ", ".join(sorted({*_BORROWED, "default", "dynamic", "llama3"}))
        msg = f"rope_type: expected one of {known}; got {name!r}"
        raise ValueError(msg)
    if name in ("longrope", "yarn"):  # Transformers' config object has filled it in
        length = values.get(_LENGTH, found.get(_LENGTH, limit))
        found |= {} if length is None else {_LENGTH: length}
        found.setdefault("factor", None)
    if name == "longrope":
        findings.add(
            "long_factor",
            "long_factor: not read, since the rule is asked for once, without a length; "
            f"Transformers turns by it past {found.get(_LENGTH)} tokens",
        )
        found["long_factor"] = found.get("short_factor")
    if name == "proportional":
        found.setdefault(_PARTIAL, values.get(_PARTIAL, 1.0))
    return rule_from(_BORROWED[name], found, place, findings, _OWN)


def _llama3(found: dict[str, Any], limit: Any, place: str, findings: Findings) -> Scaling:
    """Llama 3's rule with the defaults that Automodel has and Transformers has not."""
    if limit is None:
        msg = "max_position_embeddings: Automodel's llama3 reads it; the config lacks it"
        raise ValueError(msg)
    defaults = {**_LLAMA3, _LENGTH: positive_int(limit, "max_position_embeddings")}
    for key in sorted(set(defaults) - set(found)):
        findings.add(key, f"{key}: missing; {defaults[key]} is used, where Transformers refuses")
    return rule_from(Llama3, {**defaults, **found}, place, findings, _OWN)


def _fused(rope: Rope, values: Mapping[str, Any], findings: Findings) -> Rope:
    """Return what the fused path turns by: raw angles, no amplitude."""
    findings.add(
        "rope_fusion",
        "rope_fusion: position_ids of (batch, sequence) tensors are not read; token i turns by "
        "position i",
    )
    dtype = str(values.get("torch_dtype", values.get("dtype")) or "float32")
    if "16" in dtype:
        findings.add(
            "torch_dtype",
            f"torch_dtype: angles are kept in {dtype}, which moves them by up to 2**-8 of their "
            f"size (2**-11 in float16); the rope has the angles meant",
        )
    rule = rope.scaling
    if isinstance(rule, (LongRoPE, YaRN)) and rope.spectrum().attention_factor != 1.0:
        factor = rope.spectrum().attention_factor
        findings.add(
            "attention_factor",
            f"attention_factor: {factor:.6g} is not applied, so scores lack its square",
        )
        rope = replace(rope, scaling=replace(rule, attention_factor=1.0))
    return rope
