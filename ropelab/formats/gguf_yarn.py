"""YaRN as llama.cpp's loader sets it up from a file's metadata."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from ..checks import finite_real
from ..scaling import DeepSeekYaRN, LlamaCppYaRN, Scaling
from .findings import Findings
from .gguf_architectures import LOG_MULTIPLIER, SOFTMAX

__all__ = ["SETTINGS", "yarn"]

_SCALING = "rope.scaling."
# Which settings of YaRN a loader reads; those of all other architectures have the defaults.
_SETTINGS: Mapping[str, tuple[str, ...]] = {
    "grok": ("yarn_attn_factor", "yarn_beta_fast", "yarn_beta_slow", "yarn_ext_factor"),
    "mistral3": ("yarn_beta_fast", "yarn_beta_slow"),
}
_DEFAULTS = {
    "yarn_attn_factor": 1.0,
    "yarn_beta_fast": 32.0,
    "yarn_beta_slow": 1.0,
    "yarn_ext_factor": -1.0,  # not given: 1 for yarn
}

SETTINGS = frozenset(_SCALING + key for key in (*_DEFAULTS, "yarn_log_multiplier"))
"""Keys that mean something under yarn alone; whether a loader reads them, `yarn` finds out."""


def yarn(
    given: Mapping[str, Any], name: str, stretch: float, original: int, findings: Findings
) -> Scaling:
    """Return the rule of a file whose scaling type is yarn.

    Parameters
    ----------
    given : mapping
        Metadata without the architecture's prefix.
    name : str
        The architecture.
    stretch : float
        The factor s.
    original : int
        Length of the pre-training context, in tokens.
    findings : Findings
        Collects keys that the loader does not read.

    Returns
    -------
    Scaling
        `LlamaCppYaRN`, or `DeepSeekYaRN` where the softmax is scaled too.

    Raises
    ------
    TypeError, ValueError
        If a value has another type or range.
    """
    settings = {key: _setting(given, name, key, findings) for key in _DEFAULTS}
    rotations = (settings["yarn_beta_fast"], settings["yarn_beta_slow"])
    share = settings["yarn_ext_factor"]
    own = finite_real(given.get(f"{_SCALING}attn_factor", 1.0), f"{_SCALING}attn_factor", above=0.0)
    if share == 0.0:
        amplitude = settings["yarn_attn_factor"] * own
        return LlamaCppYaRN(1.0 / stretch, original, 0.0, amplitude, *rotations)
    all_dim = _all_dim(given, name, findings)
    weight = all_dim if name == "deepseek2" and all_dim else 1.0  # a fix for DeepSeek-V2-Lite
    magnitude = _magnitude(stretch, weight) / _magnitude(stretch, all_dim) * own
    if name in SOFTMAX:
        if own != 1.0:
            key = f"{_SCALING}attn_factor"
            findings.add(key, f"{key}: {own} also scales the softmax, by its square; the rope not")
        return DeepSeekYaRN(
            stretch,
            original,
            attention_factor=magnitude,
            beta_fast=rotations[0],
            beta_slow=rotations[1],
            mscale_all_dim=weight,
        )
    # The rotation itself multiplies by 1 + 0.1 ln s, which the loader takes out beforehand.
    within = magnitude / (1.0 + 0.1 * math.log(stretch))
    return LlamaCppYaRN(1.0 / stretch, original, abs(share), within, *rotations)


def _setting(given: Mapping[str, Any], name: str, key: str, findings: Findings) -> float:
    value = given.get(_SCALING + key)
    if value is not None and key not in _SETTINGS.get(name, ()):
        full = _SCALING + key
        findings.add(full, f"{full}: {value} is not read, since the loader of {name} does not")
        value = None
    return finite_real(_DEFAULTS[key] if value is None else value, _SCALING + key)


def _all_dim(given: Mapping[str, Any], name: str, findings: Findings) -> float:
    """Return mscale_all_dim, 0 for absent; DeepSeek's files have a tenth of it."""
    key = f"{_SCALING}yarn_log_multiplier"
    if key not in given:
        return 0.0
    if name not in LOG_MULTIPLIER:
        findings.add(key, f"{key}: {given[key]} is not read, since the loader of {name} does not")
        return 0.0
    value = finite_real(given[key], key)
    return value if name == "mistral3" else float(np.float32(value) / np.float32(0.1))


def _magnitude(stretch: float, weight: float) -> float:
    return 1.0 if stretch <= 1.0 else 0.1 * weight * math.log(stretch) + 1.0
