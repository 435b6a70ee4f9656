"""Caches after the kernel's own source has run on the CPU, against the specification's, in bits.

Everything is compared: rows that were written, rows that nobody may touch, and guards around them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import ropelab
import ropelab_cuda
from ropelab.layouts import pair_channels
from ropelab.precision import RAW, eps, narrow, widen
from tests.shim.on_cpu import GUARD, POISON, guarded, on_cpu

pytestmark = pytest.mark.shim

Array = NDArray[Any]

DTYPES = ("float64", "float32", "float16", "bfloat16")
LAYOUTS = ("half", "interleaved")
# eps of the output a pair may err: the bounds of the goldens, whose reasons stand there.
BOUNDS = {"float64": 3.0, "float32": 3.0, "float16": 1.01, "bfloat16": 1.01}
BOUNDS |= {"float8_e4m3fn": 1.01, "float8_e5m2": 1.01}

B, S, H, KV, D, D_V = 2, 5, 9, 2, 24, 20
BLOCKS, SIZE = 4, 6
SLOTS = np.array([[17, -1, 4, 0, 22], [11, 9, -(2**62), 13, 2]])  # of 24; the last is nobody's
IDS = np.random.default_rng(3).integers(0, 2**20, (B, S))
SPECTRUM = ropelab.Spectrum(1e4 ** (-np.arange(0, 16, 2) / 16), 1.25)  # 16 of 24 channels


def random(*shape: int, dtype: str = "float32", seed: int = 0) -> Array:
    return narrow(np.random.default_rng(seed).standard_normal(shape), dtype)


def tensors(dtype: str = "float32", tensor_format: str = "bshd", width: int = D) -> list[Array]:
    sizes = {"b": B, "s": S, "t": B * S}
    shapes = ((H, D), (KV, D), (KV, width))
    return [
        random(*({**sizes, "h": h, "d": d}[axis] for axis in tensor_format), dtype=dtype, seed=i)
        for i, (h, d) in enumerate(shapes)
    ]


def cache(
    width: int = D, dtype: str = "float32", *, shape: tuple[int, ...] = (BLOCKS, SIZE, KV)
) -> Array:
    """Return a poisoned cache between guards."""
    array: Array = guarded((*shape, width), RAW[dtype] if dtype in RAW else np.dtype(dtype))
    return array


def guards(array: Array) -> bool:
    """Say whether the memory around a cache is as it was."""
    whole = array
    while isinstance(whole.base, np.ndarray):
        whole = whole.base
    return bool((whole[:GUARD] == POISON).all() and (whole[-GUARD:] == POISON).all())


def error(got: Array, want: Array, layout: str, first: int = 0, rotary_dim: int = 16) -> float:
    """Return the worst error of a pair in eps; other channels must agree bit for bit."""
    assert (got.dtype, got.shape) == (want.dtype, want.shape)
    last = first + rotary_dim
    for outside in (slice(0, first), slice(last, None)):
        assert got[..., outside].tobytes() == want[..., outside].tobytes()
    pairs = pair_channels(layout, rotary_dim)
    sides = [[widen(side[..., first:last][..., c]) for c in pairs] for side in (got, want)]
    size = np.hypot(*sides[1])
    wrong = np.hypot(sides[0][0] - sides[1][0], sides[0][1] - sides[1][1])
    assert np.isfinite(wrong).all()
    ratio = np.divide(wrong, size, out=np.zeros_like(wrong), where=wrong > 0)
    return float(ratio.max(initial=0.0)) / eps(want.dtype)


def check(
    given: dict[str, Any],
    *,
    layout: str = "half",
    first: int = 0,
    name: str = "apply_rotary_kv_cache",
    stored: str | None = None,
) -> None:
    """Run the kernel and the specification on the same arguments, and compare all they write."""
    wanted = dict(given)
    for key in ("q", "k_cache", "v_cache"):
        wanted[key] = given[key].copy()
    if name.endswith("_"):
        wanted["q"] = given["q"].copy()
    expected = ropelab.apply_rotary_kv_cache(**wanted)
    with on_cpu():
        actual = getattr(ropelab_cuda, name)(**given)
    dtype = given["q"].dtype.name if not given["q"].dtype.names else "bfloat16"
    assert error(actual, expected, layout, first) <= BOUNDS[dtype]
    assert error(given["k_cache"], wanted["k_cache"], layout, first) <= BOUNDS[stored or dtype]
    if stored is None:
        assert given["v_cache"].tobytes() == wanted["v_cache"].tobytes()
    else:
        assert error(given["v_cache"], wanted["v_cache"], "half", 0, 0) == 0.0


def arguments(dtype: str = "float32", width: int = D, **change: Any) -> dict[str, Any]:
    q, k, v = tensors(dtype, change.get("tensor_format", "bshd"), width)
    given: dict[str, Any] = {"q": q, "k": k, "v": v, "position_ids": IDS, "spectrum": SPECTRUM}
    given |= {"k_cache": cache(D, dtype), "v_cache": cache(width, dtype), "slots": SLOTS}
    return given | change


# ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("tensor_format", ["bshd", "bhsd", "sbhd", "thd"])
def test_every_dtype_layout_and_format(dtype: str, layout: str, tensor_format: str) -> None:
    options: dict[str, Any] = {"layout": layout, "tensor_format": tensor_format}
    if tensor_format == "thd":
        options |= {"position_ids": IDS.reshape(-1), "slots": SLOTS.reshape(-1)}
    given = arguments(dtype, D_V, **options)
    check(given, layout=layout)
    assert guards(given["k_cache"])
    assert guards(given["v_cache"])


@pytest.mark.parametrize(("layout", "output_layout"), [LAYOUTS, LAYOUTS[::-1]])
@pytest.mark.parametrize("name", ["apply_rotary_kv_cache", "apply_rotary_kv_cache_"])
@pytest.mark.parametrize("heads", [9, 1])
def test_another_layout_out_and_later_channels_where_some_tokens_have_no_slot(
    layout: str, output_layout: str, name: str, heads: int
) -> None:
    """With few heads several tokens share a block, and all its threads have to meet."""
    options: dict[str, Any] = {"layout": layout, "output_layout": output_layout, "rotary_offset": 5}
    given = arguments(**options)
    given["q"] = given["q"][:, :, :heads].copy()
    check(given, layout=output_layout, first=5, name=name)


def test_in_place_changes_the_queries_alone() -> None:
    packed = random(B, S, H + 2 * KV, D, dtype="float16")
    before = packed.copy()
    q, k, v = packed[:, :, :H], packed[:, :, H : H + KV], packed[:, :, H + KV :]
    given = arguments("float16", q=q, k=k, v=v)
    check(given, name="apply_rotary_kv_cache_")
    assert q[..., 16:].tobytes() == before[:, :, :H, 16:].tobytes()
    assert q[..., :16].tobytes() != before[:, :, :H, :16].tobytes()
    assert packed[:, :, H:].tobytes() == before[:, :, H:].tobytes()


def test_out_receives_the_queries() -> None:
    out = guarded((B, S, H, D), np.dtype(np.float32))
    given = arguments(out=out)
    expected = ropelab.apply_rotary(given["q"], IDS, SPECTRUM)
    with on_cpu():
        assert ropelab_cuda.apply_rotary_kv_cache(**given) is out
    assert error(out, expected, "half") <= 3.0
    assert guards(out)


def caches_in_memory(dtype: str) -> dict[str, Any]:
    """Return caches of one shape that lie in memory in every manner."""
    heads_first = [cache(D, dtype, shape=(BLOCKS, KV, SIZE)) for _ in "kv"]
    both = cache(D, dtype, shape=(BLOCKS, 2, SIZE, KV))
    by_head = cache(2 * D, dtype)
    padded = cache(D + 3, dtype, shape=(BLOCKS, SIZE + 1, KV + 1))[:, :-1, 1:, 2:-1]
    return {
        "heads first": (heads_first[0].swapaxes(1, 2), heads_first[1].swapaxes(1, 2)),
        "one after the other in each block": (both[:, 0], both[:, 1]),
        "side by side in each head": (by_head[..., :D], by_head[..., D:]),
        "padded": (padded, cache(D, dtype)),
        "reversed": (cache(D, dtype)[::-1, ::-1, ::-1], cache(D, dtype)[:, ::-1]),
        "contiguous": tuple(
            cache(D, dtype, shape=(1, BLOCKS * SIZE, KV)).reshape(BLOCKS, SIZE, KV, D) for _ in "kv"
        ),
    }


@pytest.mark.parametrize("kind", caches_in_memory("float32"))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_caches_of_any_strides(kind: str, dtype: str) -> None:
    k_cache, v_cache = caches_in_memory(dtype)[kind]
    check(arguments(dtype, k_cache=k_cache, v_cache=v_cache))
    assert guards(k_cache)
    assert guards(v_cache)


@pytest.mark.parametrize("shape", [(24, 1), (1, 24), (24, 1)[::-1]])
def test_blocks_of_one_row_and_one_block(shape: tuple[int, int]) -> None:
    caches: dict[str, Any] = {f"{name}_cache": cache(D, shape=(*shape, KV)) for name in "kv"}
    check(arguments(**caches))


def test_one_head_of_keys() -> None:
    _, k, v = tensors()
    caches: dict[str, Any] = {f"{name}_cache": cache(D, shape=(BLOCKS, SIZE, 1)) for name in "kv"}
    check(arguments(k=k[:, :, :1].copy(), v=v[:, :, :1], **caches))


@pytest.mark.parametrize("width", [1, 7, 64, 300])
def test_values_of_any_width(width: int) -> None:
    check(arguments("float16", width))


def test_values_of_many_heads_take_several_rounds() -> None:
    q, k, v = (random(1, 3, heads, 64, dtype="bfloat16", seed=heads) for heads in (1, 77, 77))
    caches: dict[str, Any] = {f"{x}_cache": cache(64, "bfloat16", shape=(2, 3, 77)) for x in "kv"}
    slots, ids = np.array([4, -1, 0]), np.arange(3)
    check(arguments("bfloat16", q=q, k=k, v=v, slots=slots, position_ids=ids, **caches))


@pytest.mark.parametrize("dtype", ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"])
def test_slots_of_every_integer_type(dtype: str) -> None:
    slots = np.maximum(SLOTS, -1 if dtype.startswith("int") else 1).astype(dtype)
    slots[0, 1], slots[1, 2] = 3, 5
    check(arguments(slots=slots))


@pytest.mark.parametrize("view", ["transposed", "stepped", "broadcast", "scalar"])
def test_slots_of_any_strides(view: str) -> None:
    slots: Array = SLOTS
    if view == "transposed":
        slots = SLOTS.T.copy().T
    elif view == "stepped":
        slots = np.repeat(np.repeat(SLOTS, 2, 0), 3, 1)[::2, ::3]
    elif view == "broadcast":
        slots = np.full((1, S), -1)
    else:
        slots = np.array(-1)
    check(arguments(slots=slots))


@pytest.mark.parametrize("past", [24, 25, 2**31, 2**32, 2**40, 2**63 - 1])
def test_a_slot_past_the_caches_writes_nothing_and_is_reported(past: int) -> None:
    slots = SLOTS.copy()
    slots[1, 3] = past
    flag = np.zeros(1, np.int32)
    given = arguments(slots=slots)
    wanted = {**arguments(slots=np.where(slots == past, -1, slots))}
    expected = ropelab.apply_rotary_kv_cache(**wanted)
    with on_cpu():
        actual = ropelab_cuda.apply_rotary_kv_cache(**given, overrun_flag=flag)
    assert error(actual, expected, "half") <= 3.0
    assert error(given["k_cache"], wanted["k_cache"], "half") <= 3.0
    assert given["v_cache"].tobytes() == wanted["v_cache"].tobytes()
    assert guards(given["k_cache"])
    assert flag.tolist() == [1]


@pytest.mark.parametrize("size", [1, 6])
def test_no_flag_is_set_where_all_slots_fit_and_none_is_cleared(size: int) -> None:
    for before in (0, 1):
        flag = np.array([before], np.int32)
        shape = (BLOCKS * SIZE // size, size, KV)
        caches: dict[str, Any] = {f"{x}_cache": cache(shape=shape) for x in "kv"}
        with on_cpu():
            ropelab_cuda.apply_rotary_kv_cache(**arguments(**caches), overrun_flag=flag)
        assert flag.tolist() == [before]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("stored", ["float8_e4m3fn", "float8_e5m2", "bfloat16", "float64"])
@pytest.mark.parametrize("scales", [{}, {"k_scale": 0.37, "v_scale": 2.71}])
def test_caches_of_another_format(dtype: str, stored: str, scales: dict[str, Any]) -> None:
    """Channels that are not rotated and values are converted; queries stay as they are."""
    if dtype == stored and not scales:
        return
    given = arguments(dtype, D_V, layout="interleaved", rotary_offset=4, **scales)
    given |= {"k_cache": cache(D, stored), "v_cache": cache(D_V, stored)}
    wanted = {**given, "k_cache": cache(D, stored), "v_cache": cache(D_V, stored)}
    expected = ropelab.apply_rotary_kv_cache(**wanted)
    with on_cpu():
        actual = ropelab_cuda.apply_rotary_kv_cache(**given)
    assert error(actual, expected, "interleaved", 4) <= BOUNDS[dtype]
    free = np.ones((BLOCKS, SIZE), bool)
    free.reshape(-1)[SLOTS[SLOTS >= 0]] = False
    for name in ("k_cache", "v_cache"):
        got, want = given[name], wanted[name]
        assert got[free].tobytes() == want[free].tobytes()
        assert guards(got)
        # The inverse of a scale and the product round in float32, float64 if either end is that.
        narrowest = "float64" if "float64" in (dtype, stored) else "float32"
        unit = max(eps(stored), 4 * eps(narrowest)) if scales or name == "k_cache" else 0.0
        there, true = (widen(side[~free]) for side in (got, want))
        away = np.abs(there - true)
        size = np.maximum(np.abs(true).max(), 2.0**-6)
        assert away.max() <= 2.0 * unit * size
        assert (away > 0).mean() <= (0.05 if eps(stored) > eps("float32") else 1.0)


def test_one_cache_may_be_narrower_than_the_other() -> None:
    given = arguments("bfloat16", v_cache=cache(D, "float8_e4m3fn"), v_scale=0.5)
    wanted = {**given, "k_cache": given["k_cache"].copy(), "v_cache": given["v_cache"].copy()}
    ropelab.apply_rotary_kv_cache(**wanted)
    with on_cpu():
        ropelab_cuda.apply_rotary_kv_cache(**given)
    assert error(given["k_cache"], wanted["k_cache"], "half") <= 1.01
    assert given["v_cache"].tobytes() == wanted["v_cache"].tobytes()  # halves are exact


def test_scales_may_lie_on_the_device() -> None:
    numbers: dict[str, Any] = {"k_scale": 0.25, "v_scale": 8.0}
    one, other = arguments("bfloat16", **numbers), arguments("bfloat16")
    other |= {name: np.array(value, np.float32) for name, value in numbers.items()}
    with on_cpu():
        for given in (one, other):
            ropelab_cuda.apply_rotary_kv_cache(**given)
    assert one["k_cache"].tobytes() == other["k_cache"].tobytes()
    assert one["v_cache"].tobytes() == other["v_cache"].tobytes()


@pytest.mark.parametrize("bits", [0x7FC1, 0xFFA5, 0x7F80, 0x0001, 0x8000])
def test_what_is_not_rotated_moves_as_bits(bits: int) -> None:
    q, k, v = (np.full(x.shape, bits, np.uint16).view(ropelab.bfloat16) for x in tensors())
    given = arguments("bfloat16", q=q, k=k, v=v)
    with on_cpu():
        rotated = ropelab_cuda.apply_rotary_kv_cache(**given)
    assert (rotated[..., 16:].view(np.uint16) == bits).all()
    rows = [slot for slot in SLOTS.reshape(-1) if slot >= 0]
    flat = [given[name].reshape(-1, KV, D)[rows] for name in ("k_cache", "v_cache")]
    assert (flat[0][..., 16:].view(np.uint16) == bits).all()
    assert (flat[1].view(np.uint16) == bits).all()


@pytest.mark.parametrize("angles", ["exact", "float32"])
def test_several_position_axes_and_periods(angles: str) -> None:
    numbers = ropelab.Spectrum(
        SPECTRUM.inv_freq, axes=np.arange(8) % 3, periods=np.array([6, 0] * 4)
    )
    ids = np.arange(30).reshape(3, B, S) * 1777
    check(arguments(spectrum=numbers, position_ids=ids, angles=angles))


def test_a_cache_of_more_than_two_to_the_32_elements() -> None:
    """Rows at both ends of memory that is never touched in between, so never committed."""
    blocks, size, width = 2**18 + 1, 2**6, 2**8
    memory = [np.zeros(blocks * size * width, np.float16) for _ in "kv"]
    k_cache, v_cache = (m.reshape(blocks, size, 1, width) for m in memory)
    assert k_cache.size > 2**32
    q, k, v = (random(1, 3, 1, width, dtype="float16", seed=i) for i in range(3))
    last = blocks * size - 1
    slots, ids = np.array([[last, 0, 2**23 + 5]]), np.array([[1, 2, 3]])
    expected = ropelab.apply_rotary(k, ids, SPECTRUM)
    with on_cpu():
        ropelab_cuda.apply_rotary_kv_cache(q, k, v, ids, SPECTRUM, k_cache, v_cache, slots)
    for token, slot in enumerate(slots[0]):
        held = (m.reshape(-1, 1, width)[slot] for m in memory)
        assert error(next(held), expected[0, token], "half") <= 1.01
        assert next(held).tobytes() == v[0, token].tobytes()


@pytest.mark.parametrize("change", ["no tokens", "no queries", "no keys", "no slots at all"])
def test_nothing_to_do(change: str) -> None:
    q, k, v = tensors()
    given = arguments()
    if change == "no tokens":
        given |= {"q": q[:, :0], "k": k[:, :0], "v": v[:, :0]}
        given |= {"position_ids": IDS[:, :0], "slots": SLOTS[:, :0]}
    elif change == "no queries":
        given |= {"q": q[:, :, :0]}
    elif change == "no keys":
        given |= {"k": k[:, :, :0], "v": v[:, :, :0]}
        given |= {f"{x}_cache": np.empty((BLOCKS, SIZE, 0, D), np.float32) for x in "kv"}
    else:
        given |= {"slots": np.array(-1)}
        given |= {f"{x}_cache": np.empty((0, SIZE, KV, D), np.float32) for x in "kv"}
    check(given)
