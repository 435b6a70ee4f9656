"""Bad input of what goes beyond plain rotation: placement, xPos, query scales and weights."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ..case import Array, Case
from ..inputs import tensor
from .refusal import refused

__all__ = ["cases"]

_ROTATION = {
    "layout": "half",
    "tensor_format": "bshd",
    "angles": "exact",
    "inverse": False,
    "attention_factor": 1.0,
}


def cases() -> Iterator[Case]:
    """Yield every case of bad input.

    Yields
    ------
    Case
        One a refusal.
    """
    yield from _placements()
    yield from _xpos()
    yield from _query_scales()
    yield from _weights()


def _placements() -> Iterator[Case]:
    x, ids = tensor((2, 3, 5, 16), "float32"), np.zeros((2, 3), np.int64)
    arrays = {"x": x, "position_ids": ids, "inv_freq": np.ones(6)}
    tables = {"x": x, "cos": np.ones((3, 6)), "sin": np.zeros((3, 6))}
    given = {key: _ROTATION[key] for key in ("layout", "tensor_format", "inverse")}
    for name, error, change in (
        ("unknown-output-layout", "ValueError", {"output_layout": "neox"}),
        ("offset-too-large", "ValueError", {"rotary_offset": 5}),
        ("offset-negative", "ValueError", {"rotary_offset": -4}),
        ("offset-not-whole", "TypeError", {"rotary_offset": 4.0}),
    ):
        yield refused(name, "apply_rotary", error, {**_ROTATION, **change}, arrays)
        told = {**given, **change}
        yield refused(f"{name}-cached", "apply_rotary_cached", error, told, tables)


def _xpos() -> Iterator[Case]:
    good: Mapping[str, Array] = {
        "q": tensor((1, 3, 4, 8), "float32"),
        "k": tensor((1, 3, 2, 8), "float32"),
        "position_ids": np.arange(3),
        "inv_freq": np.ones(4),
    }
    two_axes = {"axes": np.array([0, 1, 0, 1]), "position_ids": np.ones((2, 3), np.int64)}
    options = {**_ROTATION, "scale_base": 512.0, "centre": 0}
    for name, error, arrays, change in (
        ("scale-base-zero", "ValueError", {}, {"scale_base": 0.0}),
        ("scale-base-negative", "ValueError", {}, {"scale_base": -512.0}),
        ("scale-base-is-text", "TypeError", {}, {"scale_base": "512"}),
        ("centre-not-whole", "TypeError", {}, {"centre": 0.5}),
        ("too-far", "ValueError", {"position_ids": np.array([0, 0, 300_000])}, {}),
        ("too-far-before", "ValueError", {"position_ids": np.array([-300_000, 0, 0])}, {}),
        ("axes", "ValueError", two_axes, {}),
        ("unknown-layout", "ValueError", {}, {"layout": "gptj"}),
    ):
        told = {**options, **change}
        yield refused(f"xpos-{name}", "apply_xpos_qk", error, told, {**good, **arrays})


def _query_scales() -> Iterator[Case]:
    whole, parts = np.arange(3), np.array([0.0, 1.0, 2.0])
    length = "original_max_position_embeddings"
    for name, error, rule, ids, parameters in (
        ("negative-position", "ValueError", "Llama4Temperature", whole - 1, {}),
        ("float-positions", "TypeError", "Llama4Temperature", parts, {}),
        ("floor-scale-zero", "ValueError", "Llama4Temperature", whole, {"floor_scale": 0}),
        ("floor-scale-not-whole", "TypeError", "Llama4Temperature", whole, {"floor_scale": 8192.0}),
        ("attn-scale-negative", "ValueError", "Llama4Temperature", whole, {"attn_scale": -0.1}),
        ("beta-negative", "ValueError", "MinistralTemperature", whole, {"beta": -0.1, length: 9}),
        ("beta-is-text", "TypeError", "MinistralTemperature", whole, {"beta": "0.1", length: 9}),
        ("length-zero", "ValueError", "MinistralTemperature", whole, {"beta": 0.1, length: 0}),
        ("length-missing", "TypeError", "MinistralTemperature", whole, {"beta": 0.1}),
        ("log-of-base-1", "ValueError", "LogN", whole, {"seq_length": 1}),
        ("log-negative", "ValueError", "LogN", whole, {"seq_length": -2048}),
    ):
        options = {"rule": rule, "parameters": parameters}
        path = f"query-scale-{name}"
        yield refused(path, "query_scale", error, options, {"position_ids": ids})


def _weights() -> Iterator[Case]:
    arrays = {"weight": tensor((48, 3), "float32")}
    qk: Mapping[str, Any] = {"num_heads": 6, "target": "half"}
    qkv: Mapping[str, Any] = {**qk, "num_heads": 4, "num_kv_heads": 2, "arrangement": "grouped"}
    for name, error, options in (
        ("rows", "ValueError", {**qk, "num_heads": 5}),
        ("no-heads", "ValueError", {**qk, "num_heads": 0}),
        ("heads-not-whole", "TypeError", {**qk, "num_heads": 6.0}),
        ("target", "ValueError", {**qk, "target": "neox"}),
        ("odd-width", "ValueError", {**qk, "rotary_dim": 3}),
        ("too-wide", "ValueError", {**qk, "rotary_dim": 10}),
        ("offset", "ValueError", {**qk, "rotary_dim": 4, "rotary_offset": 5}),
        ("offset-negative", "ValueError", {**qk, "rotary_dim": 4, "rotary_offset": -1}),
        ("fused-rows", "ValueError", {**qkv, "num_heads": 6}),
        ("fused-not-grouped", "ValueError", {**qkv, "num_kv_heads": 3}),
        ("fused-arrangement", "ValueError", {**qkv, "arrangement": "q k v"}),
    ):
        call = "permute_qkv_weight" if "num_kv_heads" in options else "permute_qk_weight"
        yield refused(f"weight-{name}", call, error, options, arrays)
