"""Kinds about the factor of a rule, and what it does or does not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..bands import stretches
from ..bands.lengths import stretched_length
from ..scaling import Default, DynamicNTK, Llama3, YaRN
from .kind import Defect, kind
from .subject import LENGTH, MAXIMUM, Subject
from .words import written


@kind(
    "warning",
    reason="Transformers takes the factor, ExLlamaV3 the quotient; they stretch differently.",
    source="transformers#38224; row 5 of docs/differences.md",
)
def factor_disagrees(subject: Subject) -> Iterator[Defect]:
    """Find a factor that is not the quotient of the lengths."""
    for note in subject.noted("factor-disagrees"):
        for rope in subject.ropes.values():
            original, limit = getattr(rope.scaling, LENGTH, None), subject.limit
            if original and limit and isinstance(rope.scaling, YaRN):
                stretched = stretched_length(original, rope.scaling.factor or 1.0)
                fix = (
                    written({"factor": limit / original}, subject.home)
                    + f", or {written({MAXIMUM: stretched})}"
                )
                yield Defect(note.message, fix, ("factor", LENGTH, MAXIMUM))
                break


@kind(
    "note",
    reason="It is worked out from two lengths, and changes when somebody edits "
    "max_position_embeddings to serve shorter texts.",
    source="validate_rope of Transformers 5, which recommends to give it; transformers#38224",
)
def factor_missing(subject: Subject) -> Iterator[Defect]:
    """Find no factor."""
    for note in subject.noted("factor-missing"):
        for rope in subject.ropes.values():
            original, limit = getattr(rope.scaling, LENGTH, None), subject.limit
            if original and limit:
                fix = written({"factor": limit / original}, subject.home)
                yield Defect(note.message, fix, ("factor", LENGTH, MAXIMUM))
                break


@kind(
    "warning",
    reason="It makes wavelengths shorter, and so the context; often it is the inverse that is "
    "meant, as GGUF's rope_scale and freq_scale are.",
    source="validate_rope of Transformers 5; llama.cpp's --rope-freq-scale",
)
def factor_below_one(subject: Subject) -> Iterator[Defect]:
    """Find a factor below 1."""
    for note in subject.noted("factor-below-one"):
        for name, values, _ in subject.dictionaries:
            value = values.get("factor")
            if value is not None and value < 1:
                fix = written({"factor": round(1.0 / value, 6)}, name) + ", the inverse"
                yield Defect(note.message, fix, ("factor",))
                break


@kind(
    "warning",
    reason="With these parameters every frequency and amplitude is that of an unscaled model; "
    "runtimes that compute their own factor may scale all the same.",
    source="the rule's own numbers; row 5 of docs/differences.md",
)
def scaling_without_effect(subject: Subject) -> Iterator[Defect]:
    """Find a rule that changes nothing."""
    for layer, rope in subject.different_ropes():
        rule = rope.scaling
        if isinstance(rule, Default) or rule.depends_on_length:
            continue
        spectrum = rope.spectrum()
        factors = (spectrum.attention_factor, spectrum.softmax_factor)
        if np.all(stretches(rope) == 1.0) and factors == (1.0, 1.0):
            yield Defect(
                f"{subject.of_layer(layer)}rope_type {rule.rope_type!r} with factor "
                f"{getattr(rule, 'factor', getattr(rule, 'alpha', 1.0)):g} scales nothing",
                written({"rope_type": "default"}, subject.home)
                + ", or the factor that the context is to be stretched by",
                ("rope_type", "factor"),
            )


@kind(
    "warning",
    reason="It does not switch the rule off: the base still grows by the quotient of the lengths "
    "as soon as a text is longer than max_position_embeddings.",
    source="the formula, (s L / L_max - s + 1) with s = 1; Transformers' 'dynamic'",
)
def dynamic_factor_one(subject: Subject) -> Iterator[Defect]:
    """Find dynamic NTK with factor 1."""
    for layer, rope in subject.different_ropes():
        if isinstance(rope.scaling, DynamicNTK) and rope.scaling.factor == 1.0:
            yield Defect(
                f"{subject.of_layer(layer)}dynamic with factor 1 scales texts past {MAXIMUM}",
                written({"rope_type": "default"}, subject.home)
                + f", or {written({'factor': 2.0}, subject.home)} or more, as is meant",
                ("rope_type", "factor"),
            )


@kind(
    "note",
    reason="Pairs that never turned round in the original length reach new angles before the "
    "advertised length ends; the model must have been trained further on long texts.",
    source="Llama 3.1 is made so: factor 8, lengths 131072 / 8192 = 16",
)
def stretch_below_lengths(subject: Subject) -> Iterator[Defect]:
    """Find a stretch smaller than the quotient of the lengths."""
    for layer, rope, limit in subject.spans():
        rule = rope.scaling
        if not isinstance(rule, Llama3):
            continue
        original = rule.original_max_position_embeddings
        if rule.factor * original < limit:
            yield Defect(
                f"{subject.of_layer(layer)}factor = {rule.factor:g} stretches {original} tokens to "
                f"{stretched_length(original, rule.factor)}; {MAXIMUM} is {limit}",
                f"leave it if the model was trained on such lengths; else "
                f"{written({MAXIMUM: stretched_length(original, rule.factor)})}, or "
                f"{written({'factor': limit / original}, subject.home)}",
                ("factor", LENGTH, MAXIMUM),
            )
