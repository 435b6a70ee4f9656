"""What ends a command: one line for stderr, and the exit code that goes with it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from types import ModuleType
from typing import IO, Any

import click

from . import exits

__all__ = ["Failure", "needed", "one_line", "refusals", "shown"]

_LONGEST = 600  # characters of a line on stderr


class Failure(click.ClickException):
    """An error of the user's or the machine's.

    Parameters
    ----------
    code : int
        One of `ropelab.cli.exits`.
    message : str
        What is wrong, and the mend; becomes one line.
    """

    def __init__(self, code: int, message: str) -> None:
        super().__init__(one_line(message))
        self.exit_code = code  # type: ignore[misc]  # click's own subclasses have a class each

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the line on stderr."""
        click.echo(f"ropelab: {self.message}", file=file, err=file is None)


def one_line(text: str) -> str:
    """Return a text without line ends and control characters, shortened in the middle."""
    line = "".join(c if c.isprintable() else " " for c in " ".join(text.split()))
    half = _LONGEST // 2
    return line if len(line) <= _LONGEST else f"{line[:half]} ... {line[-half:]}"


def shown(name: object) -> str:
    """Return a name as a message has it: as it is, or quoted if a terminal would not show it."""
    text = str(name)
    return text if text and text.isprintable() else repr(text)


@contextmanager
def refusals(place: str, code: int = exits.REFUSED) -> Iterator[None]:
    """Turn the library's TypeError and ValueError into a `Failure`.

    Parameters
    ----------
    place : str
        What was asked about; begins the line.
    code : int
        The exit code.

    Raises
    ------
    Failure
        In place of those errors, with their text.
    """
    try:
        yield
    except (TypeError, ValueError) as error:
        raise Failure(code, f"{place}: {error}" if place else str(error)) from error


def needed(module: str, extra: str, purpose: str) -> ModuleType:
    """Import what a command needs, or say how to install it.

    Parameters
    ----------
    module : str
        What to import.
    extra : str
        The extra of ropelab that brings it.
    purpose : str
        What needs it.

    Returns
    -------
    module
        The module.

    Raises
    ------
    Failure
        If it, or one that it imports, is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        name = (error.name or module).partition(".")[0]
        line = f'{purpose} needs {name}; pip install "ropelab[{extra}]"'
        raise Failure(exits.MISSING, line) from error
