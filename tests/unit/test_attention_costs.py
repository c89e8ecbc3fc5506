"""What attention costs: arithmetic of longer clips, and where the time of a step goes."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import yaml

from interdiff.learning.costs import forward_flops
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.attention.sparse_linear import set_attention
from interdiff.video.backbone.backbone import build_backbone
from interdiff.video.backbone.flow_matching import Guidance
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import learned, tuned
from interdiff.video.data.sizes import Clip
from interdiff.video.evaluation import profile
from interdiff.video.evaluation.pass_costs import pass_costs, pass_flops, phase_costs
from interdiff.video.evaluation.profile import PARTS, REST, Clock, step_times
from interdiff.video.figures.attention import costs_by_length, step_profile
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline

ROOT = Path(__file__).parents[2]
SIZE = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 32, "num_layers": 2, "text_dim": 24}
CLIP = Clip(channels=16, frames=0, height=8, width=8, rows=3, text_dim=24, pixels=0)
BLOCK = 16


def build():
    return build_backbone(channels=16, patch_size=[1, 2, 2], **SIZE)


def inputs(frames, batch=1):
    generator = torch.Generator().manual_seed(0)
    z = torch.randn(batch, 16, frames, 8, 8, generator=generator)
    return z, torch.full((batch, 1), 0.5), torch.randn(batch, 3, 24), torch.arange(frames).expand(batch, -1)


def sparse(keep, kind="sla"):
    return AttentionSettings(kind=kind, keep=keep, block=BLOCK)


@pytest.mark.parametrize("attention", [AttentionSettings(), sparse(0.3), sparse(0.3, "sla_complement")])
def test_a_pass_is_counted_as_the_network_itself_is(attention):
    network = build()
    set_attention(network.transformer, attention)
    assert pass_flops(build, attention, CLIP, 5) == forward_flops(network, *inputs(5))


def test_what_is_counted_is_what_is_computed():
    """Two products of each query with the keys of its blocks: a share more costs just these."""
    tokens, blocks = 8 * 16, 8
    half, quarter = (pass_flops(build, sparse(keep), CLIP, 8) for keep in (0.5, 0.25))
    more = BLOCK * (blocks // 2 - blocks // 4)
    assert half - quarter == SIZE["num_layers"] * 4 * tokens * more * 32


def test_the_longer_the_clip_the_less_sparse_attention_costs_beside_dense():
    kinds = [AttentionSettings(), sparse(0.15), sparse(0.1)]
    rows = list(pass_costs(build, kinds, CLIP, (16, 32, 64)))
    table = pd.DataFrame(rows)
    assert list(table["keep"]) == [1.0, 0.15, 0.1] * 3
    shares = table[table["keep"] == 0.15]["full_step_units"].tolist()
    assert 1 > shares[0] > shares[1] > shares[2] > 0.15
    assert (table[table["attention"] == "dense"]["full_step_units"] == 1).all()


def test_phase_1_costs_as_much_however_long_the_clip():
    small = SIZE | {"num_layers": 1, "ffn_dim": 16}

    def preview():
        return build_backbone(channels=16, patch_size=[1, 2, 2], **small)

    rows = pd.DataFrame(phase_costs(build, preview, CLIP, (16, 32), (4, 8), 3))
    by = rows.set_index(["part", "frames"])
    assert list(by.loc["phase 1, K = 4"]["flops"]) == [3 * pass_flops(build, AttentionSettings(), CLIP, 4)] * 2
    units = by["full_step_units"]
    assert units["phase 1, K = 4", 32] < units["phase 1, K = 4", 16] < units["phase 1, K = 8", 16]
    assert 0.3 < units["preview", 16] < 1
    levels = [1.0, 0.9, 0.5]
    assert [Guidance(scale, torch.empty(0), 0.95).passes(levels) for scale in (1, 3)] == [3, 5]


def test_time_inside_a_part_is_not_that_of_what_it_is_in(monkeypatch):
    moments = iter(range(100))
    monkeypatch.setattr(profile, "now", lambda: next(moments))
    clock = Clock()
    for act, part in (
        (clock.enter, "block"),
        (clock.enter, "attention"),
        (clock.leave, "attention"),
        (clock.leave, "block"),
    ):
        act(part)
    clock.leave("never entered")
    assert clock.stop() == {REST: 3, "block": 2, "attention": 1}


@pytest.mark.parametrize("kind", ["dense", "sla"])
@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("way", ["full", "lora"])
def test_a_step_is_the_sum_of_its_parts(kind, checkpointing, way, monkeypatch):
    """By a clock that ticks at each look, every part is seen in both passes, and no time is lost."""
    moments = iter(range(10**6))
    monkeypatch.setattr(profile, "now", lambda: next(moments))
    attention = {"kind": kind, "block": BLOCK}
    settings = TuningSettings(kind=way, rank=2, gradient_checkpointing=checkpointing, attention=attention)
    network = build()
    torch.nn.init.normal_(network.transformer.proj_out.weight, std=0.1)  # it would learn nothing at first
    model = tuned(network, settings).train()
    optimizer = torch.optim.SGD(learned(model).values(), lr=1e-3)
    before = [tensor.clone() for tensor in learned(model).values()]
    times = step_times(model, inputs(3, batch=2), [optimizer], "no", repeats=1)
    parts = {*PARTS.values(), REST}
    assert {part for at, part in times if at == "forward"} == parts
    assert {part for at, part in times if at == "backward"} == parts
    assert all(spent >= 0 for spent in times.values())
    assert times["update", "update"] > 0
    assert any(not torch.equal(a, b) for a, b in zip(before, learned(model).values(), strict=True))
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def test_pictures_have_a_bar_for_each_step_and_a_line_for_each_kind(tmp_path):
    rows = [
        {"attention": kind, "frames": frames, "pass": at, "part": "projections", "ms": 2.0, "share": 0.5}
        for kind in ("dense", "sla")
        for frames in (4, 21)
        for at in ("forward", "backward")
    ]
    rows.append({"attention": "", "frames": 21, "pass": "decoding", "part": "decoding", "ms": 9.0, "share": None})
    step_profile(pd.DataFrame(rows), tmp_path / "profile.png")
    table = pd.DataFrame(
        {"network": "backbone"} | row for row in pass_costs(build, [AttentionSettings()], CLIP, (2, 3))
    )
    costs_by_length(table, tmp_path / "costs.png")
    for name in ("profile", "costs"):
        assert (tmp_path / f"{name}.png").read_bytes().startswith(b"\x89PNG")


def test_stages_are_told_the_sizes_of_the_configuration():
    config = load_config(yaml.safe_load((ROOT / "config.yaml").read_text()))
    pipeline = VideoPipeline(config.video, "results", ROOT)
    told = pipeline.settings("attention_costs", None)
    assert told["block"] == 16
    assert (told["height"], told["width"], told["rows"], told["text_dim"]) == (8, 8, 8, 384)
    assert pipeline.settings("profile", None)["attention"]["kind"] == "sla"
