"""Which layers of a model have a rotary embedding, and by what name each layer goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...checks import finite_real, positive_int
from ..dialect import layer_count
from ..transformers_models import LISTS_NOPE, SLIDING_ROPE, SLIDING_ROPE_IF_WINDOWED, THETA_OR_NOPE
from .config import Config
from .layer_patterns import PATTERNS

__all__ = ["NOPE", "ROPE", "LayerPlan", "plan_of"]

ROPE, NOPE = "rope", "nope"
_FULL, _THETAS = "full_attention", "layer_rope_theta"

# Layers without attention, by the names that configs give them.
_NO_ATTENTION = frozenset({"conv", "linear_attention", "mamba", "mlp", "moe", "recurrent"})

# Models that mix attention with other layers, whose pattern is not known here.
_UNKNOWN = frozenset({"bamba", "granitemoehybrid", "recurrent_gemma", "zamba2"})

# Layers of a model whose config does not say how many, enough to see each type.
_MANY = 60


@dataclass(frozen=True)
class LayerPlan:
    """The layers of a model.

    Parameters
    ----------
    names : tuple of str
        Of the layers in order; of more than there are if the config does not say how many.
    counted : bool
        Whether the config says how many.
    without : frozenset of str
        Those that have no rotary embedding.
    bases : mapping
        A base of its own for each name that has one.
    """

    names: tuple[str, ...]
    counted: bool
    without: frozenset[str] = frozenset()
    bases: Mapping[str, float] = field(default_factory=dict)

    @property
    def listed(self) -> bool:
        """Whether layers are told apart by a list of their own, not by type."""
        return NOPE in self.without or bool(self.bases)

    def config_of(self, config: Config, name: str) -> Config:
        """Return the config with the base of layers of that name, if they have one of their own.

        Parameters
        ----------
        config : Config
            With a list of bases.
        name : str
            Of layers.

        Returns
        -------
        Config
            Without the list.
        """
        if name not in self.bases:
            return config
        values = {key: value for key, value in config.values.items() if key != _THETAS}
        for key in ("rope_scaling", "rope_parameters"):
            if isinstance(values.get(key), Mapping):
                values[key] = {k: v for k, v in values[key].items() if k != "rope_theta"}
        return Config({**values, "rope_theta": self.bases[name]}, config.model_type)


def plan_of(config: Config) -> LayerPlan:
    """Return the layers of a config.

    Parameters
    ----------
    config : Config
        The config.

    Returns
    -------
    LayerPlan
        The names are those of its layer types; or, where a list says which layers have a rotary
        embedding, ``"rope"`` and ``"nope"``.

    Raises
    ------
    TypeError, ValueError
        If a list is none, or has another length than there are layers.
    """
    values, model_type = config
    given = values.get("num_hidden_layers")
    count = None if given is None else layer_count(given, "num_hidden_layers")
    if model_type in THETA_OR_NOPE or values.get(_THETAS) is not None:
        return _by_theta(config, count)
    if model_type in LISTS_NOPE or values.get("no_rope_layers"):
        return _by_list(values, count)
    names = _types(config, count)
    without = _NO_ATTENTION
    windowed = model_type in SLIDING_ROPE_IF_WINDOWED and values.get("sliding_window") is not None
    if model_type in SLIDING_ROPE or windowed:
        without |= {_FULL}
    if model_type == "cohere2_moe" and values.get("first_k_dense_replace"):
        msg = (
            "first_k_dense_replace: expected none, since cohere2_moe gives some dense layers of "
            f"full attention a rotary embedding and others not; got "
            f"{values['first_k_dense_replace']!r}"
        )
        raise ValueError(msg)
    counted = count is not None and model_type not in _UNKNOWN
    return LayerPlan(names, counted or values.get("layer_types") is not None, without)


def _types(config: Config, count: int | None) -> tuple[str, ...]:
    values, model_type = config
    given = values.get("layer_types")
    if given is not None:
        names = tuple(_list(given, "layer_types", count))
        if not all(isinstance(name, str) for name in names):
            msg = f"layer_types: expected a list of names or None; got {given!r}"
            raise TypeError(msg)
    elif model_type == "deepseek_v4":
        names = ("heavily_compressed_attention",) * (count or _MANY)
    elif model_type == "lfm3":
        names = tuple(
            _FULL if i % 4 == 2 else "sliding_attention" if i % 4 == 0 and i else "conv"
            for i in range(count or _MANY)
        )
    else:
        pattern = PATTERNS.get(model_type or "") or PATTERNS.get(f"{model_type}_text")
        many = count or (_MANY if pattern else 1)
        names = pattern.names(values, many) if pattern else (_FULL,) * many
    if model_type == "deepseek_v4":  # its parameters have names of their own
        return tuple("main" if name == "sliding_attention" else "compress" for name in names)
    return names


def _by_list(values: Mapping[str, Any], count: int | None) -> LayerPlan:
    """Read Llama 4's list, where 1 means that a layer has a rotary embedding and 0 that it not."""
    given = values.get("no_rope_layers")
    if given:
        flags = _list(given, "no_rope_layers", count)
        if any(flag not in (0, 1) for flag in flags):
            msg = f"no_rope_layers: expected 1 (a rotary embedding) or 0 a layer; got {given!r}"
            raise ValueError(msg)
    else:
        every = values.get("no_rope_layer_interval")
        period = 4 if every is None else positive_int(every, "no_rope_layer_interval")
        flags = [int((i + 1) % period != 0) for i in range(count or period)]
    names = tuple(ROPE if flag else NOPE for flag in flags)
    return LayerPlan(names, count is not None or bool(given), frozenset({NOPE}))


def _by_theta(config: Config, count: int | None) -> LayerPlan:
    """Read a list of bases, where 0 means that a layer has no rotary embedding."""
    values, model_type = config
    given = values.get(_THETAS)
    if given is None:
        pattern = PATTERNS.get(model_type or "")
        if pattern is None or pattern.place != "from_end":
            return LayerPlan(_types(config, count), count is not None)
        names = pattern._replace(others=ROPE, one=NOPE).names(values, count or _MANY)
        return LayerPlan(names, count is not None, frozenset({NOPE}))
    thetas = [finite_real(theta, _THETAS) for theta in _list(given, _THETAS, count)]
    bases = sorted({theta for theta in thetas if theta})
    labels = {base: ROPE if len(bases) == 1 else f"{ROPE}_theta={base:g}" for base in bases}
    return LayerPlan(
        tuple(labels.get(theta, NOPE) for theta in thetas),
        True,
        frozenset({NOPE}),
        {label: base for base, label in labels.items()},
    )


def _list(given: object, name: str, count: int | None) -> list[Any]:
    if not isinstance(given, (list, tuple)):
        msg = f"{name}: expected a list, one entry a layer; got {given!r}"
        raise TypeError(msg)
    if count is not None and len(given) != count:
        msg = f"{name}: expected num_hidden_layers = {count} entries; got {len(given)}"
        raise ValueError(msg)
    return list(given)
