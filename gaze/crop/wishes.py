"""Parsed options -> what is wanted of every photo, and how the run goes."""

import argparse
from dataclasses import replace
from pathlib import Path

from PIL import ImageColor

from gaze.crop.folder.listing import Selection, Shard
from gaze.crop.folder.settings import Run
from gaze.crop.photo.focus import FocusPoint, read_focus
from gaze.crop.photo.request import TEMPLATE, Request, shapes
from gaze.errors import ConfigError, ImageError
from gaze.framing.choice import Framing
from gaze.images import Encoding, Keep, Limits, output_format


def request(options: argparse.Namespace) -> Request:
    """What the options want of every photo.

    Raises:
        ConfigError: they do not fit together.
    """
    if options.fill is not None:
        _check_color(options.fill)
    if options.keep and options.fill is None:
        raise ConfigError("--keep: shows more than the ratio holds, so it needs --fill COLOR")
    return Request(
        shapes=shapes(options.ratio or [], options.size or []),
        framing=_framing(options),
        model=options.model,
        encoding=Encoding(
            format=_format(options.format) if options.format else None,
            quality=options.quality,
            progressive=options.progressive,
            chroma=options.chroma,
        ),
        keep=Keep(metadata=options.keep_metadata, profile=options.keep_profile),
        limits=_given(Limits(), pixels=options.max_pixels, bytes=options.max_bytes),
        template=options.template or TEMPLATE,
        upscale=options.upscale,
        fill=options.fill,
        frames=None if options.frames == "all" else 1,
        focus_weight=options.focus_weight,
        heatmap="{stem}_heatmap{ext}" if options.heatmap else None,
        overwrite=options.overwrite,
        preview=options.report is not None,
    )


def settings(options: argparse.Namespace) -> Run:
    """How the options want the run to go.

    Raises:
        ConfigError: a focus point or the shard cannot be read.
    """
    points = read_focus(options.focus_file) if options.focus_file else {}
    if options.focus:
        points[""] = tuple(FocusPoint.parse(text) for text in options.focus)
    return Run(
        selection=Selection(
            tuple(options.include),
            tuple(options.exclude),
            options.follow_symlinks,
            Shard.parse(options.shard) if options.shard else Shard(),
        ),
        focus=points,
        engine=options.engine,
        jobs=options.jobs,
        timeout=options.timeout,
        as_json=options.json,
        quiet=options.quiet,
        fail_fast=options.fail_fast,
        report=Path(options.report).absolute() if options.report else None,
        manifest=options.manifest,
    )


def _framing(options: argparse.Namespace) -> Framing:
    return _given(
        Framing(candidates=options.candidates, keep=options.keep),
        zoom=options.zoom,
        padding=options.padding,
        threshold=options.min_confidence,
    )


def _given(values, **changes):  # type: ignore[no-untyped-def]
    """A copy with those changes that are not None: the defaults stand with the dataclass."""
    return replace(values, **{name: value for name, value in changes.items() if value is not None})


def _format(name: str) -> str:
    try:
        return output_format(f".{name.lower()}")
    except ImageError as error:
        raise ConfigError(f"--format {name}: {error}") from error


def _check_color(text: str) -> None:
    try:
        ImageColor.getrgb(text)
    except ValueError as error:
        raise ConfigError(f"--fill: expected a colour such as white or #1a1a1a, got {text!r}") from error
