"""Streams, graphs and threads: each op runs on torch's current stream, and only there."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import ropelab
import ropelab_cuda
from ropelab.scaling import DynamicNTK

pytestmark = pytest.mark.gpu

SPECTRUM = ropelab.Rope(128, base=5e5).spectrum()
LENGTHENED = ropelab.Rope(128, scaling=DynamicNTK(2.0), max_position_embeddings=4096)
SLEEP = 2_000_000  # cycles, about a millisecond: what comes after it is late
TOKENS = 512


@pytest.fixture(scope="module")
def torch() -> Any:
    import torch

    torch.manual_seed(0)
    return torch


def operations(torch: Any) -> dict[str, Callable[[Any, Any], tuple[Any, ...]]]:
    """Return each op as a function of x, which holds q and k, and of positions."""
    tables = ropelab_cuda.cos_sin(torch.arange(TOKENS, device="cuda") + 7, SPECTRUM)
    weights = torch.linspace(0.5, 2.0, 256, device="cuda").bfloat16().view(2, 128)

    def in_place(x: Any, ids: Any) -> tuple[Any, ...]:
        copy = x.clone()
        return ropelab_cuda.apply_rotary_qk_(copy[:, :, :12], copy[:, :, 12:], ids, SPECTRUM)

    def into(x: Any, ids: Any) -> tuple[Any, ...]:
        out = torch.full_like(x, float("nan"))
        return (ropelab_cuda.apply_rotary(x, ids, SPECTRUM, out=out),)

    def apart(x: Any, ids: Any) -> tuple[Any, ...]:
        q, k = x[:, :, :12], x[:, :, 12:]
        both: tuple[Any, ...] = ropelab_cuda.apply_rotary_qk(q, k, ids, SPECTRUM)
        return both

    def alone(x: Any, ids: Any) -> tuple[Any, ...]:
        return (ropelab_cuda.apply_rotary(x, ids, SPECTRUM),)

    def cached(x: Any, _: Any) -> tuple[Any, ...]:
        return (ropelab_cuda.apply_rotary_cached(x, *tables),)

    def cached_apart(x: Any, _: Any) -> tuple[Any, ...]:
        q, k = x[:, :, :12], x[:, :, 12:]
        both: tuple[Any, ...] = ropelab_cuda.apply_rotary_cached_qk(q, k, *tables)
        return both

    def cos_sin(_: Any, ids: Any) -> tuple[Any, ...]:
        return ropelab_cuda.cos_sin(ids, SPECTRUM)

    def phases(_: Any, ids: Any) -> tuple[Any, ...]:
        return (ropelab_cuda.exact_phases(ids, SPECTRUM),)

    def looked_up(x: Any, ids: Any) -> tuple[Any, ...]:
        rows: dict[str, Any] = {"position_ids": ids % TOKENS, "overrun": "clamp"}
        return (ropelab_cuda.apply_rotary_cached(x, *tables, **rows),)

    def norm(x: Any, ids: Any) -> tuple[Any, ...]:
        given: Any = (x[:, :, :12], x[:, :, 12:], *weights, ids, SPECTRUM)
        both: tuple[Any, ...] = ropelab_cuda.apply_norm_rotary_qk(*given)
        return both

    def xpos(x: Any, ids: Any) -> tuple[Any, ...]:
        near, centre = ids % 4096, 2048
        q, k = x[:, :, :12], x[:, :, 12:]
        both: tuple[Any, ...] = ropelab_cuda.apply_xpos_qk(q, k, near, SPECTRUM, centre=centre)
        return both

    def permuted(x: Any, _: Any) -> tuple[Any, ...]:
        return (ropelab_cuda.to_interleaved(x, 64),)

    def into_caches(x: Any, ids: Any) -> tuple[Any, ...]:
        q, k, v = x[:, :, :8], x[:, :, 8:12], x[:, :, 12:]
        caches = torch.zeros(2, 2 * TOKENS // 16, 16, 4, 128, device="cuda", dtype=x.dtype)
        slots = (ids.sum() + torch.arange(2 * TOKENS, device="cuda")) % (2 * TOKENS)
        given: Any = (q, k, v, ids, SPECTRUM, *caches, slots.view_as(ids))
        return (ropelab_cuda.apply_rotary_kv_cache(*given), caches)

    def by_length(x: Any, ids: Any) -> tuple[Any, ...]:
        return ropelab_cuda.rotate(LENGTHENED, x[:, :, :12], x[:, :, 12:], ids)

    rotations = (alone, into, apart, in_place, cached, cached_apart, cos_sin, phases)
    functions = (*rotations, looked_up, norm, xpos, permuted, into_caches, by_length)
    return dict(zip(OPERATIONS, functions, strict=True))


OPERATIONS = (
    *("apply_rotary", "apply_rotary, out", "apply_rotary_qk", "apply_rotary_qk_"),
    *("apply_rotary_cached", "apply_rotary_cached_qk", "cos_sin", "exact_phases"),
    *("apply_rotary_cached, rows", "apply_norm_rotary_qk", "apply_xpos_qk", "to_interleaved"),
    *("apply_rotary_kv_cache", "rotate"),
)


def inputs(torch: Any, seed: int) -> tuple[Any, Any]:
    """Return x and positions, of a shape that no two ops share by chance."""
    generator = torch.Generator("cuda").manual_seed(seed)
    x = torch.randn(2, TOKENS, 16, 128, device="cuda", generator=generator).bfloat16()
    ids = torch.randint(0, 2**31 - 1, (2, TOKENS), device="cuda", generator=generator)
    return x, ids


def same(torch: Any, one: tuple[Any, ...], other: tuple[Any, ...]) -> bool:
    return all(
        a.shape == b.shape and torch.equal(a.view(torch.uint8), b.view(torch.uint8))
        for a, b in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_race_with_a_side_stream_is_never_lost(torch: Any, name: str) -> None:
    run = operations(torch)[name]
    source, where = inputs(torch, 1)
    expected = run(source, where)
    assert same(torch, expected, run(source, where))  # by the plan that is now known
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    for _ in range(20):
        with torch.cuda.stream(side):
            x, ids = torch.zeros_like(source), torch.zeros_like(where)
            torch.cuda._sleep(SLEEP)
            x.copy_(source)
            ids.copy_(where)
            found = run(x, ids)
        side.synchronize()
        assert same(torch, found, expected)


def test_the_race_can_be_lost(torch: Any) -> None:
    """A control: the same on the wrong stream sees zeros."""
    source, where = inputs(torch, 1)
    expected = ropelab_cuda.apply_rotary(source, where, SPECTRUM)
    torch.cuda.synchronize()
    side = torch.cuda.Stream()
    with torch.cuda.stream(side):
        x = torch.zeros_like(source)
        torch.cuda._sleep(SLEEP)
        x.copy_(source)
    found = ropelab_cuda.apply_rotary(x, where, SPECTRUM)
    torch.cuda.synchronize()
    assert not torch.equal(found, expected)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_graph_replays_with_new_data(torch: Any, name: str) -> None:
    run = operations(torch)[name]
    x, ids = inputs(torch, 2)
    run(x, ids)  # a kernel may not be compiled while a graph is captured
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        outputs = run(x, ids)
    for seed in range(3, 13):
        new_x, new_ids = inputs(torch, seed)
        x.copy_(new_x)
        ids.copy_(new_ids)
        for output in outputs:
            output.view(torch.uint8).zero_()
        graph.replay()
        assert same(torch, outputs, run(new_x, new_ids))


def test_a_thread_that_has_asked_cuda_for_nothing(torch: Any) -> None:
    """It has no context, as the threads of torch's backward pass on the first device."""
    x, ids = inputs(torch, 4)
    wanted, out = ropelab_cuda.apply_rotary(x, ids, SPECTRUM), torch.full_like(x, float("nan"))
    thread = threading.Thread(
        target=ropelab_cuda.apply_rotary, args=(x, ids, SPECTRUM), kwargs={"out": out}
    )
    thread.start()
    thread.join()
    assert same(torch, (out,), (wanted,))


def test_threads_with_streams_of_their_own(torch: Any) -> None:
    """Each of eight threads has its stream, shapes and values; all launch at once."""
    count, rounds = 8, 60
    cases = []
    for number in range(count):
        x, ids = inputs(torch, 20 + number)
        x, ids = x[:, : 17 + 31 * number].contiguous(), ids[:, : 17 + 31 * number].contiguous()
        expected = ropelab_cuda.apply_rotary(x, ids, SPECTRUM)
        cases.append((x, ids, expected))
    # Against a lost race of all threads alike: the first is compared with the specification.
    few = (cases[0][0][:, :2].double().cpu().numpy(), cases[0][1][:, :2].cpu().numpy())
    true = torch.from_numpy(ropelab.apply_rotary(*few, SPECTRUM)).cuda()
    assert torch.allclose(cases[0][2][:, :2].double(), true, rtol=0.01, atol=0.02)
    torch.cuda.synchronize()
    wrong: list[str] = []
    together = threading.Barrier(count)

    def work(number: int) -> None:
        try:
            x, ids, expected = cases[number]
            stream = torch.cuda.Stream()
            together.wait()
            for turn in range(rounds):
                with torch.cuda.stream(stream):
                    late = torch.zeros_like(x)
                    torch.cuda._sleep(20_000)
                    late.copy_(x)
                    found = ropelab_cuda.apply_rotary(late, ids, SPECTRUM)
                    ropelab_cuda.apply_rotary_(late, ids, SPECTRUM)
                stream.synchronize()
                if not (torch.equal(found, expected) and torch.equal(late, expected)):
                    wrong.append(f"thread {number}, turn {turn}")
        except Exception as error:  # a thread's own failure would pass unseen
            wrong.append(f"thread {number}: {type(error).__name__}: {error}")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def allocating_calls(torch: Any) -> dict[str, tuple[Callable[[], Any], int]]:
    """Return calls, each with the bytes that it may allocate beside the outputs."""
    x, ids = inputs(torch, 3)
    q, k, v, both = x[:, :, :8], x[:, :, 8:12], x[:, :, 12:], (x[:, :, :12], x[:, :, 12:])
    near, weight = ids % 4096, torch.ones(128, device="cuda").bfloat16()
    tables = ropelab_cuda.cos_sin(torch.arange(TOKENS, device="cuda"), SPECTRUM)
    caches = torch.zeros(2, 2 * TOKENS // 16, 16, 4, 128, device="cuda", dtype=x.dtype)
    slots = torch.arange(2 * TOKENS, device="cuda").view(2, TOKENS)
    rows: dict[str, Any] = {"position_ids": ids % TOKENS, "overrun": "clamp"}
    stored: Any = (q, k, v, ids, SPECTRUM, *caches, slots)
    calls: dict[str, Callable[[], Any]] = {
        "apply_rotary": lambda: ropelab_cuda.apply_rotary(x, ids, SPECTRUM),
        "apply_rotary_": lambda: ropelab_cuda.apply_rotary_(x, ids, SPECTRUM),
        "apply_rotary_qk": lambda: ropelab_cuda.apply_rotary_qk(*both, ids, SPECTRUM),
        "apply_rotary_cached": lambda: ropelab_cuda.apply_rotary_cached(x, *tables),
        "apply_rotary_cached, rows": lambda: ropelab_cuda.apply_rotary_cached(x, *tables, **rows),
        "apply_rotary_cached_qk_": lambda: ropelab_cuda.apply_rotary_cached_qk_(*both, *tables),
        "apply_norm_rotary_qk": lambda: ropelab_cuda.apply_norm_rotary_qk(
            *both, weight, weight, ids, SPECTRUM
        ),
        "apply_norm_rotary_qk_": lambda: ropelab_cuda.apply_norm_rotary_qk_(
            *both, weight, None, ids, SPECTRUM, across_heads=False
        ),
        "apply_xpos_qk": lambda: ropelab_cuda.apply_xpos_qk(*both, near, SPECTRUM, centre=2048),
        "apply_rotary_kv_cache": lambda: ropelab_cuda.apply_rotary_kv_cache(*stored),
        "apply_rotary_kv_cache_": lambda: ropelab_cuda.apply_rotary_kv_cache_(*stored),
        "to_half": lambda: ropelab_cuda.to_half(x, 96),
        "to_half_": lambda: ropelab_cuda.to_half_(x),
    }
    by_length: dict[str, Callable[[], Any]] = {
        "rotate, by length": lambda: ropelab_cuda.rotate(LENGTHENED, *both, ids),
        "rotate_, by length": lambda: ropelab_cuda.rotate_(LENGTHENED, *both, ids),
    }
    return {
        **{name: (call, 0) for name, call in calls.items()},
        **{name: (call, 16 + 28 * 64) for name, call in by_length.items()},  # 64 pairs
    }


CALLS = (
    *("apply_rotary", "apply_rotary_", "apply_rotary_qk", "apply_rotary_cached"),
    *("apply_rotary_cached, rows", "apply_rotary_cached_qk_", "apply_norm_rotary_qk"),
    *("apply_norm_rotary_qk_", "apply_xpos_qk", "apply_rotary_kv_cache"),
    *("apply_rotary_kv_cache_", "to_half", "to_half_", "rotate, by length", "rotate_, by length"),
)


@pytest.mark.parametrize("name", CALLS)
def test_no_memory_is_allocated_but_for_the_outputs(torch: Any, name: str) -> None:
    """Nor by anybody else than torch, which has what it needs from the device before."""
    call, beside = allocating_calls(torch)[name]
    in_place = name.partition(",")[0].endswith("_")
    kept: Any = call()  # compiles what there is to compile
    requested = "requested_bytes.all."  # what torch was asked for, whatever it took for that
    for _ in range(3):  # by planning or replaying
        del kept
        torch.cuda.synchronize()
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_stats()[requested + "current"]
        kept = call()
        torch.cuda.synchronize()
        peak = torch.cuda.memory_stats()[requested + "peak"] - before
        outputs = sum(x.nbytes for x in (kept if isinstance(kept, tuple) else (kept,)))
        assert peak == (0 if in_place else outputs) + beside
    del kept
    free, _ = torch.cuda.mem_get_info()  # torch holds what it needs
    for _ in range(20):
        call()
    torch.cuda.synchronize()
    assert torch.cuda.mem_get_info()[0] >= free
