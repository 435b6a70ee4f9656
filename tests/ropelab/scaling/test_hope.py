"""HoPE: how many pairs turn once within the context a model was trained on."""

import pytest

from ropelab import Rope
from ropelab.scaling import HoPE
from tests.ropelab.support import refuses


# Pairs with a wavelength of at most the context, of published models.
@pytest.mark.parametrize(
    ("head_dim", "base", "length", "kept"),
    [
        pytest.param(128, 1e4, 4096, 46, id="Llama-2 4k"),
        pytest.param(128, 5e5, 8192, 35, id="Llama-3 8k"),
        pytest.param(128, 5e5, 131072, 49, id="Llama-3.1 128k"),
        pytest.param(128, 1e6, 32768, 40, id="Qwen2.5 32k"),
        pytest.param(256, 1e4, 8192, 100, id="Gemma-7B 8k"),
    ],
)
def test_the_pairs_kept_are_the_published_ones(
    head_dim: int, base: float, length: int, kept: int
) -> None:
    spectrum = Rope(head_dim, base=base, scaling=HoPE(length)).spectrum()
    plain = Rope(head_dim, base=base).spectrum()
    assert spectrum.inv_freq[:kept].tolist() == plain.inv_freq[:kept].tolist()
    assert not spectrum.inv_freq[kept:].any()
    assert plain.wavelengths[kept - 1] <= length < plain.wavelengths[kept]


@pytest.mark.parametrize(
    ("length", "kind", "came"), [(0, ValueError, "0"), (4096.0, TypeError, "4096.0")]
)
def test_a_length_that_is_none_is_refused(length: int, kind: type[Exception], came: str) -> None:
    with refuses(kind, "original_max_position_embeddings", came):
        HoPE(length)
