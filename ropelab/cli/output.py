"""What goes to stdout: text and tables through rich, or one JSON document."""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass
from itertools import chain
from typing import Any

import click
import numpy as np
from rich.console import Console, RenderableType
from rich.table import Table

__all__ = ["jsonable", "print_json", "say", "standard_output", "table", "writes_unicode"]

_PIPE_WIDTH = 120  # columns of a table where there is no terminal to measure
_NARROWEST = 60  # columns that a table needs; below it columns would lose their letters
_HEIGHT = 25  # lines; nothing here depends on them


class _Console(Console):
    def on_broken_pipe(self) -> None:
        """Leave a closed pipe to `ropelab.cli.app`, which knows the exit code."""
        raise  # called while the BrokenPipeError is handled


def standard_output() -> Console:
    """Return a console on stdout as it is now: coloured, measured, or plain for a pipe."""
    columns = os.environ.get("COLUMNS", "")
    width = int(columns) if columns.isdecimal() and int(columns) > 0 else None
    if width is None and not sys.stdout.isatty():
        width = _PIPE_WIDTH
    # With a width alone rich would measure, and take 80 columns where TERM is dumb.
    height = None if width is None else _HEIGHT
    return _Console(markup=False, highlight=False, emoji=False, width=width, height=height)


def say(*parts: RenderableType) -> None:
    """Print texts and tables, once all of them are there; a pipe gets texts unfolded.

    On a console too narrow for tables, a cell is a line.
    """
    console = standard_output()
    narrow = console.width < _NARROWEST
    for part in chain.from_iterable(
        _cells(part) if narrow and isinstance(part, Table) else (part,) for part in parts
    ):
        soft = isinstance(part, str) and not console.is_terminal
        console.print(part, soft_wrap=soft)


def _cells(made: Table) -> Iterator[str]:
    """Yield each row as lines, a heading and a cell on each, and an empty line behind it."""
    headings = [str(column.header) for column in made.columns]
    for row in zip(*(column.cells for column in made.columns), strict=True):
        for heading, cell in zip(headings, map(str, row), strict=True):
            if cell:
                yield f"{heading}: {cell}" if heading else cell
        yield ""


def table(*headings: str, right: tuple[str, ...] = ()) -> Table:
    """Return an empty table whose cells fold rather than being cut off.

    Parameters
    ----------
    *headings : str
        Of the columns.
    right : tuple of str
        Those whose numbers stand on the right.

    Returns
    -------
    rich.table.Table
        The table.
    """
    made = Table()
    for heading in headings:
        justify = "right" if heading in right else "left"
        # rich wants a literal, and a conditional of two literals is a str to the checker.
        made.add_column(heading, justify=justify, overflow="fold")  # type: ignore[arg-type]
    return made


def print_json(value: object) -> None:
    """Print one JSON document; what is not finite becomes null."""
    click.echo(json.dumps(jsonable(value), indent=1, allow_nan=False))


def jsonable(value: Any) -> Any:
    """Return a value as JSON has it: dataclasses as objects, arrays as lists.

    Parameters
    ----------
    value : object
        Made of numbers, texts, mappings, sequences, arrays and dataclasses.

    Returns
    -------
    object
        Of what ``json.dumps`` takes; numbers that are not finite are None.
    """
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): jsonable(each) for key, each in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [jsonable(each) for each in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if isinstance(value, int | str | type(None)) else str(value)


def writes_unicode() -> bool:
    """Return whether stdout can write the signs of the band plot."""
    try:
        "●◆□×─│└·".encode(sys.stdout.encoding or "ascii")
    except (LookupError, UnicodeEncodeError):
        return False
    return True
