"""``ropelab bands CONFIG``: the wavelength bands as a table, or as a picture in a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click
from rich.table import Table

from ..bands import stretches
from ..rope import Rope
from . import exits
from .failure import Failure, needed, refusals
from .options import config_argument, dialect_option, json_option, length_option
from .output import print_json, say, table
from .sources import reaches_of, reading_of, source_of
from .words import (
    bands_in_words,
    grouped,
    has_own_progression,
    named_bands,
    of_length,
    times,
)

__all__ = ["bands"]

_FORMATS = ("svg", "png", "pdf")


@click.command()
@config_argument
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help=f"Draw a picture there: {', '.join(_FORMATS)}.",
)
@dialect_option
@length_option
@json_option
def bands(
    config: str, output: Path | None, dialect: str | None, length: int | None, as_json: bool
) -> None:
    """List the wavelength of every pair of CONFIG by band, or draw them."""
    if output is not None and output.suffix[1:].lower() not in _FORMATS:
        line = f"expected a name that ends in {', '.join(_FORMATS)}; got {output.name!r}."
        raise click.BadParameter(line, param_hint="'-o'")
    source = source_of(config)
    reading = reading_of(source, dialect)
    ropes = {kinds: rope for kinds, rope in grouped(reading.ropes) if rope is not None}
    with refusals(source.name):
        if output is not None:
            reaches = reaches_of(source, dialect, reading)
            _draw(source.name, ropes, output, length, reaches)
        if as_json:
            print_json({kinds: _pairs(rope, length) for kinds, rope in ropes.items()})
        elif output is not None:
            say(f"{output} written")
        else:
            say(
                *(
                    part
                    for kinds, rope in ropes.items()
                    for part in _table(f"{source.name}: {kinds}", rope, length)
                )
            )


def _pairs(rope: Rope, length: int | None) -> list[dict[str, Any]]:
    spectrum = rope.spectrum(length)
    own = has_own_progression(rope)
    named = {
        pair: "own" if own else name
        for name, band in named_bands(rope, length)
        for pair in band.pairs
    }
    ratios = stretches(rope, seq_len=length).tolist()
    return [
        {
            "pair": pair,
            "band": named[pair],
            "inv_freq": inv_freq,
            "wavelength": wavelength,
            "stretch": ratio,
        }
        for pair, (inv_freq, wavelength, ratio) in enumerate(
            zip(spectrum.inv_freq.tolist(), spectrum.wavelengths.tolist(), ratios, strict=True)
        )
    ]


def _table(title: str, rope: Rope, length: int | None) -> tuple[str, str, Table]:
    numbers = ("pair", "radians per token", "tokens per turn", "stretch")
    rows = table(*numbers[:3], "stretch", "band", right=numbers)
    for each in _pairs(rope, length):
        stretch = "infinite" if math.isinf(each["stretch"]) else times(each["stretch"])
        shown = (f"{each['inv_freq']:.6e}", of_length(each["wavelength"]), stretch, each["band"])
        rows.add_row(str(each["pair"]), *shown)
    return title, bands_in_words(rope, length), rows


def _draw(
    name: str,
    ropes: Mapping[str, Rope],
    output: Path,
    length: int | None,
    reaches: Mapping[Rope, int | None],
) -> None:
    matplotlib = needed("matplotlib", "plot", "a picture")
    matplotlib.use("agg")
    pyplot = needed("matplotlib.pyplot", "plot", "a picture")
    from ..plots import wavelengths

    figure, axes = pyplot.subplots(
        len(ropes), figsize=(7.2, 4.4 * len(ropes)), layout="constrained", squeeze=False
    )
    for (kinds, rope), ax in zip(ropes.items(), axes[:, 0], strict=True):
        reach = reaches.get(rope)
        window = None if reach == rope.max_position_embeddings else reach
        wavelengths(rope, context_length=window, ax=ax, seq_len=length)
        ax.set_title(name if len(ropes) == 1 else f"{name}: {kinds}")
    try:
        figure.savefig(output)
    except OSError as error:
        raise Failure(exits.UNREADABLE, f"{output}: {error.strerror}") from error
    finally:
        pyplot.close(figure)
