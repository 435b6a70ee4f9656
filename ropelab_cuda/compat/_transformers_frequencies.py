"""Transformers' functions from a config to the frequencies of one rope_type."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import MISSING, fields
from typing import Any

import torch

from ropelab import SCALINGS, Rope
from ropelab.checks import integer

__all__ = ["ROPE_INIT_FUNCTIONS"]

Device = torch.device | str | int | None
Length = int | torch.Tensor | None

# Parameters of our rules that are none of these functions' keys.
_OURS = frozenset({"long_mscale", "mscale_policy", "short_mscale"})


def _compute_linear_scaling_rope_parameters(
    config: Any, device: Device = None, seq_len: Length = None, layer_type: str | None = None
) -> tuple[torch.Tensor, float]:
    """Return frequencies divided by a factor: `ropelab.scaling.Linear`."""
    return _numbers("linear", *_layer(config, layer_type), device, seq_len)


def _compute_dynamic_ntk_parameters(
    config: Any, device: Device = None, seq_len: Length = None, layer_type: str | None = None
) -> tuple[torch.Tensor, float]:
    """Return frequencies of a base that grows with the length: `ropelab.scaling.DynamicNTK`."""
    return _numbers("dynamic", *_layer(config, layer_type), device, seq_len)


def _compute_yarn_parameters(
    config: Any, device: Device = None, seq_len: Length = None, layer_type: str | None = None
) -> tuple[torch.Tensor, float]:
    """Return frequencies stretched by a ramp, and their factor: `ropelab.scaling.YaRN`."""
    config, parameters = _layer(config, layer_type)
    # There it is looked for beside the layers, never in the parameters of one.
    truncate = config.rope_parameters.get("truncate", True)
    return _numbers("yarn", config, {**parameters, "truncate": truncate}, device, seq_len)


def _compute_longrope_parameters(
    config: Any, device: Device = None, seq_len: Length = None, layer_type: str | None = None
) -> tuple[torch.Tensor, float]:
    """Return frequencies divided by one of two lists: `ropelab.scaling.LongRoPE`."""
    return _numbers("longrope", *_layer(config, layer_type), device, seq_len)


def _compute_llama3_parameters(
    config: Any, device: Device = None, seq_len: Length = None, layer_type: str | None = None
) -> tuple[torch.Tensor, float]:
    """Return frequencies stretched by their wavelength: `ropelab.scaling.Llama3`."""
    return _numbers("llama3", *_layer(config, layer_type), device, seq_len)


def _compute_proportional_rope_parameters(
    config: Any,
    device: Device = None,
    seq_len: Length = None,
    layer_type: str | None = None,
    head_dim_key: str = "head_dim",
) -> tuple[torch.Tensor, float]:
    """Return frequencies of which a share is 0: `ropelab.scaling.Proportional`."""
    return _numbers("proportional", *_layer(config, layer_type), device, seq_len, head_dim_key)


ROPE_INIT_FUNCTIONS: dict[str, Callable[..., tuple[torch.Tensor, float]]] = {
    "linear": _compute_linear_scaling_rope_parameters,
    "dynamic": _compute_dynamic_ntk_parameters,
    "yarn": _compute_yarn_parameters,
    "longrope": _compute_longrope_parameters,
    "llama3": _compute_llama3_parameters,
    "proportional": _compute_proportional_rope_parameters,
}
"""The function of each rope_type; models ask it for theirs, and more may be added."""


def _layer(config: Any, layer_type: str | None) -> tuple[Any, Mapping[str, Any]]:
    """Return the config of a type of layers, and its rope parameters."""
    if layer_type is not None:
        single = getattr(config, "per_layer_config", None)
        with suppress(ValueError):  # the names of DeepSeek-V4's parameters are no types of layers
            config = config if single is None else single[layer_type]
    config.standardize_rope_params()
    parameters = config.rope_parameters
    return config, parameters if layer_type is None else parameters[layer_type]


def _numbers(
    rule: str,
    config: Any,
    parameters: Mapping[str, Any],
    device: Device,
    seq_len: Length,
    head_dim_key: str = "head_dim",
) -> tuple[torch.Tensor, float]:
    """Return the frequencies in float32, and what cos and sin are multiplied by."""
    keys = {field: parameters[field] for field in _wanted(rule, parameters)}
    head_dim = getattr(config, head_dim_key, None)
    if head_dim is None:
        head_dim = config.hidden_size // config.num_attention_heads
    theta: Any = parameters.get("rope_theta")
    if theta is None:
        theta = getattr(config, "default_theta", None)
    share = parameters.get("partial_rotary_factor")
    turned = None if share is None or rule == "proportional" else int(head_dim * share)
    rope = Rope(
        head_dim,
        base=theta,
        rotary_dim=turned,
        scaling=SCALINGS[rule](**keys),
        max_position_embeddings=getattr(config, "max_position_embeddings", None),
    )
    length = None if seq_len is None else integer(seq_len, "seq_len") or None
    spectrum = rope.spectrum(length)
    inv_freq = torch.tensor(spectrum.inv_freq, dtype=torch.float32, device=device)
    return inv_freq, spectrum.attention_factor


def _wanted(rule: str, parameters: Mapping[str, Any]) -> list[str]:
    """Return the keys of a rule that are given, or raise KeyError for one that it needs."""
    known = [field for field in fields(SCALINGS[rule]) if field.name not in _OURS]  # type: ignore[arg-type]
    for field in known:
        if field.default is MISSING and field.name not in parameters:
            msg = (
                f"{field.name}: rope_type {rule!r} needs it in rope_parameters; got "
                f"{sorted(parameters)}"
            )
            raise KeyError(msg)
    return [field.name for field in known if field.name in parameters]
