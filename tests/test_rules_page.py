"""The page of rules says what the docstrings say, and shows a picture of each rule."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

from ropelab import SCALINGS

ROOT = Path(__file__).parents[1]
MEND = "; run `nox -s figures`"


def page_module() -> Any:
    spec = importlib.util.spec_from_file_location("rules_page", ROOT / "docs" / "rules.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "rules.md").read_text("utf-8") == page_module().page(), MEND


def test_each_rule_is_in_one_family() -> None:
    families = page_module().FAMILIES
    assert sorted(name for family in families.values() for name in family) == sorted(SCALINGS)


@pytest.mark.parametrize("rope_type", SCALINGS)
def test_a_rule_has_its_name_class_and_picture_on_the_page(rope_type: str) -> None:
    page = (ROOT / "docs" / "rules.md").read_text("utf-8")
    assert f"\n### `{rope_type}`: {SCALINGS[rope_type].__name__}\n" in page, MEND
    (seen,) = re.findall(rf"!\[(.*)\]\(images/rules/{rope_type}.png\)", page)
    assert re.fullmatch(rf"{SCALINGS[rope_type].__name__} of [\w.-]+: \d+ pairs? .*", seen), MEND
    picture = ROOT / "docs" / "images" / "rules" / f"{rope_type}.png"
    assert 2_000 < picture.stat().st_size < 60_000, MEND


def test_a_source_and_a_formula_stand_with_every_rule() -> None:
    page = (ROOT / "docs" / "rules.md").read_text("utf-8")
    entries = page.split("\n### ")[1:]
    assert len(entries) == len(SCALINGS)
    for entry in entries:
        sources = entry.partition("Sources:\n\n")[2].partition("\n\n")[0]
        assert sources.startswith("- "), entry[:40]
        assert "\n```math\n" in entry or re.search(r"\$`?\\omega'?_i = ", entry), entry[:40]
        assert ":math:" not in entry
        # A name of several words is upright in a formula.
        assert not re.search(r"(?<!mathrm\{)\b(?:mscale|softmax)\\_", entry)
        assert ".. " not in entry.replace("... ", "")
