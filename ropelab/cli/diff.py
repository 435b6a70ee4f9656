"""``ropelab diff A B``: where two rotary embeddings part, and by how much."""

from __future__ import annotations

import click

from ..formats.layers import EVERY_LAYER
from ..rope import Rope
from . import exits
from .comparison import Comparison, compare, compared_at
from .failure import refusals
from .options import DIALECT, json_option, length_option
from .output import print_json, say, table
from .sources import reading_of, source_of
from .words import of_length

__all__ = ["diff"]

Layers = dict[str, Rope | None]

_ORDER = 2.0**-40  # what the order of float64's operations makes of a quotient, and more


@click.command()
@click.argument("a", metavar="A")
@click.argument("b", metavar="[B]", required=False)
@click.option("--as", "dialect", type=DIALECT, help="Read A as this implementation does.")
@click.option("--and", "other", type=DIALECT, help="Read B, by default A again, as this one does.")
@length_option
@json_option
@click.pass_context
def diff(
    context: click.Context,
    a: str,
    b: str | None,
    dialect: str | None,
    other: str | None,
    length: int | None,
    as_json: bool,
) -> None:
    """Compare two configs, or one config as two implementations read it.

    One config: `ropelab diff config.json --as vllm --and transformers`. The exit code is 1 where
    they differ.
    """
    if b is None and other is None:
        line = "give a second CONFIG, or --and another implementation."
        raise click.UsageError(line, context)
    one = source_of(a)
    two = one if b is None else source_of(b)
    left = reading_of(one, dialect)
    right = reading_of(two, other)
    names = (
        f"{one.name}, as {dialect or one.dialect} reads it",
        f"{two.name}, as {other or two.dialect} reads it",
    )
    with refusals(f"{one.name}, {two.name}"):
        compared = [
            compare(kinds, first, second, each)
            for kinds, first, second in _matched(dict(left.ropes), dict(right.ropes))
            for each in compared_at(first, second, length)
        ]
    differ = any(each.differs for each in compared)
    if as_json:
        print_json({"a": names[0], "b": names[1], "differ": differ, "layers": compared})
    else:
        say(f"A: {names[0]}", f"B: {names[1]}")
        for each in compared:
            _print(each)
        told = dict.fromkeys([*map(str, left.findings), *map(str, right.findings)])
        if told:
            say("", "To be known beside it:", *(f"- {line}" for line in told))
    context.exit(exits.NO if differ else exits.YES)


def _matched(a: Layers, b: Layers) -> list[tuple[str, Rope | None, Rope | None]]:
    """Pair the kinds of layers; what does not tell them apart has the same rope for all."""
    if EVERY_LAYER in b or len(b) == 1:
        alone = next(iter(b.values()))
        pairs = [(kind, rope, alone) for kind, rope in a.items()]
    elif EVERY_LAYER in a or len(a) == 1:
        alone = next(iter(a.values()))
        pairs = [(kind, alone, rope) for kind, rope in b.items()]
    else:
        pairs = [(kind, a.get(kind), b.get(kind)) for kind in dict.fromkeys([*a, *b])]
    found: dict[tuple[Rope | None, Rope | None], list[str]] = {}
    for kind, first, second in pairs:
        found.setdefault((first, second), []).append(kind)
    return [(", ".join(kinds), *both) for both, kinds in found.items()]


def _print(found: Comparison) -> None:
    at = "" if found.length is None else f", in {found.length:,} tokens"
    say("", f"layers: {found.layers}{at}")
    say(*(f"  {line}" for line in _lines(found)))
    if found.settings:
        rows = table("", "A", "B")
        for name, (first, second) in found.settings.items():
            rows.add_row(name, _value(first), _value(second))
        say(rows)
    if found.similarity:
        rows = table(
            "position", "similarity of one vector, turned by A and by B", right=("position",)
        )
        for position, value in found.similarity.items():
            rows.add_row(of_length(position), f"{value:.6f}")
        say(rows)


def _value(value: object) -> str:
    return f"{value:,.10g}" if isinstance(value, float) else str(value)


def _lines(found: Comparison) -> list[str]:
    each = found.frequencies
    if each is None:
        return [*found.notes] if found.differs else ["the same: no rotary embedding"]
    apart = each.ratio - 1.0
    rounding = f", to {apart:.1g}" if apart > _ORDER else ""
    lines = [f"the same {'frequencies' if found.differs else 'numbers'}{rounding}"]
    if each.differing:
        lines = [
            f"first pair that differs: {each.first}; {each.differing} of {each.pairs} do",
            f"largest quotient of two frequencies: {each.ratio:.6g}, at pair {each.largest}",
        ]
    return [*lines, *found.notes]
