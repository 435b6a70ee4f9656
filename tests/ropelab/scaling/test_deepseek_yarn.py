"""DeepSeek's softmax factor against the published numbers and the models of Transformers."""

import pytest
from transformers.models.deepseek_v3.modeling_deepseek_v3 import yarn_apply_mscale

from ropelab import SCALINGS, Rope
from ropelab.scaling import DeepSeekYaRN, YaRN
from tests.ropelab.support import refuses


# DeepSeek-V3, V2-Lite, Kimi-K2-0905 and Kimi-K2.
@pytest.mark.parametrize(
    ("factor", "mscale", "published"),
    [
        (40.0, 1.0, 1.8738542),
        (40.0, 0.707, 1.5896262),
        (64.0, 1.0, 2.0047397),
        (32.0, 1.0, 1.8132604),
    ],
)
def test_the_softmax_factor_is_the_published_one(
    factor: float, mscale: float, published: float
) -> None:
    rule = DeepSeekYaRN(factor, 4096, mscale=mscale, mscale_all_dim=mscale)
    spectrum = Rope(64, scaling=rule).spectrum()
    assert round(spectrum.softmax_factor, 7) == published
    assert spectrum.attention_factor == 1.0


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.5, 40.0])
@pytest.mark.parametrize("mscale_all_dim", [None, 0.0, 0.707, 1.0])
def test_transformers_scales_the_softmax_alike(factor: float, mscale_all_dim: float | None) -> None:
    rule = {"factor": factor, "mscale_all_dim": mscale_all_dim}
    theirs = yarn_apply_mscale({"rope_type": "yarn", **rule}, 1.0)  # type: ignore[no-untyped-call]
    ours = Rope(64, scaling=DeepSeekYaRN(factor, 4096, mscale_all_dim=mscale_all_dim)).spectrum()
    # Three roundings in the temperature, one in each of two products.
    assert ours.softmax_factor == pytest.approx(theirs, rel=8 * 2.0**-53, abs=0.0)


def test_all_else_is_yarns() -> None:
    parameters = {"beta_fast": 16.0, "mscale": 1.0, "mscale_all_dim": 0.5, "truncate": False}
    ours, plain = (
        Rope(48, base=5e4, scaling=rule(12.0, 8192, **parameters)).spectrum()  # type: ignore[arg-type]
        for rule in (DeepSeekYaRN, YaRN)
    )
    assert ours.inv_freq.tolist() == plain.inv_freq.tolist()
    assert ours.attention_factor == plain.attention_factor != 1.0
    assert (plain.softmax_factor, ours.softmax_factor > 1.0) == (1.0, True)


def test_it_is_a_rule_of_its_own() -> None:
    assert SCALINGS["deepseek_yarn"] is DeepSeekYaRN
    assert SCALINGS["yarn"] is YaRN
    assert DeepSeekYaRN(4.0, 4096) != YaRN(4.0, 4096)


def test_a_factor_that_no_float64_holds_is_refused_by_name() -> None:
    with refuses(ValueError, "softmax_factor", "inf"):
        Rope(64, scaling=DeepSeekYaRN(4.0, 4096, mscale_all_dim=1e300)).spectrum()
