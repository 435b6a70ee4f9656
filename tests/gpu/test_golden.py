"""Every golden that asks for a kernel, on the GPU: each framework, each way to pass the results."""

from __future__ import annotations

import pytest

from ropelab.golden import Golden, Result, verify
from ropelab.golden.case import dtype_name
from tests.gpu.devices import CuPy, Framework, Torch, implementation
from tests.kernel_goldens import asked_of_kernels, in_pairs, of_given_tables

pytestmark = pytest.mark.gpu

ASKED = asked_of_kernels()


@pytest.mark.parametrize("way", ["new", "out", "in place", "strided"])
@pytest.mark.parametrize("framework", [Torch(), CuPy()], ids=["torch", "cupy"])
def test_the_kernels_reproduce_every_golden(framework: Framework, way: str) -> None:
    asked = [golden for golden in ASKED if framework.name == "torch" or not has_float8(golden)]
    results = verify(asked, implementation(framework, way))
    assert len(results) == len(asked) >= 1200
    print(f"\n{framework.name}, {way}: {len(results)} goldens, worst error by dtype and layout")
    for line in worst(results):
        print(line)
    failed = [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed]
    assert failed == []


@pytest.mark.parametrize("way", ["new", "out", "in place", "strided"])
@pytest.mark.parametrize("framework", [Torch(), CuPy()], ids=["torch", "cupy"])
def test_given_tables_rotate_pairs_as_single_tensors(framework: Framework, way: str) -> None:
    tables = of_given_tables()
    asked = [golden for golden in tables if framework.name == "torch" or not has_float8(golden)]
    results = verify(asked, in_pairs(implementation(framework, way)))
    assert len(results) == len(asked) >= 60
    assert [f"{r.case.id}: {r.error:.3g} {r.message}" for r in results if not r.passed] == []


def has_float8(golden: Golden) -> bool:
    """Say whether a golden holds numbers of eight bits, of which CuPy has no arrays."""
    arrays = [*golden.case.arguments.values(), *golden.expected.values()]
    return any("float8" in dtype_name(array.dtype) for array in arrays)


def worst(results: list[Result]) -> list[str]:
    """Return the worst pair error of each dtype, layout and pipeline, in eps; near for float64."""
    table: dict[tuple[str, ...], float] = {}
    for result in results:
        case = result.case
        far = case.dtype == "float64" and case.tolerance.bound > 4.0  # by the drift of 64-bit turns
        if case.tolerance.metric == "pair" and case.op != "model" and not far:
            o = case.options
            normed = ("norm",) if case.op == "apply_norm_rotary_qk" else ()
            key = (case.dtype, o.get("layout", "table"), o.get("angles", "given"), *normed)
            table[key] = max(table.get(key, 0.0), result.error)
    return [f"  {' '.join(key):36} {error:.3f} eps" for key, error in sorted(table.items())]
