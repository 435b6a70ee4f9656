"""A few fuzzed calls on the CPU: the kernels' own source, the same cases as on the GPU."""

from __future__ import annotations

import ctypes
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from ropelab.golden.case import Array
from ropelab_cuda.launch import Plan
from tests.fuzz.call import Call, findings
from tests.fuzz.campaign import Row, fuzzed, merged, table
from tests.fuzz.cases import LAYOUTS
from tests.fuzz.devices import Host
from tests.fuzz.errors import Finding
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.rotary import RotaryCase, RotaryKind
from tests.shim.builder import run
from tests.shim.on_cpu import on_cpu

# Kinds, each of which takes g++ some seconds, and cases.
SOME = {
    "rotary": (6, 60),
    "kv_cache": (10, 120),
    "norm": (8, 100),
    "xpos": (4, 50),
    "permute": (9, 80),
}


def varied(kinds: tuple[Any, ...], count: int) -> tuple[Any, ...]:
    """Return so many kinds, each with the most options that those before have not."""
    chosen: list[Any] = []
    seen: set[tuple[str, Any]] = set()
    for _ in range(count):
        chosen.append(max(kinds, key=lambda kind: len({*vars(kind).items()} - seen)))
        seen |= {*vars(chosen[-1]).items()}
    return tuple(chosen)


@pytest.mark.shim
@pytest.mark.parametrize("name", OPERATIONS)
def test_the_kernels_do_as_specified(name: str) -> None:
    kinds, count = SOME[name]
    with on_cpu():
        rows = fuzzed(name, varied(OPERATIONS[name].kinds, kinds), count, 20_251_125, Host())
    assert sum(row.cases for row in rows.values()) >= count
    assert {operation for operation, _ in rows} == {name}


class Spoiled(Host):
    """NumPy's memory, in which a byte changes that no result of the call holds."""

    def __init__(self, call: Call, number: int) -> None:
        held = np.zeros(call.arena.memory().size, bool)
        for place, index in call.all_written():
            size = place.dtype.itemsize
            replace(place, dtype=np.dtype((bool, (size,)))).of(held)[index] = True
        free = np.flatnonzero(~held)
        self.size, self.at = held.size, free[number % free.size]

    def take(self, tensor: Any) -> Array:
        array = super().take(tensor)
        if array.shape == (self.size,):
            array[self.at] ^= 1
        return array


@pytest.mark.shim
@pytest.mark.parametrize("name", OPERATIONS)
def test_a_byte_written_anywhere_else_is_found(name: str) -> None:
    operation = OPERATIONS[name]

    @seed(5)
    @settings(
        max_examples=15, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(case=operation.cases(operation.kinds[:1]), number=st.integers(0, 2**32))
    def spoil(case: Any, number: int) -> None:
        call = operation.call_of(case)
        with on_cpu(), pytest.raises(AssertionError, match="written outside"):
            findings(call, Spoiled(call, number))

    spoil()


PLAIN = RotaryCase(
    kind=RotaryKind(
        dtype="float32",
        widths=(11, 4, 5),
        heads=(3, 1),
        layout="half",
        output_layout="half",
        angles="exact",
        axes=1,
        periodic=False,
        integer="int32",
        aligned=(False, False),
        table_dtype=None,
        output=None,
        scaled=False,
    ),
    tokens=(2, 3),
    tensor_format="bhsd",
    way="out",
    again=True,
    order=(1, 2, 0),
    padding=(1, 2, 0, 1),
    lie="packed",
    inverse=True,
    rows="batch",
    positions="any",
    base=1e4,
    attention_factor=0.75,
    scale=1.0,
    seed=5,
)


@pytest.mark.shim
@pytest.mark.parametrize(
    ("at", "byte", "word"),
    [
        (-4, 0x00, "written outside"),
        (11 * 4, 0x00, "written outside"),  # between two rows
        (5 * 4, 0xFF, "NaN"),
        (4 * 4, 0x00, "channels that pass"),
        (8 * 4, 0x3F, "eps of float32 off"),
    ],
    ids=["before", "after a row", "left out", "tail", "wrong"],
)
@pytest.mark.parametrize("way", ["out", "in place"])
def test_a_planted_bug_is_found(
    monkeypatch: pytest.MonkeyPatch, way: str, at: int, byte: int, word: str
) -> None:
    def run_and_spoil(plan: Plan, **options: Any) -> None:
        run(plan, **options)
        row = plan.parameters.tensors.q.out - 5 * 4  # it points at the first rotated channel
        ctypes.memset(row + at, byte, 4)

    case = replace(PLAIN, way=way)
    with on_cpu():
        rotations = OPERATIONS["rotary"].findings(case, Host())
    assert all(0.0 < found.error < found.bound for found in rotations)
    monkeypatch.setattr("tests.shim.on_cpu.run", run_and_spoil)
    with on_cpu(), pytest.raises(AssertionError, match=word):
        OPERATIONS["rotary"].findings(case, Host())


@pytest.mark.parametrize(
    ("name", "field", "count"),
    [
        *((name, "dtype", 4) for name in ("rotary", "xpos", "norm", "kv_cache")),
        *((name, "heads", 8) for name in ("rotary", "xpos", "norm", "kv_cache")),
        *((name, "integer", 7) for name in ("rotary", "xpos", "norm", "kv_cache")),
        *((name, "widths", 15) for name in ("rotary", "norm", "kv_cache")),
        ("rotary", "table_dtype", 5),
        *((name, "output", 7) for name in ("rotary", "xpos", "norm")),
        *(("norm", field, n) for field, n in (("weight_dtype", 4), ("weighted", 4))),
        *(("kv_cache", field, n) for field, n in (("value_dim", 5), ("scaled", 4), ("slot", 7))),
        *(("permute", field, n) for field, n in (("dtype", 7), ("widths", 18), ("function", 2))),
    ],
)
def test_kinds_hold_every_option(name: str, field: str, count: int) -> None:
    assert len({getattr(kind, field) for kind in OPERATIONS[name].kinds}) == count


@pytest.mark.parametrize("name", ["rotary", "norm", "kv_cache"])
def test_kinds_hold_every_pair_of_options(name: str) -> None:
    kinds = OPERATIONS[name].kinds
    assert {(kind.layout, kind.output_layout) for kind in kinds} == set(product(LAYOUTS, LAYOUTS))
    assert {(kind.axes, kind.periodic) for kind in kinds} == set(product((1, 3), (False, True)))


def test_the_table_tells_of_the_finding_that_is_nearest_its_bound() -> None:
    near, far = Finding("float32", 1.5, 2.0), Finding("float32", 4.0, 10.0)
    rows = merged([{("norm", "float32"): Row(n, found)} for n, found in ((3, near), (4, far))])
    assert table(rows).split() == ["norm", "float32", "1.5000", "of", "2", "in", "7", "cases"]
