"""Bad parameters of the rules that rest on the base, on one factor or on two bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ..case import Case
from .refusal import MISSING, refused_rope

__all__ = ["cases"]

_CARD = {
    "head_dim": 16,
    "rotary_dim": 16,
    "base": 1e4,
    "layout": "half",
    "max_position_embeddings": 8192,
}
_PLAIN = {"rope_type": "default"}
_LENGTH = "original_max_position_embeddings"
_BOUNDS = {"factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, _LENGTH: 1024}

# What each rule is given when nothing is wrong.
_GOOD: Mapping[str, Mapping[str, Any]] = {
    "linear": {"factor": 2.0},
    "ntk_alpha": {"alpha": 2.0},
    "dynamic": {"factor": 2.0},
    "llama3": _BOUNDS,
    "stretched": {"inner": _PLAIN, "factor": 2.0},
}

_NUMBERS: tuple[tuple[str, str, Any], ...] = (
    ("zero", "ValueError", 0.0),
    ("negative", "ValueError", -2.0),
    ("nan", "ValueError", math.nan),
    ("infinite", "ValueError", math.inf),
    ("text", "TypeError", "2"),
    ("list", "TypeError", [2.0]),
)
_LENGTHS: tuple[tuple[str, str, Any], ...] = (
    ("zero", "ValueError", 0),
    ("negative", "ValueError", -1024),
    ("nan", "TypeError", math.nan),
    ("text", "TypeError", "1024"),
    ("fraction", "TypeError", 1024.5),
)
_TURNING = {"rope_type": "resonance", "inner": _PLAIN}

# What is wrong with the whole of a rope, beyond one parameter.
_OTHERS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("ntk_alpha/alpha-overflows", "ValueError", {"alpha": 1e300}),
    ("dynamic/one-pair", "ValueError", {"rotary_dim": 2}),
    ("llama3/low-above-high", "ValueError", {"low_freq_factor": 4.5}),
    ("stretched/inner-text", "TypeError", {"inner": "default"}),
    ("stretched/inner-with-periods", "ValueError", {"inner": _TURNING}),
)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By rule and parameter.
    """
    for rule, good in _GOOD.items():
        sound = {**_CARD, "rope_type": rule, **good}
        for name in good:
            path = f"{rule}/{name.replace('_', '-')}"
            for kind, error, value in _bad(name):
                yield refused_rope(f"{path}-{kind}", error, {**sound, name: value})
            yield refused_rope(f"{path}-missing", "TypeError", {**sound, name: MISSING})
    for path, error, change in _OTHERS:
        rule = path.partition("/")[0]
        yield refused_rope(path, error, {**_CARD, "rope_type": rule, **_GOOD[rule], **change})


def _bad(name: str) -> tuple[tuple[str, str, Any], ...]:
    """Return the bad values of a parameter."""
    if name == "inner":
        return ()
    return _LENGTHS if name == _LENGTH else _NUMBERS
