"""Arguments and options that several commands have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from ..formats import DIALECTS

__all__ = ["DIALECT", "config_argument", "dialect_option", "json_option", "length_option"]

F = TypeVar("F", bound=Callable[..., Any])

DIALECT = click.Choice(tuple(DIALECTS), case_sensitive=False)
"""The implementations whose reading can be asked for."""

config_argument = click.argument("config", metavar="CONFIG")
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")


def dialect_option(function: F) -> F:
    """Give a command ``--as``: whose reading of the config is meant."""
    return click.option(
        "--as", "dialect", type=DIALECT, help="Read it as this implementation does."
    )(function)


class _Tokens(click.IntRange):
    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number, or fail and say what is expected."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            line = f"expected a whole number of tokens, {self.min} to {self.max}; got {value!r}."
            self.fail(line, param, ctx)


def length_option(function: F) -> F:
    """Give a command ``--length``, for rules that depend on it."""
    return click.option(
        "--length",
        type=_Tokens(1, 2**63 - 1),
        metavar="TOKENS",
        help="Length of the sequence, for rules that depend on it.",
    )(function)
