from fractions import Fraction

import av
import numpy as np
import pytest

from interdiff.errors import InputError
from interdiff.video.data.lsmdc import FilmClip, clip_file, read_annotations
from interdiff.video.data.videos import TooShort, read_clip

NAME = "0001_American_Beauty_00.00.51.926-00.00.54.129"
RATE, GREY = 10, 8
"""Frames per second of the videos, and by how much each frame is brighter than the one before."""


def line(name=NAME, sentence="Someone walks.", start="00.00.51.426", end="00.00.54.629"):
    return f"{name}\t00.00.51.926\t00.00.54.129\t{start}\t{end}\t{sentence}"


def written(path, *lines):
    path.write_text("\n".join([*lines, ""]), encoding="utf-8")
    return path


def coded(path, pictures, codec="libx264", aspect=None, **options):
    """A video file of pictures [T, H, W, 3]."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=RATE, options={"crf": "1"} | options)
        stream.width, stream.height, stream.pix_fmt = pictures.shape[2], pictures.shape[1], "yuv420p"
        if aspect:
            stream.codec_context.sample_aspect_ratio = Fraction(aspect)
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def brightening(count=30, height=48, width=64):
    values = (GREY * np.arange(count)).astype(np.uint8)
    return np.broadcast_to(values[:, None, None, None], (count, height, width, 3)).copy()


def read(path, frames=5, seconds=0.1, size=(48, 64), crop="centre", seed=0, pad=False):
    return read_clip(path, frames, seconds, size, crop, np.random.default_rng(seed), pad)


def numbers(video):
    """Which frames of the brightening video these are."""
    return np.round(video.mean((1, 2, 3)) / GREY).astype(int).tolist()


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return coded(tmp_path_factory.mktemp("videos") / "a.mp4", brightening())


def test_annotations_are_read(tmp_path):
    sentence = 'A café: "quotes" mean nothing.'
    other = "3009_BATTLE_LOS_ANGELES_01.03.07.170-01.03.09.675"
    lines = (line(sentence=sentence), line(other + ".avi", start="01:03:07,100"), "", line(sentence="Again. "))
    clips = read_annotations(written(tmp_path / "a.csv", *lines))
    key = "0001_American_Beauty_00_00_51_926-00_00_54_129"
    assert clips[0] == FilmClip(key, NAME, "0001_American_Beauty", 51.426, 54.629, sentence)
    assert (clips[1].name, clips[1].film) == (other, "3009_BATTLE_LOS_ANGELES")
    assert clips[1].start == pytest.approx(3787.1)
    assert (clips[2].key, clips[2].name, clips[2].sentence) == (f"{key}_2", NAME, "Again.")


BAD = {
    "columns": ("\t".join(line().split("\t")[:5]), "5 values; expected 6: clip, start, end, padded start"),
    "spaces": (line().replace("\t", " "), "1 values; expected 6"),
    "name": (line("0001_American_Beauty"), "clip '0001_American_Beauty'; expected a name such as 0001_Film_"),
    "folder": (line(f"film/{NAME}"), "clip 'film/0001"),
    "time": (line(end="54.129"), "time '54.129'; expected hours, minutes and seconds"),
    "sentence": (line(sentence=" "), "no sentence"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_line_is_named(tmp_path, name):
    bad, message = BAD[name]
    path = written(tmp_path / "bad.csv", line(), bad)
    with pytest.raises(InputError, match=message) as error:
        read_annotations(path)
    assert str(error.value).startswith(f"{path}: line 2: ")


def test_unreadable_annotations_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none.csv: not a readable annotation file"):
        read_annotations(tmp_path / "none.csv")
    with pytest.raises(InputError, match=r"empty.csv: no lines; expected clip, start"):
        read_annotations(written(tmp_path / "empty.csv", " "))
    (tmp_path / "bytes.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match=r"bytes.csv: not a readable annotation file"):
        read_annotations(tmp_path / "bytes.csv")


@pytest.mark.parametrize("extension", ["avi", "mp4", "mkv", "webm", "mov"])
@pytest.mark.parametrize("folder", [".", "0001_American_Beauty"])
def test_a_video_is_found_with_and_without_its_films_folder(tmp_path, extension, folder):
    (clip,) = read_annotations(written(tmp_path / "a.csv", line()))
    path = tmp_path / "videos" / folder / f"{NAME}.{extension}"
    path.parent.mkdir(parents=True)
    with pytest.raises(InputError) as error:
        clip_file(tmp_path / "videos", clip)
    looked = f"{tmp_path}/videos/0001_American_Beauty and {tmp_path}/videos;"
    assert (
        str(error.value) == f"{NAME}: no video of this name in {looked} expected one with .avi, .mp4, .mkv, .webm, .mov"
    )
    path.touch()
    assert clip_file(tmp_path / "videos", clip) == path


FORMS = {
    "x264.mp4": ("libx264", {}),
    "x264.avi": ("libx264", {}),
    "xvid.avi": ("mpeg4", {"bf": "2", "qmin": "1", "qmax": "1"}),
    "x264.mkv": ("libx264", {}),
    "vp8.webm": ("libvpx", {"crf": "4", "b": "2M"}),
}


@pytest.mark.parametrize("name", FORMS)
def test_frames_are_evenly_spaced_in_time_in_every_form(tmp_path, name):
    codec, options = FORMS[name]
    found = read(coded(tmp_path / name, brightening(), codec, **options), frames=30, seconds=2.9)
    assert found.shape == (30, 48, 64, 3)
    assert found.dtype == np.uint8
    assert numbers(found) == list(range(30))


def test_the_middle_or_a_random_part_is_taken(video):
    assert numbers(read(video, frames=5, seconds=1.9)) == [5, 10, 14, 19, 24]
    starts = set()
    for seed in range(8):
        part = numbers(read(video, frames=11, seconds=1.0, crop="random", seed=seed))
        assert part == list(range(part[0], part[0] + 11))
        assert part == numbers(read(video, frames=11, seconds=1.0, crop="random", seed=seed))
        starts.add(part[0])
    assert len(starts) > 3
    assert min(starts) < 9 < max(starts)


@pytest.mark.parametrize("crop", ["centre", "random"])
def test_a_shorter_video_is_never_stretched(video, crop):
    """The 30 frames last 3 s, since the last one is shown as long as the others."""
    assert numbers(read(video, frames=3, seconds=2.9, crop=crop)) == [0, 14, 29]
    assert numbers(read(video, frames=31, seconds=3.0, crop=crop)) == [*range(30), 29]
    with pytest.raises(TooShort, match=r"a.mp4: 3.00 s; expected 4.0 s \(short: skip leaves it out"):
        read(video, frames=41, seconds=4.0, crop=crop)
    assert numbers(read(video, frames=41, seconds=4.0, crop=crop, pad=True)) == [*range(30), *[29] * 11]


def test_one_frame_is_no_clip(tmp_path):
    path = coded(tmp_path / "still.mp4", brightening(1))
    with pytest.raises(TooShort, match=r"still.mp4: 0.00 s; expected 0.1 s"):
        read(path)
    assert len(read(path, pad=True)) == 5


def test_rotated_videos_are_upright(tmp_path):
    """A red left half that the container says to turn clockwise is a red upper half."""
    pictures = np.zeros((4, 32, 64, 3), np.uint8)
    pictures[:, :, :32, 0] = 200
    path = coded(tmp_path / "sideways.mp4", pictures)
    content = bytearray(path.read_bytes())
    unit = (0x10000).to_bytes(4, "big")
    matrix = content.index(
        unit + bytes(12) + unit + bytes(12) + (0x40000000).to_bytes(4, "big"), content.index(b"tkhd")
    )
    turned = [0, 0x10000, 0, -0x10000, 0, 0, 32 << 16, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in turned)
    path.write_bytes(content)
    found = read(path, size=(64, 32))[0]
    assert found.shape == (64, 32, 3)
    assert found[:30, :, 0].min() > 150
    assert found[34:, :, 0].max() < 50


def test_frames_at_uneven_times_are_found_by_time(tmp_path):
    with av.open(str(tmp_path / "uneven.mkv"), "w") as container:
        stream = container.add_stream("libx264", rate=RATE, options={"crf": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for picture, at in zip(brightening(4), (0, 1, 2, 10), strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = at, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    assert numbers(read(tmp_path / "uneven.mkv", frames=11, seconds=1.0)) == [0, 1, 2, 2, 2, 2, 3, 3, 3, 3, 3]


def quarters(height, width):
    """Two pictures with a red left half, a green right half, and a blue bar over the top quarter."""
    picture = np.zeros((2, height, width, 3), np.uint8)
    picture[:, :, : width // 2, 0] = picture[:, :, width // 2 :, 1] = 200
    picture[:, : height // 4] = (0, 0, 200)
    return picture


def share(video, channel):
    """Share of the pixels in which a channel is strong."""
    return (video[0, ..., channel] > 100).mean()


def test_pictures_cover_the_size_and_their_middle_is_taken(tmp_path):
    path = coded(tmp_path / "wide.mp4", quarters(64, 128))
    narrow = read(path, size=(32, 32))
    assert narrow.shape == (5, 32, 32, 3)
    assert [share(narrow, channel) for channel in range(3)] == pytest.approx([3 / 8, 3 / 8, 1 / 4], abs=0.04)
    wide = read(path, size=(16, 64))
    assert wide.shape == (5, 16, 64, 3)
    assert [share(wide, channel) for channel in range(3)] == pytest.approx([1 / 2, 1 / 2, 0], abs=0.04)
    assert read(path, size=(100, 101)).shape == (5, 100, 101, 3)


def test_pixels_that_are_not_square_are_stretched(tmp_path):
    path = coded(tmp_path / "anamorphic.mp4", quarters(64, 64), aspect=2)
    whole, cut = read(path, size=(32, 64)), read(path, size=(32, 32))
    assert share(whole, 2) == pytest.approx(1 / 4, abs=0.04)
    assert share(cut, 2) == pytest.approx(1 / 4, abs=0.04)


def test_files_that_are_no_videos_are_named(tmp_path, video):
    (tmp_path / "text.avi").write_text("no video" * 100)
    with pytest.raises(InputError, match=r"text.avi: not a readable video"):
        read(tmp_path / "text.avi")
    with pytest.raises(InputError, match=r"none.avi: not a readable video"):
        read(tmp_path / "none.avi")
    (tmp_path / "half.mp4").write_bytes(video.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"half.mp4: not a readable video"):
        read(tmp_path / "half.mp4")
    with av.open(str(tmp_path / "sound.mkv"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(InputError, match=r"sound.mkv: no video in it"):
        read(tmp_path / "sound.mkv")
    with pytest.raises(InputError, match=r"empty.mp4: (no frames|not a readable video)"):
        read(coded(tmp_path / "empty.mp4", brightening(0)))


def test_a_video_whose_pictures_are_damaged_is_named(tmp_path, video):
    content = bytearray(video.read_bytes())
    end = content.index(b"moov") - 4
    first = (content.index(b"mdat") + end) // 2
    content[first:end] = bytes(end - first)
    (tmp_path / "damaged.mp4").write_bytes(content)
    with pytest.raises(InputError, match=r"damaged.mp4: not a readable video \(Invalid data"):
        read(tmp_path / "damaged.mp4")


def emptied(source, path, first):
    """A video whose packets from `first` on hold no picture; decoders leave them out and say nothing."""
    with av.open(str(source)) as reader, av.open(str(path), "w") as writer:
        stream = writer.add_stream_from_template(reader.streams.video[0])
        for number, packet in enumerate(p for p in reader.demux(video=0) if p.size):
            empty = av.Packet(b"\0\0\1\xb6")
            empty.pts, empty.dts, empty.time_base = packet.pts, packet.dts, packet.time_base
            kept = packet if number < first else empty
            kept.stream = stream
            writer.mux(kept)
    return path


def test_a_video_may_lack_pictures_at_its_very_end_alone(tmp_path):
    source = coded(tmp_path / "a.avi", brightening(), "mpeg4", qmin="1", qmax="1")
    assert numbers(read(emptied(source, tmp_path / "b.avi", 28), frames=30, seconds=2.9))[:28] == list(range(28))
    with pytest.raises(InputError, match=r"c.avi: only \d\d frames can be decoded; expected more than 29"):
        read(emptied(source, tmp_path / "c.avi", 20), seconds=2.9)
