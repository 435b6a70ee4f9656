"""A rope's frequency rule as length_rules.cuh takes it: a structure of its parameters.

What does not depend on the length is computed here, by the specification. Where a rule only chooses
between two spectra, or is none of those that the length matters to, that is everything.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from ctypes import c_double, c_int64
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ropelab import Rope, Spectrum
from ropelab.scaling import (
    DynamicLinear,
    DynamicNTK,
    DynamicYaRN,
    LongRoPE,
    Resonance,
    RoundedFrequencies,
    Scaling,
    Stretched,
    TransformerEngineInterpolation,
)
from ropelab.scaling.base import made_for
from ropelab.scaling.default import geometric
from ropelab.scaling.ramp import correction_range, kept_share

__all__ = ["LengthRule", "has_device_function", "length_rule"]

LONGEST = 2**63 - 1  # tokens; what rules take at most

# Significant bits, and the exponent of the smallest positive number.
_FORMATS = {
    "float64": (53, -1074),
    "float32": (24, -149),
    "float16": (11, -24),
    "bfloat16": (8, -133),
}

_AROUND = (Resonance, RoundedFrequencies, Stretched)


@dataclass(frozen=True, eq=False)
class LengthRule:
    """A rope's rule, ready for the device.

    Parameters
    ----------
    name : str
        The C++ type of the rule in length_rules.cuh.
    parameters : ctypes.Structure
        Its fields.
    spectrum : Spectrum
        The spectrum of a single token, whose axes and softmax factor hold at every length.
    has_periods : bool
        Whether pairs may repeat exactly after a whole number of tokens.
    """

    name: str
    parameters: Any = field(repr=False)
    spectrum: Spectrum
    has_periods: bool


def has_device_function(rule: Scaling) -> bool:
    """Return whether the device can compute a rule: any of `ropelab.scaling`.

    Parameters
    ----------
    rule : Scaling
        One that depends on the length, or not.

    Returns
    -------
    bool
        False for a rule of one's own that depends on the length.
    """
    core = _core(rule)
    return not core.depends_on_length or type(core) in (*_BUILDERS, LongRoPE)


@lru_cache(maxsize=64)
def length_rule(rope: Rope) -> LengthRule:
    """Return a rope's rule for the device.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.

    Returns
    -------
    LengthRule
        The same object for the same rope.

    Raises
    ------
    TypeError
        If the device does not know the rule.
    ValueError
        If the rule refuses the rope at some length, or a length of its own is 2**53 or more.
    """
    rule = rope.scaling
    if not has_device_function(rule):
        msg = (
            f"rope: expected a rule of ropelab.scaling, which the device knows; got "
            f"{type(_core(rule)).__name__}; pass rope.spectrum(seq_len)"
        )
        raise TypeError(msg)
    first, core = rope.spectrum(1), _core(rule)
    if type(core) not in _BUILDERS:
        limit = core.original_max_position_embeddings if isinstance(core, LongRoPE) else LONGEST
        last = rope.spectrum(min(limit + 1, LONGEST))
        structure, has_periods = _chosen(limit, first, last)
        return LengthRule("Chosen", structure, first, has_periods)
    core.spectrum(rope, LONGEST)  # a base that would grow out of the doubles is refused here
    name, structure = _built(rule, rope)
    return LengthRule(name, structure, first, _any_resonance(rule))


def _core(rule: Scaling) -> Scaling:
    """Return the rule inside all those around it."""
    while type(rule) in _AROUND:
        rule = rule.inner  # type: ignore[attr-defined]  # as all of _AROUND have
    return rule


def _any_resonance(rule: Scaling) -> bool:
    while type(rule) in _AROUND:
        if isinstance(rule, Resonance):
            return True
        rule = rule.inner  # type: ignore[attr-defined]  # as all of _AROUND have
    return False


def _built(rule: Scaling, rope: Rope) -> tuple[str, Any]:
    """Return the C++ type of a rule, and its fields."""
    if type(rule) in _BUILDERS:
        structure = _BUILDERS[type(rule)](rule, rope)
        return type(structure).__name__, structure
    if isinstance(rule, Stretched):
        return _around("Stretched", rule.inner, rope, factor=rule.factor)
    if isinstance(rule, RoundedFrequencies):
        dtype = rule.dtype
        name = dtype.name if isinstance(dtype, np.dtype) and dtype.names is None else "bfloat16"
        significant, lowest = _FORMATS[name]
        return _around("Rounded", rule.inner, rope, significant=significant, lowest=lowest)
    assert isinstance(rule, Resonance)
    return _around("Resonance", rule.inner, rope)


def _around(kind: str, inner: Scaling, rope: Rope, **own: float) -> tuple[str, Any]:
    name, structure = _built(inner, rope)
    fields = [("inner", type(structure))]
    fields += [(key, c_int64 if isinstance(value, int) else c_double) for key, value in own.items()]
    return f"{kind}<{name}>", _structure(kind, tuple(fields))(structure, *own.values())


@cache
def _structure(name: str, fields: tuple[tuple[str, Any], ...]) -> type[Any]:
    return type(name, (ctypes.Structure,), {"_fields_": fields})


@cache
def _doubles(pairs: int) -> type[Any]:
    return c_double * pairs


def _filled(name: str, **fields: float | NDArray[Any]) -> Any:
    """Return a structure of integers, doubles, and arrays of one double a pair."""
    types: list[tuple[str, Any]] = []
    values: list[Any] = []
    for key, value in fields.items():
        if isinstance(value, np.ndarray):
            types.append((key, _doubles(value.size)))
            values.append(types[-1][1](*value.tolist()))
        else:
            types.append((key, c_int64 if isinstance(value, int) else c_double))
            values.append(value)
    return _structure(name, tuple(types))(*values)


def _chosen(limit: int, short: Spectrum, long: Spectrum) -> tuple[Any, bool]:
    both, pairs = (short, long), short.inv_freq.size
    has_periods = any(spectrum.periods is not None for spectrum in both)
    fields = [
        ("limit", c_int64),
        ("factors", c_double * 2),
        ("inv_freq", (c_double * pairs) * 2),
    ]
    if has_periods:
        fields.append(("period", (c_int64 * pairs) * 2))
    structure = _structure("Chosen", tuple(fields))()
    structure.limit = limit
    for i, spectrum in enumerate(both):
        structure.factors[i] = spectrum.attention_factor
        structure.inv_freq[i][:] = spectrum.inv_freq.tolist()
        if has_periods and spectrum.periods is not None:
            structure.period[i][:] = spectrum.periods.tolist()
    return structure, has_periods


def _dynamic_ntk(rule: DynamicNTK, rope: Rope) -> Any:
    limit = _whole(made_for(rope, "DynamicNTK", "know which lengths to scale"))
    unscaled = rule.spectrum(rope, limit).inv_freq
    return _filled("DynamicNTK", limit=limit, factor=rule.factor, base=rope.base, unscaled=unscaled)


def _dynamic_linear(_: DynamicLinear, rope: Rope) -> Any:
    limit = _whole(made_for(rope, "DynamicLinear", "know which lengths to scale"))
    return _interpolated(rope, limit, limit, 1.0)


def _te_interpolation(rule: TransformerEngineInterpolation, rope: Rope) -> Any:
    trained = _whole(rule.pretrained_max_position_embeddings)
    reached = trained * rule.factor
    limit = math.floor(reached) if reached < LONGEST else LONGEST
    return _interpolated(rope, limit, trained, rule.factor)


def _interpolated(rope: Rope, limit: int, trained: int, factor: float) -> Any:
    unscaled = geometric(rope.rotary_dim, rope.base)
    return _filled(
        "Interpolated", limit=limit, trained=float(trained), factor=factor, unscaled=unscaled
    )


def _dynamic_yarn(rule: DynamicYaRN, rope: Rope) -> Any:
    limit = _whole(made_for(rope, "DynamicYaRN", "know which lengths to scale"))
    original = rule.original_max_position_embeddings
    unscaled = geometric(rope.rotary_dim, rope.base)
    ends = correction_range(rope, original, rule.beta_fast, rule.beta_slow)
    return _filled(
        "DynamicYaRN",
        limit=limit,
        finetuned=int(rule.finetuned),
        original=float(original),
        unscaled=unscaled,
        kept=kept_share(*ends, unscaled.size),
    )


_BUILDERS: dict[type[Scaling], Callable[[Any, Rope], Any]] = {
    DynamicLinear: _dynamic_linear,
    DynamicNTK: _dynamic_ntk,
    DynamicYaRN: _dynamic_yarn,
    TransformerEngineInterpolation: _te_interpolation,
}


def _whole(length: int) -> int:
    """Return a length of a rule's own, which the device holds as a double."""
    if length >= 2**53:
        msg = f"rope: expected a rule whose lengths are below 2**53; got {length}"
        raise ValueError(msg)
    return length
