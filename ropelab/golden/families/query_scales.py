"""Factors of queries, around the positions where they step and far past them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..case import Case, Tolerance
from ..inputs import GRID

__all__ = ["cases"]

# name, rule, parameters, length of a step: of Llama 4's configs, of Ministral 3's, of Qwen-7B's
# and Qwen-72B's (seq_length), and odd ones, where no power of two hides a slip.
_RULES: tuple[tuple[str, str, Mapping[str, Any], int], ...] = (
    ("llama-4", "Llama4Temperature", {"attn_scale": 0.1, "floor_scale": 8192}, 8192),
    ("llama-4-odd", "Llama4Temperature", {"attn_scale": 0.37, "floor_scale": 977}, 977),
    (
        "ministral-3",
        "MinistralTemperature",
        {"beta": 0.1, "original_max_position_embeddings": 16384},
        16384,
    ),
    (
        "ministral-odd",
        "MinistralTemperature",
        {"beta": 0.37, "original_max_position_embeddings": 977},
        977,
    ),
    ("log-n-2048", "LogN", {"seq_length": 2048}, 2048),
    ("log-n-8192", "LogN", {"seq_length": 8192}, 8192),
    ("log-n-977", "LogN", {"seq_length": 977}, 977),
)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By rule: at its steps, then on the grid of the phases.
    """
    for name, rule, parameters, step in _RULES:
        # float32 no longer tells the last ones apart: 2**24 and more steps away.
        steps = np.array([1, 2, 3, 31, 16_385, 2**31 // step], np.int64) * step
        for path, ids in (
            ("steps", steps[:, np.newaxis] + np.arange(-2, 2)),
            ("grid", np.array(GRID, np.int64)),
            ("largest", np.array([2**63 - 1, 2**64 - 1], np.uint64)),
        ):
            options = {"rule": rule, "parameters": dict(parameters)}
            arrays, flags = {"position_ids": ids}, ("Amplitude", "LargeAngle")
            yield Case(
                f"query_scale/{name}/{path}", "query_scale", arrays, options, _bound(rule), flags
            )


def _bound(rule: str) -> Tolerance:
    if rule == "LogN":
        why = (
            "two logarithms within an ulp and their quotient: 2.5 times 2**-52 of the result, "
            "which is up to 5 ulp"
        )
        return Tolerance("ulp", 5.0, "float64", why)
    why = (
        "the logarithm within an ulp, the product half an ulp, both smaller than the sum, and the "
        "sum half an ulp: 1.5 times 2**-52 of a part of the result is at most 3 ulp, and a half"
    )
    return Tolerance("ulp", 3.5, "float64", why)
