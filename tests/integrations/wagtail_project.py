"""A small project with Wagtail: uploads photographs and prints what became of each, as JSON.

python wagtail_project.py MEDIA MODEL PHOTO...
"""

import json
import sys
from pathlib import Path
from typing import Any

import django
from django.conf import settings
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.urls import include, path

FILTERS = ("fill-300x300", "fill-90x160")
APPS = ("search", "documents", "images", "users", "admin", "")
urlpatterns: list[Any] = []


def configure(media: str, model: str | None) -> None:
    settings.configure(
        SECRET_KEY="of a test",
        ALLOWED_HOSTS=["testserver"],
        ROOT_URLCONF=__name__,
        MEDIA_ROOT=media,
        MEDIA_URL="/media/",
        STATIC_URL="/static/",
        INSTALLED_APPS=[
            *(f"wagtail.{name}".rstrip(".") for name in APPS),
            *(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions", "messages", "admin")),
            "taggit",
            "modelcluster",
            "gaze.integrations.wagtail.FocalPoints",
        ],
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "APP_DIRS": True,
                "OPTIONS": {
                    "context_processors": [
                        "django.template.context_processors.request",
                        "django.contrib.auth.context_processors.auth",
                        "django.contrib.messages.context_processors.messages",
                    ]
                },
            }
        ],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        DEFAULT_AUTO_FIELD="django.db.models.AutoField",
        WAGTAIL_SITE_NAME="of a test",
        WAGTAILADMIN_BASE_URL="http://testserver",
        WAGTAILIMAGES_FEATURE_DETECTION_ENABLED=True,
        GAZE_MODEL=model,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)  # exits where one is missing


def focal_point(image: Any) -> list[int | None]:
    return [image.focal_point_x, image.focal_point_y, image.focal_point_width, image.focal_point_height]


def main(media: str, model: str, photos: list[Path]) -> None:
    configure(media, model or None)
    from django.contrib.auth import get_user_model
    from django.test import Client
    from wagtail.admin import urls
    from wagtail.images import get_image_model

    urlpatterns.append(path("admin/", include(urls)))
    client = Client()
    client.force_login(get_user_model().objects.create_superuser("editor", "editor@example.com", "of a test"))
    found = {}
    for photo in photos:
        file = SimpleUploadedFile(photo.name, photo.read_bytes())
        answer = client.post("/admin/images/add/", {"title": photo.name, "file": file})
        assert answer.status_code == 302, answer.content
        image = get_image_model().objects.get(title=photo.name)
        renditions = [image.get_rendition(name).file.path for name in FILTERS]
        found[photo.name] = {"point": focal_point(image), "renditions": renditions}
    image.focal_point_x, image.focal_point_y, image.focal_point_width, image.focal_point_height = 7, 8, 9, 10
    image.save()
    found["by hand"] = {"point": focal_point(get_image_model().objects.get(pk=image.pk)), "renditions": []}
    print(json.dumps(found))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], list(map(Path, sys.argv[3:])))
