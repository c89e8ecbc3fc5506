import json

import pytest

from interdiff.errors import InputError
from interdiff.settings import validated
from interdiff.video.data.folder import shard_videos, split_videos
from interdiff.video.data.settings import SPLITS, DataSettings, FolderSettings


def videos(folder, names):
    """Empty files: the listing reads none of them."""
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    return FolderSettings(path=str(folder))


def keys(settings):
    return {split: [video.key for video in found] for split, found in split_videos(settings).items()}


def beside(folder, names):
    for name in names:
        (folder / name).with_suffix(".txt").write_text(f"About {name}.\n")


NAMES = [f"{n:02d}.mp4" for n in range(20)]


def test_a_text_beside_each_video_is_its_caption_and_splits_are_shares(tmp_path):
    settings = videos(tmp_path, NAMES)
    beside(tmp_path, NAMES)
    found = keys(settings)
    assert {split: len(found[split]) for split in SPLITS} == {"train": 16, "val": 2, "test": 2}
    assert sorted(key for split in SPLITS for key in found[split]) == [name[:2] for name in NAMES]
    assert split_videos(settings)["val"][0].caption == f"About {found['val'][0]}.mp4."
    assert keys(settings.model_copy(update={"seed": 1})) != found


@pytest.mark.parametrize("kind", ["csv", "jsonl"])
def test_a_table_says_captions_and_splits(tmp_path, kind):
    """Also of videos in folders below, and with quotes, commas and any letters."""
    names = ["a/Film 1.MP4", "a/Film 2.webm", "b.mov", "c.avi"]
    settings = videos(tmp_path, names)
    splits = ["train", "val", "test", "train"]
    rows = [{"file_name": n, "text": f'"{n}", caf\u00e9', "split": s} for n, s in zip(names, splits, strict=True)]
    if kind == "csv":
        lines = [
            "file_name,text,split",
            *('"{file_name}","""{file_name}"", caf\u00e9",{split}'.format(**row) for row in rows),
        ]
    else:
        lines = [json.dumps(row) for row in rows]
    (tmp_path / f"metadata.{kind}").write_text("\n".join(lines), encoding="utf-8")
    assert keys(settings) == {"train": ["a/Film 1", "c"], "val": ["a/Film 2"], "test": ["b"]}
    assert split_videos(settings)["test"][0].caption == '"b.mov", caf\u00e9'


def test_folders_may_be_the_splits(tmp_path):
    names = [f"{split}/{n}.mp4" for split in SPLITS for n in range(2)]
    settings = videos(tmp_path, names)
    beside(tmp_path, names)
    assert keys(settings) == {split: [f"{split}/0", f"{split}/1"] for split in SPLITS}


def test_shards_share_a_splits_videos(tmp_path):
    settings = videos(tmp_path, NAMES)
    beside(tmp_path, NAMES)
    parts = [[video.key for video in shard_videos(settings, "train", n, 3)] for n in range(3)]
    assert [len(part) for part in parts] == [6, 5, 5]
    assert sorted(key for part in parts for key in part) == keys(settings)["train"]
    with pytest.raises(InputError, match=r"2 videos of split 'val'; data.shards asks for 3 shards"):
        shard_videos(settings, "val", 0, 3)


def test_more_than_a_tenth_left_out_is_an_error_that_names_some(tmp_path, caplog):
    settings = videos(tmp_path, NAMES)
    beside(tmp_path, NAMES[:-2])
    assert sum(map(len, keys(settings).values())) == 18
    assert "left out, without a caption or not there: 2 of 20 videos" in caplog.text
    (tmp_path / NAMES[0]).with_suffix(".txt").write_text(" ")
    again = FolderSettings(path=f"{tmp_path}/")
    with pytest.raises(
        InputError, match=r"17 videos have captions in text files .*, 3 have no caption .*: 00.mp4, 18.mp4"
    ):
        split_videos(again)
    assert sum(map(len, keys(again.model_copy(update={"left_out": 0.2})).values())) == 17


BAD = {
    "no folder": ({}, "none", "no such folder of videos"),
    "no videos": ({"a.txt": "x"}, "", "0 videos have captions"),
    "columns": ({"a.mp4": "", "metadata.csv": "file,text\na.mp4,x"}, "", "row 1 has no file_name"),
    "lines": ({"a.mp4": "", "metadata.jsonl": "{a}"}, "", "not a readable table of JSON lines"),
    "split": ({"a.mp4": "", "metadata.csv": "file_name,text,split\na.mp4,x,dev"}, "", "'a' is of split 'dev'"),
    "gone": ({"a.mp4": "", "metadata.csv": "file_name,text\nb.mp4,x"}, "", "2 have no caption or are not there"),
    "endings": ({"a.mp4": "", "a.mov": "", "a.txt": "x"}, "", "a.mov and a.mp4|a.mp4 and a.mov"),
    "empty split": ({"a.mp4": "", "a.txt": "x"}, "", "is of split 'train'"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_folder_that_is_not_clear_is_refused(tmp_path, name):
    files, below, message = BAD[name]
    for file, content in files.items():
        (tmp_path / file).write_text(content)
    with pytest.raises(InputError, match=message):
        split_videos(FolderSettings(path=str(tmp_path / below)))


def test_shards_of_ones_own_are_paths_and_patterns(tmp_path, monkeypatch):
    monkeypatch.setenv("SHARDS", str(tmp_path))
    for name in ("b-1.tar", "b-0.tar", "c.tar"):
        (tmp_path / name).touch()
    tars = {"train": ["$SHARDS/b-*.tar", "$SHARDS/c.tar"], "val": ["~/v.tar"], "test": ["t.tar"]}
    data = validated(DataSettings, {"source": "shards", "tars": tars})
    assert data.own_shards("train") == [str(tmp_path / name) for name in ("b-0.tar", "b-1.tar", "c.tar")]
    assert data.shard_count("train") == 3
    assert not data.own_shards("val")[0].startswith("~")
    with pytest.raises(InputError, match=r"tars: no shards for test"):
        validated(DataSettings, {"source": "shards", "tars": tars | {"test": []}})
    with pytest.raises(InputError, match=r"tars.train.0: .*\$NOT_SET is not set"):
        validated(DataSettings, {"source": "shards", "tars": tars | {"train": ["$NOT_SET/a.tar"]}})
