"""Every model of the registry: how its config is read, and cosines and sines at a few positions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ...models import MODELS
from .. import tolerances
from ..cards.registry import LENGTHS_OF_MODELS, REGISTRY
from ..case import Case
from ..operations import attest

__all__ = ["cases"]

_POSITIONS = np.array([4095, 131071, 2**31 - 1], np.int64)


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By model, layer type and length: its spectrum, then its table.
    """
    for key in REGISTRY:
        for seq_len in LENGTHS_OF_MODELS.get(key, (None,)):
            spectrum = _spectrum(key, seq_len)
            yield spectrum
            yield _table(spectrum)


def _spectrum(key: str, seq_len: int | None) -> Case:
    model, _, layer_type = key.partition("/")
    card = REGISTRY[key]
    options = {
        "config": _shortened(MODELS[model].config),
        "layer_type": layer_type or None,
        "rope": dict(card),
        "seq_len": seq_len,
    }
    flags = ["ConfigKeys", "FrequencyRule"]
    flags += ["PartialWidth"] if card["rotary_dim"] < card["head_dim"] else []
    flags += ["LengthSwitch"] if seq_len is not None else []
    flags += ["Axes"] if "axes" in card else []
    name = f"registry/{key}" + ("" if seq_len is None else f"/L{seq_len}")
    bound = tolerances.frequencies(card["rope_type"])
    return Case(name, "registry_model", {}, options, bound, tuple(flags))


def _table(spectrum: Case) -> Case:
    """Return the case that asks the table of a model's frequencies and attention factor."""
    numbers = attest(spectrum)
    arrays = {"position_ids": _POSITIONS, "inv_freq": numbers["inv_freq"]}
    factor = float(numbers["factors"][0])
    options = {"angles": "exact", "dtype": "float32", "attention_factor": factor}
    bound = tolerances.pair("float32", "exact")
    flags = ("LargeAngle", "ShortPromptOnly", "Amplitude")
    return Case(f"{spectrum.id}/cos_sin", "cos_sin", arrays, options, bound, flags)


def _shortened(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return a config whose layer_types name each type once; a case asks for one of them."""
    short = dict(config)
    if "text_config" in short:
        short["text_config"] = _shortened(short["text_config"])
    if "layer_types" in short and "no_rope_layers" not in short:
        short["layer_types"] = sorted(set(short["layer_types"]))
    return short
