"""Film clips with descriptions in LSMDC's layout: annotations of its task 1, and the clips' files.

A line of an annotation file has six values with tabs between them: the clip, start and end of its sentence, start and end of
the clip that was cut out (padded around the sentence), all in the film's time, and the sentence. Quotes mean nothing.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from interdiff.errors import InputError
from interdiff.video.data.settings import EXTENSIONS

FORM = "clip, start, end, padded start, padded end, sentence, with tabs between them"
_CLIP = re.compile(r"([^/]+)_\d+(?:\.\d+){3}-\d+(?:\.\d+){3}")
_TIME = re.compile(r"(\d+)[.:](\d\d)[.:](\d\d[.,]\d+)")


@dataclass(frozen=True)
class FilmClip:
    """One line of an annotation file.

    Attributes:
        key: the name without dots, at which readers of shards would cut it; a number tells sentences of one clip apart.
        name: such as 0001_American_Beauty_00.00.51.926-00.00.54.129; its file's but for the extension.
        film: what precedes the times in the name; also the folder, where there is one for each film.
        start, end: of the clip, padding included, in seconds of the film.
        sentence: what happens.
    """

    key: str
    name: str
    film: str
    start: float
    end: float
    sentence: str


def read_annotations(path: Path) -> list[FilmClip]:
    """The clips of an annotation file in its order; the same clip comes once for each of its sentences.

    Raises:
        InputError: the file cannot be read, has no lines, or a line is not of the form (names the line).
    """
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable annotation file ({error})") from error
    seen: Counter[str] = Counter()
    clips = [_clip(line, seen, f"{path}: line {n}") for n, line in enumerate(lines, 1) if line.strip()]
    if not clips:
        raise InputError(f"{path}: no lines; expected {FORM}")
    return clips


def _clip(line: str, seen: Counter[str], where: str) -> FilmClip:
    values = [value.strip() for value in line.split("\t")]
    if len(values) != 6:
        raise InputError(f"{where}: {len(values)} values; expected 6: {FORM}")
    name, sentence = _without_extension(values[0]), values[5]
    match = _CLIP.fullmatch(name)
    if not match:
        raise InputError(f"{where}: clip {name!r}; expected a name such as 0001_Film_00.00.51.926-00.00.54.129")
    if not sentence:
        raise InputError(f"{where}: no sentence; expected {FORM}")
    start, end = (_seconds(value, where) for value in values[3:5])
    seen[name] += 1
    key = name.replace(".", "_") + (f"_{seen[name]}" if seen[name] > 1 else "")
    return FilmClip(key, name, match[1], start, end, sentence)


def _without_extension(name: str) -> str:
    return next((name.removesuffix(extension) for extension in EXTENSIONS if name.endswith(extension)), name)


def _seconds(text: str, where: str) -> float:
    match = _TIME.fullmatch(text)
    if not match:
        raise InputError(f"{where}: time {text!r}; expected hours, minutes and seconds such as 00.00.51.926")
    return 3600 * int(match[1]) + 60 * int(match[2]) + float(match[3].replace(",", "."))


def clip_file(folder: Path, clip: FilmClip) -> Path:
    """The file of a clip, in its film's folder or without one, with any of EXTENSIONS; InputError where there is none."""
    folders = (folder / clip.film, folder)
    for place in folders:
        for extension in EXTENSIONS:
            path = place / f"{clip.name}{extension}"
            if path.is_file():
                return path
    looked = " and ".join(str(place) for place in folders)
    raise InputError(f"{clip.name}: no video of this name in {looked}; expected one with {', '.join(EXTENSIONS)}")
