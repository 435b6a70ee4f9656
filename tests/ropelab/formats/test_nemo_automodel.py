"""NeMo Automodel's reading, where it parts from Transformers'."""

import math
from typing import Any

import numpy as np
import pytest

from ropelab import Rope, from_transformers
from ropelab.formats.nemo_automodel import from_nemo_automodel, read_nemo_automodel
from ropelab.scaling import Default, Linear, Llama3, YaRN

PLAIN: dict[str, Any] = {"head_dim": 64, "max_position_embeddings": 131072, "rope_theta": 5e5}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 32.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
}
QWEN_YARN = {
    "rope_type": "yarn",
    "factor": 4.0,
    "original_max_position_embeddings": 32768,
    "rope_theta": 1e6,
}


def keys(config: dict[str, Any], *, rope_fusion: bool = False) -> list[str]:
    return [
        finding.key for finding in read_nemo_automodel(config, rope_fusion=rope_fusion).findings
    ]


def test_llama_3_2_is_read_as_by_transformers() -> None:
    config = {**PLAIN, "model_type": "llama", "rope_scaling": LLAMA3}
    assert from_nemo_automodel(config) == from_transformers(config)
    assert keys(config) == []


def test_llama3_has_defaults_of_its_own() -> None:
    config = {**PLAIN, "rope_scaling": {"rope_type": "llama3"}}
    reading = read_nemo_automodel(config)
    assert reading.rope is not None
    assert reading.rope.scaling == Llama3(1.0, 1.0, 4.0, 131072)
    assert keys(config) == sorted(set(LLAMA3) - {"rope_type"})


def test_dynamic_never_scales() -> None:
    config = {**PLAIN, "rope_scaling": {"rope_type": "dynamic", "factor": 2.0}}
    with pytest.warns(UserWarning, match="never scales"):
        rope = from_nemo_automodel(config)
    assert rope is not None
    assert rope.scaling == Default()
    # Transformers 5.23 at 8192 tokens, b = 1e4, d = 128, has 3.84927334e-05 there.
    small = {"head_dim": 128, "max_position_embeddings": 4096, **config}
    small |= {"rope_theta": 1e4, "max_position_embeddings": 4096, "head_dim": 128}
    rope = read_nemo_automodel(small).rope
    assert rope is not None
    assert rope.spectrum(8192).inv_freq[-1] == pytest.approx(1.15478198e-4, rel=1e-8)


def test_the_original_length_of_the_config_goes_before_that_of_the_dictionary() -> None:
    # Transformers' config object has moved it there.
    config = {**PLAIN, "rope_parameters": QWEN_YARN, "original_max_position_embeddings": 8192}
    reading = read_nemo_automodel(config)
    assert reading.rope is not None
    assert reading.rope.scaling == YaRN(4.0, 8192)


def test_longrope_is_always_short() -> None:
    scaling = {
        "rope_type": "longrope",
        "short_factor": [1.0] * 32,
        "long_factor": [8.0] * 32,
        "original_max_position_embeddings": 4096,
    }
    reading = read_nemo_automodel({**PLAIN, "rope_scaling": scaling})
    assert reading.rope is not None
    assert [finding.key for finding in reading.findings] == ["long_factor"]
    spectrum = reading.rope.spectrum(131072)
    np.testing.assert_array_equal(spectrum.inv_freq, Rope(64, base=5e5).spectrum().inv_freq)
    assert spectrum.attention_factor == pytest.approx(1.1902380714238083, rel=1e-15)  # H


def test_parameters_by_layer_type_are_not_known() -> None:
    layers = {
        "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    }
    reading = read_nemo_automodel({"head_dim": 256, "rope_parameters": layers})
    assert reading.rope == Rope(256)
    assert [finding.key for finding in reading.findings] == ["rope_parameters"]


def test_rope_parameters_go_first() -> None:
    parameters = {"rope_type": "linear", "factor": 4.0, "rope_theta": 1e6}
    config = {**PLAIN, "rope_parameters": parameters, "rope_scaling": LLAMA3}
    reading = read_nemo_automodel(config)
    assert reading.rope is not None
    assert (reading.rope.base, reading.rope.scaling) == (1e6, Linear(4.0))
    assert keys(config) == ["rope_scaling", "rope_theta"]
    without = {key: value for key, value in parameters.items() if key != "rope_theta"}
    rope = read_nemo_automodel({**PLAIN, "rope_parameters": without}).rope
    assert rope is not None
    assert rope.base == 1e4  # not the 5e5 at the top level


def test_partial_width_is_an_attribute_and_needs_the_fused_path() -> None:
    inside = {**PLAIN, "rope_parameters": {"rope_theta": 5e5, "partial_rotary_factor": 0.5}}
    reading = read_nemo_automodel(inside)
    assert reading.rope == Rope(64, base=5e5, max_position_embeddings=131072)
    assert keys(inside) == ["partial_rotary_factor"]
    outside = {**PLAIN, "partial_rotary_factor": 0.5}
    reading = read_nemo_automodel(outside, rope_fusion=True)
    assert reading.rope is not None
    assert reading.rope.rotary_dim == 32
    assert keys(outside) == ["partial_rotary_factor"]
    assert keys(outside, rope_fusion=True) == ["rope_fusion"]


def test_the_fused_path_drops_positions_and_amplitude() -> None:
    config = {"head_dim": 128, "rope_parameters": QWEN_YARN, "torch_dtype": "bfloat16"}
    plain, fused = (read_nemo_automodel(config, rope_fusion=f).rope for f in (False, True))
    assert plain is not None
    assert fused is not None
    assert isinstance(plain.scaling, YaRN)
    a = plain.spectrum().attention_factor
    assert a == pytest.approx(1 + 0.1 * math.log(4), rel=1e-15)
    assert a**2 == pytest.approx(1.2965, abs=5e-5)  # (0.1 ln 4 + 1)**2
    assert fused.spectrum().attention_factor == 1.0
    np.testing.assert_array_equal(fused.spectrum().inv_freq, plain.spectrum().inv_freq)
    assert keys(config, rope_fusion=True) == ["rope_fusion", "torch_dtype", "attention_factor"]


@pytest.mark.parametrize(
    ("error", "name", "config"),
    [
        (ValueError, "rope_type", {"rope_scaling": {"rope_type": "ntk"}}),
        (ValueError, "linear needs factor", {"rope_scaling": {"type": "linear"}}),
        (TypeError, "rope_scaling", {"rope_scaling": "linear"}),
        (TypeError, "rope_parameters", {"rope_parameters": [1]}),
        (
            ValueError,
            "max_position_embeddings",
            {"max_position_embeddings": None, "rope_scaling": LLAMA3},
        ),
        (ValueError, "partial_rotary_factor", {"partial_rotary_factor": 0.01}),
        (TypeError, "rope_theta|base", {"rope_parameters": {"rope_theta": "5e5"}}),
    ],
)
def test_bad_configs_are_refused(error: type[Exception], name: str, config: dict[str, Any]) -> None:
    with pytest.raises(error, match=name):
        read_nemo_automodel({**PLAIN, **config})


@pytest.mark.parametrize("key", ["rope_local_base_freq", "global_rope_theta", "local_rope_theta"])
def test_bases_of_single_layers_are_not_read_and_named(key: str) -> None:
    reading = read_nemo_automodel({**PLAIN, key: 25_000.0})
    assert reading.rope == Rope(64, base=5e5, max_position_embeddings=131072)
    (finding,) = reading.findings
    assert finding.key == key
    assert "25000.0 is not read" in str(finding)
    assert "500000.0" in str(finding)
