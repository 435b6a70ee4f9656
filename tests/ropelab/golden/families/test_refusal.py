"""Every rule has a refusal of each kind of bad number, and of each parameter left out."""

from __future__ import annotations

import math
from dataclasses import MISSING, fields
from typing import Any

import pytest

from ropelab.golden.case import Case
from ropelab.golden.families import catalogue
from ropelab.scaling import SCALINGS

CASES = [case for case in catalogue() if case.options.get("call") == "spectrum"]
NEITHER = {"dtype", "finetuned", "inner", "mscale_policy", "arrangement", "order", "truncate"}
NUMBERS = [
    (rule, field.name)
    for rule, scaling in SCALINGS.items()
    for field in fields(scaling)  # type: ignore[arg-type]
    if field.name not in NEITHER
]
NEEDED = [
    (rule, field.name)
    for rule, scaling in SCALINGS.items()
    for field in fields(scaling)  # type: ignore[arg-type]
    if field.default is MISSING and field.default_factory is MISSING
]
LENGTHS = [(rule, name) for rule, name in NUMBERS if name.endswith("max_position_embeddings")]


def parameters(case: Case) -> dict[str, Any]:
    return {**case.options["rope"], **{k: v.tolist() for k, v in case.arguments.items()}}


def refused_values(rule: str, name: str) -> list[Any]:
    """Return what the cases of a rule give to a parameter, lists number by number."""
    found = []
    for given in map(parameters, CASES):
        if given["rope_type"] == rule and name in given:
            value = given[name]
            found += value if isinstance(value, list) else [value]
    return found


@pytest.mark.parametrize(("rule", "name"), NUMBERS)
def test_bad_numbers_are_refused(rule: str, name: str) -> None:
    values = refused_values(rule, name)
    numbers = [value for value in values if isinstance(value, int | float)]
    assert any(isinstance(value, str) for value in values)
    assert any(math.isnan(number) for number in numbers)
    # An explicit frequency may be negative: the pair turns the other way.
    assert name == "inv_freq" or any(number < 0 for number in numbers)


@pytest.mark.parametrize(("rule", "name"), LENGTHS)
def test_a_length_of_no_token_is_refused(rule: str, name: str) -> None:
    assert 0 in refused_values(rule, name)


@pytest.mark.parametrize(("rule", "name"), NEEDED)
def test_a_missing_parameter_is_refused(rule: str, name: str) -> None:
    given = [parameters(case) for case in CASES]
    assert any(name not in one for one in given if one["rope_type"] == rule)
