"""Wagtail's feature detection by gaze: an image without a focal point gets one where people look, when it is saved.

In Django's settings: `"gaze.integrations.wagtail.FocalPoints"` in `INSTALLED_APPS`, and
`WAGTAILIMAGES_FEATURE_DETECTION_ENABLED = True`. `GAZE_MODEL` names another model. There is no table, so no migration.

This module is a plugin of Willow, by which Wagtail takes in detectors; it stands in for that of faces.
"""

try:
    from django.apps import AppConfig
    from django.conf import settings
    from willow.plugins.pillow import PillowImage
    from willow.registry import registry
except ModuleNotFoundError as error:
    from gaze.extras import lacking

    raise lacking(__name__, error, "wagtail") from None

from statistics import fmean

from gaze.geometry import Size
from gaze.images import as_upright
from gaze.integrations.focal_areas import MIN_CONFIDENCE, focal_areas
from gaze.integrations.hosting import look, step_aside
from gaze.predictor import Prediction

GROWN = 1.2
"""What Wagtail multiplies the sides of faces with (`get_suggested_focal_point`)."""


class FocalPoints(AppConfig):
    """What `INSTALLED_APPS` names."""

    name = __name__
    label = "gaze_focal_points"

    def ready(self) -> None:
        """Called by Django at its start."""
        registry.register_plugin(self.module)


def detect_faces(image: PillowImage) -> list[tuple[float, float, float, float]]:
    """Where people look; called by Wagtail, which lays the focal point around it.

    Returns:
        One area, left, top, right and bottom in pixels of the upright image, as Wagtail crops it. Or none where the
        model has little to say or fails: Wagtail then looks for features.
    """
    try:
        upright, size = as_upright(image.get_pillow_image(), lambda full: 1.0)
        return _area(look(upright, getattr(settings, "GAZE_MODEL", None)), size)
    except Exception as error:  # whatever it is: the image was uploaded
        step_aside("Wagtail", error)
        return []


def _area(seen: Prediction, size: Size) -> list[tuple[float, float, float, float]]:
    areas = focal_areas(seen, size)
    if max(area.confidence for area in areas) < MIN_CONFIDENCE:
        return []
    x, y = fmean(area.x for area in areas), fmean(area.y for area in areas)
    wide, high = (min(area.width for area in areas) / GROWN, min(area.height for area in areas) / GROWN)
    return [(x - wide / 2, y - high / 2, x + wide / 2, y + high / 2)]


willow_operations = [(PillowImage, "detect_faces", detect_faces)]
"""What Willow registers of a plugin."""
