"""results/video/attention_costs.csv: arithmetic of a pass over longer clips, dense and sparse, and of both phases' parts."""

import torch
from diffusers import WanTransformer3DModel

from interdiff.files import write_csv
from interdiff.tables import read_table
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.flow_matching import Guidance, even_levels
from interdiff.video.backbone.wan import WAN_1_3B, WanDenoiser
from interdiff.video.data.sizes import Clip
from interdiff.video.evaluation.costs import WAN_LATENT, WAN_TEXT
from interdiff.video.evaluation.pass_costs import pass_costs, phase_costs
from interdiff.video.figures.attention import costs_by_length
from interdiff.workflow.pipelines.video_attention_stages import AttentionCostsStageSettings
from interdiff.workflow.runner import run_stage
from interdiff.workflow.stage import Stage

COLUMNS = ("network", "frames", "part", "attention", "keep", "flops", "full_step_units")
FRAMES = (21, 41, 81)
KEPT = (0.15, 0.1)
WAN_BLOCK = 64


def main(stage: Stage) -> None:
    """Writes `costs` and their `picture`; reads nothing: all is counted from shapes."""
    settings: AttentionCostsStageSettings = stage.settings
    own = settings.transformer.model_copy(update={"attention": AttentionSettings()})
    channels, _, height, width = WAN_LATENT
    wan = Clip(channels, 0, height, width, *WAN_TEXT, pixels=0)
    networks = {
        "backbone": (
            lambda: build_backbone(**transformer_config(own, settings.text_dim)),
            Clip(channels, 0, settings.height, settings.width, settings.rows, settings.text_dim, pixels=0),
            settings.block,
        ),
        "Wan2.1-1.3B": (lambda: WanDenoiser(WanTransformer3DModel(**WAN_1_3B), preconditioned=False), wan, WAN_BLOCK),
    }
    sampling, size = settings.sampling, {"num_layers": settings.preview.layers, "ffn_dim": settings.preview.ffn_dim}
    guidance = Guidance(sampling.guidance, torch.empty(0), sampling.guided_below)
    passes = guidance.passes(even_levels(sampling.steps, sampling.shift, sampling.start)[:-1])
    small = transformer_config(own.model_copy(update=size), settings.text_dim)
    previews = {"backbone": lambda: build_backbone(**small)}
    rows = []
    for name, (build, clip, block) in networks.items():
        sparse = [AttentionSettings(kind="sla", keep=keep, block=block) for keep in KEPT]
        parts = [
            *pass_costs(build, [AttentionSettings(), *sparse], clip, FRAMES),
            *phase_costs(build, previews.get(name), clip, FRAMES, settings.counts, passes),
        ]
        rows += [{"network": name} | row for row in parts]
    write_csv(stage.outputs["costs"], rows, COLUMNS)
    costs_by_length(read_table(stage.outputs["costs"]), stage.outputs["picture"])


if __name__ == "__main__":
    run_stage(main, AttentionCostsStageSettings)
