"""Axial ropes against the vision towers of Transformers: the tensors that they rotate."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import mpmath
import numpy as np
import pytest
import torch
from transformers import DINOv3ViTConfig, Llama4VisionConfig
from transformers.models.dinov3_vit import modeling_dinov3_vit as dinov3
from transformers.models.gemma4 import modeling_gemma4 as gemma4
from transformers.models.inkling2 import modeling_inkling2 as inkling2
from transformers.models.kimi_k25 import modeling_kimi_k25 as kimi
from transformers.models.llama4 import modeling_llama4 as llama4
from transformers.models.minimax_m3_vl import modeling_minimax_m3_vl as minimax
from transformers.models.pixtral import modeling_pixtral as pixtral
from transformers.models.qwen2_vl import modeling_qwen2_vl as qwen2
from transformers.models.step3p7 import modeling_step3p7 as step3

from ropelab import Rope, apply_rotary
from ropelab.positions import centred_grid, image_grid, llama4_grid, video_grid
from ropelab.scaling import Axial
from tests.ropelab.support import refuses

HEADS = 3
DINO: Any = dinov3
GEMMA: Any = gemma4


def config(head_dim: int, base: float = 1e4) -> Any:
    return SimpleNamespace(
        head_dim=head_dim,
        hidden_size=head_dim,
        embed_dim=head_dim,
        num_attention_heads=1,
        rope_parameters={"rope_type": "axial", "rope_theta": base},
    )


def patches(tokens: int, head_dim: int) -> np.ndarray:
    values = np.random.default_rng(head_dim).standard_normal((1, tokens, HEADS, head_dim))
    return values.astype(np.float32)


def assert_near(theirs: torch.Tensor, ours: np.ndarray, farthest: float) -> None:
    """Compare with what float32 angles, of powers within 16 eps, can differ at most."""
    bound = (16.0 * farthest + 4.0) * 2.0**-23
    error = np.abs(theirs.numpy().reshape(ours.shape).astype(np.float64) - ours)
    assert error.max() <= bound * 4.0  # numbers of a normal distribution are below 4


@pytest.mark.parametrize(
    ("modelling", "tower", "head_dim", "rule", "layout"),
    [
        (qwen2, "Qwen2VL", 80, Axial(), "half"),
        (kimi, "Kimi_K25", 72, Axial("wh", "woven"), "half"),
        (step3, "Step3p7", 96, Axial("wh"), "half"),
        (inkling2, "Inkling2", 64, Axial("wh"), "interleaved"),
    ],
)
def test_two_axes_as_in_transformers(
    modelling: Any, tower: str, head_dim: int, rule: Axial, layout: str
) -> None:
    grid = image_grid(6, 38, spatial_merge_size=2)
    rotary = getattr(modelling, f"{tower}VisionRotaryEmbedding")(config(head_dim))
    x = patches(grid.shape[1], head_dim)
    cos, sin = rotary(torch.tensor(x), torch.tensor(grid.T))
    q = torch.tensor(x[0])
    theirs = modelling.apply_rotary_pos_emb_vision(q, q, cos, sin)[0]
    rope = Rope(head_dim, scaling=rule, layout=layout)
    ours = apply_rotary(x, grid[:, np.newaxis], rope.spectrum(), layout=layout)
    assert_near(theirs, ours, 37)


def test_three_axes_as_in_minimax() -> None:
    grid = video_grid(5, 4, 26, spatial_merge_size=2)
    rotary = minimax.MiniMaxM3VLVisionRotaryEmbedding(config(80))
    x = patches(grid.shape[1], 80)
    cos, sin = rotary(torch.tensor(x), torch.tensor(grid.T))
    q = torch.tensor(x[0])
    theirs = minimax.apply_rotary_pos_emb_vision(q, q, cos, sin)[0]
    rope = Rope(80, rotary_dim=6 * (80 // 6), scaling=Axial("thw"))
    assert_near(theirs, apply_rotary(x, grid[:, np.newaxis], rope.spectrum()), 25)


def test_pixtral_deals_out_one_progression() -> None:
    grid = image_grid(5, 40)
    rotary = pixtral.PixtralVisionRotaryEmbedding(config(64))
    x = patches(200, 64)
    cos, sin = rotary(torch.tensor(x), torch.tensor(grid.T))
    q = torch.tensor(x)
    theirs = pixtral.apply_rotary_pos_emb(q, q, cos, sin, unsqueeze_dim=1)[0]
    rope = Rope(64, scaling=Axial(arrangement="dealt"))
    assert_near(theirs, apply_rotary(x, grid[:, np.newaxis], rope.spectrum()), 39)


def test_llama4_turns_the_first_half_by_the_column() -> None:
    tower = Llama4VisionConfig(hidden_size=96, num_attention_heads=2, image_size=98, patch_size=14)
    table = llama4.Llama4VisionRotaryEmbedding(tower)(torch.zeros(1))
    grid = llama4_grid(7)
    x = patches(50, 48)
    q = torch.tensor(x)
    theirs = llama4.vision_apply_rotary_emb(q, q, table)[0]
    rope = Rope(48, scaling=Axial("wh"), layout="interleaved")
    ours = apply_rotary(x, grid[:, np.newaxis], rope.spectrum(), layout=rope.layout)
    assert_near(theirs, ours, 7)
    assert ours[:, -1].tobytes() == x[:, -1].tobytes()  # the class token


@pytest.mark.parametrize(("height", "width"), [(14, 20), (3, 8)])
def test_dinov3_by_integers(height: int, width: int) -> None:
    rotary = DINO.DINOv3ViTRopePositionEmbedding(DINOv3ViTConfig()).eval()
    cos, sin = rotary(torch.zeros(1, 3, 16 * height, 16 * width))
    x = patches(height * width, 64)
    q = torch.tensor(x)
    theirs = q * cos[:, None] + DINO.rotate_half(q) * sin[:, None]
    rule = Axial(scale=(2.0 * np.pi / height, 2.0 * np.pi / width))
    spectrum = Rope(64, base=100.0, scaling=rule).spectrum()
    ours = apply_rotary(x, centred_grid(height, width)[:, np.newaxis], spectrum)
    assert_near(theirs, ours, 2.0 * np.pi)


def test_eva_02_by_integers() -> None:
    # EVA-02's VisionRotaryEmbeddingFast: t = arange(ft) / ft * pt, each angle twice in a row
    fine, trained, half = 24, 16, 32
    speeds = 1.0 / 10_000.0 ** (torch.arange(0, half, 2) / half)
    angle = (torch.arange(fine) / fine * trained)[:, None] * speeds
    angle = angle.repeat_interleave(2, -1)
    rows, columns = (
        angle[:, None].expand(-1, fine, -1),
        angle[None].expand(fine, -1, -1),
    )
    angle = torch.cat([rows, columns], -1).reshape(fine * fine, 1, 2 * half)
    x = patches(fine * fine, 2 * half)
    q = torch.tensor(x)
    turned = torch.stack([-q[..., 1::2], q[..., ::2]], -1).flatten(-2)
    theirs = q * angle.cos() + turned * angle.sin()
    spectrum = Rope(2 * half, scaling=Axial(scale=trained / fine)).spectrum()
    grid = image_grid(fine, fine)[:, np.newaxis]
    assert_near(theirs, apply_rotary(x, grid, spectrum, layout="interleaved"), trained)


def test_gemma4_is_two_ropes_of_half_the_width() -> None:
    rotary = GEMMA.Gemma4VisionRotaryEmbedding
    speeds = rotary.compute_axial_rope_parameters(config(64, 100.0))[0]
    grid = image_grid(4, 9)
    angle = torch.tensor(grid.T)[None, ..., None].float() * speeds
    cos, sin = (
        rotary.recomposition_frequencies(None, table)[0, :, None]
        for table in (angle.cos(), angle.sin())
    )
    x = patches(36, 64)
    q = torch.tensor(x)
    halves = [GEMMA.rotate_half(part) for part in q.chunk(2, -1)]
    theirs = q * cos + torch.cat(halves, -1) * sin
    spectrum = Rope(32, base=100.0).spectrum()
    rows, columns = grid
    ours = apply_rotary(x, rows, spectrum)
    ours = apply_rotary(ours, columns, spectrum, rotary_offset=32)
    assert_near(theirs, ours, 8)


# axis by axis, as diffusers' tables are put side by side
@pytest.mark.parametrize(
    ("order", "widths", "base"),
    [
        ("thw", (16, 56, 56), 256.0),  # HunyuanVideo
        ("thw", (44, 42, 42), 1e4),  # Wan, of D = 128: h = w = 2 * (D // 6)
        ("thwl", (32, 32, 32, 32), 2000.0),  # Flux.2
        ("wht", (56, 40, 16), 1e4),
    ],
)
def test_widths_give_each_axis_its_own_progression(
    order: str, widths: tuple[int, ...], base: float
) -> None:
    spectrum = Rope(sum(widths), base=base, scaling=Axial(order, widths=widths)).spectrum()
    with mpmath.workdps(40):
        speeds = [
            float(mpmath.mpf(base) ** (-mpmath.mpf(2 * k) / width))
            for width in widths
            for k in range(width // 2)
        ]
    axes = [
        "thwl".index(letter)
        for letter, width in zip(order, widths, strict=True)
        for _ in range(width // 2)
    ]
    assert spectrum.inv_freq.tolist() == speeds
    assert spectrum.axes is not None
    assert spectrum.axes.tolist() == axes


def test_scales_belong_to_axes_in_their_order() -> None:
    plain, scaled = (
        Rope(12, scaling=Axial("wht", scale=scale)).spectrum().inv_freq
        for scale in (1.0, (2.0, 4.0, 0.5))
    )
    assert (scaled / plain).tolist() == [2.0, 2.0, 4.0, 4.0, 0.5, 0.5]


@pytest.mark.parametrize(
    ("options", "kind", "name"),
    [
        ({"order": "xy"}, ValueError, "order"),
        ({"order": "hh"}, ValueError, "order"),
        ({"order": "th"}, ValueError, "order"),
        ({"order": 2}, ValueError, "order"),
        ({"arrangement": "interleaved"}, ValueError, "arrangement"),
        ({"widths": (8, 7)}, ValueError, "widths"),
        ({"widths": (8, 8.0)}, TypeError, "widths"),
        ({"widths": (16,)}, ValueError, "widths"),
        ({"widths": 8}, ValueError, "widths"),
        ({"widths": (8, 8), "arrangement": "dealt"}, ValueError, "widths"),
        ({"scale": 0.0}, ValueError, "scale"),
        ({"scale": (1.0, -1.0)}, ValueError, "scale"),
        ({"scale": (1.0, 1.0, 1.0)}, ValueError, "scale"),
        ({"scale": "1"}, TypeError, "scale"),
    ],
)
def test_what_is_no_axial_rule_is_refused(
    options: dict[str, Any], kind: type[Exception], name: str
) -> None:
    with refuses(kind, name):
        Axial(**options)


@pytest.mark.parametrize(
    ("rotary_dim", "rule", "name"),
    [
        (14, Axial(), "rotary_dim"),
        (16, Axial("thw"), "rotary_dim"),
        (16, Axial(widths=(8, 6)), "widths"),
    ],
)
def test_a_width_that_does_not_divide_is_refused(rotary_dim: int, rule: Axial, name: str) -> None:
    asked: Callable[[], object] = Rope(rotary_dim, scaling=rule).spectrum
    with refuses(ValueError, name):
        asked()
