"""Reading Transformers' configs: ``rope_scaling`` (4.x) and ``rope_parameters`` (5.x).

What is read is reported; what is not understood is never dropped silently: an unknown key gives a
warning that names it, a missing one an error that says which rule needs it.
"""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

from ..checks import finite_real, positive_int
from ..rope import Rope
from ..scaling import RULES, Scaling
from .transformers_models import (
    DEFAULT_THETA,
    IGNORES_PARTIAL,
    INTERLEAVED,
    LEGACY_NAMES,
    WITHOUT_ROPE,
)

__all__ = ["from_transformers"]

# Keys of the dictionary that are read here rather than by a rule.
_OWN_KEYS = frozenset({"rope_type", "type", "rope_theta", "partial_rotary_factor"})


def from_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object, layer_type: str | None = None
) -> Rope | None:
    """Return the rotary embedding that Transformers builds from a config.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config. A multimodal one is read at its ``text_config``.
    layer_type : str, optional
        Which entry of per-layer parameters to read, ``"full_attention"`` for instance.

    Returns
    -------
    Rope or None
        None if the config says that the model, or this layer, has no rotary embedding.

    Raises
    ------
    TypeError
        If the config is no mapping, path or object, or a value has another type.
    ValueError
        If a key is missing, a value is out of range, or the rope_type is unknown.

    Warns
    -----
    UserWarning
        For keys that no rule reads, and for values that Transformers itself disregards.

    Examples
    --------
    >>> config = {
    ...     "hidden_size": 4096,
    ...     "num_attention_heads": 32,
    ...     "max_position_embeddings": 131072,
    ...     "rope_theta": 500000.0,
    ...     "rope_scaling": {
    ...         "rope_type": "llama3",
    ...         "factor": 8.0,
    ...         "low_freq_factor": 1.0,
    ...         "high_freq_factor": 4.0,
    ...         "original_max_position_embeddings": 8192,
    ...     },
    ... }
    >>> from_transformers(config).scaling  # doctest: +NORMALIZE_WHITESPACE
    Llama3(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
           original_max_position_embeddings=8192)
    """
    values = _text_config(_as_mapping(config))
    model_type = values.get("model_type")
    if values.get("position_embedding_type", "rope") not in ("rope", "rotary", None):
        return None
    if model_type in WITHOUT_ROPE:
        return None
    parameters = _parameters(values, layer_type)
    if parameters is None:
        return None
    head_dim = _head_dim(values)
    return Rope(
        head_dim,
        base=_base(values, parameters),
        rotary_dim=_rotary_dim(values, parameters, head_dim),
        scaling=_rule(values, parameters),
        layout="interleaved" if model_type in INTERLEAVED else "half",
        max_position_embeddings=values.get("max_position_embeddings"),
    )


def _as_mapping(config: object) -> Mapping[str, Any]:
    if isinstance(config, (str, os.PathLike)):
        path = Path(config)
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            msg = f"config: expected the path of a config.json; got {str(path)!r}: {error.strerror}"
            raise ValueError(msg) from error
        except ValueError as error:
            msg = f"config: {str(path)!r} is not JSON: {error}"
            raise ValueError(msg) from error
    if hasattr(config, "to_dict"):
        config = config.to_dict()
    elif not isinstance(config, Mapping) and hasattr(config, "__dict__"):
        config = vars(config)
    if not isinstance(config, Mapping):
        msg = f"config: expected a mapping, a path or a config object; got {type(config).__name__}"
        raise TypeError(msg)
    return config


def _text_config(values: Mapping[str, Any]) -> Mapping[str, Any]:
    text = values.get("text_config")
    if isinstance(text, Mapping) and "num_attention_heads" not in values:
        values = text
    renamed = {new: values[old] for old, new in LEGACY_NAMES.items() if values.get(old) is not None}
    return {**values, **{new: old for new, old in renamed.items() if values.get(new) is None}}


def _parameters(values: Mapping[str, Any], layer_type: str | None) -> Mapping[str, Any] | None:
    """Return the dictionary of rope parameters, of one layer type if they are nested."""
    old, new = values.get("rope_scaling"), values.get("rope_parameters")
    if old and new and old != new:
        _warn("rope_scaling replaces rope_parameters, as in Transformers; both were given")
    given = old or new or {}
    if not isinstance(given, Mapping):
        name = "rope_scaling" if old else "rope_parameters"
        msg = f"{name}: expected a dictionary; got {given!r}"
        raise TypeError(msg)
    labels = [key for key, value in given.items() if isinstance(value, Mapping) or value is None]
    nested = bool(labels) and set(labels) == set(given)
    if not nested:
        known = values.get("layer_types")
        if layer_type is not None and known and layer_type not in known:
            msg = f"layer_type: expected one of {sorted(set(known))}; got {layer_type!r}"
            raise ValueError(msg)
        return given
    if layer_type not in given:
        msg = (
            f"layer_type: this config has rope parameters for each of {sorted(given)}; "
            f"got {layer_type!r}; name one of them"
        )
        raise ValueError(msg)
    chosen: Mapping[str, Any] | None = given[layer_type]
    return chosen


def _head_dim(values: Mapping[str, Any]) -> int:
    if values.get("head_dim"):
        return positive_int(values["head_dim"], "head_dim")
    for name in ("hidden_size", "num_attention_heads"):
        if values.get(name) is None:
            msg = f"{name}: a config without head_dim needs it, to know the width of a head"
            raise ValueError(msg)
    hidden = positive_int(values["hidden_size"], "hidden_size")
    return hidden // positive_int(values["num_attention_heads"], "num_attention_heads")


def _base(values: Mapping[str, Any], parameters: Mapping[str, Any]) -> float:
    for source in (parameters, values):
        if source.get("rope_theta") is not None:
            return finite_real(source["rope_theta"], "rope_theta", above=0.0)
    return DEFAULT_THETA


def _rotary_dim(values: Mapping[str, Any], parameters: Mapping[str, Any], head_dim: int) -> int:
    if values.get("rotary_dim") is not None:
        return positive_int(values["rotary_dim"], "rotary_dim", even=True)
    name = "partial_rotary_factor"
    share = parameters.get(name, values.get(name))
    if share is None:
        return head_dim
    share = finite_real(share, name, above=0.0)
    model_type = values.get("model_type")
    if share != 1.0 and model_type in IGNORES_PARTIAL and _rope_type(parameters) == "default":
        _warn(
            f"{name} = {share} has no effect: Transformers' {model_type} rotates the whole head "
            f"under rope_type 'default'"
        )
        return head_dim
    return int(head_dim * share)


def _rope_type(parameters: Mapping[str, Any]) -> str:
    new, old = parameters.get("rope_type"), parameters.get("type")
    if new is not None and old is not None and new != old:
        _warn(f"rope_type {new!r} is used, as in Transformers; type {old!r} disagrees with it")
    return str(new or old or "default")


def _rule(values: Mapping[str, Any], parameters: Mapping[str, Any]) -> Scaling:
    name = _rope_type(parameters)
    if name == "dynamic" and "alpha" in parameters:
        name = "ntk_alpha"  # HunYuan's spelling; with alpha its factor is not read
        parameters = {key: value for key, value in parameters.items() if key != "factor"}
    if name not in RULES:
        msg = f"rope_type: expected one of {', '.join(map(repr, RULES))}; got {name!r}"
        raise ValueError(msg)
    rule = RULES[name]
    wanted = {field.name: field.default is MISSING for field in fields(rule)}  # type: ignore[arg-type]
    given = {key: value for key, value in parameters.items() if key in wanted}
    if "original_max_position_embeddings" in wanted:
        given |= _original_length(values, parameters)
    missing = sorted(key for key, required in wanted.items() if required and key not in given)
    if missing:
        needs = ", ".join(missing)
        msg = f"rope_parameters: rope_type {name!r} needs {needs}; got {dict(parameters)}"
        raise ValueError(msg)
    unknown = sorted(set(parameters) - set(wanted) - _OWN_KEYS)
    if unknown:
        _warn(f"rope_parameters: rope_type {name!r} does not read {', '.join(unknown)}")
    if isinstance(given.get("factor"), (int, float)) and given["factor"] < 1:
        _warn(f"factor: expected at least 1; got {given['factor']}, which shortens the context")
    return rule(**given)


def _original_length(values: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Find the pre-training length where Transformers finds it: at the top, then in the dict."""
    name = "original_max_position_embeddings"
    if values.get(name) is not None:
        return {name: values[name]}
    if parameters.get(name) is not None:
        return {name: parameters[name]}
    fallback = values.get("max_position_embeddings")
    if fallback is None:
        return {}
    _warn(f"{name} is missing; max_position_embeddings = {fallback} is used, as in Transformers")
    return {name: fallback}


def _warn(message: str) -> None:
    warnings.warn(message, UserWarning, stacklevel=2)
