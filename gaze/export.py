"""`python -m gaze.export`: a training checkpoint becomes an ONNX file with its card (`gaze/conf/export.yaml`)."""

if __name__ == "__main__":  # before anything of the extra is imported
    from gaze.extras import require_train

    require_train("gaze.export")

from gaze.config import verb
from gaze.models.config import ExportConfig
from gaze.streams import print_result


@verb("export", ExportConfig)
def main(config: ExportConfig) -> None:
    """Exports, compares with torch, and prints what was written."""
    from gaze.models.bundle import write_bundle  # torch takes seconds to import, a mistyped key should not

    print_result(str(write_bundle(config)))


if __name__ == "__main__":
    main()
