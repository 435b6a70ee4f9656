"""From config to rotated tensors, at lengths where every rule shows."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import numpy as np

from .. import tolerances
from ..cards import CARDS, CONFIGS
from ..case import DTYPES, Case
from ..inputs import tensor
from .common import ANGLES

__all__ = ["cases"]


def cases() -> Iterator[Case]:
    """Yield the cases of this family.

    Yields
    ------
    Case
        By model, dtype and angle pipeline.
    """
    llamas = ("llama-3.1-8b-type", "llama-3.1-8b-new", "llama-3.2-1b", "llama-2-7b-32k")
    names = (*llamas, "dynamic-2", "hunyuan", "gpt-neox-20b", "gpt-j-6b")
    for name, dtype, angles in product(names, DTYPES, ANGLES):
        if angles == "float32" and name not in ("llama-3.1-8b-new", "gpt-j-6b"):
            continue
        card_name, config = CONFIGS[name]
        card = CARDS[card_name]
        ids = np.array([[8191, 3], [4097, 1000]], np.int64)
        arrays = {
            "q": tensor((2, 2, 3, card["head_dim"]), dtype, seed=3),
            "k": tensor((2, 2, 1, card["head_dim"]), dtype, seed=4),
            "position_ids": ids,
        }
        options = {
            "config": config,
            "rope": dict(card),
            "seq_len": 8192,
            "layout": card["layout"],
            "tensor_format": "bshd",
            "angles": angles,
            "inverse": False,
        }
        bound = tolerances.pair_through_frequencies(dtype, angles, ids.ravel().tolist(), 1.0)
        flags = ("ConfigKeys", "FrequencyRule", "LengthSwitch", "PartialWidth", "StaleState")
        yield Case(f"model/{name}/{angles}/{dtype}", "model", arrays, options, bound, flags)
