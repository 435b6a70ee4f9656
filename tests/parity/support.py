"""Transformers' own modules, built from a config, and the numbers they turn by."""

import inspect
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from importlib import import_module
from typing import Any

import numpy as np
import torch
import transformers
from numpy.typing import NDArray
from transformers import AutoConfig

VERSION = tuple(int(part) for part in transformers.__version__.split(".")[:2])
V5 = VERSION >= (5, 0)
Config = dict[str, Any]


@contextmanager
def warnings_of_transformers() -> Iterator[list[str]]:
    """Collect what Transformers warns of, each time anew."""
    transformers.utils.logging.warning_once.cache_clear()
    logger, found = logging.getLogger("transformers"), list[str]()

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.levelno >= logging.WARNING:
                found.append(record.getMessage())

    handler, level, handlers = Keep(), logger.level, logger.handlers[:]
    logger.handlers, logger.level = [handler], logging.WARNING
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield found
        found.extend(str(warning.message) for warning in caught)
    finally:
        logger.handlers, logger.level = handlers, level


def rotary_class(config: Any) -> Any:
    """Return the class of rotary embeddings that a config's model builds from it."""
    name = type(config).__module__.replace("configuration_", "modeling_")
    module = import_module(name)
    classes = [getattr(module, name) for name in vars(module) if name.endswith("RotaryEmbedding")]
    for each in classes:
        annotation = inspect.signature(each.__init__).parameters.get("config")
        if annotation is not None and type(config).__name__ in str(annotation.annotation):
            return each
    return next(
        each for each in classes if "Vision" not in each.__name__ and "Audio" not in each.__name__
    )


def theirs(config: Config) -> tuple[Any, Any]:
    """Build config and module, or raise what Transformers raises."""
    given = deepcopy(config)  # it writes into dictionaries
    built = AutoConfig.for_model(given.pop("model_type"), **given)
    return built, rotary_class(built)(built)


def numbers(module: Any, layer: str, length: int | None) -> tuple[NDArray[np.float64], float]:
    """Return the frequencies and the factor that a module uses at a length."""
    per_layer = hasattr(module, f"{layer}_inv_freq")
    if length is not None:
        more = {"layer_type": layer} if per_layer else {}
        module(torch.zeros(1), torch.tensor([[length - 1]]), **more)
    prefix = f"{layer}_" if per_layer else ""
    factor = getattr(module, f"{prefix}attention_scaling", 1.0)
    return getattr(module, f"{prefix}inv_freq").double().numpy(), float(factor)
