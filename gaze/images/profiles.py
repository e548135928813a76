"""Colour profiles: which are sRGB by what they do, and those that a file names by numbers (ITU-T H.273)."""

import io
import struct
from functools import lru_cache

import numpy as np
from PIL import Image, ImageCms

_NEAR = 3
"""Levels by which the colours of a profile may differ from sRGB and still count as such."""

_D65 = (0.3127, 0.3290)
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),  # BT.709, sRGB
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), (0.310, 0.316)),
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
"""H.273, table 2: chromaticities of red, green, blue and white."""

_SRGB = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_TRANSFERS = {**dict.fromkeys((1, 6, 13, 14, 15), _SRGB), 4: (2.2,), 5: (2.8,), 8: (1.0,)}
"""H.273, table 3, as parameters of ICC's curves; those of video are shown as sRGB, as viewers do. PQ and HLG are not
here: pictures of more than the usual brightness are taken as they are."""

_D50 = (0.9642, 1.0, 0.8249)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


@lru_cache(maxsize=4)
def is_srgb(profile: bytes) -> bool:
    """Whether a profile that calls itself sRGB is: other curves or primaries have been found under that name.

    Raises:
        ImageCms.PyCMSError, OSError: it is damaged.
    """
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    if not ImageCms.getProfileDescription(source).startswith("sRGB"):
        return False
    steps = np.linspace(0, 255, 9).astype(np.uint8)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(1, -1, 3)
    image = Image.fromarray(colors)
    shown = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB").apply(image)
    return bool(np.abs(np.asarray(shown).astype(int) - colors).max() <= _NEAR)


@lru_cache(maxsize=4)
def named_profile(primaries: int, transfer: int) -> bytes | None:
    """A profile of the colours that H.273's numbers name; None: they are sRGB, not stated, or not known here."""
    if primaries not in _PRIMARIES or transfer not in _TRANSFERS:
        return None
    if primaries == 1 and _TRANSFERS[transfer] == _SRGB:
        return None
    colorants = _colorants(*_PRIMARIES[primaries])
    curve = _curve(_TRANSFERS[transfer])
    tags = {b"desc": _text(f"H.273 {primaries}/{transfer}"), b"cprt": _text("none"), b"wtpt": _xyz(_D50)}
    for channel, column in zip((b"r", b"g", b"b"), colorants.T, strict=True):
        tags |= {channel + b"XYZ": _xyz(column), channel + b"TRC": curve}
    return _profile(tags)


def _colorants(*places: tuple[float, float]) -> np.ndarray:
    """Columns: XYZ of the primaries, adapted to D50; ICC.1:2022, annexes E and F."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in places]).T
    scaled = xyz[:, :3] * np.linalg.solve(xyz[:, :3], xyz[:, 3])
    gain = (_BRADFORD @ np.array(_D50)) / (_BRADFORD @ xyz[:, 3])
    return np.linalg.inv(_BRADFORD) @ (gain[:, None] * (_BRADFORD @ scaled))


def _xyz(values: "np.ndarray | tuple[float, float, float]") -> bytes:
    return b"XYZ " + bytes(4) + _fixed(*values)


def _curve(parameters: tuple[float, ...]) -> bytes:
    return b"para" + bytes(4) + struct.pack(">HH", 0 if len(parameters) == 1 else 3, 0) + _fixed(*parameters)


def _fixed(*values: float) -> bytes:
    return struct.pack(f">{len(values)}i", *(round(value * 65536) for value in values))


def _text(words: str) -> bytes:
    header = struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2 * len(words), 28)
    return b"mluc" + bytes(4) + header + words.encode("utf-16-be")


def _profile(tags: dict[bytes, bytes]) -> bytes:
    """A display profile of version 4; ICC.1:2022, 7."""
    table, body = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">II", 128 + 4 + 12 * len(tags) + len(body), len(content))
        body += content + bytes(-len(content) % 4)
    header = bytearray(128)
    header[0:4] = struct.pack(">I", 128 + len(table) + len(body))
    header[8:12], header[12:24], header[36:40], header[68:80] = b"\4\x30\0\0", b"mntrRGB XYZ ", b"acsp", _fixed(*_D50)
    return bytes(header) + table + body
