"""Positions behind a KV cache and behind padding."""

import numpy as np
import pytest
import torch

from ropelab.positions import masked_positions, offset_positions
from tests.ropelab.support import refuses


def test_a_scalar_offset_continues_the_sequence() -> None:
    ids = offset_positions(4, 131_070)
    assert ids.dtype == np.int64
    assert ids.tolist() == [131_070, 131_071, 131_072, 131_073]
    assert offset_positions(0, 5).shape == (0,)


@pytest.mark.parametrize("dtype", [np.int32, np.uint64])
def test_each_sequence_has_its_own_offset(dtype: type) -> None:
    ids = offset_positions(3, np.array([0, 2**31 - 2, 40], dtype))
    assert ids.dtype == np.int64
    assert ids.tolist() == [[0, 1, 2], [2**31 - 2, 2**31 - 1, 2**31], [40, 41, 42]]


def test_padding_is_not_counted_as_in_transformers() -> None:
    mask = np.array([[0, 0, 1, 1, 1, 0, 1], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 1]])
    # GenerationMixin, Transformers 5.24, with 1 for what is padded
    theirs = (torch.tensor(mask).long().cumsum(-1) - 1).masked_fill(torch.tensor(mask) == 0, 1)
    for given in (mask, mask.astype(bool), mask.astype(np.uint8)):
        ids = masked_positions(given)
        assert ids.dtype == np.int64
        assert ids[mask == 1].tolist() == theirs.numpy()[mask == 1].tolist()
        assert not ids[mask == 0].any()


@pytest.mark.parametrize(
    ("tokens", "offset", "kind", "name"),
    [
        (-1, 0, ValueError, "tokens"),
        (2.0, 0, TypeError, "tokens"),
        (True, 0, TypeError, "tokens"),
        (3, [1.0], TypeError, "offset"),
        (3, [1, -2], ValueError, "offset"),
        (3, [[1]], ValueError, "offset"),
        (2, 2**63 - 2, ValueError, "offset"),
        (2, np.uint64(2**63), ValueError, "offset"),
    ],
)
def test_what_is_no_offset_is_refused(
    tokens: int, offset: object, kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        offset_positions(tokens, offset)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("mask", "kind"), [([0, 2], ValueError), ([0.0, 1.0], TypeError), (1, ValueError)]
)
def test_what_is_no_mask_is_refused(mask: object, kind: type[Exception]) -> None:
    with refuses(kind, "attention_mask"):
        masked_positions(mask)  # type: ignore[arg-type]
