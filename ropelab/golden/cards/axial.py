"""Cards of axial ropes: vision towers, diffusion of images and videos."""

from __future__ import annotations

import math
from collections.abc import Mapping

from .card import Card, card

__all__ = ["CARDS", "SMALL", "TOLERANCES"]

TOLERANCES: Mapping[str, tuple[float, str]] = {
    "axial": (1.0, "a correctly rounded power, times the scale once"),
}

# Heads and bases are the defaults of the configuration classes of Transformers 5.24 and diffusers
# 0.42; EVA-02 has 24 patches a side here, for 16 in pre-training, and DINOv3 14 by 20.
CARDS: Mapping[str, Card] = {
    "qwen2-vl-vision": card(80, 1e4, "axial"),
    "pixtral-vision": card(64, 1e4, "axial", arrangement="dealt"),
    "kimi-k2.5-vision": card(72, 1e4, "axial", order="wh", arrangement="woven"),
    "llama-4-vision": card(48, 1e4, "axial", layout="interleaved", order="wh"),
    "minimax-m3-vision": card(80, 1e4, "axial", rotary_dim=78, order="thw"),
    "eva-02": card(64, 1e4, "axial", layout="interleaved", scale=16 / 24),
    "dinov3": card(64, 100.0, "axial", scale=[2 * math.pi / 14, 2 * math.pi / 20]),
    "flux": card(128, 1e4, "axial", layout="interleaved", order="thw", widths=[16, 56, 56]),
    "hunyuan-video": card(
        128, 256.0, "axial", layout="interleaved", order="thw", widths=[16, 56, 56]
    ),
    "wan": card(128, 1e4, "axial", layout="interleaved", order="thw", widths=[44, 42, 42]),
    "flux.2": card(
        128, 2000.0, "axial", layout="interleaved", order="thwl", widths=[32, 32, 32, 32]
    ),
}

SMALL: Mapping[str, Card] = {
    "axial": card(16, 1e4, "axial", order="wh", scale=[0.5, 3.0]),
    "axial-dealt": card(16, 1e4, "axial", arrangement="dealt"),
}
