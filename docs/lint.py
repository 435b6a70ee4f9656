"""Writes lint.md from the linter's own registry: ``nox -s figures``."""

from __future__ import annotations

import warnings
from collections import Counter
from pathlib import Path

from ropelab.lint import KINDS, SEVERITIES, Kind, lint
from ropelab.models import MODELS

PAGE = Path(__file__).parent / "lint.md"

HEAD = """\
# What the linter finds

`ropelab.lint.lint(config)` looks for {count} kinds of defect in a model's config, and says of each
why it matters and what to write instead. What stands here is taken from `ropelab.lint.KINDS` by
`docs/lint.py`. *Models* counts those of the {models} in `ropelab.models.MODELS` that have one: they
are published as they are, and mostly know it.

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

TITLES = {"error": "Errors", "warning": "Warnings", "note": "Notes"}


def occurrences() -> Counter[str]:
    """Return how many models of the registry have each kind."""
    found: Counter[str] = Counter()
    for model in MODELS.values():
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found.update({finding.kind for finding in lint(model.config)})
    return found


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


def page() -> str:
    """Return the whole page."""
    found = occurrences()
    parts = [HEAD.format(count=len(KINDS), models=len(MODELS))]
    for severity, meaning in SEVERITIES.items():
        parts.append(TABLE.format(title=TITLES[severity], meaning=meaning))
        kinds = (kind for kind in KINDS.values() if kind.severity == severity)
        parts += (row(kind, found[kind.name]) for kind in kinds)
    return "".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
