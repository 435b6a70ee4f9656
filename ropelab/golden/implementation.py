"""What the goldens are asked of: the specification itself, a mutant of it, or another package."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields
from itertools import accumulate, islice
from typing import Any

import ropelab

from ..query_scale import QueryScale
from ..scaling import SCALINGS, DynamicLength, Scaling
from .case import Array

__all__ = ["SPECIFICATION", "Implementation", "rope_of_card"]


@dataclass(frozen=True)
class Implementation:
    """Functions under test, with the signatures of `ropelab`; NumPy in, NumPy out."""

    from_transformers: Callable[..., Any]
    layers_from_transformers: Callable[..., Any]
    layer_types_from_transformers: Callable[..., Any]
    spectrum: Callable[..., ropelab.Spectrum]
    dynamic_lengths: Callable[..., list[int]]
    exact_phases: Callable[..., Array]
    cos_sin: Callable[..., tuple[Array, Array]]
    apply_rotary: Callable[..., Array]
    apply_rotary_qk: Callable[..., tuple[Array, Array]]
    apply_rotary_cached: Callable[..., Array]
    apply_rotary_cached_qk: Callable[..., tuple[Array, Array]]
    apply_rotary_kv_cache: Callable[..., Array]
    apply_norm_rotary_qk: Callable[..., tuple[Array, Array]]
    apply_xpos_qk: Callable[..., tuple[Array, Array]]
    query_scale: Callable[..., Array]
    to_half: Callable[..., Array]
    to_interleaved: Callable[..., Array]
    permute_qk_weight: Callable[..., Array]
    permute_qkv_weight: Callable[..., Array]
    readers: Mapping[str, Callable[..., Any]]  # by dialect, each as its read_<dialect>
    positions: Any  # a module or object with the functions of `ropelab.positions`


def _spectrum(rope: ropelab.Rope, seq_len: int | None) -> ropelab.Spectrum:
    return rope.spectrum(seq_len)


def _dynamic_lengths(original: int, calls: Iterable[int]) -> list[int]:
    """Return which length a dynamic rule is asked at after each call of a series."""
    states = accumulate(calls, DynamicLength.after, initial=DynamicLength(original))
    return [state.length for state in islice(states, 1, None)]


def _query_scale(rule: QueryScale, position_ids: Array) -> Array:
    return rule.scale(position_ids)


# What is asked of a rule or of a state is a method of it, and readers are asked for by their
# dialect; everything else is a function of the package.
_OTHERS: Mapping[str, Any] = {
    "spectrum": _spectrum,
    "dynamic_lengths": _dynamic_lengths,
    "query_scale": _query_scale,
    "readers": {
        "exllamav2": ropelab.formats.read_exllamav2,
        "gguf": ropelab.formats.read_gguf,
        "megatron": ropelab.formats.read_megatron,
        "nemo_automodel": ropelab.formats.read_nemo_automodel,
        "transformer_engine": ropelab.formats.read_transformer_engine,
        "vllm": ropelab.formats.read_vllm,
    },
}

SPECIFICATION = Implementation(
    **{f.name: _OTHERS.get(f.name) or getattr(ropelab, f.name) for f in fields(Implementation)}
)


_GEOMETRY = (
    "rotary_dim",
    "base",
    "layout",
    "max_position_embeddings",
    "axes",
    "output_layout",
    "rotary_offset",
)


def rope_of_card(card: Mapping[str, Any]) -> ropelab.Rope:
    """Return the Rope that a case describes by plain numbers."""
    rule = {key: value for key, value in card.items() if key not in (*_GEOMETRY, "head_dim")}
    geometry = {key: card[key] for key in _GEOMETRY if key in card}
    return ropelab.Rope(card["head_dim"], scaling=_rule_of(rule), **geometry)


def _rule_of(card: Mapping[str, Any]) -> Scaling:
    """Return the rule of a card; a mapping among its parameters is the card of an inner rule."""
    parameters = {
        key: _rule_of(value) if isinstance(value, Mapping) else value
        for key, value in card.items()
        if key != "rope_type"
    }
    return SCALINGS[card["rope_type"]](**parameters)
