"""Pictures inside a page: small PNG files as data, and segments as paths."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Sequence
from itertools import groupby

Pixel = tuple[int, int, int]


def png(picture: Sequence[Sequence[Pixel]]) -> str:
    """A picture, rows of (red, green, blue) from 0 to 255, as the URL of a PNG file that holds it."""
    height, width = len(picture), len(picture[0])
    rows = b"".join(b"\0" + bytes(tone for pixel in row for tone in pixel) for row in picture)  # \0: no filter
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)  # 8 bits a tone, RGB
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(rows, 9)), (b"IEND", b""))
    body = b"".join(struct.pack(">I", len(d)) + n + d + struct.pack(">I", zlib.crc32(n + d)) for n, d in chunks)
    return "data:image/png;base64," + base64.b64encode(b"\x89PNG\r\n\x1a\n" + body).decode()


def grey(picture: Sequence[Sequence[float]]) -> str:
    """A picture of brightness from 0 to 1 as the URL of a PNG file."""
    tones = [[round(255 * min(1.0, max(0.0, tone))) for tone in row] for row in picture]
    return png([[(tone, tone, tone) for tone in row] for row in tones])


def segment_paths(segments: Sequence[Sequence[int]], count: int) -> tuple[tuple[str, str], ...]:
    """The area and the edge of each of ``count`` segments, as SVG paths in units of pixels."""
    fills: list[list[str]] = [[] for _ in range(count)]
    edges: list[list[str]] = [[] for _ in range(count)]
    height, width = len(segments), len(segments[0])
    for y, row in enumerate(segments):
        x = 0
        for owner, run in groupby(row):
            length = len(list(run))
            if owner >= 0:
                fills[owner].append(f"M{x} {y}h{length}v1h-{length}z")
            x += length
    for y, row in enumerate(segments):
        for x, owner in enumerate(row):
            if owner < 0:
                continue
            if y == 0 or segments[y - 1][x] != owner:
                edges[owner].append(f"M{x} {y}h1")
            if y == height - 1 or segments[y + 1][x] != owner:
                edges[owner].append(f"M{x} {y + 1}h1")
            if x == 0 or row[x - 1] != owner:
                edges[owner].append(f"M{x} {y}v1")
            if x == width - 1 or row[x + 1] != owner:
                edges[owner].append(f"M{x + 1} {y}v1")
    return tuple(("".join(fill), "".join(edge)) for fill, edge in zip(fills, edges, strict=True))
