"""What NeMo Automodel reads of a config: base, rule, frequencies and dtype."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ropelab import Spectrum
from ropelab.formats.nemo_automodel import read_nemo_automodel

__all__ = [
    "compute_default_inv_freq",
    "compute_llama3_inv_freq",
    "dtype_of",
    "frequencies",
    "get_rope_config",
    "spectrum_of",
    "values_of",
]

# The attributes of a config that `ropelab.formats.nemo_automodel` looks at.
_READ = (
    *("head_dim", "hidden_size", "num_attention_heads", "partial_rotary_factor"),
    *("rope_theta", "rope_scaling", "rope_parameters"),
    *("rope_local_base_freq", "global_rope_theta", "local_rope_theta"),
    *("max_position_embeddings", "original_max_position_embeddings"),
)


def get_rope_config(config: Any) -> tuple[float, Mapping[str, Any]]:
    """Return the base and the dictionary of the rule: rope_parameters, else rope_scaling."""
    values = values_of(config)
    given = values.get("rope_parameters")
    if given:
        return given.get("rope_theta", 10000.0), given
    return values.get("rope_theta", 10000.0), values.get("rope_scaling") or {}


def compute_default_inv_freq(
    config: Any, device: torch.device | None = None
) -> tuple[torch.Tensor, float]:
    """Return the unscaled frequencies, whatever rule the config names, and a factor of 1."""
    return _by_rule(config, device, {})


def compute_llama3_inv_freq(
    config: Any, device: torch.device | None = None
) -> tuple[torch.Tensor, float]:
    """Return the frequencies of Llama 3's rule, whatever rule is named, and a factor of 1."""
    return _by_rule(config, device, {**get_rope_config(config)[1], "rope_type": "llama3"})


def _by_rule(
    config: Any, device: torch.device | None, parameters: Mapping[str, Any]
) -> tuple[torch.Tensor, float]:
    base, _ = get_rope_config(config)
    given = {"rope_scaling": None, "rope_parameters": {**parameters, "rope_theta": base}}
    spectrum = spectrum_of({**values_of(config), **given})
    return frequencies(spectrum.inv_freq.tolist(), device), spectrum.attention_factor


def values_of(config: Any) -> Mapping[str, Any]:
    """Return what is read of a config, also where its class has it."""
    if isinstance(config, Mapping):
        return config
    return {name: getattr(config, name) for name in _READ if hasattr(config, name)}


def spectrum_of(values: Mapping[str, Any]) -> Spectrum:
    rope = read_nemo_automodel(values).rope
    assert rope is not None  # no config of Automodel's goes without
    return rope.spectrum()


def dtype_of(config: Any) -> torch.dtype:
    """Return the dtype that a config names, by default float32."""
    named = config.get("torch_dtype") if isinstance(config, Mapping) else None
    found = getattr(config, "torch_dtype", named) or torch.float32
    found = getattr(torch, found, found) if isinstance(found, str) else found
    if not isinstance(found, torch.dtype) or not found.is_floating_point:
        msg = f"torch_dtype: expected a floating-point dtype; got {found!r}"
        raise TypeError(msg)
    return found


def frequencies(inv_freq: Sequence[float], device: torch.device | None) -> torch.Tensor:
    return torch.tensor(inv_freq, dtype=torch.float32, device=device)
