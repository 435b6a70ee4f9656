"""Reading Transformers' configs: ``rope_scaling`` (4.x) and ``rope_parameters`` (5.x).

What is read is reported; what is not understood is never dropped silently: an unknown key gives a
warning that names it, a missing one an error that says which rule needs it.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any

from ..checks import finite_real, positive_int
from ..rope import Rope
from ..scaling import SCALINGS, Scaling
from .default_thetas import OWN_PARAMETERS, default_theta
from .heads import head_dim_of, layout_of
from .layer_bases import check_unread_bases, layer_parameters
from .rope_parameters import OWN_KEYS, RopeParameters, find_parameters
from .sources import SIGNS, first_given, optional_text, read_config, renamed, text_part
from .transformers_models import (
    DEFAULT_THETA,
    HONOURS_PARTIAL,
    READS_ROTARY_DIM,
    ROPE_MODELS,
    WITHOUT_ROPE,
)

__all__ = ["from_transformers"]

# Rules that the code of each model computes for itself; all others come from shared code.
_IN_MODEL_CODE = frozenset({"default", "ntk_alpha"})

# Rules of Transformers, and their older names, beside those of `SCALINGS`.
_NOT_YET = frozenset({"axial", "longrope", "mrope", "proportional", "su", "yarn"})

# Keys that share the pairs of channels out among several axes of positions.
_AXES = frozenset({"mrope_section", "mrope_interleaved"})


def from_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object, layer_type: str | None = None
) -> Rope | None:
    """Return the rotary embedding that Transformers builds from a config.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config. A multimodal one is read at its ``text_config``. One without
        ``rope_theta`` has the base that Transformers gives its ``model_type``.
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
    notes: list[str] = []
    rope = _rope(read_config(config), optional_text(layer_type, "layer_type"), notes)
    for note in notes:
        warnings.warn(note, UserWarning, stacklevel=2)
    return rope


def _rope(config: Mapping[str, Any], layer_type: str | None, notes: list[str]) -> Rope | None:
    """Read a config; what is to be warned of goes into `notes`."""
    values = renamed(text_part(config, notes), notes)
    given = values.get("model_type")
    bare = isinstance(given, str) and not given  # of a config object of no class of its own
    model_type = None if bare else optional_text(given, "model_type")
    kind = optional_text(values.get("position_embedding_type"), "position_embedding_type")
    if kind not in ("rope", "rotary", None) or model_type in WITHOUT_ROPE:
        return None
    values = layer_parameters(values, model_type, notes)
    parameters = find_parameters(values, layer_type, notes)
    if parameters is None:
        return None
    check_unread_bases(values, per_layer=parameters.per_layer)
    if model_type in OWN_PARAMETERS and not parameters.values:
        notes.append(
            f"rope_parameters: Transformers' {model_type} fills in a rule of its own where a "
            f"config gives none; it is not read; give it, as config.to_dict() does"
        )
    guessed = len(notes)
    if kind is None and model_type not in ROPE_MODELS and not SIGNS & set(values):
        notes.append(
            f"this config has no RoPE key, and its model_type {model_type!r} is not known to have "
            f"rotary embeddings; base {DEFAULT_THETA:g} and the whole head are assumed"
        )
    base = _base(values, parameters, model_type, notes if guessed == len(notes) else [])
    head_dim = head_dim_of(values, model_type)
    scaling = _rule(values, parameters, notes)
    return Rope(
        head_dim,
        base=base,
        rotary_dim=_rotary_dim(values, parameters, head_dim, scaling, model_type, notes),
        scaling=scaling,
        layout=layout_of(values, model_type, notes),
        max_position_embeddings=values.get("max_position_embeddings"),
    )


def _inner_first(
    key: str, values: Mapping[str, Any], parameters: RopeParameters, notes: list[str]
) -> Any:
    inner = (f" in {parameters.name}", parameters.values.get(key))
    return first_given(key, [inner, (" at the top level", values.get(key))], notes)


def _base(
    values: Mapping[str, Any],
    parameters: RopeParameters,
    model_type: str | None,
    notes: list[str],
) -> float:
    theta = _inner_first("rope_theta", values, parameters, notes)
    if theta is None:
        return default_theta(model_type, notes)
    return finite_real(theta, "rope_theta", above=0.0)


def _rotary_dim(
    values: Mapping[str, Any],
    parameters: RopeParameters,
    head_dim: int,
    scaling: Scaling,
    model_type: str | None,
    notes: list[str],
) -> int | None:
    """Return how many channels turn, or None for all."""
    name, rule = "partial_rotary_factor", scaling.rope_type
    share = _inner_first(name, values, parameters, notes)
    width = values.get("rotary_dim")
    if width is not None:
        width = positive_int(width, "rotary_dim", even=True)
        if model_type in ROPE_MODELS - READS_ROTARY_DIM:
            notes.append(f"rotary_dim = {width} has no effect: {model_type} does not read it")
            width = None
    if share is None:
        return width
    share = finite_real(share, name, above=0.0)
    if rule in _IN_MODEL_CODE and share != 1.0 and model_type not in HONOURS_PARTIAL:
        if model_type in ROPE_MODELS:
            notes.append(
                f"{name} = {share} has no effect: Transformers' {model_type} does not read it "
                f"under rope_type {rule!r}"
            )
            return width
        if model_type is not None:
            notes.append(
                f"{name} = {share} is honoured, though not all models do so under rope_type "
                f"{rule!r}, and the model_type {model_type!r} is not known"
            )
    turned = _share(head_dim, share) if share <= 1.0 else 0
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
        notes.append(f"{used} is used; {other} disagrees with it")
    return width or (turned if share != 1.0 else None)


def _share(head_dim: int, share: float) -> int:
    """Truncate as Transformers does."""
    return int(head_dim * share)


def _rope_type(parameters: RopeParameters, notes: list[str]) -> str:
    new, old = (optional_text(parameters.values.get(key), key) for key in ("rope_type", "type"))
    if new is not None and old is not None and new != old:
        notes.append(f"rope_type {new!r} is used, as in Transformers; type {old!r} disagrees")
    return str(new or old or "default")


def _rule(values: Mapping[str, Any], parameters: RopeParameters, notes: list[str]) -> Scaling:
    name, found = _rope_type(parameters, notes), dict(parameters.values)
    if name == "dynamic" and "alpha" in found:
        name = "ntk_alpha"  # HunYuan's spelling; with alpha its factor is not read
        found.pop("factor", None)
    if name not in SCALINGS:
        msg = f"rope_type: expected one of {', '.join(map(repr, SCALINGS))}; got {name!r}"
        if name in _NOT_YET:
            msg += ", a rule of Transformers that ropelab does not have yet; give such a model's "
            msg += "frequencies to ropelab.apply_rotary as a ropelab.Spectrum"
        raise ValueError(msg)
    rule = SCALINGS[name]
    wanted = {field.name: field.default is MISSING for field in fields(rule)}  # type: ignore[arg-type]
    axes = sorted(_AXES & set(found) - set(wanted))
    if "mrope_section" in axes:
        notes.append(
            f"{parameters.name}: {', '.join(axes)} not read; the rope is right for positions of "
            f"text, which are the same on every axis, not for those of images or video"
        )
        found = {key: value for key, value in found.items() if key not in axes}
    unknown = sorted(set(found) - set(wanted) - OWN_KEYS)
    if unknown:
        notes.append(f"{parameters.name}: rope_type {name!r} does not read {', '.join(unknown)}")
    if "original_max_position_embeddings" in wanted:
        found |= _original_length(values, parameters, notes)
    given = {key: value for key, value in found.items() if key in wanted}
    missing = sorted(key for key, required in wanted.items() if required and key not in given)
    if missing:
        needs = ", ".join(missing)
        msg = f"{parameters.name}: rope_type {name!r} needs {needs}; got {dict(parameters.values)}"
        raise ValueError(msg)
    scaling = rule(**given)
    factor = given.get("factor")
    if factor is not None and factor < 1:
        notes.append(f"factor: expected at least 1; got {factor}, which shortens contexts")
    return scaling


def _original_length(
    values: Mapping[str, Any], parameters: RopeParameters, notes: list[str]
) -> dict[str, int]:
    """Find the pre-training length where Transformers finds it; each layer type has its own."""
    name = "original_max_position_embeddings"
    limit, inner = values.get("max_position_embeddings"), parameters.values.get(name)
    if inner == limit and values.get(name) is not None:
        inner = None  # Transformers fills it in where the dictionary has none
    places = [(" at the top level", values.get(name)), (f" in {parameters.name}", inner)]
    if parameters.per_layer:
        places.reverse()
    length = first_given(name, places, notes)
    if length is None and limit is not None:
        length = limit
        notes.append(
            f"{name} is missing; max_position_embeddings = {limit} is used, as in Transformers"
        )
    return {} if length is None else {name: length}
