"""Ways to put a bug into the specification: between its arguments and its functions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import ropelab
from ropelab import Rope, Spectrum

from ..case import Array
from ..implementation import SPECIFICATION, Implementation

__all__ = ["with_options", "with_positions", "with_rope", "with_spectrum", "with_tables"]


def with_positions(change: Callable[[Array], Array]) -> Implementation:
    """Return the specification with other positions put in."""

    def _single(x: Array, ids: Array, *rest: Any, **options: Any) -> Array:
        return ropelab.apply_rotary(x, change(ids), *rest, **options)

    def _both(q: Array, k: Array, ids: Array, *rest: Any, **options: Any) -> tuple[Array, Array]:
        return ropelab.apply_rotary_qk(q, k, change(ids), *rest, **options)

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
        cos, sin = table(ids, spectrum)
        return ropelab.apply_rotary_cached(x, cos, sin, **options)

    def _both(
        q: Array, k: Array, ids: Array, spectrum: Spectrum, **options: Any
    ) -> tuple[Array, Array]:
        return _single(q, ids, spectrum, **options), _single(k, ids, spectrum, **options)

    return replace(SPECIFICATION, apply_rotary=_single, apply_rotary_qk=_both)


def with_rope(change: Callable[[Rope], Rope]) -> Implementation:
    """Return the specification with another rope put in."""
    return replace(SPECIFICATION, spectrum=lambda rope, seq_len: change(rope).spectrum(seq_len))
