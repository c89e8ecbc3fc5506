"""Train an interpolator, or calibrate a pretrained one, or make a checkpoint of one without parameters."""

from typing import Any

import torch

from interdiff.files import read_json
from interdiff.learning import draws
from interdiff.learning.checkpoints import CONFIG, save_checkpoint
from interdiff.learning.training import Objective
from interdiff.tables import read_table
from interdiff.video.codec.codec import CHANNELS
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.interpolators.calibrated import Calibrated
from interdiff.video.interpolators.loading import (
    build_interpolator,
    interpolator_config,
    load_interpolator,
    load_straightener,
)
from interdiff.video.interpolators.losses import WeightedMoments, error_scales, interpolator_loss
from interdiff.video.interpolators.settings import InterpolatorSettings
from interdiff.workflow.pipelines.video_stages import InterpolatorStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage
from stages.rendering import training_clips
from stages.training import train_network

History = list[dict[str, float]]


def main(stage: Stage) -> None:
    """Reads the training split's `index`, and where the settings ask for them the `straightener` and optical flow's index.

    Learns the clips that optical flow has filled, all, or ones that are rendered, by the `codec`, or takes the weights and
    the history of `pretrained`; calibrates expected errors on the clips of `held_out`. Writes a checkpoint; the
    straightener is part of it, and is not trained further.
    """
    settings: InterpolatorSettings = stage.settings.interpolator
    around = read_json(stage.folder("straightener") / CONFIG)["model"] if settings.straightened else None
    config = interpolator_config(settings, CHANNELS, around)
    model, history = (_pretrained if settings.pretrained else _trained)(stage, config)
    model = _calibrated(stage, model.to(stage.device))
    config |= {"scales": list(model.scales.shape)}
    save_checkpoint(stage.outputs, model, {"kind": "interpolator", "model": config}, history)


def _pretrained(stage: Stage, config: dict[str, Any]) -> tuple[Any, History]:
    folder = stage.folder("pretrained")
    made: Any = load_interpolator(folder, torch.device("cpu"), **config)
    return made.inside, read_table(folder / "history.csv").to_dict("records")


def _trained(stage: Stage, config: dict[str, Any]) -> tuple[Any, History]:
    settings: InterpolatorSettings = stage.settings.interpolator
    torch.manual_seed(settings.training.seed)
    model: Any = build_interpolator(**config)
    if settings.straightened:
        straightener = load_straightener(stage.folder("straightener"), torch.device("cpu"))
        model.straightener.load_state_dict(straightener.state_dict())
        model.straightener.requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        return model, []
    data = [ShardDataset(stage.path("index"), ["latent"])]
    if settings.losses.optical_flow:
        data.insert(0, ShardDataset(stage.path("optical_flow"), ["filled", "mask"]))
    moments = WeightedMoments(training_clips(stage, data), settings.moments, settings.losses)
    return train_network(stage, model, Objective(moments.draw, interpolator_loss))


def _calibrated(stage: Stage, model: Any) -> Calibrated:
    settings: InterpolatorSettings = stage.settings.interpolator
    held_out = ShardDataset(stage.path("held_out"), ["latent"])
    numbers = stage.progress(range(min(settings.calibrated_on, len(held_out))), "calibration", unit="clip")
    clips = (held_out[number]["latent"].float().to(stage.device) for number in numbers)
    scales = error_scales(model, clips, settings.moments, draws.generator_of(settings.training.seed))
    calibrated = Calibrated(model, *scales.shape)
    calibrated.scales.copy_(scales)
    return calibrated


if __name__ == "__main__":
    run_stage(main, InterpolatorStageSettings)
