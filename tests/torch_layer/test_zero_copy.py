"""The specification reads torch's memory itself, and its results are torch's without a copy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

import ropelab.arrays
import ropelab.pairs
import ropelab.rotary
import ropelab.rotary_cached
import ropelab.tables
from ropelab_cuda.torch import apply_rotary, apply_rotary_, apply_rotary_cached
from tests.torch_layer.support import FORMATS, qk

SPECTRUM = ropelab.Rope(12, base=500.0, rotary_dim=6).spectrum()
IDS = torch.tensor([[3, 70_001, 2, 131_071, 0], [-4, 9, 77_777, 5, 100_003]])
DTYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16], ids=str)
PATHS = pytest.mark.parametrize("requires_grad", [False, True], ids=["straight", "recorded"])

Seen = list[tuple[int, int]]  # addresses of an input and of what is made of it


def address(array: NDArray[Any]) -> int:
    return array.__array_interface__["data"][0]  # type: ignore[no-any-return]


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> Seen:
    """Write down where the arrays lie that the specification turns."""
    addresses: Seen = []
    turned = ropelab.pairs.turned

    def spy(x: NDArray[Any], *others: Any) -> NDArray[Any]:
        made = turned(x, *others)
        addresses.append((address(x), address(made)))
        return made

    for module in (ropelab.pairs, ropelab.rotary_cached):
        monkeypatch.setattr(module, "turned", spy)
    return addresses


@PATHS
@DTYPES
@pytest.mark.parametrize("tensor_format", FORMATS)
def test_queries_and_keys_are_read_and_returned_where_they_lie(
    tensor_format: str, dtype: torch.dtype, requires_grad: bool, seen: Seen
) -> None:
    q, k = qk(tensor_format, dtype=dtype, requires_grad=requires_grad)
    made = apply_rotary(q, k, IDS, SPECTRUM, tensor_format=tensor_format)
    assert seen == [(x.data_ptr(), y.data_ptr()) for x, y in zip((q, k), made, strict=True)]
    assert not {x.data_ptr() for x in (q, k)} & {y.data_ptr() for y in made}


@DTYPES
def test_views_are_read_where_they_lie(dtype: torch.dtype, seen: Seen) -> None:
    packed = torch.cat(qk(dtype=dtype), dim=2)  # as a projection has them
    q, k = packed[:, :, :4], packed[:, :, 4:]
    apply_rotary(q, k, IDS, SPECTRUM)
    assert [x for x, _ in seen] == [packed.data_ptr(), packed[:, :, 4:].data_ptr()]


@PATHS
@DTYPES
def test_given_tables_are_read_where_they_lie(
    dtype: torch.dtype, requires_grad: bool, seen: Seen, monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = [torch.rand(5, 6, requires_grad=requires_grad).to(dtype) for _ in range(2)]
    q, k = qk(dtype=dtype)
    read: list[int] = []
    as_floats: Callable[..., NDArray[Any]] = ropelab.arrays.as_floats

    def spy(x: object, name: str) -> NDArray[Any]:
        made = as_floats(x, name)
        read.append(address(made))
        return made

    monkeypatch.setattr(ropelab.tables, "as_floats", spy)
    made = apply_rotary_cached(q, k, *tables)
    # Straight, once for queries and keys; an operator has one tensor.
    assert read == [table.data_ptr() for table in tables] * (2 if requires_grad else 1)
    assert seen == [(x.data_ptr(), y.data_ptr()) for x, y in zip((q, k), made, strict=True)]


@DTYPES
def test_what_is_overwritten_stays_where_it_is(dtype: torch.dtype, seen: Seen) -> None:
    q, k = qk(dtype=dtype)
    before = [(x.data_ptr(), x.clone()) for x in (q, k)]
    made = apply_rotary_(q, k, IDS, SPECTRUM)
    assert [x for x, _ in seen] == [place for place, _ in before]
    for x, y, (place, old) in zip((q, k), made, before, strict=True):
        assert y is x
        assert x.data_ptr() == place
        assert not torch.equal(x, old)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8], ids=str)
def test_positions_are_read_where_they_lie(
    dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = torch.arange(40, dtype=dtype)[::4].reshape(2, 5)
    read: list[NDArray[Any]] = []
    by_token: Callable[..., Any] = ropelab.pairs.cos_sin_by_token

    def spy(shape: Any, name: str, position_ids: Any, *others: Any) -> Any:
        read.append(ropelab.arrays.as_array(position_ids, "position_ids"))
        return by_token(shape, name, position_ids, *others)

    monkeypatch.setattr(ropelab.rotary, "cos_sin_by_token", spy)
    apply_rotary(*qk(dtype=torch.float32), ids, SPECTRUM)
    assert [address(array) for array in read] == [ids.data_ptr()]
    assert np.array_equal(read[0], ids.numpy())
