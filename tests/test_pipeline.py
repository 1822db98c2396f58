from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from livestyle.frame import Frame, Image
from livestyle.pipeline import Mix, stylize_frames


def grey(level: int) -> Image:
    return np.full((2, 3, 3), level, np.uint8)


class Film:
    def __init__(self) -> None:
        self.closed = False

    def __iter__(self) -> Iterator[Frame]:
        try:
            for index in (0, 1, 4):  # 2 and 3 were dropped
                yield Frame(grey(10 * index), index, 0.5 * index)
        finally:
            self.closed = True


def add_mix(image: Image, mix: Mix) -> Image:
    painted: Image = image + mix[1].astype(np.uint8)
    return painted


def mix_at(timestamp: float) -> Mix:
    return np.array([0, 100 * timestamp], np.float32)


def test_each_frame_is_painted_in_the_mix_of_its_own_time() -> None:
    painted = list(stylize_frames(Film(), add_mix, mix_at))
    # 10 * index of the picture, and 100 * 0.5 * index of the mix
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 60, 240]


def test_indexes_and_timestamps_stay() -> None:
    painted = stylize_frames(Film(), add_mix, mix_at)
    assert [(frame.index, frame.timestamp) for frame in painted] == [(0, 0.0), (1, 0.5), (4, 2.0)]


def test_stopping_early_closes_the_source() -> None:
    film = Film()
    painted = stylize_frames(film, add_mix, mix_at)
    next(painted)
    assert not film.closed
    painted.close()
    assert film.closed


def test_an_error_in_the_stylizer_closes_the_source_and_goes_on() -> None:
    def fail(image: Image, mix: Mix) -> Image:
        raise RuntimeError("out of memory")

    film = Film()
    with pytest.raises(RuntimeError, match="out of memory"):
        list(stylize_frames(film, fail, mix_at))
    assert film.closed


def test_iterators_that_cannot_be_closed_do_as_well() -> None:
    frames = [Frame(grey(7), 0, 0.0)]
    assert len(list(stylize_frames(frames, add_mix, mix_at))) == 1
