"""vLLM's reading: static where Transformers grows, refusing where Transformers warns."""

import math
from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.formats.vllm import from_vllm, read_vllm
from ropelab.scaling import VLLMNTK, Default, Linear, LongRoPE, NTKAware, YaRN

PLAIN: dict[str, Any] = {"head_dim": 128, "max_position_embeddings": 4096}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


def rope(config: dict[str, Any], **settings: Any) -> Rope:
    found = read_vllm({**PLAIN, **config}, **settings).rope
    assert found is not None
    return found


def keys(config: dict[str, Any]) -> list[str]:
    return [finding.key for finding in read_vllm({**PLAIN, **config}).findings]


def test_a_plain_config() -> None:
    given = {"rope_theta": 1e6, "rotary_pct": 0.25}
    assert rope(given) == Rope(128, base=1e6, rotary_dim=32, max_position_embeddings=4096)
    assert keys(given) == []
    assert rope({"text_config": {**PLAIN, "head_dim": 96, **given}}).rotary_dim == 24
    assert rope({"model_type": "cohere"}).layout == "interleaved"
    assert rope({}, is_neox_style=False).layout == "interleaved"


def test_the_partial_width_is_always_honoured() -> None:
    assert rope({"model_type": "llama", "partial_rotary_factor": 0.5}).rotary_dim == 64
    for share in (0.0, 1.5):
        with pytest.raises(ValueError, match="partial_rotary_factor"):
            rope({"partial_rotary_factor": share})


def test_dynamic_with_a_factor_alone_does_nothing() -> None:
    config = {"rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    with pytest.warns(UserWarning, match="does not scale at all in vLLM"):
        found = from_vllm({**PLAIN, **config})
    assert found is not None
    plain = Rope(128).spectrum()
    np.testing.assert_array_equal(found.spectrum(8192).inv_freq, plain.inv_freq)


def test_dynamic_with_a_trained_length_is_static() -> None:
    scaling = {"rope_type": "dynamic", "factor": 2.0, "max_trained_positions": 2048}
    config = {"rope_scaling": scaling}
    assert keys(config) == []
    inv_freq = rope(config).spectrum().inv_freq
    # alpha = 2 * 4096 / 2048 - 1 = 3: the last frequency is divided by exactly that.
    plain = Rope(128).spectrum().inv_freq
    assert inv_freq[-1] == pytest.approx(plain[-1] / 3.0, rel=1e-14)


def test_dynamic_with_alpha_is_hunyuan() -> None:
    found = rope({"rope_scaling": {"type": "dynamic", "alpha": 1000.0, "factor": 1.0}})
    assert found.scaling == NTKAware(1000.0)
    slowest = found.spectrum().inv_freq[-1]
    assert slowest ** (-64 / 63) == pytest.approx(
        11158839.925, rel=1e-9
    )  # asserted in llama.cpp, hunyuan.py


def test_ntk_slows_the_fastest_pair_too() -> None:
    found = rope({"rope_scaling": {"rope_type": "ntk", "factor": 4.0}})
    assert found.scaling == VLLMNTK(4.0)
    inv_freq, plain = found.spectrum().inv_freq, Rope(128).spectrum().inv_freq
    assert inv_freq[0] == pytest.approx(0.9786, abs=5e-5)  # 4**(-2/128)
    assert inv_freq[-1] == pytest.approx(plain[-1] / 4.0, rel=1e-14)


def test_yarn_of_mrope_counts_the_length_four_times() -> None:
    config = {"rope_theta": 1e6, "rope_scaling": {**YARN, "mrope_section": [16, 24, 24]}}
    found = rope(config)
    assert found.scaling == YaRN(4.0, 131072)
    assert found.axes == (0,) * 16 + (1,) * 24 + (2,) * 24
    assert keys(config) == ["original_max_position_embeddings"]
    usual = Rope(128, base=1e6, scaling=YaRN(4.0, 32768)).spectrum().inv_freq
    assert (found.spectrum().inv_freq / usual).max() == pytest.approx(
        2.235, abs=5e-4
    )  # computed apart from either code


def test_the_original_length_of_the_config_goes_before_that_of_the_dictionary() -> None:
    scaling = rope({"rope_scaling": YARN, "original_max_position_embeddings": 8192}).scaling
    assert scaling == YaRN(4.0, 8192)


def test_woven_sections() -> None:
    scaling = {"rope_type": "default", "mrope_section": [24, 20, 20], "mrope_interleaved": True}
    axes = rope({"rope_scaling": scaling}).axes
    assert axes is not None
    assert axes[:7] == (0, 1, 2, 0, 1, 2, 0)
    assert axes[57:] == (0, 1, 2, 0, 0, 0, 0)
    assert [axes.count(axis) for axis in range(3)] == [24, 20, 20]


def test_deepseek_yarn() -> None:
    scaling = {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}
    deepseek = {"model_type": "deepseek_v3", "qk_rope_head_dim": 64, "rope_scaling": scaling}
    found = rope(deepseek)
    assert (found.head_dim, found.layout) == (64, "interleaved")
    spectrum = found.spectrum()
    assert spectrum.attention_factor == pytest.approx(1.36889, abs=5e-6)  # 0.1 ln 40 + 1
    assert spectrum.softmax_factor == 1.0
    scaling |= {"mscale": 1.0, "mscale_all_dim": 1.0}
    spectrum = rope(deepseek).spectrum()
    assert spectrum.attention_factor == 1.0
    assert spectrum.softmax_factor == pytest.approx(1.8738542, abs=5e-8)
    scaling |= {"mscale": 0.707, "mscale_all_dim": 0}
    spectrum = rope(deepseek).spectrum()
    assert spectrum.attention_factor == pytest.approx(1.2608037774058554, rel=1e-14)  # H
    assert 1 + 0.0707 * math.log(40) == pytest.approx(spectrum.attention_factor, rel=1e-15)


@pytest.mark.parametrize(
    ("engine", "list_", "other"),
    [(4096, 1.0, "long"), (4097, 0.125, "short"), (None, 0.125, "short")],
)
def test_longrope_is_decided_for_the_whole_engine(
    engine: int | None, list_: float, other: str
) -> None:
    scaling = {"type": "su", "short_factor": [1.0] * 48, "long_factor": [8.0] * 48}
    config = {
        "head_dim": 96,
        "max_position_embeddings": 131072,
        "original_max_position_embeddings": 4096,
        "rope_scaling": scaling,
    }
    reading = read_vllm(config, max_model_len=engine)
    assert reading.rope is not None
    assert isinstance(reading.rope.scaling, LongRoPE)
    for length in (1, 131072):
        spectrum = reading.rope.spectrum(length)
        assert spectrum.inv_freq[0] == list_
        assert spectrum.attention_factor == pytest.approx(1.1902380714238083, rel=1e-15)
    assert [finding.key for finding in reading.findings] == [f"{other}_factor"]
    with pytest.raises(ValueError, match="is_neox_style"):
        read_vllm(config, is_neox_style=False)


def test_longrope_mscale_goes_first() -> None:
    scaling = {
        "rope_type": "longrope",
        "short_factor": [1.0] * 64,
        "long_factor": [2.0] * 64,
        "long_mscale": 1.25,
        "original_max_position_embeddings": 2048,
    }
    assert rope({"rope_scaling": scaling}).spectrum().attention_factor == 1.25


def test_proportional_ignores_its_factor() -> None:
    scaling = {"rope_type": "proportional", "partial_rotary_factor": 0.25, "factor": 8.0}
    config = {"head_dim": 512, "rope_theta": 1e6, "rope_scaling": scaling}
    assert keys(config) == ["factor"]
    inv_freq = rope(config).spectrum().inv_freq
    assert inv_freq[1] == pytest.approx(0.947463512, rel=2.0**-25)  # Transformers 5.23
    assert int((inv_freq != 0.0).sum()) == 64


def test_nested_parameters_are_read_by_layer_type() -> None:
    layers = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    config = {"rope_parameters": layers}
    full, sliding = (rope(config, layer_type=name) for name in layers)
    assert (full.base, full.scaling) == (1e6, Linear(8.0))
    assert (sliding.base, sliding.scaling) == (1e4, Default())
    with pytest.raises(ValueError, match="layer_type"):
        rope(config)
    with pytest.raises(ValueError, match="layer_type"):
        rope({}, layer_type="full_attention")


@pytest.mark.parametrize("pair", [("su", "longrope"), ("mrope", "default")])
def test_two_names_for_one_type_agree(pair: tuple[str, str]) -> None:
    lists = {"short_factor": [1.0] * 64, "long_factor": [1.0] * 64}
    scaling = {"type": pair[0], "rope_type": pair[1], "mrope_section": [16, 24, 24], **lists}
    rope({"rope_scaling": scaling, "original_max_position_embeddings": 4096})


@pytest.mark.parametrize(
    ("error", "name", "scaling"),
    [
        (ValueError, "contradicts", {"type": "linear", "rope_type": "yarn", "factor": 2.0}),
        (ValueError, "rope_type", {"rope_type": "yarrn"}),
        (ValueError, "rope_type", {"rope_type": "mllama4"}),
        (ValueError, "alpha or factor", {"rope_type": "dynamic"}),
        (ValueError, "linear needs factor", {"rope_type": "linear"}),
        (ValueError, "yarn needs", {"rope_type": "yarn", "factor": 4.0}),
        (ValueError, "llama3 needs", {"rope_type": "llama3", "factor": 4.0}),
        (ValueError, "longrope needs", {"rope_type": "longrope", "short_factor": [1.0]}),
        (ValueError, "mrope_section", {"type": "mrope"}),
        (ValueError, "mrope_section", {"rope_type": "default", "mrope_section": [16, 24, 25]}),
        (TypeError, "mrope_section", {"rope_type": "default", "mrope_section": 64}),
        (TypeError, "factor", {"rope_type": "linear", "factor": [2.0, 4.0]}),
    ],
)
def test_bad_configs_are_refused(
    error: type[Exception], name: str, scaling: dict[str, Any]
) -> None:
    with pytest.raises(error, match=name):
        read_vllm({**PLAIN, "rope_scaling": scaling})


LOCAL = {"rope_theta": 1e6, "rope_local_base_freq": 1e4}
LINEAR = {"rope_type": "linear", "factor": 8.0}
GEMMA: dict[str, Any] = {**LOCAL, "rope_scaling": LINEAR}


def test_gemma_3s_windows_have_a_base_of_their_own_and_no_scaling() -> None:
    full, sliding = (rope(GEMMA, layer_type=f"{name}_attention") for name in ("full", "sliding"))
    assert (full.base, full.scaling) == (1e6, Linear(8.0))
    assert (sliding.base, sliding.scaling) == (1e4, Default())
    for name in ("full_attention", "sliding_attention"):
        assert read_vllm({**PLAIN, **GEMMA}, layer_type=name).findings == ()


def test_where_layers_differ_and_none_is_named_it_is_said() -> None:
    with pytest.warns(UserWarning, match=r"^rope_local_base_freq: .*10000.*layer_type") as caught:
        found = from_vllm({**PLAIN, **GEMMA})
    assert len(caught) == 1
    assert found == rope(GEMMA, layer_type="full_attention")
    with pytest.raises(ValueError, match=r"^layer_type: .*'full_attention' or .*got 'sliding'"):
        rope(GEMMA, layer_type="sliding")


def test_nested_parameters_without_bases_have_those_of_the_top_level() -> None:
    layers = {"full_attention": LINEAR, "sliding_attention": {"rope_type": "default"}}
    config = {**LOCAL, "rope_parameters": layers}
    assert [rope(config, layer_type=name).base for name in layers] == [1e6, 1e4]


def test_modernbert_has_two_bases() -> None:
    config = {"global_rope_theta": 160000.0, "local_rope_theta": 10000.0}
    names = ("full_attention", "sliding_attention")
    assert [rope(config, layer_type=name).base for name in names] == [160000.0, 10000.0]
    assert rope({**config, "local_rope_theta": None}).base == 160000.0
    assert keys(config) == ["local_rope_theta"]


@pytest.mark.parametrize(
    ("name", "config"),
    [
        ("model_type", {"model_type": {}}),
        ("rope_type", {"rope_scaling": {"rope_type": ["yarn"]}}),
        ("type", {"rope_scaling": {"type": ["yarn"], "rope_type": "linear"}}),
        (
            "apply_yarn_scaling",
            {"model_type": "deepseek_v3", "rope_scaling": {**YARN, "apply_yarn_scaling": "no"}},
        ),
        (
            "max_position_embeddings",
            {
                "max_position_embeddings": "4096",
                "rope_scaling": {
                    "rope_type": "longrope",
                    "short_factor": [1.0] * 64,
                    "long_factor": [2.0] * 64,
                    "original_max_position_embeddings": 2048,
                },
            },
        ),
    ],
)
def test_values_of_another_type_are_refused(name: str, config: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=f"^{name}: "):
        read_vllm({**PLAIN, **config})


def test_layers_without_parameters_are_refused() -> None:
    nested = {"full_attention": {"rope_theta": 1e6}, "sliding_attention": None, 3: 4}
    with pytest.raises(TypeError, match="sliding_attention: expected its rope parameters"):
        read_vllm({**PLAIN, "rope_parameters": nested}, layer_type="sliding_attention")
    with pytest.raises(ValueError, match="layer_type: expected one of"):
        read_vllm({**PLAIN, "rope_parameters": nested}, layer_type="chunked_attention")
    with pytest.raises(TypeError, match="layer_type: "):
        read_vllm({**PLAIN, "rope_parameters": nested}, layer_type=["full_attention"])  # type: ignore[arg-type]
