"""GGUF metadata, as llama.cpp's loader and rope operator read them."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.formats.gguf import from_gguf, read_gguf
from ropelab.scaling import Default, Linear, Llama3, LongRoPE, NTKAware, Stretched, YaRN


def metadata(name: str, **given: Any) -> dict[str, Any]:
    """Metadata of a head of 128 channels; double underscores stand for dots."""
    keys = {
        "attention__head_count": 32,
        "embedding_length": 4096,
        "context_length": 131072,
        **given,
    }
    prefixed = {f"{name}.{key.replace('__', '.')}": value for key, value in keys.items()}
    return {"general.architecture": name, **prefixed}


def rope(name: str, *, tensors: dict[str, Any] | None = None, **given: Any) -> Rope:
    found = read_gguf(metadata(name, **given), **(tensors or {})).rope
    assert found is not None
    return found


def keys(name: str, **given: Any) -> list[str]:
    return [finding.key for finding in read_gguf(metadata(name, **given)).findings]


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("llama", "interleaved"),
        ("deepseek", "interleaved"),
        ("command-r", "interleaved"),
        ("glm4", "interleaved"),
        ("glm4moe", "half"),
        ("qwen2", "half"),
        ("phi3", "half"),
        ("gpt-oss", "half"),
        ("gptneox", "half"),
    ],
)
def test_the_architecture_decides_the_layout(name: str, layout: str) -> None:
    assert rope(name).layout == layout


def test_architectures_without_rotary_embedding() -> None:
    for name in ("gptj", "mamba2", "kimi-linear", "t5"):
        assert from_gguf({"general.architecture": name}) is None


def test_the_first_layer_decides_where_heads_are_counted_by_layer() -> None:
    # n_head() of the loader is that of layer 0: 4096 / 32, whatever follows.
    for heads in ([32, 16, 64], [32, 64, 16]):
        assert rope("qwen2", attention__head_count=heads).head_dim == 128
    with pytest.raises(ValueError, match="head_count"):
        rope("qwen2", attention__head_count=[0, 32])


def test_widths() -> None:
    assert (rope("gptneox", rope__dimension_count=32).rotary_dim) == 32
    assert rope("qwen3", attention__key_length=64).head_dim == 64
    latent = rope("deepseek2", rope__dimension_count=64, attention__key_length=576)
    assert (latent.head_dim, latent.rotary_dim) == (64, 64)
    with pytest.raises(ValueError, match="the whole head"):
        rope("llama", rope__dimension_count=64)


def test_linear_is_what_a_factor_alone_means() -> None:
    assert rope("llama", rope__scaling__factor=4.0).scaling == Linear(4.0)
    assert rope("llama", rope__scale_linear=4.0).scaling == Linear(4.0)
    assert rope("llama", rope__scaling__factor=4.0, rope__scaling__type="none").scaling == Default()


def test_llama3_is_a_tensor_of_divisors() -> None:
    llama = Rope(128, base=5e5, scaling=Llama3(8.0, 1.0, 4.0, 8192))
    wanted = llama.spectrum().inv_freq
    divisors = (Rope(128, base=5e5).spectrum().inv_freq / wanted).astype(np.float32)
    found = rope("llama", rope__freq_base=5e5, tensors={"rope_freqs": divisors})
    spectrum = found.spectrum(131072)
    np.testing.assert_allclose(spectrum.inv_freq, wanted, rtol=2.0**-24)
    assert spectrum.attention_factor == 1.0
    stretched = rope(
        "llama", rope__freq_base=5e5, rope__scaling__factor=2.0, tensors={"rope_freqs": divisors}
    )
    assert isinstance(stretched.scaling, Stretched)
    np.testing.assert_array_equal(stretched.spectrum().inv_freq, spectrum.inv_freq / 2)


@pytest.mark.parametrize(("n_ctx", "first"), [(4096, 1.0), (4097, 0.125), (None, 0.125)])
def test_longrope_is_decided_by_the_context_size(n_ctx: int | None, first: float) -> None:
    tensors: dict[str, Any] = {
        "rope_factors_short": [1.0] * 48,
        "rope_factors_long": [8.0] * 48,
        "n_ctx": n_ctx,
    }
    given: dict[str, Any] = {
        "embedding_length": 3072,
        "rope__scaling__type": "longrope",
        "rope__scaling__original_context_length": 4096,
        "rope__scaling__attn_factor": 1.1902380714238083,
    }
    found = rope("phi3", tensors=tensors, **given)
    assert isinstance(found.scaling, LongRoPE)
    for length in (1, 131072):
        assert found.spectrum(length).inv_freq[0] == first
        assert found.spectrum(length).attention_factor == 1.1902380714238083


def test_yarn_comes_out_as_in_transformers() -> None:
    given: dict[str, Any] = {
        "rope__freq_base": 1e6,
        "rope__scaling__type": "yarn",
        "rope__scaling__factor": 4.0,
        "rope__scaling__original_context_length": 32768,
    }
    ours = rope("qwen2", **given).spectrum()
    usual = Rope(128, base=1e6, scaling=YaRN(4.0, 32768)).spectrum()
    np.testing.assert_allclose(ours.inv_freq, usual.inv_freq, rtol=1e-15)
    assert ours.attention_factor == pytest.approx(1.138629436111989, rel=1e-15)


def test_settings_of_yarn_that_a_loader_does_not_read() -> None:
    given: dict[str, Any] = {
        "rope__scaling__type": "yarn",
        "rope__scaling__factor": 64.0,
        "rope__scaling__original_context_length": 4096,
        "rope__scaling__yarn_beta_fast": 4.0,
    }
    assert keys("qwen2", **given) == ["rope.scaling.yarn_beta_fast"]
    assert keys("mistral3", **given) == []
    default, devstral = (rope(name, **given).spectrum() for name in ("qwen2", "mistral3"))
    assert (default.inv_freq != devstral.inv_freq).any()
    zero: dict[str, Any] = {
        **given,
        "rope__scaling__yarn_ext_factor": 0.0,
        "rope__scaling__yarn_attn_factor": 1.5,
    }
    grok = rope("grok", **zero).spectrum()
    np.testing.assert_array_equal(grok.inv_freq, Rope(128).spectrum().inv_freq / 64)
    assert grok.attention_factor == 1.5


@pytest.mark.parametrize(
    ("name", "multiplier", "a", "softmax"),
    [
        ("deepseek2", 0.1, 1.0, 1.8738542),  # DeepSeek-V3: (0.1 ln 40 + 1)**2
        ("deepseek2", 0.0707, 1.0, 1.5896262),  # DeepSeek-V2-Lite
        ("deepseek2", None, 1.3688879, 1.8738542),  # a file of before the key
        ("mistral3", 1.0, 1.0, 1.0),
    ],
)
def test_yarn_of_latent_attention(
    name: str, multiplier: float | None, a: float, softmax: float
) -> None:
    given: dict[str, Any] = {
        "rope__dimension_count": 64,
        "rope__scaling__type": "yarn",
        "rope__scaling__factor": 40.0,
        "rope__scaling__original_context_length": 4096,
    }
    if multiplier is not None:
        given["rope__scaling__yarn_log_multiplier"] = multiplier
    spectrum = rope(name, **given).spectrum()
    assert spectrum.attention_factor == pytest.approx(a, abs=5e-8)
    assert spectrum.softmax_factor == pytest.approx(softmax, abs=2e-7)


def test_layers_with_a_sliding_window() -> None:
    gemma: dict[str, Any] = {
        "rope__freq_base": 1e6,
        "rope__scaling__factor": 8.0,
        "attention__key_length": 256,
    }
    full = rope("gemma3", **gemma)
    assert (full.base, full.scaling) == (1e6, Linear(8.0))
    sliding = rope("gemma3", tensors={"sliding": True}, **gemma)
    assert (sliding.base, sliding.scaling) == (1e4, Default())
    swa = rope("gemma3", tensors={"sliding": True}, **gemma, rope__freq_base_swa=5e4)
    assert swa.base == 5e4
    same = rope("cohere2", tensors={"sliding": True}, **gemma)
    assert (same.base, same.scaling) == (1e6, Linear(8.0))


def test_sections_by_blocks_and_woven() -> None:
    blocks = rope("qwen2vl", rope__dimension_sections=[16, 24, 24, 0])
    assert blocks.axes == (0,) * 16 + (1,) * 24 + (2,) * 24
    given: dict[str, Any] = {"rope__dimension_sections": [24, 20, 20, 0]}
    woven = rope("qwen3vl", **given)
    # ops.cpp, ggml_mrope_cache_init: pairs 61 and 62 have no section left and take theta_e.
    assert woven.axes is not None
    assert woven.axes[57:] == (0, 1, 2, 0, 3, 3, 0)
    assert keys("qwen3vl", **given) == ["rope.dimension_sections"]
    assert rope("glm4").axes is None
    vision = rope("glm4", rope__dimension_count=64, rope__dimension_sections=[8, 12, 12, 0])
    assert (vision.layout, vision.axes) == ("half", (0,) * 8 + (1,) * 12 + (2,) * 12)


def test_alpha_is_read_for_one_architecture() -> None:
    given: dict[str, Any] = {"rope__scaling__alpha": 1000.0}
    assert rope("hunyuan_vl", **given).scaling == NTKAware(1000.0)
    assert rope("hunyuan-dense", **given).scaling == Default()
    assert keys("hunyuan-dense", **given) == ["rope.scaling.alpha"]


def test_the_amplitude_is_that_of_the_loader() -> None:
    found = rope("llama", rope__scaling__attn_factor=1.25)
    np.testing.assert_array_equal(found.spectrum().inv_freq, Rope(128).spectrum().inv_freq)
    assert found.spectrum().attention_factor == 1.25
    assert math.isclose(rope("llama").spectrum().attention_factor, 1.0)


@pytest.mark.parametrize(
    ("error", "match", "given"),
    [
        (ValueError, r"'lama'; did you mean 'llama'\?$", {"general.architecture": "lama"}),
        (ValueError, r"got 'telepathy'$", {"general.architecture": "telepathy"}),
        (ValueError, r"^general.architecture: expected .*missing", {"general.architecture": None}),
        (ValueError, r"got \['llama'\]", {"general.architecture": ["llama"]}),
        (ValueError, "rope.scaling.type", {"llama.rope.scaling.type": "dynamic"}),
        (ValueError, "embedding_length", {"llama.embedding_length": None}),
        (ValueError, "rope.scaling.factor", {"llama.rope.scaling.factor": -1.0}),
        (TypeError, "head_count", {"llama.attention.head_count": 32.0}),
        (TypeError, "head_count", {"llama.attention.head_count": ""}),
        (TypeError, "head_count", {"llama.attention.head_count": [8, {}]}),
        (ValueError, "head_count", {"llama.attention.head_count": []}),
    ],
)
def test_bad_metadata_are_refused(
    error: type[Exception], match: str, given: dict[str, Any]
) -> None:
    with pytest.raises(error, match=match):
        read_gguf({**metadata("llama"), **given})


def test_bad_tensors_are_refused() -> None:
    with pytest.raises(ValueError, match="64 numbers"):
        rope("llama", tensors={"rope_freqs": [1.0] * 63})
    with pytest.raises(ValueError, match="rope_factors_long"):
        rope("phi3", tensors={"rope_factors_short": [1.0] * 64, "n_ctx": 2**18})
    with pytest.raises(ValueError, match="no yarn beside divisors"):
        rope("llama", rope__scaling__type="yarn", tensors={"rope_freqs": [1.0] * 64})
    with pytest.raises(ValueError, match="dimension_sections"):
        rope("qwen2vl")
    with pytest.raises(ValueError, match="rope_freqs: expected shape"):
        rope("llama", tensors={"rope_freqs": np.ones((64, 1))})
    with pytest.raises(ValueError, match="rope_factors_short: expected shape"):
        rope("phi3", tensors={"rope_factors_short": 1.0, "n_ctx": 2048})
    with pytest.raises(TypeError, match="metadata"):
        read_gguf([("general.architecture", "llama")])  # type: ignore[arg-type]


def test_an_unknown_architecture_is_not_answered_by_all_names() -> None:
    with pytest.raises(ValueError, match=r"^general.architecture: ") as caught:
        read_gguf({"general.architecture": "qwen2.5"})
    assert "did you mean 'qwen2'?" in str(caught.value)
    assert len(str(caught.value)) < 160


@pytest.mark.parametrize("path", ["model.gguf", Path("model.gguf")])
def test_a_path_is_no_metadata(path: Any) -> None:
    with pytest.raises(TypeError, match=r"^metadata: .*mapping.*; read .*GGUFReader"):
        from_gguf(path)


def test_what_only_some_architectures_read_is_refused_there() -> None:
    for sections in (0, "linear", [24, "20"]):
        with pytest.raises(TypeError, match=r"rope.dimension_sections"):
            rope("hunyuan_vl", rope__dimension_sections=sections)
    with pytest.raises(TypeError, match=r"rope.scaling.alpha"):
        rope("hunyuan_vl", rope__scaling__alpha="1000")
    unread = {"rope__dimension_sections": 0, "rope__scaling__alpha": "1000"}
    found = read_gguf({**metadata("llama", **unread), 7: 8})  # type: ignore[dict-item]
    assert found.rope == rope("llama")
    assert sorted(finding.key for finding in found.findings) == [
        "rope.dimension_sections",
        "rope.scaling.alpha",
    ]
