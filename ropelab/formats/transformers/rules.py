"""From a dictionary of rope parameters to a frequency rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from difflib import get_close_matches
from typing import Any

from ...scaling import SCALINGS, Scaling
from ..findings import Findings
from ..sources import first_given, optional_text
from ..transformers_models import NTK_ALPHA, PHI3, ROPE_MODELS, SCALES_SOFTMAX, mrope_of
from .config import Config
from .parameters import OWN_KEYS, RopeParameters

__all__ = ["original_length", "rule_of"]

# Names in configs, and the rule of each; a few more have a meaning in some models alone.
_RULES: Mapping[str, str] = {
    "default": "default",
    "dynamic": "dynamic",
    "linear": "linear",
    "llama3": "llama3",
    "longrope": "longrope",
    "mrope": "default",  # its sections are read apart
    "ntk_alpha": "ntk_alpha",
    "proportional": "proportional",
    "su": "longrope",
    "xdrope": "dynamic",
    "yarn": "yarn",
}

# Parameters of our rules that are not Transformers' keys, or of one model's configs alone.
_OURS = frozenset({"mscale_policy"})
_PHIMOE = frozenset({"short_mscale", "long_mscale"})

# Keys that are read elsewhere: position axes, and the scale of queries.
_ELSEWHERE = frozenset(
    {"mrope_section", "mrope_interleaved", "interleaved", "llama_4_scaling_beta"}
)


def rule_of(config: Config, parameters: RopeParameters, findings: Findings) -> Scaling:
    """Return the rule that a dictionary of rope parameters describes.

    Parameters
    ----------
    config : Config
        Holds the lengths beside the dictionary, and says which model it is.
    parameters : RopeParameters
        The dictionary.
    findings : Findings
        Is added to.

    Returns
    -------
    Scaling
        With the parameters given.

    Raises
    ------
    TypeError, ValueError
        If the rule is unknown, or a parameter missing or of another type or range.
    """
    model, found = config.model_type, dict(parameters.values)
    name = _name(parameters, model, findings)
    if name not in SCALINGS:
        msg = f"rope_type: {name!r} is a rule of Transformers that ropelab does not have yet"
        raise ValueError(msg)
    if name == "ntk_alpha":
        found.pop("factor", None)  # beside alpha it is not read
    wanted = _wanted(SCALINGS[name], model)
    if name == "yarn" and parameters.per_layer and found.get("truncate", True) is not True:
        findings.add(
            "truncate",
            f"{parameters.name}: truncate = {found.pop('truncate')!r} has no effect: Transformers "
            f"looks for it beside the layers, not in the parameters of one",
            "truncate-unread",
        )
    if name == "yarn" and model in SCALES_SOFTMAX:
        name = "deepseek_yarn"
    reads_axes = model not in ROPE_MODELS or mrope_of(model) is not None
    read_elsewhere = OWN_KEYS | (_ELSEWHERE if reads_axes else frozenset())
    if "llama_4_scaling_beta" in found and model in ("ministral3", "mistral4"):
        read_elsewhere |= {"llama_4_scaling_beta", "max_position_embeddings"}
    axes = {"mrope_section", "mrope_interleaved", "xdrope_section"} & set(found) - read_elsewhere
    if axes - {"mrope_interleaved"}:
        findings.add(
            "mrope_section",
            f"{parameters.name}: {', '.join(sorted(axes))} not read; the rope is right for "
            f"positions of text, which are the same on every axis, not for those of images or "
            f"video",
            "mrope-unread",
        )
        found = {key: value for key, value in found.items() if key not in axes}
    typed = any(parameters.values.get(key) is not None for key in ("rope_type", "type"))
    reader = f"rope_type {name!r}" if typed else f"rope_type is missing and read as {name!r}, which"
    for key in sorted(set(found) - set(wanted) - read_elsewhere):
        findings.add(key, f"{parameters.name}: {reader} does not read {key}", "ignored-key")
    if "original_max_position_embeddings" in wanted:
        found |= original_length(config.values, parameters, findings)
    given = {key: value for key, value in found.items() if key in wanted}
    missing = sorted(key for key, required in wanted.items() if required and key not in given)
    if missing:
        needs = ", ".join(missing)
        msg = f"{parameters.name}: rope_type {name!r} needs {needs}; got {dict(parameters.values)}"
        raise ValueError(msg)
    return SCALINGS[name](**given)


def _wanted(rule: type[Scaling], model: str | None) -> dict[str, bool]:
    """Return the keys that a rule reads in a model's config, and whether it needs each."""
    unread = _OURS | (_PHIMOE if model in ROPE_MODELS - {"phimoe"} else frozenset())
    wanted = {
        field.name: field.default is MISSING or (model == "phimoe" and field.name in _PHIMOE)
        for field in fields(rule)  # type: ignore[arg-type]
    }
    return {key: required for key, required in wanted.items() if key not in unread}


def _name(parameters: RopeParameters, model: str | None, findings: Findings) -> str:
    new, old = (optional_text(parameters.values.get(key), key) for key in ("rope_type", "type"))
    meant = [_RULES.get(each, each) for each in (new, old) if each is not None]
    if len(set(meant)) == 2 and not (model in PHI3 and meant == ["longrope", "yarn"]):
        findings.add(
            "type",
            f"rope_type {new!r} is used, as in Transformers; type {old!r} disagrees",
            "two-types",
        )
    name = str(new or old or "default")
    if name == "axial":
        msg = (
            "rope_type: 'axial' turns the patches of an image, and a config of text was expected; "
            "give ropelab.scaling.Axial in the order that the model has, which no key says"
        )
        raise ValueError(msg)
    known = model in ROPE_MODELS
    meant_here = {
        "mrope": mrope_of(model) is not None,
        "su": model in PHI3,
        "xdrope": model in NTK_ALPHA,
    }
    if name not in _RULES or (known and not meant_here.get(name, True)):
        raise ValueError(_unknown(name, model if name in _RULES else None))
    if model in PHI3:
        name = "longrope" if name == "yarn" else name
        if _RULES[name] not in ("default", "longrope"):
            msg = (
                f"rope_type: expected 'longrope' or 'default' in a config of {model}; got {name!r}"
            )
            raise ValueError(msg)
    alpha = parameters.values.get("alpha")
    if _RULES[name] == "dynamic" and alpha and (model in NTK_ALPHA or not known):
        if known and "factor" not in parameters.values:
            msg = f"{parameters.name}: rope_type 'dynamic' needs factor, though {model} reads alpha"
            raise ValueError(msg)
        return "ntk_alpha"
    return _RULES[name]


def _unknown(name: str, model: str | None) -> str:
    if model is not None:
        return f"rope_type: {name!r} has no meaning in a config of {model}; expected another"
    close = get_close_matches(name, _RULES, n=1)
    mend = f"; did you mean {close[0]!r}?" if close else ""
    return f"rope_type: expected one of {', '.join(map(repr, _RULES))}; got {name!r}{mend}"


def original_length(
    values: Mapping[str, Any], parameters: RopeParameters, findings: Findings
) -> dict[str, int]:
    """Find the pre-training length where Transformers finds it; each layer type has its own.

    Parameters
    ----------
    values : mapping
        The config.
    parameters : RopeParameters
        The dictionary.
    findings : Findings
        Is added to.

    Returns
    -------
    dict
        The length under its key; empty if there is none.
    """
    name = "original_max_position_embeddings"
    limit, inner = values.get("max_position_embeddings"), parameters.values.get(name)
    if inner == limit and values.get(name) is not None:
        inner = None  # Transformers fills it in where the dictionary has none
    places = [(" at the top level", values.get(name)), (f" in {parameters.name}", inner)]
    if parameters.per_layer:
        places.reverse()
    length = first_given(name, places, findings)
    if length is None and limit is not None:
        length = limit
        findings.add(
            name,
            f"{name} is missing; max_position_embeddings = {limit} is used, as in Transformers",
            "original-length-missing",
        )
    return {} if length is None else {name: length}
