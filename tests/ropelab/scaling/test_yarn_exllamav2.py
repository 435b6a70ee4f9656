"""ExLlamaV2's YaRN against the published sizes of its difference from everybody else's."""

from typing import Any

import numpy as np
import pytest

from ropelab import Rope
from ropelab.scaling import ExLlamaYaRN, YaRN
from tests.ropelab.support import refuses


# How many frequencies differ, the largest ratio and its pair, the phase in radians at max_seq_len.
@pytest.mark.parametrize(
    ("base", "factor", "original", "served", "differing", "ratio", "pair", "phase"),
    [
        pytest.param(1e6, 4.0, 32768, 131072, 23, 2.235, 40, 68.6, id="Qwen2.5"),
        pytest.param(1e4, 16.0, 4096, 65536, 43, 12.4, 46, 339.7, id="Llama-2"),
        pytest.param(5e5, 8.0, 8192, 65536, 27, 5.278, 35, 151.0, id="Llama-3"),
    ],
)
def test_it_differs_from_yarn_as_published(
    base: float,
    factor: float,
    original: int,
    served: int,
    differing: int,
    ratio: float,
    pair: int,
    phase: float,
) -> None:
    theirs = Rope(
        128, base=base, scaling=ExLlamaYaRN(factor, original), max_position_embeddings=served
    ).spectrum()
    yarn = Rope(128, base=base, scaling=YaRN(factor, original)).spectrum()
    quotient = theirs.inv_freq / yarn.inv_freq
    assert int((quotient != 1).sum()) == differing
    assert (round(float(quotient.max()), 3), int(quotient.argmax())) == (ratio, pair)
    assert round(served * float(np.abs(theirs.inv_freq - yarn.inv_freq).max()), 1) == phase
    assert theirs.attention_factor == yarn.attention_factor


@pytest.mark.parametrize(("served", "ratio"), [(40960, 1.18), (65536, 1.53)])
def test_the_difference_grows_with_the_length_served(served: int, ratio: float) -> None:
    rope = Rope(
        128, base=1e6, scaling=ExLlamaYaRN(4.0, 32768), max_position_embeddings=served
    ).spectrum()
    yarn = Rope(128, base=1e6, scaling=YaRN(4.0, 32768)).spectrum()
    assert round(float((rope.inv_freq / yarn.inv_freq).max()), 2) == ratio


@pytest.mark.parametrize("served", [1, 32767, 32768])
def test_up_to_the_original_length_nothing_is_scaled(served: int) -> None:
    rule = ExLlamaYaRN(4.0, 32768)
    rope = Rope(128, base=1e6, scaling=rule, max_position_embeddings=served)
    assert rope.spectrum() == Rope(128, base=1e6).spectrum()
    longer = Rope(128, base=1e6, scaling=rule, max_position_embeddings=32769)
    assert longer.spectrum() != Rope(128, base=1e6).spectrum()


def test_the_temperature_has_no_floor() -> None:
    # 0.1 ln 0.5 + 1, which get_rope_params_yarn computes without asking
    rope = Rope(64, scaling=ExLlamaYaRN(0.5, 4096), max_position_embeddings=8192)
    assert rope.spectrum().attention_factor == pytest.approx(0.9306852819440055, rel=1e-15)


def test_it_says_what_it_misses() -> None:
    with refuses(ValueError, "max_position_embeddings", "ExLlamaYaRN", "None"):
        Rope(64, scaling=ExLlamaYaRN(4.0, 4096)).spectrum()


@pytest.mark.parametrize(
    ("changed", "kind", "came"),
    [
        ({"factor": -1.0}, ValueError, "-1.0"),
        ({"factor": float("inf")}, ValueError, "inf"),
        ({"factor": "4"}, TypeError, "'4'"),
        ({"original_max_position_embeddings": -1}, ValueError, "-1"),
        ({"original_max_position_embeddings": True}, TypeError, "True"),
    ],
)
def test_parameters_out_of_range_are_refused(
    changed: dict[str, Any], kind: type[Exception], came: str
) -> None:
    good: dict[str, Any] = {"factor": 4.0, "original_max_position_embeddings": 4096}
    with refuses(kind, next(iter(changed)), came):
        ExLlamaYaRN(**{**good, **changed})
