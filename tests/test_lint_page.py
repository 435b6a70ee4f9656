"""The page of the linter's kinds says what the registry says."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from ropelab.lint import KINDS

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "lint.md"
MEND = "; run `nox -s figures`"


def page_module() -> Any:
    spec = importlib.util.spec_from_file_location("lint_page", ROOT / "docs" / "lint.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text("utf-8") == page_module().page(), MEND


def test_each_kind_has_one_row_of_whole_cells() -> None:
    rows = [line for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| `")]
    assert sorted(line.split("`")[1] for line in rows) == sorted(KINDS)
    for line in rows:
        assert line.replace("\\|", "").count("|") == 6
