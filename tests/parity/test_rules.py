"""Every rule gives the numbers of Transformers' own modules, at every length."""

from copy import deepcopy
from typing import Any

import numpy as np
import pytest
import torch

from ropelab.formats import read_transformers
from tests.float32 import float32_tolerance
from tests.parity.configs import NEW, PHIMOE, RULES, Config
from tests.parity.support import V5, numbers, theirs

pytestmark = pytest.mark.parity

CASES = {**RULES, **(NEW if V5 else {})}

# What 4.57 computes otherwise, and why; 5.24 is followed. A case of this table must fail there.
OTHERWISE_IN_4_57 = {
    "longrope, its length in the dictionary alone": (
        "4.57 reads the original length of LongRoPE beside the dictionary, or takes the new one"
    ),
}


def marked(name: str, length: int | None) -> Any:
    other = not V5 and name in OTHERWISE_IN_4_57
    reason = OTHERWISE_IN_4_57.get(name, "")
    marks = [pytest.mark.xfail(raises=AssertionError, strict=True, reason=reason)] if other else []
    return pytest.param(name, length, marks=marks, id=f"{name}-{length}")


@pytest.mark.parametrize(
    ("name", "length"), [marked(name, length) for name in CASES for length in CASES[name][1]]
)
def test_a_rule_gives_the_numbers_of_transformers(name: str, length: int | None) -> None:
    config: Config = CASES[name][0]
    _, module = theirs(config)
    inv_freq, factor = numbers(module, "full_attention", length)
    rope = read_transformers(deepcopy(config)).rope
    assert rope is not None
    spectrum = rope.spectrum(length)
    assert inv_freq.shape == spectrum.inv_freq.shape
    distance = np.abs(inv_freq - spectrum.inv_freq)
    assert (distance <= float32_tolerance(rope) * spectrum.inv_freq).all()
    assert factor == pytest.approx(spectrum.attention_factor, rel=1e-12, abs=0.0)


def test_a_growing_dynamic_rule_is_asked_anew_by_the_reset_of_transformers() -> None:
    config, _ = RULES["dynamic"]
    _, module = theirs(config)
    rope = read_transformers(config).rope
    assert rope is not None
    for length in (9000, 100):  # growth, then a length below the original one
        inv_freq, _ = numbers(module, "full_attention", length)
        ours = rope.spectrum(length).inv_freq
        assert (np.abs(inv_freq - ours) <= float32_tolerance(rope) * ours).all()


@pytest.mark.parametrize("length", [100, 4096, 4097])
def test_phimoe_takes_an_mscale_by_length_for_its_factor(length: int) -> None:
    _, module = theirs(PHIMOE)
    ids = torch.tensor([[0, length - 1]])
    # In 4.57 a length is told beside the positions.
    told = (ids,) if V5 else (length,)
    cos, _ = module(torch.zeros(1), *told)
    reading = read_transformers(PHIMOE)
    assert reading.rope is not None
    spectrum = reading.rope.spectrum(length)
    assert float(cos.reshape(-1, cos.shape[-1])[0, 0]) == spectrum.attention_factor
    # Which list it takes past the original length differs between the versions, and is told.
    assert any("long_factor" in str(finding) for finding in reading.findings)
