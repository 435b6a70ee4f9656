"""The tables agree with the source of the installed Transformers, which is read, not imported."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import transformers

from ropelab.formats.transformers_models import (
    HALF_OUT,
    HONOURS_PARTIAL,
    INTERLEAVED,
    READS_ROTARY_DIM,
    ROPE_MODELS,
    ROTATES_QK_ROPE,
    WITHOUT_ROPE,
)

MODELS = Path(transformers.__file__).parent / "models"


def classes(path: Path) -> Iterator[str]:
    return (text for text in re.split(r"^(?=class )", path.read_text("utf-8"), flags=re.M)[1:])


def model_types() -> dict[str, str]:
    """Return the model_type of every config class."""
    found = {}
    for path in MODELS.glob("*/configuration_*.py"):
        for text in classes(path):
            kind = re.search(r'^    model_type = "(.+)"', text, re.M)
            name = re.match(r"class (\w+)", text)
            if kind and name:
                found[name[1]] = kind[1]
    return found


def rotary_modules() -> dict[str, bool]:
    """Say of each model_type with default frequencies of its own whether they are partial."""
    types, found = model_types(), {}
    for path in MODELS.glob("*/modeling_*.py"):
        for text in classes(path):
            function = re.search(
                r"def compute_default_rope_parameters.*?(?=\n    def |\n    @|\Z)", text, re.S
            )
            config = re.search(r"def __init__\(\s*self, config: \"?(\w+)", text)
            if function and config and config[1] in types:
                found[types[config[1]]] = "partial_rotary_factor" in function[0]
    return found


RULES = rotary_modules()


def test_there_are_models_to_compare_with() -> None:
    assert len(RULES) > 100


@pytest.mark.parametrize("model_type", sorted(ROPE_MODELS & set(RULES)))
def test_a_model_honours_the_partial_factor_as_the_table_says(model_type: str) -> None:
    assert RULES[model_type] == (model_type in HONOURS_PARTIAL)


@pytest.mark.parametrize("model_type", sorted(HALF_OUT))
def test_a_model_writes_half_order_if_it_has_the_function_that_does(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    assert "def apply_rotary_pos_emb_interleave" in source


@pytest.mark.parametrize("model_type", sorted(ROTATES_QK_ROPE))
def test_the_heads_of_a_model_are_as_wide_as_their_rotated_part(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"configuration_{package}.py").read_text("utf-8")
    assert "self.head_dim = self.qk_rope_head_dim" in source


def test_no_table_contradicts_another() -> None:
    assert READS_ROTARY_DIM | ROTATES_QK_ROPE <= ROPE_MODELS
    assert HALF_OUT < INTERLEAVED < ROPE_MODELS
    assert not WITHOUT_ROPE & ROPE_MODELS
