"""A module gets other globals under its feet, and nobody else notices."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

import pytest
import torch
from torch.nn import Linear, Module

from ropelab_cuda.torch.rebinding import kept, parts_of, rebound
from ropelab_cuda.torch.swapping import (
    check_swappable,
    maker_of,
    methods_of,
    restore,
    subclass,
    swap,
    swapped_from,
)


def scale(x: Any) -> Any:
    return 2 * x


def other_scale(x: Any) -> Any:
    return 100 * x


def decorated(function: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        return 1 + function(*args, **kwargs)

    return wrapper


class Base(Module):
    def helper(self, x: Any) -> Any:
        return scale(x)

    def forward(self, x: Any) -> Any:
        return -self.helper(x)


class Derived(Base):
    @decorated
    @decorated
    def forward(self, x: Any, *, power: int = 3) -> Any:
        """Scale."""
        return scale(x) ** power


REPLACED = {"scale": other_scale}


def test_a_function_finds_other_globals_behind_its_decorators() -> None:
    forward = dict(methods_of(Derived))["forward"]
    made = rebound(forward, REPLACED)
    assert made(None, 1) == 100**3 + 2
    assert made(None, 1, power=1) == 100 + 2
    assert forward(None, 1) == 2**3 + 2
    assert scale(1) == 2


def test_a_rebound_function_is_described_as_before() -> None:
    forward = dict(methods_of(Derived))["forward"]
    made: Any = rebound(forward, REPLACED)
    assert (made.__name__, made.__doc__) == ("forward", "Scale.")
    assert (made.__module__, made.__qualname__) == (forward.__module__, forward.__qualname__)
    innermost = made.__wrapped__.__wrapped__
    assert innermost(None, 1) == 100**3


def test_methods_come_from_all_classes_below_module() -> None:
    methods = dict(methods_of(Derived))
    assert set(methods) == {"forward", "helper"}
    assert methods["forward"] is Derived.forward
    assert "state_dict" not in methods


FACTOR = 3


def scaled(x: Any) -> Any:
    return [scale(FACTOR * each) for each in (lambda: [x, abs(x)])()]


def test_what_a_function_is_made_of_is_told_from_what_it_is_made_of_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    @kept(lambda function: parts_of(function, REPLACED))
    def made_by(function: Any) -> Any:
        made.append(function)
        return rebound(function, REPLACED)

    function: Any = decorated(scaled)
    kept_one = made_by(function)
    assert made_by(function) is kept_one
    assert kept_one.__wrapped__(1) == [300, 300]
    changes: list[tuple[str, Any]] = [("FACTOR", 5), ("abs", lambda x: x + 1)]
    for name, value in changes:  # one named in a function within, and one of Python's own
        monkeypatch.setitem(globals(), name, value)
        assert made_by(function) is not kept_one
        kept_one = made_by(function)
        assert made_by(function) is kept_one
    assert kept_one.__wrapped__(1) == [500, 1000]
    monkeypatch.setitem(globals(), "unnamed", 1)
    assert made_by(function) is kept_one
    monkeypatch.setattr(scaled, "__defaults__", (1,))
    assert made_by(function) is not kept_one
    assert len(made) == 4


def made_from(kind: type[Module]) -> type[Module]:
    methods = {name: rebound(method, REPLACED) for name, method in methods_of(kind)}
    return subclass(kind, methods, (made_from, kind))


def test_a_swapped_module_is_an_instance_of_its_class() -> None:
    module, other = Base(), Base()
    assert swapped_from(module) is None
    swap(module, made_from(Base))
    assert isinstance(module, Base)
    assert (type(module).__name__, type(module).__module__) == ("Base", Base.__module__)
    assert swapped_from(module) is Base
    assert maker_of(module) is made_from
    assert (module(1), other(1)) == (-100, -2)
    restore(module)
    assert type(module) is Base
    assert module(1) == -2


def test_a_class_derived_from_a_swapped_one_is_not_swapped() -> None:
    class Further(made_from(Base)):  # type: ignore[misc]
        pass

    assert swapped_from(Further()) is None


def test_a_kept_method_is_swapped_too() -> None:
    module: Any = Base()
    module.kept = module.forward
    module.forward = lambda x: module.kept(x) + 0.5
    check_swappable(module)
    swap(module, made_from(Base))
    assert module(1) == -100 + 0.5
    restore(module)
    assert module(1) == -2 + 0.5


def test_a_forward_that_leads_nowhere_is_refused() -> None:
    module: Any = Base()
    module.forward = other_scale
    with pytest.raises(ValueError, match=r"model: expected each Base to have the forward of its"):
        check_swappable(module)


def test_parameters_stay_where_they_are() -> None:
    module = Linear(2, 3)
    weight = module.weight
    swap(module, made_from(Linear))
    assert module.weight is weight
    assert torch.equal(module(torch.eye(2)), (weight + module.bias[:, None]).T)
