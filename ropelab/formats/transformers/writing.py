"""Writing a Rope as the keys of a Transformers config, from which it is read back equal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import log, nextafter
from typing import Any, NamedTuple

from ...rope import Rope
from ...scaling import Linear, LlamaCppYaRN, Scaling, YaRN
from .reading import read_transformers

__all__ = ["to_transformers"]

# The rules that Transformers has, and what each is called there.
_NAMES = {
    "deepseek_yarn": "yarn",
    "default": "default",
    "dynamic": "dynamic",
    "linear": "linear",
    "llama3": "llama3",
    "longrope": "longrope",
    "ntk_alpha": "dynamic",
    "proportional": "proportional",
    "yarn": "yarn",
}


class _Carrier(NamedTuple):
    """A model whose code says what no key does, and how it takes its position axes."""

    model_type: str | None
    keys: Mapping[str, Any] = {}
    order: str | None = None
    labels: tuple[str, ...] = ()


# Tried in this order. One without a model_type pairs channels i and i + d/2, and turns the first d.
_CARRIERS = (
    _Carrier(None),
    _Carrier("glm4"),
    _Carrier("deepseek_v2"),
    _Carrier("deepseek_v3"),
    _Carrier("deepseek_v3", {"rope_interleave": False}),
    _Carrier("deepseek_v4", labels=("main", "compress")),
    _Carrier("mistral4"),
    _Carrier(None, order="chunked"),
    _Carrier(None, order="interleaved"),
    _Carrier("glm4v_text", order="chunked"),
    _Carrier("ernie4_5_vl_moe_text", order="alternating"),
)


def to_transformers(rope: Rope) -> dict[str, Any]:
    """Return the keys of a Transformers config that describe a rotary embedding.

    Parameters
    ----------
    rope : Rope
        One that some model of Transformers has.

    Returns
    -------
    dict
        ``head_dim``, ``max_position_embeddings`` if the rope has it, and ``rope_parameters``. What
        no key says, but a model's code (pairs of neighbouring channels, for instance), is said by
        the ``model_type`` of a model that has it. `ropelab.from_transformers` makes the same rope
        of it.

    Raises
    ------
    TypeError
        If `rope` is none.
    ValueError
        If Transformers has no such rule, or no model with it and such channels or axes.

    Examples
    --------
    >>> from ropelab.scaling import Linear
    >>> to_transformers(Rope(128, base=1e6, scaling=Linear(8.0)))["rope_parameters"]
    {'rope_type': 'linear', 'rope_theta': 1000000.0, 'factor': 8.0}
    """
    _check_rope(rope)
    rule = _rule(rope.scaling)
    theta = {"rope_type": rule.pop("rope_type"), "rope_theta": rope.base}
    parameters = {**theta, **_share(rope), **rule}
    for carrier in _CARRIERS:
        if (carrier.order is None) == (rope.axes is None):
            written = _written(rope, parameters, carrier)
            if _reads_as(written, rope):
                return written
    msg = (
        f"rope: no model of Transformers is known that has rope_type {rope.scaling.rope_type!r}, "
        f"layout {rope.layout!r}, output_layout {rope.output_layout!r}, rotary_offset "
        f"{rope.rotary_offset}, {rope.rotary_dim} of {rope.head_dim} channels and these axes"
    )
    raise ValueError(msg)


def _check_rope(rope: object) -> None:
    if not isinstance(rope, Rope):
        msg = f"rope: expected a ropelab.Rope; got {rope!r} of type {type(rope).__name__}"
        raise TypeError(msg)


def _written(rope: Rope, parameters: Mapping[str, Any], carrier: _Carrier) -> dict[str, Any]:
    model = {} if carrier.model_type is None else {"model_type": carrier.model_type}
    keys: dict[str, Any] = {**model, **carrier.keys, "head_dim": rope.head_dim}
    if rope.max_position_embeddings is not None:
        keys["max_position_embeddings"] = rope.max_position_embeddings
    inner = dict(parameters)
    whole = rope.rotary_dim == rope.head_dim and rope.scaling.rope_type != "proportional"
    if carrier.model_type is None and whole:
        del inner[
            "partial_rotary_factor"
        ]  # a model may have another default, without one it is all
    if rope.axes is not None:
        counts = [rope.axes.count(axis) for axis in range(3)]
        time_last = carrier.order == "alternating"
        inner["mrope_section"] = [*counts[1:], counts[0]] if time_last else counts
        if carrier.order == "interleaved":
            inner["mrope_interleaved"] = True
    labelled = {label: dict(inner) for label in carrier.labels}
    return {**keys, "rope_parameters": labelled or inner}


def _reads_as(written: Mapping[str, Any], rope: Rope) -> bool:
    try:
        return read_transformers(written).rope == rope
    except (TypeError, ValueError):
        return False


def _rule(scaling: Scaling) -> dict[str, Any]:
    """Return the rule's name and parameters, without those that are None."""
    if scaling.rope_type not in _NAMES:
        near = _nearest(scaling)
        msg = (
            f"scaling: Transformers has no rule {scaling.rope_type!r}; expected one of "
            f"{', '.join(map(repr, _NAMES))}; "
            + ("" if near is None else f"the nearest is {near!r}; ")
            + "ropelab.apply_rotary takes the frequencies of any"
        )
        raise ValueError(msg)
    written: dict[str, Any] = {"rope_type": _NAMES[scaling.rope_type]}
    for field in fields(scaling):  # type: ignore[arg-type]
        value = getattr(scaling, field.name)
        if field.name == "mscale_policy":
            if value != "su":
                msg = f"mscale_policy: Transformers has 'su' alone; got {value!r}; give the factor"
                raise ValueError(msg)
        elif value is not None or field.name == "factor":
            written[field.name] = list(value) if isinstance(value, tuple) else value
    if scaling.rope_type == "ntk_alpha":
        written["factor"] = 1.0  # asked for, but not read
    if scaling.rope_type == "proportional" and written["factor"] == 1.0:
        del written["factor"]  # Transformers' check does not know it
    if scaling.rope_type == "longrope" and written["factor"] is None:
        del written["factor"]
    return written


def _nearest(scaling: Scaling) -> Scaling | None:
    """Return the rule of Transformers that turns alike but for rounding."""
    if not isinstance(scaling, LlamaCppYaRN) or scaling.freq_scale > 1.0:
        return None
    stretch, length = 1.0 / scaling.freq_scale, scaling.original_max_position_embeddings
    if scaling.ext_factor == 0.0 and scaling.attn_factor == 1.0:
        return Linear(stretch)
    if scaling.ext_factor != 1.0 or scaling.attn_factor == 0.0:
        return None
    magnitude = scaling.attn_factor * (1.0 + 0.1 * log(stretch))
    own = None if scaling.attn_factor == 1.0 else magnitude
    return YaRN(stretch, length, own, scaling.beta_fast, scaling.beta_slow)


def _share(rope: Rope) -> dict[str, float]:
    """Return the share that Transformers multiplies and cuts off to the rotated width."""
    if rope.scaling.rope_type == "proportional":
        return {}  # its own parameter
    share = rope.rotary_dim / rope.head_dim
    if int(rope.head_dim * share) != rope.rotary_dim:
        share = nextafter(share, 1.0)
    return {"partial_rotary_factor": share}
