"""YaRN against Transformers, run here and as recorded, and against the published sizes."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from ropelab import Rope
from ropelab.golden.cards import CARDS
from ropelab.golden.implementation import rope_of_card
from ropelab.scaling import DeepSeekYaRN, YaRN
from tests.ropelab.support import refuses

EPS = 2.0**-23  # of float32

LLAMA_2 = Rope(128, base=1e4, scaling=YaRN(16.0, 4096))
QWEN_2_5 = Rope(128, base=1e6, scaling=YaRN(4.0, 32768))
GPT_OSS = Rope(64, base=150_000.0, scaling=YaRN(32.0, 4096, truncate=False))
DEEPSEEK_V3 = Rope(64, scaling=YaRN(40.0, 4096, mscale=1.0, mscale_all_dim=1.0))
KIMI_K2 = Rope(
    64,
    base=5e4,
    scaling=YaRN(64.0, 4096, beta_fast=1.0, beta_slow=1.0, mscale=1.0, mscale_all_dim=1.0),
)


def inv_freq_of(rope: Rope, **changes: Any) -> NDArray[np.float64]:
    """Return the frequencies of a rope whose rule has other parameters."""
    rule = YaRN(**{**vars(rope.scaling), **changes})
    return Rope(rope.head_dim, base=rope.base, scaling=rule).spectrum().inv_freq


# Transformers 5.23.0 in float32, at indices 0, 1, n/4, n/2, 3n/4, n-1; A; the sum.
@pytest.mark.parametrize(
    ("rope", "values", "factor", "total"),
    [
        pytest.param(
            QWEN_2_5,
            [1, 0.805842221, 0.0316227786, 0.000602941145, 7.90569356e-06, 3.10234441e-07],
            1.138629436111989,
            5.14403483,
            id="Qwen2.5",
        ),
        pytest.param(
            GPT_OSS,
            [1, 0.689044297, 0.0508132726, 0.000456483918, 4.09997847e-06, 3.0235114e-07],
            1.3465735902799727,
            3.18043826,
            id="gpt-oss",
        ),
        pytest.param(
            DEEPSEEK_V3,
            [1, 0.749894202, 0.100000001, 0.00550000044, 2.49999994e-05, 3.33380353e-06],
            1.0,
            3.94893627,
            id="DeepSeek-V3",
        ),
        pytest.param(
            KIMI_K2,
            [1, 0.713111103, 0.0668740347, 0.00447213603, 4.67296513e-06, 4.38220638e-07],
            1.0,
            3.48170051,
            id="Kimi-K2",
        ),
    ],
)
def test_the_numbers_are_the_golden_values_of_transformers(
    rope: Rope, values: list[float], factor: float, total: float
) -> None:
    spectrum = rope.spectrum()
    n = spectrum.inv_freq.size
    got = spectrum.inv_freq[[0, 1, n // 4, n // 2, 3 * n // 4, n - 1]]
    assert (np.abs(got - values) <= 2 * EPS * got).all()
    assert spectrum.attention_factor == pytest.approx(factor, rel=1e-12, abs=0.0)
    assert spectrum.inv_freq.sum() == pytest.approx(total, rel=1e-7)


GEOMETRY = {"head_dim", "rotary_dim", "base", "layout", "max_position_embeddings", "rope_type"}


@pytest.mark.parametrize(
    "name", [n for n, c in CARDS.items() if c["rope_type"] in ("yarn", "deepseek_yarn")]
)
def test_transformers_computes_the_same(name: str) -> None:
    card = CARDS[name]
    rule = {key: value for key, value in card.items() if key not in GEOMETRY}
    stretched = math.ceil(4 * rule["original_max_position_embeddings"])
    config = LlamaConfig(
        head_dim=card["head_dim"],
        hidden_size=2 * card["head_dim"],
        num_attention_heads=2,
        max_position_embeddings=card["max_position_embeddings"] or stretched,
        rope_parameters={
            "rope_type": "yarn",
            "rope_theta": card["base"],
            "partial_rotary_factor": card["rotary_dim"] / card["head_dim"],
            **rule,
        },
    )
    tensor, factor = ROPE_INIT_FUNCTIONS["yarn"](config)
    rope = rope_of_card(card)
    spectrum = rope.spectrum()
    unscaled = Rope(card["rotary_dim"], base=card["base"]).spectrum().inv_freq
    s = rule["factor"] or card["max_position_embeddings"] / rule["original_max_position_embeddings"]
    # Their float32 stays within 2 eps of the truth, but for two things. An exponent 2i/d that is no
    # binary fraction is rounded by half an ulp, 2**-25, which weighs ln b. And the share of a
    # blended pair is rounded by 2**-25, which weighs s - 1, in units of the blend.
    bound = np.full(unscaled.size, 2 * EPS)
    if card["rotary_dim"] & (card["rotary_dim"] - 1):
        bound += 2.0**-25 * math.log(card["base"])
    blend = spectrum.inv_freq / unscaled
    blended = np.abs(blend - (1 + 1 / s) / 2) < 0.499999 * abs(1 - 1 / s)
    bound += np.where(blended, 2.0**-25 * abs(s - 1) / (s * blend), 0.0)
    assert (np.abs(tensor.numpy() / spectrum.inv_freq - 1) <= bound).all()
    assert spectrum.attention_factor == pytest.approx(factor, rel=1e-12, abs=0.0)


# The largest change of a frequency by `truncate`, of the model as shipped, and its pair.
@pytest.mark.parametrize(
    ("rope", "change", "pair"),
    [
        pytest.param(LLAMA_2, 0.355, 45, id="Llama-2"),
        pytest.param(QWEN_2_5, 0.047, 39, id="Qwen2.5"),
        pytest.param(GPT_OSS, 0.76, 17, id="gpt-oss"),
        pytest.param(DEEPSEEK_V3, 0.33, 22, id="DeepSeek-V3"),
    ],
)
def test_truncate_changes_as_much_as_published(rope: Rope, change: float, pair: int) -> None:
    shipped = rope.spectrum().inv_freq
    assert isinstance(rope.scaling, YaRN)
    other = inv_freq_of(rope, truncate=not rope.scaling.truncate)
    size = np.abs(other / shipped - 1)
    digits = len(str(change)) - 2
    assert (round(float(size.max()), digits), int(size.argmax())) == (change, pair)


def test_gpt_oss_with_whole_pairs_is_wrong_by_the_published_phase() -> None:
    right, wrong = GPT_OSS.spectrum().inv_freq, inv_freq_of(GPT_OSS, truncate=True)
    ratio = wrong / right
    assert int((ratio != 1).sum()) == 9
    assert (round(float(ratio.min()), 4), round(float(ratio.max()), 4)) == (0.9973, 1.7627)
    assert round(131_072 * float(np.abs(wrong - right).max()), 1) == 28.9


def test_the_highest_frequencies_are_kept_and_the_lowest_divided() -> None:
    # litgpt's ramp runs the other way.
    ratio = Rope(64).spectrum().inv_freq / DEEPSEEK_V3.spectrum().inv_freq
    assert ratio[:11].tolist() == [1.0] * 11
    assert ratio[23:] == pytest.approx(40.0, rel=1e-15)


# Devstral 2's weights count as not given, since one is 0; Ministral 3's cancel.
@pytest.mark.parametrize(
    ("parameters", "factor"),
    [
        ({"factor": 64.0, "mscale": 1.0, "mscale_all_dim": 0.0}, 1.4158883083359672),
        ({"factor": 16.0, "mscale": 1.0, "mscale_all_dim": 1.0}, 1.0),
        ({"factor": 16.0, "mscale": 1.0}, 1.2772588722239781),
        ({"factor": 40.0, "mscale": 1.0, "mscale_all_dim": 0.707}, 1.3688879454 / 1.2608037774),
        ({"factor": 40.0, "attention_factor": 0.0, "mscale": 1.0, "mscale_all_dim": 1.0}, 0.0),
        ({"factor": 40.0, "attention_factor": 1.5}, 1.5),
        ({"factor": 0.5}, 1.0),
    ],
)
def test_the_attention_factor(parameters: dict[str, float], factor: float) -> None:
    rule = YaRN(original_max_position_embeddings=4096, **parameters)  # type: ignore[arg-type]
    given = Rope(64, scaling=rule).spectrum()
    assert given.attention_factor == pytest.approx(factor, rel=1e-10, abs=0.0)
    assert given.softmax_factor == 1.0


def test_a_factor_of_none_is_the_quotient_of_the_lengths() -> None:
    implicit = Rope(64, scaling=YaRN(None, 4096), max_position_embeddings=163_840)
    assert implicit.spectrum() == Rope(64, scaling=YaRN(40.0, 4096)).spectrum()
    with refuses(ValueError, "max_position_embeddings", "YaRN", "None"):
        Rope(64, scaling=YaRN(None, 4096)).spectrum()
    with refuses(ValueError, "original_max_position_embeddings", "2048", "4096"):
        Rope(64, scaling=YaRN(None, 4096), max_position_embeddings=2048).spectrum()


def test_betas_of_none_and_zero_are_the_defaults() -> None:
    rule = YaRN(4.0, 4096, beta_fast=None, beta_slow=0)  # type: ignore[arg-type]
    assert rule == YaRN(4.0, 4096, beta_fast=32.0, beta_slow=1.0)


def test_it_holds_at_every_length() -> None:
    assert not QWEN_2_5.scaling.depends_on_length
    assert QWEN_2_5.spectrum(1) == QWEN_2_5.spectrum(10**6) == QWEN_2_5.spectrum()


GOOD: dict[str, Any] = {"factor": 4.0, "original_max_position_embeddings": 4096}
NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize("rule", [YaRN, DeepSeekYaRN])
@pytest.mark.parametrize(
    ("changed", "kind", "came"),
    [
        ({"factor": 0.0}, ValueError, "0.0"),
        ({"factor": -4.0}, ValueError, "-4.0"),
        ({"factor": NAN}, ValueError, "nan"),
        ({"factor": INF}, ValueError, "inf"),
        ({"factor": "4"}, TypeError, "'4'"),
        ({"factor": True}, TypeError, "True"),
        ({"original_max_position_embeddings": 0}, ValueError, "0"),
        ({"original_max_position_embeddings": -4096}, ValueError, "-4096"),
        ({"original_max_position_embeddings": 4096.0}, TypeError, "4096.0"),
        ({"original_max_position_embeddings": None}, TypeError, "None"),
        ({"attention_factor": -0.5}, ValueError, "-0.5"),
        ({"attention_factor": NAN}, ValueError, "nan"),
        ({"attention_factor": "1"}, TypeError, "'1'"),
        ({"beta_fast": 0.5}, ValueError, "0.5"),
        ({"beta_fast": 1.0, "beta_slow": 2.0}, ValueError, "2.0"),
        ({"beta_fast": NAN}, ValueError, "nan"),
        ({"beta_slow": NAN}, ValueError, "nan"),
        ({"beta_slow": -1.0}, ValueError, "-1.0"),
        ({"beta_fast": False}, TypeError, "False"),
        ({"beta_slow": "1"}, TypeError, "'1'"),
        ({"beta_slow": np.ones(2)}, TypeError, "array([1., 1.])"),
        ({"mscale": -1.0}, ValueError, "-1.0"),
        ({"mscale": NAN}, ValueError, "nan"),
        ({"mscale_all_dim": INF}, ValueError, "inf"),
        ({"mscale_all_dim": True}, TypeError, "True"),
        ({"truncate": 0}, TypeError, "0"),
        ({"truncate": None}, TypeError, "None"),
    ],
)
def test_parameters_out_of_range_are_refused(
    rule: type[YaRN], changed: dict[str, Any], kind: type[Exception], came: str
) -> None:
    with refuses(kind, next(iter(changed)), came):
        rule(**{**GOOD, **changed})


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_factor_and_original_length_have_no_default(missing: str) -> None:
    with pytest.raises(TypeError, match=missing):
        YaRN(**{key: value for key, value in GOOD.items() if key != missing})
