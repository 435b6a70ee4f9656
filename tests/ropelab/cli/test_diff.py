"""Where two configs part, by how much, and what comes of it."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ropelab as library
from ropelab.scaling import YaRN
from tests.ropelab.cli.support import LLAMA_3_1, config_file, document, fails, gguf_file, ropelab

QWEN: dict[str, Any] = {
    "model_type": "qwen2",
    "hidden_size": 3584,
    "num_attention_heads": 28,
    "max_position_embeddings": 131072,
    "rope_theta": 1e6,
    "architectures": ["Qwen2ForCausalLM"],
    "rope_scaling": {
        "rope_type": "yarn",
        "factor": 4.0,
        "original_max_position_embeddings": 32768,
    },
}


def test_the_same_is_the_same(tmp_path: Path) -> None:
    path = config_file(tmp_path, LLAMA_3_1)
    assert document("diff", path, "Llama-3.1-8B")["differ"] is False
    result = ropelab("diff", path, path)
    assert result.exit_code == 0
    assert "the same numbers" in result.stdout


def test_another_base_shows_in_the_frequencies() -> None:
    found = document("diff", "Llama-3.1-8B", "Qwen2-7B", code=1)
    [layers] = found["layers"]
    a, b = (
        library.models.model(name).rope().spectrum().inv_freq  # type: ignore[union-attr]
        for name in ("Llama-3.1-8B", "Qwen2-7B")
    )
    assert layers["frequencies"]["first"] == 1  # pair 0 turns by one radian whatever the base
    assert layers["frequencies"]["differing"] == 63
    ratios = np.maximum(a / b, b / a)
    assert layers["frequencies"]["largest"] == int(ratios.argmax())
    assert layers["frequencies"]["ratio"] == pytest.approx(float(ratios.max()), rel=1e-15)
    assert layers["settings"]["base"] == [500_000.0, 1_000_000.0]


def test_similarity_is_that_of_rotated_vectors() -> None:
    """The closed form against the mean over many random vectors, turned by the specification."""
    [layers] = document("diff", "Llama-3.1-8B", "Qwen2-7B", code=1)["layers"]
    rng = np.random.default_rng(5)
    x = rng.standard_normal((4000, 1, 1, 128))
    spectra = [
        library.models.model(name).rope().spectrum()  # type: ignore[union-attr]
        for name in ("Llama-3.1-8B", "Qwen2-7B")
    ]
    for position, expected in layers["similarity"].items():
        a, b = (library.apply_rotary(x, np.array([int(position)]), each) for each in spectra)
        found = (a * b).sum() / (x * x).sum()
        assert found == pytest.approx(expected, abs=4.0 / np.sqrt(4000 * 64))
    assert list(map(int, layers["similarity"])) == [4**n for n in range(9)] + [131071]


def test_one_config_under_two_implementations(tmp_path: Path) -> None:
    path = config_file(tmp_path, QWEN)
    same = document("diff", path, "--as", "vllm", "--and", "transformers")
    assert same["differ"] is False
    found = document("diff", path, "--as", "transformers", "--and", "exllamav2", code=1)
    [layers] = found["layers"]
    # ExLlamaV2 takes its ramp from the served length: docs/differences.md, the first row.
    assert layers["frequencies"]["ratio"] == pytest.approx(2.235, abs=1e-3)
    assert layers["frequencies"]["largest"] == 40
    assert layers["frequencies"]["differing"] == 23


def test_a_rule_by_length_is_compared_at_both_of_its_lengths() -> None:
    """ExLlamaV2 loaded with 131,072 tokens turns all texts by LongRoPE's long list."""
    asked = ("diff", "Phi-3.5-mini", "--as", "exllamav2", "--and", "transformers")
    short, long = document(*asked, code=1)["layers"]
    assert [short["length"], long["length"]] == [4096, 131_072]
    assert [short["differs"], long["differs"]] == [True, False]
    lists = library.models.MODELS["Phi-3.5-mini"].config["rope_scaling"]
    quotients = np.divide(lists["long_factor"], lists["short_factor"])
    assert short["frequencies"]["ratio"] == pytest.approx(float(quotients.max()), rel=1e-12)
    assert list(map(int, short["similarity"]))[-1] == 4095  # the next token changes the list
    assert long["similarity"] == {}
    said = ropelab(*asked).stdout
    assert "layers: every layer, in 4,096 tokens\n" in said
    assert "layers: every layer, in 131,072 tokens\n  the same numbers\n" in said
    [one] = document(*asked, "--length", 2048, code=1)["layers"]
    assert (one["length"], list(map(int, one["similarity"]))[-1]) == (2048, 2047)


def test_dynamic_parts_past_its_length_alone() -> None:
    asked = ("diff", "InternLM2.5-7B", "--as", "transformers", "--and", "vllm")
    short, long = document(*asked, code=1)["layers"]
    assert (short["length"], short["differs"]) == (32_768, False)
    assert (long["length"], long["differs"]) == (65_536, True)
    # Published (bloc97): the slowest pair is stretched by alpha = s L / L0 - (s - 1) = 3.
    assert long["frequencies"]["ratio"] == pytest.approx(3.0, rel=1e-12)


def test_float32_is_no_difference(tmp_path: Path) -> None:
    """A converter stores Llama 3.1's divisors as float32, whatever else it stores otherwise."""
    rope = library.models.model("Llama-3.1-8B").rope()
    assert rope is not None
    divisors = library.Rope(128, base=5e5).spectrum().inv_freq / rope.spectrum().inv_freq
    file = gguf_file(tmp_path, factors=divisors)
    [layers] = document("diff", file, "Llama-3.1-8B", code=1)["layers"]
    found = layers["frequencies"]
    assert (found["differing"], found["first"], found["largest"]) == (0, None, None)
    assert 1e-8 < found["ratio"] - 1.0 < 1e-7
    assert set(layers["settings"]) == {"rule", "layout", "layout put out"}
    said = ropelab("diff", file, "Llama-3.1-8B").stdout
    assert f"the same frequencies, to {found['ratio'] - 1.0:.1g}\n" in said
    permuted = {"rope_theta": 500_000.0 * (1.0 + 2e-5), "rope_scaling": None}
    one, other = {**LLAMA_3_1, "rope_scaling": None}, {**LLAMA_3_1, **permuted}
    paths = config_file(tmp_path, one), config_file(tmp_path, other, "other.json")
    assert document("diff", *paths, code=1)["layers"][0]["frequencies"]["differing"] > 0


def test_amplitudes_part(tmp_path: Path) -> None:
    plain = {**QWEN["rope_scaling"], "attention_factor": 1.0}
    one = config_file(tmp_path, QWEN)
    other = config_file(tmp_path, {**QWEN, "rope_scaling": plain}, "other.json")
    [layers] = document("diff", one, other, code=1)["layers"]
    assert layers["frequencies"]["differing"] == 0
    assert layers["frequencies"]["first"] is None
    factor = library.Rope(128, scaling=YaRN(4.0, 32768)).spectrum().attention_factor
    assert layers["settings"]["factor of cos and sin"] == [factor, 1.0]
    said = ropelab("diff", one, other).stdout
    assert "the same frequencies" in said
    assert "1.138" in said  # 0.1 ln 4 + 1


def test_layouts_part(tmp_path: Path) -> None:
    file = gguf_file(tmp_path, tensor=False)
    plain = {key: value for key, value in LLAMA_3_1.items() if key != "rope_scaling"}
    [layers] = document("diff", config_file(tmp_path, plain), file, code=1)["layers"]
    assert layers["settings"]["layout"] == ["half", "interleaved"]
    assert layers["frequencies"]["differing"] == 0
    assert "converter permutes" in layers["notes"][0]


def test_axes_part() -> None:
    [layers] = document("diff", "Qwen2.5-VL-7B", "Qwen2.5-7B", code=1)["layers"]
    by_axis = "16 pairs by axis 0, 24 pairs by axis 1, 24 pairs by axis 2"
    assert layers["settings"]["axes that turn the pairs"] == [by_axis, "0"]
    assert layers["frequencies"]["differing"] == 0
    both = document("diff", "Qwen2.5-VL-7B", "Qwen3-VL-30B-A3B", code=1)["layers"]
    assert both[0]["settings"]["axes that turn the pairs"][1].startswith("0 1 2 0 1 2 0")
    assert both[0]["similarity"]["1"] > 0.999


def test_axes_and_frequencies_part(tmp_path: Path) -> None:
    """Text has one position on every axis, so that its similarity is that of one axis."""
    yarn = config_file(tmp_path, QWEN)
    [layers] = document("diff", "Qwen2.5-VL-7B", yarn, code=1)["layers"]
    assert layers["frequencies"]["differing"] > 0
    assert any("text, whose position is the same" in note for note in layers["notes"])
    plain = config_file(tmp_path, {**QWEN, "rope_scaling": None}, "plain.json")
    [expected] = document("diff", plain, yarn, code=1)["layers"]
    assert len(layers["similarity"]) > 9
    assert layers["similarity"] == expected["similarity"]


def test_widths_part(tmp_path: Path) -> None:
    half = {**LLAMA_3_1, "partial_rotary_factor": 0.5}
    file = config_file(tmp_path, half)
    [layers] = document("diff", "Llama-3.1-8B", file, code=1)["layers"]
    assert layers["frequencies"] is None
    assert "A turns 128 channels of a head, B 64" in layers["notes"][0]


def test_layers_without_a_rope() -> None:
    found = document("diff", "SmolLM3", "SmolLM3", "--and", "nemo_automodel", code=1)
    notes = [layers["notes"] for layers in found["layers"] if layers["frequencies"] is None]
    assert notes == [["B has a rotary embedding in these layers, A has none"]]


def test_layers_with_bases_of_their_own() -> None:
    found = document("diff", "Gemma-3-27B", "--and", "nemo_automodel", code=1)
    assert {layers["layers"] for layers in found["layers"]} == {
        "sliding_attention",
        "full_attention",
    }


def test_one_config_alone() -> None:
    fails(2, "second CONFIG", "--and", arguments=("diff", "Llama-3.1-8B"))
    fails(2, "A", arguments=("diff",))
    fails(3, "nearest", arguments=("diff", "Llama-3.1-8B", "Llama-3.1-9B"))
