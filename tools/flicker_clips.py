"""The clips of tools/flicker.py: what a camera sees, and where each pixel of it goes.

true flow     frames with their makers' flow and masks: FOLDER/flow/<frame>.flo or .npz (`flow`), the frames
              in FOLDER, FOLDER/final or FOLDER/frames, masks in occlusions/ and invalid/ (255 = skip)
exact         a camera that glides over a still: pan, zoom and turn, so that the flow is a formula
with noise    the same with sensor noise
standing      copies of a still with sensor noise
real          a video; its flow is estimated (DIS) on the unpainted frames and checked forth and back
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from flicker_measures import EXACT, NOISY, REAL, STANDING, TRUE_FLOW, Clip, Flow, Motion, Skipped

from livestyle.errors import SourceError
from livestyle.frame import Image
from livestyle.pictures import pictures_in, read_picture
from livestyle.video_source import VideoFileSource

WIDEST = 640  # pixels: larger clips are scaled down to it
REAL_HEIGHT = 360
FRAME_TIME = 1 / 25  # seconds, where a clip does not tell
EXACT_FRAMES, STANDING_FRAMES, REAL_FRAMES = 8, 16, 24
EXACT_NOISE, STANDING_NOISE = 2.0, 3.0  # standard deviation in grey levels

FLO_MAGIC = 202021.25  # Middlebury: so that a reader with another byte order sees that it is one
FLO_UNKNOWN = 1e8  # Middlebury writes more where nobody knows the flow
# A view has this share of its still's pixels a side. Scaled down, since a picture that is only moved is
# blurred between pixels and sharp on them: that would be flicker of our own making.
VIEW_SHARE = 1 / 1.45
VIEW_BLUR = 0.8  # pixels of the still: what the view cannot show would twinkle
PAN, ZOOM, TURN = 0.04, 0.05, 3.0  # over a whole path: share of the view, factor, degrees
# Sundaram, Brox and Keutzer 2010, squares: forth and back differ by this share of the motion and a half more.
CONSISTENT_SHARE, CONSISTENT_SLACK = 0.01, 0.5
LEAST_SEEN = 0.25  # of the pixels; with fewer a pair is a cut, and not judged
SMALLEST_STILL = 32  # pixels a side: SSIM has a window of 11


def times(count: int) -> list[float]:
    return [index * FRAME_TIME for index in range(count)]


# --- true flow ---


def read_flow(path: Path) -> tuple[Flow, Skipped]:
    """A .flo (Middlebury) or .npz file, and where its flow is unknown (then 0). Raises SourceError."""
    flow = _read_npz(path) if path.suffix == ".npz" else _read_flo(path)
    unknown: Skipped = np.logical_not(np.all(np.abs(flow) < FLO_UNKNOWN, axis=2))  # NaN too
    known = flow.copy()
    known[unknown] = 0
    return known, unknown


def _read_flo(path: Path) -> Flow:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise SourceError(f"cannot read the flow {path}: {error.strerror or error}") from error
    if len(content) < 12 or np.frombuffer(content, "<f4", 1)[0] != FLO_MAGIC:
        raise SourceError(f"{path} is not a .flo file: it does not begin with PIEH; download it again")
    width, height = (int(size) for size in np.frombuffer(content, "<i4", 2, 4))
    wanted = 12 + 8 * width * height
    if width < 1 or height < 1 or len(content) != wanted:
        raise SourceError(
            f"{path} is broken: {width}x{height} of flow are {wanted} bytes, and it has {len(content)}; "
            "download it again"
        )
    return np.frombuffer(content, "<f4", -1, 12).reshape(height, width, 2).astype(np.float32)


def _read_npz(path: Path) -> Flow:
    try:
        with path.open("rb") as file, np.load(file) as arrays:  # np.load forgets to close a broken one
            flow = np.asarray(arrays["flow"], np.float32)
    except (OSError, ValueError, KeyError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise SourceError(f"cannot read the flow {path}: {error}; it must be an .npz with `flow`") from error
    if flow.ndim != 3 or flow.shape[2] != 2 or 0 in flow.shape:
        raise SourceError(f"the flow in {path} has shape {flow.shape}; it must be (H, W, 2)")
    return flow


def scaled(image: Image) -> Image:
    """At most WIDEST wide."""
    height, width = image.shape[:2]
    if width <= WIDEST:
        return image
    size = (WIDEST, max(1, round(height * WIDEST / width)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def scaled_motion(flow: Flow, skipped: Skipped, size_hw: tuple[int, int]) -> Motion:
    """Flow in the pixels of a scaled picture. A pixel that holds any part of a skipped one is skipped."""
    if flow.shape[:2] != size_hw:
        size = width, height = size_hw[::-1]
        factors = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
        flow = np.asarray(cv2.resize(flow, size, interpolation=cv2.INTER_AREA) * factors, np.float32)
        area = cv2.resize(skipped.astype(np.float32), size, interpolation=cv2.INTER_AREA)
        skipped = np.asarray(area) > 0
    return Motion.of(flow, skipped)


def frame_files(folder: Path) -> list[Path]:
    """The frames of a clip with true flow, in order."""
    inside = [folder / name for name in ("final", "frames") if (folder / name).is_dir()]
    return pictures_in(inside[0] if inside else folder)


def true_flow_clip(folder: Path, count: int | None = None) -> Clip:
    """Frames whose makers tell the motion. A pair without flow is painted and not judged.

    Nor is one that lacks its mask where others have one: what is hidden next would count as flicker.
    """
    files = frame_files(folder)[:count]
    frames = [read_picture(file)[0] for file in files]
    motions = {}
    for index, file in enumerate(files[:-1]):
        named = (folder / "flow" / f"{file.stem}{end}" for end in (".flo", ".npz"))
        found = [path for path in named if path.is_file()]
        masks = folder / "occlusions"
        if not found or (masks.is_dir() and not (masks / f"{file.stem}.png").is_file()):
            continue
        flow, skipped = read_flow(found[0])
        if flow.shape[:2] != frames[index].shape[:2]:
            raise SourceError(f"{found[0]} is not the flow of {file}: they differ in size")
        for name in ("occlusions", "invalid"):
            if (mask_file := folder / name / f"{file.stem}.png").is_file():
                mask = read_picture(mask_file)[0][:, :, 0] > 0
                if mask.shape != skipped.shape:
                    raise SourceError(f"{mask_file} is not a mask of {file}: they differ in size")
                skipped = skipped | mask
        motion = scaled_motion(flow, skipped, scaled(frames[index]).shape[:2])
        if motion.share_seen >= LEAST_SEEN:
            motions[index] = motion
    return Clip(folder.name, TRUE_FLOW, [scaled(frame) for frame in frames], times(len(frames)), motions)


# --- from stills ---


def noisy(image: npt.NDArray[Any], sigma: float, random: np.random.Generator) -> Image:
    """With sensor noise: Gaussian, of its own in each pixel and channel. sigma: grey levels."""
    pixels = image + sigma * random.standard_normal(image.shape) if sigma else image
    return np.clip(np.rint(pixels), 0, 255).astype(np.uint8)


def camera_path(
    size_hw: tuple[int, int], count: int, random: np.random.Generator
) -> list[npt.NDArray[np.float64]]:
    """Affine 3x3 matrices from a view's pixels to its still's, one a frame, which never look outside it.

    size_hw: of the still. The camera pans, zooms and turns at a speed that swells and fades.
    """
    still_hw = np.array(size_hw, np.float64)
    height, width = view_size(size_hw)
    share = (1 - np.cos(np.pi * np.arange(count) / max(1, count - 1))) / 2 - 0.5  # −0.5 to 0.5
    heading = random.uniform(0, 2 * np.pi)
    zoom, turn = (sign * value for sign, value in zip(random.choice([-1, 1], 2), (ZOOM, TURN), strict=True))
    corners = np.array([[x, y, 1] for x in (0, width - 1) for y in (0, height - 1)], np.float64).T  # (3, 4)
    middle = np.array([[1, 0, -(width - 1) / 2], [0, 1, -(height - 1) / 2], [0, 0, 1]])
    path = []
    for part in share:
        angle, size = np.deg2rad(turn * part), 1 + zoom * part
        cosine, sine = size * np.cos(angle), size * np.sin(angle)
        pan = PAN * part * np.array([width * np.cos(heading), height * np.sin(heading)])
        path.append(np.array([[cosine, -sine, pan[0]], [sine, cosine, pan[1]], [0, 0, 1]]) @ middle)
    reach = np.abs(np.stack([matrix @ corners for matrix in path])).max((0, 2))[:2]  # x, y from the middle
    scale = float(((still_hw[::-1] - 1) / 2 / reach).min())
    to_still = np.array([[scale, 0, (still_hw[1] - 1) / 2], [0, scale, (still_hw[0] - 1) / 2], [0, 0, 1]])
    return [to_still @ matrix for matrix in path]


def view_size(size_hw: tuple[int, int]) -> tuple[int, int]:
    height, width = (max(1, int(size * VIEW_SHARE)) for size in size_hw)
    return height, width


def flow_between(
    earlier: npt.NDArray[np.float64], later: npt.NDArray[np.float64], size_hw: tuple[int, int]
) -> Flow:
    """The exact flow between two matrices of a camera path: p' = later⁻¹ earlier p."""
    x, y = np.meshgrid(np.arange(size_hw[1], dtype=np.float64), np.arange(size_hw[0], dtype=np.float64))
    step = np.linalg.inv(later) @ earlier - np.eye(3)
    flow = np.stack(
        [step[0, 0] * x + step[0, 1] * y + step[0, 2], step[1, 0] * x + step[1, 1] * y + step[1, 2]], -1
    )
    return flow.astype(np.float32)


def load_still(path: Path) -> Image:
    """A photo, scaled down where its view would be wider or higher than WIDEST. Raises SourceError."""
    photo = read_picture(path)[0]
    if min(photo.shape[:2]) < SMALLEST_STILL:
        raise SourceError(
            f"{path} is too small to glide over; take stills of {SMALLEST_STILL} pixels or more a side"
        )
    shrink = WIDEST / VIEW_SHARE / max(photo.shape[:2])
    if shrink >= 1:
        return photo
    return np.asarray(cv2.resize(photo, None, fx=shrink, fy=shrink, interpolation=cv2.INTER_AREA), np.uint8)


def exact_clip(file: Path, *, noise: float, seed: int, count: int = EXACT_FRAMES) -> Clip:
    """A camera that glides over a still. noise: standard deviation in grey levels. seed: path and noise."""
    still, random = load_still(file), np.random.default_rng(seed)
    path = camera_path(still.shape[:2], count, random)
    height, width = view_size(still.shape[:2])
    soft = cv2.GaussianBlur(still.astype(np.float32), (0, 0), VIEW_BLUR)
    size, flags, border = (width, height), cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP, cv2.BORDER_REPLICATE
    views = [cv2.warpAffine(soft, m[:2], size, flags=flags, borderMode=border) for m in path]
    motions = {i: Motion.of(flow_between(path[i], path[i + 1], (height, width))) for i in range(count - 1)}
    frames = [noisy(np.asarray(view), noise, random) for view in views]
    name, kind = (f"noisy_{file.stem}", NOISY) if noise else (f"exact_{file.stem}", EXACT)
    return Clip(name, kind, frames, times(count), motions)


def standing_clip(file: Path, *, seed: int, count: int = STANDING_FRAMES) -> Clip:
    """A camera on a table: nothing changes but the sensor's noise."""
    random = np.random.default_rng(seed)
    view = scaled(load_still(file))
    frames = [noisy(view, STANDING_NOISE, random) for _ in range(count)]
    still_motion = Motion.of(np.zeros((*view.shape[:2], 2), np.float32))
    motions = dict.fromkeys(range(count - 1), still_motion)
    return Clip(f"standing_{file.stem}", STANDING, frames, times(count), motions)


# --- real ---


def estimated_motions(frames: Sequence[Image]) -> dict[int, Motion]:
    """DIS flow (Kroeger et al. 2016, arXiv:1603.03590), preset MEDIUM, at full size, without cuts.

    A pixel is judged where the flow there and the flow back agree (Sundaram et al. 2010, as in Ruder et al.
    2016, arXiv:1604.08610): |w + w'|² <= 0.01 (|w|² + |w'|²) + 0.5, w' the flow back at p + w(p).
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    greys = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    motions = {}
    for index, (grey, later) in enumerate(pairwise(greys)):
        forth = np.asarray(dis.calc(grey, later, None), np.float32)
        back = np.asarray(dis.calc(later, grey, None), np.float32)
        motion = Motion.of(forth, inconsistent(forth, back))
        if motion.share_seen >= LEAST_SEEN:
            motions[index] = motion
    return motions


def inconsistent(forth: Flow, back: Flow) -> Skipped:
    """Where the flow back does not lead back: hidden in the next frame, or badly estimated."""
    there = Motion.of(forth)
    home = cv2.remap(back, there.x, there.y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    gap, length = np.square(forth + home).sum(2), np.square(forth).sum(2) + np.square(home).sum(2)
    return np.asarray(gap > CONSISTENT_SHARE * length + CONSISTENT_SLACK)


def real_clip(path: Path, count: int = REAL_FRAMES) -> Clip:
    """The first frames of a video, REAL_HEIGHT high, with its own timestamps."""
    with VideoFileSource(path, height=REAL_HEIGHT) as source:
        shown = [frame for frame, _ in zip(source, range(count), strict=False)]
    frames = [scaled(frame.image) for frame in shown]
    return Clip(path.stem, REAL, frames, [frame.timestamp for frame in shown], estimated_motions(frames))


# --- files ---


def clip_folders(folder: Path) -> Iterator[Path]:
    """The folders with true flow, by name. Raises SourceError."""
    try:
        yield from sorted(path for path in folder.iterdir() if (path / "flow").is_dir())
    except OSError as error:
        raise SourceError(f"cannot read the clips in {folder}: {error.strerror or error}") from error


def frame_name(index: int) -> str:
    return f"{index:04}.png"
