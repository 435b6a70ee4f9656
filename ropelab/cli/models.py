"""``ropelab models``: search the registry."""

from __future__ import annotations

from typing import Any

import click

from ..models import MODELS, Model
from . import exits
from .options import json_option
from .output import print_json, say, table
from .words import grouped, of_length

__all__ = ["models"]


@click.command()
@click.argument("words", nargs=-1)
@click.option("--rule", metavar="NAME", help="With this rule in some layers: yarn, llama3 ...")
@click.option("--family", metavar="NAME", help="Of this model_type: llama, qwen2, gemma3_text ...")
@json_option
@click.pass_context
def models(
    context: click.Context,
    words: tuple[str, ...],
    rule: str | None,
    family: str | None,
    as_json: bool,
) -> None:
    """List the models of the registry whose names have all WORDS in them."""
    rows = list(map(_row, MODELS.values()))
    _check_rule(rule, rows)
    found = [row for row in rows if _fits(row, words, rule, family)]
    if as_json:
        print_json(found)
    elif found:
        shown = table(
            "model", "family", "rule", "base", "tokens", "read in", right=("base", "tokens")
        )
        for row in found:
            bases = ", ".join(f"{base:,.10g}" for base in row["bases"])
            length = row["max_position_embeddings"]
            tokens = "" if length is None else of_length(length)
            cells = (row["family"], ", ".join(row["rules"]), bases, tokens, row["kind"])
            shown.add_row(row["name"], *cells)
        say(shown, f"{len(found)} of {len(MODELS)} models")
    else:
        say(f"none of {len(MODELS)} models")
    if not found:
        context.exit(exits.NO)


def _check_rule(rule: str | None, rows: list[dict[str, Any]]) -> None:
    known = sorted({each for row in rows for each in row["rules"]})
    if rule is not None and rule.casefold() not in known:
        line = f"expected one of {', '.join(known)}; got {rule!r}."
        raise click.BadParameter(line, param_hint="'--rule'")


def _row(model: Model) -> dict[str, Any]:
    ropes = [rope for _, rope in grouped(model.ropes()) if rope is not None]
    lengths = [rope.max_position_embeddings for rope in ropes]
    return {
        "name": model.name,
        "family": str(model.config.get("model_type", "")),
        "rules": list(dict.fromkeys(rope.scaling.rope_type for rope in ropes)),
        "bases": list(dict.fromkeys(rope.base for rope in ropes)),
        "max_position_embeddings": max((each for each in lengths if each), default=None),
        "kind": model.kind,
        "source": model.source,
    }


def _fits(
    row: dict[str, Any], words: tuple[str, ...], rule: str | None, family: str | None
) -> bool:
    name = row["name"].casefold()
    return (
        all(word.casefold() in name for word in words)
        and (rule is None or rule.casefold() in row["rules"])
        and (family is None or row["family"].startswith(family.casefold()))
    )
