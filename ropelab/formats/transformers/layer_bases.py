"""Old spellings of per-layer bases, at the top level, as parameters for each layer type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ..findings import Findings
from ..sources import first_given
from .default_thetas import LAYER_THETAS

__all__ = ["check_unread_bases", "layer_parameters"]

_SLIDING, _FULL = "sliding_attention", "full_attention"
_NAMES = ("rope_scaling", "rope_parameters")


class _Spelling(NamedTuple):
    """The top-level keys of a family, and the layers that its rope_scaling is for."""

    model: str
    full: str
    sliding: str | None
    scaled: tuple[str, ...]


# As `convert_rope_params_to_dict` of Transformers' Gemma3TextConfig, ModernBertConfig and
# Olmo3Config has them; the classes not named here inherit or repeat one of these.
_GEMMA = _Spelling("gemma3_text", "rope_theta", "rope_local_base_freq", (_FULL,))
_MODERNBERT = _Spelling("modernbert", "global_rope_theta", "local_rope_theta", (_SLIDING, _FULL))
_OLMO = _Spelling("olmo3", "rope_theta", None, (_FULL,))

_SPELLINGS: Mapping[str | None, _Spelling] = {
    "gemma3_text": _GEMMA,
    "gemma3n_text": _GEMMA,
    "t5gemma2_text": _GEMMA,
    "t5gemma2_decoder": _GEMMA,
    "modernbert": _MODERNBERT,
    "modernbert-decoder": _MODERNBERT,
    "olmo3": _OLMO,
}

# Bases of some layers in Transformers' DotsNoteTextConfig, and of all in GraniteSWAConfig.
_UNREAD = ("swa_rope_theta", "compress_rope_theta", "layer_rope_theta")


def layer_parameters(
    values: Mapping[str, Any], model_type: str | None, findings: Findings
) -> Mapping[str, Any]:
    """Return the config with Gemma 3's and ModernBERT's old keys as per-layer parameters.

    Parameters
    ----------
    values : mapping
        The config, under present names.
    model_type : str or None
        Of the config.
    findings : Findings
        Is added to.

    Returns
    -------
    mapping
        The config itself if it has no such keys and its model needs none.

    Raises
    ------
    ValueError
        If such a model's ``rope_parameters`` are meant for all layers.
    """
    if model_type == "deepseek_v4":
        return _deepseek_v4(values)
    spelling = _spelling_of(values, model_type)
    if spelling is None or not all(
        values.get(name) is None or isinstance(values[name], Mapping) for name in _NAMES
    ):
        return values
    scaling, new = (values.get(name) or {} for name in _NAMES)
    if _is_nested(scaling):
        new, scaling = scaling, {}
    if new and not _is_nested(new):
        if model_type not in _SPELLINGS:
            return _refused_beside(values, spelling)
        msg = (
            f"rope_parameters: expected a dictionary for each of {_FULL}, {_SLIDING}, as "
            f"Transformers' {model_type} has them; got parameters for all layers, which it does "
            f"not read; put them under the names of the layers"
        )
        raise ValueError(msg)
    defaults = LAYER_THETAS[spelling.model]  # and of the classes that inherit its
    merged: dict[str, Any] = dict(new)
    for layer, key in ((_SLIDING, spelling.sliding), (_FULL, spelling.full)):
        if layer in new and not isinstance(new[layer], Mapping):
            continue  # None means no rotary embedding; anything else is refused later
        entry = {**new.get(layer, {}), **(scaling if layer in spelling.scaled else {})}
        inner = (f" in rope_parameters[{layer!r}]", entry.get("rope_theta"))
        outer = (f" as {key}", values.get(key) if key else None)
        theta = first_given("rope_theta", [inner, outer], findings)
        merged[layer] = {**entry, "rope_theta": defaults[layer] if theta is None else theta}
    dropped = {"rope_scaling", "rope_theta", spelling.full, spelling.sliding}
    if spelling is _MODERNBERT and values.get("rope_theta") is not None:
        findings.add(
            "rope_theta",
            f"rope_theta is not read beside {spelling.full} and {spelling.sliding}",
            "two-bases",
        )
    kept = {key: value for key, value in values.items() if key not in dropped}
    return {**kept, "rope_parameters": merged}


def check_unread_bases(values: Mapping[str, Any], *, per_layer: bool) -> None:
    """Raise ValueError if a key gives some layers a base of their own that is not read.

    Parameters
    ----------
    values : mapping
        The config.
    per_layer : bool
        Whether parameters for each layer type were found, which Transformers prefers.
    """
    for key in _UNREAD:
        base = values.get(key)
        if base is None or (per_layer and key != "layer_rope_theta"):
            continue
        nested = values.get("rope_parameters")
        inner = nested.get("rope_theta") if isinstance(nested, Mapping) else None
        theta = values.get("rope_theta") if inner is None else inner
        if isinstance(base, (list, tuple)) and all(each == theta for each in base):
            continue  # as Transformers fills it in
        text = repr(base)
        msg = (
            f"{key}: expected none, since bases of single layers are not read from it; got "
            f"{text if len(text) < 60 else text[:56] + ' ...'}; leave it out and give the base of "
            f"the layer that you want as rope_theta"
        )
        raise ValueError(msg)


def _deepseek_v4(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give DeepSeek-V4's rule to its compressing layers alone, as `DeepseekV4Config` does."""
    scaling, new = (values.get(name) or {} for name in _NAMES)
    given = scaling or new
    if not isinstance(given, Mapping) or {"main", "compress"} <= set(given):
        return values
    defaults = LAYER_THETAS["deepseek_v4"]
    rotated, width = values.get("qk_rope_head_dim"), values.get("head_dim")
    shares = {}
    if values.get("partial_rotary_factor") is not None:
        shares = {"partial_rotary_factor": values["partial_rotary_factor"]}
    elif isinstance(rotated, int) and isinstance(width, int) and width:
        shares = {"partial_rotary_factor": rotated / width}
    compress = {k: v for k, v in given.items() if k not in ("main", "compress", "rope_theta")}
    if "yarn" in (compress.get("rope_type"), compress.get("type")):
        compress = {"attention_factor": 1.0, **compress}
    thetas = {
        name: defaults[name] if values.get(key) is None else values[key]
        for name, key in (("main", "rope_theta"), ("compress", "compress_rope_theta"))
    }
    layers = {
        "main": {**shares, "rope_theta": thetas["main"]},
        "compress": {**shares, **compress, "rope_theta": thetas["compress"]},
    }
    dropped = {*_NAMES, "rope_theta", "compress_rope_theta", "partial_rotary_factor"}
    kept = {key: value for key, value in values.items() if key not in dropped}
    return {**kept, "rope_parameters": layers}


def _spelling_of(values: Mapping[str, Any], model_type: str | None) -> _Spelling | None:
    if model_type in _SPELLINGS:
        return _SPELLINGS[model_type]
    if values.get("rope_local_base_freq") is not None:
        return _GEMMA
    if any(values.get(key) is not None for key in ("global_rope_theta", "local_rope_theta")):
        return _MODERNBERT
    return None


def _is_nested(given: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) for value in given.values()) or bool(
        given and {_SLIDING, _FULL}.issuperset(given)
    )


def _refused_beside(values: Mapping[str, Any], spelling: _Spelling) -> Mapping[str, Any]:
    key = next(k for k in (spelling.sliding, spelling.full) if k and values.get(k) is not None)
    msg = (
        f"{key}: expected no base of single layers beside rope_parameters for all of them; got "
        f"{values[key]!r}; give rope_parameters for each layer type"
    )
    raise ValueError(msg)
