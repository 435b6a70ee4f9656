"""What multiplies the query of each position."""

from __future__ import annotations

from collections.abc import Mapping

import ropelab

from .. import oracle
from ..case import Array, Case
from ..implementation import Implementation
from .base import Answers, Operation, rounded_to

__all__ = ["OPERATIONS"]


def _ask(case: Case, arrays: Mapping[str, Array], asked: Implementation) -> Answers:
    rule = getattr(ropelab, case.options["rule"])(**case.options["parameters"])
    return {"scale": asked.query_scale(rule, arrays["position_ids"])}


def _attest(case: Case) -> Answers:
    positions, told = case.arguments["position_ids"], case.options
    values = [
        oracle.query_scale(told["rule"], m, told["parameters"]) for m in positions.ravel().tolist()
    ]
    return {"scale": rounded_to(values, positions.shape, "float64")}


OPERATIONS = {"query_scale": Operation(_ask, _attest)}
