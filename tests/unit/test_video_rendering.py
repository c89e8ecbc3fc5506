"""Clips that are rendered as they are needed: what a stage is told of them, and what it gets."""

from pathlib import Path
from types import SimpleNamespace

import torch
import yaml

from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.settings import TrainingSettings
from interdiff.settings import validated
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.batches import TrainingClips
from interdiff.video.data.scenes import render, split_scene
from interdiff.video.data.settings import ClipsSettings
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline
from interdiff.workflow.pipelines.video_stages import InterpolatorStageSettings, RenderedStageSettings
from stages.rendering import training_clips

ROOT = Path(__file__).parents[2]


def test_an_interpolator_that_renders_is_told_how_and_no_text_encoder():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["video"]["base"]["interpolator"] |= {"clips": "rendered", "pretrained": None}
    values["video"]["variants"]["flow_rendered"] = {}
    values["video"]["variants"]["flow"] = {"interpolator": {"clips": "shards"}}
    values["video"]["variants"]["flow_pretrained"] = {"interpolator": {"pretrained": "there"}}
    config = load_config(values)
    pipeline = VideoPipeline(config.video, config.results, ROOT)
    told = {
        name: validated(InterpolatorStageSettings, pipeline.interpolator(SimpleNamespace(variant=name)), name)
        for name in ("flow", "flow_rendered", "flow_pretrained")
    }
    assert told["flow"].rendered is None
    assert told["flow_pretrained"].rendered is None
    assert told["flow_rendered"].rendered.clips == config.video.data.clips
    assert told["flow_rendered"].rendered.text is None
    assert told["flow_rendered"].training == told["flow"].training


def test_scenes_without_text_come_by_the_codec_of_the_stage(tmp_path):
    clips = ClipsSettings(side=16, frames=9)
    video = torch.from_numpy(render(split_scene(0, "train", 0), clips.frames, clips.side))[None]
    codec = fit_linear_codec([video], 4)
    files = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}
    outputs = {name: tmp_path / file for name, file in files.items()}
    save_checkpoint(outputs, codec, {"kind": "linear_codec", "model": {"factor": 4}}, [])
    settings = SimpleNamespace(
        training=TrainingSettings(steps=4, batch_size=3, seed=5),
        rendered=RenderedStageSettings(codec=CodecUse(), clips=clips, text=None),
    )
    stage = SimpleNamespace(settings=settings, folder={"codec": tmp_path}.get, device=torch.device("cpu"))
    batch = training_clips(stage, []).batch(0.0)
    assert batch.keys() == {"row", "latent"}
    scene = split_scene(clips.seed, "training 5", 1)
    expected = codec.encode(torch.from_numpy(render(scene, clips.frames, clips.side))[None])[0]
    torch.testing.assert_close(batch["latent"][1], expected.bfloat16())
    settings.rendered = None
    assert isinstance(training_clips(stage, []), TrainingClips)
