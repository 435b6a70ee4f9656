"""What `explain` says is what the library computes, and what others have published."""

import math
from pathlib import Path

import pytest

from ropelab.models import MODELS, model
from tests.ropelab.cli.support import COLOUR, LLAMA_3_1, config_file, document, fails, ropelab


def test_llama_3_1_in_one_line(tmp_path: Path) -> None:
    # Published: Meta's apply_scaling splits the 64 pairs so; 2 pi 500000^(126/128) = 2559196.
    said = ropelab("explain", config_file(tmp_path, LLAMA_3_1)).stdout
    assert (
        "29 pairs untouched, 6 blended, 29 stretched 8×; "
        "longest wavelength 20.5 M tokens, 2.56 M unscaled" in said
    )
    assert "39 of 64 pairs turn all the way round in its 131,072 tokens" in said


def test_every_model_is_explained() -> None:
    for name in MODELS:
        result = ropelab("explain", name, "--no-plot")
        assert (result.exit_code, result.stderr) == (0, ""), name
        assert name in result.stdout


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_every_model_is_explained_in_json() -> None:
    for name in MODELS:
        found = document("explain", name)
        for kind, rope in model(name).ropes().items():
            layer = found["layers"][kind]
            if rope is None:
                assert layer is None
                continue
            spectrum = rope.spectrum()
            longest = float(spectrum.wavelengths.max())
            assert layer["longest_wavelength"] == (longest if math.isfinite(longest) else None)
            assert layer["attention_factor"] == spectrum.attention_factor
            assert sum(len(band["pairs"]) for band in layer["bands"]) == rope.rotary_dim // 2


def test_layers_that_differ_are_told_apart() -> None:
    said = ropelab("explain", "Gemma-3-27B").stdout
    assert "layers: sliding_attention\n" in said
    assert "layers: full_attention\n" in said
    assert "128,000" not in said
    assert "64 pairs, none of them scaled" in said
    assert "64 pairs stretched 8×" in said


def test_pairs_turn_within_the_window(tmp_path: Path) -> None:
    config = {
        "model_type": "mistral",
        "head_dim": 128,
        "rope_theta": 10_000.0,
        "max_position_embeddings": 32_768,
        "layer_types": ["sliding_attention"],
    }
    # 2 pi 10000^(2i/128) is at most 1024 for the i up to 64 ln(1024 / 2 pi) / ln 10000 = 35.4.
    windowed = config_file(tmp_path, {**config, "sliding_window": 1024})
    said = ropelab("explain", windowed).stdout
    assert "36 of 64 pairs turn all the way round in its window of 1,024 tokens" in said
    said = ropelab("explain", windowed, "--as", "vllm").stdout
    assert "60 of 64 pairs turn all the way round in its 32,768 tokens" in said
    assert "all the way round" not in ropelab("explain", config_file(tmp_path, config)).stdout


def test_pairs_turn_by_the_frequencies_of_the_length() -> None:
    """LongRoPE's list up to 4,096 tokens is another one than past them: two counts, by hand."""
    given = MODELS["Phi-3.5-mini"].config
    lists = given["rope_scaling"]

    def turning(name: str, tokens: int) -> int:
        wavelengths = (2 * math.pi * 10_000 ** (2 * i / 96) * f for i, f in enumerate(lists[name]))
        return sum(wavelength <= tokens for wavelength in wavelengths)

    assert turning("short_factor", 131_072) == 47  # which no text has
    said = ropelab("explain", "Phi-3.5-mini", "--no-plot").stdout
    short, long = turning("short_factor", 4096), turning("long_factor", 131_072)
    assert f"{short} of 48 pairs turn all the way round in 4,096 tokens" in said
    assert f"{long} of 48 pairs turn all the way round in its 131,072 tokens" in said
    assert "in 4,096 tokens: 1 pair untouched, 47 changed, 1.02× to 2.84×" in said
    assert "in 131,072 tokens: 48 pairs changed, 1.08× to 64.84×" in said
    for tokens, name in ((1024, "short_factor"), (4097, "long_factor"), (65_536, "long_factor")):
        said = ropelab("explain", "Phi-3.5-mini", "--no-plot", "--length", tokens).stdout
        count = turning(name, tokens)
        assert f"{count} of 48 pairs turn all the way round in {tokens:,} tokens" in said
        assert said.count("all the way round") == 1


def test_turns_past_the_length_and_within_the_window(tmp_path: Path) -> None:
    config = {**LLAMA_3_1, "max_position_embeddings": 2048, "rope_theta": 10_000.0}
    dynamic = {**config, "rope_scaling": {"rope_type": "dynamic", "factor": 4.0}}
    said = ropelab("explain", config_file(tmp_path, dynamic), "--length", 8192).stdout
    base = 10_000 * (4.0 * 4.0 - 3.0) ** (128 / 126)
    count = sum(2 * math.pi * base ** (i / 64) <= 8192 for i in range(64))
    assert f"{count} of 64 pairs turn all the way round in 8,192 tokens" in said
    windowed = {
        **{key: value for key, value in config.items() if key != "rope_scaling"},
        "model_type": "mistral",
        "layer_types": ["sliding_attention"],
        "sliding_window": 1024,
    }
    path = config_file(tmp_path, windowed)
    for tokens, place in ((512, "512 tokens"), (8192, "its window of 1,024 tokens")):
        count = sum(2 * math.pi * 10_000 ** (i / 64) <= min(tokens, 1024) for i in range(64))
        said = ropelab("explain", path, "--length", tokens).stdout
        assert f"{count} of 64 pairs turn all the way round in {place}" in said


def test_yarn_as_qwen_publishes_it_turns_in_the_stretched_length(tmp_path: Path) -> None:
    scaling = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32_768}
    config = {**LLAMA_3_1, "rope_theta": 1e6, "rope_scaling": scaling}
    for stated in (32_768, 131_072):
        path = config_file(tmp_path, {**config, "max_position_embeddings": stated})
        said = ropelab("explain", path).stdout
        # Pairs past the ramp turn in 4 · 2 pi 1e6^(2i/128) tokens, those before it far sooner.
        count = sum(4 * 2 * math.pi * 1e6 ** (i / 64) <= 131_072 for i in range(64))
        assert f"{count} of 64 pairs turn all the way round in its 131,072 tokens" in said
        assert ("stretched from 32,768" in said) == (stated == 32_768)
        lengths = [line.split()[-1] for line in said.splitlines() if "╌ " in line]
        assert lengths[:2] == ["131,072", "32,768"]


def test_a_picture_marks_the_window(tmp_path: Path) -> None:
    config = {
        **{key: value for key, value in LLAMA_3_1.items() if key != "rope_scaling"},
        "model_type": "mistral",
        "layer_types": ["sliding_attention"],
    }
    path = config_file(tmp_path, {**config, "sliding_window": 1024})
    marked = [line for line in ropelab("explain", path).stdout.splitlines() if "╌ " in line]
    assert [line.split()[-1] for line in marked[:-1]] == ["1,024"]
    assert "╌" not in ropelab("explain", config_file(tmp_path, config)).stdout  # none is told


def test_a_picture_for_each_length() -> None:
    said = ropelab("explain", "Phi-3.5-mini").stdout
    assert said.count("tokens └") == 2
    assert "\n  in 4,096 tokens\n" in said
    assert "\n  in 131,072 tokens\n" in said
    assert ropelab("explain", "Phi-3.5-mini", "--length", 4096).stdout.count("tokens └") == 1


def test_channels_beside_those_that_turn(tmp_path: Path) -> None:
    # DeepSeek-V3's heads of q and k: qk_nope_head_dim 128 and qk_rope_head_dim 64.
    told = (
        "64 channels of a head turn beside 128 that do not, "
        "pair i being channels 2i and 2i + 1 of the 64"
    )
    for dialect in ("transformers", "vllm"):
        assert told in ropelab("explain", "DeepSeek-V3", "--as", dialect).stdout
    config = {"model_type": "deepseek_v3", "qk_rope_head_dim": 64}
    said = ropelab("explain", config_file(tmp_path, config)).stdout
    assert "64 channels of a head turn beside others that do not" in said


def test_a_name_is_said_once(tmp_path: Path) -> None:
    path = config_file(tmp_path, LLAMA_3_1)
    first = ropelab("explain", path).stdout.splitlines()[0]
    assert first == f"{path}, as transformers reads it"
    first = ropelab("explain", tmp_path).stdout.splitlines()[0]
    assert first == f"{tmp_path}, as transformers reads it ({path})"


def test_amplitudes_are_said() -> None:
    said = ropelab("explain", "gpt-oss-120b").stdout
    factor = 0.1 * math.log(32.0) + 1.0  # YaRN, eq. 22, at 32 times
    assert f"cos and sin are multiplied by {factor:.6g}, scores by {factor**2:.6g}" in said


def test_query_scales_are_said() -> None:
    said = ropelab("explain", "Ministral-3-3B").stdout
    assert "MinistralTemperature(beta=0.1, original_max_position_embeddings=16384)" in said
    found = document("explain", "Ministral-3-3B")
    assert found["query_scales"]["full_attention"]["beta"] == 0.1


def test_the_length_matters_where_the_rule_says_so(tmp_path: Path) -> None:
    scaling = {"rope_type": "dynamic", "factor": 2.0}
    config = {**LLAMA_3_1, "max_position_embeddings": 4096, "rope_scaling": scaling}
    path = config_file(tmp_path, config)
    assert "64 pairs, none of them scaled" in ropelab("explain", path).stdout
    longer = document("explain", path, "--length", 16384)["layers"]["full_attention"]
    # Published (bloc97): base b (s L / L0 - (s - 1))^(d / (d - 2)).
    base = 500_000.0 * (2.0 * 4.0 - 1.0) ** (128 / 126)
    assert longer["longest_wavelength"] == pytest.approx(2 * math.pi * base ** (126 / 128))


def test_findings_are_printed(tmp_path: Path) -> None:
    path = config_file(tmp_path, {"model_type": "llama", "head_dim": 64, "rotary_dim": 32})
    assert "- rotary_dim = 32 has no effect" in ropelab("explain", path).stdout


def test_another_implementation_reads_otherwise() -> None:
    found = document("explain", "Gemma-3-27B", "--as", "vllm")["layers"]
    assert found["sliding_attention"]["base"] == 10_000.0
    assert found["full_attention"]["base"] == 1_000_000.0


def test_a_pipe_gets_no_colour() -> None:
    assert not COLOUR.search(ropelab("explain", "Llama-3.1-8B").stdout)


@pytest.mark.parametrize("columns", ["1", "20", "40", "400"])
def test_any_width_will_do(columns: str) -> None:
    for command in ("explain", "bands", "lint"):
        result = ropelab(command, "Llama-3.1-8B", env={"COLUMNS": columns})
        assert result.exit_code in (0, 1)
        assert result.stderr == ""


def test_nothing_is_printed_before_a_failure(tmp_path: Path) -> None:
    lengths = {
        "max_position_embeddings": 4096,
        "rope_scaling": {"type": "dynamic", "factor": 1e300},
    }
    path = config_file(tmp_path, {**LLAMA_3_1, **lengths})
    for command in ("explain", "bands"):
        fails(4, "config.json: ", arguments=(command, path, "--length", 10**18))


def test_options_that_there_are_not() -> None:
    fails(2, "--as", "'gorilla'", arguments=("explain", "Llama-3.1-8B", "--as", "gorilla"))
    fails(2, "--length", arguments=("explain", "Llama-3.1-8B", "--length", "0"))
    fails(2, "--length", arguments=("explain", "Llama-3.1-8B", "--length", 2**63))
    for length in ("1e6", "4k", "1.5", ""):
        told = f"expected a whole number of tokens, 1 to {2**63 - 1}; got {length!r}"
        fails(2, "--length", told, arguments=("explain", "Llama-3.1-8B", "--length", length))
    fails(2, "CONFIG", "ropelab explain --help", arguments=("explain",))
