"""Parameters of YaRN and its kin that must be refused, and by which error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..case import Case
from .refusal import refused_rope

__all__ = ["cases"]

_ROPE = {
    "head_dim": 16,
    "rotary_dim": 16,
    "base": 1e4,
    "layout": "half",
    "max_position_embeddings": 16384,
}
_LENGTH = {"original_max_position_embeddings": 4096}
_STRETCHED = {"factor": 4.0, **_LENGTH}

# A sound card of each rule, the name of its stretch, and what else it takes.
_SOUND: Mapping[str, tuple[Mapping[str, Any], str | None, tuple[str, ...]]] = {
    "yarn": (_STRETCHED, "factor", ("attention", "betas", "mscale", "truncate")),
    "deepseek_yarn": (_STRETCHED, "factor", ("attention", "betas", "mscale", "truncate")),
    "yarn_paper": (_STRETCHED, "factor", ("betas",)),
    "exllamav2_yarn": (_STRETCHED, "factor", ()),
    "llama_cpp": ({"freq_scale": 0.25, **_LENGTH}, "freq_scale", ("betas", "ggml")),
    "dynamic_yarn": (_LENGTH, None, ("betas", "finetuned")),
    "ntk_by_parts": (_STRETCHED, "factor", ("parts",)),
}

_STRETCHES: tuple[tuple[str, str, Any], ...] = (
    ("zero", "ValueError", 0.0),
    ("negative", "ValueError", -4.0),
    ("text", "TypeError", "4"),
    ("flag", "TypeError", True),
    ("list", "TypeError", [4.0]),
    ("nan", "ValueError", math.nan),
    ("infinite", "ValueError", math.inf),
)

_PARTS = ("beta_0", "beta_1", "gamma_0", "gamma_1", "ntk_factor", "extrapolation_factor")

_OTHERS: Mapping[str, tuple[tuple[str, str, Mapping[str, Any]], ...]] = {
    "attention": (
        ("attention-factor-negative", "ValueError", {"attention_factor": -1.0}),
        ("attention-factor-text", "TypeError", {"attention_factor": "1.0"}),
        ("attention-factor-flag", "TypeError", {"attention_factor": False}),
        ("attention-factor-nan", "ValueError", {"attention_factor": math.nan}),
    ),
    "betas": (
        ("betas-swapped", "ValueError", {"beta_fast": 1.0, "beta_slow": 32.0}),
        ("beta-fast-below-default", "ValueError", {"beta_fast": 0.5}),
        ("beta-slow-negative", "ValueError", {"beta_slow": -1.0}),
        ("beta-fast-text", "TypeError", {"beta_fast": "32"}),
        ("beta-slow-flag", "TypeError", {"beta_slow": False}),
        ("beta-fast-negative", "ValueError", {"beta_fast": -32.0}),
        ("beta-fast-nan", "ValueError", {"beta_fast": math.nan}),
        ("beta-slow-nan", "ValueError", {"beta_slow": math.nan}),
        ("beta-slow-text", "TypeError", {"beta_slow": "1"}),
    ),
    "mscale": (
        ("mscale-negative", "ValueError", {"mscale": -1.0, "mscale_all_dim": 1.0}),
        ("mscale-text", "TypeError", {"mscale": "1"}),
        ("mscale-all-dim-flag", "TypeError", {"mscale_all_dim": True}),
        ("mscale-nan", "ValueError", {"mscale": math.nan}),
        ("mscale-all-dim-negative", "ValueError", {"mscale": 1.0, "mscale_all_dim": -1.0}),
        ("mscale-all-dim-nan", "ValueError", {"mscale_all_dim": math.nan}),
        ("mscale-all-dim-text", "TypeError", {"mscale_all_dim": "1"}),
    ),
    "truncate": (
        ("truncate-number", "TypeError", {"truncate": 0}),
        ("truncate-text", "TypeError", {"truncate": "false"}),
    ),
    "ggml": (
        ("ext-factor-not-given", "ValueError", {"ext_factor": -1.0}),
        ("ext-factor-above-1", "ValueError", {"ext_factor": 1.5}),
        ("attn-factor-negative", "ValueError", {"attn_factor": -0.5}),
        ("ext-factor-nan", "ValueError", {"ext_factor": math.nan}),
        ("ext-factor-text", "TypeError", {"ext_factor": "1"}),
        ("attn-factor-nan", "ValueError", {"attn_factor": math.nan}),
        ("attn-factor-text", "TypeError", {"attn_factor": "1"}),
    ),
    "finetuned": (
        ("finetuned-number", "TypeError", {"finetuned": 1}),
        ("original-above-maximum", "ValueError", {"original_max_position_embeddings": 16385}),
    ),
    "parts": (
        ("betas-swapped", "ValueError", {"beta_0": 0.75, "beta_1": 1.25}),
        ("gammas-swapped", "ValueError", {"gamma_0": 2.0, "gamma_1": 16.0}),
        ("gamma-zero", "ValueError", {"gamma_1": 0.0}),
        ("ntk-factor-above-1", "ValueError", {"ntk_factor": 1.5}),
        ("extrapolation-factor-negative", "ValueError", {"extrapolation_factor": -0.5}),
        ("one-pair", "ValueError", {"rotary_dim": 2}),
        *(
            (f"{name.replace('_', '-')}-{kind}", error, {name: value})
            for name in _PARTS
            for kind, error, value in (
                ("below-0", "ValueError", -1.5),
                ("nan", "ValueError", math.nan),
                ("text", "TypeError", "1"),
            )
        ),
    ),
}


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By rule and parameter.
    """
    for rule, (sound, stretch, groups) in _SOUND.items():
        for name, error, change in (*_common(stretch), *(c for g in groups for c in _OTHERS[g])):
            yield _refused(rule, name, error, {**sound, **change})
        for missing in sound:
            rest = {key: value for key, value in sound.items() if key != missing}
            yield _refused(rule, f"without-{missing.replace('_', '-')}", "TypeError", rest)
    for rule in ("yarn", "deepseek_yarn"):
        implicit = {"factor": None, **_LENGTH}
        short = {**implicit, "max_position_embeddings": 2048}
        yield _refused(rule, "factor-implied-below-1", "ValueError", short)
        unknown = {**implicit, "max_position_embeddings": None}
        yield _refused(rule, "factor-not-implied", "ValueError", unknown)
    for rule in ("exllamav2_yarn", "dynamic_yarn"):
        unknown = {**_SOUND[rule][0], "max_position_embeddings": None}
        yield _refused(rule, "without-maximum", "ValueError", unknown)


def _common(stretch: str | None) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield bad stretches and lengths, which every rule refuses alike."""
    if stretch is not None:
        for kind, error, value in _STRETCHES:
            yield f"{stretch.replace('_', '-')}-{kind}", error, {stretch: value}
    for kind, error, value in (
        ("zero", "ValueError", 0),
        ("negative", "ValueError", -4096),
        ("fraction", "TypeError", 4096.5),
        ("text", "TypeError", "4096"),
        ("nan", "TypeError", math.nan),
        ("flag", "TypeError", True),
        ("none", "TypeError", None),
    ):
        yield f"original-{kind}", error, {"original_max_position_embeddings": value}


def _refused(rule: str, name: str, error: str, parameters: Mapping[str, Any]) -> Case:
    return refused_rope(f"{rule}/{name}", error, {**_ROPE, "rope_type": rule, **parameters})
