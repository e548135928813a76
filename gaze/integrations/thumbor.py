"""A detector of thumbor: its `smart` crops go where people look.

In `thumbor.conf`: `DETECTORS = ["gaze.integrations.thumbor"]`, with others behind it where they are wanted.
`GAZE_MODEL` names another model, `GAZE_MIN_CONFIDENCE` says from which confidence on gaze speaks; docs/integrations.md
says how thumbor's storage matters.
"""

try:
    from thumbor.config import Config
    from thumbor.detectors import BaseDetector
    from thumbor.point import FocalPoint
except ModuleNotFoundError as error:
    from gaze.extras import lacking

    raise lacking(__name__, error, "thumbor") from None

from gaze.geometry import Size
from gaze.integrations.focal_areas import MIN_CONFIDENCE, PARTS, FocalArea, focal_areas
from gaze.integrations.hosting import look, step_aside

Config.define("GAZE_MODEL", None, "A model's name or an .onnx file with its card; None: the default one.", "Gaze")
Config.define("GAZE_MIN_CONFIDENCE", MIN_CONFIDENCE, "With less gaze leaves a photo to the next detector.", "Gaze")

NO_STORAGE, MIXED_STORAGE = "thumbor.storages.no_storage", "thumbor.storages.mixed_storage"


class Detector(BaseDetector):
    """Adds a focal point for each focal area, or leaves the photograph to the next detector."""

    async def detect(self) -> None:
        """Called by thumbor; predicts in its pool of threads, if it has one (`ENGINE_THREADPOOL_SIZE`)."""
        try:
            areas = await self.context.thread_pool.queue(self._areas)
        except Exception as error:  # whatever it is: thumbor has a photograph to serve
            step_aside("thumbor", error)
            areas = []
        if not areas:
            await self.next()
        # each weighs the same, and next to nothing beside a point that the address names (`focal`)
        self.context.request.focal_points += [
            FocalPoint(area.x, area.y, area.height, area.width, weight=1, origin="gaze") for area in areas
        ]

    def _areas(self) -> list[FocalArea]:
        config, engine = self.context.config, self.context.request.engine
        size = Size(*engine.size)
        part = self._part(size)
        areas = focal_areas(look(engine.image, config.GAZE_MODEL), size, (PARTS[0], part) if part else PARTS)
        if max(area.confidence for area in areas) < config.GAZE_MIN_CONFIDENCE:
            return []
        return areas[-1:] if part else areas

    def _part(self, size: Size) -> float | None:
        """What the crop leaves of the photograph's width or height; None where points must serve crops of all shapes.

        thumbor keeps points with a photograph, whatever shape was asked for first, unless its storage keeps none.
        """
        config, request = self.context.config, self.context.request
        storage = config.MIXED_STORAGE_DETECTOR_STORAGE if config.STORAGE == MIXED_STORAGE else config.STORAGE
        if storage != NO_STORAGE or request.should_crop:
            return None
        width, height = self.context.transformer.get_target_dimensions()
        ratio = width * size.height / (height * size.width)
        return min(ratio, 1 / ratio)
