"""Trains tiny Wans on fixed clips, one after the other, in one process or in several that a launcher started.

For each FOLDER it is told how the network is made of the backbone, its training, and whether it is a student and its critic
who learn, and by which kind of consistency; it writes losses and weights there.
"""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from diffusers import WanTransformer3DModel
from safetensors.torch import save_file

from interdiff.learning.devices import process_number
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Objective, train
from interdiff.video.backbone.losses import RandomFrames, flow_matching_loss
from interdiff.video.backbone.settings import BackboneSettings, TuningSettings
from interdiff.video.backbone.tuning import learned, tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.data.batches import TrainingClips
from interdiff.video.distillation.roles import Distillation, Roles
from interdiff.video.distillation.settings import DistilledSettings
from stages.training import Follower

SIZE = {
    "num_attention_heads": 2,
    "attention_head_dim": 16,
    "text_dim": 8,
    "freq_dim": 16,
    "ffn_dim": 32,
    "num_layers": 2,
}


class Clips:
    """Forty clips of noise and their embeddings, in the place of shards."""

    columns = ("latent", "embed")
    keys = range(40)

    def __init__(self):
        numbers = torch.Generator().manual_seed(1)
        shapes = {"latent": (16, 5, 4, 4), "embed": (3, 8)}
        self.values = {name: torch.randn(40, *shape, generator=numbers) for name, shape in shapes.items()}

    def __len__(self):
        return len(self.keys)

    def number(self, key):
        return key

    def shapes(self, column):
        return np.tile(self.values[column].shape[1:], (len(self), 1))

    def batch(self, column, rows):
        return self.values[column][rows]


def main(folder, tuning, options, consistency):
    torch.set_num_threads(1)
    torch.manual_seed(0)
    backbone = WanDenoiser(WanTransformer3DModel(**SIZE), preconditioned=False)
    if tuning["kind"] == "lora":
        for name, parameter in backbone.named_parameters():
            if "norm" not in name and "scale_shift" not in name:
                parameter.data = parameter.data.bfloat16()
    settings = BlockwiseTrainingSettings(**options)
    negative = torch.zeros(3, 8)

    def random_frames(told):
        return RandomFrames(TrainingClips([Clips()], settings, torch.device("cpu")), negative, told).draw

    if consistency is None:
        told = BackboneSettings(frames=[2, 3], frames_until=0.8, training=settings)
        model = tuned(backbone, TuningSettings(**tuning))
        # Shards are validated, too: it shall change nothing.
        objective = Objective(random_frames(told), flow_matching_loss, random_frames(told) if settings.fsdp else None)
    else:
        of_student = {"warm_steps": 2, "critic_steps": 1, "guidance": 2.0, "consistency": consistency}
        told = DistilledSettings(**of_student, tuning=tuning, training=settings)
        model = Roles(backbone, told)
        roles = Distillation(random_frames(told), backbone.requires_grad_(False), negative, told)
        objective = Objective(roles.draw, roles.loss)
    rows = []
    with (Follower if process_number() else TrainingState)(folder / "state") as state:
        model, _ = train(model, objective, settings, state, torch.device("cpu"), rows.append, lambda left: left)
    if process_number() == 0:
        save_file({name: tensor.contiguous() for name, tensor in learned(model).items()}, folder / "model.safetensors")
        (folder / "losses.json").write_text(json.dumps([row["loss"] for row in rows]))


if __name__ == "__main__":
    Accelerator.end_training = lambda self: None  # the processes go on together
    for folder, *told in json.loads(sys.argv[1]):
        main(Path(folder), *told)
