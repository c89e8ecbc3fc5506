import numpy as np
import pytest
import torch

from interdiff.learning.settings import TrainingSettings
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.data.batches import RenderedClips, TrainingClips, clip_masks
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.settings import ClipsSettings
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, OPTICAL_FLOW_COLUMNS, write_shard

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shards")
    latent = torch.zeros(16, 3, 2, 2, dtype=torch.bfloat16)
    mask = torch.ones(1, 3, dtype=torch.int64)
    keys = [f"{n:03d}" for n in range(10)]
    video = [(key, {"latent": latent + n, "embed": latent[0, 0], "prompt": key}) for n, key in enumerate(keys)]
    taught = [(key, {"filled": latent[None] + 10 + n, "mask": mask}) for n, key in enumerate(keys)]
    write_shard(folder / "video.tar", video, COLUMNS)
    write_shard(folder / "taught.tar", reversed(taught), OPTICAL_FLOW_COLUMNS)
    write_index(folder / "video.npz", [folder / "video.tar"], COLUMNS)
    write_index(folder / "taught.npz", [folder / "taught.tar"], OPTICAL_FLOW_COLUMNS)
    return [ShardDataset(folder / "video.npz", ["latent"]), ShardDataset(folder / "taught.npz", ["filled", "mask"])]


def numbers(clips, done):
    return clips.batch(done)["latent"][:, 0, 0, 0, 0].long().tolist()


def test_training_goes_on_with_the_batches_it_would_have_had(data):
    settings = TrainingSettings(steps=20, batch_size=4, seed=3)
    whole = TrainingClips(data[:1], settings, CPU)
    batches = [numbers(whole, step / 20) for step in range(9)]
    resumed = TrainingClips(data[:1], settings, CPU)
    assert [numbers(resumed, step / 20) for step in range(5, 9)] == batches[5:]
    assert len({n for batch in batches[:2] for n in batch}) == 8
    other = TrainingClips(data[:1], TrainingSettings(steps=20, batch_size=4, seed=4), CPU)
    assert [numbers(other, step / 20) for step in range(9)] != batches


def test_rendered_clips_go_on_too_and_never_come_twice():
    clips, settings = ClipsSettings(side=16, frames=5), TrainingSettings(steps=20, batch_size=4, seed=3)
    video = torch.from_numpy(render(split_scene(0, "train", 0), clips.frames, clips.side))[None]
    prompts = []

    def encoder(texts):
        prompts.append(texts)
        return torch.zeros(len(texts), 2, 8)

    def rendered():
        return RenderedClips(clips, fit_linear_codec([video], 4), encoder, settings, CPU)

    batches = [rendered().batch(0.0), *map(rendered().batch, (0.05, 0.1))]
    assert len(torch.stack([batch["latent"] for batch in batches]).flatten(0, 1).flatten(1).unique(dim=0)) == 12
    assert batches[0]["latent"].shape == (4, 16, 2, 4, 4)
    for step, batch in enumerate(batches):
        assert torch.equal(rendered().batch(step / 20)["latent"], batch["latent"])
    assert split_scene(0, "training 3", 2).prompt == prompts[0][2]


def test_rendered_clips_have_lengths_in_turn_whoever_reads_them_from_where():
    clips, settings = ClipsSettings(side=16, frames=5), TrainingSettings(steps=20, batch_size=2)
    video = torch.from_numpy(render(split_scene(0, "train", 0), clips.frames, clips.side))[None]
    codec = fit_linear_codec([video], 4)

    def lengths(first):
        made = RenderedClips(clips, codec, lambda texts: torch.zeros(len(texts), 2, 8), settings, CPU, (5, 9, 17))
        return [made.batch(step / 20)["latent"].shape[2] for step in range(first, 5)]

    assert lengths(0) == [2, 3, 5, 2, 3]
    assert lengths(2) == [5, 2, 3]


def test_other_shards_are_joined_by_key_whatever_their_order(data):
    batch = TrainingClips(data, TrainingSettings(steps=20, batch_size=4), CPU).batch(0.0)
    assert batch["mask"].shape == (4, 1, 3)
    torch.testing.assert_close(batch["filled"][:, 0], batch["latent"] + 10)


def test_masks_follow_the_key_and_keep_both_ends():
    masks = clip_masks("000000001", 21, [2, 3, 8], 0)
    assert masks.sum(1).tolist() == [2, 3, 8]
    assert masks[:, [0, -1]].all()
    np.testing.assert_array_equal(masks, clip_masks("000000001", 21, [2, 3, 8], 0))
    assert not np.array_equal(masks, clip_masks("000000002", 21, [2, 3, 8], 0))
    assert not np.array_equal(masks, clip_masks("000000001", 21, [2, 3, 8], 1))
    places = np.mean([clip_masks(str(n), 21, [8], 0)[0] for n in range(400)], axis=0)
    assert np.abs(places[1:-1] - 6 / 19).max() < 0.1
