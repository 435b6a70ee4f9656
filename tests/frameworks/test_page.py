"""The page on frameworks: each block that needs no GPU runs as printed."""

from __future__ import annotations

import re

import jax.numpy as jnp
import numpy as np
import pytest

from tests.frameworks.page import PAGE, blocks, run

BLOCKS = blocks(gpu=False)


@pytest.mark.parametrize("name", BLOCKS)
def test_a_block_runs(name: str) -> None:
    run(BLOCKS[name])


def test_every_block_is_run_by_one_suite_or_the_other() -> None:
    fences = re.findall(r"^ *```\w", PAGE.read_text("utf-8"), flags=re.MULTILINE)
    assert len(BLOCKS) + len(blocks(gpu=True)) == len(fences)
    assert BLOCKS
    assert blocks(gpu=True)


def test_the_rotation_under_jit_turns_by_its_angle_and_its_gradient_back() -> None:
    [block] = [block for block in BLOCKS.values() if "custom_vjp" in block]
    names = run(block)
    for name, sign in (("rotated", 1), ("gradient", -1)):
        found = np.asarray(names[name].astype(jnp.float32))
        # Channel 0 and its partner turn by one radian a token; both are 1.
        expected = [np.cos(m) - sign * np.sin(m) for m in range(3)]
        assert np.allclose(found[0, :, 1, 0], expected, atol=2**-7, rtol=0)
