"""LongRoPE against runs of Transformers, mpmath and the published attention scale."""

from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding
from transformers.models.phimoe.modeling_phimoe import PhimoeRotaryEmbedding

from ropelab import Rope
from ropelab.golden.cards.longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT, PHI_4_LONG
from ropelab.scaling import LongRoPE
from tests.ropelab.scaling.peers import FLOAT32, assert_within, config_of, run, samples, slack
from tests.ropelab.support import refuses

PHI_3_5 = LongRoPE(PHI_3_5_SHORT, PHI_3_5_LONG, 4096)
PHI_4 = LongRoPE((1.0,) * 48, PHI_4_LONG, 4096)
PHI_3_5_MINI = Rope(96, scaling=PHI_3_5, max_position_embeddings=131072)
PHI_4_MINI = Rope(128, rotary_dim=96, scaling=PHI_4, max_position_embeddings=131072)
FACTORS_IN_FLOAT32 = 2.0**-24  # Transformers' lists are; 1.118320672 is rounded
EIGHT: dict[str, Any] = {
    "short_factor": [1.0] * 8,
    "long_factor": [2.0] * 8,
    "original_max_position_embeddings": 4096,
}


def parameters(rule: LongRoPE) -> dict[str, Any]:
    return {
        "rope_type": "longrope",
        "short_factor": list(rule.short_factor),
        "long_factor": list(rule.long_factor),
        "original_max_position_embeddings": rule.original_max_position_embeddings,
    }


# Transformers 5.23.0 in float32, at indices 0, 1, n/4, n/2, 3n/4, n-1; the sum.
@pytest.mark.parametrize(
    ("rope", "seq_len", "values", "total"),
    [
        pytest.param(
            PHI_3_5_MINI,
            4096,
            [1, 0.809219778, 0.0862069055, 0.00502512651, 0.00049261091, 4.2659427e-05],
            5.39894518,
            id="Phi-3.5-mini short",
        ),
        pytest.param(
            PHI_3_5_MINI,
            4097,
            [0.92592591, 0.743607283, 0.012987013, 0.00019864917, 1.56421083e-05, 1.86848786e-06],
            3.72056057,
            id="Phi-3.5-mini long",
        ),
        pytest.param(
            PHI_4_MINI,
            131072,
            [1, 0.73807466, 0.0261338707, 0.000682979298, 3.06654401e-05, 2.53616804e-06],
            3.81801268,
            id="Phi-4-mini long",
        ),
    ],
)
def test_the_frequencies_are_the_golden_values_of_transformers(
    rope: Rope, seq_len: int, values: list[float], total: float
) -> None:
    spectrum = rope.spectrum(seq_len)
    np.testing.assert_allclose(samples(spectrum), values, rtol=FLOAT32, atol=0.0)
    assert spectrum.inv_freq.sum() == pytest.approx(total, rel=1e-7)
    assert spectrum.attention_factor == 1.1902380714238083


@pytest.mark.parametrize("rope", [PHI_3_5_MINI, PHI_4_MINI], ids=["Phi-3.5-mini", "Phi-4-mini"])
@pytest.mark.parametrize("seq_len", [None, 1, 4095, 4096, 4097, 131072])
def test_transformers_computes_the_same(rope: Rope, seq_len: int | None) -> None:
    assert isinstance(rope.scaling, LongRoPE)
    inv_freq, factor = run(rope, parameters(rope.scaling), seq_len)
    spectrum = rope.spectrum(seq_len)
    assert_within(inv_freq, spectrum.inv_freq, slack(rope) + FACTORS_IN_FLOAT32)
    assert spectrum.attention_factor == pytest.approx(factor, rel=1e-15)


@pytest.mark.filterwarnings("ignore:::torch", "ignore:::transformers")
def test_a_model_of_transformers_switches_at_the_same_token_and_back() -> None:
    module = LlamaRotaryEmbedding(config_of(PHI_3_5_MINI, parameters(PHI_3_5)))
    for length in (4096, 4097, 6000, 4096, 1, 131072, 4095):
        module(torch.zeros(1), torch.tensor([[length - 1]]))
        ours = PHI_3_5_MINI.spectrum(length)
        assert_within(module.inv_freq.numpy(), ours.inv_freq, slack(PHI_3_5_MINI))
        assert module.attention_scaling == pytest.approx(ours.attention_factor, rel=1e-15)


@pytest.mark.filterwarnings("ignore:::torch", "ignore:::transformers")
@pytest.mark.parametrize("length", [1, 4096, 4097, 131072])
def test_the_mscales_switch_as_in_phi_3_5_moe(length: int) -> None:
    rule = LongRoPE(**EIGHT, short_mscale=1.25, long_mscale=1.5)
    rope = Rope(16, scaling=rule, max_position_embeddings=131072)
    given = {**parameters(rule), "short_mscale": 1.25, "long_mscale": 1.5}
    module = PhimoeRotaryEmbedding(config_of(rope, given))  # type: ignore[arg-type]
    cos, sin = module(torch.zeros(1), torch.tensor([[0, 1, length - 1]]))
    assert cos[0, 0, 0].item() == rope.spectrum(length).attention_factor  # at position 0
    # There the angle of position 1 is that of the short list at every length.
    assert torch.atan2(sin[0, 1, 0], cos[0, 1, 0]).item() == pytest.approx(1.0, rel=1e-6)
    assert rope.spectrum(length).inv_freq[0] == (1.0 if length <= 4096 else 0.5)


def test_every_frequency_is_divided_by_its_factor() -> None:
    with mpmath.workdps(60):
        truth = [
            float(mpmath.mpf(10_000) ** (-mpmath.mpf(2 * i) / 96) / mpmath.mpf(factor))
            for i, factor in enumerate(PHI_4_LONG)
        ]
    np.testing.assert_array_max_ulp(PHI_4_MINI.spectrum(4097).inv_freq, np.array(truth), maxulp=1)


def test_the_lists_differ_by_25_at_the_middle_pair() -> None:
    # Phi-3.5, pair 24: 5.025e-3 against 1.986e-4 (Transformers, float32).
    short, long = (PHI_3_5_MINI.spectrum(length).inv_freq[24] for length in (4096, 4097))
    assert (f"{short:.3e}", f"{long:.3e}", round(short / long)) == ("5.025e-03", "1.986e-04", 25)


def test_scores_grow_by_the_published_scale_at_every_length() -> None:
    # sqrt(1 + ln s / ln L) = 1.19024 for s = 32, L = 4096 (arXiv 2402.13753); its square: 1.4167
    for length in (None, 1, 4096, 4097):
        factor = PHI_3_5_MINI.spectrum(length).attention_factor
        assert factor == 1.1902380714238083
        assert round(factor**2, 4) == 1.4167


@pytest.mark.parametrize(
    ("changes", "maximum", "factors"),
    [
        ({}, 131072, (1.1902380714238083, 1.1902380714238083)),
        ({"factor": 32.0}, 8192, (1.1902380714238083, 1.1902380714238083)),
        ({"factor": 32.0}, None, (1.1902380714238083, 1.1902380714238083)),
        ({"mscale_policy": "yarn"}, 131072, (1.3465735902799727, 1.3465735902799727)),
        ({"attention_factor": 1.125}, None, (1.125, 1.125)),
        ({"short_mscale": 1.25, "long_mscale": 1.5}, None, (1.25, 1.5)),
        ({"short_mscale": 1.25, "long_mscale": 1.5, "attention_factor": 2.0}, 8192, (1.25, 1.5)),
        ({"long_mscale": 1.5, "attention_factor": 2.0}, 8192, (2.0, 1.5)),
        ({"factor": 0.5}, 131072, (1.0, 1.0)),
        ({"mscale_policy": "yarn", "factor": 0.5}, 131072, (1.0, 1.0)),
        ({"original_max_position_embeddings": 32786}, 32768, (1.0, 1.0)),  # MiniCPM-V 4
    ],
)
def test_what_decides_the_attention_factor(
    changes: dict[str, Any], maximum: int | None, factors: tuple[float, float]
) -> None:
    rule = LongRoPE(**{**EIGHT, **changes})
    rope = Rope(16, scaling=rule, max_position_embeddings=maximum)
    lengths = rule.original_max_position_embeddings, rule.original_max_position_embeddings + 1
    assert tuple(rope.spectrum(length).attention_factor for length in lengths) == factors


def test_lists_arrays_and_tuples_make_the_same_rule() -> None:
    rules = {
        LongRoPE([1.0, 2], np.array([3.0, 4.0], np.float32), 4096),  # type: ignore[arg-type]
        LongRoPE((1, 2.0), (3.0, 4.0), 4096),
    }
    assert len(rules) == 1


@pytest.mark.parametrize(
    ("changes", "kind", "name", "came"),
    [
        ({"short_factor": [1.0] * 7 + [-1.0]}, ValueError, "short_factor", "-1.0 at pair 7"),
        ({"long_factor": [float("nan")] * 8}, ValueError, "long_factor", "nan at pair 0"),
        ({"long_factor": [[1.0] * 8]}, ValueError, "long_factor", "(1, 8)"),
        ({"short_factor": "1.0"}, TypeError, "short_factor", "1.0"),
        ({"long_factor": [True] * 8}, TypeError, "long_factor", "True"),
        (
            {"original_max_position_embeddings": 1},
            ValueError,
            "original_max_position_embeddings",
            "1",
        ),
        ({"factor": float("inf")}, ValueError, "factor", "inf"),
        ({"attention_factor": 0.0}, ValueError, "attention_factor", "0.0"),
        ({"short_mscale": "1"}, TypeError, "short_mscale", "'1'"),
        ({"long_mscale": -1.0}, ValueError, "long_mscale", "-1.0"),
        ({"mscale_policy": "const"}, ValueError, "mscale_policy", "const"),
    ],
)
def test_parameters_out_of_range_are_refused(
    changes: dict[str, Any], kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        LongRoPE(**{**EIGHT, **changes})


@pytest.mark.parametrize("name", ["short_factor", "long_factor"])
def test_a_list_of_another_width_is_refused_by_name(name: str) -> None:
    rule = LongRoPE(**{**EIGHT, name: [1.0] * 7})
    for length in (1, 9999):  # whichever list is used
        with refuses(ValueError, name, "8 numbers", "got 7"):
            Rope(16, scaling=rule, max_position_embeddings=8192).spectrum(length)


def test_a_missing_maximum_is_named() -> None:
    with refuses(ValueError, "max_position_embeddings", "LongRoPE", "None"):
        Rope(16, scaling=LongRoPE(**EIGHT)).spectrum(1)
