"""Words for lengths, factors, rules and bands."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields

from ..bands import Band, classify
from ..bands.classification import falls_into_bands
from ..rope import Rope
from ..scaling import Axial, ExplicitFrequencies, LongRoPE, Scaling

__all__ = [
    "bands_in_words",
    "grouped",
    "has_one_list",
    "has_own_progression",
    "named_bands",
    "of_length",
    "rule_in_words",
    "times",
]


def grouped(ropes: Mapping[str, Rope | None]) -> list[tuple[str, Rope | None]]:
    """Return each rope once, with the names of the kinds of layers that share it.

    Parameters
    ----------
    ropes : mapping of str to Rope or None
        By kind of layers.

    Returns
    -------
    list of tuple of str and Rope or None
        In the order of the first kind that has it.
    """
    kinds: dict[Rope | None, list[str]] = {}
    for kind, rope in ropes.items():
        kinds.setdefault(rope, []).append(kind)
    return [(", ".join(names), rope) for rope, names in kinds.items()]


def of_length(tokens: float) -> str:
    """Return a number of tokens to three digits, or exactly where it is a short integer."""
    if math.isinf(tokens):
        return "infinite"
    if isinstance(tokens, int) and tokens < 10_000_000:
        return f"{tokens:,}"
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if tokens >= size:
            return f"{tokens / size:.3g} {unit}"
    return f"{tokens:,.0f}" if tokens >= 1000.0 else f"{tokens:.3g}"


def times(factor: float) -> str:
    """Return a factor with its sign, ``8×``."""
    return f"{factor:.4g}×"


def has_own_progression(rope: Rope) -> bool:
    """Return whether the rule's frequencies are no scaling of those of the rope's base."""
    rule = getattr(rope.scaling, "inner", rope.scaling)
    return isinstance(rule, Axial | ExplicitFrequencies)


def named_bands(rope: Rope, length: int | None = None) -> list[tuple[str, Band]]:
    """Return the bands of a rope, by what they are called where pictures and tables show them.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    length : int, optional
        Of the sequence, for rules that depend on it.

    Returns
    -------
    list of tuple of str and Band
        "kept", "blended" and "stretched"; "changed" for pairs of a rule that changes each by
        another amount, "still" for those that it stops.
    """
    kept, blended, stretched = classify(rope, seq_len=length)
    still = math.inf in stretched.stretches
    changed = not falls_into_bands(kept, blended, stretched)
    middle = "changed" if changed or still else "blended"
    last = "still" if still else "changed" if changed else "stretched"
    return [("kept", kept), (middle, blended), (last, stretched)]


def bands_in_words(rope: Rope, length: int | None = None) -> str:
    """Return what becomes of the pairs.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    length : int, optional
        Of the sequence, for rules that depend on it.

    Returns
    -------
    str
        Such as "29 pairs untouched, 6 blended, 29 stretched 8×".
    """
    pairs = rope.rotary_dim // 2
    if has_own_progression(rope):
        return f"{pairs} pairs with frequencies of their own"
    groups: dict[str, list[float]] = {}
    for name, band in named_bands(rope, length):
        groups[name] = [*groups.get(name, []), *band.stretches]
    if len(groups["kept"]) == pairs:
        return f"{pairs} pairs, none of them scaled"
    told = [(len(each), _fate(name, each)) for name, each in groups.items() if each]
    (first, name), *rest = told
    head = f"{first} {'pair' if first == 1 else 'pairs'} {name}"
    return ", ".join([head, *(f"{count} {name}" for count, name in rest)])


def _fate(name: str, stretches: Sequence[float]) -> str:
    if name == "changed":
        return f"changed, {times(min(stretches))} to {times(max(stretches))}"
    if name == "stretched":
        return f"stretched {times(max(stretches))}"
    return {"kept": "untouched", "blended": "blended", "still": "standing still"}[name]


def rule_in_words(rule: Scaling) -> str:
    """Return a rule's name and parameters, a long list by its length and its ends."""
    if isinstance(rule, LongRoPE) and has_one_list(rule):
        return _factors_in_words(rule)
    # Every rule is a dataclass, which its base class does not say to the checker.
    given = [
        f"{each.name} {_value(getattr(rule, each.name))}"
        for each in fields(rule)  # type: ignore[arg-type]
        if getattr(rule, each.name) is not None
    ]
    return f"{rule.rope_type} ({', '.join(given)})" if given else rule.rope_type


def has_one_list(rule: Scaling) -> bool:
    """Return whether LongRoPE divides by the same factors at all lengths, as GGUF files may say."""
    return (
        isinstance(rule, LongRoPE)
        and rule.short_factor == rule.long_factor
        and rule.short_mscale == rule.long_mscale
    )


def _factors_in_words(rule: LongRoPE) -> str:
    ends = f"{min(rule.short_factor):.4g} to {max(rule.short_factor):.4g}"
    amplitude = rule.short_mscale or rule.attention_factor
    if amplitude is not None:
        told = f"attention_factor {amplitude:g}"
    else:
        told = f"original_max_position_embeddings {rule.original_max_position_embeddings}"
        told += "" if rule.factor is None else f", factor {rule.factor:g}"
    return f"factors given for each pair, {ends} ({told})"


def _value(value: object) -> str:
    if isinstance(value, Scaling):
        return rule_in_words(value)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"of {len(value)} numbers, {min(value):.4g} to {max(value):.4g}" if value else "none"
    return f"{value:g}" if isinstance(value, float) else str(value)
