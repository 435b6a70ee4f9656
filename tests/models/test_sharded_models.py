"""Patched models on two ranks of the CPU."""

from __future__ import annotations

import pytest

from tests.models import sharded_models
from tests.torch_layer.two_ranks import failures

pytestmark = pytest.mark.parity


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return failures("cpu", tmp_path_factory.mktemp("ranks"), sharded_models.__name__)


@pytest.mark.parametrize("check", sharded_models.CHECKS)
def test_a_patched_model_does_sharded_what_it_did_whole(check: str, said: dict[str, str]) -> None:
    assert said.get(check, "not reached; see the check that failed") == ""
