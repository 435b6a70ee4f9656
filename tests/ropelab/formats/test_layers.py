"""Every kind of layers, as each of the seven dialects tells them apart."""

from typing import Any

import numpy as np
import pytest

from ropelab import Rope, from_gguf, layers_from_transformers
from ropelab.formats import DIALECTS, read_layers
from ropelab.formats.layers import EVERY_LAYER
from ropelab.models import model
from tests.ropelab.support import refuses

GEMMA_3 = model("Gemma-3-27B").config


def bases(config: Any, dialect: str, **options: Any) -> dict[str, float | None]:
    ropes = read_layers(config, dialect, **options).ropes
    return {kind: None if rope is None else rope.base for kind, rope in ropes.items()}


def test_there_are_seven() -> None:
    assert len(DIALECTS) == 7


def test_transformers() -> None:
    assert dict(read_layers(GEMMA_3).ropes) == layers_from_transformers(GEMMA_3)
    assert bases(GEMMA_3, "transformers") == {
        "sliding_attention": 10_000.0,
        "full_attention": 1_000_000.0,
    }


def test_vllm_by_keys_and_by_dictionaries() -> None:
    both = {"full_attention": 1e6, "sliding_attention": 1e4}
    flat = {"head_dim": 64, "rope_theta": 1e6, "rope_local_base_freq": 1e4}
    nested = {kind: {"rope_type": "default", "rope_theta": base} for kind, base in both.items()}
    assert bases(flat, "vllm") == both
    assert bases({"head_dim": 64, "rope_parameters": nested}, "vllm") == both
    assert bases({"text_config": flat}, "vllm") == both
    assert bases({"head_dim": 64, "rope_theta": 7.0}, "vllm") == {EVERY_LAYER: 7.0}


def test_exllamav2_knows_the_windows_of_gemma_3_alone() -> None:
    config = {"architectures": ["Gemma3ForConditionalGeneration"], "head_dim": 64}
    assert bases(config, "exllamav2") == {"full_attention": 1e6, "sliding_attention": 1e4}
    plain = {**config, "architectures": ["LlamaForCausalLM"], "rope_theta": 7.0}
    assert bases(plain, "exllamav2") == {EVERY_LAYER: 7.0}


GGUF = {
    "general.architecture": "gemma3",
    "gemma3.attention.key_length": 8,
    "gemma3.context_length": 131072,
    "gemma3.rope.freq_base": 1e6,
}


def test_gguf_with_windows() -> None:
    windows = {**GGUF, "gemma3.attention.sliding_window": 1024}
    assert bases(windows, "gguf") == {"full_attention": 1e6, "sliding_attention": 1e4}
    assert bases({**windows, "gemma3.attention.sliding_window": 0}, "gguf") == {EVERY_LAYER: 1e6}


def test_gguf_with_factors() -> None:
    factors = np.array([1.0, 2.0, 3.0, 5.0])
    found = read_layers(GGUF, "gguf", tensors={"rope_freqs": factors}).ropes[EVERY_LAYER]
    assert found == from_gguf(GGUF, rope_freqs=factors)
    assert isinstance(found, Rope)
    plain = 1e6 ** (-np.arange(4) / 4)
    np.testing.assert_allclose(found.spectrum().inv_freq, plain / factors, rtol=1e-14)


def test_megatron_with_layers_without() -> None:
    arguments = {"position_embedding_type": "rope", "kv_channels": 64, "rotary_base": 7.0}
    assert bases(arguments, "megatron") == {EVERY_LAYER: 7.0}
    reading = read_layers({**arguments, "no_rope_freq": 4}, "megatron")
    assert {kind: rope is not None for kind, rope in reading.ropes.items()} == {
        "rope": True,
        "nope": False,
    }
    assert reading.findings == ()


def test_nemo_automodel() -> None:
    assert bases({"head_dim": 64, "rope_theta": 7.0}, "nemo_automodel") == {EVERY_LAYER: 7.0}


def test_transformer_engine_reads_its_arguments() -> None:
    reading = read_layers({"dim": 64, "rotary_base": 7.0, "beta_fast": 1}, "transformer_engine")
    assert [rope.base for rope in reading.ropes.values() if rope] == [7.0]
    assert [finding.key for finding in reading.findings] == ["beta_fast"]


def test_a_finding_of_two_kinds_is_told_once() -> None:
    config = {
        "head_dim": 64,
        "rope_theta": 1e6,
        "rope_local_base_freq": 1e4,
        "rope_scaling": {"rope_type": "linear", "factor": 8.0, "beta_fast": 1.0},
    }
    keys = [finding.key for finding in read_layers(config, "vllm").findings]
    assert len(keys) == len(set(keys)) > 0


def test_bad_input() -> None:
    with refuses(ValueError, "dialect", "gorilla"):
        read_layers({}, "gorilla")
    with refuses(ValueError, "dim", "missing"):
        read_layers({}, "transformer_engine")
    with refuses(ValueError, "tensors", "vllm", "rope_freqs"):
        read_layers(GEMMA_3, "vllm", tensors={"rope_freqs": np.ones(4)})


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_the_table_reads_as_the_function_does(dialect: str) -> None:
    own: dict[str, dict[str, Any]] = {
        "gguf": GGUF,
        "megatron": {"position_embedding_type": "rope", "kv_channels": 64},
        "transformer_engine": {"dim": 64},
    }
    config = own.get(dialect, {"model_type": "llama", "head_dim": 64})
    assert DIALECTS[dialect](config) == read_layers(config, dialect)


WIDE: list[tuple[str, str, dict[str, Any]]] = [
    ("transformers", "head_dim", {"model_type": "llama", "rope_theta": 1e4}),
    ("vllm", "head_dim", {"rope_theta": 1e4}),
    ("vllm", "qk_rope_head_dim", {"rope_theta": 1e4}),
    ("megatron", "kv_channels", {"position_embedding_type": "rope"}),
    (
        "megatron",
        "hidden_size",
        {"position_embedding_type": "rope", "num_attention_heads": 1},
    ),
    ("transformer_engine", "dim", {}),
    ("gguf", "llama.attention.key_length", {}),
    ("gguf", "llama.rope.dimension_count", {"llama.attention.key_length": 64}),
    ("gguf", "llama.embedding_length", {"llama.attention.head_count": 1}),
    ("gguf", "deepseek2.rope.dimension_count", {}),
]


@pytest.mark.parametrize(("dialect", "key", "config"), WIDE)
@pytest.mark.parametrize("width", [2**16 + 2, 2**40])
def test_heads_wider_than_any_model_has(
    dialect: str, key: str, config: dict[str, Any], width: int
) -> None:
    given = {**config, key: width}
    if dialect == "gguf":
        given["general.architecture"] = key.partition(".")[0]
    with refuses(ValueError, key.split(".", 1)[-1], f"at most 65536 channels; got {width}"):
        read_layers(given, dialect)
