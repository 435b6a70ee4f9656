"""The tables of the page on performance are those of the run that is kept beside it."""

from __future__ import annotations

from docs.performance import PAGE, page


def test_the_tables_are_those_of_the_run() -> None:
    assert PAGE.read_text("utf-8") == page(), "run python -m docs.performance"
