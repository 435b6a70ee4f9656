"""Old per-layer keys give what the installed Transformers makes of them, and none is ignored."""

from copy import deepcopy
from typing import Any

import pytest
from transformers import AutoConfig

from ropelab import Rope, from_transformers
from ropelab.scaling import Linear
from tests.ropelab.formats.published import Config
from tests.ropelab.support import refuses

HEADS: Config = {"hidden_size": 512, "num_attention_heads": 8, "max_position_embeddings": 8192}
GEMMA: Config = {**HEADS, "model_type": "gemma3_text", "head_dim": 64, "sliding_window_pattern": 6}
BERT: Config = {**HEADS, "model_type": "modernbert"}
OLMO: Config = {**HEADS, "model_type": "olmo3"}
LINEAR = {"rope_type": "linear", "factor": 8.0}
LAYERS = ("sliding_attention", "full_attention")


@pytest.mark.parametrize("layer_type", LAYERS)
@pytest.mark.parametrize(
    "config",
    [
        {**GEMMA, "rope_theta": 1e6, "rope_local_base_freq": 10_000.0, "rope_scaling": LINEAR},
        {**GEMMA, "rope_theta": 7e5, "rope_local_base_freq": 500.0},
        {**GEMMA, "rope_local_base_freq": 500.0, "rope_scaling": None},
        {**GEMMA, "rope_scaling": LINEAR},
        GEMMA,
        {**GEMMA, "model_type": "t5gemma2_text", "rope_theta": 7e5, "rope_local_base_freq": 5.0},
        {**GEMMA, "rope_local_base_freq": 5.0, "rope_parameters": {"full_attention": LINEAR}},
        {**BERT, "global_rope_theta": 7e5, "local_rope_theta": 500.0},
        {**BERT, "global_rope_theta": 7e5, "rope_scaling": LINEAR},
        {**BERT, "model_type": "modernbert-decoder", "local_rope_theta": 500.0},
        BERT,
        {**OLMO, "rope_theta": 7e5, "rope_scaling": LINEAR},
        {**OLMO, "rope_theta": 7e5},
    ],
)
def test_the_layers_have_the_parameters_that_transformers_gives_them(
    config: Config, layer_type: str
) -> None:
    theirs: Any = AutoConfig.for_model(**deepcopy(config), num_hidden_layers=6)  # it writes in them
    expected = theirs.rope_parameters[layer_type]
    rope = from_transformers(config, layer_type)
    assert rope is not None
    assert rope.base == expected["rope_theta"]
    assert rope.scaling.rope_type == expected["rope_type"]
    assert rope == from_transformers(theirs, layer_type)


def test_gemma_3_as_published_scales_only_its_full_attention() -> None:
    config = {**GEMMA, "rope_theta": 1e6, "rope_local_base_freq": 10_000.0, "rope_scaling": LINEAR}
    full = Rope(64, base=1e6, scaling=Linear(8.0), max_position_embeddings=8192)
    assert from_transformers(config, "full_attention") == full
    assert from_transformers(config, "sliding_attention") == Rope(64, max_position_embeddings=8192)


@pytest.mark.parametrize(
    "config", [GEMMA, {**BERT, "local_rope_theta": 5.0}, {**OLMO, "rope_theta": 5.0}]
)
def test_a_layer_has_to_be_chosen(config: Config) -> None:
    with refuses(ValueError, "layer_type", *LAYERS, "None"):
        from_transformers(config)


def test_layers_that_do_not_differ_need_no_choice() -> None:
    assert from_transformers(OLMO) == Rope(64, base=5e5, max_position_embeddings=8192)


@pytest.mark.parametrize(
    ("keys", "layer_type", "base"),
    [
        ({"rope_theta": 7e5, "rope_local_base_freq": 5.0}, "sliding_attention", 5.0),
        ({"rope_theta": 7e5, "rope_local_base_freq": 5.0}, "full_attention", 7e5),
        ({"local_rope_theta": 5.0}, "sliding_attention", 5.0),
        ({"global_rope_theta": 5.0}, "full_attention", 5.0),
    ],
)
@pytest.mark.parametrize("model_type", [None, "something_new"])
def test_the_keys_speak_for_themselves_in_an_unknown_model(
    model_type: str | None, keys: Config, layer_type: str, base: float
) -> None:
    rope = from_transformers({**HEADS, "model_type": model_type, **keys}, layer_type)
    assert rope is not None
    assert rope.base == base


def test_two_bases_of_one_layer_are_not_settled_in_silence() -> None:
    inner = {"rope_parameters": {"sliding_attention": {"rope_theta": 7.0}}}
    with pytest.warns(UserWarning, match=r"7.0 in rope.*is used.*5.0 as rope_local_base_freq"):
        rope = from_transformers(
            {**GEMMA, **inner, "rope_local_base_freq": 5.0}, "sliding_attention"
        )
    assert rope == Rope(64, base=7.0, max_position_embeddings=8192)


def test_modernbert_does_not_read_rope_theta() -> None:
    with pytest.warns(UserWarning, match="rope_theta is not read beside global_rope_theta"):
        rope = from_transformers({**BERT, "rope_theta": 5.0}, "full_attention")
    assert rope == Rope(64, base=160_000.0, max_position_embeddings=8192)


@pytest.mark.parametrize(
    ("config", "name"),
    [
        ({"model_type": "dots3_note_text", "swa_rope_theta": 5e4}, "swa_rope_theta"),
        ({"model_type": "deepseek_v4", "compress_rope_theta": 1.6e5}, "compress_rope_theta"),
        ({"model_type": "granite_swa", "layer_rope_theta": [1e4, 0.0] * 40}, "layer_rope_theta"),
    ],
)
@pytest.mark.filterwarnings("ignore:rope_parameters")
def test_other_keys_of_single_layers_are_refused(config: Config, name: str) -> None:
    with refuses(ValueError, name, str(config[name])[:10]):
        from_transformers({**HEADS, **config, "rope_theta": 1e4})


def test_a_list_of_the_same_base_is_as_transformers_fills_it_in() -> None:
    config = AutoConfig.for_model("granite_swa", **HEADS, num_hidden_layers=2)
    assert from_transformers(config) == Rope(64, max_position_embeddings=8192)


def test_parameters_for_all_layers_are_refused_where_only_layers_have_them() -> None:
    with refuses(ValueError, "rope_parameters", "gemma3_text", "sliding_attention"):
        from_transformers({**GEMMA, "rope_parameters": LINEAR}, "full_attention")
    both = {**HEADS, "rope_parameters": LINEAR, "rope_local_base_freq": 5.0}
    with refuses(ValueError, "rope_local_base_freq", "5.0"):
        from_transformers(both)
