"""Frames of videos of any rate, and their windows; videos are made here, and their frames tell their numbers."""

from __future__ import annotations

from pathlib import Path

import pytest

from egopack.errors import UserError
from egopack.inference.video import Frame, Video, count_windows
from tests.support.videos import SIZE, write_video


def number(frame: Frame) -> int:
    return int(frame.pixels(0)[0, 0, 0])


def numbers(path: Path, fps: float = 30.0) -> list[int]:
    return [number(frame) for frame in Video(path, fps).frames()]


def test_frames_of_the_same_rate_are_those_of_the_file(tmp_path: Path) -> None:
    assert numbers(write_video(tmp_path / "a.mkv", 100)) == list(range(100))


@pytest.mark.parametrize(("fps", "expected"), [(60.0, list(range(0, 100, 2))), (15.0, [n // 2 for n in range(200)])])
def test_frames_of_another_rate_are_what_is_seen_then(fps: float, expected: list[int], tmp_path: Path) -> None:
    assert numbers(write_video(tmp_path / "a.mkv", 100, fps)) == expected


@pytest.mark.parametrize("fps", [25.0, 29.97, 50.0])
def test_frames_of_odd_rates_are_the_last_that_came(fps: float, tmp_path: Path) -> None:
    found = numbers(write_video(tmp_path / "a.mkv", 120, fps))
    assert abs(len(found) - 120 / fps * 30) <= 1
    came = [round(n / fps, 3) for n in range(120)]  # the file counts in milliseconds
    assert found == [max(n for n in range(120) if came[n] <= k / 30 + 2e-3) for k in range(len(found))]


def test_a_gap_is_filled_by_the_frame_before(tmp_path: Path) -> None:
    times = [0.0, 1 / 30, 4 / 30, 5 / 30]
    assert numbers(write_video(tmp_path / "a.mkv", 4, times=times)) == [0, 1, 1, 1, 2, 3]


def test_frames_are_scaled_by_their_shorter_side(tmp_path: Path) -> None:
    frame = next(Video(write_video(tmp_path / "a.mkv", 2), 30.0).frames())
    assert frame.pixels(12).shape == (12, 16, 3)
    assert SIZE == (32, 24)


@pytest.mark.parametrize(
    ("frames", "stride", "window", "first", "last"),
    [
        (64, 16, 16, [0, 16, 32, 48], 63),
        (70, 16, 16, [0, 16, 32, 48, 54], 69),  # the last one moved back
        (70, 16, 32, [0, 16, 32, 38], 69),
        (70, 16, 4, [0, 16, 32, 48, 64, 66], 69),
        (10, 16, 16, [0], 9),
        (1, 16, 16, [0], 0),
    ],
)
def test_windows(frames: int, stride: int, window: int, first: list[int], last: int, tmp_path: Path) -> None:
    found = list(Video(write_video(tmp_path / "a.mkv", frames), 30.0).windows(stride, window))
    assert all(len(one) == window for one in found)
    assert [number(one[0]) for one in found] == first
    assert number(found[-1][-1]) == last
    assert count_windows(frames, stride, window) == len(first)


def test_files_that_are_no_videos(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"a\.mp4: not a video that can be read"):
        Video(tmp_path / "a.mp4", 30.0)
    with pytest.raises(UserError, match=r"b\.mp4: no such video"):
        Video(tmp_path / "b.mp4", 30.0)


def test_what_cannot_be_decoded_is_left_out_and_counted(tmp_path: Path) -> None:
    parts = write_video(tmp_path / "a.mov", 60, codec="png").read_bytes().split(b"\x89PNG")
    assert len(parts) == 61
    (tmp_path / "b.mov").write_bytes(b"\x89PNG".join(parts[:31]) + bytes(4) + b"\x89PNG".join(parts[31:]))
    video = Video(tmp_path / "b.mov", 30.0)
    assert [number(frame) for frame in video.frames()] == [*range(30), 29, *range(31, 60)]
    assert video.undecodable == 1


def test_a_video_that_is_cut_short_has_the_frames_before(tmp_path: Path) -> None:
    content = write_video(tmp_path / "a.mkv", 60).read_bytes()
    (tmp_path / "b.mkv").write_bytes(content[: len(content) // 2])
    found = numbers(tmp_path / "b.mkv")
    assert found == list(range(len(found)))
    assert 10 < len(found) < 60
