"""Configs of published models give the numbers of Transformers' own code, run here."""

import json
import math
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from transformers import AutoConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS
from transformers.models.deepseek_v3.modeling_deepseek_v3 import apply_rotary_pos_emb_interleave
from transformers.models.gptj.modeling_gptj import create_sinusoidal_positions

from ropelab import Rope, Spectrum, apply_rotary, from_transformers, to_half
from ropelab.formats import read_transformers
from ropelab.scaling import Linear, Llama3
from tests.ropelab.formats.published import (
    DYNAMIC,
    GEMMA_3,
    LLAMA_2,
    LLAMA_3,
    LLAMA_3_RULE,
    MODELS,
    WITHOUT_SCALING,
    Config,
)


def rotary_module(config: Any) -> Any:
    """Build the model's own rotary embedding."""
    module = import_module(type(config).__module__.replace("configuration_", "modeling_"))
    names = [name for name in vars(module) if name.endswith("RotaryEmbedding")]
    return getattr(module, names[0])(config), module.apply_rotary_pos_emb


def float32_tolerance(rope: Rope) -> NDArray[np.float64]:
    """Bound the relative error of Transformers' float32 frequencies."""
    i = np.arange(rope.rotary_dim // 2)
    # Two ulp for the power and its reciprocal. 2i/d is inexact unless d is a power of two, and the
    # power magnifies that half-ulp by ln(base ** (2i/d)).
    inexact = rope.rotary_dim & (rope.rotary_dim - 1) != 0
    bound = 2.0 * 2.0**-23 + inexact * 2.0**-24 * math.log(rope.base) * 2 * i / rope.rotary_dim
    if isinstance(rope.scaling, Llama3):
        # A blend subtracts r_low from seven roundings of half an ulp, tripled by its weight.
        plain = Rope(rope.rotary_dim, base=rope.base).spectrum().inv_freq
        ratio = rope.spectrum().inv_freq / plain
        bound = np.where((ratio < 1) & (ratio > 1 / rope.scaling.factor), 8 * 2.0**-23, bound)
    return np.asarray(bound)


@pytest.mark.parametrize("name", MODELS)
def test_a_published_config_is_read_in_full_from_all_three_sources(
    name: str, tmp_path: Path
) -> None:
    config, rope = MODELS[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(config), encoding="utf-8")
    for source in (config, path, str(path), SimpleNamespace(**config)):
        assert from_transformers(source) == rope


@pytest.mark.parametrize("name", MODELS)
def test_the_frequencies_are_those_of_the_models_own_module(name: str) -> None:
    config, _ = MODELS[name]
    theirs = AutoConfig.for_model(**config)
    rope = from_transformers(theirs)
    assert rope == MODELS[name][1]
    inv_freq = rotary_module(theirs)[0].inv_freq.double().numpy()
    ours = MODELS[name][1].spectrum().inv_freq
    assert inv_freq.shape == ours.shape
    assert (np.abs(inv_freq - ours) <= float32_tolerance(MODELS[name][1]) * ours).all()


@pytest.mark.parametrize("name", MODELS)
def test_rotation_by_the_models_own_buffer_is_the_models_own_rotation(name: str) -> None:
    config, rope = MODELS[name]
    module, apply = rotary_module(AutoConfig.for_model(**config))
    # Shuffled, below the trained length, so that a dynamic rule stays put.
    ids = torch.tensor([[2047, 3, 1021], [511, 1999, 0]])
    q = torch.randn(2, 5, 3, rope.rotary_dim, generator=torch.Generator().manual_seed(1))
    cos, sin = module(q, ids)
    theirs, _ = apply(q, q, cos, sin)
    ours = apply_rotary(
        q,
        ids,
        Spectrum(module.inv_freq, module.attention_scaling),
        layout=rope.layout,
        tensor_format="bhsd",
        angles="float32",
    )
    # Theirs rounds cos and sin (an ulp), two products and a sum in float32; ours once.
    error = np.abs(ours - theirs.numpy()).max(-1) / np.linalg.norm(q.numpy(), axis=-1)
    assert error.max() <= 3 * 2.0**-23


@pytest.mark.parametrize("seq_len", [1, 65536, 65537, 131071, 1048576])
def test_dynamic_frequencies_follow_the_length(seq_len: int) -> None:
    theirs, _ = ROPE_INIT_FUNCTIONS["dynamic"](
        AutoConfig.for_model(**DYNAMIC), torch.device("cpu"), seq_len=seq_len
    )
    rope = MODELS["MiniCPM-2B-128k"][1]
    ours = rope.spectrum(seq_len).inv_freq
    assert (np.abs(theirs.double().numpy() - ours) <= float32_tolerance(rope) * ours).all()


@pytest.mark.parametrize(
    ("rope_type", "rule"),
    [
        ("linear", {"factor": 3.0}),
        ("llama3", {**LLAMA_3_RULE, "high_freq_factor": 1.0, "factor": 16.0}),
    ],
)
@pytest.mark.parametrize("partial", [1.0, 0.5])
def test_the_table_functions_honour_the_partial_factor(
    rope_type: str, rule: Config, partial: float
) -> None:
    parameters = {**rule, "rope_type": rope_type, "partial_rotary_factor": partial}
    config = {**WITHOUT_SCALING, "rope_parameters": {**parameters, "rope_theta": 5e5}}
    theirs, _ = ROPE_INIT_FUNCTIONS[rope_type](AutoConfig.for_model(**config), torch.device("cpu"))
    rope = read_transformers(config).rope  # of equal frequency factors there is a finding
    assert rope is not None
    ours = rope.spectrum().inv_freq
    assert theirs.numel() == ours.size == 64 * partial
    assert (np.abs(theirs.double().numpy() - ours) <= float32_tolerance(rope) * ours).all()


PARTIAL: Config = {
    "hidden_size": 4096,
    "num_attention_heads": 32,
    "head_dim": 128,
    "rope_theta": 10000.0,
    "partial_rotary_factor": 0.5,
}


def test_gpt_j_rotates_its_first_64_channels_interleaved() -> None:
    config = {"model_type": "gptj", "n_embd": 4096, "n_head": 16, "n_positions": 2048}
    rope = from_transformers({**config, "rotary_dim": 64})
    assert rope == Rope(256, rotary_dim=64, layout="interleaved", max_position_embeddings=2048)
    table = create_sinusoidal_positions(3, 64).double().numpy()
    expected = np.sin(rope.spectrum().inv_freq)
    np.testing.assert_allclose(table[1, :32], expected, rtol=3 * 2.0**-23)


def test_gemma_3_has_one_rope_for_each_kind_of_layer() -> None:
    module, _ = rotary_module(AutoConfig.for_model(**GEMMA_3))
    expected = {
        "sliding_attention": Rope(256, max_position_embeddings=131072),
        "full_attention": Rope(256, base=1e6, scaling=Linear(8.0), max_position_embeddings=131072),
    }
    for layer_type, rope in expected.items():
        assert from_transformers(GEMMA_3, layer_type) == rope
        theirs = getattr(module, f"{layer_type}_inv_freq").double().numpy()
        ours = rope.spectrum().inv_freq
        assert (np.abs(theirs - ours) <= float32_tolerance(rope) * ours).all()


def test_a_layer_without_parameters_has_no_rope() -> None:
    parameters = {**GEMMA_3["rope_parameters"], "sliding_attention": None}
    config = {**GEMMA_3, "rope_parameters": parameters}
    assert from_transformers(config, "sliding_attention") is None
    assert from_transformers(config, "full_attention") is not None


@pytest.mark.parametrize(
    "config", [{"model_type": "gpt2"}, {**LLAMA_2, "position_embedding_type": "alibi"}]
)
def test_a_model_without_rope_has_none(config: Config) -> None:
    assert from_transformers(config) is None


def test_a_multimodal_config_is_read_at_its_text() -> None:
    config = {"model_type": "llava", "text_config": LLAMA_3, "vision_config": {"hidden_size": 1}}
    assert from_transformers(config) == from_transformers(LLAMA_3)


@pytest.mark.parametrize(
    ("model_type", "package"),
    [
        ("cohere", "cohere"),
        ("cohere2", "cohere2"),
        ("cohere2_moe", "cohere2_moe"),
        ("ernie4_5", "ernie4_5"),
        ("ernie4_5_vl_moe_text", "ernie4_5_vl_moe"),
        ("glm", "glm"),
        ("glm4", "glm4"),
        ("glm4v_text", "glm4v"),
        ("glm_ocr_text", "glm_ocr"),
        ("helium", "helium"),
        ("llama", "llama"),
        ("moonshine", "moonshine"),
        ("phi", "phi"),
        ("qwen3", "qwen3"),
    ],
)
def test_the_layout_is_that_of_the_models_code(model_type: str, package: str) -> None:
    apply = import_module(f"transformers.models.{package}.modeling_{package}").apply_rotary_pos_emb
    # Rotate the first channel by one radian, all pairs alike, and see which other one it moves.
    x, angle = torch.zeros(1, 1, 1, 8), torch.ones(1, 1, 8)
    x[..., 0] = 1.0
    moved = apply(x, x, angle.cos(), angle.sin())[0].flatten().nonzero().flatten().tolist()
    layout = {(0, 1): "interleaved", (0, 4): "half"}[tuple(moved)]
    config = {"model_type": model_type, "head_dim": 40, "rope_theta": 1e4}
    rope = read_transformers(config).rope
    assert rope is not None
    assert rope.layout == layout


@pytest.mark.parametrize(
    "model_type", ["cohere", "granite", "mixtral", "olmo2", "qwen3_moe", "smollm3", "starcoder2"]
)
def test_a_partial_factor_is_disregarded_where_the_models_code_disregards_it(
    model_type: str,
) -> None:
    config = {"model_type": model_type, **PARTIAL}
    assert rotary_module(AutoConfig.for_model(**config))[0].inv_freq.numel() == 64
    with pytest.warns(UserWarning, match="partial_rotary_factor = 0.5 has no effect"):
        rope = from_transformers(config)
    assert rope is not None
    assert rope.rotary_dim == 128


@pytest.mark.parametrize("model_type", ["glm4", "nemotron", "persimmon", "phi", "phi3", "stablelm"])
def test_a_partial_factor_is_honoured_where_the_models_code_honours_it(model_type: str) -> None:
    config = {"model_type": model_type, **PARTIAL}
    assert rotary_module(AutoConfig.for_model(**config))[0].inv_freq.numel() == 32
    rope = from_transformers(config)
    assert rope is not None
    assert rope.rotary_dim == 64


WARNINGS: list[tuple[str, Config, Rope, str]] = [
    (
        "unknown key",
        {"rope_scaling": {**LLAMA_3_RULE, "beta_fast": 32}},
        MODELS["Llama-3.1-8B, rope_scaling"][1],
        "llama3.*does not read beta_fast",
    ),
    (
        "two names of a rule",
        {"rope_scaling": {**LLAMA_3_RULE, "type": "linear"}},
        MODELS["Llama-3.1-8B, rope_scaling"][1],
        "'llama3'.*'linear'",
    ),
    (
        "both spellings",
        {"rope_scaling": LLAMA_3_RULE, "rope_parameters": {"rope_type": "linear", "factor": 2.0}},
        MODELS["Llama-3.1-8B, rope_scaling"][1],
        "rope_scaling replaces rope_parameters",
    ),
    (
        "two original lengths",
        {"rope_scaling": LLAMA_3_RULE, "original_max_position_embeddings": 4096},
        Rope(128, base=5e5, scaling=Llama3(8, 1, 4, 4096), max_position_embeddings=131072),
        "original_max_position_embeddings.*4096.*8192",
    ),
    (
        "two bases",
        {"rope_scaling": {"type": "linear", "factor": 2.0, "rope_theta": 7.0}},
        Rope(128, base=7.0, scaling=Linear(2.0), max_position_embeddings=131072),
        "rope_theta.*7.0.*500000.0",
    ),
    (
        "no original length",
        {"rope_scaling": {k: LLAMA_3_RULE[k] for k in list(LLAMA_3_RULE)[:-1]}},
        Rope(128, base=5e5, scaling=Llama3(8, 1, 4, 131072), max_position_embeddings=131072),
        "original_max_position_embeddings(: expected less| is missing)",
    ),
    (
        "a partial factor that Llama ignores",
        {"partial_rotary_factor": 0.5},
        Rope(128, base=5e5, max_position_embeddings=131072),
        "partial_rotary_factor = 0.5 has no effect",
    ),
    (
        "rotary_dim, which Llama ignores",
        {"rotary_dim": 64},
        Rope(128, base=5e5, max_position_embeddings=131072),
        "rotary_dim = 64 has no effect",
    ),
    (
        "a factor that shortens",
        {"rope_scaling": {"type": "linear", "factor": 0.5}},
        Rope(128, base=5e5, scaling=Linear(0.5), max_position_embeddings=131072),
        "factor.*0.5",
    ),
]


@pytest.mark.parametrize(
    ("config", "rope", "words"), [row[1:] for row in WARNINGS], ids=[row[0] for row in WARNINGS]
)
def test_what_transformers_disregards_is_disregarded_with_a_warning(
    config: Config, rope: Rope, words: str
) -> None:
    with pytest.warns(UserWarning, match=words):
        assert from_transformers({**LLAMA_3, **config}) == rope
    # And Transformers does disregard it: its own module has the same frequencies.
    inv_freq = rotary_module(AutoConfig.for_model(**{**LLAMA_3, **config}))[0].inv_freq
    ours = rope.spectrum().inv_freq
    assert (np.abs(inv_freq.double().numpy() - ours) <= float32_tolerance(rope) * ours).all()


@pytest.mark.parametrize(
    ("config", "rotary_dim", "words"),
    [
        ({"model_type": "gptj", "rotary_dim": 32}, 32, "partial_rotary_factor = 0.5.*no effect"),
        ({"model_type": "minimax_m2", "rotary_dim": 32}, 64, "0.5 is used.*rotary_dim = 32"),
        ({"model_type": "phi-msft", "rotary_dim": 64}, 64, "0.5 is honoured.*'phi-msft'"),
        ({"model_type": "phi-msft"}, 64, "0.5 is honoured.*'phi-msft'"),
        ({"model_type": "phi", "rotary_pct": 0.25}, 64, "0.5 is used.*0.25 as rotary_pct"),
        ({"model_type": "phi", "text_config": {"x": 1}}, 64, "text_config is not read"),
    ],
)
def test_a_disagreement_about_the_width_is_not_settled_in_silence(
    config: Config, rotary_dim: int, words: str
) -> None:
    with pytest.warns(UserWarning, match=words):
        rope = from_transformers({**PARTIAL, **config})
    assert rope is not None
    assert rope.rotary_dim == rotary_dim


def test_what_stands_beside_the_text_is_not_passed_over_in_silence() -> None:
    with pytest.warns(UserWarning, match=r"rope_theta beside text_config is not read"):
        rope = from_transformers({"rope_theta": 7.0, "text_config": LLAMA_3})
    assert rope == from_transformers(LLAMA_3)


def test_deepseeks_rotated_part_is_interleaved_up_to_a_permutation_of_the_output() -> None:
    config = {
        **{key: LLAMA_2[key] for key in ("hidden_size", "num_attention_heads")},
        "model_type": "deepseek_v3",
        "qk_rope_head_dim": 64,
        "rope_theta": 10000.0,
    }
    rope = Rope(64, layout="interleaved", output_layout="half")
    assert from_transformers(config) == rope
    assert from_transformers({**config, "rope_interleave": False}) == Rope(64)
    # The models rotate alike, and then write their channels in half order.
    x = torch.randn(1, 2, 3, 64, generator=torch.Generator().manual_seed(1))
    angles = torch.outer(torch.arange(3.0), 10_000.0 ** -(torch.arange(0, 64, 2) / 64)).tile(2)
    apply: Any = apply_rotary_pos_emb_interleave
    theirs, _ = apply(x, x, angles.cos()[None], angles.sin()[None])
    ours = to_half(
        apply_rotary(x, [0, 1, 2], Rope(64).spectrum(), layout="interleaved", tensor_format="bhsd")
    )
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=0.0, atol=1e-6)


def test_a_warning_points_at_the_caller() -> None:
    config = {**LLAMA_3, "rope_scaling": {**LLAMA_3_RULE, "beta_fast": 32}}
    with pytest.warns(UserWarning, match="beta_fast") as caught:
        from_transformers(config)
    assert [warning.filename for warning in caught] == [__file__]
