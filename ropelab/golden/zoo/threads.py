"""Where the threads are that mutants name: issues and pull requests on GitHub."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["OWNERS", "link"]

OWNERS: Mapping[str, str] = MappingProxyType(
    {
        "apex": "NVIDIA",
        "aprender": "paiml",
        "Automodel": "NVIDIA-NeMo",
        "candle": "huggingface",
        "daScript": "GaijinEntertainment",
        "executorch": "pytorch",
        "exllamav3": "turboderp-org",
        "FlagGems": "flagos-ai",
        "flash-attention": "Dao-AILab",
        "gpt-neox": "EleutherAI",
        "imp": "kekzl",
        "keras-hub": "keras-team",
        "Liger-Kernel": "linkedin",
        "llama.cpp": "ggml-org",
        "maxtext": "AI-Hypercomputer",
        "Megatron-LM": "NVIDIA",
        "minimind": "jingyaogong",
        "mlx": "ml-explore",
        "mlx-examples": "ml-explore",
        "mlx-lm": "ml-explore",
        "mlx-vlm": "Blaizzy",
        "mlxcel": "lablup",
        "mobius": "onnxruntime",
        "modalities": "Modalities",
        "neuronx-distributed-inference": "aws-neuron",
        "nntile": "nntile",
        "ollama": "ollama",
        "open_lm": "mlfoundations",
        "pie": "pie-project",
        "pytorch-image-models": "huggingface",
        "Qwen": "QwenLM",
        "Qwen3-VL": "QwenLM",
        "rotary-embedding-torch": "lucidrains",
        "sglang": "sgl-project",
        "torchtitan": "pytorch",
        "TransformerEngine": "NVIDIA",
        "transformers": "huggingface",
        "tt-metal": "tenstorrent",
        "tvm": "apache",
        "UNI-D2": "nkalyanv99",
        "unsloth": "unslothai",
        "vllm": "vllm-project",
        "vllm-fork": "HabanaAI",
        "vllm-omni": "vllm-project",
        "x-transformers": "lucidrains",
        "zml": "zml",
    }
)
"""The owner of each repository; of those that share a name, of the one most threads are of."""

# Of kvcache-ai's fork, which counts its threads anew.
_ELSEWHERE: Mapping[str, str] = MappingProxyType({"sglang!31": "kvcache-ai"})


def link(thread: str) -> str:
    """Return a thread as a link of Markdown.

    Parameters
    ----------
    thread : str
        ``repository#issue`` or ``repository!pull-request``.

    Returns
    -------
    str
        The link, with the thread as its text.

    Raises
    ------
    ValueError
        If it is no thread, or nothing says whose the repository is.

    Examples
    --------
    >>> link("torchtitan#335")
    '[torchtitan#335](https://github.com/pytorch/torchtitan/issues/335)'
    """
    parts = re.fullmatch(r"([\w.-]+)([#!])(\d+)", thread)
    if parts is None or parts[1] not in OWNERS:
        msg = (
            f"thread: expected repository#issue or repository!pull-request of a repository in "
            f"OWNERS; got {thread!r}; say there whose it is"
        )
        raise ValueError(msg)
    repository, kind, number = parts.groups()
    owner = _ELSEWHERE.get(thread, OWNERS[repository])
    room = "issues" if kind == "#" else "pull"
    return f"[{thread}](https://github.com/{owner}/{repository}/{room}/{number})"
