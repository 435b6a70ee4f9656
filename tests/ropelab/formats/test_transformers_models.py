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
    LAYER_TYPES,
    LISTS_NOPE,
    MROPE,
    NTK_ALPHA,
    READS_ROTARY_DIM,
    ROPE_MODELS,
    ROTATES_LAST,
    ROTATES_QK_ROPE,
    SCALES_SOFTMAX,
    SLIDING_ROPE,
    SLIDING_ROPE_IF_WINDOWED,
    THETA_OR_NOPE,
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
    assert re.search(
        r'self\.head_dim = self\.qk_rope_head_dim|"head_dim": "qk_rope_head_dim"', source
    )


@pytest.mark.parametrize("model_type", sorted(SCALES_SOFTMAX))
def test_the_attention_of_a_model_scales_its_softmax(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    assert "self.scaling = yarn_apply_mscale(" in source


def test_no_other_model_scales_its_softmax() -> None:
    scaling = {
        path.parent.name
        for path in MODELS.glob("*/modeling_*.py")
        if "self.scaling = yarn_apply_mscale(" in path.read_text("utf-8")
    }
    assert scaling == {name.removesuffix("_text") for name in SCALES_SOFTMAX}


@pytest.mark.parametrize("model_type", sorted(MROPE))
def test_the_sections_of_a_model_are_dealt_out_as_its_code_does(model_type: str) -> None:
    order, sections = MROPE[model_type]
    package = next(
        name
        for name in map(model_type.removesuffix, ("_text", "_talker", "_talker_text"))
        if (MODELS / name).is_dir()
    )
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    idiom = {
        "chunked": "m[i % 3] for i, m in enumerate(freq.split(self.mrope_section",
        "interleaved": "idx = slice(offset, length, 3)",
        "alternating": "m[(i + 1) % 3] for i, m in enumerate(freq.split(",
        "row_column": "freq[0][..., 0::2], freq[1][..., 1::2]",
    }[order]
    assert idiom in source
    if sections:
        assert re.search(rf'get\("mrope_section", {re.escape(str(list(sections)))}\)', source)


def test_every_model_with_sections_is_known() -> None:
    packages = {
        path.parent.name
        for path in MODELS.glob("*/modeling_*.py")
        if "mrope_section" in path.read_text("utf-8")
    }
    # HunYuan-VL turns the two members of a pair by different axes, which no Rope does.
    packages -= {"hunyuan_vl"}
    known = {re.sub("(_talker)?(_text)?$", "", name) for name in MROPE}
    assert packages == known


@pytest.mark.parametrize("model_type", sorted(SLIDING_ROPE))
def test_only_sliding_layers_of_a_model_are_rotated(model_type: str) -> None:
    source = (MODELS / model_type / f"modeling_{model_type}.py").read_text("utf-8")
    assert re.search(
        r"if self\.(sliding_window is not None|is_local_attention)[^\n]*:\n[^\n]*"
        r"(apply_rotary_pos_emb|cos, sin = position_embeddings)",
        source,
    )


@pytest.mark.parametrize("model_type", sorted(SLIDING_ROPE_IF_WINDOWED))
def test_all_layers_of_a_model_are_rotated_if_none_slides(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    assert "if self.sliding_window is None or self.is_sliding:" in source


@pytest.mark.parametrize("model_type", sorted(LISTS_NOPE))
def test_one_in_the_list_means_a_rotary_embedding(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    assert "self.use_rope = config.no_rope_layers[layer_idx]" in source


@pytest.mark.parametrize("model_type", sorted(THETA_OR_NOPE))
def test_a_base_of_zero_means_none(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    assert re.search(r"if (self\.config\.layer_rope_theta\[i\]|theta) else None", source)


@pytest.mark.parametrize("model_type", sorted(ROTATES_LAST))
def test_a_model_rotates_its_last_channels(model_type: str) -> None:
    source = (MODELS / model_type / f"modeling_{model_type}.py").read_text("utf-8")
    assert re.search(r"torch\.cat\(\(q_pass, q_rot\)|torch\.cat\(\[nope, rotated\]", source)


@pytest.mark.parametrize("model_type", sorted(NTK_ALPHA))
def test_alpha_has_a_meaning_in_a_model(model_type: str) -> None:
    package = model_type.removesuffix("_text")
    source = (MODELS / package / f"modeling_{package}.py").read_text("utf-8")
    assert "def compute_ntk_alpha_rope_parameters" in source


def test_no_table_contradicts_another() -> None:
    assert READS_ROTARY_DIM | ROTATES_QK_ROPE <= ROPE_MODELS
    assert HALF_OUT < INTERLEAVED < ROPE_MODELS
    assert not WITHOUT_ROPE & ROPE_MODELS


def test_types_of_layers_are_those_that_are_accepted() -> None:
    text = (MODELS.parent / "configuration_utils.py").read_text("utf-8")
    names = set()
    for table in ("ALLOWED_ATTN_LAYER_TYPES", "_LEGACY_LAYER_TYPE_REMAP"):
        found = re.search(rf"^{table} = [({{]\n(.*?)^[)}}]", text, re.DOTALL | re.MULTILINE)
        assert found is not None, table
        names |= set(re.findall(r'^    "(\w+)"', found[1], re.MULTILINE))
    assert len(names) > 10
    assert names == LAYER_TYPES - {"mlp", "recurrent"}  # of nemotron_h's and recurrent_gemma's own
