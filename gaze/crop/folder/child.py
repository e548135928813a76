"""The script that a process of the pool runs; see `gaze.crop.folder.processes`.

The first message is the parent's `sys.path`, so that nothing is imported from the working directory, where a stranger's
files may lie.
"""

import sys
from multiprocessing.connection import Connection


def main() -> None:
    """Serves the parent at the other end of the socket whose number the command names."""
    connection = Connection(int(sys.argv[1]))
    sys.path[:] = connection.recv()
    from gaze.crop.folder.processes import serve

    serve(connection)


if __name__ == "__main__":
    main()
