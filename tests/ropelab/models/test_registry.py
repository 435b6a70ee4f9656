"""The registry: what is in it, that each config is read, and what stands in the sources."""

import copy
import json
import pickle
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import transformers
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

import ropelab
from ropelab import from_transformers
from ropelab.golden.cards.registry import LENGTHS_OF_MODELS, REGISTRY
from ropelab.models import MODELS, Model, model

from ..support import refuses

ENTRIES: list[dict[str, Any]] = json.loads(
    Path(ropelab.__file__).with_name("models").joinpath("models.json").read_text("utf-8")
)
KINDS = {"checkpoint", "preset", "script", "class default"}

# The beginnings of the names of the families that the registry must have.
FAMILIES = [
    "Llama-2",
    "Llama-3-",
    "Llama-3.1",
    "Llama-3.2",
    "Llama-4",
    "Mistral",
    "Mixtral",
    "Qwen2-",
    "Qwen2.5",
    "Qwen3",
    "Qwen2-VL",
    "Qwen3-VL",
    "Phi-3",
    "Phi-3.5",
    "Phi-4",
    "Gemma-2",
    "Gemma-3-",
    "Gemma-3n",
    "Gemma-4",
    "DeepSeek-V2",
    "DeepSeek-V3",
    "gpt-oss",
    "GLM",
    "Cohere",
    "Falcon",
    "GPT-J",
    "GPT-NeoX",
    "Pythia",
    "StableLM",
    "Granite",
    "OLMo",
    "MiniCPM",
    "Kimi",
    "ERNIE",
    "Hunyuan",
    "Nemotron",
    "ModernBERT",
    "SmolLM3",
]

# What may be warned of, by a part of the message; everything else is unexpected.
HALF_OUT = "layout 'interleaved' gives the scores"
AXES = "the same on every axis"
NO_FACTOR = "factor is missing"
FINDINGS = {
    "DeepSeek-V3": (HALF_OUT,),
    "GLM-4.1V-9B": (AXES,),
    "GLM-5": (HALF_OUT,),
    "Kimi-K2-Instruct-0905": (HALF_OUT,),
    "LongCat-Flash": (HALF_OUT,),
    "Llama-4-Scout": ("low_freq_factor are both 1.0",),
    "MiniCPM-V-4.6": (AXES,),
    "Mistral-4": (HALF_OUT, "max_position_embeddings", "llama_4_scaling_beta"),
    "Ministral-3-3B": ("llama_4_scaling_beta",),
    "Devstral-2-123B": ("llama_4_scaling_beta",),
    "Devstral-Small-2-24B": ("llama_4_scaling_beta",),
    "Moonlight-16B-A3B": (HALF_OUT,),
    "Phi-3.5-mini": (NO_FACTOR,),
    "Phi-3.5-vision": (NO_FACTOR,),
    "Phi-4-mini": (NO_FACTOR,),
    "Phi-1": ("rotary_dim = 32 has no effect",),
    "Phi-1.5": ("rope_theta is missing",),
    "Phi-2": ("rope_theta is missing",),
    "Qwen2-VL-2B": (AXES,),
    "Qwen2.5-Omni-7B-Thinker": (AXES,),
    "Qwen2.5-VL-7B": (AXES,),
    "Qwen3-VL-30B-A3B": (AXES,),
    "Qwen3.5-27B": (AXES,),
}

# Model, layer type, head_dim, rotary_dim, base, layout, length: from an earlier reading of the
# sources, which the registry's data were not made from.
ROWS: list[tuple[str, str | None, int, int, float, str, int | None]] = [
    ("CodeLlama-7B", None, 128, 128, 1e6, "half", 16384),
    ("Llama-3.1-70B", None, 128, 128, 5e5, "half", 131072),
    ("Llama-4-Scout", None, 128, 128, 5e5, "interleaved", 10485760),
    ("Mistral-7B-v0.1", None, 128, 128, 1e4, "half", 32768),
    ("Mixtral-8x22B", None, 128, 128, 1e6, "half", 65536),
    ("Devstral-2-123B", None, 128, 128, 1e6, "half", 262144),
    ("Qwen2-0.5B", None, 64, 64, 1e6, "half", 32768),
    ("Qwen3-32B", None, 128, 128, 1e6, "half", 40960),
    ("Qwen3.5-27B", "full_attention", 256, 64, 1e7, "half", 262144),
    ("Phi-2", None, 80, 32, 1e4, "half", 2048),
    ("Phi-3.5-vision", None, 96, 96, 1e4, "half", 131072),
    ("Phi-4-mini", None, 128, 96, 1e4, "half", 131072),
    ("Gemma-2-27B", None, 128, 128, 1e4, "half", 8192),
    ("Gemma-3-1B", "full_attention", 256, 256, 1e6, "half", 32768),
    ("Gemma-3-1B", "sliding_attention", 256, 256, 1e4, "half", 32768),
    ("Gemma-4-31B", "full_attention", 512, 512, 1e6, "half", 262144),
    ("DeepSeek-V3", None, 64, 64, 1e4, "interleaved", 163840),
    ("gpt-oss-120b", None, 64, 64, 150000.0, "half", 131072),
    ("GLM-4-32B-0414", None, 128, 64, 1e4, "interleaved", 32768),
    ("GLM-4.1V-9B", None, 128, 64, 1e4, "interleaved", 65536),
    ("Aya-23-8B", None, 128, 128, 1e4, "interleaved", 8192),
    ("Falcon3-7B", None, 256, 256, 1000042.0, "half", 32768),
    ("GPT-J-6B", None, 256, 64, 1e4, "interleaved", 2048),
    ("Pythia-6.9B", None, 128, 32, 1e4, "half", 2048),
    ("RedPajama-INCITE-3B", None, 80, 80, 1e4, "half", 2048),
    ("MiniCPM-2B-128k", None, 64, 64, 1e6, "half", 65536),
    ("ERNIE-4.5", None, 128, 128, 5e5, "interleaved", 131072),
    ("Nemotron-4", None, 128, 64, 1e4, "half", 4096),
    ("MiniMax-M2", None, 128, 64, 5e6, "half", 196608),
    ("ModernBERT", "full_attention", 64, 64, 160000.0, "half", 8192),
    ("ModernBERT", "sliding_attention", 64, 64, 1e4, "half", 8192),
    ("SmolLM3", None, 128, 128, 2e6, "half", 32768),
]

# LongRoPE: model, list, how many, the first, the second, one in the middle, the last.
LISTS = [
    ("Phi-3.5-mini", "short_factor", 48, 1.0, 1.0199999809265137, (24, 1.9899996519088745), 2.84),
    ("Phi-3.5-mini", "long_factor", 48, 1.08, 1.11, (24, 50.340003967285156), 64.84),
    ("Phi-3.5-vision", "short_factor", 48, 1.08, 1.1, (24, 6.09), 9.0),
    ("Phi-4-mini", "short_factor", 48, 1.0, 1.0, (24, 1.0), 1.0),
    ("Phi-4-mini", "long_factor", 48, 1.0, 1.118320672, (31, 32.03), 47.77),
    ("MiniCPM-V-4", "long_factor", 64, 0.9978, 1.01466, (31, 15.303885189125953), 31.02392),
    ("MiniCPM-V-4", "short_factor", 64, 0.9978, 1.01466, (32, 16.717837610115794), 31.02392),
]


def test_there_are_enough_models_and_every_family() -> None:
    assert len(MODELS) >= 60
    missing = [f for f in FAMILIES if not any(name.startswith(f) for name in MODELS)]
    assert missing == []


def test_no_model_is_there_twice() -> None:
    names = Counter(entry["name"].casefold() for entry in ENTRIES)
    assert [name for name, times in names.items() if times > 1] == []
    assert list(MODELS) == [entry["name"] for entry in ENTRIES] == sorted(MODELS, key=str.casefold)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry["name"])
def test_an_entry_says_where_it_was_read(entry: dict[str, Any]) -> None:
    assert set(entry) <= {"name", "kind", "source", "note", "config"}
    assert entry["kind"] in KINDS
    assert entry["source"].strip()
    if entry["kind"] == "class default":
        assert entry["source"].startswith(f"Transformers {transformers.__version__}, ")
        assert entry["note"]
    assert entry["config"]["model_type"]
    assert MODELS[entry["name"]].source == entry["source"]


@pytest.mark.parametrize("key", REGISTRY)
def test_a_config_is_read_without_surprises(key: str) -> None:
    name, _, layer_type = key.partition("/")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        rope = MODELS[name].rope(layer_type or None)
    assert rope is not None
    allowed = FINDINGS.get(name, ())
    messages = [str(warning.message) for warning in caught]
    assert [text for text in messages if not any(part in text for part in allowed)] == []


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "rotated", "others"),
    [
        ("Gemma-3-4B", {"full_attention", "sliding_attention"}, set()),
        ("OLMo-3.1-32B", {"full_attention", "sliding_attention"}, set()),
        ("EXAONE-4.0-32B", {"sliding_attention"}, {"full_attention"}),
        ("Cohere2", {"sliding_attention"}, {"full_attention"}),
        ("SmolLM3", {"rope"}, {"nope"}),
        ("Llama-4-Maverick", {"rope"}, {"nope"}),
        ("LFM2.5-VL-1.6B", {"full_attention"}, {"conv"}),
        ("Qwen3.5-27B", {"full_attention"}, {"linear_attention"}),
        ("Llama-3.1-8B", {"full_attention"}, set()),
    ],
)
def test_kinds_of_layers(name: str, rotated: set[str], others: set[str]) -> None:
    ropes = model(name).ropes()
    assert {kind for kind, rope in ropes.items() if rope is not None} == rotated
    assert {kind for kind, rope in ropes.items() if rope is None} == others


def test_every_model_has_a_card_of_the_goldens() -> None:
    assert {key.partition("/")[0] for key in REGISTRY} == set(MODELS)
    assert set(LENGTHS_OF_MODELS) <= set(REGISTRY)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    ("name", "layer_type", "head_dim", "rotary_dim", "base", "layout", "length"), ROWS
)
def test_rows_of_the_table(
    name: str,
    layer_type: str | None,
    head_dim: int,
    rotary_dim: int,
    base: float,
    layout: str,
    length: int | None,
) -> None:
    rope = model(name).rope(layer_type)
    assert rope is not None
    read = (rope.head_dim, rope.rotary_dim, rope.base, rope.layout, rope.max_position_embeddings)
    assert read == (head_dim, rotary_dim, base, layout, length)


@pytest.mark.parametrize(("name", "key", "count", "first", "second", "middle", "last"), LISTS)
def test_lists_of_longrope(
    name: str,
    key: str,
    count: int,
    first: float,
    second: float,
    middle: tuple[int, float],
    last: float,
) -> None:
    factors = model(name).config["rope_scaling"][key]
    assert len(factors) == count
    place, value = middle
    given = (factors[0], factors[1], factors[place], factors[-1])
    assert given == pytest.approx((first, second, value, last), rel=1e-5)


@pytest.mark.parametrize("name", [n for n, m in MODELS.items() if m.kind == "class default"])
def test_class_defaults_are_those_of_the_class(name: str) -> None:
    config = MODELS[name].config
    defaults = CONFIG_MAPPING[config["model_type"]]().to_dict()
    assert {key: defaults[key] for key in config} == config


def test_a_model_is_asked_by_name() -> None:
    mistral = model("Mistral-7B-v0.3")
    assert isinstance(mistral, Model)
    assert mistral is MODELS["Mistral-7B-v0.3"]
    assert mistral.rope() == from_transformers(mistral.config)
    assert hash(mistral) == hash(model("Mistral-7B-v0.3"))


def test_an_unknown_name_is_answered_by_the_nearest() -> None:
    with refuses(ValueError, "name", "llama 3.1 8b", "'Llama-3.1-8B'"):
        model("llama 3.1 8b")
    with refuses(ValueError, "name", "DeepSeek-V33", "'DeepSeek-V3'"):
        model("DeepSeek-V33")
    with refuses(ValueError, "name", "'?'", "ropelab.from_transformers"):
        model("?")
    with refuses(TypeError, "name", "3"):
        model(3)  # type: ignore[arg-type]


def test_the_registry_cannot_be_changed() -> None:
    config: Any = model("Llama-3.1-8B").config
    with pytest.raises(TypeError):
        config["rope_theta"] = 1.0
    with pytest.raises(TypeError):
        config["rope_scaling"]["factor"] = 1.0
    with pytest.raises(TypeError):
        MODELS["Llama-3.1-8B"] = model("Llama-3-8B")  # type: ignore[index]
    assert "Llama-3.1-8B" in repr(MODELS)


def test_importing_reads_no_file() -> None:
    script = (
        "import ropelab.models.registry as r; assert r._read.cache_info().misses == 0; "
        "len(r.MODELS); assert r._read.cache_info().misses == 1"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, cwd=Path(ropelab.__file__).parents[1]
    )


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda model: pickle.loads(pickle.dumps(model))])
def test_models_are_copied(copied: Callable[[Model], Model]) -> None:
    gemma = model("Gemma-3-1B")
    other = copied(gemma)
    assert other == gemma
    assert other.ropes() == gemma.ropes()
    assert other.config is not gemma.config
