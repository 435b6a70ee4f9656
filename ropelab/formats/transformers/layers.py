"""The layers of a model: the Rope of each kind of them, and which kind each one is."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...rope import Rope
from ..dialect import check_kinds, layer_count
from ..findings import Findings, LayersReading, warn_of
from ..sources import read_config
from .config import Config, config_of
from .layer_bases import check_unread_bases
from .layer_plan import LayerPlan, plan_of
from .parameters import RopeParameters, all_parameters
from .rope import rope_of

__all__ = [
    "kinds_of",
    "layer_types_from_transformers",
    "layers_from_transformers",
    "read_layers_transformers",
    "ropes_of",
]


def layers_from_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object,
) -> dict[str, Rope | None]:
    """Return the rotary embedding of each kind of layers of a model.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        As for `ropelab.from_transformers`.

    Returns
    -------
    dict
        A Rope, or None for layers without one. The keys are those of per-layer parameters, or the
        names in ``layer_types``, or ``"full_attention"`` alone. In a model with a list of the
        layers that have a rotary embedding (Llama 4, SmolLM3), they are ``"rope"`` and ``"nope"``.

    Raises
    ------
    TypeError, ValueError
        As `ropelab.from_transformers` does.

    Warns
    -----
    UserWarning
        Once for each finding.

    Examples
    --------
    >>> config = {
    ...     "model_type": "cohere2",
    ...     "head_dim": 128,
    ...     "rope_theta": 50000.0,
    ...     "layer_types": ["sliding_attention"] * 3 + ["full_attention"],
    ... }
    >>> layers = layers_from_transformers(config)
    >>> layers["sliding_attention"].base, layers["full_attention"]
    (50000.0, None)
    """
    reading = read_layers_transformers(config)
    warn_of(reading.findings)
    return dict(reading.ropes)


def read_layers_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object,
) -> LayersReading:
    """Return what `layers_from_transformers` does, with its findings instead of warnings.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        As there.

    Returns
    -------
    LayersReading
        The ropes and the findings.

    Raises
    ------
    TypeError, ValueError
        As there.

    Examples
    --------
    >>> config = {"model_type": "llama", "head_dim": 64, "rotary_dim": 32}
    >>> [finding.key for finding in read_layers_transformers(config).findings]
    ['rotary_dim']
    """
    findings = Findings()
    taken = config_of(config, findings)
    ropes = {"full_attention": None} if taken is None else ropes_of(taken, findings)
    return LayersReading(ropes, tuple(findings))


def layer_types_from_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object,
) -> tuple[str, ...]:
    """Return the kind of each layer of a model, in order.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        Must say how many layers there are, by ``num_hidden_layers`` or by a list of them. Where it
        lists no types, they are those that Transformers fills in for its ``model_type``.

    Returns
    -------
    tuple of str
        Keys of `layers_from_transformers`.

    Raises
    ------
    TypeError, ValueError
        If the number of layers is not to be found, or a list has another length.

    Examples
    --------
    >>> layer_types_from_transformers({"model_type": "smollm3", "num_hidden_layers": 5})
    ('rope', 'rope', 'rope', 'nope', 'rope')
    """
    findings = Findings()
    taken = config_of(config, findings)
    if taken is None:
        return _without(config)
    plan = plan_of(taken)
    if not plan.counted:
        msg = (
            f"layer_types: this config of {taken.model_type} does not say what its layers are; "
            f"give num_hidden_layers, or layer_types"
        )
        raise ValueError(msg)
    parameters = all_parameters(taken.values, findings)
    if isinstance(parameters, dict):
        _check_names(plan, parameters)
    return plan.names


def _without(config: object) -> tuple[str, ...]:
    """Return the names of layers none of which has a rotary embedding."""
    values = read_config(config)
    count = values.get("num_hidden_layers")
    return ("full_attention",) * layer_count(count, "num_hidden_layers")


def kinds_of(config: Config) -> tuple[str, ...]:
    """Return the keys of `layers_from_transformers`.

    Parameters
    ----------
    config : Config
        The config.

    Returns
    -------
    tuple of str
        Each once; those of per-layer parameters first.

    Raises
    ------
    TypeError, ValueError
        If there is a kind of layers without parameters, or more kinds than any model has.
    """
    plan, given = plan_of(config), all_parameters(config.values, Findings())
    if isinstance(given, RopeParameters):
        kinds = tuple(dict.fromkeys(plan.names))
        check_kinds(len(kinds), "layer_rope_theta" if plan.bases else "layer_types")
        return kinds
    check_kinds(len(given), "rope_parameters")
    _check_names(plan, given)
    return tuple(dict.fromkeys((*given, *(name for name in plan.names if name in plan.without))))


def ropes_of(config: Config, findings: Findings) -> dict[str, Rope | None]:
    """Return what `layers_from_transformers` does, of a config taken in.

    Parameters
    ----------
    config : Config
        The config.
    findings : Findings
        Is added to.

    Returns
    -------
    dict
        As there.

    Raises
    ------
    TypeError, ValueError
        As there.
    """
    plan, kinds = plan_of(config), kinds_of(config)
    shared = None if plan.bases else all_parameters(config.values, findings)
    ropes: dict[str, Rope | None] = {}
    for name in kinds:
        own = plan.config_of(config, name)
        given = all_parameters(own.values, findings) if shared is None else shared
        parameters = given if isinstance(given, RopeParameters) else given.get(name)
        if parameters is None or name in plan.without:
            ropes[name] = None
        else:
            check_unread_bases(own.values, per_layer=parameters.per_layer)
            ropes[name] = rope_of(own, parameters, name, findings)
    return ropes


def _check_names(plan: LayerPlan, given: Mapping[str, object]) -> None:
    """Raise ValueError if there is a kind of layers without parameters."""
    unknown = sorted(set(plan.names) - set(given) - plan.without)
    if plan.listed:
        msg = (
            f"rope_parameters: expected parameters for all layers beside a list of those that have "
            f"a rotary embedding; got some for each of {sorted(given)}"
        )
        raise ValueError(msg)
    if unknown and plan.counted:
        msg = (
            f"layer_types: expected names out of {sorted(given)}, for which the config has rope "
            f"parameters; got {', '.join(unknown)}"
        )
        raise ValueError(msg)
