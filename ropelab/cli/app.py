"""``ropelab`` itself: the group of all commands."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import click

from .bands import bands
from .bench import bench
from .commands import Commands
from .diff import diff
from .explain import explain
from .golden import golden
from .lint import lint
from .models import models

__all__ = ["ropelab", "run"]

_EPILOG = (
    "CONFIG is the path of a config.json or of its folder, the path of a GGUF file, the name of a "
    "model that `ropelab models` lists, or - for a config.json on stdin."
)


def _version() -> str:
    try:
        return version("ropelab")
    except PackageNotFoundError:  # run from a folder without being installed
        return "unknown"


@click.group(
    cls=Commands,
    epilog=_EPILOG,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(_version(), prog_name="ropelab")
@click.pass_context
def ropelab(context: click.Context) -> None:
    """Say what the rotary position embedding of a model's config does."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for _command in (explain, lint, diff, bands, models, golden, bench):
    ropelab.add_command(_command)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command.

    Parameters
    ----------
    arguments : sequence of str, optional
        By default those of the process.

    Returns
    -------
    int
        The exit code.
    """
    given = None if arguments is None else list(arguments)
    code: int = ropelab.main(args=given, prog_name="ropelab", standalone_mode=False)
    return code
