"""What earlier runs into an output folder recorded: which photos are done, and which pictures are whose."""

from collections.abc import Callable, Iterable, Iterator

from gaze.crop.photo.fingerprint import Fingerprints
from gaze.crop.photo.record import CroppedRecord, FailedRecord, PictureRecord, Record, Stamp, parse_record

Line = tuple[int, bytes]
"""A line of a manifest after the number by which it is found again."""


class History:
    """The records of manifests; holds of each photo no more than its stamp and where its records stand.

    Args:
        wanted: what is wanted now.
        lines: all lines, the oldest first; read again for `owner`.
        find: gives a line by its number.
        exists: whether a picture is there and not empty, by its path in the output folder.
    """

    def __init__(
        self,
        wanted: Fingerprints,
        lines: Callable[[], Iterable[Line]],
        find: Callable[[int], bytes],
        exists: Callable[[str], bool],
    ) -> None:
        self.done: dict[str, Stamp] = {}
        """The photos that are done as wanted, whose thumbnails are all there, and their stamps as they were."""
        self.outdated: set[str] = set()
        """Those among them that another model, or another default policy, did."""
        self._wanted, self._lines, self._find, self._exists = wanted, lines, find, exists
        self._places: dict[str, tuple[int, ...]] = {}
        self._owners: dict[int, int] | None = None
        for number, record in _records(lines()):
            self._add(number, record)

    def pictures(self, name: str) -> tuple[PictureRecord, ...]:
        """All pictures that were recorded of a photo, the oldest first."""
        return tuple(picture for record in self._of(name) for picture in record.photo.pictures)

    def owner(self, path: str) -> str | None:
        """The photo of which a picture was last recorded; None where it was of none."""
        if self._owners is None:
            self._owners = {}
            for number, record in _records(self._lines()):
                self._own(number, record)
        place = self._owners.get(hash(path))
        found = None if place is None else parse_record(self._find(place))
        if isinstance(found, CroppedRecord) and any(picture.path == path for picture in found.photo.pictures):
            return found.input
        return None

    def append(self, number: int, record: Record) -> None:
        """Adds what this run recorded."""
        if self._owners is not None:
            self._own(number, record)

    def records(self) -> Iterator[CroppedRecord]:
        """The last record of each photo that is done."""
        for name in self.done:
            yield [record for record in self._of(name) if self._wanted.fit(record)][-1]

    def _add(self, number: int, record: Record) -> None:
        name, fits = record.input, self._wanted.fit(record)
        if isinstance(record, FailedRecord):
            if fits:
                self._forget(name)
            return
        self._places[name] = (*self._places.get(name, ()), number)
        if fits and all(self._exists(picture.path) for picture in record.photo.pictures):
            self.done[name] = record.stamp
            (self.outdated.discard if self._wanted.are_of(record) else self.outdated.add)(name)
        elif fits or (name in self.done and self._replaced(name, record)):
            self._forget(name)

    def _forget(self, name: str) -> None:
        self.done.pop(name, None)
        self.outdated.discard(name)

    def _replaced(self, name: str, later: CroppedRecord) -> bool:
        """Whether a later request wrote over a thumbnail of what is done."""
        mine = [record for record in self._of(name) if self._wanted.fit(record)][-1]
        return bool({each.path for each in mine.photo.pictures} & {each.path for each in later.photo.pictures})

    def _of(self, name: str) -> Iterator[CroppedRecord]:
        for number in self._places.get(name, ()):
            record = parse_record(self._find(number))
            if isinstance(record, CroppedRecord):
                yield record

    def _own(self, number: int, record: Record) -> None:
        if self._owners is not None and isinstance(record, CroppedRecord):
            self._owners.update((hash(picture.path), number) for picture in record.photo.pictures)


def _records(lines: Iterable[Line]) -> Iterator[tuple[int, Record]]:
    for number, line in lines:
        record = parse_record(line)
        if record is not None:
            yield number, record
