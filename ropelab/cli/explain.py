"""``ropelab explain CONFIG``: what a config's rotary embedding does, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import click
from rich.console import RenderableType

from ..bands import classify
from ..formats import LayersReading, query_scales_from_transformers
from ..formats.latent import channels_beside
from ..query_scale import QueryScale
from ..rope import Rope
from .band_plot import band_plot
from .description import describe, lengths_told
from .failure import refusals
from .options import config_argument, dialect_option, json_option, length_option
from .output import print_json, say, standard_output, writes_unicode
from .sources import Source, reaches_of, reading_of, source_of
from .words import bands_in_words, grouped

__all__ = ["explain"]


@click.command()
@config_argument
@dialect_option
@length_option
@click.option("--no-plot", is_flag=True, help="Leave the picture out.")
@json_option
def explain(
    config: str, dialect: str | None, length: int | None, no_plot: bool, as_json: bool
) -> None:
    """Say in plain words what CONFIG's rotary embedding does, and draw its bands."""
    source = source_of(config)
    reading = reading_of(source, dialect)
    reader = dialect or source.dialect
    with refusals(source.name):
        scales = _query_scales(source, reader)
        if as_json:
            print_json(_document(source, reader, reading, scales, length))
        else:
            say(*_lines(source, reader, reading, scales, length, plot=not no_plot))


def _query_scales(source: Source, reader: str) -> Mapping[str, QueryScale | None]:
    return query_scales_from_transformers(source.values) if reader == "transformers" else {}


def _lines(
    source: Source,
    reader: str,
    reading: LayersReading,
    scales: Mapping[str, QueryScale | None],
    length: int | None,
    *,
    plot: bool,
) -> Iterator[RenderableType]:
    origin = "" if source.origin == source.name else f" ({source.origin})"
    yield f"{source.name}, as {reader} reads it{origin}"
    reaches = reaches_of(source, reader, reading)
    beside = channels_beside(source.values, reader)
    width, unicode = standard_output().width, writes_unicode()
    for kinds, rope in grouped(reading.ropes):
        yield ""
        if len(reading.ropes) > 1:
            yield f"layers: {kinds}"
        if rope is None:
            yield "  no rotary embedding"
            continue
        reach = reaches.get(rope)
        yield from (f"  {line}" for line in describe(rope, length, reach, beside))
        marked = None if reach == rope.max_position_embeddings else [reach] if reach else []
        for each in lengths_told(rope, length) if plot else ():
            picture = band_plot(rope, width=width, length=each, marked=marked, unicode=unicode)
            if picture is not None:
                yield from ("" if each is None else f"\n  in {each:,} tokens", picture)
    for kind, scale in scales.items():
        if scale is not None:
            yield from ("", f"queries of the layers {kind} are multiplied by {scale}")
    if reading.findings:
        yield from ("", "To be known beside it:", *(f"- {each}" for each in reading.findings))


def _document(
    source: Source,
    reader: str,
    reading: LayersReading,
    scales: Mapping[str, QueryScale | None],
    length: int | None,
) -> dict[str, Any]:
    return {
        "config": source.name,
        "origin": source.origin,
        "dialect": reader,
        "length": length,
        "layers": {
            kind: None if rope is None else _layer(rope, length)
            for kind, rope in reading.ropes.items()
        },
        "query_scales": {
            kind: scale and {"rule": type(scale).__name__, **vars(scale)}
            for kind, scale in scales.items()
        },
        "findings": reading.findings,
    }


def _layer(rope: Rope, length: int | None) -> dict[str, Any]:
    spectrum = rope.spectrum(length)
    return {
        "summary": bands_in_words(rope, length),
        "head_dim": rope.head_dim,
        "rotary_dim": rope.rotary_dim,
        "rotary_offset": rope.rotary_offset,
        "base": rope.base,
        "rope_type": rope.scaling.rope_type,
        "parameters": vars(rope.scaling),
        "layout": rope.layout,
        "output_layout": rope.output_layout,
        "max_position_embeddings": rope.max_position_embeddings,
        "position_axes": spectrum.position_axes,
        "attention_factor": spectrum.attention_factor,
        "softmax_factor": spectrum.softmax_factor,
        "longest_wavelength": float(spectrum.wavelengths.max()),
        "bands": classify(rope, seq_len=length),
    }
