"""The backbone adapted to sparse attention: what it learns, who is made of it, and where its files are."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import yaml

from interdiff.errors import InputError
from interdiff.learning.checkpoints import CONFIG, MODEL
from interdiff.learning.settings import BlockwiseTrainingSettings
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Objective, train
from interdiff.settings import validated
from interdiff.video.attention.sparse_linear import attention_of
from interdiff.video.backbone.adaptation import Answers, answer_loss
from interdiff.video.backbone.backbone import build_backbone
from interdiff.video.backbone.losses import RandomFrames
from interdiff.video.backbone.settings import AdaptedSettings
from interdiff.video.backbone.tuning import attention_weights, load_tuned, save_tuned, tuned
from interdiff.video.evaluation.attention import faithfulness
from interdiff.video.planner import samplers
from interdiff.video.planner.settings import SamplesStageSettings, SamplingSettings
from interdiff.workflow.config import load_config
from interdiff.workflow.pipelines.video_pipeline import VideoPipeline

ROOT = Path(__file__).parents[2]
SIZE = {"num_attention_heads": 2, "attention_head_dim": 16, "ffn_dim": 32, "num_layers": 2, "text_dim": 24}
SPARSE = {"kind": "sla", "keep": 0.2, "block": 8}


class Clips:
    """The same clips again and again."""

    def batch(self, done):
        generator = torch.Generator().manual_seed(0)
        z = torch.randn(4, 16, 5, 8, 8, generator=generator)
        return {"latent": z, "embed": torch.randn(4, 3, 24, generator=generator)}


@pytest.fixture(scope="module")
def backbone():
    torch.manual_seed(0)
    model = build_backbone(channels=16, patch_size=[1, 2, 2], **SIZE)
    # It would answer the same whatever attention says, and attend to what is near alone.
    torch.nn.init.normal_(model.transformer.proj_out.weight, std=0.3)
    for block in model.transformer.blocks:
        for project in (block.attn1.to_q, block.attn1.to_k):
            project.bias.data.zero_()
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def adapted(backbone, tmp_path_factory):
    training = {
        "steps": 40,
        "batch_size": 4,
        "warmup_steps": 2,
        "log_every": 10,
        "learning_rate": 0.002,
        "ema_decay": 0.5,
    }
    settings = validated(AdaptedSettings, {"tuning": {"attention": SPARSE}, "training": training, "drop_prompt": 0.2})
    objective = Objective(Answers(RandomFrames(Clips(), torch.zeros(3, 24), settings), backbone).draw, answer_loss)
    folder = tmp_path_factory.mktemp("adapted")
    with TrainingState(folder / "state") as state:
        model, history = train(
            tuned(backbone, settings.tuning),
            objective,
            BlockwiseTrainingSettings(**settings.training.model_dump()),
            state,
            torch.device("cpu"),
            lambda row: None,
            iter,
        )
    outputs = {name: folder / file for name, file in (("model", MODEL), ("config", CONFIG), ("history", "history.csv"))}
    save_tuned(outputs, "adapted", model, settings.tuning, history)
    return folder, model, history


def test_the_backbone_learns_to_answer_as_it_did(adapted):
    _, model, history = adapted
    errors = [row["error"] for row in history]
    assert errors == sorted(errors, reverse=True)
    assert any(weight.any() for weight in attention_weights(model).values())


def test_answers_are_of_the_same_noisy_clip(backbone):
    settings = validated(AdaptedSettings, {"frames": [3], "frames_until": 0.5})
    answers = Answers(RandomFrames(Clips(), torch.zeros(3, 24), settings), backbone)
    batch = answers.draw(torch.Generator().manual_seed(1), 0.9)
    assert batch.z.shape == batch.velocity.shape == (4, 16, 5, 8, 8)
    torch.testing.assert_close(batch.velocity, backbone(batch.z, batch.sigma, batch.embed, batch.frames))
    assert answer_loss(backbone, batch)["loss"] < 1e-10


def test_it_is_the_teacher_or_what_a_phase_is_made_of(adapted, backbone, monkeypatch):
    """A method samples with it where its settings say so; costs stay in passes of the dense backbone."""
    folder, model, _ = adapted
    seen = {}
    monkeypatch.setattr(samplers, "load_negative", lambda path, device, prompts: torch.zeros(3, 24))
    monkeypatch.setattr(samplers, "load_interpolator", lambda folder, device: None)
    monkeypatch.setattr(samplers, "_chooser", lambda *_: lambda k: None)
    monkeypatch.setattr(samplers, "_teacher", lambda network, *_: seen.update(teacher=network))

    def loaded(path, name, start):
        if name == "adapted":
            return load_tuned(path, name, start)
        return seen.setdefault(name, start)

    monkeypatch.setattr(samplers, "load_tuned", loaded)
    others = {"seed": 0, "levels": [4], "max_gap_factor": 3.0, "trained_noise": 0.0}
    for method, names in (("teacher", ["teacher"]), ("two_phase", ["refiner"]), ("teacher", [])):
        seen.clear()
        settings = SamplesStageSettings(sampling={"method": method}, adapted=names, **others)
        samplers.load_sampler(lambda name: folder, None, None, backbone, settings)
        assert {name for name, network in seen.items() if attention_weights(network)} == set(names)
        assert not attention_weights(backbone)
    given = Clips().batch(0)
    inputs = given["latent"], torch.full((4, 1), 0.5), given["embed"], torch.arange(5).expand(4, -1)
    torch.testing.assert_close(load_tuned(folder, "adapted", backbone)(*inputs), model(*inputs))


@pytest.fixture(scope="module")
def pipeline():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    values["video"]["report"]["methods"].append("sparse")
    config = load_config(values)
    return VideoPipeline(config.video, "results", ROOT)


def test_rules_read_it_where_settings_say_so(pipeline):
    of_base = ["results/video/adapted/base/model.safetensors", "results/video/adapted/base/config.json"]

    def files(stage, variant):
        return pipeline.adapted_files(stage)(SimpleNamespace(variant=variant))

    assert files("samples", "teacher_4_sparse") == files("samples", "sparse") == files("refiner", "sparse") == of_base
    assert not any(files(stage, "base") for stage in ("keyframes", "refiner", "samples"))
    assert files("keyframes", "sparse") == []
    assert pipeline.resolved.owner("keyframes", "sparse") == pipeline.resolved.owner("adapted", "sparse") == "base"
    assert pipeline.resolved.owner("refiner", "sparse") == "sparse"
    assert "adapted backbone: base" in pipeline.trained()


def test_it_needs_more_than_a_phase_does(pipeline):
    at_base = SimpleNamespace(variant="base")
    need, phase = pipeline.need("adapted", at_base, 1), pipeline.need("refiner", at_base, 1)
    assert need.gpu > phase.gpu / 2
    assert 0 < need.seconds < 3600


def test_a_teacher_may_have_sparse_attention_that_it_has_not_learned(backbone, monkeypatch):
    seen = []
    monkeypatch.setattr(samplers, "load_negative", lambda path, device, prompts: torch.zeros(3, 24))
    monkeypatch.setattr(samplers, "_teacher", lambda network, *_: seen.append(network))
    others = {"seed": 0, "levels": [4], "max_gap_factor": 3.0, "trained_noise": 0.0}
    settings = SamplesStageSettings(sampling={"method": "teacher", "attention": SPARSE}, **others)
    samplers.load_sampler(Path, None, None, backbone, settings)
    assert attention_of(seen[0].transformer).model_dump().items() >= SPARSE.items()
    assert attention_of(backbone.transformer).kind == "dense"


def test_faithfulness_is_that_of_each_clip(adapted, backbone):
    folder = adapted[0]
    clips = Clips().batch(0)
    z, embed = clips["latent"], clips["embed"]
    noise = torch.randn(z.shape, generator=torch.Generator().manual_seed(5))
    assert [x.tolist() for x in faithfulness(backbone, backbone, z, noise, embed)] == [[0.0] * 4, [1.0] * 4]
    dense = tuned(backbone, validated(AdaptedSettings, {"tuning": {"attention": SPARSE | {"keep": 1.0}}}).tuning).eval()
    error, mass = faithfulness(dense, backbone, z, noise, embed)
    assert error.max() < 1e-5
    torch.testing.assert_close(mass, torch.ones(4))
    before = tuned(backbone, validated(AdaptedSettings, {"tuning": {"attention": SPARSE}}).tuning).eval()
    found = [
        faithfulness(network, backbone, z, noise, embed)
        for network in (before, load_tuned(folder, "adapted", backbone))
    ]
    assert (found[1][0] < found[0][0]).all()
    assert all(0.2 < share < 0.9 for _, masses in found for share in masses)
    one = faithfulness(before, backbone, z[1:2], noise[1:2], embed[1:2])
    for whole, single in zip(found[0], one, strict=True):
        torch.testing.assert_close(whole[1:2], single)
    assert "attend" not in vars(before.transformer.blocks[0].attn1.processor)


def test_the_sweep_covers_what_is_kept_before_and_after(pipeline):
    told = pipeline.settings("attention", None)
    rows = {(r["kind"], r["feature_map"], r["keep"], r["adapted"]) for r in told["attention"] if r["reuse"] == 1}
    assert told["attention"][0] == {"kind": "dense", "feature_map": None, "keep": 1.0, "adapted": "no", "reuse": 1}
    again = [row for row in told["attention"] if row["reuse"] > 1]
    one = {"kind": "sla", "feature_map": "softmax", "keep": 0.15, "adapted": "yes"}
    assert again == [one | {"reuse": 2}, one | {"reuse": 4}]
    kept = (0.05, 0.1, 0.15, 0.25, 0.5)
    assert {("sla", "softmax", keep, adapted) for keep in kept for adapted in ("yes", "no")} < rows
    assert {("sla_complement", "softmax", keep, "yes") for keep in kept} < rows
    assert {(kind, way, 0.15, "yes") for kind in ("sla", "sla_complement") for way in ("elu", "relu")} < rows
    assert {pipeline.attention_of(name)["block"] for name in pipeline.reported.attention[1:]} == {16}
    assert {pipeline.section("samples", name)["steps"] for name in told["methods"]} == {8}
    assert len(rows) + len(again) == len(told["methods"]) == 22


def test_settings_without_a_meaning_are_refused():
    with pytest.raises(InputError, match=r"tuning.attention.kind: expected sparse attention"):
        validated(AdaptedSettings, {"tuning": {"attention": {"kind": "dense"}}})
    with pytest.raises(InputError, match=r"adapted: expected false with method two_phase"):
        validated(SamplingSettings, {"adapted": True})
    with pytest.raises(InputError, match=r"attention.kind: expected dense but for a teacher that is not adapted"):
        validated(SamplingSettings, {"attention": SPARSE})
