"""The rope parameters that vLLM's models hand to ``get_rope``, for one type of layer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .findings import Findings

__all__ = ["LENGTH", "layer_types", "parameters_of"]

LENGTH = "original_max_position_embeddings"

# Names under which vLLM looks at the top level, in this order.
_THETA = ("rope_theta", "rotary_emb_base")
_PARTIAL = ("partial_rotary_factor", "rotary_pct", "rotary_emb_fraction")
# Bases of single types of layers go before them: those of Gemma 3 (vLLM's models/gemma3.py) and
# ModernBERT (models/modernbert.py), whose windows have the other layers' base if none of their own.
_FULL, _SLIDING = "full_attention", "sliding_attention"
_WINDOWED = ("rope_local_base_freq", "local_rope_theta")
_OTHERS = ("global_rope_theta", *_THETA)


def layer_types(values: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the types of layers that a config tells apart; empty where all are alike.

    Parameters
    ----------
    values : mapping
        The config of the text model.

    Returns
    -------
    tuple of str
        What `parameters_of` takes as `layer_type`.
    """
    found = _dictionary(values, Findings())
    nested = tuple(str(key) for key, value in found.items() if isinstance(value, Mapping))
    windowed = any(values.get(key) is not None for key in _WINDOWED)
    return nested or ((_FULL, _SLIDING) if windowed else ())


def parameters_of(
    values: Mapping[str, Any], layer_type: str | None, findings: Findings
) -> dict[str, Any]:
    """Return one dictionary of everything that get_rope is given.

    Parameters
    ----------
    values : mapping
        The config of the text model.
    layer_type : str or None
        Which layers are meant, where they differ.
    findings : Findings
        Is added to.

    Returns
    -------
    dict
        The rope parameters, with base, share and length of the top level.

    Raises
    ------
    TypeError, ValueError
        If they are no dictionary, or the layers have another name.
    """
    found = _dictionary(values, findings)
    if any(isinstance(value, Mapping) for value in found.values()):
        if layer_type is None or layer_type not in found:
            msg = f"layer_type: expected one of {sorted(map(str, found))}; got {layer_type!r}"
            raise ValueError(msg)
        if not isinstance(found[layer_type], Mapping):
            msg = f"{layer_type}: expected its rope parameters; got {found[layer_type]!r}"
            raise TypeError(msg)
        found = found[layer_type]
    else:
        found = _flat(values, found, layer_type, findings)
    merged = dict(found)
    thetas = (*_WINDOWED, *_OTHERS) if layer_type == _SLIDING else _OTHERS
    for target, names in (("rope_theta", thetas), ("partial_rotary_factor", _PARTIAL)):
        for name in names:
            if values.get(name) is not None:
                merged.setdefault(target, values[name])
    if values.get(LENGTH) is not None:
        merged[LENGTH] = values[LENGTH]  # goes before that of the dictionary
    return merged


def _dictionary(values: Mapping[str, Any], findings: Findings) -> Mapping[str, Any]:
    old, new = values.get("rope_scaling"), values.get("rope_parameters")
    for name, value in (("rope_scaling", old), ("rope_parameters", new)):
        if value is not None and not isinstance(value, Mapping):
            msg = f"{name}: expected a dictionary or None; got {value!r}"
            raise TypeError(msg)
    if old and new and old != new:
        findings.add(
            "rope_parameters", "rope_parameters: replaced by rope_scaling; both were given"
        )
    return old or new or {}


def _flat(
    values: Mapping[str, Any],
    found: Mapping[str, Any],
    layer_type: str | None,
    findings: Findings,
) -> Mapping[str, Any]:
    """Return what one dictionary gives to a type of layers; Gemma 3's windows are not scaled."""
    windowed = [key for key in _WINDOWED if values.get(key) is not None]
    if layer_type is not None and not (windowed and layer_type in (_FULL, _SLIDING)):
        expected = "None, since the rope parameters are flat"
        if windowed:
            expected = f"{_FULL!r} or {_SLIDING!r}, since {windowed[0]} tells them apart"
        msg = f"layer_type: expected {expected}; got {layer_type!r}"
        raise ValueError(msg)
    if layer_type is None:
        for key in windowed:
            findings.add(
                key,
                f"{key}: the layers of {_SLIDING!r} turn by base {values[key]!r}; the rope is that "
                f"of {_FULL!r}; say by layer_type which of them is meant",
            )
    unscaled = layer_type == _SLIDING and windowed[0] == "rope_local_base_freq"
    return {} if unscaled else found
