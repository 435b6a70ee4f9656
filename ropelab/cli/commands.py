"""The kind of group that ``ropelab`` is: every way to end becomes an exit code and one line."""

from __future__ import annotations

import codecs
import io
import os
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TextIO

import click

from . import exits
from .failure import one_line, shown

__all__ = ["Commands"]


class Commands(click.Group):
    """A group that prints no traceback, and whose help ends with the exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order in which the commands were added."""
        return list(self.commands)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the epilog and the exit codes."""
        super().format_epilog(ctx, formatter)
        with formatter.section("Exit codes"):
            formatter.write_dl([(str(code), meaning) for code, meaning in exits.EXITS.items()])

    def make_context(self, *args: Any, **extra: Any) -> click.Context:
        """Read the command line, which prints the help where that is asked for."""
        with _reader():
            return super().make_context(*args, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        with _reader():
            result = super().invoke(ctx)
            sys.stdout.flush()
            return result

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run; exit with the code, or return it where that is wanted.

        Parameters
        ----------
        args : sequence of str, optional
            By default those of the process.
        prog_name, complete_var : str, optional
            As click has them.
        standalone_mode : bool, default True
            Whether to exit.
        **extra : object
            As click has it.

        Returns
        -------
        int
            The exit code.
        """
        _write_what_can_be_written()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # findings are printed, as such
            code = self._run(args, prog_name, complete_var, **extra)
        if standalone_mode:
            sys.exit(code)
        return code

    def _run(
        self,
        args: Sequence[str] | None,
        prog_name: str | None,
        complete_var: str | None,
        **extra: Any,
    ) -> int:
        try:
            code = super().main(args, prog_name, complete_var, standalone_mode=False, **extra)
        except click.UsageError as error:
            where = error.ctx.command_path if error.ctx else "ropelab"
            return _failed(f"{error.format_message()} See '{where} --help'.", exits.USAGE)
        except click.ClickException as error:
            return _failed(error.format_message(), error.exit_code)
        except (click.Abort, KeyboardInterrupt):
            return exits.INTERRUPTED
        except OSError as error:  # a disk that is full, for instance
            place = "the output" if error.filename is None else shown(error.filename)
            return _failed(f"{place}: {error.strerror or error}", exits.UNREADABLE)
        except Exception as error:
            kind = type(error).__name__
            return _failed(f"internal error, please report it: {kind}: {error}", exits.INTERNAL)
        return code if isinstance(code, int) else exits.YES


@contextmanager
def _reader() -> Iterator[None]:
    """Let a reader who goes away be no error worth a word; click would take it for a failure."""
    try:
        yield
    except BrokenPipeError as error:
        sys.stdout = _forgotten(sys.stdout)
        raise click.exceptions.Exit(exits.PIPE) from error


def _failed(message: str, code: int) -> int:
    try:
        click.echo(f"ropelab: {one_line(message)}", err=True)
    except OSError:  # nobody can be told
        sys.stderr = _forgotten(sys.stderr)
    return code


def _write_what_can_be_written() -> None:
    """Let an encoding without a sign print another in its place, and not fail."""
    codecs.register_error("ropelab", _another_sign)
    if sys.stdout is None:  # closed by whoever started the process
        sys.stdout = io.StringIO()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="ropelab")


def _another_sign(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeEncodeError)
    signs = error.object[error.start : error.end]
    return "".join("x" if sign == "×" else "?" for sign in signs), error.end


def _forgotten(stream: TextIO) -> TextIO:
    """Return a stream that the interpreter may flush at its end, the given one if it can be."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())
    except (OSError, ValueError):  # no file of the system's
        return io.StringIO()
    return stream
