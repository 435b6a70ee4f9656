"""Every known bug is rejected by the goldens; and only because of the bug."""

from __future__ import annotations

import math
import re
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import ropelab
from ropelab.golden import Result, load, verify
from ropelab.golden.implementation import Implementation
from ropelab.golden.zoo import MUTANTS, Trial, kills, margin, margins
from ropelab.golden.zoo.harness import (
    with_config,
    with_inv_freq,
    with_options,
    with_positions,
    with_rope,
    with_rotation,
    with_rule,
    with_spectrum,
    with_tables,
)
from ropelab.golden.zoo.mutant import ROTATIONS, Mutant
from ropelab.golden.zoo.threads import link
from ropelab.scaling import Llama3

GOLDENS = load()
TRIAL = Trial(GOLDENS)
OF_ROTATIONS = [name for name, mutant in MUTANTS.items() if mutant.changes & ROTATIONS]


@cache
def tried(name: str) -> list[Result]:
    return TRIAL.results(MUTANTS[name])


def test_there_is_a_mutant_for_each_of_the_sixteen_mechanisms() -> None:
    assert {mutant.mechanism for mutant in MUTANTS.values()} == {f"M{n}" for n in range(1, 17)}


def test_at_least_forty_mutants_have_happened_to_somebody() -> None:
    threads = [mutant.thread for mutant in MUTANTS.values() if mutant.thread]
    assert len(threads) >= 40
    assert [thread for thread in threads if not re.fullmatch(r"[\w.-]+[#!]\d+", thread)] == []


@pytest.mark.parametrize(
    ("thread", "address"),
    [
        ("torchtitan#335", "pytorch/torchtitan/issues/335"),
        ("llama.cpp!13282", "ggml-org/llama.cpp/pull/13282"),
        ("sglang!34446", "sgl-project/sglang/pull/34446"),
        ("sglang!31", "kvcache-ai/sglang/pull/31"),
    ],
)
def test_a_thread_is_a_link_to_its_owner(thread: str, address: str) -> None:
    assert link(thread) == f"[{thread}](https://github.com/{address})"


@pytest.mark.parametrize("thread", ["nobody#1", "torchtitan", "torchtitan#x"])
def test_a_thread_of_nobody_is_refused(thread: str) -> None:
    with pytest.raises(ValueError, match=r"thread: expected .* got "):
        link(thread)


def test_every_mechanism_is_explained_on_the_page() -> None:
    page = (Path(__file__).parents[3] / "docs" / "kill-matrix.md").read_text("utf-8")
    told = re.findall(r"^- (M\d+): [^(\n]+\.$", page, flags=re.MULTILINE)
    assert told == [f"M{n}" for n in range(1, 17)]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_known_bug_is_rejected_by_its_numbers(name: str) -> None:
    assert margin(MUTANTS[name], tried(name)) > 2.0


@pytest.mark.parametrize("name", OF_ROTATIONS)
def test_a_bug_of_rotations_is_rejected_in_every_dtype(name: str) -> None:
    by_dtype = margins(tried(name))
    assert len(by_dtype) == 4
    assert all(value > 2.0 for value in by_dtype.values()), by_dtype


def test_a_crash_is_no_rejection() -> None:
    def broken(*_: object, **__: object) -> ropelab.Spectrum:
        raise RuntimeError

    mutant = Mutant("M16", "crashes", with_rope(broken))  # type: ignore[arg-type]
    results = TRIAL.results(mutant)
    assert kills(results)
    assert margin(mutant, results) == 0.0


@pytest.mark.parametrize(
    "name",
    [
        "rule-dropped",
        "length-ignored",
        "length-off-by-one",
        "head-dim-exponents",
        "old-spelling-ignored",
        "stale-cache",
    ],
)
def test_a_wrong_frequency_shows_in_the_rotated_tensors_of_models(name: str) -> None:
    assert min(margins(tried(name)).values()) > 2.0


@pytest.mark.filterwarnings("ignore")  # of what a config says
def test_cases_left_out_are_those_that_a_bug_cannot_reach() -> None:
    for name in ("rule-dropped", "keys-still", "axes-reversed", "old-spelling-ignored"):
        failed = [r.case.id for r in verify(GOLDENS, MUTANTS[name].implementation) if not r.passed]
        assert [r.case.id for r in tried(name) if not r.passed] == failed


def test_the_page_of_the_kill_matrix_is_up_to_date() -> None:
    # By which families reject a bug; how many cases do may differ by one between processors.
    page = (Path(__file__).parents[3] / "docs" / "kill-matrix.md").read_text("utf-8")
    lines = [line for line in page.splitlines() if line.startswith("|")]
    heads, _, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    found = {
        (bug, thread): {head for head, count in zip(heads[3:], counts, strict=True) if count}
        for _, bug, thread, *counts in rows
    }
    expected = {
        (mutant.description, link(mutant.thread) if mutant.thread else ""): set(kills(tried(name)))
        for name, mutant in MUTANTS.items()
    }
    assert found == expected, "run `nox -s figures`"


def test_a_bug_that_remembers_forgets_between_two_trials() -> None:
    assert kills(TRIAL.results(MUTANTS["stale-cache"])) == kills(tried("stale-cache"))


@pytest.mark.parametrize(
    "harmless",
    [
        with_positions(lambda ids: ids),
        with_spectrum(lambda spectrum: spectrum),
        with_options(layout=lambda layout: layout),
        with_rope(lambda rope: rope),
        with_rotation(lambda *given, **options: ropelab.apply_rotary(*given, **options)),
        with_rule(Llama3, lambda rope, seq_len: rope.spectrum(seq_len)),
        with_inv_freq(Llama3, lambda rope, seq_len: rope.spectrum(seq_len).inv_freq),
        with_config(lambda config: config),
    ],
    ids=["positions", "spectrum", "options", "rope", "rotation", "rule", "inv_freq", "config"],
)
def test_the_harness_alone_is_not_rejected(harmless: Implementation) -> None:
    mutant = Mutant("M16", "none", harmless)
    results = TRIAL.results(mutant)
    assert len(results) > 5
    assert [result.case.id for result in results if not result.passed] == []


@pytest.mark.filterwarnings("ignore")
def test_the_table_harness_alone_is_not_rejected() -> None:
    def exact(ids: object, spectrum: ropelab.Spectrum) -> object:
        return ropelab.cos_sin(ids, spectrum, dtype=np.float64)  # type: ignore[arg-type]

    results = verify(GOLDENS, with_tables(exact))  # type: ignore[arg-type]
    assert [result.case.id for result in results if not result.passed] == []
    assert all(math.isfinite(result.error) for result in results)
