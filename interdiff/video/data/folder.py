"""A folder of videos with captions: a table of them, as the field's `videofolder` convention has it, or a text beside each.

`metadata.csv` or `metadata.jsonl` has `file_name`, below the folder, `text`, and if it says so `split`.
"""

from __future__ import annotations

import hashlib
import json
import logging
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path

from interdiff.errors import InputError
from interdiff.files import check_folder
from interdiff.video.data.settings import EXTENSIONS, SPLITS, FolderSettings, Split

TABLES = ("metadata.csv", "metadata.jsonl")
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Video:
    """A captioned video file: its key in shards, in a folder its name there without the ending, and the split it is told."""

    key: str
    path: Path
    caption: str
    split: str | None = None


def shard_videos(settings: FolderSettings, split: Split, number: int, shards: int) -> list[Video]:
    """Every so many-th video of a split.

    Raises:
        InputError: as of `split_videos`, or there are more shards than videos.
    """
    videos = split_videos(settings)[split]
    if shards > len(videos):
        raise InputError(
            f"{settings.path}: {len(videos)} videos of split {split!r}; data.shards asks for {shards} shards"
        )
    return videos[number::shards]


@cache
def split_videos(settings: FolderSettings) -> dict[Split, list[Video]]:
    """The videos of each split, sorted by key: as the table says, by folders train, val and test, or by shares.

    Raises:
        InputError: the folder or its table cannot be read, more than `left_out` of the videos have no caption or of the
            captions no video, keys or splits are not clear, or a split is empty.
    """
    folder = Path(settings.path)
    videos = sorted(_captioned(folder, settings.left_out), key=lambda video: video.key)
    for video, other in pairwise(videos):
        if video.key == other.key:
            raise InputError(f"{folder}: {video.path.name} and {other.path.name} differ in their ending alone")
    splits = _splits(folder, videos, settings)
    found: dict[Split, list[Video]] = {split: [v for v in videos if splits[v.key] == split] for split in SPLITS}
    for split, rows in found.items():
        if not rows:
            raise InputError(f"{folder}: none of its {len(videos)} videos is of split {split!r}")
    return found


def _captioned(folder: Path, left_out: float) -> list[Video]:
    """All videos with captions, in no particular order."""
    check_folder(folder, "videos")
    files = {path for path in folder.rglob("*") if path.suffix.lower() in EXTENSIONS}
    table = next((folder / name for name in TABLES if (folder / name).is_file()), None)
    videos = _of_table(folder, table) if table else [_beside(folder, path) for path in files]
    kept = [video for video in videos if video.path in files and video.caption.strip()]
    lost = {video.path for video in videos} - {video.path for video in kept}
    uncaptioned = files - {video.path for video in videos}
    lost |= uncaptioned
    if len(lost) > left_out * (len(kept) + len(lost)) or not kept:
        examples = ", ".join(str(path.relative_to(folder)) for path in sorted(lost)[:3])
        where = table.name if table else "text files of the videos' names"
        raise InputError(
            f"{folder}: {len(kept)} videos have captions in {where}, {len(lost)} have no caption or are not"
            f" there: {examples or 'none'} (folder.left_out={left_out} of them may be left out)"
        )
    if lost:
        log.warning(
            "%s: left out, without a caption or not there: %d of %d videos", folder, len(lost), len(lost) + len(kept)
        )
    return kept


def _video(folder: Path, name: str | Path, caption: str, split: str | None = None) -> Video:
    path = folder / name
    return Video(Path(name).with_suffix("").as_posix(), path, caption.strip(), split)


def _beside(folder: Path, path: Path) -> Video:
    text = path.with_suffix(".txt")
    try:
        return _video(folder, path.relative_to(folder), text.read_text(encoding="utf-8") if text.is_file() else "")
    except (OSError, ValueError) as error:
        raise InputError(f"{text}: not a readable text ({error})") from error


def _of_table(folder: Path, table: Path) -> list[Video]:
    rows = _rows(table)
    for number, row in enumerate(rows, 1):
        for name in ("file_name", "text"):
            if not isinstance(row.get(name), str):
                raise InputError(
                    f"{table}: row {number} has no {name}; expected file_name, text and, if there is one, split"
                )
    return [_video(folder, row["file_name"], row["text"], row.get("split")) for row in rows]


def _rows(table: Path) -> list[dict[str, str]]:
    if table.suffix == ".csv":
        # Here, since pandas takes half a second to import, which every `snakemake` would spend for nothing.
        from interdiff.tables import read_table

        rows: list[dict[str, str]] = read_table(table, text=True).to_dict("records")
        return rows
    try:
        return [json.loads(line) for line in table.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as error:
        raise InputError(f"{table}: not a readable table of JSON lines ({error})") from error


def _splits(folder: Path, videos: list[Video], settings: FolderSettings) -> dict[str, str | None]:
    """The split of each key; those by shares stay when videos are added, but for some at the borders."""
    told = {video.key: video.split for video in videos}
    if not any(told.values()):
        told = {video.key: video.key.split("/")[0] for video in videos}
        if not set(told.values()) <= set(SPLITS):
            return _by_shares(list(told), settings)
    for key, split in told.items():
        if split not in SPLITS:
            raise InputError(f"{folder}: {key!r} is of split {split!r}; expected one of {', '.join(SPLITS)}")
    return told


def _by_shares(keys: list[str], settings: FolderSettings) -> dict[str, str | None]:
    drawn = sorted(keys, key=lambda key: hashlib.sha256(f"{settings.seed}/{key}".encode()).digest())
    val, test = (max(1, round(len(keys) * share)) for share in (settings.val_fraction, settings.test_fraction))
    return {key: "val" if n < val else "test" if n < val + test else "train" for n, key in enumerate(drawn)}
