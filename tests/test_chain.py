"""The chains of the GPU suite, as far as a machine without a GPU can tell that they are right."""

from __future__ import annotations

import re

import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
from ropelab_cuda.catalogue import specialisations
from ropelab_cuda.compile import source
from tests.gpu.chain import HEAD_DIM, SECOND_LOOK, SOURCE, WAIT, spectrum

U32 = np.uint32


def mixed(x: NDArray[np.uint32]) -> NDArray[np.uint32]:
    """Do as the function of that name in the source."""
    with np.errstate(over="ignore"):
        x = (x ^ (x >> U32(16))) * U32(0x7FEB352D)
        x = (x ^ (x >> U32(15))) * U32(0x846CA68B)
    return x ^ (x >> U32(16))


def test_the_consumer_expects_what_the_specification_says() -> None:
    """Its quarter turns, copied here line by line, are those of the exact rotation."""
    tokens, heads, step = 40, 3, np.array([7], U32)
    pair = np.arange(HEAD_DIM // 2)
    token = np.arange(tokens, dtype=U32)
    with np.errstate(over="ignore"):
        position = (mixed(token * U32(3) + mixed(~step)) & U32(0xFFFFF)).astype(np.int64)
        element = np.arange(tokens * heads * HEAD_DIM, dtype=U32) + mixed(step)
    x = ((mixed(element) & U32(255)).astype(float) - 128.0).reshape(tokens, heads, HEAD_DIM)
    first, second = x[..., : HEAD_DIM // 2], x[..., HEAD_DIM // 2 :]
    quarters = (position[:, None, None] * (1 + pair % 3)) & 3
    turned = np.where(quarters & 1, second, first)
    other = np.where(quarters & 1, first, second)
    expected = np.concatenate(
        [
            np.where((quarters == 1) | (quarters == 2), -turned, turned),
            np.where(quarters & 2, -other, other),
        ],
        axis=-1,
    )
    rotated = ropelab.apply_rotary(x, position, spectrum(), tensor_format="thd")
    np.testing.assert_allclose(rotated, expected, atol=1e-6)
    assert len(np.unique(quarters)) == 4
    assert "position(token, step) * (1 + pair % 3) & 3" in SOURCE


def test_the_controls_find_what_they_take_out() -> None:
    texts = [source(one) for one in specialisations() if one.kernel == "rotary"]
    assert texts
    assert all(text.count(WAIT) == 1 for text in texts)
    # The angles are computed in three orders, each with a look of its own.
    assert all(text.count(SECOND_LOOK) == 3 for text in texts)


@pytest.mark.nvrtc
@pytest.mark.parametrize("macro", ["EARLY 0", "EARLY 1", "DEPENDENT 0", "DEPENDENT 1"])
def test_the_chain_compiles(macro: str) -> None:
    import cupy  # noqa: F401  lets its NVRTC be found
    from cupy_backends.cuda.libs import nvrtc

    program = nvrtc.createProgram(f"#define {macro}\n{SOURCE}", "chain.cu", (), ())
    nvrtc.compileProgram(program, ("--std=c++17", "-arch=sm_90"))
    assert set(re.findall(r"__global__ void (\w+)", SOURCE)) == {"advance", "produce", "check"}
    nvrtc.destroyProgram(program)
