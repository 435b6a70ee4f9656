"""Kinds about lengths and stretches: the original length, the advertised one, and the factor."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from ..bands import stretches
from ..scaling import Default, DynamicNTK, Llama3, LongRoPE, YaRN
from .kind import Defect, kind
from .subject import LENGTH, MAXIMUM, Subject
from .words import written


def _tokens(length: int, factor: float) -> int:
    """Return a stretched length; a factor may be absurd."""
    return round(min(length * factor, 2.0**53))


@kind(
    "note",
    "no max_position_embeddings",
    reason="Nothing says how long a text may be: a runtime takes a default of its own, and rules "
    "that need the length cannot be computed.",
    source="ExLlamaV2's config.py takes 2048; Megatron-LM!1418",
)
def length_missing(subject: Subject) -> Iterator[Defect]:
    if subject.limit is None and subject.refusal is None:
        told = [getattr(rope.scaling, LENGTH, None) for rope in subject.ropes.values()]
        factors = [getattr(rope.scaling, "factor", None) for rope in subject.ropes.values()]
        fix = f'add "{MAXIMUM}", the tokens that the model was trained for'
        if told[0] and factors[0]:
            fix = written({MAXIMUM: _tokens(told[0], factors[0])}) + ", the original times the factor"
        yield Defect(f"{MAXIMUM} is missing", fix, (MAXIMUM,))


@kind(
    "warning",
    "no original length for a rule that needs it",
    reason="Transformers puts max_position_embeddings in its place, so that the rule is blended for "
    "another model, and LongRoPE never takes its long list.",
    source="standardize_rope_params of Transformers 5",
)
def original_length_missing(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("original-length-missing"):
        factors = [getattr(rope.scaling, "factor", None) for rope in subject.ropes.values()]
        factor, limit = next((f for f in factors if f), None), subject.limit
        value = round(limit / factor) if limit and factor and factor > 1 else None
        fix = f'add "{LENGTH}", the tokens of the pre-training context, to {subject.home}'
        if value is not None:
            fix = (
                written({LENGTH: value}, subject.home)
                + f" if {MAXIMUM} = {limit} is that length times the factor"
            )
        yield Defect(note.message, fix, (LENGTH, MAXIMUM))


@kind(
    "warning",
    "an original length not below the advertised one",
    reason="The rule stretches from the original to the advertised length; the other way round, "
    "nothing is to be stretched, and LongRoPE's long list is never used.",
    source="validate_rope of Transformers 5",
)
def original_not_below(subject: Subject) -> Iterator[Defect]:
    notes = list(subject.noted("original-not-below"))
    for note in notes:
        yield Defect(note.message, _swapped(subject), (LENGTH, MAXIMUM))
    for _, rope in subject.different_ropes():
        original, limit = getattr(rope.scaling, LENGTH, None), subject.limit
        if notes or original is None or limit is None or isinstance(rope.scaling, Llama3):
            continue
        dead = isinstance(rope.scaling, LongRoPE) and original == limit
        if original > limit or dead:
            message = f"{LENGTH} = {original} is not below {MAXIMUM} = {limit}"
            yield Defect(message, _swapped(subject), (LENGTH, MAXIMUM))


def _swapped(subject: Subject) -> str:
    lengths = [getattr(rope.scaling, LENGTH, None) for rope in subject.ropes.values()]
    original = next(length for length in lengths if length is not None)
    factors = [getattr(rope.scaling, "factor", None) for rope in subject.ropes.values()]
    factor = next((f for f in factors if f), None)
    if factor and factor > 1 and original == subject.limit:
        return written({MAXIMUM: _tokens(original, factor)}) + ", the original times the factor"
    if subject.limit is not None and subject.limit < original < 2 * subject.limit:
        return written({LENGTH: subject.limit}, subject.home) + ", or the length that is right"
    if original != subject.limit:
        return written({LENGTH: subject.limit, MAXIMUM: original}) + ", if the two were exchanged"
    return f'write a "{LENGTH}" below {original}, or "rope_type": "default"'


@kind(
    "warning",
    "a factor that is not the quotient of the lengths",
    reason="Transformers takes the factor, ExLlamaV3 the quotient; they stretch differently.",
    source="transformers#38224; row 5 of docs/differences.md",
)
def factor_disagrees(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("factor-disagrees"):
        for rope in subject.ropes.values():
            original, limit = getattr(rope.scaling, LENGTH, None), subject.limit
            if original and limit and isinstance(rope.scaling, YaRN):
                stretched = _tokens(original, rope.scaling.factor or 1.0)
                fix = (
                    written({"factor": limit / original}, subject.home)
                    + f", or {written({MAXIMUM: stretched})}"
                )
                yield Defect(note.message, fix, ("factor", LENGTH, MAXIMUM))
                break


@kind(
    "note",
    "a stretch without its length",
    reason="max_position_embeddings means the stretched length to some and the original to others: "
    "where it equals the original, ExLlamaV3 scales nothing and servers stop at the original.",
    source="Megatron-LM!1418; row 5 of docs/differences.md",
)
def length_not_stretched(subject: Subject) -> Iterator[Defect]:
    for layer, rope in subject.different_ropes():
        rule, limit = rope.scaling, subject.limit
        if isinstance(rule, YaRN) and rule.factor and rule.factor > 1:
            original = rule.original_max_position_embeddings
            if original == limit:
                yield Defect(
                    f"{subject.of_layer(layer)}{MAXIMUM} is the {LENGTH} {limit}, though the "
                    f"factor is {rule.factor:g}",
                    written({MAXIMUM: _tokens(original, rule.factor)}),
                    (MAXIMUM, LENGTH, "factor"),
                )


@kind(
    "note",
    "no factor",
    reason="It is worked out from two lengths, and changes when somebody edits "
    "max_position_embeddings to serve shorter texts.",
    source="validate_rope of Transformers 5, which recommends to give it; transformers#38224",
)
def factor_missing(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("factor-missing"):
        for rope in subject.ropes.values():
            original, limit = getattr(rope.scaling, LENGTH, None), subject.limit
            if original and limit:
                fix = written({"factor": limit / original}, subject.home)
                yield Defect(note.message, fix, ("factor", LENGTH, MAXIMUM))
                break


@kind(
    "warning",
    "a factor below 1",
    reason="It makes wavelengths shorter, and so the context; often it is the inverse that is meant, "
    "as GGUF's rope_scale and freq_scale are.",
    source="validate_rope of Transformers 5; llama.cpp's --rope-freq-scale",
)
def factor_below_one(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("factor-below-one"):
        for name, values, _ in subject.dictionaries:
            value = values.get("factor")
            if value is not None and value < 1:
                fix = written({"factor": round(1.0 / value, 6)}, name) + ", the inverse"
                yield Defect(note.message, fix, ("factor",))
                break


@kind(
    "warning",
    "a rule that changes nothing",
    reason="With these parameters every frequency and amplitude is that of an unscaled model; "
    "runtimes that compute their own factor may scale all the same.",
    source="the rule's own numbers; row 5 of docs/differences.md",
)
def scaling_without_effect(subject: Subject) -> Iterator[Defect]:
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
    "dynamic NTK with factor 1",
    reason="It does not switch the rule off: the base still grows by the quotient of the lengths as "
    "soon as a text is longer than max_position_embeddings.",
    source="the formula, (s L / L_max - s + 1) with s = 1; Transformers' 'dynamic'",
)
def dynamic_factor_one(subject: Subject) -> Iterator[Defect]:
    for layer, rope in subject.different_ropes():
        if isinstance(rope.scaling, DynamicNTK) and rope.scaling.factor == 1.0:
            yield Defect(
                f"{subject.of_layer(layer)}dynamic with factor 1 scales texts past {MAXIMUM}",
                written({"rope_type": "default"}, subject.home)
                + f", if no scaling is meant; else {written({'factor': 2.0}, subject.home)} or more",
                ("rope_type", "factor"),
            )


@kind(
    "note",
    "a stretch smaller than the quotient of the lengths",
    reason="Pairs that never turned round in the original length reach new angles before the "
    "advertised length ends; the model must have been trained further on long texts.",
    source="Llama 3.1 is made so: factor 8, lengths 131072 / 8192 = 16",
)
def stretch_below_lengths(subject: Subject) -> Iterator[Defect]:
    for layer, rope in subject.different_ropes():
        rule, limit = rope.scaling, subject.reach(layer)
        if not isinstance(rule, Llama3) or limit is None:
            continue
        original = rule.original_max_position_embeddings
        if rule.factor * original < limit:
            yield Defect(
                f"{subject.of_layer(layer)}factor = {rule.factor:g} stretches {original} tokens to "
                f"{_tokens(original, rule.factor)}; {MAXIMUM} is {limit}",
                f"leave it if the model was trained on such lengths; else "
                f"{written({MAXIMUM: _tokens(original, rule.factor)})}, or "
                f"{written({'factor': limit / original}, subject.home)}",
                ("factor", LENGTH, MAXIMUM),
            )
