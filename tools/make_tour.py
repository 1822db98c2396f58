"""Makes the moving picture of the README: the film of `livestyle demo`, smaller and with fewer frames.

livestyle demo tour.mp4
python tools/make_tour.py tour.mp4 models/tour.webp [--width 360] [--fps 6] [--quality 60]
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from livestyle.errors import LivestyleError
from livestyle.frame import Image
from livestyle.video_source import VideoFileSource
from livestyle.whole_file import WholeFile


def chosen_frames(path: Path, width: int, fps: float) -> list[Image]:
    """About fps pictures a second, width wide, in BGR as cv2 writes them."""
    pictures: list[Image] = []
    with VideoFileSource(path) as film:
        size = (width, round(width * film.info.height / film.info.width))
        for frame in film:
            if frame.timestamp >= len(pictures) / fps:
                small = cv2.resize(frame.image, size, interpolation=cv2.INTER_AREA)
                pictures.append(np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2BGR), np.uint8))
    return pictures


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("film", type=Path)
    parser.add_argument("output", type=Path, help="a .webp, replaced")
    parser.add_argument("--width", type=int, default=360)
    parser.add_argument("--fps", type=float, default=6.0)
    parser.add_argument("--quality", type=int, default=60, help="0 to 100")
    options = parser.parse_args(arguments)
    try:
        pictures = chosen_frames(options.film, options.width, options.fps)
        animation = cv2.Animation()
        animation.frames = pictures
        animation.durations = [round(1000 / options.fps)] * len(pictures)
        file = WholeFile(options.output, overwrite=True)
        try:
            begun = file.begin()
            cv2.imwriteanimation(str(begun), animation, [cv2.IMWRITE_WEBP_QUALITY, options.quality])
            file.complete()
        finally:
            file.abandon()
    except (LivestyleError, OSError, cv2.error) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{options.output}: {len(pictures)} frames, {options.output.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
