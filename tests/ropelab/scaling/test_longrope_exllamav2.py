"""ExLlamaV2's LongRoPE: what is chosen when a model is loaded."""

import numpy as np
import pytest

from ropelab import Rope
from ropelab.golden.cards.longrope_lists import PHI_3_5_LONG, PHI_3_5_SHORT
from ropelab.scaling import ExLlamaLongRoPE, LongRoPE
from tests.ropelab.support import refuses

RULE = ExLlamaLongRoPE(PHI_3_5_SHORT, PHI_3_5_LONG, 4096)


def loaded(length: int) -> Rope:
    return Rope(96, scaling=RULE, max_position_embeddings=length)


# sqrt(1 + ln(a / 4096) / ln 4096), computed for the comparison of ExLlamaV2 with Transformers.
@pytest.mark.parametrize(
    ("length", "factor"), [(32768, 1.11803), (65536, 1.15470), (131072, 1.19024)]
)
def test_a_long_load_has_the_long_list_at_every_length(length: int, factor: float) -> None:
    long = Rope(
        96, scaling=LongRoPE(PHI_3_5_SHORT, PHI_3_5_LONG, 4096), max_position_embeddings=length
    ).spectrum(4097)
    for seq_len in (None, 1, 4096, length):
        spectrum = loaded(length).spectrum(seq_len)
        np.testing.assert_array_equal(spectrum.inv_freq, long.inv_freq)
        assert round(spectrum.attention_factor, 5) == factor


@pytest.mark.parametrize("length", [1, 2048, 4096])
def test_a_short_load_has_the_short_list_and_no_factor(length: int) -> None:
    spectrum = loaded(length).spectrum(131072)
    # Transformers 5.23.0, float32: the short list's second and last frequency; its factor is 1.19.
    np.testing.assert_allclose(
        spectrum.inv_freq[[1, -1]], [0.809219778, 4.2659427e-05], rtol=2 * 2.0**-23, atol=0.0
    )
    assert spectrum.attention_factor == 1.0


def test_what_is_missing_or_wrong_is_named() -> None:
    with refuses(ValueError, "max_position_embeddings", "ExLlamaLongRoPE", "None"):
        Rope(96, scaling=RULE).spectrum()
    with refuses(ValueError, "short_factor", "64 numbers", "got 48"):
        Rope(128, scaling=RULE, max_position_embeddings=8192).spectrum()
    with refuses(ValueError, "long_factor", "64 numbers", "got 63"):
        rule = ExLlamaLongRoPE([1.0] * 64, [1.0] * 63, 4096)
        Rope(128, scaling=rule, max_position_embeddings=8192).spectrum()
    with refuses(ValueError, "original_max_position_embeddings", "1"):
        ExLlamaLongRoPE([1.0], [1.0], 1)
    with refuses(ValueError, "long_factor", "0.0 at pair 0"):
        ExLlamaLongRoPE([1.0], [0.0], 4096)
