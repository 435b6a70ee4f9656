"""Reading Transformers' configs: ``rope_scaling`` (4.x) and ``rope_parameters`` (5.x).

What is read is reported; what is not understood is never dropped silently: an unknown key gives a
finding that names it, a missing one an error that says which rule needs it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...rope import Rope
from ..findings import Findings, Reading, warn_of
from ..sources import optional_text
from .config import Config, config_of
from .layer_bases import check_unread_bases
from .layer_plan import plan_of
from .parameters import find_parameters
from .rope import rope_of

__all__ = ["from_transformers", "read_transformers"]


def from_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object, layer_type: str | None = None
) -> Rope | None:
    """Return the rotary embedding that Transformers builds from a config.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config. A multimodal one is read at its ``text_config``. One without
        ``rope_theta`` has the base that Transformers gives its ``model_type``.
    layer_type : str, optional
        Which entry of per-layer parameters to read, ``"full_attention"`` for instance.

    Returns
    -------
    Rope or None
        None if the config says that the model, or this layer, has no rotary embedding.

    Raises
    ------
    TypeError
        If the config is no mapping, path or object, or a value has another type.
    ValueError
        If a key is missing, a value is out of range, or the rope_type is unknown.

    Warns
    -----
    UserWarning
        For keys that no rule reads, and for values that Transformers itself disregards.

    Examples
    --------
    >>> config = {
    ...     "hidden_size": 4096,
    ...     "num_attention_heads": 32,
    ...     "max_position_embeddings": 131072,
    ...     "rope_theta": 500000.0,
    ...     "rope_scaling": {
    ...         "rope_type": "llama3",
    ...         "factor": 8.0,
    ...         "low_freq_factor": 1.0,
    ...         "high_freq_factor": 4.0,
    ...         "original_max_position_embeddings": 8192,
    ...     },
    ... }
    >>> from_transformers(config).scaling  # doctest: +NORMALIZE_WHITESPACE
    Llama3(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
           original_max_position_embeddings=8192)
    """
    reading = read_transformers(config, layer_type)
    warn_of(reading.findings)
    return reading.rope


def read_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object, layer_type: str | None = None
) -> Reading:
    """Read a config as `from_transformers` does, with what else is to be known about it.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        A model's config.
    layer_type : str, optional
        Which entry of per-layer parameters to read.

    Returns
    -------
    Reading
        The rope, and findings in place of warnings.

    Raises
    ------
    TypeError, ValueError
        As `from_transformers` does.

    Examples
    --------
    >>> config = {"model_type": "llama", "head_dim": 64, "rotary_dim": 32}
    >>> print(*read_transformers(config).findings)
    rotary_dim = 32 has no effect: llama does not read it
    """
    findings = Findings()
    layer_type = optional_text(layer_type, "layer_type")
    taken = config_of(config, findings)
    rope = None if taken is None else _rope(taken, layer_type, findings)
    return Reading(rope, tuple(findings))


def _rope(config: Config, layer_type: str | None, findings: Findings) -> Rope | None:
    known: frozenset[str] = frozenset()
    if layer_type is not None:
        plan = plan_of(config)
        if plan.listed or set(plan.names) != {"full_attention"}:
            known = frozenset(plan.names)
        if layer_type in plan.without & set(plan.names):
            return None
        config = plan.config_of(config, layer_type)
    parameters = find_parameters(config.values, layer_type, findings, known)
    if parameters is None:
        return None
    check_unread_bases(config.values, per_layer=parameters.per_layer)
    return rope_of(config, parameters, layer_type, findings)
