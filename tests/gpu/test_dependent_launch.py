"""A rotation that starts before its predecessors are done never reads what they have yet to write.

10,000 chains of a producer, an operation and a consumer, in a stream and in a graph, each with
other values; see chain.py. The controls at the end take the wait out of the kernel, and must fail.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest

from ropelab.pairs import Placement
from ropelab_cuda import launch_rotary, tuning
from ropelab_cuda.compile import OPTIONS, source
from ropelab_cuda.exchange import Gate
from ropelab_cuda.launch import Plan
from ropelab_cuda.launcher import prepare_launch
from ropelab_cuda.views import View
from tests.gpu.chain import SECOND_LOOK, WAIT, Chain
from tests.gpu.chained import CHAINED, FEW, ROTARY, Chained

pytestmark = pytest.mark.gpu

REPLAYS = 10_000
SHAPES = {"few tokens": FEW, "many tokens": (2048, 2, 1), "late blocks": (20_000, 2, 1)}
# Cycles by which the producer is late: in a stream longer than the host takes to launch a chain, so
# that the device is never idle and each kernel meets its predecessor.
LATE = {"stream": 100_000, "graph": 20_000}


@pytest.fixture(scope="module", autouse=True)
def cuda_bindings() -> None:
    """Without cuda-bindings every launch is plain, and nothing here would show anything."""
    import cuda.bindings.driver  # noqa: F401
    import torch

    assert torch.cuda.get_device_capability() >= (9, 0)


def chain_of(
    chained: Chained,
    shape: tuple[int, int, int],
    mode: str,
    *,
    in_place: bool = False,
    early: bool = True,
    dependent: bool = True,
) -> Chain:
    """Return a chain for an operation."""
    kind, delay = chained.kind, LATE[mode]
    return Chain(
        *shape, kind=kind, in_place=in_place, early=early, dependent=dependent, delay=delay
    )


def repeat(chain: Chain, rotate: Callable[[], Any], mode: str, count: int) -> tuple[int, int, int]:
    """Run so many chains in a stream or by replays of a graph; return the chain's counters."""
    import torch

    side: Any = torch.cuda.Stream()  # type: ignore[no-untyped-call]  # chains may not overlap with work on the default stream
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        chain.run(rotate)  # compiles what there is to compile
        torch.cuda.synchronize()
        chain.counters.zero_()
        if mode == "stream":
            for _ in range(count):
                chain.run(rotate)
        else:
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=side):
                chain.run(rotate)
            for _ in range(count):
                graph.replay()
    torch.cuda.synchronize()
    return chain.result()


@pytest.mark.parametrize("mode", LATE)
@pytest.mark.parametrize("dependent", [False, True], ids=["plain consumer", "dependent consumer"])
@pytest.mark.parametrize("early", [False, True], ids=["late producer", "early producer"])
@pytest.mark.parametrize("in_place", [False, True], ids=["out", "in place"])
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_no_element_is_ever_wrong(
    shape: tuple[int, int, int], in_place: bool, early: bool, dependent: bool, mode: str
) -> None:
    chain = chain_of(ROTARY, shape, mode, in_place=in_place, early=early, dependent=dependent)
    rotate = ROTARY.call_of(chain, ROTARY.kind)
    assert repeat(chain, rotate, mode, REPLAYS) == (REPLAYS, 0, REPLAYS)


@pytest.mark.parametrize("mode", LATE)
@pytest.mark.parametrize("few", [True, False], ids=["few tokens, in place", "many tokens, out"])
@pytest.mark.parametrize("name", CHAINED)
def test_no_element_of_any_operation_is_ever_wrong(name: str, few: bool, mode: str) -> None:
    chained = CHAINED[name]
    chain = chain_of(chained, FEW if few else chained.shape, mode, in_place=few)
    call = chained.call_of(chain, chained.kind)
    assert repeat(chain, call, mode, REPLAYS) == (REPLAYS, 0, REPLAYS)


# ------------------------------------------------------------------------------------------------
# Controls: the same chains around a kernel that is launched by hand, from changed source.


# When angles are computed: see angles.cuh.
AFTER_THE_LOADS = {"guesses": False, "few_tokens": False, "loads_first": False}
BEFORE_THE_WAIT = {"guesses": True, "few_tokens": False, "loads_first": False}
LATE_AFTER_THE_LOADS = {"guesses": True, "few_tokens": False, "loads_first": True}
BESIDE_THE_LOADS = {"guesses": True, "few_tokens": True, "loads_first": False}
ORDERS = [AFTER_THE_LOADS, BEFORE_THE_WAIT, LATE_AFTER_THE_LOADS, BESIDE_THE_LOADS]


def plan_of(chain: Chain, monkeypatch: pytest.MonkeyPatch, order: dict[str, bool]) -> Plan:
    """Plan the rotation of a chain, with angles computed at some time."""
    choose = tuning.choose_tuning
    monkeypatch.setattr(
        launch_rotary,
        "choose_tuning",
        lambda work, **options: choose(work, **options)._replace(**order),
    )

    def view(tensor: Any, dtype: str) -> View:
        return View(tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), dtype)

    pairs = zip((chain.q, chain.k), chain.out, strict=True)
    operands = [(view(x, "bfloat16"), view(out, "bfloat16")) for x, out in pairs]
    ids = view(chain.ids, "int64")
    place = Placement("thd", "half")
    spectrum = ROTARY.kind.spectrum()
    return launch_rotary.plan_rotary(operands, ids, spectrum, place=place, angles="exact")


def plans_of(call: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> list[Plan]:
    """Return what a call would launch that is the first of its kind; nothing is remembered."""
    plans: list[Plan] = []

    def keep(_gate: Gate, plan: Plan, _outputs: Any) -> None:
        plans.append(plan)

    with monkeypatch.context() as patch:
        patch.setattr(Gate, "launch", keep)
        call()
    assert plans
    return plans


def by_hand(plan: Plan, change: tuple[str, str]) -> Callable[[], None]:
    """Return what launches a plan, as a dependent, from source with a change."""
    import cupy
    import torch

    text = source(plan.specialisation)
    assert change[0] in text
    kernel = cupy.RawKernel(text.replace(*change), plan.specialisation.kernel, OPTIONS)
    address = ctypes.addressof(plan.parameters)
    launch = prepare_launch(int(kernel.kernel.ptr), plan.grid, plan.block, address, dependent=True)

    def rotate(_alive: object = (kernel, plan)) -> None:
        launch(torch.cuda.current_stream().cuda_stream)

    return rotate


@pytest.mark.parametrize("mode", LATE)
@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=list(SHAPES))
def test_the_kernel_by_hand_is_right(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int], order: dict[str, bool], mode: str
) -> None:
    chain = chain_of(ROTARY, shape, mode)
    rotate = by_hand(plan_of(chain, monkeypatch, order), (WAIT, WAIT))
    assert repeat(chain, rotate, mode, 500) == (500, 0, 500)


CONTROL = (64, 4, 2)  # tokens and heads, of no other chain: no plan of them is known


@pytest.mark.parametrize("mode", LATE)
@pytest.mark.parametrize(
    ("change", "order"),
    [
        ((WAIT, ""), AFTER_THE_LOADS),
        ((WAIT, ""), BEFORE_THE_WAIT),
        ((WAIT, ""), LATE_AFTER_THE_LOADS),
        ((WAIT, ""), BESIDE_THE_LOADS),
        ((SECOND_LOOK, "false;"), BEFORE_THE_WAIT),
        ((SECOND_LOOK, "false;"), LATE_AFTER_THE_LOADS),
        ((SECOND_LOOK, "false;"), BESIDE_THE_LOADS),
    ],
    ids=[
        *("no wait", "no wait, angles first", "no wait, late blocks load first"),
        *("no wait, angles beside the loads", "no second look"),
        *("no second look, late blocks load first", "no second look, angles beside the loads"),
    ],
)
def test_a_kernel_that_believes_too_early_is_caught(
    monkeypatch: pytest.MonkeyPatch, change: tuple[str, str], order: dict[str, bool], mode: str
) -> None:
    chain = chain_of(ROTARY, CONTROL, mode, dependent=False)
    assert_caught(chain, by_hand(plan_of(chain, monkeypatch, order), change), mode)


def assert_caught(chain: Chain, rotate: Callable[[], Any], mode: str) -> None:
    """Assert that many chains find a kernel wrong."""
    begun, wrong, checked = repeat(chain, rotate, mode, 200)
    print(f"\n{wrong} elements wrong in {checked} chains")
    assert begun == checked == 200
    assert wrong > 1000


BELIEVERS = [
    *((name, WAIT, "") for name in CHAINED),
    *((name, SECOND_LOOK, "false;") for name, chained in CHAINED.items() if chained.guesses),
]


@pytest.mark.parametrize(
    ("name", "old", "new"),
    BELIEVERS,
    ids=[f"{name}, no {'second look' if new else 'wait'}" for name, _, new in BELIEVERS],
)
def test_an_operation_that_believes_too_early_is_caught(
    monkeypatch: pytest.MonkeyPatch, name: str, old: str, new: str
) -> None:
    chained = CHAINED[name]
    chain = chain_of(chained, CONTROL, "graph", dependent=False)
    plans = plans_of(chained.call_of(chain, chained.kind), monkeypatch)
    launches = [by_hand(plan, (old, new)) for plan in plans]
    assert_caught(chain, lambda: [launch() for launch in launches], "graph")
