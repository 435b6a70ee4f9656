"""The layers of a model: a rope or none for each kind, and the kind of each layer."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from .. import oracle
from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation, factors_of, rounded_to

__all__ = ["OPERATIONS"]


def _ask(case: Case, _: Mapping[str, Array], asked: Implementation) -> Answers:
    config = case.options["config"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a published config may well be warned of
        layers = asked.layers_from_transformers(config)
        types = asked.layer_types_from_transformers(config)
    answers: Answers = {"types": _numbered(types, list(layers))}
    for kind, rope in layers.items():
        if rope is None:
            answers[f"{kind} without"] = np.array([1], np.int64)
            continue
        spectrum = asked.spectrum(rope, None)
        shape = (rope.head_dim, rope.rotary_dim, rope.rotary_offset, rope.layout == "interleaved")
        answers[f"{kind} inv_freq"] = spectrum.inv_freq
        answers[f"{kind} factors"] = factors_of(spectrum)
        answers[f"{kind} geometry"] = np.array(shape, np.int64)
    return answers


def _attest(case: Case) -> Answers:
    cards = case.options["layers"]
    answers: Answers = {"types": _numbered(case.options["types"], list(cards))}
    for kind, card in cards.items():
        if card is None:
            answers[f"{kind} without"] = np.array([1], np.int64)
            continue
        speeds = oracle.frequencies(card, None)
        offset = card.get("rotary_offset", 0)
        shape = (card["head_dim"], card["rotary_dim"], offset, card["layout"] == "interleaved")
        answers[f"{kind} inv_freq"] = rounded_to(speeds, (len(speeds),), "float64")
        answers[f"{kind} factors"] = rounded_to(oracle.amplitudes(card, None), (2,), "float64")
        answers[f"{kind} geometry"] = np.array(shape, np.int64)
    return answers


def _numbered(types: tuple[str, ...] | list[str], kinds: list[str]) -> Array:
    """Return the kind of each layer by its place among the sorted kinds."""
    places = {kind: place for place, kind in enumerate(sorted(kinds))}
    return np.array([places[kind] for kind in types], np.int64)


OPERATIONS = {"layers_from_transformers": Operation(_ask, _attest)}
