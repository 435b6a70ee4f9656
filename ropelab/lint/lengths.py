"""Kinds about lengths: the original and the advertised one."""

from __future__ import annotations

from collections.abc import Iterator

from ..bands.lengths import stretched_length
from ..scaling import Llama3, LongRoPE, YaRN
from .kind import Defect, kind
from .subject import LENGTH, MAXIMUM, Subject
from .words import written


@kind(
    "note",
    reason="Nothing says how long a text may be: a runtime takes a default of its own, and rules "
    "that need the length cannot be computed.",
    source="ExLlamaV2's config.py takes 2048; Megatron-LM!1418",
)
def length_missing(subject: Subject) -> Iterator[Defect]:
    """Find no max_position_embeddings."""
    if subject.limit is None and subject.refusal is None:
        told = [getattr(rope.scaling, LENGTH, None) for rope in subject.ropes.values()]
        factors = [getattr(rope.scaling, "factor", None) for rope in subject.ropes.values()]
        fix = f'add "{MAXIMUM}", the tokens that the model was trained for'
        if told[0] and factors[0]:
            fix = _by_the_factor(told[0], factors[0])
        yield Defect(f"{MAXIMUM} is missing", fix, (MAXIMUM,))


@kind(
    "warning",
    reason="Transformers puts max_position_embeddings in its place, so that the rule is blended "
    "for another model, and LongRoPE never takes its long list.",
    source="standardize_rope_params of Transformers 5",
)
def original_length_missing(subject: Subject) -> Iterator[Defect]:
    """Find no original length for a rule that needs it."""
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
    reason="The rule stretches from the original to the advertised length; the other way round, "
    "nothing is to be stretched, and LongRoPE's long list is never used.",
    source="validate_rope of Transformers 5",
)
def original_not_below(subject: Subject) -> Iterator[Defect]:
    """Find an original length not below the advertised one."""
    notes = subject.noted("original-not-below")
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


def _by_the_factor(original: int, factor: float) -> str:
    return f"{written({MAXIMUM: stretched_length(original, factor)})}, the original times the factor"


def _swapped(subject: Subject) -> str:
    lengths = [getattr(rope.scaling, LENGTH, None) for rope in subject.ropes.values()]
    original = next(length for length in lengths if length is not None)
    factors = [getattr(rope.scaling, "factor", None) for rope in subject.ropes.values()]
    factor = next((f for f in factors if f), None)
    if factor and factor > 1 and original == subject.limit:
        return _by_the_factor(original, factor)
    if subject.limit is not None and subject.limit < original < 2 * subject.limit:
        return written({LENGTH: subject.limit}, subject.home) + ", or the length that is right"
    if original != subject.limit:
        return written({LENGTH: subject.limit, MAXIMUM: original}) + ", if the two were exchanged"
    return f'write a "{LENGTH}" below {original}, or "rope_type": "default"'


@kind(
    "note",
    reason="max_position_embeddings means the stretched length to some and the original to others: "
    "where it equals the original, ExLlamaV3 scales nothing and servers stop at the original.",
    source="Megatron-LM!1418; row 5 of docs/differences.md",
)
def length_not_stretched(subject: Subject) -> Iterator[Defect]:
    """Find a stretch without its length."""
    for layer, rope in subject.different_ropes():
        rule, limit = rope.scaling, subject.limit
        if isinstance(rule, YaRN) and rule.factor and rule.factor > 1:
            original = rule.original_max_position_embeddings
            if original == limit:
                yield Defect(
                    f"{subject.of_layer(layer)}{MAXIMUM} is the {LENGTH} {limit}, though the "
                    f"factor is {rule.factor:g}",
                    written({MAXIMUM: stretched_length(original, rule.factor)}),
                    (MAXIMUM, LENGTH, "factor"),
                )
