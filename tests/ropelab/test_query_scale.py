"""Query scales against published values, Transformers' own functions, and 80 digits."""

import math

import mpmath
import numpy as np
import pytest
import torch
from transformers.models.ministral3.modeling_ministral3 import get_llama_4_attn_scale

from ropelab import Llama4Temperature, LogN, MinistralTemperature
from ropelab.query_scale import QueryScale
from tests.ropelab.support import DIGITS, refuses

LENGTH = "original_max_position_embeddings"
FAR = [0, 8190, 8191, 8192, 16_383, 16_384, 131_071, 2**24 + 1, 2**31 - 1, 2**62 + 8191]


@pytest.mark.parametrize(
    ("rule", "position", "value"),
    [
        # 1 + 0.1 ln 2, 1 + 0.1 ln 17 and 1 + 0.1 ln 16, as Llama 4's and Ministral 3's formulas
        # were evaluated when they were catalogued.
        (Llama4Temperature(), 8191, 1.0693147),
        (Llama4Temperature(), 131_071, 1.2833213),
        (MinistralTemperature(0.1, 16384), 262_143, 1.2772589),
    ],
)
def test_known_values(rule: QueryScale, position: int, value: float) -> None:
    assert round(float(rule.scale(position)), 7) == value


def test_a_step_of_ministral_comes_one_position_after_llama_4() -> None:
    length = 8192
    theirs, ours = Llama4Temperature(0.1, length), MinistralTemperature(0.1, length)
    step = 1.0 + 0.1 * math.log(2.0)
    boundary = [length - 2, length - 1, length]
    assert theirs.scale(boundary).tolist() == [1.0, step, step]
    assert ours.scale(boundary).tolist() == [1.0, 1.0, step]


@pytest.mark.parametrize(("beta", "length"), [(0.1, 16384), (0.37, 977)])
def test_ministral_is_transformers_where_float32_can_tell(beta: float, length: int) -> None:
    ids = [0, length - 1, length, 2 * length - 1, 2 * length, 131_071, 262_143, 1_000_003]
    theirs = get_llama_4_attn_scale(torch.tensor([ids]), beta, length)[0, 0, :, 0].numpy()
    ours = MinistralTemperature(beta, length).scale(ids)
    # Theirs is float32: a logarithm within an ulp, a product, a sum.
    np.testing.assert_allclose(ours, theirs, rtol=2.5 * 2**-23, atol=0)


def test_llama_4_is_transformers_where_float32_can_tell() -> None:
    ids = torch.tensor([0, 8190, 8191, 8192, 16_382, 16_383, 131_071, 1_000_003])
    # The expression in Llama4TextAttention.forward, which no function of its own holds.
    theirs = torch.log1p(torch.floor((ids.float() + 1.0) / 8192)) * 0.1 + 1.0
    np.testing.assert_allclose(
        Llama4Temperature().scale(ids), theirs.numpy(), rtol=2.5 * 2**-23, atol=0
    )


@pytest.mark.parametrize("length", [2, 977, 2048, 8192])
def test_log_n_is_the_list_of_qwen(length: int) -> None:
    theirs = [math.log(i, length) if i > length else 1 for i in range(1, 32768)]
    ours = LogN(length).scale(np.arange(32767))
    np.testing.assert_allclose(ours, theirs, rtol=5 * 2**-52, atol=0)  # two logs and a quotient
    assert ours[:length].tolist() == [1.0] * length


def test_every_position_is_the_truth_in_80_digits() -> None:
    with mpmath.workdps(DIGITS):
        for m in FAR:
            tenth = mpmath.mpf(0.1)
            truths = {
                Llama4Temperature(): 1 + tenth * mpmath.log(1 + (m + 1) // 8192),
                MinistralTemperature(0.1, 8192): 1 + tenth * mpmath.log(1 + m // 8192),
                LogN(8192): max(mpmath.mpf(1), mpmath.log(m + 1) / mpmath.log(8192)),
            }
            for rule, truth in truths.items():
                got = float(rule.scale(np.array(m, np.uint64)))
                assert abs(got - truth) <= 2.5 * 2**-52 * truth, (rule, m)


@pytest.mark.parametrize("rule", [Llama4Temperature(), MinistralTemperature(0.1, 977), LogN(977)])
def test_shapes_and_integer_types_do_not_matter(rule: QueryScale) -> None:
    ids = np.array([[0, 100, 127], [5, 6, 90]])
    for dtype in ("int8", "uint8", "int16", "int64", "uint64"):
        assert rule.scale(ids.astype(dtype)).tolist() == rule.scale(ids).tolist()
    assert rule.scale([]).shape == (0,)
    assert rule.scale(9000).shape == ()
    assert rule.scale(np.array([2**64 - 1], np.uint64)) > rule.scale(2**62)


@pytest.mark.parametrize(
    ("rule", "parameters", "kind", "name"),
    [
        (Llama4Temperature, {"attn_scale": math.nan}, ValueError, "attn_scale"),
        (Llama4Temperature, {"attn_scale": -1e-9}, ValueError, "attn_scale"),
        (Llama4Temperature, {"attn_scale": "0.1"}, TypeError, "attn_scale"),
        (Llama4Temperature, {"floor_scale": 0}, ValueError, "floor_scale"),
        (Llama4Temperature, {"floor_scale": 8192.0}, TypeError, "floor_scale"),
        (MinistralTemperature, {"beta": math.nan, LENGTH: 9}, ValueError, "beta"),
        (MinistralTemperature, {"beta": math.inf, LENGTH: 9}, ValueError, "beta"),
        (MinistralTemperature, {"beta": None, LENGTH: 9}, TypeError, "beta"),
        (MinistralTemperature, {"beta": 0.1, LENGTH: -9}, ValueError, LENGTH),
        (LogN, {"seq_length": 1}, ValueError, "seq_length"),
        (LogN, {"seq_length": 0}, ValueError, "seq_length"),
        (LogN, {"seq_length": 2048.0}, TypeError, "seq_length"),
    ],
)
def test_bad_parameters_are_refused(
    rule: type, parameters: dict[str, object], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        rule(**parameters)


@pytest.mark.parametrize(
    ("ids", "kind"),
    [([0, -1], ValueError), ([0.0], TypeError), (True, TypeError), (None, TypeError)],
)
def test_bad_positions_are_refused(ids: object, kind: type[Exception]) -> None:
    with refuses(kind, "position_ids"):
        LogN(2048).scale(ids)  # type: ignore[arg-type]
