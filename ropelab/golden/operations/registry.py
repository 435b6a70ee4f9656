"""What a model of the registry is read as: geometry, frequencies and amplitudes."""

from __future__ import annotations

import warnings
from collections.abc import Mapping

import numpy as np

from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation
from .spectra import attested_spectrum, numbers_of_spectrum

__all__ = ["OPERATIONS"]


def _ask(case: Case, _: Mapping[str, Array], asked: Implementation) -> Answers:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what is warned of is tested with the registry
        rope = asked.from_transformers(case.options["config"], case.options["layer_type"])
    shape = np.array([rope.head_dim, rope.rotary_dim, rope.layout == "interleaved"], np.int64)
    spectrum = asked.spectrum(rope, case.options["seq_len"])
    return {**numbers_of_spectrum(spectrum), "geometry": shape}


def _attest(case: Case) -> Answers:
    card = case.options["rope"]
    shape = (card["head_dim"], card["rotary_dim"], card["layout"] == "interleaved")
    answers = attested_spectrum(card, case.options["seq_len"])
    return {**answers, "geometry": np.array(shape, np.int64)}


OPERATIONS = {"registry_model": Operation(_ask, _attest)}
