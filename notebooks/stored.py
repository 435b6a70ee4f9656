"""What a committed notebook is like: small, with outputs, and the same wherever it was run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

import nbformat

__all__ = ["faults", "normalised"]

LARGEST = 400_000  # bytes, so that a page with figures opens at once
WIDGET = "application/vnd.jupyter.widget-view+json"
# Folders of a machine, and addresses in memory.
OF_A_MACHINE = re.compile(r"(?:/home/|/root/|/tmp/|/usr/|/work/|[A-Z]:\\\\|0x[0-9a-f]{6})[\w.-]*")


def normalised(notebook: nbformat.NotebookNode) -> str:
    """Return the text that a notebook is committed as.

    Metadata name the kernel and nothing of the machine; cells are numbered, so that running them
    again changes no id; sliders, which are nothing without a kernel, are left out.

    Parameters
    ----------
    notebook : nbformat.NotebookNode
        Of any origin; unchanged.

    Returns
    -------
    str
        JSON, ended by a newline.
    """
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [
        _normalised_cell(cell, f"cell-{number:02d}")
        for number, cell in enumerate(notebook.cells, start=1)
    ]
    plain = nbformat.v4.new_notebook(
        cells=cells, metadata={"kernelspec": kernel, "language_info": {"name": "python"}}
    )
    plain.nbformat_minor = 5
    return str(nbformat.writes(plain)) + "\n"


def _normalised_cell(cell: nbformat.NotebookNode, name: str) -> nbformat.NotebookNode:
    kept: dict[str, Any] = {"id": name, "cell_type": cell.cell_type, "source": cell.source}
    kept["metadata"] = {"tags": cell.metadata.tags} if "tags" in cell.metadata else {}
    if cell.cell_type == "code":
        kept["execution_count"] = cell.execution_count
        # What a widget draws would stand in its browser's part, which is not stored.
        live = any(WIDGET in output.get("data", {}) for output in cell.outputs)
        kept["outputs"] = _joined(
            output | ({"metadata": {}} if "metadata" in output else {})
            for output in cell.outputs
            if not (live and output.output_type == "display_data")
        )
    return nbformat.from_dict(kept)


def _joined(outputs: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Join texts of one stream that follow one another; a kernel sends them as time has it."""
    joined: list[dict[str, Any]] = []
    for name, group in groupby(outputs, key=lambda output: output.get("name")):
        alike = list(group)
        joined += [alike[0] | {"text": "".join(one["text"] for one in alike)}] if name else alike
    return joined


def faults(text: str) -> Iterator[str]:
    """Yield what a committed notebook should not be like.

    Parameters
    ----------
    text : str
        Of the file.

    Yields
    ------
    str
        One fault, in words.
    """
    notebook = nbformat.reads(text, as_version=4)
    size = len(text.encode())
    if size > LARGEST:
        yield f"{size:,} bytes, above {LARGEST:,}; draw fewer or smaller figures"
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    outputs = [output for cell in code for output in cell.outputs]
    if not outputs or any(cell.execution_count is None for cell in code):
        yield "not executed"
    for output in outputs:
        if output.output_type == "error":
            yield f"stored error: {output.ename}: {output.evalue}"
        elif output.get("name") == "stderr":
            yield f"stored warning: {output.text.strip()}"
        for found in OF_A_MACHINE.findall(_words(output)):
            yield f"what only this machine has: {found}"
    if normalised(notebook) != text:
        yield "not as --write leaves it: metadata, ids or form differ"


def _words(output: nbformat.NotebookNode) -> str:
    data = output.get("data", {})
    return "\n".join(
        str(part)
        for part in (output.get("text", ""), data.get("text/plain", ""), data.get("text/html", ""))
    )
