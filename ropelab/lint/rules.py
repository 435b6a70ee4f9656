"""Kinds about the parameters of other rules: missing ones, Llama 3, LongRoPE, proportional."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from ..scaling import LongRoPE, Proportional
from .kind import Defect, kind
from .subject import LENGTH, MAXIMUM, Subject
from .words import written

# What published models have, where a rule lacks a parameter that cannot be worked out.
_USUAL: dict[str, Any] = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 4.0}
_FACTORS = ("short_factor", "long_factor")


@kind(
    "error",
    reason="Transformers stops with a KeyError; runtimes that go on take a default that the model "
    "was not trained with.",
    source="validate_rope of Transformers 5; sglang!14772, aiter!4742",
)
def parameter_missing(subject: Subject) -> Iterator[Defect]:
    """Find a parameter missing that the rule needs."""
    message = subject.refused(*(f"{one.name}: " for one in subject.dictionaries)) or ""
    found = re.search(r"rope_type '(\w+)' needs ([\w, ]+)", message)
    if found is not None:
        keys, place = found[2].removesuffix(", though").split(", "), message.partition(":")[0]
        fixes = [_fix_of(key, place, subject) for key in keys]
        yield Defect(message, "; ".join(fixes), tuple(keys))


def _fix_of(key: str, place: str, subject: Subject) -> str:
    """Return where a missing parameter may be found: misspelt, by the lengths, or as usual."""
    unread = [note.key for note in subject.noted("ignored-key")]
    near = get_close_matches(key, unread, n=1, cutoff=0.75)
    if near:
        return f'rename "{near[0]}" to "{key}" in {place}'
    values = {
        **subject.values,
        **{k: v for one in subject.dictionaries for k, v in one.values.items()},
    }
    original, limit = values.get(LENGTH), subject.limit
    if key == "factor" and isinstance(original, int) and limit and 0 < original < limit:
        return written({key: limit / original}, place)
    if key in _USUAL:
        return f"{written({key: _USUAL[key]}, place)}, as most have it"
    return f'add "{key}" from the checkpoint\'s own config to {place}'


@kind(
    "error",
    reason="Pairs that turn high_freq_factor times in the original length are kept, those of "
    "low_freq_factor stretched: exchanged, no pair is between them.",
    source="apply_scaling of meta-llama/llama-models; validate_rope of Transformers 5",
)
def llama3_factors_reversed(subject: Subject) -> Iterator[Defect]:
    """Find Llama 3's two factors exchanged."""
    message = subject.refused("high_freq_factor: expected at least")
    if message is not None:
        for name, values, _ in subject.dictionaries:
            low, high = values.get("low_freq_factor"), values.get("high_freq_factor")
            fix = written({"low_freq_factor": high, "high_freq_factor": low}, name)
            yield Defect(message, fix, ("low_freq_factor", "high_freq_factor"))


@kind(
    "note",
    reason="The rule becomes a step from kept to stretched pairs; the closed form of some kernels "
    "divides by their difference, zero.",
    source="flashinfer's pos_enc.cuh; Llama 4 Scout is published so",
)
def llama3_step(subject: Subject) -> Iterator[Defect]:
    """Find Llama 3's two factors equal."""
    for note in subject.noted("llama3-step"):
        fix = f"leave it for Llama 4; else {written({'high_freq_factor': 4.0}, subject.home)}"
        yield Defect(note.message, fix, ("low_freq_factor", "high_freq_factor"))


@kind(
    "error",
    reason="Each rotated pair has a factor of its own: rotary_dim / 2 numbers, all positive.",
    source="validate_rope of Transformers 5; mlxcel#1358",
)
def longrope_list_misfit(subject: Subject) -> Iterator[Defect]:
    """Find a list of LongRoPE that does not fit."""
    message = subject.refused("short_factor: ", "long_factor: ", f"{LENGTH}: LongRoPE")
    if message is not None:
        key = message.partition(":")[0]
        wanted = re.search(r"expected (\d+ numbers)", message)
        fix = f'give "{key}" {wanted[1] if wanted else "positive numbers, one a rotated pair"}'
        if key == LENGTH:
            fix = f"write the tokens of the pre-training context as {LENGTH}"
        yield Defect(message, f"{fix}, from the checkpoint's own config", (key,))


@kind(
    "warning",
    reason="The search allows no slower pair a smaller factor than a faster one; a list that falls "
    "is cut, sorted or mixed up.",
    source="LongRoPE, arXiv:2402.13753, section 3.2",
)
def longrope_list_descends(subject: Subject) -> Iterator[Defect]:
    """Find a list of LongRoPE that descends."""
    for layer, rope in subject.different_ropes():
        for key in _FACTORS if isinstance(rope.scaling, LongRoPE) else ():
            factors = list(getattr(rope.scaling, key))
            fall = next((i for i in range(1, len(factors)) if factors[i] < factors[i - 1]), None)
            if fall is not None:
                yield Defect(
                    f"{subject.of_layer(layer)}{key} falls from {factors[fall - 1]:g} to "
                    f"{factors[fall]:g} at pair {fall}",
                    f'compare "{key}" with the checkpoint\'s own; at pair {fall} at least '
                    f"{json.dumps(factors[fall - 1])} is expected",
                    (key,),
                )


@kind(
    "note",
    reason="Past the original length, Transformers 4 turns by the long list and Transformers 5 by "
    "the short one.",
    source="modeling_phimoe.py of Transformers 4.57.6 and 5.23.0",
)
def list_by_version(subject: Subject) -> Iterator[Defect]:
    """Find a list that two versions take differently."""
    for note in subject.noted("list-by-version"):
        fix = (
            f"pin the version that the model is evaluated with, or serve it within "
            f'"{MAXIMUM}": {subject.values.get(LENGTH) or "the original length"}'
        )
        yield Defect(note.message, fix, ("long_factor", "short_factor"))


@kind(
    "warning",
    reason="The share of pairs that turn is what the rule is for; implemented as an ordinary "
    "partial width, text degrades as it grows.",
    source="neuronx-distributed-inference!106; validate_rope of Transformers 5",
)
def proportional_share_missing(subject: Subject) -> Iterator[Defect]:
    """Find proportional without a share."""
    for note in subject.noted("proportional-share-missing"):
        rules = [rope.scaling for rope in subject.ropes.values()]
        if any(isinstance(rule, Proportional) for rule in rules):
            fix = written({"partial_rotary_factor": 0.25}, subject.home) + ", as Gemma 4 has it"
            yield Defect(note.message, fix, ("partial_rotary_factor",))
