"""The page of rules says what the docstrings say, and shows a picture of each rule."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import pytest

from ropelab import SCALINGS

ROOT = Path(__file__).parents[1]
MEND = "; run `nox -s figures`"


def test_the_page_is_up_to_date() -> None:
    spec = importlib.util.spec_from_file_location("rules_page", ROOT / "docs" / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == module.page(), MEND


@pytest.mark.parametrize("rope_type", SCALINGS)
def test_a_rule_has_its_name_class_and_picture_on_the_page(rope_type: str) -> None:
    page = (ROOT / "docs" / "rules.md").read_text("utf-8")
    assert f"## `{rope_type}`: {SCALINGS[rope_type].__name__}\n" in page, MEND
    assert f"(images/rules/{rope_type}.png)" in page, MEND
    picture = ROOT / "docs" / "images" / "rules" / f"{rope_type}.png"
    assert 2_000 < picture.stat().st_size < 40_000, MEND


def test_a_source_and_a_formula_stand_with_every_rule() -> None:
    page = (ROOT / "docs" / "rules.md").read_text("utf-8")
    entries = page.split("\n## ")[1:]
    assert len(entries) == len(SCALINGS)
    for entry in entries:
        sources = entry.partition("Sources:\n\n")[2].partition("\n\n")[0]
        assert sources.startswith("- "), entry[:40]
        assert "\n```math\n" in entry or re.search(r"\$\\omega'?_i = ", entry), entry[:40]
        assert ":math:" not in entry
        assert ".. " not in entry.replace("... ", "")
