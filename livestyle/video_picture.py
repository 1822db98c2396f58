"""A decoded picture of a video, upright and in RGB."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np

from livestyle.errors import SourceError
from livestyle.frame import Image

if TYPE_CHECKING:
    import av

_UNSPECIFIED_MATRIX = 2  # AVCOL_SPC_UNSPECIFIED


class Upright(NamedTuple):
    """How to turn a picture: transposed first, then mirrored."""

    transposed: bool = False
    mirrored_x: bool = False
    mirrored_y: bool = False

    @classmethod
    def of(cls, picture: av.VideoFrame) -> Self:
        """From the display matrix: a stored (p, q) is shown at (a p + c q, b p + d q)."""
        try:
            matrix = bytes(picture.side_data["DISPLAYMATRIX"])  # type: ignore[typeddict-item]
        except (KeyError, ValueError):  # it has none, or PyAV 18 stumbled over another kind of side data
            return cls(*_QUARTER_TURNS[round(picture.rotation / 90) % 4])
        a, b, _, c, d, *_ = np.frombuffer(matrix, np.int32).tolist()
        if abs(b) > abs(a):
            return cls(True, c < 0, b < 0)
        return cls(False, a < 0, d < 0)

    def apply(self, image: Image) -> Image:
        if self.transposed:
            image = image.transpose(1, 0, 2)
        if self.mirrored_x:
            image = image[:, ::-1]
        if self.mirrored_y:
            image = image[::-1]
        return np.ascontiguousarray(image)


# counterclockwise
_QUARTER_TURNS = ((False, False, False), (True, False, True), (False, True, True), (True, True, False))


class RgbReader:
    """Turns a file's decoded pictures into RGB, by the matrix that it names or the usual one for their size.

    The usual one serves too where libav does not know the named one, such as YCgCo: rather other colours than
    no picture. Raises SourceError for pixels that nothing turns into RGB.
    """

    def __init__(self, path: Path) -> None:
        from av.video.reformatter import Colorspace, VideoReformatter

        self._path = path
        self._reformatter = VideoReformatter()
        self._small, self._large = Colorspace.ITU601, Colorspace.ITU709

    def __call__(self, picture: av.VideoFrame) -> Image:
        import av

        usual = self._large if picture.height > 576 else self._small
        matrices = (usual,) if picture.colorspace == _UNSPECIFIED_MATRIX else (None, usual)
        for matrix in matrices:
            try:
                rgb = self._reformatter.reformat(picture, format="rgb24", src_colorspace=matrix)
                return np.asarray(rgb.to_ndarray(), np.uint8)
            except av.FFmpegError as error:
                refused = error
        pixels = picture.format.name
        raise SourceError(
            f"cannot read {self._path}: nothing turns its {pixels} pixels into RGB; convert it to H.264"
        ) from refused
