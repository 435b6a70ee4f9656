"""Kinds about the parameters of single rules: YaRN, LongRoPE, Llama 3, proportional."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from typing import Any

from ..formats.transformers_models import SCALES_SOFTMAX
from ..scaling import LongRoPE, Proportional, YaRN
from ..scaling.magnitude import yarn_magnitude
from .kind import Defect, kind
from .subject import LENGTH, MAXIMUM, Subject
from .words import written

# What published models have, where a rule lacks a parameter that cannot be worked out.
_USUAL: dict[str, Any] = {"low_freq_factor": 1.0, "high_freq_factor": 4.0, "factor": 4.0}
_FACTORS = ("short_factor", "long_factor")
_ROUNDING = 1e-6  # decimals that a config was written with


@kind(
    "error",
    "a parameter missing that the rule needs",
    reason="Transformers stops with a KeyError; runtimes that go on take a default that the model "
    "was not trained with.",
    source="validate_rope of Transformers 5; sglang!14772, aiter!4742",
)
def parameter_missing(subject: Subject) -> Iterator[Defect]:
    message = subject.refused(*(f"{one.name}: " for one in subject.dictionaries)) or ""
    found = re.search(r"rope_type '(\w+)' needs ([\w, ]+)", message)
    if found is None:
        return
    keys, place = found[2].removesuffix(", though").split(", "), message.partition(":")[0]
    usual = {key: _USUAL[key] for key in keys if key in _USUAL}
    original, limit = subject.values.get(LENGTH), subject.limit
    values = {key: value for one in subject.dictionaries for key, value in one.values.items()}
    original = values.get(LENGTH, original)
    if "factor" in usual and isinstance(original, int) and limit and original < limit:
        usual["factor"] = limit / original
    for note in subject.noted("ignored-key"):
        near = get_close_matches(note.key, keys, n=1, cutoff=0.75)
        if near:
            usual.pop(near[0], None)
            keys.remove(near[0])
            yield Defect(message, f'rename "{note.key}" to "{near[0]}" in {place}', (note.key, *near))
    others = [key for key in keys if key not in usual]
    if not keys:
        return
    fix = written(usual, place) if usual else ""
    if others:
        fix += f"{' and ' if fix else ''}add {', '.join(others)} from the model's own config"
    yield Defect(message, fix, tuple(keys))


@kind(
    "error",
    "Llama 3's two factors exchanged",
    reason="Pairs that turn high_freq_factor times in the original length are kept, those of "
    "low_freq_factor stretched: exchanged, no pair is between them.",
    source="apply_scaling of meta-llama/llama-models; validate_rope of Transformers 5",
)
def llama3_factors_reversed(subject: Subject) -> Iterator[Defect]:
    message = subject.refused("high_freq_factor: expected at least")
    if message is not None:
        for name, values, _ in subject.dictionaries:
            low, high = values.get("low_freq_factor"), values.get("high_freq_factor")
            fix = written({"low_freq_factor": high, "high_freq_factor": low}, name)
            yield Defect(message, fix, ("low_freq_factor", "high_freq_factor"))


@kind(
    "note",
    "Llama 3's two factors equal",
    reason="The rule becomes a step from kept to stretched pairs; the closed form of some kernels "
    "divides by their difference, zero.",
    source="flashinfer's pos_enc.cuh; Llama 4 Scout is published so",
)
def llama3_step(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("llama3-step"):
        fix = f"leave it for Llama 4; else {written({'high_freq_factor': 4.0}, subject.home)}"
        yield Defect(note.message, fix, ("low_freq_factor", "high_freq_factor"))


@kind(
    "error",
    "YaRN's two betas exchanged",
    reason="beta_fast is the larger number of turns, from which pairs are kept; one repository had "
    "both conventions.",
    source="torchtitan!3787; validate_rope of Transformers 5",
)
def yarn_betas_reversed(subject: Subject) -> Iterator[Defect]:
    message = subject.refused("beta_fast: expected at least")
    if message is not None:
        for name, values, _ in subject.dictionaries:
            fast, slow = values.get("beta_fast", 32.0), values.get("beta_slow", 1.0)
            fix = written({"beta_fast": slow, "beta_slow": fast}, name)
            yield Defect(message, fix, ("beta_fast", "beta_slow"))


@kind(
    "warning",
    "one of mscale and mscale_all_dim alone",
    reason="Transformers reads the pair only if both are there and not 0; DeepSeek's own code and "
    "vLLM read each by itself.",
    source="modeling_rope_utils of Transformers 5; Megatron-LM#1429, vllm#48621",
)
def mscale_alone(subject: Subject) -> Iterator[Defect]:
    for _, rope in subject.different_ropes():
        rule = rope.scaling
        if not isinstance(rule, YaRN) or rule.attention_factor is not None:
            continue
        over, under = rule.mscale, rule.mscale_all_dim
        factor = rule.stretch(rope)
        one = 1.0 if over is None else over
        quotient = yarn_magnitude(factor, one) / yarn_magnitude(factor, under or 0.0)
        used = rope.spectrum().attention_factor
        if bool(over) != bool(under) and abs(quotient - used) > _ROUNDING:
            key, other = ("mscale", "mscale_all_dim") if over else ("mscale_all_dim", "mscale")
            yield Defect(
                f"{key} = {over or under:g} without {other} is not read: cos and sin are "
                f"multiplied by {used:.7g}, and by {quotient:.7g} elsewhere",
                f"{written({'attention_factor': quotient}, subject.home)}, or remove {key!r}",
                (key, other, "attention_factor"),
            )


@kind(
    "warning",
    "a model that scales its softmax, without mscale_all_dim",
    reason="The scale of the softmax takes the square of 0.1 mscale_all_dim ln s + 1; without the "
    "key it is left out, and logits are off by up to 93 %.",
    source="mobius!548, exllamav3#259; DeepSeek-V3's modeling code",
)
def softmax_mscale_missing(subject: Subject) -> Iterator[Defect]:
    if subject.model_type not in SCALES_SOFTMAX:
        return
    for layer, rope in subject.different_ropes():
        rule = rope.scaling
        if isinstance(rule, YaRN) and not rule.mscale_all_dim and rule.stretch(rope) > 1:
            yield Defect(
                f"{subject.of_layer(layer)}mscale_all_dim is missing: the softmax of "
                f"{subject.model_type} is not scaled, and cos and sin are multiplied by "
                f"{rope.spectrum().attention_factor:.7g}",
                written({"mscale": 1.0, "mscale_all_dim": 1.0}, subject.home)
                + ", as DeepSeek-V3 has them",
                ("mscale_all_dim", "mscale"),
            )


@kind(
    "note",
    "an attention_factor of its own",
    reason="Runtimes that pick keys from a list drop it and compute the usual one, which multiplies "
    "every score by the square of the quotient.",
    source="vllm!46280, vllm!48351, mlx-lm!1507",
)
def attention_factor_given(subject: Subject) -> Iterator[Defect]:
    for layer, rope in subject.different_ropes():
        rule = rope.scaling
        if isinstance(rule, YaRN) and rule.attention_factor is not None:
            usual = yarn_magnitude(rule.stretch(rope))
            if abs(rule.attention_factor - usual) > _ROUNDING:
                yield Defect(
                    f"{subject.of_layer(layer)}attention_factor = {rule.attention_factor:g} "
                    f"replaces 0.1 ln s + 1 = {usual:.7g}",
                    f"check that the runtime reads it; if it is not meant, "
                    f"{written({'attention_factor': usual}, subject.home)} or remove it",
                    ("attention_factor", "factor"),
                )


@kind(
    "warning",
    "cos and sin made smaller",
    reason="YaRN's and LongRoPE's amplitudes grow with the stretch, since attention over more "
    "tokens must be sharper; below 1 it gets flatter instead.",
    source="YaRN, arXiv:2309.00071, section 3.4; LongRoPE, arXiv:2402.13753",
)
def attention_factor_below_one(subject: Subject) -> Iterator[Defect]:
    for layer, rope in subject.different_ropes():
        length = subject.limit if rope.scaling.depends_on_length else None
        amplitudes = [rope.spectrum(one).attention_factor for one in {None, length}]
        if min(amplitudes) < 1.0 - _ROUNDING:
            yield Defect(
                f"{subject.of_layer(layer)}cos and sin are multiplied by {min(amplitudes):.7g}",
                f'remove "attention_factor", "mscale" and "mscale_all_dim" from {subject.home}, or '
                f"{written({'attention_factor': 1.0}, subject.home)}",
                ("attention_factor", "mscale", "mscale_all_dim"),
            )


@kind(
    "warning",
    "truncate where nobody looks",
    reason="Transformers reads truncate beside the layer types, so that inside one the ends of the "
    "ramp are rounded all the same: log-probabilities do not match.",
    source="modeling_rope_utils of Transformers 5; vllm#27722",
)
def truncate_unread(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("truncate-unread"):
        fix = 'give one flat dictionary with "truncate": false, or remove it'
        yield Defect(note.message, fix, ("truncate",))


@kind(
    "error",
    "a list of LongRoPE that does not fit",
    reason="Each rotated pair has a factor of its own: rotary_dim / 2 numbers, all positive.",
    source="validate_rope of Transformers 5; mlxcel#1358",
)
def longrope_list_misfit(subject: Subject) -> Iterator[Defect]:
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
    "a list of LongRoPE that descends",
    reason="The search allows no slower pair a smaller factor than a faster one; a list that falls "
    "is cut, sorted or mixed up.",
    source="LongRoPE, arXiv:2402.13753, section 3.2",
)
def longrope_list_descends(subject: Subject) -> Iterator[Defect]:
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
    "a list that two versions take differently",
    reason="Past the original length, Transformers 4 turns by the long list and Transformers 5 by "
    "the short one.",
    source="modeling_phimoe.py of Transformers 4.57.6 and 5.23.0",
)
def list_by_version(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("list-by-version"):
        fix = (
            f"pin the version that the model is evaluated with, or serve it within "
            f'"{MAXIMUM}": {subject.values.get(LENGTH) or "the original length"}'
        )
        yield Defect(note.message, fix, ("long_factor", "short_factor"))


@kind(
    "warning",
    "proportional without a share",
    reason="The share of pairs that turn is what the rule is for; implemented as an ordinary "
    "partial width, text degrades as it grows.",
    source="neuronx-distributed-inference!106; validate_rope of Transformers 5",
)
def proportional_share_missing(subject: Subject) -> Iterator[Defect]:
    for note in subject.noted("proportional-share-missing"):
        rules = [rope.scaling for rope in subject.ropes.values()]
        if any(isinstance(rule, Proportional) for rule in rules):
            fix = written({"partial_rotary_factor": 0.25}, subject.home) + ", as Gemma 4 has it"
            yield Defect(note.message, fix, ("partial_rotary_factor",))
