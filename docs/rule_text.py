"""The docstrings of frequency rules, as Markdown."""

from __future__ import annotations

import inspect
import re
from textwrap import dedent

from ropelab.scaling import Scaling

__all__ = ["line", "markdown", "parameters", "references", "sections", "summary"]


def sections(rule: type[Scaling]) -> dict[str, str]:
    """Return a docstring's sections by heading; "" is what stands before the first."""
    parts = re.split(r"^(\w[\w ]*)\n-{3,}\n", inspect.getdoc(rule) or "", flags=re.MULTILINE)
    return {"": parts[0], **dict(zip(parts[1::2], parts[2::2], strict=True))}


def summary(rule: type[Scaling]) -> str:
    """Return the first line of a docstring."""
    return sections(rule)[""].partition("\n")[0]


def _table(match: re.Match[str]) -> str:
    """Turn a simple table into one of Markdown; its cells begin where the first line's do."""
    ruler, head, _, *body = match[0].splitlines()
    starts = [found.start() for found in re.finditer("=+", ruler)]
    ends = [*starts[1:], None]
    rows = [head, *(row for row in body if not row.startswith("=="))]
    cells = [[row[a:b].strip() for a, b in zip(starts, ends, strict=True)] for row in rows]
    cells.insert(1, ["---"] * len(starts))
    return "".join(f"| {' | '.join(row)} |\n" for row in cells)


def markdown(text: str) -> str:
    """Turn reStructuredText, as far as the docstrings use it, into Markdown."""

    def _block(match: re.Match[str]) -> str:
        formula = " ".join(line.strip() for line in match[1].strip().splitlines())
        return f"```math\n{formula}\n```\n"

    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"^=+ [= ]*=\n(?:.*\S.*\n)+", _table, text, flags=re.MULTILINE)
    text = re.sub(r"^\.\. math:: ?(.*(?:\n[ \t]+.*)*)\n?", _block, text, flags=re.MULTILINE)
    # Within $` `$ Markdown leaves a backslash alone; within bare dollars it takes \_ and \, away.
    return re.sub(r":math:`([^`]*)`", r"$`\1`$", text).strip()


def line(text: str) -> str:
    """Turn text into one line of a table."""
    return " ".join(markdown(text).split()).replace("|", "\\|")


def parameters(rule: type[Scaling]) -> list[tuple[str, str, str]]:
    """Return names, types with defaults, and descriptions; of a parent if there are none."""
    told = next(
        (found["Parameters"] for one in rule.__mro__ if "Parameters" in (found := sections(one))),
        "",
    )
    entries = re.split(r"^(?=\w)", told, flags=re.MULTILINE)[1:]
    rows = []
    for entry in entries:
        heading, _, description = entry.partition("\n")
        names, _, kind = heading.partition(" : ")
        rows.append((names, kind, dedent(description)))
    return rows


def references(rule: type[Scaling]) -> list[str]:
    """Return the sources, each one line."""
    return [
        line(text) for text in re.split(r"\.\. \[\d+\]", sections(rule).get("References", ""))[1:]
    ]
