"""DTensors on two GPUs, a process each, by NCCL: ``.ci/gpu two``, which wants two of them."""

from __future__ import annotations

import pytest

from tests.torch_layer.two_ranks import CHECKS, failures

pytestmark = pytest.mark.multi_gpu


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return failures("cuda", tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("check", CHECKS)
def test_shards_put_together_are_the_unsharded_result(check: str, said: dict[str, str]) -> None:
    assert said.get(check, "not reached; see the check that failed") == ""
