"""The types of layers that Transformers' config classes fill in where a config lists none."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from ...checks import positive_int

__all__ = ["PATTERNS", "Pattern"]

_SLIDING, _FULL, _LINEAR = "sliding_attention", "full_attention", "linear_attention"
_INDEXED = "indexed_attention"


class Pattern(NamedTuple):
    """One layer in so many differs from the others.

    Parameters
    ----------
    period : int
        How many.
    key : str, optional
        Of the config, which may give another period; letters count as layers ("LLLG").
    place : {"last", "first", "second", "from_end"}, default "last"
        Its place in a period, or that the last layer is one, and others are counted from there.
    others, one : str
        The names.
    also : tuple of int, optional
        Layers that are like the one in any case; negative ones count from the end.
    """

    period: int
    key: str | None = None
    place: str = "last"
    others: str = _SLIDING
    one: str = _FULL
    also: tuple[int, ...] = ()

    def names(self, values: Mapping[str, Any], count: int) -> tuple[str, ...]:
        """Return the types of so many layers.

        Parameters
        ----------
        values : mapping
            The config.
        count : int
            Of layers.

        Returns
        -------
        tuple of str
            In order.
        """
        given = None if self.key is None else values.get(self.key)
        if isinstance(given, str):
            given = len(given)
        period = self.period if given is None else positive_int(given, str(self.key))
        shift = {"last": 1, "first": 0, "second": -1, "from_end": 1 - count}[self.place]
        always = {i % count for i in self.also if -count <= i < count}
        return tuple(
            self.one if (i + shift) % period == 0 or i in always else self.others
            for i in range(count)
        )


_WINDOW = "sliding_window_pattern"
_HYBRID = Pattern(4, "full_attention_interval", others=_LINEAR)

PATTERNS: Mapping[str, Pattern] = MappingProxyType(
    {
        "afmoe": Pattern(4, "global_attn_every_n_layers"),
        "bailing_hybrid": Pattern(6, "layer_group_size", others=_LINEAR),
        "beam": Pattern(6, also=(-1,)),
        "cohere2": Pattern(4, _WINDOW),
        "cohere2_moe": Pattern(4, _WINDOW),
        "cwm": Pattern(4, place="first"),
        "diffusion_gemma_text": Pattern(6, also=(-1,)),
        "dory": Pattern(4),
        "dots3_note_text": Pattern(4, place="second", one=_INDEXED, also=(0, 1)),
        "embedding_gemma2_text": Pattern(6, also=(-1,)),
        "exaone4": Pattern(4, _WINDOW),
        "exaone_moe": Pattern(4, _WINDOW),
        "flint": Pattern(4, place="second", also=(0, 1, -1)),
        "gemma2": Pattern(2),
        "gemma3_text": Pattern(6, _WINDOW),
        "gemma3n_text": Pattern(5),
        "gemma4_text": Pattern(6, also=(-1,)),
        "gemma4_unified_text": Pattern(6, also=(-1,)),
        "gpt_oss": Pattern(2),
        "granite_swa": Pattern(4, place="first"),
        "granitemoe_swa": Pattern(4, place="first"),
        "kolibri1": Pattern(5),
        "mimo_v2_flash": Pattern(6, also=(0,)),
        "minimax": Pattern(2, others=_FULL, one=_LINEAR),
        "modernbert": Pattern(3, "global_attn_every_n_layers", place="first"),
        "modernbert-decoder": Pattern(3, "global_attn_every_n_layers", place="first"),
        "muse_glimmer_text": Pattern(4, place="from_end"),
        "muse_spark_text": Pattern(4, place="from_end"),
        "neomme": Pattern(6, also=(-1,)),
        "olmo3": Pattern(4),
        "olmo_hybrid": Pattern(4, others=_LINEAR),
        "qwen3_5_moe_text": _HYBRID,
        "qwen3_5_text": _HYBRID,
        "qwen3_next": _HYBRID,
        "qwen4_exp_text": Pattern(4, "full_attention_interval", others=_LINEAR, one=_INDEXED),
        "t5_gemma_module": Pattern(2),
        "t5gemma2_decoder": Pattern(6, _WINDOW),
        "t5gemma2_text": Pattern(6, _WINDOW),
        "ultrabert": Pattern(3),
        "vaultgemma": Pattern(2),
    }
)
"""By model_type."""
