"""A rotary embedding in plain words: its widths, its rule, what becomes of its pairs."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from ..bands import Band, classify, completes_turn
from ..bands.classification import falls_into_bands
from ..bands.lengths import longest_length, telling_lengths
from ..rope import Rope
from ..scaling import Axial, Default, ExplicitFrequencies, LongRoPE, Scaling

__all__ = [
    "bands_in_words",
    "describe",
    "grouped",
    "has_own_progression",
    "lengths_told",
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
    if isinstance(rule, LongRoPE) and _has_one_list(rule):
        return _factors_in_words(rule)
    # Every rule is a dataclass, which its base class does not say to the checker.
    given = [
        f"{each.name} {_value(getattr(rule, each.name))}"
        for each in fields(rule)  # type: ignore[arg-type]
        if getattr(rule, each.name) is not None
    ]
    return f"{rule.rope_type} ({', '.join(given)})" if given else rule.rope_type


def _has_one_list(rule: Scaling) -> bool:
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


def lengths_told(rope: Rope, length: int | None = None) -> tuple[int | None, ...]:
    """Return the lengths that an embedding is described at.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    length : int, optional
        The one that is asked for.

    Returns
    -------
    tuple of int or None
        That one; else those between which the rule parts, or None for a rule that does not.
    """
    if length is not None:
        return (length,)
    rule = getattr(rope.scaling, "inner", rope.scaling)
    return (None,) if _has_one_list(rule) else telling_lengths(rope) or (None,)


def describe(
    rope: Rope, length: int | None = None, reach: int | None = None, beside: int | None = 0
) -> Iterator[str]:
    """Say what a rotary embedding is, a line at a time.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    length : int, optional
        Of the sequence; by default, of a rule that depends on it, those that tell.
    reach : int, optional
        The largest distance between two tokens, which a sliding window makes less than
        max_position_embeddings.
    beside : int or None
        Channels of a head that are no part of the rope; None for an unknown number.

    Yields
    ------
    str
        A sentence or two.
    """
    lengths = lengths_told(rope, length)
    yield from _at_each(lengths, lambda each: _frequencies(rope, each))
    yield f"base {rope.base:,.10g}; {_channels(rope, beside)}"
    asks = ""
    rule = getattr(rope.scaling, "inner", rope.scaling)
    if rope.scaling.depends_on_length and not _has_one_list(rule):
        asks = "; it depends on the length of the sequence"
        asks += f", here {length:,} tokens" if length else ", see --length"
    yield f"rule {rule_in_words(rope.scaling)}{asks}"
    spectrum = rope.spectrum(length)
    if spectrum.position_axes > 1:
        counts = np.bincount(np.asarray(spectrum.axes)).tolist()
        yield f"{spectrum.position_axes} position axes, which turn {_listed(counts)} pairs"
    yield from _at_each(lengths, lambda each: _amplitude(rope, each))
    if spectrum.softmax_factor != 1.0:
        yield f"the scale of the softmax is multiplied by {spectrum.softmax_factor:.6g}"
    if reach is not None:
        yield from (_turns(rope, each, reach) for each in lengths)


def _at_each(lengths: Sequence[int | None], sentence: Callable[[int | None], str]) -> Iterator[str]:
    """Say something at each length, once where it is the same at all; nothing where it is empty."""
    said = {length: sentence(length) for length in lengths}
    if len(set(said.values())) == 1:
        said = {None: said[lengths[0]]}
    for length, words in said.items():
        if words:
            yield words if length is None else f"in {length:,} tokens: {words}"


def _frequencies(rope: Rope, length: int | None) -> str:
    longest = of_length(float(rope.spectrum(length).wavelengths.max()))
    unscaled = of_length(float(replace(rope, scaling=Default()).spectrum().wavelengths.max()))
    before = "" if longest == unscaled or has_own_progression(rope) else f", {unscaled} unscaled"
    return f"{bands_in_words(rope, length)}; longest wavelength {longest} tokens{before}"


def _amplitude(rope: Rope, length: int | None) -> str:
    amplitude = rope.spectrum(length).attention_factor
    if amplitude == 1.0:
        return ""
    return f"cos and sin are multiplied by {amplitude:.6g}, scores by {amplitude**2:.6g}"


def _turns(rope: Rope, length: int | None, reach: int) -> str:
    """Count the pairs that turn within a text of that length, or within the window."""
    stated, longest = rope.max_position_embeddings, longest_length(rope) or reach
    text = longest if length is None else length
    place = f"{text:,} tokens" if length not in (None, longest) else f"its {text:,} tokens"
    if text == longest != stated and stated is not None:
        place += f", stretched from {stated:,}"
    if reach != stated and reach <= text:
        text, place = reach, f"its window of {reach:,} tokens"
    turning = int(np.count_nonzero(completes_turn(rope, text, seq_len=length)))
    return f"{turning} of {rope.rotary_dim // 2} pairs turn all the way round in {place}"


def _channels(rope: Rope, beside: int | None) -> str:
    d, half = rope.rotary_dim, rope.rotary_dim // 2
    part = f"all {d}" if d == rope.head_dim else f"{d} of {rope.head_dim}"
    first = f" from channel {rope.rotary_offset}" if rope.rotary_offset else ""
    pair = f"i and i + {half}" if rope.layout == "half" else "2i and 2i + 1"
    out = "" if rope.output_layout == rope.layout else f", put out as {rope.output_layout}"
    told = f"{part} channels of a head turn{first}"
    if beside != 0:
        still = "others" if beside is None else str(beside)
        told = f"{d} channels of a head turn beside {still} that do not"
        pair += f" of the {d}"
    return f"{told}, pair i being channels {pair}{out}"


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts[:-1])) + f" and {counts[-1]}"
