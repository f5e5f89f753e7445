"""Draw the app's icons into webslm/site/icons: a speech bubble with a chip's pins. Run by hand."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np  # noqa: TID253 - a script of its own

OUT = Path(__file__).resolve().parents[1] / "webslm" / "site" / "icons"
BLUE, WHITE = (0x1C, 0x5F, 0xB8), (0xFF, 0xFF, 0xFF)
SUPER = 4


def box(x, y, cx, cy, half_w, half_h, radius):
    """Return where a rounded box covers the points."""
    dx = np.maximum(np.abs(x - cx) - half_w + radius, 0)
    dy = np.maximum(np.abs(y - cy) - half_h + radius, 0)
    return dx * dx + dy * dy <= radius * radius


def draw(size: int, *, full: bool) -> bytes:
    """Return a PNG; ``full`` leaves no transparent corner and keeps the safe zone of masks."""
    n = size * SUPER
    y, x = np.mgrid[0:n, 0:n] / n
    scale = 0.78 if full else 1.0
    u, v = (x - 0.5) / scale + 0.5, (y - 0.5) / scale + 0.5
    ground = np.ones_like(x, dtype=bool) if full else box(x, y, 0.5, 0.5, 0.5, 0.5, 0.2)
    bubble = box(u, v, 0.5, 0.46, 0.27, 0.21, 0.09)
    tail = (v >= 0.6) & (v <= 0.82) & (u >= 0.33) & (u - 0.33 <= (0.82 - v) * 0.9)
    dots = np.zeros_like(bubble)
    for cx in (0.38, 0.5, 0.62):
        dots |= (u - cx) ** 2 + (v - 0.46) ** 2 <= 0.034**2
    white = (bubble | tail) & ~dots
    rgba = np.zeros((n, n, 4))
    rgba[ground] = (*BLUE, 255)
    rgba[white & ground] = (*WHITE, 255)
    alpha = rgba[..., 3:].reshape(size, SUPER, size, SUPER, 1).mean((1, 3))
    colour = (rgba[..., :3] * rgba[..., 3:] / 255).reshape(size, SUPER, size, SUPER, 3).mean((1, 3))
    colour = np.divide(colour, alpha / 255, out=np.zeros_like(colour), where=alpha > 0)
    pixels = np.concatenate([colour, alpha], axis=2).round().astype(np.uint8)
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    header = struct.pack(">IIBBBBB", size, size, 8, 6, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )


for name, size, full in (("192", 192, False), ("512", 512, False), ("maskable", 512, True)):
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / f"{name}.png").write_bytes(draw(size, full=full))
