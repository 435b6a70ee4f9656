"""The printed tables fit a terminal of 100 columns, and say what a reader needs."""

from __future__ import annotations

import io
import math

from rich.console import Console
from rich.table import Table

from ropelab.golden import load, verify
from ropelab.golden.report import cases_table, zoo_table
from ropelab.golden.zoo import MUTANTS
from ropelab.golden.zoo.matrix import KillMatrix


def printed(table: Table) -> list[str]:
    console = Console(width=100, file=io.StringIO(), record=True)
    console.print(table)
    return console.export_text().splitlines()


def matrix(survivor: str | None = None) -> KillMatrix:
    """Return the widest matrix there may be soon: 16 families, three digits where there are."""
    families = {f"family_{n}": 464 if n in (1, 3) else 88 for n in range(1, 17)}
    margins = dict.fromkeys(MUTANTS, 2.5) | {"last-pair-still": math.inf}
    if survivor:
        margins[survivor] = 0.9
    return KillMatrix(MUTANTS, families, ("turns",), dict.fromkeys(MUTANTS, families), margins)


def test_the_kill_matrix_fits_and_cuts_nothing() -> None:
    lines = printed(zoo_table(matrix()))
    assert max(map(len, lines)) <= 100
    assert "…" not in "".join(lines)
    assert all(any(name in line for line in lines) for name in MUTANTS)


def test_columns_are_numbers_that_a_legend_names() -> None:
    lines = printed(zoo_table(matrix()))
    (heads,) = [line for line in lines if line.startswith("┃") and "bug" in line]
    assert heads.replace("┃", " ").split() == ["bug", "times", *map(str, range(1, 17))]
    below = " ".join(" ".join(lines).rpartition("┘")[2].split())
    assert "1=family_1, 2=family_2, 3=family_3" in below
    assert "16=family_16" in below


def test_large_margins_are_capped() -> None:
    text = printed(zoo_table(matrix()))
    (still,) = [line for line in text if "last-pair-still" in line]
    (other,) = [line for line in text if "other-layout" in line]
    assert still.split("│")[3] == ">1000"
    assert other.split("│")[3].strip() == "2.5"


def test_float64_is_told_in_radians_where_an_angle_decides() -> None:
    names = ("rotary/default", "cos_sin/default/exact")
    goldens = [golden for golden in load() if golden.case.id.startswith(names)]
    lines = printed(cases_table(verify(goldens)))
    assert max(map(len, lines)) <= 100
    errors = {
        (row[0], row[1], row[2]): row[5]
        for line in lines
        if line.startswith("│")
        for row in [[cell.strip() for cell in line.strip("│").split("│")]]
    }
    # Half of 2**-64 of a turn a token, at position 2**31: 3.7e-10 rad at most.
    number, unit = errors["cos_sin", "float64", "exact"].split()
    assert unit == "rad"
    assert 1e-11 < float(number) <= math.pi * 2.0**-64 * 2**31
    assert errors["cos_sin", "float32", "exact"].endswith(" eps")
