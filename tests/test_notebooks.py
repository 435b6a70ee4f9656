"""What is committed of the notebooks, without running them: `nox -s notebooks` runs them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import nbformat
import pytest

from notebooks.stored import WIDGET, faults, normalised

FOLDER = Path(__file__).parents[1] / "notebooks"
FILES = sorted(FOLDER.glob("*.ipynb"))


def run(*outputs: dict[str, Any], **metadata: Any) -> nbformat.NotebookNode:
    """Return a notebook of a text and one executed cell."""
    cell = nbformat.v4.new_code_cell("1 + 1", execution_count=1)
    cell.outputs = [nbformat.from_dict(output) for output in outputs]
    text = nbformat.v4.new_markdown_cell("# Sums")
    return nbformat.v4.new_notebook(cells=[text, cell], metadata=metadata)


def stream(text: str, name: str = "stdout") -> dict[str, Any]:
    return {"output_type": "stream", "name": name, "text": text}


def test_notebooks_are_numbered_without_a_gap() -> None:
    assert [int(file.name[:2]) for file in FILES] == list(range(1, len(FILES) + 1))
    assert len(FILES) >= 12


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_committed_notebook_has_no_fault(file: Path) -> None:
    assert list(faults(file.read_text("utf-8"))) == []


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_a_notebook_shows_and_asserts(file: Path) -> None:
    cells = nbformat.read(file, as_version=4).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert cells[0].source.startswith("# ")
    assert any("assert " in cell.source for cell in code)
    assert any("image/png" in output.get("data", {}) for cell in code for output in cell.outputs)


def test_what_is_written_has_no_fault_and_is_written_alike_again() -> None:
    text = normalised(run(stream("2\n")))
    assert list(faults(text)) == []
    assert normalised(nbformat.reads(text, as_version=4)) == text


def test_only_the_kernel_and_tags_are_left_of_metadata() -> None:
    notebook = run(stream("2\n"), widgets={"state": {}}, vscode={"interpreter": "/home/me"})
    notebook.cells[1].metadata = nbformat.from_dict({"execution": {"s": 1}, "tags": ["gpu"]})
    written = json.loads(normalised(notebook))
    assert sorted(written["metadata"]) == ["kernelspec", "language_info"]
    assert [cell["metadata"] for cell in written["cells"]] == [{}, {"tags": ["gpu"]}]
    assert [cell["id"] for cell in written["cells"]] == ["cell-01", "cell-02"]
    assert notebook.metadata.widgets == {"state": {}}


def test_sliders_are_left_out_and_what_stands_beside_them_stays() -> None:
    data = {"output_type": "display_data", "metadata": {}}
    slider = {**data, "data": {WIDGET: {"model_id": "0"}, "text/plain": "interactive"}}
    drawn = {**data, "data": {"image/png": "AA=="}}
    written = normalised(run(slider, drawn, stream("2\n")))
    outputs = json.loads(written)["cells"][1]["outputs"]
    assert [output["output_type"] for output in outputs] == ["stream"]


def test_a_stream_is_one_text_however_it_came() -> None:
    parts = normalised(run(stream("a\n"), stream("b\n"), stream("c\n", "stderr"), stream("d\n")))
    outputs = nbformat.reads(parts, as_version=4).cells[1].outputs
    assert [output.text for output in outputs] == ["a\nb\n", "c\n", "d\n"]
    whole = run(stream("a\nb\n"), stream("c\n", "stderr"), stream("d\n"))
    assert normalised(whole) == parts


@pytest.mark.parametrize(
    ("output", "told"),
    [
        (stream("Careful\n", "stderr"), "stored warning: Careful"),
        (stream("saved to /home/me/x.png"), "what only this machine has: /home/me"),
        (stream("<Axes at 0x7f2e15dff150>"), "what only this machine has: 0x7f2e15dff150"),
        (stream("x" * 400_000), "bytes, above 400,000"),
        (
            {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": []},
            "stored error: ValueError: no",
        ),
    ],
    ids=["warning", "path", "address", "size", "error"],
)
def test_faults_are_found(output: dict[str, Any], told: str) -> None:
    (fault,) = faults(normalised(run(output)))
    assert told in fault


def test_a_notebook_that_was_not_run_is_found() -> None:
    notebook = run()
    notebook.cells[1].execution_count = None
    assert list(faults(normalised(notebook))) == ["not executed"]


def test_another_form_is_found() -> None:
    assert list(faults(nbformat.writes(run(stream("2\n"))))) == [
        "not as --write leaves it: metadata, ids or form differ"
    ]
