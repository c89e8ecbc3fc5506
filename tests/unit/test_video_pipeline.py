"""A method as a folder of diffusers: the same clips as by our sampler, in calls as diffusers' pipelines take them."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import PIL.Image
import pytest
import torch
from packaging.requirements import Requirement

from interdiff.files import write_arrays
from interdiff.learning.checkpoints import CONFIG, MODEL, save_checkpoint
from interdiff.video.backbone.backbone import build_backbone, fit_covariance, transformer_config
from interdiff.video.backbone.settings import TransformerSettings, TuningSettings
from interdiff.video.backbone.tuning import learned, save_tuned, tuned
from interdiff.video.codec.codec import CHANNELS
from interdiff.video.codec.linear import LinearCodec
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.interpolators.loading import build_interpolator, interpolator_config
from interdiff.video.interpolators.settings import FlowSettings, InterpolatorSettings
from interdiff.video.pipeline import TwoPhasePipeline
from interdiff.video.pipeline_parts import denoiser
from interdiff.video.planner.oracle import line_costs
from interdiff.video.planner.preview import build_preview
from interdiff.video.planner.samplers import load_sampler
from interdiff.video.planner.selector import VideoSelector
from interdiff.workflow import export as command
from interdiff.workflow.config import load_config
from interdiff.workflow.export import LORA_FILE, export
from interdiff.workflow.imagine import Method

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
T, SIDE, WIDTH, ROWS, K = 21, 4, 384, 16, 4
PROMPTS = ["A red circle moves up slowly.", "A blue square turns left late and stops."]
SELECTOR = {"text_dim": WIDTH, "text": "attention", "d_model": 16, "depth": 1, "heads": 2}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


NOISE = torch.randn(2, 16, T, SIDE, SIDE, generator=seeded())


def files(folder):
    return {"model": folder / MODEL, "config": folder / CONFIG, "history": folder / "history.csv"}


def moved(model, tensors):
    """A network away from where it starts."""
    for tensor in tensors:
        torch.nn.init.normal_(tensor, std=0.05)
    return model


def configured(results, **sampling):
    base = {
        "selector": {"preview": False, "source": "shards"} if sampling.get("selector") else {},
        "sampling": {"guidance": 3.0, "guided_below": 0.9, "refiner_steps": 2, "noise": 0.5} | sampling,
    }
    text = {"rows": ROWS}
    return load_config(
        {"results": str(results), "video": {"data": {"text": text}, "negative_prompt": "grey", "base": base}}
    )


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """What a method samples with, of random weights; where the results are."""
    root = tmp_path_factory.mktemp("results")
    video = root / "video"
    torch.manual_seed(0)
    config = transformer_config(
        TransformerSettings(num_layers=2, num_attention_heads=2, attention_head_dim=16, ffn_dim=32), WIDTH
    )
    config["smoothing"] = {"error": 0.3, "weights": fit_covariance(torch.randn(4, CHANNELS, T, 2, 2).cumsum(2))}
    backbone = build_backbone(**config)
    moved(backbone, [backbone.transformer.proj_out.weight])
    save_checkpoint(files(video / "backbone/base"), backbone, {"kind": "backbone", "model": config}, [])
    low_rank = TuningSettings(kind="lora", rank=2)
    for kind, settings in (
        ("keyframes", low_rank),
        ("refiner", TuningSettings()),
        ("distilled_keyframes", low_rank),
        ("distilled_refiner", low_rank),
    ):
        model = tuned(backbone, settings)
        save_tuned(files(video / kind / "base"), kind, moved(model, learned(model).values()), settings, [])
    size = {"layers": 1, "ffn_dim": 16, "level": 0.9}
    preview = build_preview(backbone, **size)
    moved(preview, [preview.denoiser.transformer.proj_out.weight])
    save_checkpoint(files(video / "preview/base"), preview, {"kind": "preview", "model": size}, [])
    size = {"frames": T, "features": 4, "looks": True, "max_gap_factor": 3.0, **SELECTOR}
    save_checkpoint(files(video / "selector/base"), VideoSelector(**size), {"kind": "selector", "model": size}, [])
    size = interpolator_config(InterpolatorSettings(flow=FlowSettings(width=8, pair_blocks=1, time_blocks=1)), 16, None)
    network = {"kind": "interpolator", "model": size}
    save_checkpoint(files(video / "interpolator/base"), build_interpolator(**size), network, [])
    codec = LinearCodec(2)
    moved(codec, [codec.basis])
    save_checkpoint(files(video / "codec"), codec, {"kind": "linear_codec", "model": {"factor": 2}}, [])
    latent, embed = torch.randn(16, T, SIDE, SIDE).bfloat16(), torch.randn(ROWS, WIDTH).bfloat16()
    samples = [(str(n), {"latent": latent + n, "embed": embed, "prompt": prompt}) for n, prompt in enumerate(PROMPTS)]
    (video / "index").mkdir()
    write_shard(video / "shards/test/00000.tar", samples, COLUMNS)
    write_index(video / "index/test.npz", [video / "shards/test/00000.tar"], COLUMNS)
    costs = line_costs(torch.randn(3, 16, T, SIDE, SIDE))
    write_arrays(video / "oracle/base/train.npz", {"cost": costs})
    method = Method(configured(root), "base", CPU)
    write_arrays(video / "negative.npz", {"embed": method.text_encoder()(["grey"])[0].numpy()})
    return root


def loaded(folder):
    pipeline = TwoPhasePipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def folder(results, tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported") / "pipeline"
    export(Method(configured(results), "base", CPU), folder)
    return folder


@pytest.fixture(scope="module")
def pipeline(folder):
    return loaded(folder)


@torch.no_grad()
@pytest.mark.parametrize(
    "chosen",
    [{}, {"selector": "fixed"}, {"selector": "uniform"}, {"distilled": ["keyframes", "refiner"], "guidance": 1.0}],
)
def test_it_gives_what_our_sampler_gives(results, tmp_path, chosen):
    method = Method(configured(results, **chosen), "base", CPU)
    export(method, tmp_path / "pipeline")
    pipeline = loaded(tmp_path / "pipeline")
    sample = load_sampler(method.folder, method.data, method.oracle, method.backbone(), method.settings)
    ours = sample(NOISE, method.text_encoder()(PROMPTS).float(), None)

    def theirs(pipeline, **options):
        return pipeline(PROMPTS, latents=NOISE, generator=seeded(method.settings.seed), **options)

    made = theirs(pipeline, output_type="latent")
    assert torch.equal(made.keyframes, ours.indices)
    assert torch.equal(made.frames, ours.refined)
    assert (ours.refined - ours.interpolated).abs().max() > 0
    video = theirs(pipeline).frames
    np.testing.assert_array_equal((255 * video).round(), method.codec().decode(ours.refined).numpy())
    if "selector" not in chosen:
        pipeline.save_pretrained(tmp_path / "again")
        assert torch.equal(theirs(loaded(tmp_path / "again"), output_type="latent").frames, ours.refined)


def test_a_student_is_called_as_it_learned(results, tmp_path):
    method = Method(configured(results, distilled=["keyframes"], guidance=1.0), "base", CPU)
    export(method, tmp_path / "pipeline")
    pipeline, told = loaded(tmp_path / "pipeline"), []
    for options in ({"keyframe_steps": 5}, {"guidance_scale": 2.0}):
        with pytest.raises(ValueError, match="a student takes 1 to 4 steps and scale 1"):
            pipeline(PROMPTS, **options)
    pipeline(
        PROMPTS,
        keyframe_steps=2,
        refiner_steps=0,
        output_type="latent",
        callback_on_step_end=lambda pipe, step, time, values: told.append(round(time)) or values,
    )
    assert told == [988, 934]


def test_a_phases_lora_is_one_of_the_backbone(results, folder):
    adapted, (file,) = Method(configured(results), "base", CPU).backbone(), folder.rglob(LORA_FILE)
    adapted.transformer.load_lora_adapter(file.parent, weight_name=LORA_FILE, prefix="transformer")
    given = NOISE, torch.full((2, T), 0.7), torch.randn(2, ROWS, WIDTH), torch.arange(T).expand(2, -1)
    whole = denoiser(loaded(folder).transformer, True, adapted.smoothing.config)
    torch.testing.assert_close(adapted(*given), whole(*given), rtol=1e-4, atol=1e-4)
    assert f"`transformer/{LORA_FILE}`" in (folder / "README.md").read_text()


def test_its_card_says_what_it_is(folder):
    card = (folder / "README.md").read_text()
    assert card.startswith("---\nlibrary_name: diffusers\npipeline_tag: text-to-video\n")
    assert f'pipe("{PROMPTS[0]}").frames[0]  # [81, 8, 8, 3]' in card
    assert "| transformer_2 | WanTransformer3DModel |" in card
    assert "| `guidance_scale` | 3.0 |" in card
    (code,) = [part for part in card.split("```") if part.startswith("python")]
    compile(code.removeprefix("python"), "card", "exec")


def test_calls_are_those_of_diffusers(pipeline):
    told = []

    def tell(pipe, step, timestep, values):
        told.append((step, round(timestep), tuple(values["latents"].shape)))
        return {"latents": values["latents"]}

    places = [0, 5, 9, 14, 20]
    options = {"num_frames": 81, "keyframes": places, "keyframe_steps": 2, "refiner_steps": 1, "guidance_scale": 1.0}
    made = pipeline(PROMPTS[0], generator=seeded(), callback_on_step_end=tell, **options)
    assert made.keyframes.tolist() == [places]
    assert made.frames.shape == (1, 81, 8, 8, 3)
    assert told == [(0, 1000, (1, 16, 5, 4, 4)), (1, 750, (1, 16, 5, 4, 4)), (2, 0, (1, 16, T, 4, 4))]
    pictures = pipeline(PROMPTS[0], generator=seeded(), output_type="pil", **options).frames
    assert isinstance(pictures[0][0], PIL.Image.Image)
    np.testing.assert_array_equal(np.stack(pictures[0]), (255 * made.frames[0]).round())
    tensors = pipeline(PROMPTS[0], generator=seeded(), output_type="pt", **options).frames
    np.testing.assert_allclose(tensors.movedim(2, -1), made.frames, atol=1e-6)
    whole = pipeline(PROMPTS[0], generator=seeded(), output_type="latent", **options | {"refiner_steps": 0}).frames
    options |= {"callback_on_step_end": lambda pipe, step, time, values: {"latents": 0 * values["latents"]}}
    changed = pipeline(PROMPTS[0], generator=seeded(), output_type="latent", **options | {"refiner_steps": 0}).frames
    assert whole[:, :, places].abs().min() > 0
    assert not changed[:, :, places].any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_frames": 80}, r"80 frames; expected 1 \+ 4 k"),
        ({"num_frames": 41}, "the selector knows clips of 81 frames"),
        ({"keyframes": [0, 9, 5, 20]}, "expected increasing places from 0 to 20"),
        ({"keyframes": [1, 9, 20]}, "both included"),
        ({"latents": NOISE[:, :, :4]}, r"latents \[2, 16, 4, 4, 4\]: expected \[1, 16, 21, 4, 4\]"),
        ({"output_type": "gif"}, "expected one of np, pt, pil, latent"),
        ({"generator": [seeded()]}, "expected one torch.Generator on the CPU"),
        ({"prompt": None}, "expected a prompt and a text encoder, or prompt_embeds"),
    ],
)
def test_what_cannot_be_sampled_is_named(pipeline, options, message):
    with pytest.raises(Exception, match=message):
        pipeline(**{"prompt": "A"} | options)


def linked(roots, into):
    """Links to the installed packages that some need, and to no others."""
    wanted, seen = list(roots), set()
    while wanted:
        name = wanted.pop().lower().replace("_", "-")
        if name in seen:
            continue
        seen.add(name)
        found = importlib.metadata.distribution(name)
        needs = [Requirement(text) for text in found.requires or []]
        wanted += [need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})]
        for top in {Path(file).parts[0] for file in found.files or []} - {"..", "__pycache__"}:
            if (target := Path(found.locate_file(top))).exists() and not (into / top).exists():
                (into / top).symlink_to(target)
    return seen


def test_it_runs_where_only_torch_diffusers_and_transformers_are(folder, pipeline, tmp_path):
    (tmp_path / "site").mkdir()
    # accelerate: without it diffusers loads no Wan.
    there = linked(["torch", "diffusers", "transformers", "accelerate"], tmp_path / "site")
    assert not there & {"einops", "numba", "pandas", "h5py", "peft", "scipy"}
    code = f"""
import sys
sys.path[:0] = [{str(tmp_path / "site")!r}, {str(ROOT)!r}]
import numpy, torch
from interdiff.video.pipeline import TwoPhasePipeline
pipe = TwoPhasePipeline.from_pretrained({str(folder)!r})
video = pipe({PROMPTS!r}, generator=torch.Generator().manual_seed(0)).frames
numpy.save({str(tmp_path / "video.npy")!r}, video)
"""
    ended = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    np.testing.assert_array_equal(np.load(tmp_path / "video.npy"), pipeline(PROMPTS, generator=seeded()).frames)
    assert "100%" in ended.stderr  # diffusers' progress bar


def test_the_command_names_what_is_wrong(results, tmp_path, monkeypatch, capsys):
    student = {"sampling": {"method": "student", "steps": 2}}
    config = {"video": {"variants": {"other": {"sampling": {"method": "teacher"}}, "student_2": student}}}
    (tmp_path / "config.yaml").write_text(json.dumps(config))
    (tmp_path / "full").mkdir()
    (tmp_path / "full/file").touch()
    for method, folder, message in (
        (results / "maze/base", "new", "expected results/video/METHOD"),
        (
            results / "video/other",
            "new",
            "other: sampling.method teacher, sampling.exact nothing; expected a student, or a",
        ),
        (results / "video/student_2", "new", "distilled/base/config.json"),
        (results / "video/base", "full", "not empty"),
        (tmp_path / "video/base", "new", "config.json"),
    ):
        words = ["export", str(method), str(tmp_path / folder), "--config", str(tmp_path / "config.yaml")]
        monkeypatch.setattr(sys, "argv", words)
        assert command.main() == 2
        assert message in capsys.readouterr().err
