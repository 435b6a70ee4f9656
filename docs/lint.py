"""Writes lint.md from the linter's own registry: ``nox -s figures``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from ropelab.lint import KINDS, SEVERITIES, Kind, lint
from ropelab.models import MODELS

PAGE = Path(__file__).parent / "lint.md"

HEAD = """\
# What the linter finds

`ropelab.lint.lint(config)` looks for {count} kinds of defect in a model's config, and says of each
why it matters and what to write instead. What stands here is taken from `ropelab.lint.KINDS` by
`docs/lint.py`. *Models* counts those of the {models} in `ropelab.models.MODELS` whose published
config has one; most of them work as they are, and the finding says what to look out for.

```python
from ropelab.lint import lint

for finding in lint("config.json"):
    print(finding)  # warning: factor = 8.0 is used; … disagrees [factor-disagrees]
    print(finding.reason)
    print(finding.fix)  # write "factor": 4.0 in rope_scaling, or …
```

Threads are cited as repository#issue and repository!pull request.
"""

TABLE = """
## {title}

{meaning}

| kind | what is wrong | why it matters | source | models |
| --- | --- | --- | --- | --: |
"""

MODELS_HEAD = """
## What published models have

Each is a fact about the config as it is published, or as the file that was read has it, and none
is a reason not to use the model. The base bound, above all, was found after most were trained.

| kind | models |
| --- | --- |
"""

_NAMED = 12  # models of a kind, at most, that are named

TITLES = {"error": "Errors", "warning": "Warnings", "note": "Notes"}


@cache
def published() -> Mapping[str, tuple[str, ...]]:
    """Return the models of the registry that have a defect of each kind, without a warning."""
    found: dict[str, list[str]] = {}
    for name, model in MODELS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            kinds = {finding.kind for finding in lint(model.config)}
        for kind in kinds:
            found.setdefault(kind, []).append(name)
    return {kind: tuple(found[kind]) for kind in KINDS if kind in found}


def cell(text: str) -> str:
    """Return text for a cell of a table."""
    return text.replace("|", "\\|").replace("*", "\\*").replace("_", "\\_")


def row(kind: Kind, models: int) -> str:
    """Return the line of one kind."""
    cells = (
        f"`{kind.name}`",
        *map(cell, (kind.title, kind.reason, kind.source)),
        str(models or ""),
    )
    return f"| {' | '.join(cells)} |\n"


def told(names: tuple[str, ...]) -> str:
    """Return the names of models, or how many there are where a list of them says no more."""
    return ", ".join(names) if len(names) <= _NAMED else f"{len(names)} of {len(MODELS)}"


def page() -> str:
    """Return the whole page."""
    found = published()
    parts = [HEAD.format(count=len(KINDS), models=len(MODELS))]
    for severity, meaning in SEVERITIES.items():
        parts.append(TABLE.format(title=TITLES[severity], meaning=meaning))
        kinds = (kind for kind in KINDS.values() if kind.severity == severity)
        parts += (row(kind, len(found.get(kind.name, ()))) for kind in kinds)
    parts += [
        MODELS_HEAD,
        *(f"| `{kind}` | {told(names)} |\n" for kind, names in found.items()),
    ]
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
