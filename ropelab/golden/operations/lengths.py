"""At which length a dynamic rule is asked, after each call of a series."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from .. import oracle
from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation

__all__ = ["OPERATIONS"]


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    lengths = asked.dynamic_lengths(case.options["original"], arrays["calls"].tolist())
    return {"lengths": np.array(lengths, np.int64)}


def _attest(case: Case) -> Answers:
    lengths = oracle.dynamic_lengths(case.options["original"], case.arguments["calls"].tolist())
    return {"lengths": np.array(lengths, np.int64)}


OPERATIONS = {"dynamic_lengths": Operation(_ask, _attest)}
