"""Invalid input is a golden too: what must be refused, and by which error."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..case import Array, Case
from ..inputs import tensor
from .refusal import refused, refused_rope

__all__ = ["cases"]

_ROTATION = {
    "layout": "half",
    "tensor_format": "bshd",
    "angles": "exact",
    "inverse": False,
    "attention_factor": 1.0,
}
_CARD = {"head_dim": 16, "rotary_dim": 16, "base": 1e4, "layout": "half", "rope_type": "default"}


def cases() -> Iterator[Case]:
    """Yield every case of bad input.

    Yields
    ------
    Case
        One a refusal.
    """
    x, ids, inv_freq = tensor((2, 3, 5, 16), "float32"), np.zeros((2, 3), np.int64), np.ones(8)
    good: Mapping[str, Array] = {"x": x, "position_ids": ids, "inv_freq": inv_freq}
    for name, error, arrays, options in (
        ("float-positions", "TypeError", {"position_ids": ids.astype(np.float32)}, {}),
        ("positions-too-long", "ValueError", {"position_ids": np.zeros((2, 4), np.int64)}, {}),
        ("positions-transposed", "ValueError", {"position_ids": np.zeros((3, 2), np.int64)}, {}),
        ("positions-extra-axis", "ValueError", {"position_ids": np.zeros((1, 2, 3), np.int64)}, {}),
        ("axes-not-given", "ValueError", {"axes": np.array([0, 1, 2, 0] * 2, np.int64)}, {}),
        ("integer-tensor", "TypeError", {"x": x.astype(np.int32)}, {}),
        ("head-too-narrow", "ValueError", {"x": x[..., :14].copy()}, {}),
        ("wrong-ndim", "ValueError", {"x": x[0]}, {}),
        ("unknown-layout", "ValueError", {}, {"layout": "neox"}),
        ("unknown-format", "ValueError", {}, {"tensor_format": "dhsb"}),
        ("unknown-angles", "ValueError", {}, {"angles": "float16"}),
        ("infinite-frequency", "ValueError", {"inv_freq": np.full(8, np.inf)}, {}),
        ("no-frequency", "ValueError", {"inv_freq": np.ones(0)}, {}),
    ):
        told = {**_ROTATION, **options}
        yield refused(name, "apply_rotary", error, told, {**good, **arrays})
    grouped = {"q": x, "k": tensor((2, 4, 1, 16), "float32"), **good}
    del grouped["x"]
    yield refused("k-other-tokens", "apply_rotary_qk", "ValueError", _ROTATION, grouped)
    for name, error, change in (
        ("odd-rotary-dim", "ValueError", {"rotary_dim": 7}),
        ("rotary-dim-too-wide", "ValueError", {"rotary_dim": 18}),
        ("negative-base", "ValueError", {"base": -1.0}),
        ("zero-base", "ValueError", {"base": 0.0}),
        ("nan-base", "ValueError", {"base": math.nan}),
        ("infinite-base", "ValueError", {"base": math.inf}),
        ("base-not-a-number", "TypeError", {"base": "1e4"}),
        ("zero-factor", "ValueError", {"rope_type": "linear", "factor": 0.0}),
        (
            "ntk-of-one-pair",
            "ValueError",
            {"rope_type": "ntk_alpha", "rotary_dim": 2, "alpha": 2.0},
        ),
        ("dynamic-without-length", "ValueError", {"rope_type": "dynamic", "factor": 2.0}),
        ("unknown-rope-layout", "ValueError", {"layout": "rotate_half"}),
    ):
        yield refused_rope(name, error, {**_CARD, **change})
    llama = {"hidden_size": 64, "num_attention_heads": 4, "max_position_embeddings": 4096}
    configs: tuple[tuple[str, str, dict[str, Any]], ...] = (
        (
            "unknown-rope-type",
            "ValueError",
            {"rope_scaling": {"rope_type": "yarrn", "factor": 2.0}},
        ),
        ("missing-factor", "ValueError", {"rope_scaling": {"rope_type": "linear"}}),
        ("factor-is-text", "TypeError", {"rope_scaling": {"type": "linear", "factor": "8"}}),
        ("scaling-is-text", "TypeError", {"rope_scaling": "linear"}),
        ("no-head-width", "ValueError", {"num_attention_heads": None}),
    )
    for name, error, config in configs:
        given: dict[str, Any] = {"config": {**llama, **config}, "seq_len": None}
        yield refused(name, "from_transformers", error, given)
