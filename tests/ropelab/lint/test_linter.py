"""Each kind of defect is found where it is, and not where it is not."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ropelab import Rope
from ropelab.lint import KINDS, SEVERITIES, Finding, lint
from ropelab.models import MODELS
from ropelab.scaling import YaRNPaper

from tests.ropelab.lint.defects import CASES, LLAMA, changed


def kinds_of(config: Any) -> set[str]:
    return {finding.kind for finding in lint(config)}


def test_there_is_a_case_for_each_kind() -> None:
    assert list(CASES) == list(KINDS)
    assert len(KINDS) >= 25


@pytest.mark.parametrize("name", CASES)
def test_a_config_with_the_defect(name: str) -> None:
    found = [finding for finding in lint(changed(CASES[name].bad)) if finding.kind == name]
    assert found
    for finding in found:
        assert finding.severity == KINDS[name].severity
        assert finding.reason == f"{KINDS[name].reason} ({KINDS[name].source})"
        assert finding.keys
        assert all(isinstance(key, str) for key in finding.keys)
        assert CASES[name].fix in finding.fix


@pytest.mark.parametrize("name", CASES)
def test_a_config_near_it_that_has_it_not(name: str) -> None:
    assert name not in kinds_of(changed(CASES[name].good))


def test_a_sound_config_has_no_findings() -> None:
    assert lint(LLAMA) == []
