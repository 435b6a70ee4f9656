"""Finding the dictionary of rope parameters: of either name, flat or one for each layer type."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, NamedTuple

from ...scaling import SCALINGS
from ..findings import Findings
from ..sources import check_keys

__all__ = ["OWN_KEYS", "RopeParameters", "all_parameters", "find_parameters"]

# Keys of the dictionary that are read beside those of a rule.
OWN_KEYS = frozenset({"rope_type", "type", "rope_theta", "partial_rotary_factor"})

_PARAMETERS = OWN_KEYS.union(*({field.name for field in fields(r)} for r in SCALINGS.values()))  # type: ignore[arg-type]


class RopeParameters(NamedTuple):
    """One dictionary of rope parameters, and where it was found."""

    name: str
    values: Mapping[str, Any]
    layer_type: str | None = None

    @property
    def per_layer(self) -> bool:
        """Whether it is one of several, each for a type of layer."""
        return self.layer_type is not None

    @property
    def rope_type(self) -> str | None:
        """The rule's name as it is given, None if it is not."""
        names = (self.values.get(key) for key in ("rope_type", "type"))
        return next((name for name in names if isinstance(name, str)), None)


def all_parameters(
    config: Mapping[str, Any], findings: Findings
) -> RopeParameters | dict[str, RopeParameters | None]:
    """Return the rope parameters of a config, or those of each of its layer types.

    Parameters
    ----------
    config : mapping
        The config that holds ``rope_scaling`` or ``rope_parameters``, or neither.
    findings : Findings
        Is added to.

    Returns
    -------
    RopeParameters or dict
        None for a layer type whose entry is None: it has no rotary embedding.

    Raises
    ------
    TypeError, ValueError
        If there is no such dictionary of names.
    """
    old, new = (_dictionary(config.get(name), name) for name in ("rope_scaling", "rope_parameters"))
    if old and new and old != new:
        findings.add(
            "rope_parameters",
            "rope_scaling replaces rope_parameters, as in Transformers; both were given",
            "two-dictionaries",
        )
    name, given = ("rope_scaling", old) if old else ("rope_parameters", new)
    if not _is_per_layer(given, _layer_types(config), name):
        return RopeParameters(name, given)
    places = {layer: f"{name}[{layer!r}]" for layer in given}
    return {
        layer: None if one is None else RopeParameters(place, _dictionary(one, place), layer)
        for (layer, one), place in zip(given.items(), places.values(), strict=True)
    }


def find_parameters(
    config: Mapping[str, Any],
    layer_type: str | None,
    findings: Findings,
    known: frozenset[str] = frozenset(),
) -> RopeParameters | None:
    """Return the rope parameters of a config, or of one of its layer types.

    Parameters
    ----------
    config : mapping
        As for `all_parameters`.
    layer_type : str, optional
        Which of several layer types to read.
    findings : Findings
        Is added to.
    known : frozenset of str, optional
        Types of layers that the config has, beside those it lists.

    Returns
    -------
    RopeParameters or None
        None for a layer type whose entry is None: it has no rotary embedding.

    Raises
    ------
    TypeError, ValueError
        If there is no such dictionary of names.
    """
    given = all_parameters(config, findings)
    if isinstance(given, RopeParameters):
        _check_layer_type(layer_type, _layer_types(config) | known)
        return given
    first = next(iter(given.values()))
    if layer_type is None and all(_same(each, first) for each in given.values()):
        layer_type = next(iter(given))  # the layers do not differ
    if layer_type is None or layer_type not in given:
        msg = (
            f"layer_type: this config has rope parameters for each of {sorted(given)}; "
            f"got {layer_type!r}; name one of them"
        )
        raise ValueError(msg)
    return given[layer_type]


def _same(one: RopeParameters | None, other: RopeParameters | None) -> bool:
    return (one and one.values) == (other and other.values)


def _dictionary(value: object, name: str) -> Mapping[str, Any]:
    """Return the dictionary, an empty one for None, or raise TypeError."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        msg = f"{name}: expected a dictionary or None; got {value!r} of type {type(value).__name__}"
        raise TypeError(msg)
    return check_keys(value, name)


def _layer_types(config: Mapping[str, Any]) -> frozenset[str]:
    layers = config.get("layer_types")
    if layers is None:
        return frozenset()
    if not isinstance(layers, (list, tuple)) or not all(isinstance(name, str) for name in layers):
        msg = f"layer_types: expected a list of names or None; got {layers!r}"
        raise TypeError(msg)
    return frozenset(layers)


def _is_per_layer(given: Mapping[str, Any], layers: frozenset[str], name: str) -> bool:
    """Say whether each key is a layer type; raise if only some are."""
    labels = sorted(key for key, value in given.items() if isinstance(value, Mapping))
    if not labels:
        return bool(given) and layers.issuperset(given)
    for key, value in given.items():
        if key in _PARAMETERS:
            msg = (
                f"{name}: expected parameters either for all layers or for each of "
                f"{', '.join(labels)}; got {key} = {value!r} beside them; move it into each"
            )
            raise ValueError(msg)
        if value is not None and not isinstance(value, Mapping):
            msg = (
                f"{name}: expected a dictionary or None for the layer type {key!r}, as for "
                f"{', '.join(labels)}; got {value!r}"
            )
            raise TypeError(msg)
    return True


def _check_layer_type(layer_type: str | None, layers: frozenset[str]) -> None:
    """Raise ValueError if parameters for all layers are asked for those of an unknown one."""
    if layer_type is None or layer_type in layers:
        return
    expected = f"one of {sorted(layers)}" if layers else "None, since the config has no layer_types"
    msg = f"layer_type: expected {expected}; got {layer_type!r}"
    raise ValueError(msg)
