"""``ropelab lint CONFIG``: what is wrong with a config, why, and how to mend it."""

from __future__ import annotations

import click

from ..lint import KINDS, Finding
from ..lint import lint as findings_of
from . import exits
from .failure import refusals
from .options import json_option
from .output import print_json, say, table
from .sources import Source, reading_of, source_of

__all__ = ["lint"]


@click.command()
@click.argument("config", metavar="CONFIG", required=False)
@click.option("--kinds", is_flag=True, help="List the kinds of defect instead.")
@json_option
@click.pass_context
def lint(context: click.Context, config: str | None, kinds: bool, as_json: bool) -> None:
    """List the defects of CONFIG: each with its kind, its reason and a fix.

    The exit code is 1 where there is an error or a warning; a note alone is none.
    """
    if kinds:
        _list_kinds(as_json)
        return
    if config is None:
        line = "give a CONFIG, or --kinds."
        raise click.UsageError(line, context)
    source = source_of(config)
    with refusals(source.name):
        found = _findings(source)
    if as_json:
        print_json({"config": source.name, "origin": source.origin, "findings": found})
    else:
        _print(source.name, found, by_keys_alone=source.dialect != "transformers")
    if any(each.severity != "note" for each in found):
        context.exit(exits.NO)


def _findings(source: Source) -> list[Finding]:
    """Return the defects; of a GGUF file, what its reader has to say."""
    if source.dialect == "transformers":
        return list(findings_of(source.values))
    why = "llama.cpp does otherwise than the metadata say."
    fix = "write the key that llama.cpp reads, or leave it out"
    return [
        Finding("ignored-key", "warning", str(each), why, fix, (each.key,))
        for each in reading_of(source).findings
    ]


def _print(name: str, found: list[Finding], *, by_keys_alone: bool) -> None:
    beyond = "; lengths, factors and bases are looked at in a config.json alone"
    rest = beyond if by_keys_alone else ""
    if not found:
        say(f"{name}: nothing to find fault with{' in its keys' if by_keys_alone else ''}{rest}")
        return
    rows = table("kind", "message", "fix")
    for each in found:
        rows.add_row(f"{each.kind}\n{each.severity}", f"{each.message}\n{each.reason}", each.fix)
    counts = {
        severity: sum(each.severity == severity for each in found)
        for severity in dict.fromkeys(each.severity for each in found)
    }
    told = ", ".join(f"{count} {severity}{'s' * (count > 1)}" for severity, count in counts.items())
    say(rows, f"{name}: {told}{rest}")


def _list_kinds(as_json: bool) -> None:
    kinds = list(KINDS.values())
    if as_json:
        names = ("name", "severity", "title", "reason", "source")
        print_json([{name: getattr(kind, name) for name in names} for kind in kinds])
        return
    rows = table("kind", "severity", "what", "why")
    for kind in kinds:
        rows.add_row(kind.name, kind.severity, kind.title, f"{kind.reason} ({kind.source})")
    say(rows, f"{len(kinds)} kinds")
