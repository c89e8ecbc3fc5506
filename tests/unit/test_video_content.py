import numpy as np
import pytest
import torch
import transformers
from tokenizers import Tokenizer, models, pre_tokenizers

from interdiff.errors import InputError
from interdiff.files import write_arrays
from interdiff.tables import read_table
from interdiff.video.codec.linear import LinearCodec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.evaluation.comparison import CONTENT
from interdiff.video.evaluation.content import content, load_clip
from interdiff.workflow.pipelines.video_stages import DecodingStageSettings
from interdiff.workflow.stage import Stage
from stages import judging
from stages.video import content as stage_module

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny CLIP with random weights."""
    folder = tmp_path_factory.mktemp("clip")
    words = {"<pad>": 0, "<s>": 1, "</s>": 2, "red": 3, "circle": 4, "square": 5}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<pad>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", eos_token="</s>", unk_token="<pad>"
    ).save_pretrained(folder)
    size = {"hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    config = transformers.CLIPConfig(
        text_config=size | {"vocab_size": 6, "max_position_embeddings": 4, "eos_token_id": 2},
        vision_config=size | {"image_size": 16, "patch_size": 8},
        projection_dim=8,
    )
    torch.manual_seed(0)
    transformers.CLIPModel(config).save_pretrained(folder)
    edge = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}}
    transformers.CLIPImageProcessorPil(**edge).save_pretrained(folder)
    return folder


def frames(count, seed=0):
    return np.random.default_rng(seed).integers(256, size=(count, 16, 16, 3), dtype=np.uint8)


def test_figures_are_those_of_transformers_features(folder):
    clip, video = load_clip(folder, CPU), frames(40)
    pixels = clip.pictures(list(video), return_tensors="pt").pixel_values
    tokens = clip.tokenizer(["red circle"], return_tensors="pt")
    with torch.no_grad():
        output = clip.model(pixel_values=pixels, input_ids=tokens.input_ids, attention_mask=tokens.attention_mask)
    images, text = output.image_embeds, output.text_embeds[0]
    found = content(video, "red circle", clip)
    assert found["clip_score"] == pytest.approx(float((images @ text).mean()), abs=1e-5)
    each = [float(images[n] @ (images[n - 1] + images[0]) / 2) for n in range(1, 40)]
    assert found["background_consistency"] == pytest.approx(np.mean(each), abs=1e-5)
    assert found["temporal_flickering"] == pytest.approx(1 - np.abs(np.diff(video.astype(float), axis=0)).mean() / 255)
    assert content(video, "square red", clip)["clip_score"] != found["clip_score"]


def test_what_stands_still_is_steady_and_long_prompts_are_cut(folder):
    clip = load_clip(folder, CPU)
    still = content(np.repeat(frames(1), 5, 0), "red circle square red circle square", clip)
    assert still["background_consistency"] == pytest.approx(1, abs=1e-5)
    assert still["temporal_flickering"] == 1
    assert content(frames(5), "red", clip)["temporal_flickering"] < 0.8


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: not a CLIP"):
        load_clip(tmp_path, CPU)


def test_the_stage_writes_a_row_for_each_clip(folder, tmp_path, monkeypatch):
    codec = LinearCodec(4)
    codec.basis += torch.eye(*codec.basis.shape)
    monkeypatch.setattr(judging, "load_codec", lambda *_: codec)
    z = torch.randn(3, 16, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    rows = [
        (f"c{n}", {"latent": z[n].bfloat16(), "embed": torch.ones(2, 8).bfloat16(), "prompt": "red"}) for n in range(3)
    ]
    write_shard(tmp_path / "0.tar", iter(rows), COLUMNS)
    write_index(tmp_path / "index.npz", [tmp_path / "0.tar"], COLUMNS)
    write_arrays(tmp_path / "samples.npz", {"keys": np.array(["c2", "c0"]), "refined": z[[2, 0]].half().numpy()})
    inputs = {"samples": [tmp_path / "samples.npz"], "index": [tmp_path / "index.npz"]}
    inputs |= {"clip": [folder / "config.json"], "codec": [tmp_path / "config.json"]}
    outputs = {"content": tmp_path / "content.csv"}
    settings = DecodingStageSettings(codec=CodecUse())
    stage_module.main(Stage("video.content", {}, settings, inputs, outputs, 1, 0, tmp_path))
    table = read_table(outputs["content"])
    assert table.columns.tolist() == ["key", *CONTENT]
    assert table["key"].tolist() == ["c2", "c0"]
    assert table[list(CONTENT)].notna().all(axis=None)
