"""Kinds about one thing said at two places, or at the wrong one."""

from __future__ import annotations

from collections.abc import Iterator

from .kind import Defect, kind
from .subject import Subject


@kind(
    "warning",
    reason="Transformers takes rope_type without a word, vLLM refuses the config, ExLlamaV2 "
    "refuses any that has both.",
    source="standardize_rope_params of Transformers 5; patch_rope_parameters of vLLM; mlxcel!1386",
)
def two_types(subject: Subject) -> Iterator[Defect]:
    """Find rope_type and type name different rules."""
    for note in subject.noted("two-types"):
        place = subject.place_of("type")
        yield Defect(note.message, f'remove "type" from {place}', ("rope_type", "type"))


@kind(
    "warning",
    reason="rope_scaling replaces rope_parameters entirely in Transformers and vLLM; NeMo "
    "Automodel takes the other one.",
    source="convert_rope_params_to_dict of Transformers 5; unsloth!7028",
)
def two_dictionaries(subject: Subject) -> Iterator[Defect]:
    """Find rope_scaling and rope_parameters differ."""
    for note in subject.noted("two-dictionaries"):
        fix = 'remove "rope_parameters", or move what it should say into "rope_scaling"'
        yield Defect(note.message, fix, ("rope_scaling", "rope_parameters"))


@kind(
    "warning",
    reason="The one inside the dictionary wins in Transformers; runtimes that read the top level "
    "turn by the other.",
    source="convert_rope_params_to_dict of Transformers 5; ExLlamaV2's config.py",
)
def two_bases(subject: Subject) -> Iterator[Defect]:
    """Find rope_theta at two places, with two values."""
    for note in subject.noted("two-bases"):
        rope = next(iter(subject.ropes.values()), None)
        used = "the right base" if rope is None else f"{rope.base:g}"
        fix = f'write "rope_theta": {used} at both places, or remove the one at the top level'
        yield Defect(note.message, fix, ("rope_theta",))


@kind(
    "warning",
    reason="Each implementation looks at one of the places first, and not all at the same.",
    source="standardize_rope_params of Transformers 5; transformers#38224",
)
def two_values(subject: Subject) -> Iterator[Defect]:
    """Find one quantity at two places, with two values."""
    for note in subject.noted("two-values"):
        fix = f'keep one "{note.key}", the one that the model was trained with'
        yield Defect(note.message, fix, (note.key,))


@kind(
    "warning",
    reason="A multimodal config is read at its text_config; what stands outside is for nobody.",
    source="get_text_config of Transformers 5",
)
def outside_text_config(subject: Subject) -> Iterator[Defect]:
    """Find keys beside text_config."""
    for note in subject.noted("outside-text-config"):
        fix = f'move "{note.key}" into "text_config"'
        if note.key == "text_config":
            fix = 'remove "num_attention_heads" beside "text_config", or the latter'
        yield Defect(note.message, fix, (note.key,))
