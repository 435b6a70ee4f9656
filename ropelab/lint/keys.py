"""Kinds about names: keys that nobody reads, or that are spelled for another version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches

from ..formats.sources import SIGNS
from ..scaling import SCALINGS
from .kind import Defect, kind
from .subject import LENGTH, MAXIMUM, Subject
from .words import joined, written

_RULES = ("linear", "dynamic", "yarn", "longrope", "llama3", "proportional")
_READ = {name: {field.name for field in fields(SCALINGS[name])} for name in _RULES}  # type: ignore[arg-type]
# The rule that a key alone gives away.
_TELLING = {
    "low_freq_factor": "llama3",
    "high_freq_factor": "llama3",
    "short_factor": "longrope",
    "long_factor": "longrope",
    "beta_fast": "yarn",
    "beta_slow": "yarn",
    "mscale": "yarn",
    "mscale_all_dim": "yarn",
    LENGTH: "yarn",
}
_TOP = SIGNS | {LENGTH, MAXIMUM, "head_dim", "hidden_size", "num_attention_heads"}


def _own_type(subject: Subject, key: str) -> str | None:
    """Return the type of the dictionary that a key stands in."""
    for one in subject.dictionaries:
        if key in one.values:
            return one.rope_type
    return None


def _meant(subject: Subject, key: str) -> str | None:
    """Return the parameter that a misspelt key of a dictionary must mean."""
    rule = _own_type(subject, key) or ""
    known = _READ.get(rule, set()) | {"rope_theta", "rope_type", "partial_rotary_factor"}
    given = {name for one in subject.dictionaries for name in one.values}
    if any(key in names for names in _READ.values()):
        return None
    return next(iter(get_close_matches(key, sorted(known - given), n=1, cutoff=0.75)), None)


@kind(
    "warning",
    reason='Transformers logs "Unrecognized keys" and goes on without; users cannot tell whether '
    "that is harmless.",
    source="sglang#2943, Qwen2.5-Omni#373",
)
def ignored_key(subject: Subject) -> Iterator[Defect]:
    """Find a key that the rule does not read."""
    for note in subject.noted("ignored-key"):
        if _meant(subject, note.key) or _own_type(subject, note.key) is None:
            continue
        readers = [name for name, read in _READ.items() if note.key in read]
        fix = f'remove "{note.key}" from {subject.place_of(note.key)}'
        if readers:
            fix += f'; or, if it is meant, write "rope_type": {joined(readers)}, which reads it'
        yield Defect(note.message, fix, (note.key, "rope_type"))


@kind(
    "warning",
    reason="A misspelt key is no key: the value that it gives is not used, and the default is.",
    source="sglang#2943, sglang!14772",
)
def misspelt_key(subject: Subject) -> Iterator[Defect]:
    """Find a key that is nearly another."""
    for note in subject.noted("ignored-key"):
        meant = _meant(subject, note.key)
        if meant is not None:
            place = subject.place_of(note.key)
            yield Defect(note.message, f'rename "{note.key}" to "{meant}" in {place}', (note.key,))
    free = sorted(_TOP - set(subject.values))
    for key in sorted(set(subject.values) - _TOP):
        near = get_close_matches(key, free, n=1, cutoff=0.92)
        if near:
            yield Defect(
                f"{key} is no key that Transformers reads",
                f'rename "{key}" to "{near[0]}"',
                (key,),
            )


@kind(
    "warning",
    reason="Without rope_type the rule is 'default', and no frequency is scaled; older code stops "
    "with a KeyError.",
    source="transformers#32167, KBLaM#37",
)
def rope_type_missing(subject: Subject) -> Iterator[Defect]:
    """Find parameters of a rule without its name."""
    for one in subject.dictionaries:
        typed = one.rope_type is not None
        parameters = [key for key in one.values if any(key in read for read in _READ.values())]
        parameters = [key for key in parameters if key != "attention_factor"]
        if typed or not parameters:
            continue
        guess = next((_TELLING[key] for key in _TELLING if key in parameters), "linear")
        yield Defect(
            f"{one.name}: {', '.join(parameters)} without rope_type is read as 'default', which "
            f"scales nothing",
            written({"rope_type": guess}, one.name),
            ("rope_type", *parameters),
        )


@kind(
    "note",
    reason="Code for the present spelling alone stops with a KeyError, or reads the default.",
    source="transformers#32167, KBLaM#37, vllm!28542",
)
def old_spelling(subject: Subject) -> Iterator[Defect]:
    """Find a spelling of older versions."""
    for name, values, _ in subject.dictionaries:
        old = values.get("type")
        if isinstance(old, str) and values.get("rope_type") is None:
            kind_now = {"su": "longrope", "mrope": "default"}.get(old, old)
            yield Defect(
                f"{name}: the rule is named by type = {old!r} alone",
                written({"rope_type": kind_now}, name) + ' in place of "type"',
                ("type", "rope_type"),
            )
    for old, new in (("rotary_emb_base", "rope_theta"), ("rotary_pct", "partial_rotary_factor")):
        if subject.values.get(old) is not None and subject.values.get(new) is None:
            fix = written({new: subject.values[old]}) + f' in place of "{old}"'
            yield Defect(f"{old} is an old name of {new}", fix, (old, new))


@kind(
    "note",
    reason="vLLM takes a linear factor for a list unless it is a float, and fails; Transformers "
    "warns of an attention_factor that is none.",
    source="vLLM's linear_scaling_rope.py; validate_rope of Transformers 5",
)
def integer_factor(subject: Subject) -> Iterator[Defect]:
    """Find a whole number for a factor."""
    for name, values, _ in subject.dictionaries:
        linear = "linear" in (values.get("rope_type"), values.get("type"))
        for key in ("factor", "attention_factor") if not linear else ("factor",):
            value = values.get(key)
            if isinstance(value, int) and (linear or key == "attention_factor"):
                message = f"{name}: {key} = {value} is an integer"
                yield Defect(message, written({key: float(value)}, name), (key,))
