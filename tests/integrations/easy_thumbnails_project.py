"""A small project with easy-thumbnails: uploads a photograph and prints where each alias's thumbnail lies, as JSON.

python easy_thumbnails_project.py MEDIA PHOTO
"""

import json
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.test import Client
from django.urls import path

ALIASES: dict[str, dict[str, Any]] = {
    "card": {"size": (300, 300), "crop": "gaze"},
    "tall": {"size": (90, 160), "crop": "gaze"},
    "middle": {"size": (300, 300), "crop": True},
    "fitted": {"size": (300, 300)},
    "broken": {"size": (300, 300), "crop": "gaze", "gaze_model": "nowhere.onnx"},
}
PROCESSORS = (
    "easy_thumbnails.processors.colorspace",
    "easy_thumbnails.processors.autocrop",
    "gaze.integrations.easy_thumbnails.crop_to_gaze",
    "easy_thumbnails.processors.scale_and_crop",
    "easy_thumbnails.processors.filters",
    "easy_thumbnails.processors.background",
)
urlpatterns: list[Any] = []


def upload_model() -> Any:
    """A table of photographs, as a project would have it."""
    from django.db import connection, models
    from easy_thumbnails.fields import ThumbnailerImageField

    class Upload(models.Model):
        image = ThumbnailerImageField(upload_to="photos")

        class Meta:
            app_label = "easy_thumbnails"

    with connection.schema_editor() as editor:
        editor.create_model(Upload)
    return Upload


def main(media: str, photo: Path) -> None:
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=__name__,
        MEDIA_ROOT=media,
        MEDIA_URL="/media/",
        INSTALLED_APPS=["easy_thumbnails"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        THUMBNAIL_PROCESSORS=PROCESSORS,
        THUMBNAIL_ALIASES={"": ALIASES},
        THUMBNAIL_PRESERVE_EXTENSIONS=("gif",),
        THUMBNAIL_IMAGE_SAVE_OPTIONS={"GIF": {"save_all": True}},
    )
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)  # exits where one is missing
    from django.forms import modelform_factory
    from django.http import HttpRequest, HttpResponse

    model = upload_model()

    def upload(request: HttpRequest) -> HttpResponse:
        form = modelform_factory(model, fields=["image"])(request.POST, request.FILES)
        return HttpResponse(form.save().pk)

    urlpatterns.append(path("upload", upload))
    file = SimpleUploadedFile(photo.name, photo.read_bytes(), "image/jpeg")
    image = model.objects.get(pk=int(Client().post("/upload", {"image": file}).content)).image
    print(json.dumps({alias: image[alias].path for alias in ALIASES}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
