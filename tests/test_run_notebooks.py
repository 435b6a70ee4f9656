"""What running a notebook again finds: what it shows now beside what is stored of it.

No kernel runs here: an output is written by hand where nbclient would put it.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import io
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nbformat
import numpy as np
import pytest
from matplotlib.image import imsave

from notebooks.compared import differences
from notebooks.stored import WIDGET, normalised
from tests.test_notebooks import run, stream

Output = dict[str, Any]
HINT = "; or store what is shown now, by --write"


def picture(points: Any) -> Output:
    """Return an output that draws grey points of 0 to 1."""
    file = io.BytesIO()
    imsave(file, points, cmap="gray", vmin=0.0, vmax=1.0, format="png")
    png = base64.b64encode(file.getvalue()).decode()
    return {"output_type": "display_data", "metadata": {}, "data": {"image/png": png}}


def found(now: Output, then: Output) -> list[str]:
    """Return the differences of two notebooks of one output."""
    return list(differences(normalised(run(now)), normalised(run(then))))


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("took 12.1 ms, 3 s in all", "took 9 ms, 14 s in all"),
        ("a call: 17.0 μs", "a call: 8.21 μs"),
        ("torch 2.13.0+cpu", "torch 2.14.1"),
        ("<Axes at 0x7f2e15dff150>", "<Axes at 0x7f2e15d00150>"),
        ("off by 1.24 eps in 2 rotations", "off by 0.97 eps in 2 rotations"),
        ("apart by 9e-16, and 4.9e-07", "apart by 2e-15, and 6.1e-07"),
        ("B = -0.49893", "B = -0.49892"),
        ("share  9.9 %", "share 10.0 %"),
        ("kernel: 3 apart", "SKIPPED: no GPU here"),
    ],
)
def test_what_is_of_a_run_or_a_processor_is_not_compared(now: str, then: str) -> None:
    assert found(stream(now), stream(then)) == []


@pytest.mark.parametrize(
    ("now", "then"),
    [
        ("46 of 64 pairs", "47 of 64 pairs"),
        ("1,707 tokens", "1,708 tokens"),
        ("B = -0.49893", "B = -0.49891"),
        ("B = -0.49893", "B = 0.49893"),
        ("3.9e-03 radians", "4.2e-03 radians"),
        ("linear  0 pairs", "NTK  0 pairs"),
        ("bfloat16", "bfloat32"),
        ("[0, 3, 4]", "[0, 3, 4, 7]"),
        ("off by 1.24 eps in 2 rotations", "off by 1.24 eps in 3 rotations"),
        ("5 of 64", "5.0 of 65"),
    ],
)
def test_words_and_numbers_are_compared(now: str, then: str) -> None:
    for got, expected in ((now, then), (then, now)):
        told = f"cell-02: expected {expected!r}, as it is stored; got {got!r}{HINT}"
        assert found(stream(got), stream(expected)) == [told]


def test_the_line_that_differs_is_told() -> None:
    told = f"cell-02: expected 'b', as it is stored; got ''{HINT}"
    assert found(stream("a\n"), stream("a\nb\nc\n")) == [told]


def test_pictures_are_compared_loosely() -> None:
    points = np.full((60, 80), 0.5)
    few, many, faint = points.copy(), points.copy(), points + 0.1
    few[:2], many[:10] = 1.0, 1.0
    for alike in (points, few, faint):
        assert found(picture(alike), picture(points)) == []
    words = (
        "cell-02: expected the picture that is stored; got one that differs in 17% of its points"
    )
    assert found(picture(many), picture(points)) == [words + HINT]
    words = "cell-02: expected a picture of 80 × 60 points, as it is stored; got 80 × 50"
    assert found(picture(points[10:]), picture(points)) == [words + HINT]


def test_outputs_that_come_or_go_are_found() -> None:
    drawn = picture(np.zeros((4, 4)))
    assert found(drawn, stream("2")) == ["cell-02: expected outputs of stdout; got image/png"]
    nothing = normalised(run())
    assert list(differences(normalised(run(drawn)), nothing)) == [
        "cell-02: expected outputs of none; got image/png"
    ]


def test_another_cell_is_found() -> None:
    other = run(stream("2"))
    other.cells[1].source = "2 + 2"
    told = differences(normalised(run(stream("2"))), normalised(other))
    assert list(told) == ["cell-02: expected the cell that is stored; got another"]


class Client:
    """Stands for nbclient's: puts outputs into the last cell, or fails."""

    outputs: tuple[Output, ...] = ()
    failure: Exception | None = None

    def __init__(self, notebook: nbformat.NotebookNode, **_: Any) -> None:
        self.notebook = notebook

    async def async_execute(self) -> None:
        if self.failure is not None:
            raise self.failure
        cell = self.notebook.cells[-1]
        cell.outputs = [nbformat.from_dict(output) for output in self.outputs]


Again = Callable[..., list[str]]


@pytest.fixture
def again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Again:
    """Return what runs a stored notebook that shows 2, and gives the faults."""
    monkeypatch.setitem(sys.modules, "nbclient", SimpleNamespace(NotebookClient=Client))
    monkeypatch.delitem(sys.modules, "notebooks.execute", raising=False)
    module = importlib.import_module("notebooks.execute")
    monkeypatch.delitem(sys.modules, "notebooks.execute")
    path = tmp_path / "01_sums.ipynb"
    path.write_text(normalised(run(stream("2\n"))), encoding="utf-8")

    def _again(*outputs: Output, failure: Exception | None = None, write: bool = False) -> Any:
        monkeypatch.setattr(Client, "outputs", outputs)
        monkeypatch.setattr(Client, "failure", failure)
        before = path.read_text("utf-8")
        (gone,) = asyncio.run(module.execute_all([path], write=write))
        assert write or path.read_text("utf-8") == before
        return gone.faults

    return _again


def test_what_is_shown_as_it_is_stored_has_no_fault(again: Again) -> None:
    assert again(stream("2\n")) == []
    assert again(stream("2"), stream("\n")) == []


def test_a_slider_that_raises_is_found(again: Again) -> None:
    slider = {
        "output_type": "display_data",
        "metadata": {},
        "data": {WIDGET: {"model_id": "0"}, "text/plain": "interactive"},
    }
    error = {"output_type": "error", "ename": "KeyError", "evalue": "'b'", "traceback": []}
    faults = again(slider, error, stream("2\n"), write=True)
    assert faults[0] == "stored error: KeyError: 'b'"
    assert again(stream("2\n")) == []  # it was not stored


def test_a_warning_is_found(again: Again) -> None:
    (told, other) = again(stream("2\n"), stream("Careful\n", "stderr"))
    assert told == "stored warning: Careful"
    assert other == "cell-02: expected outputs of stdout; got stderr and stdout"


def test_what_is_stale_is_found_and_stored(again: Again) -> None:
    (told,) = again(stream("3\n"))
    assert told == f"cell-02: expected '2', as it is stored; got '3'{HINT}"
    assert again(stream("3\n"), write=True) == []
    assert again(stream("3\n")) == []


def test_a_failure_is_told_alone(again: Again) -> None:
    assert again(failure=RuntimeError("no kernel"), write=True) == ["no kernel"]
    assert again(stream("2\n")) == []
