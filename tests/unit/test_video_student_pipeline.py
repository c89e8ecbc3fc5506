"""A student of the backbone as a folder of diffusers: the same clips as by our sampler, and networks that diffusers loads."""

import math

import pytest
import torch
from diffusers import WanTransformer3DModel
from test_video_pipeline import (  # noqa: F401
    CPU,
    NOISE,
    PROMPTS,
    SIDE,
    T,
    configured,
    files,
    moved,
    results,
    seeded,
)

from interdiff.errors import InputError
from interdiff.video.attention.settings import AttentionSettings
from interdiff.video.backbone.settings import TuningSettings
from interdiff.video.backbone.tuning import learned, save_tuned, tuned
from interdiff.video.pipeline_parts import denoiser
from interdiff.video.planner.samplers import load_sampler
from interdiff.video.student_pipeline import StudentPipeline
from interdiff.workflow.export import LORA_FILE, export
from interdiff.workflow.imagine import Method

KINDS = {"full": TuningSettings(), "lora": TuningSettings(kind="lora", rank=2)}
PLACES = torch.arange(T).expand(2, -1)


def student(results, tuning, steps=3):  # noqa: F811
    """A method, and its student of random weights."""
    method = Method(configured(results, method="student", guidance=1.0, steps=steps), "base", CPU)
    torch.manual_seed(1)
    model = tuned(method.backbone(), tuning)
    moved(model, learned(model).values())
    save_tuned(files(method.folder("distilled")), "distilled", model, tuning, [])
    return method, model.eval()


@pytest.fixture(scope="module", params=KINDS)
def exported(request, results, tmp_path_factory):  # noqa: F811
    """A method, its student, the folder, and the pipeline of it."""
    method, model = student(results, KINDS[request.param])
    folder = tmp_path_factory.mktemp("exported") / "student"
    export(method, folder)
    pipeline = StudentPipeline.from_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return method, model, folder, pipeline


@torch.no_grad()
def test_it_gives_what_our_sampler_gives_batch_by_batch(exported):
    method, _, _, pipeline = exported
    sample = load_sampler(method.folder, method.data, method.oracle, method.backbone(), method.settings)
    embed = method.text_encoder()(PROMPTS).float()
    more = seeded(method.settings.seed)
    for noise in (NOISE, -NOISE):
        made = pipeline(PROMPTS, latents=noise, generator=more, output_type="latent").frames
        assert torch.equal(made, sample(noise, embed, None).refined)
    assert pipeline(PROMPTS[0], generator=seeded()).frames.shape == (1, 81, 2 * SIDE, 2 * SIDE, 3)


@torch.no_grad()
def test_its_card_says_how_it_samples(exported):
    _, _, folder, pipeline = exported
    card = (folder / "README.md").read_text()
    assert "data = x / (cos t + sin t) - s v" in card
    assert "x = cos(t') data + sin(t') noise" in card
    assert "from interdiff.video.student_pipeline import StudentPipeline" in card
    assert (LORA_FILE in card) == (folder / LORA_FILE).exists()
    embed, more, x = pipeline.encode_prompt(PROMPTS), seeded(), NOISE
    model = denoiser(pipeline.transformer, pipeline.config.preconditioned, pipeline.config.smoothing)
    for number, t in enumerate(pipeline.config.times[:2]):
        if number:
            x = math.cos(t) * data + math.sin(t) * torch.randn(NOISE.shape, generator=more)  # noqa: F821
        scale = math.cos(t) + math.sin(t)
        s = math.sin(t) / scale
        data = x / scale - s * model(x / scale, torch.full((2, 1), s), embed, PLACES)
    made = pipeline(PROMPTS, latents=NOISE, generator=seeded(), num_inference_steps=2, output_type="latent").frames
    torch.testing.assert_close(made, data, rtol=1e-4, atol=1e-4)


@torch.no_grad()
def test_diffusers_loads_it_alone_or_as_a_lora_of_the_backbone(exported):
    method, model, folder, pipeline = exported
    backbone = method.backbone()
    transformer = WanTransformer3DModel.from_pretrained(folder, subfolder="transformer")
    answers = [denoiser(transformer, True, pipeline.config.smoothing)]
    if (folder / LORA_FILE).exists():
        backbone.transformer.load_lora_adapter(folder, weight_name=LORA_FILE, prefix="transformer")
        answers.append(backbone)
    given = NOISE, torch.full((2, 1), 0.7), pipeline.encode_prompt(PROMPTS), PLACES
    assert backbone.preconditioned
    for answer in answers:
        torch.testing.assert_close(answer(*given), model(*given), rtol=1e-4, atol=1e-4)


def test_it_is_called_as_it_learned(exported):
    _, _, _, pipeline = exported
    with pytest.raises(ValueError, match="num_inference_steps 5: expected 1 to 4, which the student learned"):
        pipeline(PROMPTS, num_inference_steps=5)
    told = []

    def tell(pipe, step, time, values):
        told.append((step, round(time)))
        return values

    pipeline(PROMPTS, num_frames=41, output_type="latent", callback_on_step_end=tell)
    assert told == [(0, 988), (1, 934), (2, 853)]


def test_sparse_attention_is_refused(results, tmp_path):  # noqa: F811
    method, _ = student(results, TuningSettings(attention=AttentionSettings(kind="sla", block=4)))
    with pytest.raises(InputError, match="sparse attention; expected dense"):
        export(method, tmp_path / "new")
