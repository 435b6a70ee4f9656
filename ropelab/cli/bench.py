"""``ropelab bench``: measure the kernels, where there is a GPU."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory

import click

from . import exits
from .failure import Failure, needed
from .options import json_option

__all__ = ["bench"]


@click.command()
@click.option("--quick", is_flag=True, help="One shape, and the host's time.")
@click.option("--seconds", type=float, metavar="S", help="After which no workload is begun.")
@click.option(
    "--markdown", type=click.Path(path_type=Path), metavar="FILE", help="Write the tables there."
)
@json_option
@click.pass_context
def bench(
    context: click.Context,
    quick: bool,
    seconds: float | None,
    markdown: Path | None,
    as_json: bool,
) -> None:
    """Measure the kernels beside a device copy and torch; needs a GPU."""
    torch = needed("torch", "torch", "bench")
    if not torch.cuda.is_available():
        raise Failure(exits.MISSING, "bench needs a GPU; torch sees no CUDA device")
    needed("cupy", "cuda13", "bench")
    given = ["--quick"] if quick else []
    given += [] if seconds is None else ["--seconds", str(seconds)]
    given += [] if markdown is None else ["--markdown", str(markdown)]
    # The specification does not import the kernels; whoever asks for them by name may have them.
    measure = import_module("ropelab_cuda.bench.__main__").main
    if not as_json:
        context.exit(measure(given))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "bench.json"
        with redirect_stdout(sys.stderr):
            code = measure([*given, "--json", str(path)])
        click.echo(path.read_text("utf-8"))
    context.exit(code)
