"""Every known bug is rejected by the goldens, in every dtype; and only because of the bug."""

from __future__ import annotations

import math

import pytest

from ropelab.golden import load, verify
from ropelab.golden.zoo import MUTANTS, margins
from ropelab.golden.zoo.harness import (
    with_options,
    with_positions,
    with_rope,
    with_spectrum,
    with_tables,
)

GOLDENS = load()


def test_there_is_a_mutant_for_each_of_the_sixteen_mechanisms() -> None:
    assert {mutant.mechanism for mutant in MUTANTS.values()} == {f"M{n}" for n in range(1, 17)}


@pytest.mark.parametrize("name", MUTANTS)
def test_a_known_bug_is_rejected_in_every_dtype(name: str) -> None:
    margin = margins(MUTANTS[name], GOLDENS)
    print(
        f"{MUTANTS[name].mechanism} {name}: " + ", ".join(f"{k} {v:.3g}" for k, v in margin.items())
    )
    assert len(margin) == 4
    assert all(value > 2.0 for value in margin.values()), margin


@pytest.mark.parametrize(
    "harmless",
    [
        with_positions(lambda ids: ids),
        with_spectrum(lambda spectrum: spectrum),
        with_options(layout=lambda layout: layout),
        with_rope(lambda rope: rope),
    ],
    ids=["positions", "spectrum", "options", "rope"],
)
def test_the_harness_alone_is_not_rejected(harmless: object) -> None:
    results = verify(GOLDENS, harmless)  # type: ignore[arg-type]
    assert [result.case.id for result in results if not result.passed] == []


def test_the_table_harness_alone_is_not_rejected() -> None:
    import ropelab

    def exact(ids: object, spectrum: ropelab.Spectrum) -> object:
        return ropelab.cos_sin(ids, spectrum, dtype="float64")  # type: ignore[arg-type]

    results = verify(GOLDENS, with_tables(exact))  # type: ignore[arg-type]
    assert [result.case.id for result in results if not result.passed] == []
    assert all(math.isfinite(result.error) for result in results)
