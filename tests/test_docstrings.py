"""Every example in a docstring runs, and everything public is documented with one."""

import doctest
import importlib
import inspect
from pathlib import Path

import pytest

import ropelab
import ropelab_cuda

ROOT = Path(__file__).parents[1]


def modules(package: str) -> list[str]:
    names = []
    for path in sorted((ROOT / package).rglob("*.py")):
        if path.name != "__main__.py":
            parts = path.relative_to(ROOT).with_suffix("").parts
            names.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return names


@pytest.mark.parametrize("name", [*modules("ropelab"), *modules("ropelab_cuda")])
def test_the_examples_of_a_module_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(name), raise_on_error=False)
    assert outcome.failed == 0, f"{outcome.failed} of {outcome.attempted} examples; see above"


PUBLIC = [
    pytest.param(getattr(package, name), id=f"{package.__name__}.{name}")
    for package in (ropelab, ropelab_cuda)
    for name in package.__all__
    if callable(getattr(package, name))
]


@pytest.mark.parametrize("subject", PUBLIC)
def test_what_is_public_documents_its_parameters(subject: object) -> None:
    text = inspect.getdoc(subject) or ""
    assert "\nParameters\n-----" in text
    assert inspect.isclass(subject) or "\nReturns\n-----" in text


@pytest.mark.parametrize(
    "subject", [param for param in PUBLIC if str(param.id).startswith("ropelab.")]
)
def test_what_the_specification_makes_public_has_an_example(subject: object) -> None:
    assert "\n>>> " in (inspect.getdoc(subject) or "")
