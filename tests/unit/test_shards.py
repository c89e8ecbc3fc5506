import io
import tarfile

import numpy as np
import pytest
import torch
import webdataset as wds

from interdiff.errors import InputError
from interdiff.files import write_arrays
from interdiff.learning.settings import TrainingSettings
from interdiff.video.data.batches import TrainingClips, load_negative
from interdiff.video.data.shard_dataset import ShardDataset, seeded_batches
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, EMBED, LATENT, PROMPT, Column, write_shard

SHAPE = (16, 3, 4, 4)


def sample(number):
    generator = torch.Generator().manual_seed(number)
    return {
        "latent": torch.randn(SHAPE, generator=generator).bfloat16(),
        "embed": torch.randn(5 + number % 2, 8, generator=generator).bfloat16(),
        "prompt": f"Sample {number}: a café.",
    }


def samples(*numbers):
    return [(f"{number:09d}", sample(number)) for number in numbers]


@pytest.fixture
def shards(tmp_path):
    paths = [tmp_path / f"shard-{n:05d}.tar" for n in range(2)]
    write_shard(paths[0], samples(4, 1, 2), COLUMNS)
    write_shard(paths[1], samples(3, 0), COLUMNS)
    return paths


def indexed(paths, columns=COLUMNS, **options):
    index = paths[0].parent / "index.npz"
    write_index(index, paths, columns, **options)
    return ShardDataset(index, tuple(columns))


def raw_shard(path, members):
    """A tar of members as they are."""
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


def saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def members(key="a", **changes):
    content = {"latent.pt": saved(sample(0)["latent"]), "embed.pt": saved(sample(0)["embed"]), "prompt.txt": b"x"}
    content |= {name.replace("_", "."): value for name, value in changes.items()}
    return [(f"{key}.{suffix}", value) for suffix, value in content.items() if value is not None]


def equal(found, expected):
    return all(torch.equal(found[name], expected[name]) for name in ("latent", "embed")) and (
        found["prompt"] == expected["prompt"]
    )


def test_samples_come_back_by_number_and_by_key(shards):
    data = indexed(shards)
    assert data.keys == [f"{number:09d}" for number in (4, 1, 2, 3, 0)]
    assert all(equal(data[n], sample(number)) for n, number in enumerate((4, 1, 2, 3, 0)))
    assert equal(data.by_key("000000003"), sample(3))
    with pytest.raises(InputError, match="key '9' is in none of 2 shards"):
        data.by_key("9")


def test_the_same_samples_give_the_same_bytes(tmp_path, shards):
    again = tmp_path / "again.tar"
    write_shard(again, samples(4, 1, 2), COLUMNS)
    assert again.read_bytes() == shards[0].read_bytes()


def test_only_columns_that_are_asked_for_are_read(shards):
    indexed(shards)
    data = ShardDataset(shards[0].parent / "index.npz", ("prompt",))
    assert data[0] == {"key": "000000004", "prompt": "Sample 4: a café."}


def test_batches_are_stacked_and_shapes_known_without_reading(shards):
    data = indexed(shards)
    assert torch.equal(data.batch("latent", [0, 3]), torch.stack([sample(4)["latent"], sample(3)["latent"]]))
    assert data.shape("embed", 1) == (6, 8)


def test_a_sample_does_not_change_what_others_read(shards):
    data = indexed(shards)
    data[0]["latent"].zero_()
    assert equal(data[0], sample(4))


def test_nested_keys_are_read(tmp_path):
    nested = [(f"000000007/{name}", content) for name, content in members("000000007")]
    data = indexed([raw_shard(tmp_path / "nested.tar", nested)])
    assert data.keys == ["000000007"]
    assert equal(data[0] | {"prompt": sample(0)["prompt"]}, sample(0))


def test_webdataset_reads_what_we_write_and_we_what_it_writes(tmp_path, shards):
    read = list(wds.WebDataset(str(shards[0]), shardshuffle=False))
    assert [item["__key__"] for item in read] == [f"{number:09d}" for number in (4, 1, 2)]
    assert torch.equal(torch.load(io.BytesIO(read[1]["latent.pt"]), weights_only=True), sample(1)["latent"])
    assert read[1]["prompt.txt"].decode() == sample(1)["prompt"]
    theirs = tmp_path / "theirs.tar"
    with wds.TarWriter(str(theirs)) as writer:
        for key, values in samples(1, 2):
            content = {name: saved(values[name]) for name in ("latent", "embed")}
            writer.write(
                {"__key__": key, "latent.pt": content["latent"], "embed.pt": content["embed"]}
                | {"prompt.txt": values["prompt"]}
            )
    assert all(equal(found, sample(number)) for found, number in zip(indexed([theirs]), (1, 2), strict=False))


def test_a_view_that_was_saved_with_its_batch_is_read(tmp_path):
    batch = torch.stack([sample(n)["latent"] for n in range(3)])
    path = raw_shard(tmp_path / "view.tar", members(latent_pt=saved(batch[1])))
    assert torch.equal(indexed([path])[0]["latent"], sample(1)["latent"])


def test_keys_that_occur_twice_are_named(tmp_path, shards):
    write_shard(tmp_path / "more.tar", samples(2), COLUMNS)
    with pytest.raises(InputError, match=r"more.tar: key '000000002' is in .*shard-00000.tar too"):
        indexed([*shards, tmp_path / "more.tar"])
    with pytest.raises(InputError, match=r"twice.tar: key 'a': column 'latent': occurs twice"):
        indexed([raw_shard(tmp_path / "twice.tar", members() * 2)])
    with pytest.raises(InputError, match="key '000000001' occurs twice"):
        write_shard(tmp_path / "written.tar", samples(1, 1), COLUMNS)
    assert not (tmp_path / "written.tar").exists()


@pytest.mark.parametrize("share", [0.3, 0.55, 0.8, 0.999])
def test_a_truncated_shard_is_named(tmp_path, shards, share):
    with tarfile.open(shards[0]) as tar:
        last = tar.getmembers()[-1]
    shards[0].write_bytes(shards[0].read_bytes()[: int(share * (last.offset_data + last.size))])
    with pytest.raises(InputError, match=r"shard-00000.tar: .*truncated"):
        indexed(shards)


KEYS = ["clip_0_00.12.5", "Talk.part", "films/a/0001", "films/b/0001", "k" * 150, "caf\u00e9 & co"]


def test_keys_may_have_dots_folders_and_any_length(tmp_path):
    """What we read is written again under the same key."""
    written = [(key, sample(number)) for number, key in enumerate(KEYS)]
    write_shard(tmp_path / "first.tar", written, COLUMNS)
    data = indexed([tmp_path / "first.tar"])
    assert data.keys == KEYS
    assert all(equal(data.by_key(key), values) for key, values in written)


def test_suffixes_may_be_of_any_case(tmp_path):
    upper = [(name.replace("latent", "Latent").replace("txt", "TXT"), content) for name, content in members("b")]
    assert indexed([raw_shard(tmp_path / "case.tar", members("a") + upper)]).keys == ["a", "b"]


def test_tars_that_were_put_together_are_read_to_their_end(tmp_path, shards):
    both = tmp_path / "both.tar"
    both.write_bytes(shards[0].read_bytes() + shards[1].read_bytes())
    data = indexed([both])
    assert data.keys == [f"{number:09d}" for number in (4, 1, 2, 3, 0)]
    assert equal(data[4], sample(0))
    both.write_bytes(shards[0].read_bytes() + shards[1].read_bytes()[:-12000])
    with pytest.raises(InputError, match=r"both.tar: .*truncated"):
        indexed([both])


def test_what_is_left_out_is_counted_and_more_than_a_tenth_is_an_error(tmp_path):
    samples = [member for number in range(20) for member in members(f"s{number}")]
    path = raw_shard(tmp_path / "some.tar", [*samples, ("s0.json", b"{}"), ("t.npy", b"x"), ("t.txt", b"y")])
    left_out = write_index(tmp_path / "index.npz", [path], COLUMNS)
    assert left_out.others() == "; 1 more have other members: npy (1), txt (1)"
    others = [(f"t{number}.latents.pt", b"x") for number in range(5)]
    with pytest.raises(InputError, match=r"20 samples alone .*; 5 more have other members: latents.pt \(5\)"):
        write_index(tmp_path / "index.npz", [raw_shard(tmp_path / "more.tar", samples + others)], COLUMNS)


def test_batches_are_of_clips_of_one_shape(tmp_path):
    sizes = [(16, 3, 4, 6)] * 5 + [(16, 3, 6, 4)] * 4 + [(16, 5, 4, 4)] * 6
    values = [(f"{n}", sample(n) | {"latent": torch.full(size, float(n)).bfloat16()}) for n, size in enumerate(sizes)]
    write_shard(tmp_path / "mixed.tar", values, COLUMNS)
    data = indexed([tmp_path / "mixed.tar"], {"latent": LATENT, "embed": EMBED})
    with pytest.raises(InputError, match=r"latent of key '0' is \[16, 3, 4, 6\], of key '5' \[16, 3, 6, 4\]"):
        data.shape("latent")
    clips = TrainingClips([data], TrainingSettings(batch_size=2, steps=100), torch.device("cpu"))
    rows = [clips.batch(0) for _ in range(7)]
    assert all((batch["latent"].flatten(1) == batch["row"][:, None]).all() for batch in rows)
    assert all(batch["embed"].shape == (2, 6, 8) or (batch["row"] % 2 == 0).all() for batch in rows)
    assert len({row for batch in rows for row in batch["row"].tolist()}) == 14
    with pytest.raises(InputError, match=r"batch_size=5: more than the 4 samples of shape \[16, 3, 6, 4\]"):
        next(seeded_batches(data.shapes("latent"), 5, 0))


def test_embeddings_are_as_wide_as_the_negative_prompts(tmp_path, shards):
    write_arrays(tmp_path / "negative.npz", {"embed": np.zeros((5, 9), np.float32)})
    with pytest.raises(
        InputError, match=r"negative.npz: the negative prompt's embedding is 9 wide, that of key '000000004' is 8"
    ):
        load_negative(tmp_path / "negative.npz", torch.device("cpu"), indexed(shards))


def test_samples_without_a_column_are_left_out_on_request_alone(tmp_path):
    path = raw_shard(tmp_path / "part.tar", members("a") + members("b", embed_pt=None))
    assert indexed([path], partial=True).keys == ["a"]
    assert indexed([path], {"latent": LATENT, "prompt": PROMPT}).keys == ["a", "b"]
    with pytest.raises(InputError, match="no samples with mask"):
        indexed([path], {"mask": Column("mask.pt", "int64", (None,))}, partial=True)


def test_a_shard_that_changed_after_the_index_is_named(shards):
    indexed(shards)
    with shards[1].open("ab") as stream:
        stream.write(b"more")
    with pytest.raises(InputError, match=r"shard-00001.tar: \d+ bytes; the index .* was made from \d+"):
        ShardDataset(shards[0].parent / "index.npz")
    shards[1].unlink()
    with pytest.raises(InputError, match=r"shard-00001\.tar: no bytes"):
        ShardDataset(shards[0].parent / "index.npz")


def test_what_is_written_must_fit_its_columns(tmp_path):
    path = tmp_path / "x.tar"
    for values, message in (
        ({"embed": torch.zeros(3).bfloat16()}, r"column 'embed': shape \[3\]; expected \[any, any\]"),
        ({"embed": torch.zeros(3, 4)}, "type float32; expected bfloat16"),
        ({"embed": "text"}, "str; expected a tensor"),
        ({"embed": torch.full((3, 4), torch.nan).bfloat16()}, "column 'embed': 12 of 12 values are not finite"),
        ({}, r"columns \[\]; expected \['embed'\]"),
    ):
        with pytest.raises(InputError, match=message):
            write_shard(path, [("a", values)], {"embed": EMBED})
    assert not path.exists()


def test_batches_are_decided_by_seed_and_number_alone():
    def batches(first, count, seed=0):
        stream = seeded_batches(np.zeros((10, 1)), 4, seed, first)
        return [next(stream).tolist() for _ in range(count)]

    whole = batches(0, 7)
    assert batches(3, 4) == whole[3:]
    assert batches(4, 3) == whole[4:]
    assert batches(0, 7, seed=1) != whole
    for epoch in (whole[0:2], whole[2:4]):
        assert len(set(np.concatenate(epoch).tolist())) == 8
    with pytest.raises(InputError, match="batch_size=11: more than the 10 samples"):
        next(seeded_batches(np.zeros((10, 1)), 11, 0))


def test_a_dataset_goes_to_workers(shards):
    loader = torch.utils.data.DataLoader(indexed(shards), batch_size=None, num_workers=1)
    assert [item["key"] for item in loader] == [f"{number:09d}" for number in (4, 1, 2, 3, 0)]
