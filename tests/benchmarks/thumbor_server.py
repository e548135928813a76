"""A real thumbor server on the loopback address, for `thumbor_crops.py` and the tests of its detector."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from gaze.geometry import Box, Size

ROOT = Path(__file__).parents[2]
GAZE = "gaze.integrations.thumbor"
NO_STORAGE, FILE_STORAGE = "thumbor.storages.no_storage", "thumbor.storages.file_storage"
SETTINGS: dict[str, Any] = {
    "LOADER": "thumbor.loaders.file_loader",
    "STORAGE": NO_STORAGE,
    "SECURITY_KEY": "of a test",
    "NON_BLOCKING_SOCKETS": True,  # it is handed a socket that listens already
    "AUTO_WEBP": False,
}


@dataclass(frozen=True)
class Server:
    """One that answers; `log` is its standard error."""

    address: str
    log: Path

    def get(self, path: str) -> bytes:
        """What is served under a path behind `/unsafe/`; an HTTPError where it is not."""
        with urlopen(f"{self.address}/unsafe/{path}", timeout=60) as answer:
            return answer.read()

    def box(self, path: str, size: Size) -> Box:
        """What of a photograph of some size is served under a path, as thumbor's `meta` tells it."""
        steps = json.loads(self.get(f"meta/{path}"))["thumbor"]["operations"]
        for step in steps:
            if step["type"] == "crop":
                return Box(step["left"], step["top"], step["right"] - step["left"], step["bottom"] - step["top"])
        return Box(0, 0, size.width, size.height)


@contextmanager
def serving(folder: Path, photos: Path, python: str = sys.executable, **settings: Any) -> Iterator[Server]:
    """Serves a folder of photographs from a process of its own.

    Args:
        folder: empty or missing; receives configuration, log and what thumbor stores. Modules in it are found.
        photos: by whose names in it they are asked for.
        python: of an environment that has thumbor.
        settings: of `thumbor.conf`, beside `SETTINGS`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = {"FILE_LOADER_ROOT_PATH": str(photos), "FILE_STORAGE_ROOT_PATH": str(folder / "stored")}
    lines = [f"{name} = {value!r}\n" for name, value in {**SETTINGS, **places, **settings}.items()]
    (folder / "thumbor.conf").write_text("".join(lines))
    environment = {**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    with socket.create_server(("127.0.0.1", 0)) as listening, (folder / "log").open("wb") as log:
        handle = listening.fileno()
        command = [python, "-m", "thumbor.server", "--fd", str(handle), "--conf", str(folder / "thumbor.conf")]
        process = subprocess.Popen(command, pass_fds=[handle], env=environment, cwd=folder, stderr=log)
        port = listening.getsockname()[1]
        listening.close()  # where the process fails, nothing answers
        try:
            yield Server(f"http://127.0.0.1:{port}", folder / "log")
        finally:
            process.terminate()
            process.wait(timeout=30)
