"""Searching the registry."""

import pytest

from ropelab.models import MODELS
from tests.ropelab.cli.support import document, fails, ropelab


def test_all_of_them() -> None:
    assert [row["name"] for row in document("models")] == list(MODELS)


def test_by_name() -> None:
    assert [row["name"] for row in document("models", "gemma", "27b")] == [
        "Gemma-2-27B",
        "Gemma-3-27B",
    ]


def test_by_rule_and_family() -> None:
    rows = document("models", "--rule", "llama3", "--family", "llama")
    assert {row["family"] for row in rows} <= {"llama", "llama4_text", "llama4"}
    assert all("llama3" in row["rules"] for row in rows)
    assert "Llama-3.1-8B" in {row["name"] for row in rows}
    longrope = {row["name"] for row in document("models", "--rule", "longrope")}
    assert longrope == {
        name
        for name, model in MODELS.items()
        if "long_factor" in str(model.config.get("rope_scaling", model.config))
    }


def test_a_rule_that_there_is_not() -> None:
    fails(2, "--rule", "llama3, ", "yarn", "'spiral'", arguments=("models", "--rule", "spiral"))
    assert document("models", "--rule", "YaRN") == document("models", "--rule", "yarn")


def test_none() -> None:
    assert document("models", "gorilla", code=1) == []
    result = ropelab("models", "gorilla")
    assert (result.exit_code, result.stdout) == (1, f"none of {len(MODELS)} models\n")


@pytest.mark.parametrize("columns", ["1", "10", "20", "59", "60", "200"])
def test_the_table_loses_no_letter(columns: str) -> None:
    said = ropelab("models", "gpt-oss", env={"COLUMNS": columns}).stdout
    assert "…" not in said
    letters = "".join(said.split())
    assert "150,000" in letters
