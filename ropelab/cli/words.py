"""A rotary embedding in plain words: its widths, its rule, what becomes of its pairs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace

import numpy as np

from ..bands import Band, classify, completes_turn
from ..rope import Rope
from ..scaling import Axial, Default, ExplicitFrequencies, LongRoPE, Scaling

__all__ = [
    "bands_in_words",
    "describe",
    "falls_into_bands",
    "grouped",
    "has_own_progression",
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
    kept, blended, stretched = classify(rope, seq_len=length)
    if len(kept) == pairs:
        return f"{pairs} pairs, none of them scaled"
    parts = [(len(kept), "untouched")] if len(kept) else []
    if math.isinf(max(stretched.stretches)):
        if len(blended):
            parts.append((len(blended), f"changed, {_ends(blended)}"))
        parts.append((len(stretched), "standing still"))
    elif not falls_into_bands(kept, blended, stretched):
        parts.append((len(blended) + len(stretched), f"changed, {_ends(blended, stretched)}"))
    else:
        parts += [(len(blended), "blended")] if len(blended) else []
        parts.append((len(stretched), f"stretched {times(max(stretched.stretches))}"))
    (first, name), *rest = parts
    head = f"{first} {'pair' if first == 1 else 'pairs'} {name}"
    return ", ".join([head, *(f"{count} {name}" for count, name in rest)])


def falls_into_bands(kept: Band, blended: Band, stretched: Band) -> bool:
    """Return whether a rule has bands, rather than changing each pair by another amount."""
    return not len(blended) or (len(kept) > 0 and len(stretched) > 1)


def _ends(*bands: Band) -> str:
    stretches = [each for band in bands for each in band.stretches]
    return f"{times(min(stretches))} to {times(max(stretches))}"


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


def describe(rope: Rope, length: int | None = None, reach: int | None = None) -> Iterator[str]:
    """Say what a rotary embedding is, a line at a time.

    Parameters
    ----------
    rope : Rope
        The rotary embedding.
    length : int, optional
        Of the sequence, for rules that depend on it.
    reach : int, optional
        The largest distance between two tokens, which a sliding window makes less than
        max_position_embeddings.

    Yields
    ------
    str
        A sentence or two.
    """
    spectrum = rope.spectrum(length)
    longest = of_length(float(spectrum.wavelengths.max()))
    unscaled = of_length(float(replace(rope, scaling=Default()).spectrum().wavelengths.max()))
    before = "" if longest == unscaled or has_own_progression(rope) else f", {unscaled} unscaled"
    yield f"{bands_in_words(rope, length)}; longest wavelength {longest} tokens{before}"
    yield f"base {rope.base:,.10g}; {_channels(rope)}"
    asks = ""
    rule = getattr(rope.scaling, "inner", rope.scaling)
    if rope.scaling.depends_on_length and not _has_one_list(rule):
        asks = "; it depends on the length of the sequence"
        asks += f", here {length:,} tokens" if length else ", see --length"
    yield f"rule {rule_in_words(rope.scaling)}{asks}"
    if spectrum.position_axes > 1:
        counts = np.bincount(np.asarray(spectrum.axes)).tolist()
        yield f"{spectrum.position_axes} position axes, which turn {_listed(counts)} pairs"
    amplitude, pairs = spectrum.attention_factor, rope.rotary_dim // 2
    if amplitude != 1.0:
        yield f"cos and sin are multiplied by {amplitude:.6g}, scores by {amplitude**2:.6g}"
    if spectrum.softmax_factor != 1.0:
        yield f"the scale of the softmax is multiplied by {spectrum.softmax_factor:.6g}"
    if reach is not None:
        turning = int(np.count_nonzero(completes_turn(rope, reach, seq_len=length)))
        window = "" if reach == rope.max_position_embeddings else "window of "
        yield f"{turning} of {pairs} pairs turn all the way round in its {window}{reach:,} tokens"


def _channels(rope: Rope) -> str:
    d, half = rope.rotary_dim, rope.rotary_dim // 2
    part = f"all {d}" if d == rope.head_dim else f"{d} of {rope.head_dim}"
    first = f" from channel {rope.rotary_offset}" if rope.rotary_offset else ""
    pair = f"i and i + {half}" if rope.layout == "half" else "2i and 2i + 1"
    out = "" if rope.output_layout == rope.layout else f", put out as {rope.output_layout}"
    return f"{part} channels of a head turn{first}, pair i being channels {pair}{out}"


def _listed(counts: Sequence[int]) -> str:
    return ", ".join(map(str, counts[:-1])) + f" and {counts[-1]}"
