"""The order of the site's pages.

The pages themselves are plain Markdown, which a code host shows too; which stands under which is
said here alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from docs.rule_families import FAMILIES

__all__ = ["CONTENTS", "children", "setup", "without_children"]

ROOT = Path(__file__).parents[2]

CONTENTS: Mapping[str, tuple[str, ...]] = {
    "docs/index": (
        "docs/start",
        "docs/idea",
        "docs/rules",
        "docs/guide",
        "docs/goldens",
        "docs/performance",
        "docs/api/index",
        "docs/gallery",
        "docs/glossary",
        "CONTRIBUTING",
    ),
    "docs/start": ("docs/installation",),
    "docs/rules": tuple(f"docs/rules/{name}" for family in FAMILIES.values() for name in family),
    "docs/guide": (
        "docs/layouts",
        "docs/angles",
        "docs/command-line",
        "docs/lint",
        "docs/differences",
        "docs/frameworks",
        "docs/models",
        "docs/recipes/*",
        "docs/migration/*",
    ),
    "docs/goldens": ("golden/README", "docs/kill-matrix"),
    "docs/performance": ("docs/floors", "docs/measurements/*"),
    "docs/api/index": ("docs/api/*",),
    "docs/gallery": ("notebooks/*",),
    "CONTRIBUTING": ("docs/adding-a-rule",),
}
"""Under each page, those below it; ``*`` stands for all that are there, by name."""

SHORT: Mapping[str, str] = {
    "docs/start": "Start here",
    "docs/idea": "The idea",
    "docs/rules": "Rules",
    "docs/goldens": "Goldens",
    "docs/gallery": "Notebooks",
}
"""Titles in the bar at the top, where a page's own is long."""


def children(page: str) -> list[str]:
    """Return the pages under one."""
    return [one for entry in CONTENTS.get(page, ()) for one in _found(entry) if one != page]


def without_children() -> list[str]:
    """Return the pages of the bar that need no column of their own."""
    return [page for page in children("docs/index") if not children(page)]


def _found(entry: str) -> Iterator[str]:
    if not entry.endswith("*"):
        yield entry
        return
    folder = Path(entry).parent
    for path in sorted((ROOT / folder).glob("*")):
        if path.suffix in (".md", ".rst", ".ipynb"):
            yield (folder / path.stem).as_posix()


def _title(_: Any, page: str, source: list[str]) -> None:
    """Give a measurement, which is a program's output, the title that it lacks."""
    if page.startswith("docs/measurements/"):
        source[0] = f"# Measured: {Path(page).name}\n\n{source[0]}"


def _append(_: Any, page: str, source: list[str]) -> None:
    """Give a page the list of those below it, which its own text shows."""
    entries = [f"{SHORT[one]} </{one}>" if one in SHORT else f"/{one}" for one in children(page)]
    if not entries:
        return
    if (ROOT / page).with_suffix(".rst").exists():
        indented = "".join(f"   {one}\n" for one in entries)
        source[0] += f"\n.. toctree::\n   :hidden:\n\n{indented}"
    else:
        lines = "\n".join(entries)
        source[0] += f"\n```{{toctree}}\n:hidden:\n\n{lines}\n```\n"


def setup(app: Any) -> None:
    """Hand the order to Sphinx."""
    app.connect("source-read", _title)
    app.connect("source-read", _append)
