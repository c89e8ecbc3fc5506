"""Shards that are broken or hostile."""

import pickle
import tarfile

import pytest
import torch
from test_shards import SHAPE, indexed, members, raw_shard, saved

from interdiff.errors import InputError


class Hostile:
    def __reduce__(self):
        return exec, ("import pathlib; pathlib.Path('ran').touch()",)


BAD = {
    "hostile": ({"latent_pt": pickle.dumps(Hostile())}, "column 'latent': not a file of one tensor"),
    "hostile zip": ({"latent_pt": saved(Hostile())}, "column 'latent': not a file of one tensor"),
    "no tensor": ({"embed_pt": saved([1, 2])}, "column 'embed': expected a file of one tensor"),
    "text": ({"latent_pt": b"none"}, "column 'latent': not a file of one tensor"),
    "type": ({"latent_pt": saved(torch.zeros(SHAPE))}, "column 'latent': type float32; expected bfloat16"),
    "shape": (
        {"latent_pt": saved(torch.zeros(4, 3, 4, 4).bfloat16())},
        r"shape \[4, 3, 4, 4\]; expected \[16, any, any, any\]",
    ),
    "strides": (
        {"latent_pt": saved(torch.zeros(4, 4, 3, 16).bfloat16().permute(3, 2, 1, 0))},
        "expected a contiguous tensor",
    ),
    "nan": (
        {"latent_pt": saved(torch.full(SHAPE, torch.nan).bfloat16())},
        "column 'latent': 768 of 768 values are not",
    ),
    "infinite": (
        {"embed_pt": saved(torch.tensor([[1, torch.inf]]).bfloat16())},
        "column 'embed': 1 of 2 values are not",
    ),
    "not UTF-8": ({"prompt_txt": "caf\u00e9".encode("latin1")}, r"column 'prompt': not UTF-8 \(.* at byte 3\)"),
    "odd": ({"latent_pt": saved(torch.zeros(16, 3, 4, 5).bfloat16())}, "expected an even height and width"),
    "empty": ({"latent_pt": saved(torch.zeros(16, 0, 4, 4).bfloat16())}, r"shape \[16, 0, 4, 4\] has no values"),
    "missing": ({"embed_pt": None}, r"column 'embed' \(embed.pt\) is missing"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_member_is_named_and_nothing_runs(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    changes, message = BAD[name]
    path = raw_shard(tmp_path / "bad.tar", members("good") + members("wrong", **changes))
    with pytest.raises(InputError, match=message) as error:
        indexed([path])
    assert str(error.value).startswith(f"{path}: key 'wrong': column ")
    assert not (tmp_path / "ran").exists()
    assert not (tmp_path / "index.npz").exists()


def test_a_shard_cut_between_members_is_named(tmp_path):
    path = raw_shard(tmp_path / "cut.tar", members("a") + members("b"))
    with tarfile.open(path) as tar:
        third = tar.getmembers()[3]
    path.write_bytes(path.read_bytes()[: third.offset])
    with pytest.raises(InputError, match="truncated after 3 members"):
        indexed([path])


def test_missing_and_foreign_files_are_named(tmp_path):
    with pytest.raises(InputError, match=r"none.tar: cannot be read"):
        indexed([tmp_path / "none.tar"])
    (tmp_path / "text.tar").write_text("no tar" * 1000)
    with pytest.raises(InputError, match=r"text.tar: not a tar file"):
        indexed([tmp_path / "text.tar"])
