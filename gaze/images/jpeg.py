"""A JPEG file on its way into the decoder, watched: whether it ends, and whether its data are as many as its pixels.

libjpeg makes grey of what is missing and skips what is too much; it counts both as warnings, which Pillow does not pass
on. So the decoder gets the file in pieces, of which it asks for no more once it has all rows: of a sound file that is
with the last bytes of its scan, neither before nor after. Only a file of one scan can be watched so closely; libjpeg
reads another to its end before it makes the first row. Of any file it is known how many restarts there are, in which
order, and what a scan may follow. Source: ITU-T T.81, annexes A, B, E and G.
"""

import re
from bisect import bisect_left
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from math import ceil, prod

import numpy as np
from PIL import ImageFile

_BLOCK = 2**17
_HELD = 2
"""Bytes of a scan's end that are read after the rest."""

_AHEAD = bytes(8)
"""What the decoder, which looks ahead, gets behind them; so a few bytes more or less than the pixels need are no harm.
"""

_MARKER = re.compile(rb"\xff[\x01-\xcf\xd8-\xfe]")
"""Where entropy-coded data end: any marker but a restart."""

_ENDS = np.array([_MARKER.match(bytes([0xFF, code])) is not None for code in range(256)])
_LONG = 2**17
"""Bytes from which on numpy finds markers sooner than an expression, which stops at each of many FF 00."""

_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_CYCLE = bytes(range(0xD0, 0xD8))

_EOI, _SOS = 0xD9, 0xDA
_TABLES = frozenset({0xC4, _SOS, 0xDB, 0xDD, 0xFE, *range(0xE0, 0xF0)})
"""What may stand after a scan, where another follows."""

_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1), 0xC2
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}

_CUT = "the end is missing"
_NOISE = bytes(number * number * 167 % 251 for number in range(2**15))


@dataclass(frozen=True)
class JpegFrame:
    """What the frame's header says.

    Attributes:
        width: in pixels.
        height: likewise; 0: it stands behind the first scan.
        sampling: of each component, by its number, horizontally and vertically.
    """

    width: int
    height: int
    sampling: dict[int, tuple[int, int]]

    @classmethod
    def parse(cls, body: bytes) -> "JpegFrame":
        """Reads the header without its marker and length, of at least 6 bytes."""
        height, width = (int.from_bytes(body[at : at + 2], "big") for at in (1, 3))
        components = zip(body[6::3], body[7::3], strict=False)
        return cls(width, height, {number: (factors >> 4, factors & 15) for number, factors in components})

    def units(self, components: bytes) -> int:
        """How many units (MCU) a scan of these components has, see T.81, A.2; 0 where that is not known."""
        factors = list(self.sampling.values())
        known = all(each in self.sampling for each in components)
        if not components or not known or not all(h and v for h, v in factors):
            return 0
        most = [max(factor[axis] for factor in factors) for axis in (0, 1)]
        own = self.sampling[components[0]] if len(components) == 1 else (1, 1)
        sides = zip((self.width, self.height), own, most, strict=True)
        if len(components) == 1:
            return prod(ceil(ceil(side * one / other) / 8) for side, one, other in sides)
        return prod(ceil(side / (8 * other)) for side, _, other in sides)


class WatchedJpeg:
    """What Pillow's decoder of a JPEG reads in place of the file; for one image, loaded once.

    Args:
        image: opened, perhaps drafted, not yet loaded.
        noise: put noise, not grey, where data are missing at the end.

    """

    def __init__(self, image: ImageFile.ImageFile, noise: bool = False) -> None:
        assert image.fp is not None  # it is open
        self._file, self._noise = image.fp, noise
        self._buffer, self._at, self._pieces = b"", 0, self._watched()
        self._markers: list[int] = []
        self._coding, self._components, self._scans, self._interval = 0, 0, 0, 0
        self._precision: dict[tuple[int, int], int] = {}
        self._frame, self._units = JpegFrame(0, 0, {}), 0
        self._damage, self._early = "", False

    @property
    def damage(self) -> str:
        """What is wrong with the file, once it is loaded; empty: nothing that could be seen."""
        return self._damage or ("more data than pixels" if self._early else "")

    @property
    def whole(self) -> bool:
        """Whether every scan begins in the file."""
        if self._coding in _SEQUENTIAL:
            return self._components <= 0
        return self._begun and any(k for _, k in self._precision) and not any(self._precision.values())

    @property
    def _begun(self) -> bool:
        """Whether there is a scan, if not in full precision, of each component."""
        if self._coding == _PROGRESSIVE:
            return all((each, 0) in self._precision for each in self._frame.sampling)
        return self._coding not in _SEQUENTIAL or self._components <= 0

    def seek(self, offset: int) -> int:
        """To the start, which is where decoding begins."""
        return self._file.seek(offset)

    def read(self, size: int = -1) -> "bytes | memoryview":
        """The next piece, of whatever length; empty at the end."""
        return next(filter(len, self._pieces), b"")

    def _watched(self) -> Iterator["bytes | memoryview"]:
        segment = yield from self._head()
        if self._scans and self._coding not in (*_SEQUENTIAL, _PROGRESSIVE):
            yield from self._rest()  # arithmetic coding, which libjpeg does not take in pieces
            return
        while segment and segment[1] != _EOI:
            yield from self._data()
            segment = self._segment()
            yield segment if segment[1:] != bytes([_EOI]) else b""
        if not segment:
            self._damage = _CUT
        elif not self._begun:
            self._damage = "a component has no scan"
        yield self._filling() + bytes([0xFF, _EOI])

    def _head(self) -> Generator[bytes, None, bytes]:
        """Up to the first scan, in few pieces; returns the last segment, empty where the file ended."""
        head = self._take(2)
        while True:
            for piece in () if _MARKER.match(self._peek(2)) else self._until(range(256)):
                head += piece
                if len(head) > _BLOCK:
                    yield head
                    head = b""
            segment = self._segment()
            if not segment or segment[1] in (_EOI, _SOS):
                yield head + (segment if self._scans else b"")
                return segment
            head += segment

    def _data(self) -> Iterator["bytes | memoryview"]:
        """The data of a scan."""
        if self._coding in _SEQUENTIAL and self._components == 0 and self._scans == 1:
            return self._only_scan()
        return self._with_restarts(self._until({_EOI, *_TABLES}))

    def _with_restarts(self, data: Iterator[bytes]) -> Iterator[bytes]:
        """The same data; the last piece once it is known whether all restarts were there, each in its turn."""
        passed, held = 0, b""
        for piece in data:
            found = b"".join(_RESTART.findall(piece))[1::2]
            start = passed % len(_CYCLE)
            if found != (_CYCLE * (len(found) // len(_CYCLE) + 2))[start : start + len(found)]:
                self._damage = "a restart is missing"
            passed += len(found)
            yield held
            held = piece
        if self._units and passed not in self._expected():
            self._damage = self._damage or "fewer or more restarts than pixels"
        self._units = 0  # what stands before the next scan is none
        yield held

    def _expected(self) -> tuple[int, ...]:
        """How many restarts the scan may have; some encoders put one behind the last interval."""
        between = (self._units - 1) // self._interval if self._interval else 0
        return (between, between + 1)

    def _only_scan(self) -> Iterator["bytes | memoryview"]:
        held, self._early = b"", True
        data = self._until({_EOI})
        for piece in self._with_restarts(data) if self._interval else data:
            piece = held + piece
            held = piece[-_HELD:]
            yield memoryview(piece)[:-_HELD]  # no copy
        self._early = False
        if not self._left:
            self._damage = _CUT
        yield held + _AHEAD
        self._damage = self._damage or "fewer data than pixels"

    def _until(self, markers: "set[int] | range") -> Iterator[bytes]:
        """Data up to one of the markers, or to the end; another marker among them is damage, and made data."""
        while True:
            place = self._marker
            if place is None:
                yield self._take(self._left - self._buffer.endswith(b"\xff", self._at))
                if not self._more():
                    yield self._take(1)
                    return
            elif self._buffer[place + 1] in markers:
                yield self._take(place - self._at)
                return
            else:
                self._damage = "a marker stands where there should be data"
                yield self._take(place + 1 - self._at) + b"\0"
                self._take(1)

    @property
    def _marker(self) -> int | None:
        """Where in the buffer the next marker is, of those that end entropy-coded data."""
        number = bisect_left(self._markers, self._at)
        return self._markers[number] if number < len(self._markers) else None

    def _segment(self) -> bytes:
        """The next marker with its segment; empty at the end."""
        start = self._peek(4)
        if len(start) < 2:
            return b""
        if start[1] in (_EOI, 0x01, 0xD8):
            return self._take(2)
        segment = self._take(2 + max(2, int.from_bytes(start[2:], "big")))
        self._note(segment)
        return segment

    def _note(self, segment: bytes) -> None:
        marker, body = segment[1], segment[4:]
        if marker in _FRAMES and len(body) > 5:
            self._coding, self._components = marker, body[5]
            self._frame = JpegFrame.parse(body)
        if marker == 0xDD:
            self._interval = int.from_bytes(body[:2], "big")
        if marker == _SOS and body:
            self._scans += 1
            count = body[0]
            self._units = self._frame.units(body[1 : 1 + 2 * count : 2])
            self._components -= count if self._coding in _SEQUENTIAL else 0
            if self._coding == _PROGRESSIVE and len(body) >= 4 + 2 * count:
                first, last, position = body[1 + 2 * count : 4 + 2 * count]
                band = range(first, min(last, 63) + 1)
                for part in ((component, k) for component in body[1 : 1 + 2 * count : 2] for k in band):
                    if self._precision.get(part, 0) != position >> 4:
                        self._damage = "a scan is missing, or there twice"
                    self._precision[part] = position & 15

    def _filling(self) -> bytes:
        if not self._noise or not self._interval:
            return _NOISE if self._noise else b""
        return b"".join(
            _NOISE[part : part + 512] + bytes([0xFF, 0xD0 + part // 512 % 8]) for part in range(0, 2**15, 512)
        )

    def _rest(self) -> Iterator[bytes]:
        yield self._take(self._left)
        while block := self._file.read(_BLOCK):
            yield block

    @property
    def _left(self) -> int:
        """Bytes of the buffer that were not taken yet."""
        return len(self._buffer) - self._at

    def _more(self) -> bool:
        block = self._file.read(_BLOCK)
        self._buffer, self._at = self._buffer[self._at :] + block, 0
        self._markers = _markers(self._buffer)
        return bool(block)

    def _peek(self, count: int) -> bytes:
        while len(self._buffer) - self._at < count and self._more():
            pass
        return self._buffer[self._at : self._at + count]

    def _take(self, count: int) -> bytes:
        taken = self._peek(count)
        self._at += len(taken)
        return taken


def _markers(data: bytes) -> list[int]:
    """Where the markers stand that end entropy-coded data."""
    if len(data) < _LONG:
        return [found.start() for found in _MARKER.finditer(data)]
    values = np.frombuffer(data, np.uint8)
    codes = values[1:]
    places = ((values[:-1] == 0xFF) & (codes != 0)).nonzero()[0]
    return places[_ENDS[codes[places]]].tolist()
