"""Kinds about where a base comes from: of the whole model, of a type of layers, of a class."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches

from ..formats.transformers.default_thetas import LAYER_THETAS
from ..formats.transformers_models import LAYER_TYPES, ROPE_MODELS
from .kind import Defect, kind
from .subject import Subject
from .words import written

_BASES = ("rope_theta", "rotary_emb_base", "global_rope_theta", "local_rope_theta")


def _bare(subject: Subject) -> bool:
    """Return whether no base stands at the top level."""
    return all(subject.values.get(key) is None for key in _BASES)


@kind(
    "warning",
    reason="A default takes its place, 10000 for most; a dictionary that was replaced as a whole "
    "loses the base so, and perplexity explodes.",
    source="unsloth!7028",
)
def base_missing(subject: Subject) -> Iterator[Defect]:
    """Find no rope_theta."""
    noted = subject.noted("base-missing")
    for note in noted:
        fix = written({"rope_theta": 10000.0}) + ", or the base that the model was trained with"
        yield Defect(note.message, fix, ("rope_theta", "model_type"))
    if noted or not _bare(subject) or subject.model_type not in ROPE_MODELS:
        return
    for name, values, layer in subject.dictionaries:
        if layer is None and values and values.get("rope_theta") is None and subject.ropes:
            base = next(iter(subject.ropes.values())).base
            yield Defect(
                f"{name} has no rope_theta, nor has the top level; {subject.model_type}'s default "
                f"{base:g} is used",
                written({"rope_theta": base}, name)
                + ", or the base that the model was trained with",
                ("rope_theta",),
            )


@kind(
    "warning",
    reason="Layers that differ mostly differ in their base; one that is left out is filled in from "
    "elsewhere, in each implementation otherwise.",
    source="atlas!342, mlx-vlm!1709, mlxcel#1340",
)
def layer_base_missing(subject: Subject) -> Iterator[Defect]:
    """Find parameters of a layer type without a base."""
    for name, values, layer in subject.dictionaries:
        if layer is not None and values.get("rope_theta") is None:
            rope = subject.ropes.get(layer)
            known = LAYER_THETAS.get(subject.model_type or "", {}).get(layer)
            base = known if rope is None else rope.base
            used = "" if base is None else f"; {base:g} is used"
            fix = f"give its rope_theta in {name}"
            if base is not None:
                fix = written({"rope_theta": base}, name) + ", if that is the base of these layers"
            yield Defect(f"{name} has no rope_theta of its own{used}", fix, ("rope_theta",))


@kind(
    "error",
    reason="Where parameters are given by layer type, each type in layer_types needs an entry; "
    "Transformers stops with a KeyError at the first layer without.",
    source="standardize_rope_params of Transformers 5",
)
def layer_parameters_missing(subject: Subject) -> Iterator[Defect]:
    """Find layers without parameters."""
    message = subject.refused("layer_types: expected names out of")
    if message is not None:
        given = {one.layer_type for one in subject.dictionaries}
        home = subject.home.partition("[")[0]
        for layer in sorted(set(subject.values.get("layer_types") or ()) - given):
            entry = {layer: {"rope_type": "default", "rope_theta": 10000.0}}
            fix = f"{written(entry, home)}, with its own base, or null for no rotary embedding"
            yield Defect(message, fix, (home, "layer_types"))
            return
        yield Defect(message, f"give parameters for each of them in {home}", (home, "layer_types"))


@kind(
    "warning",
    reason="Transformers refuses a config that names others; what takes it turns such layers like "
    "those of full attention, or by no rule that is meant.",
    source="validate_layer_type of Transformers 5.24.0",
)
def unknown_layer_type(subject: Subject) -> Iterator[Defect]:
    """Find a type of layers that there is not."""
    listed = subject.values.get("layer_types")
    names = [name for name in listed or () if isinstance(name, str)]
    for name in dict.fromkeys(names):
        if name not in LAYER_TYPES:
            near = get_close_matches(name, LAYER_TYPES, n=1) or ["full_attention"]
            yield Defect(
                f"layer_types has {name!r}, which is no type of layers",
                f'replace "{name}" by "{near[0]}" in layer_types, if those are such layers',
                ("layer_types",),
            )


@kind(
    "error",
    reason="Flat parameters beside those of layers, or in a model whose layers differ, are read by "
    "nobody, or by all layers alike.",
    source="Gemma3TextConfig of Transformers 5; gemma.cpp#986, mlx-vlm!1709",
)
def flat_beside_layers(subject: Subject) -> Iterator[Defect]:
    """Find parameters for all layers where each type has its own."""
    places = ("rope_parameters", "rope_scaling")
    starts = ("expected a dictionary for each of", "expected parameters either for all")
    message = subject.refused(*(f"{place}: {start}" for place in places for start in starts))
    if message is not None:
        place = message.partition(":")[0]
        flat = subject.values.get(place) or subject.values.get("rope_parameters") or {}
        layers = [
            key for key, value in flat.items() if not isinstance(key, str) or _is_layer(value)
        ]
        alone = {key: value for key, value in flat.items() if key not in layers}
        names = layers or sorted(LAYER_THETAS.get(subject.model_type or "", ("full_attention",)))
        fix = f"{written({names[0]: alone}, place)}, and likewise for each layer type"
        yield Defect(message, fix, (place, "layer_types"))


def _is_layer(value: object) -> bool:
    return hasattr(value, "keys")


@kind(
    "note",
    reason="Transformers' class has a rule of its own for a config that gives none; other runtimes "
    "and ropelab take the frequencies unscaled.",
    source="the class's default rope_parameters, Transformers 5.24.0",
)
def rule_left_to_class(subject: Subject) -> Iterator[Defect]:
    """Find a rule that the config class fills in."""
    for note in subject.noted("rule-left-to-class"):
        unscaled = written({"rope_parameters": {"rope_type": "default"}})
        fix = (
            'write the "rope_parameters" of the class\'s config.to_dict() into the config, or '
            f"{unscaled} and the base, if none is meant"
        )
        yield Defect(note.message, fix, ("rope_parameters",))
