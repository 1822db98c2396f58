"""Makes the demo clip and photo of the repository from photographs that anyone may use.

    python tools/make_clip.py [FOLDER]      writes models/clip.mp4 and tests/data/astronaut.jpg

The photographs come with scikit-image, which only this tool needs: pip install scikit-image.
Where they are from, and their licences: tests/data/SOURCES.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from livestyle.errors import LivestyleError
from livestyle.frame import Image
from livestyle.pictures import write_picture
from livestyle.whole_file import WholeFile

WIDTH, HEIGHT = 640, 360
RATE = Fraction(30000, 1001)  # 29.97, which a rounded rate would spoil
SOUND_RATE = 48000
FADE = 0.5  # seconds that one photograph takes to become the next, where it is not a cut


@dataclass(frozen=True)
class Shot:
    """A camera that glides over a photograph. Its two views: centre x, centre y and width in pixels."""

    photo: str
    seconds: float
    begin: tuple[float, float, float]
    end: tuple[float, float, float]
    fades_in: bool = False


SHOTS = (
    Shot("astronaut", 3.25, (256, 150, 512), (226, 132, 300)),
    Shot("chelsea", 1.5, (246, 152, 400), (225, 140, 451), fades_in=True),
    Shot("rocket", 1.25, (320, 180, 600), (320, 247, 640)),
)
# A soft A minor seventh: A2, E3, C4, G4 in Hz.
CHORD = (110.0, 164.81, 261.63, 392.0)


def load(name: str) -> Image:
    import skimage.data

    return np.ascontiguousarray(getattr(skimage.data, name)())


def view(photo: Image, shot: Shot, share: float) -> Image:
    """What the camera sees after `share` of the shot, 0 to 1."""
    eased = share * share * (3 - 2 * share)
    x, y, width = (a + (b - a) * eased for a, b in zip(shot.begin, shot.end, strict=True))
    scale = width / WIDTH
    # From the frame to the photograph, between its pixels: whole pixels would make the motion tremble.
    matrix = np.array([[scale, 0, x - scale * WIDTH / 2], [0, scale, y - scale * HEIGHT / 2]])
    flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    frame = cv2.warpAffine(photo, matrix, (WIDTH, HEIGHT), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.ascontiguousarray(frame, np.uint8)


def frames(photos: dict[str, Image], shots: Sequence[Shot] = SHOTS) -> Iterator[Image]:
    ends = np.cumsum([shot.seconds for shot in shots])
    for index in range(round(float(ends[-1] * RATE))):
        now = float(index / RATE)
        number = min(int(np.searchsorted(ends, now, side="right")), len(shots) - 1)
        shot = shots[number]
        since = now - (float(ends[number]) - shot.seconds)
        frame = view(photos[shot.photo], shot, since / shot.seconds)
        if shot.fades_in and since < FADE:
            before = view(photos[shots[number - 1].photo], shots[number - 1], 1.0)
            frame = np.asarray(cv2.addWeighted(frame, since / FADE, before, 1 - since / FADE, 0), np.uint8)
        yield frame


def sound(seconds: float) -> npt.NDArray[np.float32]:
    """The chord, swelling and fading. Shape (2, samples), left and right a little out of tune."""
    time = np.arange(round(seconds * SOUND_RATE)) / SOUND_RATE
    swell = np.minimum(1, np.minimum(time, seconds - time) / 0.8) * (
        0.85 + 0.15 * np.sin(2 * np.pi * time / 3)
    )
    sides = []
    for detune in (0.9985, 1.0015):
        tones = sum(np.sin(2 * np.pi * hertz * detune * time) / (1 + n) for n, hertz in enumerate(CHORD))
        sides.append(0.16 * swell * tones)
    return np.asarray(sides, np.float32)


def write_clip(path: Path, images: Iterator[Image], seconds: float) -> None:
    import av

    with av.open(str(path), "w", options={"movflags": "+faststart"}) as container:
        container.metadata["title"] = "livestyle demo"
        video = container.add_stream("libx264", rate=RATE, options={"crf": "18", "preset": "slow"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = container.add_stream("aac", rate=SOUND_RATE, layout="stereo", bit_rate=96_000)
        for image in images:
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(video.encode(None))
        chunk = audio.codec_context.frame_size or 1024
        samples = sound(seconds)
        for start in range(0, samples.shape[1], chunk):
            part = np.ascontiguousarray(samples[:, start : start + chunk])
            frame = av.AudioFrame.from_ndarray(part, format="fltp", layout="stereo")
            frame.sample_rate, frame.pts, frame.time_base = SOUND_RATE, start, Fraction(1, SOUND_RATE)
            container.mux(audio.encode(frame))
        container.mux(audio.encode(None))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, nargs="?")
    folder = parser.parse_args(arguments).folder
    root = Path(__file__).parent.parent
    film = (folder or root / "models") / "clip.mp4"
    picture = (folder or root / "tests" / "data") / "astronaut.jpg"
    try:
        photos = {shot.photo: load(shot.photo) for shot in SHOTS}
        write_picture(picture, photos["astronaut"], overwrite=True)
        clip = WholeFile(film, overwrite=True)
        try:
            write_clip(clip.begin(), frames(photos), sum(shot.seconds for shot in SHOTS))
            clip.complete()
        finally:
            clip.abandon()
    except ImportError:
        print("error: the photographs are missing: pip install scikit-image", file=sys.stderr)
        return 1
    except (LivestyleError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    for path in (film, picture):
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
