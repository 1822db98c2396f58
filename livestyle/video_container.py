"""Opens video files, and says in one sentence why one cannot be opened."""

from __future__ import annotations

import importlib
import sys
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2  # noqa: F401 (before av: the other order makes cv2's windows hang on Linux)

from livestyle.errors import SourceError
from livestyle.picture_header import PHOTO_BRANDS, is_picture
from livestyle.silence import native_stderr_silenced

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

LONGEST_SIDE = 16383  # pixels; beyond it, one frame takes 800 MB, and smoothing doubles what cv2 moves
_PICTURE_FORMATS = ("gif", "apng", "ico")
# libav reads playlists and scripts too, which open whatever file they name, and "image2" opens a photo's
# neighbours by a number in its name. All of these hold what they show themselves.
_FORMATS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpeg,mpegvideo,vob,flv,live_flv,asf,ogg,mxf,gxf,nut,dv,rm,wtv,swf,amv,"
    "h261,h263,h264,hevc,vvc,m4v,vc1,dirac,ivf,obu,av1,mjpeg,yuv4mpegpipe,nsv,nuv,mlv,smjpeg,flic,"
    "gif,apng,ico,jpegxl_anim,tty"  # the last one to say that a text is none
)
_TS_DISCONT = 0x0200  # AVFMT_TS_DISCONT


def load_av() -> None:
    """Load PyAV. On macOS the system warns at length that it and OpenCV bring the same classes."""
    if sys.platform == "darwin" and "av" not in sys.modules:
        with native_stderr_silenced():
            importlib.import_module("av")


def open_video(path: Path) -> tuple[InputContainer, VideoStream]:
    """Open a file and find its moving picture. Raises SourceError."""
    load_av()
    import av

    _check_is_file(path)
    try:
        # "file:" keeps a colon in a name from being read as a protocol.
        container = av.open(f"file:{path}", "r", options=_options(), **_tag_options())
    except PermissionError as error:
        raise SourceError(f"cannot read {path}: {error.strerror}") from error
    except (av.FFmpegError, ValueError) as error:
        if is_picture(path):  # a large .jpg is an "image2" for libav, by its name
            raise photo_refused(path) from error
        raise SourceError(
            f"cannot read {path}: it is not a video, or it is broken or cut short; "
            "try it in a player, or copy it again"
        ) from error
    try:
        return container, _moving_picture(path, container)
    except BaseException:
        container.close()
        raise


def _options() -> dict[str, str]:
    import av

    pipes = [name for name in av.formats_available if name.endswith("_pipe")]  # one picture: png_pipe, …
    return {"format_whitelist": ",".join([_FORMATS, *pipes])}


def photo_refused(path: Path) -> SourceError:
    """What is said of a picture where a video is wanted."""
    return SourceError(f"{path} is a picture, not a video; `livestyle image IN OUT` paints pictures")


def exact(value: Any) -> Fraction:
    """PyAV 19 gives numbers of its own where PyAV 18 gives fractions."""
    return Fraction(value.numerator, value.denominator)


def _tag_options() -> dict[str, Any]:
    """Tags may be in any encoding: PyAV before 19 has to be told not to stumble over one."""
    import av

    return {"metadata_errors": "replace"} if int(av.__version__.split(".")[0]) < 19 else {}


def beginning_of(container: InputContainer) -> Fraction:
    """The time in a file that its viewer calls 0, in seconds."""
    # Broadcast formats count from anywhere, often from hours; elsewhere a late start is meant.
    if container.format.flags & _TS_DISCONT and container.start_time is not None:
        return Fraction(container.start_time, 1_000_000)
    return Fraction(0)


def _check_is_file(path: Path) -> None:
    try:
        if path.is_dir():
            raise SourceError(f"{path} is a folder; name a video file in it")
        if not path.exists():
            raise SourceError(f"there is no video {path}; check the name")
        if not path.is_file():  # a pipe or a device could block for ever
            raise SourceError(f"{path} is not a file; name a video file")
        if path.stat().st_size == 0:
            raise SourceError(f"{path} is empty (0 bytes); copy or download it again")
    except (OSError, ValueError) as error:
        raise SourceError(f"cannot read {path}: {error}") from error


def _moving_picture(path: Path, container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    streams = [
        stream
        for stream in container.streams.video
        if not stream.disposition & Disposition.attached_pic  # a cover
    ]
    if not streams or container.format.name == "tty":  # libav would show a .txt file as a video
        raise SourceError(f"{path} has no video in it; name another file")
    stream = streams[0]
    context = stream.codec_context
    if context is None or not stream.time_base:
        raise SourceError(f"cannot read {path}: no decoder knows its kind of video; convert it to H.264")
    if not context.width or not context.height:
        raise SourceError(f"cannot read {path}: its video is {context.width} x {context.height} pixels")
    if max(context.width, context.height) > LONGEST_SIDE:
        raise SourceError(
            f"cannot read {path}: its video is {context.width} x {context.height} pixels, "
            f"and no side may be longer than {LONGEST_SIDE}"
        )
    return stream


def promised_frames(container: InputContainer, stream: VideoStream) -> int:
    """How many frames a whole file shows, from what it says before any is read; 0 where it does not."""
    if "mp4" not in container.format.name.split(","):
        return stream.frames
    # `frames` counts what is stored. Trimmers often cut nothing away: an edit list says what of it is shown.
    return min(stream.frames, sum(not entry.is_discard for entry in stream.index_entries))


def is_photo(container: InputContainer, path: Path) -> bool:
    """Whether the file at `path`, open as `container`, is of a kind for pictures and holds just one.

    Animations are films. Only files of such kinds are opened twice for it.
    """
    kind = container.format.name
    is_of_pictures = kind in _PICTURE_FORMATS or kind.endswith("_pipe")  # png_pipe, bmp_pipe, ...
    if not is_of_pictures and container.metadata.get("major_brand") not in PHOTO_BRANDS:
        return False
    import av

    again, stream = open_video(path)
    with again:
        try:
            return sum(1 for _ in islice((p for p in again.demux(stream) if p.size), 2)) == 1
        except av.FFmpegError:  # what is wrong with it is told when it is read
            return False
