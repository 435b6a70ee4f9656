"""Keys of a config that are not read, or read from the wrong place (M10)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import ropelab
from ropelab import Rope

from ..implementation import SPECIFICATION
from .harness import with_config
from .mutant import Entries

__all__ = ["ENTRIES"]


def _old_spelling_ignored(config: dict[str, Any]) -> Mapping[str, Any]:
    """Read 'rope_type' alone; a config that says 'type' is not scaled."""
    if "rope_type" not in (config.get("rope_scaling") or {}):
        config["rope_scaling"] = None
    return config


def _parameters_ignored(config: dict[str, Any]) -> Mapping[str, Any]:
    """Read 'rope_scaling' alone; the dict of version 5 is not looked at."""
    config.pop("rope_parameters", None)
    return config


def _theta_forgotten(config: dict[str, Any]) -> Mapping[str, Any]:
    """Replace the dict that holds the base, so that the base falls back to 10000."""
    parameters: Any = config.get("rope_parameters")
    if _by_kind(parameters):
        theta = {"rope_theta": 10_000.0}
        kept = {name: {**own, **theta} if own else own for name, own in parameters.items()}
        config["rope_parameters"] = kept
    elif parameters:
        config["rope_parameters"] = {**parameters, "rope_theta": 10_000.0}
    if "rope_theta" in config:
        config["rope_theta"] = 10_000.0
    return config


def _by_kind(parameters: Any) -> bool:
    """Return whether rope parameters are nested: some for each kind of layers."""
    return bool(parameters) and any(isinstance(own, Mapping) for own in parameters.values())


def _sliding_as_full(
    config: Mapping[str, Any], layer_type: str | None = None, **options: Any
) -> Rope | None:
    """Read the parameters of full attention for the layers of sliding attention too."""
    kind = "full_attention" if layer_type == "sliding_attention" else layer_type
    return ropelab.from_transformers(config, kind, **options)


def _layers_as_full(config: Mapping[str, Any]) -> dict[str, Rope | None]:
    """Read the parameters of layers flat: one rope, that of full attention, for all that turn."""
    layers = ropelab.layers_from_transformers(config)
    one = layers.get("full_attention")
    return {kind: one if rope and one else rope for kind, rope in layers.items()}


def _nope_list_inverted(config: Mapping[str, Any]) -> tuple[str, ...]:
    """Read a 1 in the list of layers as one to skip, as Megatron means it."""
    other = {"rope": "nope", "nope": "rope"}
    types = ropelab.layer_types_from_transformers(config)
    return tuple(other.get(kind, kind) for kind in types)


ENTRIES: Entries = {
    "old-spelling-ignored": (
        "M10",
        "'type' not read where 'rope_type' is expected",
        with_config(_old_spelling_ignored),
        "transformers#32167",
    ),
    "new-dict-ignored": (
        "M10",
        "'rope_parameters' not read where 'rope_scaling' is expected",
        with_config(_parameters_ignored),
        "vllm!28542",
    ),
    "theta-forgotten": (
        "M10",
        "the base falls back to 10000",
        with_config(_theta_forgotten),
        "unsloth!7028",
    ),
    "sliding-layers-as-full": (
        "M10",
        "base and factor of full attention for the layers of sliding attention too",
        replace(
            SPECIFICATION,
            from_transformers=_sliding_as_full,
            layers_from_transformers=_layers_as_full,
        ),
        "ollama!13452",
    ),
    "nope-list-inverted": (
        "M10",
        "the layers without RoPE taken for those that have it",
        replace(SPECIFICATION, layer_types_from_transformers=_nope_list_inverted),
    ),
}
