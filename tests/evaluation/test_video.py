"""Race videos: their clock, their pictures, and that other programs can play them."""

import importlib.util
from pathlib import Path

import av
import numpy as np
import pytest

from drctl.evaluation.video import frame_times, record_videos
from drctl.formats.episode_status import EpisodeStatus
from drctl.simulation.track.library import load_track

_spec = importlib.util.spec_from_file_location("driven_lap", Path(__file__).parent / "driven_lap.py")
driven_lap = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(driven_lap)
straight_lap = driven_lap.straight_lap

UNEVEN_S = 7.0 + np.cumsum([0.05, 0.082, 0.06, 0.071, 0.05, 0.09, 0.066, 0.067, 0.055, 0.079, 0.066, 0.058, 0.07, 0.1])


@pytest.fixture(scope="module")
def track():
    return load_track("Straight_track")


@pytest.fixture(scope="module")
def videos(track, tmp_path_factory):
    return record_videos(track, [straight_lap(UNEVEN_S)], tmp_path_factory.mktemp("mp4"))


def decode(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24").astype(int) for frame in container.decode(video=0)]


def test_frames_are_evenly_spaced_in_simulated_time():
    frames = frame_times([straight_lap(UNEVEN_S)])
    count = int((UNEVEN_S[-1] - UNEVEN_S[0]) * 15) + 1
    assert frames.poses[:, 0] == pytest.approx(1.0 + 2.0 * np.arange(count) / 15)
    assert frames.clock_s == pytest.approx(np.arange(count) / 15)
    assert frames.speed_m_s[1:] == pytest.approx(np.full(count - 1, 2.0))
    assert frames.has_jumped.tolist() == [True] + [False] * (count - 1)


def test_a_car_that_is_put_back_does_not_glide():
    lap = straight_lap(np.arange(31) / 20)
    lap.poses[16:, :2] = 3.0, 1.8
    frames = frame_times([lap])
    assert frames.has_jumped.nonzero()[0].tolist() == [0, 12]  # rows 15 and 16 are at 0.75 and 0.8 s
    assert set(frames.poses[12:, 1]) == {1.8}
    assert set(frames.poses[:12, 1]) == {1.2}
    assert frames.speed_m_s[12] == 0.0
    assert frames.speed_m_s.max() < 2.1


def test_yaw_takes_the_short_way():
    lap = straight_lap([0.0, 0.2], speed_m_s=0.5)
    lap.poses[:, 2] = 3.0, -3.0
    expected = 3.0 + (2 * np.pi - 6.0) * np.arange(4) / 3
    assert np.remainder(frame_times([lap]).poses[:, 2], 2 * np.pi) == pytest.approx(expected)


def test_laps_follow_each_other_and_each_has_its_clock():
    first = straight_lap(np.arange(16) / 15, lap=1, laps_total=2)
    second = straight_lap(16 / 15 + np.arange(15) / 15, start_m=(3.0 + 2 / 15, 1.2), lap=2, laps_total=2)
    frames = frame_times([first, second])
    assert frames.lap.tolist() == [0] * 16 + [1] * 15
    assert frames.clock_s == pytest.approx(np.concatenate([np.arange(16), np.arange(15)]) / 15)
    assert not frames.has_jumped[1:].any()


def test_a_lap_of_one_row_is_one_frame():
    frames = frame_times([straight_lap([3.0])])
    assert frames.poses.tolist() == [[1.0, 1.2, 0.0]]


def test_videos_lie_in_the_folders_of_their_cameras(videos):
    assert [path.parts[-2:] for path in videos] == [
        ("camera-pip", "0-video.mp4"),
        ("camera-45degree", "0-video.mp4"),
        ("camera-topview", "0-video.mp4"),
    ]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_videos_are_what_browsers_play(videos, index):
    with av.open(str(videos[index])) as container:
        stream = container.streams.video[0]
        assert len(container.streams) == 1
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")
        assert (stream.width, stream.height, stream.average_rate) == (640, 480, 15)
        driven = int((UNEVEN_S[-1] - UNEVEN_S[0]) * 15) + 1
        times_s = [frame.time for frame in container.decode(stream)]
        assert times_s == pytest.approx(np.arange(driven + 30) / 15)
    data = videos[index].read_bytes()
    assert 0 < data.find(b"moov") < data.find(b"mdat")  # so that it plays before it is loaded whole
    assert b"avc1" in data


def test_the_overlay_is_on_one_of_them_alone(videos):
    with_overlay, behind = decode(videos[0]), decode(videos[1])
    assert np.abs(with_overlay[5][150:180, :350] - behind[5][150:180, :350]).mean() < 4  # nothing is written here
    assert np.abs(with_overlay[5][10:120, 10:150] - behind[5][10:120, 10:150]).mean() > 25
    banner = [np.abs(one[200:280] - other[200:280]).mean() for one, other in zip(with_overlay, behind, strict=True)]
    assert max(banner[:10]) < 6
    assert min(banner[-25:]) > 40


def test_the_car_drives_through_the_top_view(track, videos):
    frames = decode(videos[2])
    low, high = track.outer_m.min(axis=0), track.outer_m.max(axis=0)
    per_m = 640 / (1.25 * (high[0] - low[0])) * 6 / (6 - 0.085)
    for number in (2, 12):
        red = (frames[number][:, :, 0] > 130) & (frames[number][:, :, 1] < 90) & (frames[number][:, :, 2] < 90)
        first, last = np.percentile(np.nonzero(red)[1], (3, 97))  # without what compression leaves elsewhere
        x_m = 1.0 + 2.0 * number / 15
        expected = 320 + (x_m - (low[0] + high[0]) / 2) * per_m
        assert (first + last) / 2 == pytest.approx(expected, abs=3)


def test_an_unfinished_race_has_no_banner(track, tmp_path):
    lap = straight_lap(np.arange(8) / 15)
    lap.statuses[-1] = EpisodeStatus.OFF_TRACK.index
    paths = record_videos(track, [lap], tmp_path)
    last, behind = decode(paths[0])[-1], decode(paths[1])[-1]
    assert np.abs(last[200:280] - behind[200:280]).mean() < 12


def test_videos_repeat_byte_for_byte(track, videos, tmp_path):
    again = record_videos(track, [straight_lap(UNEVEN_S)], tmp_path)
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in videos]


def test_no_laps_no_video(track, tmp_path):
    with pytest.raises(ValueError, match="at least one lap"):
        record_videos(track, [], tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_file_that_cannot_be_written_is_an_error(track, tmp_path):
    (tmp_path / "camera-topview" / "0-video.mp4").mkdir(parents=True)
    with pytest.raises(IsADirectoryError) as raised:
        record_videos(track, [straight_lap(UNEVEN_S)], tmp_path)
    assert "camera-topview" in str(raised.value.filename)
