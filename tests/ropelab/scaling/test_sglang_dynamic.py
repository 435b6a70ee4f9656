"""SGLang's static reading of a dynamic rule."""

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import DynamicNTK, SGLangDynamicNTK
from tests.ropelab.support import refuses

ROPE = Rope(128, scaling=SGLangDynamicNTK(2.0), max_position_embeddings=4096)


def test_it_is_the_dynamic_rule_at_factor_times_the_maximum() -> None:
    theirs = Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
    assert ROPE.spectrum(1) == ROPE.spectrum(131072) == theirs.spectrum(8192)


def test_short_texts_are_turned_otherwise_than_they_were_trained() -> None:
    # base 1e4, d 128, s 2: base 30527.7, the lowest frequency a third, phases off by 172 radians
    # at 4096 (computed in float64 from both formulas).
    plain, ours = Rope(128).spectrum().inv_freq, ROPE.spectrum(4096).inv_freq
    assert f"{ours[1] ** -64:.1f}" == "30527.7"
    assert plain[-1] / ours[-1] == pytest.approx(3.0, rel=1e-14)
    assert round(float(np.abs(4096 * (plain - ours)).max())) == 172


def test_the_constant_base_of_vllm_5093() -> None:
    # d 64, factor 4: the base of the whole table is 14.12138 times the trained one.
    second = float(Rope(64, scaling=SGLangDynamicNTK(4.0)).spectrum().inv_freq[1])
    assert round(second**-32 / 10_000.0, 5) == 14.12138


@pytest.mark.parametrize(
    ("factor", "kind", "name", "came"),
    [
        (0.0, ValueError, "factor", "0.0"),
        (float("nan"), ValueError, "factor", "nan"),
        (None, TypeError, "factor", "None"),
        (1e200, ValueError, "alpha", "inf"),
    ],
)
def test_factors_out_of_range_are_refused(
    factor: float, kind: type[Exception], name: str, came: str
) -> None:
    with refuses(kind, name, came):
        Rope(64, scaling=SGLangDynamicNTK(factor)).spectrum()
