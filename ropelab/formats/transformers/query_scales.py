"""What multiplies the queries of each kind of layers, by their position."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from ...checks import integer
from ...query_scale import Llama4Temperature, MinistralTemperature, QueryScale
from ..findings import Findings
from .config import Config, config_of
from .layer_plan import NOPE
from .layers import kinds_of
from .parameters import RopeParameters, all_parameters
from .rules import original_length

__all__ = ["query_scales_from_transformers"]


def query_scales_from_transformers(
    config: Mapping[str, Any] | str | os.PathLike[str] | object,
) -> dict[str, QueryScale | None]:
    """Return how the queries of each kind of layers of a model are scaled.

    Parameters
    ----------
    config : mapping, path of a config.json, or config object
        As for `ropelab.from_transformers`.

    Returns
    -------
    dict
        By the keys of `ropelab.layers_from_transformers`; None where queries are left alone.
        Llama 4 scales them in layers without a rotary embedding, Ministral 3 and Mistral 4 in all.

    Raises
    ------
    TypeError, ValueError
        As `ropelab.from_transformers` does, or if such a model's parameters are missing.

    Examples
    --------
    >>> config = {"model_type": "llama4_text", "num_hidden_layers": 48, "floor_scale": 8192}
    >>> query_scales_from_transformers(config)
    {'rope': None, 'nope': Llama4Temperature(attn_scale=0.1, floor_scale=8192)}
    """
    findings = Findings()
    taken = config_of(config, findings)
    if taken is None:
        return {"full_attention": None}
    scales: dict[str, QueryScale | None] = dict.fromkeys(kinds_of(taken))
    if taken.model_type == "llama4_text" and NOPE in scales:
        scales[NOPE] = _llama4(taken.values)
    elif taken.model_type in ("ministral3", "mistral4"):
        scale = _ministral(taken, findings)
        scales = dict.fromkeys(scales, scale)
    return scales


def _llama4(values: Mapping[str, Any]) -> QueryScale | None:
    flag = values.get("attn_temperature_tuning")  # a count of layers in the first configs
    if isinstance(flag, (bool, type(None))):
        on = flag is not False
    else:
        on = integer(flag, "attn_temperature_tuning") != 0
    if not on:
        return None
    given = {key: values.get(key) for key in ("attn_scale", "floor_scale")}
    return Llama4Temperature(**{key: value for key, value in given.items() if value is not None})


def _ministral(config: Config, findings: Findings) -> QueryScale:
    parameters = all_parameters(config.values, findings)
    key = "llama_4_scaling_beta"
    beta = parameters.values.get(key) if isinstance(parameters, RopeParameters) else None
    if beta is None or not isinstance(parameters, RopeParameters):
        msg = f"{key}: a config of {config.model_type} needs it in its rope_parameters; got none"
        raise ValueError(msg)
    length = original_length(config.values, parameters, findings)
    if not length:
        msg = f"original_max_position_embeddings: {key} needs it; got none"
        raise ValueError(msg)
    return MinistralTemperature(beta, *length.values())
