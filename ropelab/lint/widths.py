"""Kinds about channels: the width of a head, the share that turns, and position axes."""

from __future__ import annotations

import math
from collections.abc import Iterator

from ..formats.heads import head_dim_of
from .kind import Defect, kind
from .subject import Subject
from .words import written

_SHARE = "partial_rotary_factor"


def _head_dim(subject: Subject) -> int | None:
    """Return the width of a head where the common keys tell it."""
    try:
        return head_dim_of(subject.values, None)
    except ValueError:
        return None


def _share(turned: int, width: int) -> float:
    """Return the share that readers multiply and cut off to so many channels."""
    share = turned / width
    return share if int(width * share) == turned else math.nextafter(share, 1.0)


@kind(
    "error",
    reason="Without head_dim a head is hidden_size / num_attention_heads channels wide; rounded "
    "down, every frequency and every weight is cut at the wrong place.",
    source="modeling_rope_utils of Transformers 5, which rounds down",
)
def heads_not_dividing(subject: Subject) -> Iterator[Defect]:
    """Find heads that do not divide the hidden size."""
    message = subject.refused("hidden_size: expected a multiple")
    if message is not None:
        hidden = subject.values.get("hidden_size", subject.values.get("n_embd", 0))
        heads = subject.values.get("num_attention_heads", subject.values.get("n_head", 1))
        width = max(2, 2 * round(hidden / heads / 2))
        keys = ("hidden_size", "num_attention_heads", "head_dim")
        fix = f"{written({'head_dim': width})}, or {written({'hidden_size': width * heads})}"
        yield Defect(message, fix, keys)


@kind(
    "error",
    reason="Frequencies are b ** (-2 i / d): without the width d there are none.",
    source="RoFormer, arXiv:2104.09864, equation 15",
)
def head_width_missing(subject: Subject) -> Iterator[Defect]:
    """Find no width of a head."""
    keys = ("hidden_size", "num_attention_heads")
    message = subject.refused(*(f"{key}: a config without head_dim" for key in keys))
    if message is not None:
        fix = f'{written({"head_dim": 128})} if it is that; else "{keys[0]}" and "{keys[1]}"'
        yield Defect(message, fix, ("head_dim", *keys))


@kind(
    "error",
    reason="Channels turn in pairs; of an odd number one is left over, and implementations round "
    "up or down.",
    source="validate_rope of Transformers 5; maxtext#4616",
)
def odd_width(subject: Subject) -> Iterator[Defect]:
    """Find an odd number of rotated channels."""
    message = subject.refused(
        f"{_SHARE}: expected a share", "head_dim: expected an even", "rotary_dim: expected"
    )
    if message is not None:
        key = message.partition(":")[0]
        width, given = _head_dim(subject), subject.values.get(key)
        places = [*(one.values for one in subject.dictionaries), subject.values]
        share = next((place[key] for place in places if place.get(key) is not None), 1.0)
        fix = "give an even head_dim, or an even hidden_size / num_attention_heads"
        if key == _SHARE and width is not None:
            turned = min(max(2, 2 * round(width * share / 2)), width - width % 2)
            fix = f"{written({key: _share(turned, width)})}, which is {turned} of {width} channels"
        elif isinstance(given, int):
            fix = written({key: given + given % 2})
        yield Defect(message, fix, (key,))


@kind(
    "warning",
    reason="Most models of Transformers turn the whole head under an unscaled rule, whatever "
    "partial_rotary_factor says; vLLM honours it everywhere.",
    source="an audit of 44 models in transformers!48652; vllm!30389",
)
def unused_share(subject: Subject) -> Iterator[Defect]:
    """Find a share of channels that the model does not read."""
    for note in subject.noted("unused-share"):
        place = subject.place_of(_SHARE)
        yield Defect(note.message, f'remove "{_SHARE}" from {place}', (_SHARE,))


@kind(
    "note",
    reason="Whether partial_rotary_factor is read under an unscaled rule is fixed in each model's "
    "code, and this one's is not known here.",
    source="variants of modeling files, transformers!48652",
)
def share_by_model(subject: Subject) -> Iterator[Defect]:
    """Find a share of channels that depends on the model's code."""
    for note in subject.noted("share-by-model"):
        fix = f'see in the model\'s code how many channels turn; if all do, remove "{_SHARE}"'
        yield Defect(note.message, fix, (_SHARE, "model_type"))


@kind(
    "warning",
    reason="Three models of Transformers read rotary_dim; in the others it has no effect, and the "
    "width is that of the head or of partial_rotary_factor.",
    source="vllm!43199, onnxruntime-genai!244",
)
def unused_rotary_dim(subject: Subject) -> Iterator[Defect]:
    """Find a rotary_dim that the model does not read."""
    for note in subject.noted("unused-rotary-dim"):
        width, turned = _head_dim(subject), subject.values["rotary_dim"]
        fix = 'remove "rotary_dim"'
        if width is not None and subject.values.get(_SHARE) is None:
            fix += f", or {written({_SHARE: _share(turned, width)})} if the model reads that"
        yield Defect(note.message, fix, ("rotary_dim", _SHARE))


@kind(
    "error",
    reason="mrope_section deals out the rotated pairs to time, height and width: together they are "
    "rotary_dim / 2.",
    source="Qwen2-VL, arXiv:2409.12191; get_rope of vLLM",
)
def mrope_section_misfit(subject: Subject) -> Iterator[Defect]:
    """Find sections of M-RoPE that do not sum."""
    message = subject.refused("mrope_section: ")
    if message is not None:
        width = _head_dim(subject)
        fix = "give three numbers that sum to half the rotated channels"
        if width is not None and not width % 8:
            pairs = width // 2
            first, rest = pairs // 4, pairs - pairs // 4
            sections = [first, rest // 2, rest - rest // 2]
            fix = written({"mrope_section": sections}, subject.home) + f", as Qwen2-VL has {pairs}"
        yield Defect(message, fix, ("mrope_section",))


@kind(
    "warning",
    reason="Text is not affected, since its positions are the same on every axis; images and video "
    "are turned by one axis alone, and no text benchmark notices.",
    source="sglang!34446, MNN!4133",
)
def mrope_unread(subject: Subject) -> Iterator[Defect]:
    """Find position axes that are not read."""
    for note in subject.noted("mrope-unread"):
        fix = f'remove "{note.key}" from {subject.home} if the model reads text alone; else correct'
        yield Defect(note.message, f'{fix} "model_type" or the sections', (note.key, "model_type"))


@kind(
    "warning",
    reason="Whether axes are woven is fixed in the model's code; a runtime that trusts the key "
    "turns other pairs.",
    source="vllm-fork!2117, Qwen3-VL#1800",
)
def unused_mrope_flag(subject: Subject) -> Iterator[Defect]:
    """Find an mrope_interleaved that has no effect."""
    for note in subject.noted("unused-mrope-flag"):
        one = next(one for one in subject.dictionaries if note.key in one.values)
        fix = written({note.key: not one.values[note.key]}, one.name)
        yield Defect(note.message, fix, (note.key, "model_type"))
