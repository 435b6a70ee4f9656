"""Kinds about runtimes: configs from which one makes other numbers than Transformers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

from ..bands.lengths import telling_lengths
from ..bands.quotients import AGREEMENT, frequency_quotients
from ..formats import read_exllamav2, read_nemo_automodel, read_vllm
from ..formats.findings import Reading
from ..rope import Rope
from ..scaling import DynamicNTK, LlamaCppYaRN, LongRoPE, YaRN
from .kind import Defect, kind
from .subject import MAXIMUM, Subject
from .words import written

# Models that each runtime has, of those whose layers turn alike; None is a config without a name.
_EXLLAMAV2 = frozenset(
    {
        *("cohere", "gemma", "gemma2", "glm4", "granite", "internlm2", "llama", "minicpm"),
        *("mistral", "mixtral", "orion", "phi3", "qwen2", "qwen3", "qwen3_moe", "starcoder2"),
        *("qwen2_vl", "qwen2_5_vl", None),
    }
)
_AUTOMODEL = frozenset({"llama", "qwen2", None})
_ELSEWHERE = "docs/differences.md"


def _told(ours: Rope, theirs: Rope) -> str | None:
    """Return how two rotary embeddings differ, None if they do not."""
    if ours.rotary_dim != theirs.rotary_dim:
        return f"{theirs.rotary_dim} channels turn, and {ours.rotary_dim} in Transformers"
    for length in telling_lengths(ours) or (None,):
        at = "" if length is None else f" at {length} tokens"
        told = _frequencies_told(ours, theirs, at, length)
        if told is not None:
            return told
        one, other = ours.spectrum(length), theirs.spectrum(length)
        for what in ("attention_factor", "softmax_factor"):
            a, b = getattr(one, what), getattr(other, what)
            if abs(b / a - 1.0) > AGREEMENT:
                name = "cos and sin are" if what == "attention_factor" else "the softmax scale is"
                return f"{name} multiplied by {b:.6g}{at}, and by {a:.6g} in Transformers"
    return None


def _frequencies_told(
    ours: Rope, theirs: Rope, at: str = "", length: int | None = None
) -> str | None:
    """Compare frequencies alone."""
    quotients = frequency_quotients(ours, theirs, seq_len=length)
    pair = int(quotients.argmax())
    if quotients[pair] <= 1.0 + AGREEMENT:
        return None
    return (
        f"{int((quotients > 1.0 + AGREEMENT).sum())} of {quotients.size} frequencies differ{at}, "
        f"that of pair {pair} by {quotients[pair]:.4g} times"
    )


def _compared(
    subject: Subject, read: Callable[[str | None], Reading], mend: Callable[[Rope], str]
) -> Iterator[Defect]:
    """Compare layer by layer; what a reader refuses for want of a key is no difference."""
    several = len(list(subject.different_ropes())) > 1
    for layer, rope in subject.different_ropes():
        words = subject.of_layer(layer)
        try:
            theirs = read(layer if several else None).rope
        except (TypeError, ValueError) as error:
            if str(error).startswith("rope_type:"):
                yield Defect(f"{words}refused there: {error}", mend(rope), ("rope_type",))
            continue
        if theirs is None or theirs.head_dim != rope.head_dim:
            continue
        if theirs.rotary_dim != rope.rotary_dim and subject.values.get("rotary_dim") is not None:
            continue  # their models' code reads it, not what is shared
        told = _told(rope, theirs)
        if told is not None:
            yield Defect(f"{words}{told}", mend(rope), ("rope_type", "rope_theta"))


@kind(
    "note",
    reason="Dynamic NTK needs a key of vLLM's own there, LongRoPE's list is chosen once for the "
    "whole engine, M-RoPE makes YaRN's original length four times as long.",
    source=f"rotary_embedding of vLLM 0.33; rows 4, 14 and 24 of {_ELSEWHERE}",
)
def differs_in_vllm(subject: Subject) -> Iterator[Defect]:
    """Find vLLM reads it differently."""

    def _mend(rope: Rope) -> str:
        if isinstance(rope.scaling, DynamicNTK) and subject.limit:
            trained = written({"max_trained_positions": subject.limit}, subject.home)
            longest = written({MAXIMUM: int(min(rope.scaling.factor, 2**20) * subject.limit)})
            return f"for vLLM alone, {trained} and {longest}: it then scales at every length"
        if isinstance(rope.scaling, LongRoPE):
            original = rope.scaling.original_max_position_embeddings
            return (
                f"start vLLM with max_model_len {original} for short texts, and with "
                f"{subject.limit} for long ones alone"
            )
        return "evaluate the model as vLLM serves it: ropelab.from_vllm gives that rope"

    def _read(layer: str | None) -> Reading:
        return read_vllm(subject.given, layer_type=layer)

    yield from _compared(subject, _read, _mend)


@kind(
    "note",
    reason="YaRN's ramp is by the loaded length and its keys are not read, dynamic NTK is ignored, "
    "LongRoPE's amplitude goes by the loaded length, and frequencies of Qwen2-VL and Qwen2.5-VL "
    "are kept in float16.",
    source=f"rope.py of ExLlamaV2 0.3.2; rows 1, 6, 7, 20, 21, 27 and 28 of {_ELSEWHERE}",
)
def differs_in_exllamav2(subject: Subject) -> Iterator[Defect]:
    """Find ExLlamaV2 reads it differently."""

    def _mend(rope: Rope) -> str:
        if isinstance(rope.scaling, DynamicNTK):
            alpha = rope.scaling.factor**2 - rope.scaling.factor + 1.0
            return f"load it with scale_alpha_value {alpha:g}, which is dynamic's base at its end"
        new = subject.values.get("rope_parameters")
        if new and not subject.values.get("rope_scaling"):
            rule = {key: value for key, value in new.items() if key != "rope_theta"}
            old = {"rope_theta": rope.base, "rope_scaling": rule}
            return f"{written(old)}, at the top level, where ExLlamaV2 looks"
        return "evaluate it as ExLlamaV2 loads it: ropelab.from_exllamav2 gives that rope"

    def _read(_: str | None) -> Reading:
        return read_exllamav2(subject.given)

    if subject.model_type in _EXLLAMAV2 and len(set(subject.ropes.values())) == 1:
        yield from _compared(subject, _read, _mend)


@kind(
    "note",
    reason="It asks for frequencies once, without a length: dynamic NTK never scales and LongRoPE "
    "never takes its long list; and a share inside the dictionary is not read.",
    source=f"rope_utils.py of NeMo Automodel; rows 14 and 19 of {_ELSEWHERE}",
)
def differs_in_nemo_automodel(subject: Subject) -> Iterator[Defect]:
    """Find NeMo Automodel's Llama code reads it differently."""

    def _mend(_: Rope) -> str:
        inner: dict[str, Any] = {}
        for one in subject.dictionaries:
            inner |= one.values
        share = inner.get("partial_rotary_factor")
        if share is not None:
            return written({"partial_rotary_factor": share}) + ", at the top level, too"
        return "train with texts as long as its frozen rule allows: ropelab.from_nemo_automodel"

    def _read(_: str | None) -> Reading:
        return read_nemo_automodel(subject.values)

    if subject.model_type in _AUTOMODEL and len(set(subject.ropes.values())) == 1:
        yield from _compared(subject, _read, _mend)


@kind(
    "note",
    reason="The ends of the ramp are rounded to whole pairs always, and loaders of most "
    "architectures read no betas from a file.",
    source=f"ggml_rope_yarn_corr_dims of llama.cpp; rows 10 and 13 of {_ELSEWHERE}",
)
def differs_in_llama_cpp(subject: Subject) -> Iterator[Defect]:
    """Find YaRN is computed differently by llama.cpp."""
    betas = subject.model_type in ("ministral3", "mistral3")
    for layer, rope in subject.different_ropes():
        rule = rope.scaling
        if not isinstance(rule, YaRN):
            continue
        stretch, original = rule.stretch(rope), rule.original_max_position_embeddings
        given = (rule.beta_fast, rule.beta_slow) if betas else (32.0, 1.0)
        theirs = replace(rope, scaling=LlamaCppYaRN(1.0 / stretch, original, 1.0, 1.0, *given))
        told = _frequencies_told(rope, theirs)
        if told is not None:
            wanted = {"truncate": True, "beta_fast": given[0], "beta_slow": given[1]}
            yield Defect(
                f"{subject.of_layer(layer)}{told}",
                f"evaluate the converted file by itself; or train with a rule that both have, "
                f"{written(wanted, subject.home)}",
                ("truncate", "beta_fast", "beta_slow", MAXIMUM),
            )
