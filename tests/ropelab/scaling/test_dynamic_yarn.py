"""Dynamic YaRN: plain up to the limit, YaRN of the current stretch past it."""

from typing import Any

import pytest

from ropelab import Rope
from ropelab.scaling import DynamicYaRN, YaRN
from tests.ropelab.support import refuses


def rope(rule: DynamicYaRN | YaRN, limit: int | None = 4096) -> Rope:
    return Rope(96, base=5e5, rotary_dim=48, scaling=rule, max_position_embeddings=limit)


@pytest.mark.parametrize("seq_len", [None, 1, 4095, 4096])
def test_up_to_the_limit_nothing_is_scaled(seq_len: int | None) -> None:
    plain = Rope(96, base=5e5, rotary_dim=48).spectrum()
    assert rope(DynamicYaRN(4096)).spectrum(seq_len) == plain
    assert rope(DynamicYaRN(1024)).spectrum(seq_len) == plain


@pytest.mark.parametrize("seq_len", [4097, 8192, 131_071])
@pytest.mark.parametrize("original", [4096, 1024])
def test_past_the_limit_it_is_yarn_of_the_current_stretch(seq_len: int, original: int) -> None:
    # of the original length, not of the limit: LlamaDynamicYaRNScaledRotaryEmbedding.forward
    dynamic = DynamicYaRN(original, beta_fast=24.0, beta_slow=2.0)
    yarn = YaRN(seq_len / original, original, beta_fast=24.0, beta_slow=2.0)
    assert rope(dynamic).spectrum(seq_len) == rope(yarn).spectrum()


@pytest.mark.parametrize(("seq_len", "factor"), [(None, 4.0), (7, 4.0), (4096, 4.0), (5120, 5.0)])
def test_a_finetuned_model_is_scaled_at_every_length(seq_len: int | None, factor: float) -> None:
    dynamic = DynamicYaRN(1024, finetuned=True)
    assert rope(dynamic).spectrum(seq_len) == rope(YaRN(factor, 1024)).spectrum()


def test_it_depends_on_the_length() -> None:
    assert DynamicYaRN(4096).depends_on_length


def test_it_says_what_it_misses() -> None:
    with refuses(ValueError, "max_position_embeddings", "DynamicYaRN", "None"):
        rope(DynamicYaRN(4096), None).spectrum(9)
    with refuses(ValueError, "original_max_position_embeddings", "4096", "4097"):
        rope(DynamicYaRN(4097)).spectrum(9)


@pytest.mark.parametrize(
    ("changed", "kind", "came"),
    [
        ({"original_max_position_embeddings": 0}, ValueError, "0"),
        ({"original_max_position_embeddings": "4096"}, TypeError, "'4096'"),
        ({"beta_fast": 0.5}, ValueError, "0.5"),
        ({"beta_slow": float("nan")}, ValueError, "nan"),
        ({"finetuned": 1}, TypeError, "1"),
    ],
)
def test_parameters_out_of_range_are_refused(
    changed: dict[str, Any], kind: type[Exception], came: str
) -> None:
    good: dict[str, Any] = {"original_max_position_embeddings": 4096}
    with refuses(kind, next(iter(changed)), came):
        DynamicYaRN(**{**good, **changed})
