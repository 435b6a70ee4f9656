"""DTensors on two ranks of the CPU, and the recipes for several ranks."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.torch_layer.two_ranks import CHECKS, failures


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return failures("cpu", tmp_path_factory.mktemp("ranks"))


@pytest.mark.parametrize("check", CHECKS)
def test_shards_put_together_are_the_unsharded_result(check: str, said: dict[str, str]) -> None:
    assert said.get(check, "not reached; see the check that failed") == ""


def test_who_does_not_import_the_rules_does_not_register_them() -> None:
    script = (
        "import ropelab_cuda.torch, sys; sys.exit('ropelab_cuda.torch.sharding' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
