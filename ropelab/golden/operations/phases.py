"""Phases in 64-bit fixed point, and tables of cosines and sines."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import oracle
from ..case import DTYPES, Array, Case
from ..implementation import Implementation
from .base import Answers, Operation, given_spectrum, rounded_to

__all__ = ["OPERATIONS"]


def _ask_phases(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    return {"phases": asked.exact_phases(arrays["position_ids"], given_spectrum(case, arrays))}


def _attest_phases(case: Case) -> Answers:
    positions, speeds = case.arguments["position_ids"], case.arguments["inv_freq"].tolist()
    periods = case.arguments.get("periods", np.zeros(len(speeds), np.int64)).tolist()
    words = [oracle.phases(int(m), speeds, periods) for m in positions.ravel()]
    return {"phases": np.array(words, np.uint64).reshape(*positions.shape, len(speeds))}


def _ask_cos_sin(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    cos, sin = asked.cos_sin(
        arrays["position_ids"],
        given_spectrum(case, arrays),
        angles=case.options["angles"],
        dtype=DTYPES[case.options["dtype"]],
    )
    return {"cos": cos, "sin": sin}


def _attest_cos_sin(case: Case) -> Answers:
    positions, speeds = case.arguments["position_ids"], case.arguments["inv_freq"].tolist()
    periods = case.arguments.get("periods", np.zeros(len(speeds), np.int64)).tolist()
    factor, angles = case.options["attention_factor"], case.options["angles"]
    values = [
        oracle.cosines(int(m) % period if period else int(m), speed, factor, angles)
        for m in positions.ravel()
        for speed, period in zip(speeds, periods, strict=True)
    ]
    shape, dtype = (*positions.shape, len(speeds)), case.options["dtype"]
    return {
        "cos": rounded_to([z.real for z in values], shape, dtype),
        "sin": rounded_to([z.imag for z in values], shape, dtype),
    }


OPERATIONS = {
    "exact_phases": Operation(_ask_phases, _attest_phases),
    "cos_sin": Operation(_ask_cos_sin, _attest_cos_sin),
}
