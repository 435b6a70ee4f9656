"""The pages of rules say what the docstrings say, and show a picture of each rule."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

import pytest

from docs.rule_facts import bugs, differences
from docs.rule_families import FAMILIES
from docs.rules import pages
from ropelab import SCALINGS

DOCS = Path(__file__).parents[1] / "docs"
MEND = "; run `nox -s figures`"


@cache
def expected() -> dict[str, str]:
    return pages()


def text(rope_type: str) -> str:
    return (DOCS / "rules" / f"{rope_type}.md").read_text("utf-8")


@pytest.mark.parametrize("page", ["rules.md", *(f"rules/{name}.md" for name in SCALINGS)])
def test_a_page_is_up_to_date(page: str) -> None:
    assert (DOCS / page).read_text("utf-8") == expected()[page], MEND


def test_no_page_is_left_over() -> None:
    assert sorted(page.stem for page in (DOCS / "rules").iterdir()) == sorted(SCALINGS), MEND


def test_each_rule_is_in_one_family() -> None:
    assert sorted(name for family in FAMILIES.values() for name in family) == sorted(SCALINGS)


@pytest.mark.parametrize("rope_type", SCALINGS)
def test_a_page_has_the_name_the_class_and_the_picture(rope_type: str) -> None:
    page = text(rope_type)
    assert page.startswith(f"# `{rope_type}`: {SCALINGS[rope_type].__name__}\n"), MEND
    (seen,) = re.findall(rf"!\[(.*)\]\(../images/rules/{rope_type}.png\)", page)
    assert re.fullmatch(rf"{SCALINGS[rope_type].__name__} of [\w.-]+: \d+ pairs? .*", seen), MEND
    picture = DOCS / "images" / "rules" / f"{rope_type}.png"
    assert 2_000 < picture.stat().st_size < 60_000, MEND


@pytest.mark.parametrize("rope_type", SCALINGS)
def test_a_source_and_a_formula_stand_with_every_rule(rope_type: str) -> None:
    page = text(rope_type)
    assert page.partition("## Sources\n\n")[2].startswith("- ")
    assert "\n```math\n" in page or re.search(r"\$`?\\omega'?_i = ", page)
    assert ":math:" not in page
    # A name of several words is upright in a formula.
    assert not re.search(r"(?<!mathrm\{)\b(?:mscale|softmax)\\_", page)
    assert ".. " not in page.replace("... ", "")


def test_known_bugs_stand_with_the_rules_that_they_were_reported_of() -> None:
    assert "| M6 | Llama 3's rule is not applied | [unsloth!6197](" in text("llama3")
    assert "| M8 | LongRoPE: the long list at the original length itself |" in text("longrope")
    assert "DeepSeek's softmax scale by the magnitude itself" in text("deepseek_yarn")
    assert "DeepSeek's softmax scale" not in text("yarn")
    assert "the scaling rule is not applied" in (DOCS / "rules.md").read_text("utf-8")
    # Dropping the rule changes every rule but the one that is dropped to.
    assert bugs()["rule-dropped"] == set(SCALINGS) - {"default"}


def test_differences_stand_with_both_rules() -> None:
    (first, *_) = differences("exllamav2_yarn")
    assert first[0] == 1
    assert first in differences("yarn")
    assert "Qwen 2.5 at 131072" in text("exllamav2_yarn")
