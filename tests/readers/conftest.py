"""Deselects the readers of languages that are not installed; a skip would pass for a success."""

from __future__ import annotations

import pytest

from tests.readers.languages import LANGUAGES


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Take out what cannot run here, where pytest counts it as deselected."""
    missing = [f"[{name}" for name, language in LANGUAGES.items() if not language.runs_here]
    here = [item for item in items if item.path.parent.name == "readers"]
    out = [item for item in here if any(name in item.name for name in missing)]
    if out:
        items[:] = [item for item in items if item not in out]
        config.hook.pytest_deselected(items=out)
