"""ExLlamaV2's reading: decided when the model is loaded, stretched by whatever is asked."""

import warnings
from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.formats.exllamav2 import from_exllamav2, read_exllamav2
from ropelab.scaling import (
    Default,
    Linear,
    Llama3,
    NTKAware,
    RoundedFrequencies,
    Stretched,
    YaRN,
)

LLAMA: dict[str, Any] = {"architectures": ["LlamaForCausalLM"], "head_dim": 128}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
YARN = {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def rope(config: dict[str, Any], **settings: Any) -> Rope:
    found = read_exllamav2({**LLAMA, **config}, **settings).rope
    assert found is not None
    return found


def test_the_length_is_the_configs_or_the_settings() -> None:
    assert rope({"rope_theta": 5e5}) == Rope(128, base=5e5, max_position_embeddings=2048)
    config = {"max_position_embeddings": 8192}
    assert rope(config).max_position_embeddings == 8192
    assert rope(config, max_seq_len=32768).max_position_embeddings == 32768


def test_yarn_lays_its_ramp_out_for_the_length_served() -> None:
    config = {"rope_theta": 1e6, "rope_scaling": YARN, "max_position_embeddings": 32768}
    usual = Rope(128, base=1e6, scaling=YaRN(4.0, 32768)).spectrum()
    served = rope(config, max_seq_len=131072).spectrum()
    ratio = served.inv_freq / usual.inv_freq
    assert (int((ratio != 1.0).sum()), int(ratio.argmax())) == (
        23,
        40,
    )  # computed apart from either code
    assert ratio.max() == pytest.approx(2.235, abs=5e-4)
    assert served.attention_factor == pytest.approx(1.138629436111989, rel=1e-15)
    plain = Rope(128, base=1e6).spectrum()
    np.testing.assert_array_equal(rope(config).spectrum().inv_freq, plain.inv_freq)


def test_yarn_takes_no_amplitude_from_the_config() -> None:
    scaling = {**YARN, "factor": 16.0, "mscale": 1.0, "mscale_all_dim": 1.0, "beta_fast": 64.0}
    reading = read_exllamav2({**LLAMA, "rope_scaling": scaling}, max_seq_len=262144)
    assert [finding.key for finding in reading.findings] == [
        "beta_fast",
        "mscale",
        "mscale_all_dim",
    ]
    assert reading.rope is not None
    assert reading.rope.spectrum().attention_factor == pytest.approx(
        1.2773, abs=5e-5
    )  # 0.1 ln 16 + 1


@pytest.mark.parametrize(("length", "a"), [(4096, 1.0), (32768, 1.11803), (131072, 1.19024)])
def test_longrope_is_decided_at_load_time(length: int, a: float) -> None:
    scaling = {"type": "su", "short_factor": [1.0] * 48, "long_factor": [8.0] * 48}
    config = {
        "head_dim": 96,
        "rope_scaling": scaling,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
    }
    spectrum = rope(config, max_seq_len=length).spectrum()
    assert spectrum.attention_factor == pytest.approx(a, abs=5e-6)  # sqrt(1 + ln s / ln 4096)
    assert spectrum.inv_freq[0] == (1.0 if length == 4096 else 0.125)


def test_alpha_of_a_partial_width_depends_on_the_method() -> None:
    half = {"partial_rotary_factor": 0.5}
    plain = rope(half, scale_alpha_value=4.0)
    assert plain.scaling == NTKAware(4.0)
    slowest = plain.spectrum().inv_freq[-1]
    assert slowest ** (-32 / 31) == pytest.approx(41829.4, abs=0.05)  # 1e4 * 4**(64/62)
    other = rope({**half, "rope_scaling": LLAMA3}, scale_alpha_value=4.0)
    assert other.scaling == Llama3(8.0, 1.0, 4.0, 8192)
    assert other.base == pytest.approx(40889.9, abs=0.05)


def test_positions_are_divided_on_top_of_every_method() -> None:
    linear = {"rope_scaling": {"type": "linear", "factor": 8.0}}
    assert rope(linear).scaling == Linear(8.0)
    assert rope(linear, scale_pos_emb=2.0).scaling == Linear(2.0)
    llama = Llama3(8.0, 1.0, 4.0, 8192)
    assert rope({"rope_scaling": LLAMA3}, scale_pos_emb=2.0).scaling == Stretched(llama, 2.0)
    both = rope({}, scale_pos_emb=2.0, scale_alpha_value=4.0)
    assert both.scaling == Stretched(NTKAware(4.0), 2.0)


def test_qwen2_vl_keeps_its_frequencies_in_float16() -> None:
    config = {
        "architectures": ["Qwen2VLForConditionalGeneration"],
        "rope_theta": 1e6,
        "rope_scaling": {"type": "mrope", "mrope_section": [16, 24, 24]},
    }
    found = rope(config)
    assert found.scaling == RoundedFrequencies("float16", Default())
    assert found.axes == (0,) * 16 + (1,) * 24 + (2,) * 24
    exact = Rope(128, base=1e6).spectrum().inv_freq
    worst = np.abs(found.spectrum().inv_freq / exact - 1.0)
    assert worst.max() == pytest.approx(8.7e-3, rel=0.1)  # where float16 is subnormal
    assert int((exact < 6.1e-5).sum()) == 19


def test_gemma_3_has_two_bases() -> None:
    text = {"head_dim": 256, "rope_scaling": {"rope_type": "linear", "factor": 8.0}}
    config = {
        "architectures": ["Gemma3ForConditionalGeneration"],
        "text_config": text,
        "head_dim": 256,
    }
    full, sliding = rope(config), rope(config, sliding=True)
    assert (full.base, full.scaling) == (1e6, Linear(8.0))
    assert (sliding.base, sliding.scaling) == (1e4, Default())
    with pytest.raises(ValueError, match="sliding"):
        rope({}, sliding=True)


def test_layouts_by_architecture() -> None:
    for name, layout in (("CohereForCausalLM", "interleaved"), ("Qwen3ForCausalLM", "half")):
        assert rope({"architectures": [name]}).layout == layout
    assert from_exllamav2({**LLAMA, "architectures": ["GPT2LMHeadModel"]}) is None


@pytest.mark.parametrize("kind", ["dynamic", "ntk", "proportional", "deepseek_yarn"])
def test_other_types_are_dropped_in_silence_there(kind: str) -> None:
    config = {**LLAMA, "rope_scaling": {"rope_type": kind, "factor": 2.0}}
    with pytest.warns(UserWarning, match=f"'{kind}' is not known to ExLlamaV2"):
        found = from_exllamav2(config)
    assert found is not None
    assert found.scaling == Default()


def test_keys_in_other_places_are_found_out() -> None:
    config = {"rope_parameters": {"rope_theta": 1e6}, "text_config": {"partial_rotary_factor": 0.5}}
    reading = read_exllamav2({**LLAMA, **config})
    assert reading.rope == Rope(128, max_position_embeddings=2048)
    assert [finding.key for finding in reading.findings] == [
        "rope_parameters",
        "partial_rotary_factor",
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        from_exllamav2(LLAMA)


@pytest.mark.parametrize(
    ("error", "name", "config"),
    [
        (ValueError, "rope_type or type", {"rope_scaling": {**YARN, "rope_type": "yarn"}}),
        (ValueError, "linear needs factor", {"rope_scaling": {"type": "linear"}}),
        (ValueError, "llama3 needs", {"rope_scaling": {"type": "llama3", "factor": 8.0}}),
        (ValueError, "original_max_position_embeddings: su", {"rope_scaling": {"type": "su"}}),
        (ValueError, "architectures", {"architectures": ["A", "B"]}),
        (TypeError, "rope_scaling", {"rope_scaling": 8.0}),
        (
            ValueError,
            "mrope_section",
            {
                "architectures": ["Qwen2VLForConditionalGeneration"],
                "rope_scaling": {"type": "mrope", "mrope_section": [16, 24]},
            },
        ),
    ],
)
def test_bad_configs_are_refused(error: type[Exception], name: str, config: dict[str, Any]) -> None:
    with pytest.raises(error, match=name):
        read_exllamav2({**LLAMA, **config})


@pytest.mark.parametrize(
    "settings", [{"scale_pos_emb": 0.0}, {"scale_alpha_value": -1.0}, {"max_seq_len": 0}]
)
def test_bad_settings_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        read_exllamav2(LLAMA, **settings)


def test_bases_of_single_layers_are_not_read_and_named() -> None:
    config = {**LLAMA, "rope_theta": 1e6, "rope_local_base_freq": 25_000.0}
    reading = read_exllamav2(config)
    assert reading.rope == Rope(128, base=1e6, max_position_embeddings=2048)
    assert [str(finding) for finding in reading.findings] == [
        "rope_local_base_freq: 25000.0 is not read; ExLlamaV2 turns every layer by base 1000000.0"
    ]
    gemma = {**config, "architectures": ["Gemma3ForConditionalGeneration"]}
    (finding,) = read_exllamav2(gemma).findings
    assert "sliding windows have base 10000" in str(finding)
    assert read_exllamav2({**gemma, "rope_local_base_freq": 10_000}).findings == ()


def test_a_scaling_without_a_type_is_named() -> None:
    reading = read_exllamav2({**LLAMA, "rope_scaling": {"factor": 4.0}})
    assert [str(finding) for finding in reading.findings] == [
        "rope_scaling: rope_type is missing and read as 'default'",
        "factor is not read under default in rope_scaling",
    ]
