"""The chains of the GPU suite, as far as a machine without a GPU can tell that they are right."""

from __future__ import annotations

import ctypes
import re

import pytest

from ropelab_cuda.catalogue import specialisations
from ropelab_cuda.compile import source as source_of
from tests.gpu.chain import SECOND_LOOK, SOURCE, WAIT, Kind, Tensors, source
from tests.gpu.chained import CHAINED, FEW, ROTARY
from tests.shim.builder import compiled
from tests.shim.on_cpu import on_cpu

EVERY = {"rotary": ROTARY, **CHAINED}
KINDS = list(dict.fromkeys(chained.kind for chained in EVERY.values()))
# What the shim has no need of elsewhere; threads take turns.
CUDA = """
template <class T> void atomicAdd(T* sum, T more) { *sum += more; }
inline long long clock64() { return 0; }
"""


def run_on_cpu(name: str, kind: Kind, chain: Tensors) -> None:
    """Run a part of a chain."""
    text, (blocks, threads) = source(kind, early=False, dependent=False), chain.shares[name]
    three = ctypes.c_uint * 3
    library = compiled(CUDA + text, name)
    library.run(three(blocks, 1, 1), three(threads, 1, 1), ctypes.byref(chain.structure))


@pytest.mark.shim
@pytest.mark.parametrize("in_place", [False, True], ids=["out", "in place"])
@pytest.mark.parametrize("name", EVERY)
def test_the_consumer_expects_what_the_operation_does(name: str, in_place: bool) -> None:
    kind, call_of = EVERY[name][:2]
    chain = Tensors(*FEW, kind=kind, in_place=in_place, delay=0, device="cpu")
    elements = FEW[0] * (FEW[1] + (2 if kind.cached else 1) * FEW[2]) * kind.head_dim
    with on_cpu():
        call = call_of(chain, kind)
        for number in range(1, 4):
            for part in ("begin_chain", "produce"):
                run_on_cpu(part, kind, chain)
            call()
            run_on_cpu("check", kind, chain)
            assert chain.result() == (number, 0, number)
    # Nobody rotates: it finds its own NaN again, and those of caches as well.
    run_on_cpu("check", kind, chain)
    assert chain.result() == (3, elements, 4)


@pytest.mark.shim
@pytest.mark.parametrize("name", EVERY)
def test_the_consumer_finds_what_was_read_too_early(name: str) -> None:
    """An operation on what the chain before has left: most of its results are others."""
    kind, call_of = EVERY[name][:2]
    chain = Tensors(*FEW, kind=kind, in_place=False, delay=0, device="cpu")
    with on_cpu():
        call = call_of(chain, kind)
        for part in ("begin_chain", "produce", "begin_chain"):
            run_on_cpu(part, kind, chain)
        call()
        run_on_cpu("check", kind, chain)
    begun, wrong, checked = chain.result()
    assert (begun, checked) == (2, 1)
    assert wrong > FEW[0] * (FEW[1] + FEW[2]) * kind.head_dim * 0.4


def test_the_controls_find_what_they_take_out() -> None:
    kernels = {"rotary", "rotary_cached", "rotary_kv_cache", "rotary_xpos", "norm_rotary"}
    texts = [source_of(one) for one in specialisations() if one.kernel in kernels]
    assert len(texts) > len(kernels)
    assert all(text.count(WAIT) == 1 for text in texts)
    # The angles are computed in three orders, each with a look of its own.
    assert all(text.count(SECOND_LOOK) == 3 for text in texts)
    permuting = [source_of(one) for one in specialisations() if one.kernel == "permute"]
    assert permuting
    assert all(text.count(WAIT) == 1 for text in permuting)


@pytest.mark.nvrtc
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("flag", [False, True])
def test_the_chain_compiles(kind: Kind, flag: bool) -> None:
    import cupy  # noqa: F401  lets its NVRTC be found
    from cupy_backends.cuda.libs import nvrtc

    text = source(kind, early=flag, dependent=flag)
    program = nvrtc.createProgram(text, "chain.cu", (), ())
    nvrtc.compileProgram(program, ("--std=c++17", "-arch=sm_90"))
    assert set(re.findall(r"__global__ void (\w+)", SOURCE)) == {"begin_chain", "produce", "check"}
    nvrtc.destroyProgram(program)
