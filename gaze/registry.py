"""Names to what they stand for: YAML gives the name, the class or function registers itself in its own file.

As `ArchRegistry` of spandrel (libs/spandrel/spandrel/__helpers/registry.py) and `timm/models/_registry.py`: a name that
is taken is an error, and no list of names stands anywhere.
"""

import importlib
import pkgutil
from collections.abc import Callable, Iterator
from typing import Generic, TypeVar

from gaze.errors import ConfigError

T = TypeVar("T")


class Registry(Generic[T]):
    """What the modules of one package registered, by name.

    The first look-up imports every module of the package, those in its subpackages too, so a file that is put there
    is found with nothing else to touch. The package's `__init__` need not name its modules.

    Example:
        READERS: Registry[Reader] = Registry("gaze.data.readers", "reader")  # in a module of the package

        @READERS.register("osie")  # in another
        def read(root: Path) -> list[Entry]: ...

        READERS.get("osie", "sets.osie.reader")(root)

    Args:
        package: the full name of the package whose modules register.
        kind: what is registered, in the singular, for messages; the setting that names one, where that is fixed.
    """

    def __init__(self, package: str, kind: str) -> None:
        self.package, self.kind = package, kind
        self._entries: dict[str, T] = {}
        self._complete = False

    def register(self, name: str) -> Callable[[T], T]:
        """Decorates a class or function: from now on `name` stands for it.

        Raises:
            ValueError: the name is taken.
        """

        def keep(entry: T) -> T:
            if name in self._entries:
                taken, new = _origin(self._entries[name]), _origin(entry)
                raise ValueError(f"{self.kind} {name!r} is registered twice: by {taken} and by {new}")
            self._entries[name] = entry
            return entry

        return keep

    def get(self, name: str, key: str | None = None) -> T:
        """What `name` stands for.

        Args:
            name: as it was registered.
            key: the setting that holds the name, for the message; None: the registry's `kind`.

        Raises:
            ConfigError: nothing of this name is registered; the message lists the names that are.
        """
        known = list(self)
        if name not in known:
            raise ConfigError(f"{key or self.kind}: expected one of {', '.join(known) or 'none'}, got {name!r}")
        return self._entries[name]

    def __getitem__(self, name: str) -> T:
        return self.get(name)

    def __iter__(self) -> Iterator[str]:
        """The names, in alphabetical order."""
        if not self._complete:
            _import_modules(self.package)
            self._complete = True
        return iter(sorted(self._entries))


def _import_modules(package: str) -> None:
    path = importlib.import_module(package).__path__
    for module in pkgutil.walk_packages(path, f"{package}."):
        importlib.import_module(module.name)


def _origin(entry: object) -> str:
    module, name = getattr(entry, "__module__", None), getattr(entry, "__qualname__", None)
    return f"{module}.{name}" if module and name else repr(entry)
