"""Kinds about names: keys that nobody reads, and two keys that say the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from difflib import get_close_matches

from ..formats.findings import Finding
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


def _unread(subject: Subject) -> Iterator[Finding]:
    return subject.noted("ignored-key")


@kind(
    "warning",
    "a key that the rule does not read",
    reason='Transformers logs "Unrecognized keys" and goes on without; users cannot tell whether '
    "that is harmless.",
    source="sglang#2943, Qwen2.5-Omni#373",
)
def ignored_key(subject: Subject) -> Iterator[Defect]:
    for note in _unread(subject):
        if _meant(subject, note.key) or _own_type(subject, note.key) is None:
            continue
        readers = [name for name, read in _READ.items() if note.key in read]
        fix = f'remove "{note.key}" from {subject.place_of(note.key)}'
        if readers:
            fix += f'; or, if it is meant, write "rope_type": {joined(readers)}, which reads it'
        yield Defect(note.message, fix, (note.key, "rope_type"))


@kind(
    "warning",
    "a key that is nearly another",
    reason="A misspelt key is no key: the value that it gives is not used, and the default is.",
    source="mechanism M10 of the catalogue of bugs; sglang#2943",
)
def misspelt_key(subject: Subject) -> Iterator[Defect]:
    for note in _unread(subject):
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
    "parameters of a rule without its name",
    reason="Without rope_type the rule is 'default', and no frequency is scaled; older code stops "
    "with a KeyError.",
    source="transformers#32167, KBLaM#37",
)
def rope_type_missing(subject: Subject) -> Iterator[Defect]:
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
    "warning",
    "rope_type and type name different rules",
    reason="Transformers takes rope_type without a word, vLLM refuses the config, ExLlamaV2 "
    "refuses any that has both.",
    source="standardize_rope_params of Transformers 5; patch_rope_parameters of vLLM; mlxcel!1386",
)
def two_types(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("two-types"):
        place = subject.place_of("type")
        yield Defect(note.message, f'remove "type" from {place}', ("rope_type", "type"))


@kind(
    "warning",
    "rope_scaling and rope_parameters differ",
    reason="rope_scaling replaces rope_parameters entirely in Transformers and vLLM; NeMo Automodel "
    "takes the other one.",
    source="convert_rope_params_to_dict of Transformers 5; unsloth!7028",
)
def two_dictionaries(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("two-dictionaries"):
        fix = 'remove "rope_parameters", or move what it should say into "rope_scaling"'
        yield Defect(note.message, fix, ("rope_scaling", "rope_parameters"))


@kind(
    "warning",
    "rope_theta at two places, with two values",
    reason="The one inside the dictionary wins in Transformers; runtimes that read the top level "
    "turn by the other.",
    source="convert_rope_params_to_dict of Transformers 5; ExLlamaV2's config.py",
)
def two_bases(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("two-bases"):
        rope = next(iter(subject.ropes.values()), None)
        used = "the right base" if rope is None else f"{rope.base:g}"
        fix = f'write "rope_theta": {used} at both places, or remove the one at the top level'
        yield Defect(note.message, fix, ("rope_theta",))


@kind(
    "warning",
    "one quantity at two places, with two values",
    reason="Each implementation looks at one of the places first, and not all at the same.",
    source="standardize_rope_params of Transformers 5; transformers#38224",
)
def two_values(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("two-values"):
        fix = f'keep one "{note.key}", the one that the model was trained with'
        yield Defect(note.message, fix, (note.key,))


@kind(
    "warning",
    "keys beside text_config",
    reason="A multimodal config is read at its text_config; what stands outside is for nobody.",
    source="get_text_config of Transformers 5",
)
def outside_text_config(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("outside-text-config"):
        fix = f'move "{note.key}" into "text_config"'
        if note.key == "text_config":
            fix = 'remove "num_attention_heads" beside "text_config", or the latter'
        yield Defect(note.message, fix, (note.key,))


@kind(
    "note",
    "a spelling of older versions",
    reason="Code for the present spelling alone stops with a KeyError, or reads the default.",
    source="transformers#32167, KBLaM#37, vllm!28542",
)
def old_spelling(subject: Subject) -> Iterator[Defect]:
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
    "a whole number for a factor",
    reason="vLLM takes a linear factor for a list unless it is a float, and fails; Transformers "
    "warns of an attention_factor that is none.",
    source="vLLM's linear_scaling_rope.py; validate_rope of Transformers 5",
)
def integer_factor(subject: Subject) -> Iterator[Defect]:
    for name, values, _ in subject.dictionaries:
        linear = "linear" in (values.get("rope_type"), values.get("type"))
        for key in ("factor", "attention_factor") if not linear else ("factor",):
            value = values.get(key)
            if isinstance(value, int) and (linear or key == "attention_factor"):
                message = f"{name}: {key} = {value} is an integer"
                yield Defect(message, written({key: float(value)}, name), (key,))
