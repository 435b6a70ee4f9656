"""The rotary embeddings of every kind of a model's layers, in any of the seven dialects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from numpy.typing import ArrayLike

from ..rope import Rope
from .dialect import check_kinds
from .exllamav2 import read_exllamav2
from .findings import Finding, Findings, LayersReading, Reading
from .gguf import read_gguf
from .megatron import read_megatron
from .nemo_automodel import read_nemo_automodel
from .transformer_engine import read_transformer_engine
from .transformers import read_layers_transformers
from .vllm import read_vllm
from .vllm_parameters import layer_types

__all__ = ["DIALECTS", "EVERY_LAYER", "read_layers"]

EVERY_LAYER = "every layer"
"""The kind's name in a dialect, or a config, that does not tell layers apart."""

_FULL, _SLIDING = "full_attention", "sliding_attention"

Values = Mapping[str, Any]


def read_layers(
    config: Values, dialect: str = "transformers", *, tensors: Mapping[str, ArrayLike] | None = None
) -> LayersReading:
    """Read the rotary embedding of each kind of layers as one implementation reads it.

    Parameters
    ----------
    config : mapping
        A config, arguments or metadata, in the format that the dialect reads.
    dialect : str, default "transformers"
        One of `DIALECTS`.
    tensors : mapping of str to array-like, optional
        Of a GGUF file: those that `ropelab.from_gguf` takes, by its arguments' names.

    Returns
    -------
    LayersReading
        The ropes by kind of layers, and the findings.

    Raises
    ------
    TypeError, ValueError
        If the dialect is unknown, has no tensors, or refuses the config.

    Examples
    --------
    >>> from ropelab.models import model
    >>> reading = read_layers(model("Gemma-3-1B").config, "vllm")
    >>> {kind: rope.base for kind, rope in reading.ropes.items()}
    {'full_attention': 1000000.0, 'sliding_attention': 10000.0}
    """
    if dialect not in DIALECTS:
        msg = f"dialect: expected one of {', '.join(DIALECTS)}; got {dialect!r}"
        raise ValueError(msg)
    if dialect == "gguf":
        return _gguf(config, tensors or {})
    if tensors:
        msg = f"tensors: expected none under {dialect}; got {', '.join(tensors)}"
        raise ValueError(msg)
    return DIALECTS[dialect](config)


def _all(reading: Reading) -> LayersReading:
    return LayersReading({EVERY_LAYER: reading.rope}, reading.findings)


def _by_kind(readings: Mapping[str, Reading]) -> LayersReading:
    findings = Findings()
    for reading in readings.values():
        for each in reading.findings:
            findings.add(each.key, each.message, each.kind)
    return LayersReading({kind: each.rope for kind, each in readings.items()}, tuple(findings))


def _vllm(config: Values) -> LayersReading:
    text = config.get("text_config")
    kinds = layer_types(text if isinstance(text, Mapping) else config)
    if not kinds:
        return _all(read_vllm(config))
    check_kinds(len(kinds), "rope_parameters")
    return _by_kind({kind: read_vllm(config, layer_type=kind) for kind in kinds})


def _exllamav2(config: Values) -> LayersReading:
    if config.get("architectures") != ["Gemma3ForConditionalGeneration"]:
        return _all(read_exllamav2(config))  # the only one whose windows it turns otherwise
    sliding = {_FULL: False, _SLIDING: True}
    return _by_kind({kind: read_exllamav2(config, sliding=on) for kind, on in sliding.items()})


def _gguf(config: Values, tensors: Mapping[str, ArrayLike]) -> LayersReading:
    given: dict[str, Any] = dict(tensors)
    windows = f"{config.get('general.architecture')}.attention.sliding_window"
    if not config.get(windows):
        return _all(read_gguf(config, **given))
    sliding = {_FULL: False, _SLIDING: True}
    return _by_kind({kind: read_gguf(config, sliding=on, **given) for kind, on in sliding.items()})


def _megatron(arguments: Values) -> LayersReading:
    reading = read_megatron(arguments)
    if not arguments.get("no_rope_freq"):
        return _all(reading)
    told = tuple(each for each in reading.findings if each.key != "no_rope_freq")
    ropes: dict[str, Rope | None] = {"rope": reading.rope, "nope": None}
    return LayersReading(ropes, told)


def _transformer_engine(arguments: Values) -> LayersReading:
    known = inspect.signature(read_transformer_engine).parameters
    if "dim" not in arguments:
        msg = f"dim: Transformer Engine reads its own arguments, {', '.join(known)}; dim is missing"
        raise ValueError(msg)
    unread = tuple(
        Finding(key, f"{key}: Transformer Engine has no such argument")
        for key in arguments
        if key not in known
    )
    given = {key: value for key, value in arguments.items() if key in known}
    reading = read_transformer_engine(**given)
    return LayersReading({EVERY_LAYER: reading.rope}, (*reading.findings, *unread))


DIALECTS: Mapping[str, Callable[[Values], LayersReading]] = MappingProxyType(
    {
        "transformers": read_layers_transformers,
        "vllm": _vllm,
        "exllamav2": _exllamav2,
        "gguf": lambda config: _gguf(config, {}),
        "megatron": _megatron,
        "nemo_automodel": lambda config: _all(read_nemo_automodel(config)),
        "transformer_engine": _transformer_engine,
    }
)
"""How each dialect reads the layers, by its name."""
