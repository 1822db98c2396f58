from __future__ import annotations

import math

import numpy as np
import pytest
from fake_films import (
    CONTENT,
    EACH,
    Film,
    Painting,
    add_mix,
    flickering,
    look_at,
    plain,
    still_frames,
    stylize_frames,
)
from fakes import halved_colours, same_picture

from livestyle import pipeline
from livestyle.flicker import FlickerMeter
from livestyle.frame import Frame, Image
from livestyle.mix import MixVector
from livestyle.pipeline import keep_colours
from livestyle.take import Cue, Look, Take


@EACH
def test_each_frame_is_painted_in_the_look_of_its_own_time(painting: Painting) -> None:
    painted = list(painting(Film(), add_mix, look_at))
    # 10 * index of the picture, and 100 * 0.5 * index of the mix
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 60, 240]


@EACH
def test_what_was_painted_goes_along(painting: Painting) -> None:
    contents = [frame.content for frame in painting(Film(), add_mix, look_at)]
    assert [int(content[0, 0, 0]) for content in contents if content is not None] == [0, 10, 40]


@EACH
def test_a_frozen_look_paints_the_picture_before_it_again(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.array([0, 100 * timestamp], np.float32), frozen=timestamp > 0.2)

    painted = list(painting(Film(), add_mix, look))
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 50, 200]
    assert [frame.index for frame in painted] == [0, 1, 4]


@EACH
def test_a_stream_that_begins_frozen_paints_its_first_picture(painting: Painting) -> None:
    painted = list(painting(Film(), add_mix, lambda at: Look(np.zeros(2, np.float32), frozen=True)))
    assert [int(frame.image[0, 0, 0]) for frame in painted] == [0, 0, 0]


def test_a_smooth_look_calms_and_a_plain_one_changes_nothing() -> None:
    deviations = []
    for smooth in (0.0, 0.6, 0.9):
        shown = [frame.image for frame in stylize_frames(still_frames(40), flickering(), plain(smooth))]
        deviations.append(float(np.std(shown[20:], axis=0).mean()))
    paint = flickering()
    raw = [paint(CONTENT, np.ones(1, np.float32), 1.0) for _ in range(40)]
    assert deviations[0] == pytest.approx(float(np.std(raw[20:], axis=0).mean()), abs=1e-6)
    assert deviations[0] > 1.8 * deviations[1] > 1.8 * 1.8 * deviations[2]


def fading(image: Image, mix: MixVector, brush: float) -> Image:
    return np.full_like(image, round(200 * float(mix[1])))


@pytest.mark.parametrize(("seconds", "most"), [(0.0, 0), (0.2, 11), (1.0, 11)])
def test_a_mix_that_moves_is_not_shown_late(seconds: float, most: int) -> None:
    take = Take([Cue(0.0, (1.0, 0.0), smooth=0.9), Cue(0.5, (0.0, 1.0), over=seconds, smooth=0.9)])
    again = Take(take.cues)
    for frame in stylize_frames(still_frames(60), fading, take.at):
        expected = 200 * float(again.at(frame.timestamp).style_mix[1])
        assert abs(int(frame.image[0, 0, 0]) - expected) <= most + 1, frame.index


@EACH
def test_own_colours_come_and_go_at_once(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), own_colours=timestamp > 0.2, smooth=0.9)

    red = np.zeros_like(CONTENT)
    red[..., 0] = 200
    frames = list(painting(still_frames(12), lambda image, mix, brush: red, look))
    assert same_picture(frames[6].image, red, levels=1)
    assert same_picture(frames[7].image, halved_colours(keep_colours(red, CONTENT)))


@EACH
def test_a_frozen_picture_stays_as_it_is_and_the_scene_after_it_is_not_blended(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), smooth=0.9, frozen=0.3 < timestamp < 0.6)

    other = 255 - CONTENT
    film = [Frame(CONTENT if n < 10 else other, n, n / 30) for n in range(30)]
    shown = [frame.image for frame in painting(film, lambda image, mix, brush: image, look)]
    assert all(same_picture(image, halved_colours(CONTENT)) for image in shown[:18])
    assert all(same_picture(image, halved_colours(other)) for image in shown[18:])


@EACH
def test_smoothing_can_be_turned_on_and_off_on_the_way(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), smooth=0.9 if 0.3 < timestamp < 0.6 else 0.0)

    paint, again = flickering(), flickering()
    for frame in painting(still_frames(30), paint, look):
        raw = again(CONTENT, np.ones(1, np.float32), 1.0)
        smoothed = 0.3 < frame.timestamp < 0.6
        assert np.array_equal(frame.image, raw) != smoothed, frame.index
        if frame.index == 10:  # has no past yet
            assert same_picture(frame.image, halved_colours(raw))


@EACH
def test_the_meter_hears_of_the_painting_before_and_after_smoothing(painting: Painting) -> None:
    removed = []
    for smooth in (0.0, 0.9):
        meter = FlickerMeter()
        list(painting(still_frames(60), flickering(), plain(smooth), meter=meter))
        assert meter.overall is not None
        assert meter.overall.removed is not None
        removed.append(meter.overall.removed)
    # differences of successive pictures: sqrt((1 - a)² / (1 + a)) of what they were
    assert removed == pytest.approx([0, 1 - 0.1 / math.sqrt(1.9)], abs=0.03)


@EACH
def test_the_same_take_gives_the_same_pictures_every_time(painting: Painting) -> None:
    def play() -> list[Image]:
        take = Take([Cue(0.0, (1.0, 0.0), smooth=0.88), Cue(0.5, (0.0, 1.0), over=0.3, smooth=0.5)])
        moving = [Frame(np.ascontiguousarray(np.roll(CONTENT, n, axis=1)), n, n / 30) for n in range(30)]
        return [frame.image for frame in painting(moving, flickering(), take.at)]

    assert all(np.array_equal(one, other) for one, other in zip(play(), play(), strict=True))


@EACH
def test_another_brush_is_shown_at_once(painting: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.ones(1, np.float32), smooth=0.9, brush=2.0 if timestamp > 0.2 else 1.0)

    frames = list(painting(still_frames(12), lambda image, mix, brush: np.full_like(image, 50 * brush), look))
    shown = [int(frame.image[5, 5, 0]) for frame in frames]
    assert set(shown) == {50, 100}
    assert shown == sorted(shown)


class Halving:
    """Paints half the size, and enlarges by repeating pixels."""

    def paint(self, image: Image, mix: MixVector, brush: float) -> Image:
        return np.full_like(image[::2, ::2], int(mix[0]))

    def enlarge(self, painted: Image, image: Image) -> Image:
        assert painted.shape == image[::2, ::2].shape
        return painted.repeat(2, axis=0).repeat(2, axis=1)


@pytest.mark.parametrize("stylize", [pipeline.stylize_frames, pipeline.stylize_film])
def test_small_paintings_are_smoothed_before_they_are_enlarged(stylize: Painting) -> None:
    def look(timestamp: float) -> Look:
        return Look(np.array([50 if timestamp > 0.1 else 100], np.float32), smooth=0.9)

    frames = list(stylize(still_frames(12), Halving(), look))
    assert all(frame.image.shape == CONTENT.shape for frame in frames)
    assert [int(frame.image[5, 5, 0]) for frame in frames] == [100] * 4 + [50] * 8  # another mix: at once


@pytest.mark.parametrize("stylize", [pipeline.stylize_frames, pipeline.stylize_film])
def test_small_paintings_take_the_colours_of_the_photo_too(stylize: Painting) -> None:
    blue = np.zeros((32, 40, 3), np.uint8)
    blue[..., 2] = 200
    frames = [Frame(blue, n, n / 30) for n in range(3)]
    shown = list(stylize(frames, Halving(), lambda at: Look(np.full(1, 90, np.float32), own_colours=True)))
    assert same_picture(shown[2].image, keep_colours(np.full_like(blue, 90), blue), levels=1)


def test_own_colours_keep_the_brightness_of_the_painting() -> None:
    painted, content = np.full((2, 2, 3), 120, np.uint8), np.zeros((2, 2, 3), np.uint8)
    content[:] = (180, 100, 60)
    kept = keep_colours(painted, content).astype(float)
    brightness = kept @ (0.299, 0.587, 0.114)  # ITU-R BT.601
    assert np.abs(brightness - 120).max() < 1.5
    # the differences to the brightness are the photo's: 180, 100 and 60 against its 119.4
    assert np.abs(kept - brightness[..., None] - (60.6, -19.4, -59.4)).max() < 2.5
    assert content[0, 0].tolist() == [180, 100, 60]  # left as it was


def test_indexes_and_timestamps_stay() -> None:
    painted = stylize_frames(Film(), add_mix, look_at)
    assert [(frame.index, frame.timestamp) for frame in painted] == [(0, 0.0), (1, 0.5), (4, 2.0)]
