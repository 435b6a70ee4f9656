"""Ways to put a bug into the specification: between its arguments and its functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

import ropelab
from ropelab import Rope, Spectrum

from ...checks import pair_of_scales, token_shape
from ...positions.token_positions import PositionIds, token_positions
from ...precision import float_dtype, narrow, widen
from ...scaling import Scaling
from ..case import Array
from ..implementation import SPECIFICATION, Implementation

__all__ = [
    "angles_of",
    "in_bfloat16",
    "listed",
    "tables_of",
    "with_config",
    "with_inv_freq",
    "with_options",
    "with_positions",
    "with_rope",
    "with_rotation",
    "with_rule",
    "with_spectrum",
    "with_tables",
]


def angles_of(ids: Array, spectrum: Spectrum) -> Array:
    """Return float64 products of position and frequency."""
    return ids.astype(np.float64)[..., np.newaxis] * spectrum.inv_freq


def tables_of(angle: Array, spectrum: Spectrum) -> tuple[Array, Array]:
    """Return scaled cosines and sines of angles."""
    factor = spectrum.attention_factor
    return np.cos(angle) * factor, np.sin(angle) * factor


def in_bfloat16(values: Array) -> Array:
    """Round to bfloat16, and widen again."""
    return widen(narrow(np.asarray(values, np.float64), float_dtype("bfloat16")))


def listed(ids: PositionIds, x: Array, tensor_format: str, axes: int = 1) -> Array:
    """Return positions as an array of ids, for a bug that knows no other way to say them."""
    if isinstance(ids, np.ndarray):
        return ids
    return token_positions(ids, token_shape(x.shape, tensor_format, "x"), axes=axes)


def with_rotation(rotate: Callable[..., Array]) -> Implementation:
    """Return the specification with another `apply_rotary`, for queries and keys alike."""

    def _both(q: Array, k: Array, *given: Any, **options: Any) -> tuple[Array, Array]:
        of_q, of_k = options_of_each(options)
        return rotate(q, *given, **of_q), rotate(k, *given, **of_k)

    return replace(SPECIFICATION, apply_rotary=rotate, apply_rotary_qk=_both)


def options_of_each(options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the options of queries and those of keys, which may have scales of their own."""
    if "scale" not in options:
        return {**options}, {**options}
    (_, of_q), (_, of_k) = pair_of_scales(options["scale"])
    return {**options, "scale": of_q}, {**options, "scale": of_k}


def with_positions(change: Callable[[Array], Array]) -> Implementation:
    """Return the specification with other positions put in."""

    def _changed(ids: PositionIds, x: Array, spectrum: Spectrum, options: Any) -> Array:
        return change(listed(ids, x, options["tensor_format"], spectrum.position_axes))

    def _single(x: Array, ids: Array, spectrum: Spectrum, **options: Any) -> Array:
        return ropelab.apply_rotary(x, _changed(ids, x, spectrum, options), spectrum, **options)

    def _both(
        q: Array, k: Array, ids: Array, spectrum: Spectrum, **options: Any
    ) -> tuple[Array, Array]:
        changed = _changed(ids, q, spectrum, options)
        return ropelab.apply_rotary_qk(q, k, changed, spectrum, **options)

    return replace(SPECIFICATION, apply_rotary=_single, apply_rotary_qk=_both)


def with_spectrum(change: Callable[[Spectrum], Spectrum]) -> Implementation:
    """Return the specification with other frequencies or amplitudes put in."""

    def _single(x: Array, ids: Array, spectrum: Spectrum, **options: Any) -> Array:
        return ropelab.apply_rotary(x, ids, change(spectrum), **options)

    def _both(
        q: Array, k: Array, ids: Array, spectrum: Spectrum, **options: Any
    ) -> tuple[Array, Array]:
        return ropelab.apply_rotary_qk(q, k, ids, change(spectrum), **options)

    return replace(SPECIFICATION, apply_rotary=_single, apply_rotary_qk=_both)


def with_options(**changes: Callable[[Any], Any]) -> Implementation:
    """Return the specification with an option changed on the way in."""

    def _changed(options: dict[str, Any]) -> dict[str, Any]:
        return {**options, **{key: change(options[key]) for key, change in changes.items()}}

    def _single(*given: Any, **options: Any) -> Array:
        return ropelab.apply_rotary(*given, **_changed(options))

    def _both(*given: Any, **options: Any) -> tuple[Array, Array]:
        return ropelab.apply_rotary_qk(*given, **_changed(options))

    return replace(SPECIFICATION, apply_rotary=_single, apply_rotary_qk=_both)


def with_tables(
    table: Callable[[Array, Spectrum], tuple[Array, Array]],
) -> Implementation:
    """Return the specification with tables made in another way, for one axis of exact angles."""

    def _single(x: Array, ids: Array, spectrum: Spectrum, *, angles: str, **options: Any) -> Array:
        if angles != "exact" or spectrum.position_axes > 1:
            return ropelab.apply_rotary(x, ids, spectrum, angles=angles, **options)
        cos, sin = table(listed(ids, x, options["tensor_format"]), spectrum)
        return ropelab.apply_rotary_cached(x, cos, sin, **options)

    def _both(
        q: Array, k: Array, ids: Array, spectrum: Spectrum, **options: Any
    ) -> tuple[Array, Array]:
        of_q, of_k = options_of_each(options)
        return _single(q, ids, spectrum, **of_q), _single(k, ids, spectrum, **of_k)

    return replace(SPECIFICATION, apply_rotary=_single, apply_rotary_qk=_both)


def with_rope(change: Callable[[Rope], Rope]) -> Implementation:
    """Return the specification with another rope put in."""
    return replace(SPECIFICATION, spectrum=lambda rope, seq_len: change(rope).spectrum(seq_len))


def with_rule(
    rule: type[Scaling] | tuple[type[Scaling], ...],
    spectrum: Callable[[Rope, int | None], Spectrum],
) -> Implementation:
    """Return the specification with another spectrum for the ropes of a rule."""
    return replace(SPECIFICATION, spectrum=_OfRule(rule, spectrum))


@dataclass
class _OfRule:
    """A spectrum for the ropes of a rule. It is no closure, lest a copy share what it remembers."""

    rule: type[Scaling] | tuple[type[Scaling], ...]
    wrong: Callable[[Rope, int | None], Spectrum]

    def __call__(self, rope: Rope, seq_len: int | None) -> Spectrum:
        is_one = isinstance(rope.scaling, self.rule)
        return self.wrong(rope, seq_len) if is_one else rope.spectrum(seq_len)


def with_inv_freq(
    rule: type[Scaling] | tuple[type[Scaling], ...],
    inv_freq: Callable[[Rope, int | None], Array],
) -> Implementation:
    """Return the specification with other frequencies for the ropes of a rule."""

    def _spectrum(rope: Rope, seq_len: int | None) -> Spectrum:
        return replace(rope.spectrum(seq_len), inv_freq=inv_freq(rope, seq_len))

    return with_rule(rule, _spectrum)


def with_config(change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Implementation:
    """Return the specification with another config read."""

    def _read(config: Mapping[str, Any], *rest: Any, **options: Any) -> Any:
        return ropelab.from_transformers(change(dict(config)), *rest, **options)

    return replace(SPECIFICATION, from_transformers=_read)
