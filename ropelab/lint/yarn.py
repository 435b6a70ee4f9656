"""Kinds about YaRN: its ramp, and what it multiplies cos, sin and the softmax by."""

from __future__ import annotations

from collections.abc import Iterator

from ..formats.transformers_models import SCALES_SOFTMAX
from ..scaling import YaRN
from ..scaling.magnitude import yarn_magnitude
from .kind import Defect, kind
from .subject import Subject
from .words import written

_ROUNDING = 1e-6  # decimals that a config was written with


@kind(
    "error",
    reason="beta_fast is the larger number of turns, from which pairs are kept; one repository had "
    "both conventions.",
    source="torchtitan!3787; validate_rope of Transformers 5",
)
def yarn_betas_reversed(subject: Subject) -> Iterator[Defect]:
    """Find YaRN's two betas exchanged."""
    message = subject.refused("beta_fast: expected at least")
    if message is not None:
        for name, values, _ in subject.dictionaries:
            fast, slow = values.get("beta_fast", 32.0), values.get("beta_slow", 1.0)
            fix = written({"beta_fast": slow, "beta_slow": fast}, name)
            yield Defect(message, fix, ("beta_fast", "beta_slow"))


@kind(
    "warning",
    reason="Transformers reads the pair only if both are there and not 0; DeepSeek's own code "
    "reads each by itself.",
    source="modeling_rope_utils of Transformers 5; Megatron-LM#1429, vllm#48621",
)
def mscale_alone(subject: Subject) -> Iterator[Defect]:
    """Find one of mscale and mscale_all_dim alone."""
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
    reason="The scale of the softmax takes the square of 0.1 mscale_all_dim ln s + 1; without the "
    "key it is left out, and logits are off by up to 93 %.",
    source="mobius!548, exllamav3#259; DeepSeek-V3's modeling code",
)
def softmax_mscale_missing(subject: Subject) -> Iterator[Defect]:
    """Find a model that scales its softmax, without mscale_all_dim."""
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
    reason="Runtimes that pick keys from a list drop it and compute the usual one, which "
    "multiplies every score by the square of the quotient.",
    source="vllm!46280, vllm!48351, mlx-lm!1507",
)
def attention_factor_given(subject: Subject) -> Iterator[Defect]:
    """Find an attention_factor of its own."""
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
    reason="YaRN's and LongRoPE's amplitudes grow with the stretch, since attention over more "
    "tokens must be sharper; below 1 it gets flatter instead.",
    source="YaRN, arXiv:2309.00071, section 3.4; LongRoPE, arXiv:2402.13753",
)
def attention_factor_below_one(subject: Subject) -> Iterator[Defect]:
    """Find cos and sin made smaller."""
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
    reason="Transformers reads truncate beside the layer types, so that inside one the ends of the "
    "ramp are rounded all the same: log-probabilities do not match.",
    source="modeling_rope_utils of Transformers 5; vllm#27722",
)
def truncate_unread(subject: Subject) -> Iterator[Defect]:
    """Find truncate where nobody looks."""
    for note in subject.noted("truncate-unread"):
        fix = 'give one flat dictionary with "truncate": false, or remove it'
        yield Defect(note.message, fix, ("truncate",))
