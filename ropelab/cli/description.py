"""A rotary embedding in plain words: its frequencies, its widths, its rule, what turns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from ..bands import completes_turn
from ..bands.lengths import longest_length, telling_lengths
from ..rope import Rope
from ..scaling import Default
from .words import bands_in_words, has_one_list, has_own_progression, of_length, rule_in_words

__all__ = ["describe", "lengths_told"]


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
    return (None,) if has_one_list(rule) else telling_lengths(rope) or (None,)


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
    if rope.scaling.depends_on_length and not has_one_list(rule):
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
