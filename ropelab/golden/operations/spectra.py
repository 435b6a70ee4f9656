"""Frequencies and amplitudes: of a rule, of a config, and as exact turns."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np

import ropelab

from .. import oracle
from ..case import Array, Case
from ..implementation import Implementation, rope_of_card
from .base import Answers, Operation, factors_of, rounded_to

__all__ = ["OPERATIONS", "attested_spectrum", "numbers_of_spectrum"]


def numbers_of_spectrum(spectrum: ropelab.Spectrum) -> Answers:
    """Return a spectrum's numbers; axes and periods only where it has any."""
    answers = {"inv_freq": spectrum.inv_freq, "factors": factors_of(spectrum)}
    if spectrum.position_axes > 1:
        answers["axes"] = np.asarray(spectrum.axes)
    if spectrum.periods is not None:
        answers["periods"] = spectrum.periods
    return answers


def attested_spectrum(card: Mapping[str, Any], seq_len: int | None) -> Answers:
    """Return the oracle's numbers of a rope's card."""
    speeds = oracle.frequencies(card, seq_len)
    answers = {
        "inv_freq": rounded_to(speeds, (len(speeds),), "float64"),
        "factors": rounded_to(oracle.amplitudes(card, seq_len), (2,), "float64"),
    }
    for name, values in oracle.integers(card, seq_len).items():
        answers[name] = np.array(values, np.int64)
    return answers


def _ask_rule(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    # Parameters that JSON cannot hold, NaN and infinity, come as arrays.
    rope = rope_of_card({**case.options["rope"], **{k: v.tolist() for k, v in arrays.items()}})
    return numbers_of_spectrum(asked.spectrum(rope, case.options["seq_len"]))


def _attest_rule(case: Case) -> Answers:
    return attested_spectrum(case.options["rope"], case.options["seq_len"])


def _ask_config(case: Case, _: Mapping[str, Array], asked: Implementation) -> Answers:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a published config may well be warned of
        rope = asked.from_transformers(case.options["config"])
    shape = np.array([rope.head_dim, rope.rotary_dim, rope.layout == "interleaved"], np.int64)
    spectrum = asked.spectrum(rope, case.options["seq_len"])
    return {**numbers_of_spectrum(spectrum), "geometry": shape}


def _attest_config(case: Case) -> Answers:
    card = case.options["rope"]
    shape = (card["head_dim"], card["rotary_dim"], card["layout"] == "interleaved")
    return {**_attest_rule(case), "geometry": np.array(shape, np.int64)}


def _ask_turns(_: Case, arrays: Mapping[str, Array], __: Implementation) -> Answers:
    return {"turns": ropelab.Spectrum(arrays["inv_freq"]).turns}


def _attest_turns(case: Case) -> Answers:
    return {"turns": np.array(oracle.turns(case.arguments["inv_freq"].tolist()), np.uint64)}


OPERATIONS = {
    "spectrum": Operation(_ask_rule, _attest_rule),
    "from_transformers": Operation(_ask_config, _attest_config),
    "turns": Operation(_ask_turns, _attest_turns),
}
