"""What a config must not be, and the name by which it is told so."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ropelab import Rope, from_transformers, from_vllm, layers_from_transformers
from tests.ropelab.formats.published import GEMMA_3, LLAMA_3, LLAMA_3_RULE, Config
from tests.ropelab.support import refuses


def rule(**changed: object) -> Config:
    return {"rope_scaling": {**LLAMA_3_RULE, **changed}}


REFUSALS: list[tuple[Config, type[Exception], str, str]] = [
    (rule(factor="8"), TypeError, "factor", "'8'"),
    (rule(factor=True), TypeError, "factor", "True"),
    (rule(factor=math.nan), ValueError, "factor", "nan"),
    (rule(low_freq_factor=0), ValueError, "low_freq_factor", "0"),
    (
        rule(original_max_position_embeddings=8192.5),
        TypeError,
        "original_max_position_embeddings",
        "8192.5",
    ),
    (rule(rope_type="telepathy"), ValueError, "rope_type", "'telepathy'"),
    (rule(rope_type=["llama3"]), TypeError, "rope_type", "['llama3']"),
    ({"rope_scaling": {"type": "linear"}}, ValueError, "rope_scaling", "factor"),
    ({"rope_scaling": []}, TypeError, "rope_scaling", "[]"),
    ({"rope_scaling": False}, TypeError, "rope_scaling", "False"),
    ({"rope_scaling": "linear"}, TypeError, "rope_scaling", "'linear'"),
    ({"rope_parameters": 3}, TypeError, "rope_parameters", "3"),
    ({"rope_parameters": {3: 4}}, TypeError, "rope_parameters", "3"),
    ({"head_dim": "128"}, TypeError, "head_dim", "'128'"),
    ({"head_dim": {}}, TypeError, "head_dim", "{}"),
    ({"head_dim": 127}, ValueError, "head_dim", "127"),
    ({"hidden_size": 4097}, ValueError, "hidden_size", "4097"),
    ({"hidden_size": None}, ValueError, "hidden_size", "head_dim"),
    ({"num_attention_heads": 0}, ValueError, "num_attention_heads", "0"),
    ({"rope_theta": "5e5"}, TypeError, "rope_theta", "'5e5'"),
    ({"rope_theta": -1}, ValueError, "rope_theta", "-1"),
    (
        {"model_type": "phi", "partial_rotary_factor": 0.4},  # 51 channels
        ValueError,
        "partial_rotary_factor",
        "0.4",
    ),
    (
        {"model_type": "phi", "partial_rotary_factor": 1.5},
        ValueError,
        "partial_rotary_factor",
        "1.5",
    ),
    (
        {"model_type": "phi", "partial_rotary_factor": 1e308},
        ValueError,
        "partial_rotary_factor",
        "1e+308",
    ),
    (
        {"model_type": "phi", "partial_rotary_factor": "0.5"},
        TypeError,
        "partial_rotary_factor",
        "'0.5'",
    ),
    (
        {"model_type": "phi", "partial_rotary_factor": 0.001},
        ValueError,
        "partial_rotary_factor",
        "0.001",
    ),
    ({"rotary_dim": 3}, ValueError, "rotary_dim", "3"),
    ({"max_position_embeddings": "4096"}, TypeError, "max_position_embeddings", "'4096'"),
    ({"model_type": ["llama"]}, TypeError, "model_type", "['llama']"),
    ({"model_type": []}, TypeError, "model_type", "[]"),
    ({"rope_theta": int}, TypeError, "rope_theta", "int"),
    ({"layer_types": 3}, TypeError, "layer_types", "3"),
    ({"layer_types": [3]}, TypeError, "layer_types", "[3]"),
    (rule(rope_type=""), ValueError, "rope_type", "''"),
    (rule(rope_type=0), TypeError, "rope_type", "0"),
    (rule(rope_type=None, type=False), TypeError, "type", "False"),
    ({"rope_scaling": 0}, TypeError, "rope_scaling", "0"),
    ({"rope_scaling": ""}, TypeError, "rope_scaling", "''"),
    ({"rope_scaling": {"type": "linear", 3: 4}}, TypeError, "rope_scaling", "3"),
    ({"head_dim": False}, TypeError, "head_dim", "False"),
    ({"head_dim": 2**16 + 2}, ValueError, "head_dim", "65538"),
    ({"head_dim": 2**63}, ValueError, "head_dim", "64 bits"),
    ({"hidden_size": 2**30}, ValueError, "hidden_size", "65536"),
    ({"position_embedding_type": 3}, TypeError, "position_embedding_type", "3"),
    ({"text_config": 3, "num_attention_heads": 2}, TypeError, "text_config", "int"),
    (
        {"model_type": "deepseek_v3", "rope_interleave": 1},
        TypeError,
        "rope_interleave",
        "1",
    ),
]


@pytest.mark.parametrize(("config", "kind", "name", "came"), REFUSALS)
def test_a_malformed_config_is_refused_by_the_name_of_its_key(
    config: Config, kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        from_transformers({**LLAMA_3, **config})


@pytest.mark.parametrize("config", [None, [], 3, b"config.json", object(), int, np.zeros(3), len])
def test_what_is_no_config_is_refused(config: object) -> None:
    with refuses(TypeError, "config", type(config).__name__):
        from_transformers(config)


@pytest.mark.parametrize("answer", [None, [1], 3])
def test_an_object_whose_to_dict_gives_no_dictionary_is_refused(answer: object) -> None:
    with refuses(TypeError, "config"):
        from_transformers(SimpleNamespace(to_dict=lambda: answer))


@pytest.mark.parametrize(
    ("content", "kind", "came"),
    [
        (b'{"hidden_size": ', ValueError, "JSON"),
        (b"\xff\xfe{", ValueError, "JSON"),
        (b"[1, 2]", TypeError, "list"),
        (b'"config.json"', TypeError, "str"),
        pytest.param(b"[" * 100_000, ValueError, "JSON", id="deep"),
        (b'{"head_dim": 64, "rope_theta": 1e4, "rope_theta": 5e5}', ValueError, "rope_theta"),
    ],
)
def test_a_file_that_is_no_json_object_is_refused(
    content: bytes, kind: type[Exception], came: str, tmp_path: Path
) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(content)
    with refuses(kind, "config", came):
        from_transformers(path)


def test_a_byte_order_mark_is_no_reason_to_refuse(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    path.write_bytes(b"\xef\xbb\xbf" + json.dumps(LLAMA_3).encode())
    assert from_transformers(path) == from_transformers(LLAMA_3)


def test_a_path_without_a_file_is_refused(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent.json"):
        with refuses(ValueError, "config", str(path)):
            from_transformers(path)


@pytest.mark.parametrize("layer_type", [None, "chunked_attention"])
def test_a_layer_type_that_the_config_does_not_have_is_refused(layer_type: str | None) -> None:
    with refuses(ValueError, "layer_type", repr(layer_type), "full_attention"):
        from_transformers(GEMMA_3, layer_type)


@pytest.mark.parametrize("layer_type", [3, ["full_attention"]])
@pytest.mark.parametrize("config", [GEMMA_3, LLAMA_3], ids=["per layer", "flat"])
def test_a_layer_type_that_is_no_name_is_refused(config: Config, layer_type: object) -> None:
    with refuses(TypeError, "layer_type", repr(layer_type)):
        from_transformers(config, layer_type)  # type: ignore[arg-type]


def test_one_set_of_parameters_is_that_of_no_unknown_layer_type() -> None:
    with refuses(ValueError, "layer_type", "'full_attention'", "None"):
        from_transformers(LLAMA_3, "full_attention")
    known = {**LLAMA_3, "layer_types": ["full_attention"]}
    assert from_transformers(known, "full_attention") == from_transformers(LLAMA_3)
    with refuses(ValueError, "layer_type", "'sliding'", "full_attention"):
        from_transformers(known, "sliding")


def test_layer_parameters_that_are_no_dictionary_are_refused() -> None:
    parameters = {**GEMMA_3["rope_parameters"], "sliding_attention": 3}
    with refuses(TypeError, "rope_parameters", "sliding_attention", "3"):
        from_transformers({**GEMMA_3, "rope_parameters": parameters}, "sliding_attention")


def test_parameters_both_flat_and_per_layer_are_refused() -> None:
    # Read as flat, they would give every layer the default rule.
    parameters = {**GEMMA_3["rope_parameters"], "rope_theta": 5.0}
    with refuses(ValueError, "rope_parameters", "full_attention", "rope_theta"):
        from_transformers({**GEMMA_3, "rope_parameters": parameters}, "full_attention")


def test_a_config_that_says_nothing_of_rope_is_not_taken_to_mean_the_default() -> None:
    # Transformers' ViT has learned positions; a base of 10000 would be our invention.
    config = {"model_type": "vit", "hidden_size": 768, "num_attention_heads": 12}
    with pytest.warns(UserWarning, match=r"(?i)rope"):
        from_transformers(config)


@pytest.mark.parametrize(
    ("name", "meant"),
    [("yarrn", "yarn"), ("llama-3", "llama3"), ("long_rope", "longrope"), ("Linear", "linear")],
)
def test_the_nearest_rule_is_suggested(name: str, meant: str) -> None:
    with refuses(ValueError, "rope_type", repr(name), f"did you mean {meant!r}?"):
        from_transformers({**LLAMA_3, **rule(rope_type=name)})


@pytest.mark.parametrize("name", ["vllm_ntk", "hope", "resonance", "inv_freq"])
def test_rules_that_transformers_does_not_have_are_none_of_its_dialect(name: str) -> None:
    with refuses(ValueError, "rope_type", repr(name)):
        from_transformers({**LLAMA_3, **rule(rope_type=name)})


@pytest.mark.parametrize("name", ["su", "mrope", "xdrope"])
def test_names_that_other_models_have_for_a_rule_are_refused_where_they_have_no_meaning(
    name: str,
) -> None:
    with refuses(ValueError, "rope_type", repr(name), "llama"):
        from_transformers({**LLAMA_3, **rule(rope_type=name)})


def test_a_rule_of_vision_towers_is_told_from_an_unknown_word() -> None:
    with refuses(ValueError, "rope_type", "'axial'", "image"):
        from_transformers({**LLAMA_3, **rule(rope_type="axial")})


def test_a_word_that_is_no_rule_is_not_called_one() -> None:
    with pytest.raises(ValueError, match=r"got 'telepathy'$"):
        from_transformers({**LLAMA_3, **rule(rope_type="telepathy")})


def test_axes_that_are_not_read_are_named() -> None:
    given = {"type": "default", "mrope_section": [16, 24, 24], "mrope_interleaved": True}
    with pytest.warns(UserWarning, match=r"mrope_section not read.*positions of text") as caught:
        rope = from_transformers({**LLAMA_3, "rope_scaling": given})
    assert rope == from_transformers(LLAMA_3)
    assert len(caught) == 1


@pytest.mark.parametrize(
    ("content", "start"),
    [
        (b"GGUF\x03\0\0\0" + b"x" * 999, "GGUF"),
        (b"\x10\0\0\0\0\0\0\0{}", r"\x10"),
        (b"\xfe\xfd", "xfe"),
    ],
)
def test_a_binary_file_is_called_one(content: bytes, start: str, tmp_path: Path) -> None:
    path = tmp_path / "model.gguf"
    path.write_bytes(content)
    with refuses(ValueError, "config", "model.gguf", "is not JSON", start):
        from_transformers(path)


def test_the_folder_of_a_model_is_answered_with_its_config(tmp_path: Path) -> None:
    with refuses(ValueError, "config", "no config.json"):
        from_transformers(tmp_path)
    path = tmp_path / "config.json"
    path.write_text("{}")
    with refuses(ValueError, "config", f"give {str(path)!r}"):
        from_transformers(tmp_path)


@pytest.mark.parametrize("space", ["", "\n "])
def test_json_text_is_not_taken_for_a_path_nor_echoed(space: str) -> None:
    text = space + json.dumps({**LLAMA_3, "x": "y" * 9000})
    with pytest.raises(ValueError, match=r"^config: .*json\.loads") as caught:
        from_transformers(text)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("path", ["x" * 9000, "config\0.json", ""])
def test_what_cannot_be_a_path_is_refused_in_a_few_words(path: str) -> None:
    with pytest.raises(ValueError, match=r"^config: ") as caught:
        from_transformers(path)
    assert len(str(caught.value)) < 400


def test_a_models_name_is_no_path_and_nothing_is_downloaded() -> None:
    with refuses(ValueError, "config", "'meta-llama/", "nothing is downloaded", "ropelab.models"):
        from_transformers("meta-llama/Llama-3.1-8B")
    with pytest.raises(ValueError, match=r"absent.json'[^;]*$"):
        from_transformers("absent.json")


def test_a_rule_without_a_name_is_read_as_none_and_said_to_be() -> None:
    given = {"rope_scaling": {"factor": 4.0}}
    wanted = r"^rope_scaling: rope_type is missing and read as 'default', .* does not read factor"
    with pytest.warns(UserWarning, match=wanted) as caught:
        rope = from_transformers({**LLAMA_3, **given})
    assert len(caught) == 1
    assert rope == from_transformers({**LLAMA_3, "rope_scaling": None})


@pytest.mark.parametrize("read", [from_transformers, layers_from_transformers, from_vllm])
def test_a_rope_is_no_config(read: Callable[[object], object]) -> None:
    with refuses(TypeError, "config", "Rope"):
        read(Rope(64, base=5e5))
