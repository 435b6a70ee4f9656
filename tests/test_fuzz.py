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

import ropelab
from ropelab.golden.case import Array
from ropelab_cuda.bench.workloads import WORKLOADS
from ropelab_cuda.launch import Plan
from ropelab_cuda.warmup import specialisations_of
from tests.fuzz.call import Call, findings
from tests.fuzz.campaign import Row, fuzzed, merged, table
from tests.fuzz.cases import LAYOUTS, TOKENS_OF_ONE
from tests.fuzz.devices import Host, shared_for
from tests.fuzz.errors import Finding
from tests.fuzz.operations import OPERATIONS
from tests.fuzz.rotary import MEASURED, RotaryCase, RotaryKind
from tests.fuzz.tables import READINGS, Lookup
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
        multiprocessors=132,
        source="ids",
        on_device=False,
        table_dtype=None,
        reading="plain",
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
    lookup=Lookup(1, "raise", None),
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
        *((name, "heads", 10) for name in ("rotary", "xpos", "norm", "kv_cache")),
        *((name, "integer", 7) for name in ("rotary", "xpos", "norm", "kv_cache")),
        *((name, "widths", 15) for name in ("rotary", "norm", "kv_cache")),
        *((name, "multiprocessors", 2) for name in ("rotary", "xpos", "norm", "kv_cache")),
        *((name, "source", 3) for name in ("rotary", "norm", "kv_cache")),
        *((name, "on_device", 2) for name in ("rotary", "norm", "kv_cache")),
        *((name, "output", 7) for name in ("rotary", "xpos", "norm")),
        *(("rotary", field, n) for field, n in (("table_dtype", 5), ("reading", 4))),
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


def test_kinds_read_tables_in_every_way() -> None:
    kinds = [kind for kind in OPERATIONS["rotary"].kinds if kind.table_dtype is not None]
    ways = {(kind.reading, kind.source) for kind in kinds if "indexed" in kind.reading}
    assert {source for _, source in ways} == {"ids", "consecutive", "packed"}
    assert {kind.reading for kind in kinds if kind.heads[1]} == {*READINGS}


def shares(q_heads: int, k_heads: int, rope: ropelab.Rope, **call: Any) -> set[tuple[Any, ...]]:
    """Return how the threads of a rotation of many tokens share its work, in place and not."""
    found = set()
    for in_place in (False, True):
        known = specialisations_of(
            rope, q_heads=q_heads, k_heads=k_heads, in_place=in_place, **call
        )
        for macros in (dict(specialisation.defines) for specialisation in known):
            if not macros["FEW_TOKENS"]:
                share = (macros[name] for name in ("PAIRS_HELD", "UNROLL", "TOKENS", "LOADS_FIRST"))
                found.add((*share, macros["TAIL"] != 0))
    return found


def test_kinds_share_work_in_every_way_of_the_benchmark() -> None:
    measured = set()
    for workload, layout in product(WORKLOADS, LAYOUTS):
        rope = ropelab.Rope(workload.head_dim, rotary_dim=workload.width, layout=layout)
        tokens = [(workload.batch, workload.sequence)]
        heads = workload.q_heads, workload.k_heads
        measured |= shares(*heads, rope, dtype=workload.dtype, tokens=tokens)
    fuzzed: set[tuple[Any, ...]] = set()
    with shared_for(1):
        for dtype, heads, (head_dim, rotary_dim), layout in MEASURED:
            rope = ropelab.Rope(head_dim, rotary_dim=rotary_dim, layout=layout)
            fuzzed |= shares(*heads, rope, dtype=dtype, tokens=[TOKENS_OF_ONE[1]])
    assert len(measured) >= 12
    assert fuzzed >= measured


def test_the_table_tells_of_the_finding_that_is_nearest_its_bound() -> None:
    near, far = Finding("float32", 1.5, 2.0), Finding("float32", 4.0, 10.0)
    rows = merged([{("norm", "float32"): Row(n, found)} for n, found in ((3, near), (4, far))])
    assert table(rows).split() == ["norm", "float32", "1.5000", "of", "2", "in", "7", "cases"]
