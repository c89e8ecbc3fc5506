"""A method of two phases, or a student, as a folder that diffusers loads: python -m interdiff.workflow.export --help."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from interdiff.errors import InputError
from interdiff.files import load_arrays
from interdiff.learning.checkpoints import CONFIG, MODEL, model_config
from interdiff.tables import read_table
from interdiff.video.backbone.tuning import attention_weights, load_tuned
from interdiff.video.backbone.wan import WanDenoiser
from interdiff.video.codec.wan_vae import WanCodec
from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.interpolators.loading import load_interpolator
from interdiff.video.pipeline import TwoPhasePipeline
from interdiff.video.pipeline_base import ClipsPipeline
from interdiff.video.pipeline_parts import PipelineCodec, PipelineInterpolator, PipelineSchedule, PipelineSelector
from interdiff.video.planner.choosers import load_selector
from interdiff.video.planner.preview import load_preview
from interdiff.video.planner.samplers import load_phase
from interdiff.video.student_pipeline import StudentPipeline
from interdiff.workflow.imagine import Method, read_config

LORA_FILE = "pytorch_lora_weights.safetensors"
"""The name that diffusers looks for."""
HELP = """
METHOD is a row of metrics.csv with two phases, or a student, in a folder of results: results/video/base or
results/video/student_4, say. What it samples with must have been made. FOLDER is then what from_pretrained takes of
interdiff.video.pipeline's TwoPhasePipeline, or of interdiff.video.student_pipeline's StudentPipeline; the transformers in
it, and the LoRAs of students and phases, are diffusers' own.
"""
CARD = """---
library_name: diffusers
pipeline_tag: text-to-video
tags: [interpolated-diffusion, text-to-video]
---

# {name}: text to video

{what}

```python
from {module} import {kind}

pipe = {kind}.from_pretrained("{folder}")
clip = pipe("{prompt}").frames[0]  # [{pixels}, 3] in [0, 1]
```

What a call says of {calls} replaces what is below. Its `generator` is on the CPU.
{lora}
| part | class | parameters |
|---|---|---|
{parts}

| setting | value |
|---|---|
{settings}
{figures}"""
TWO_PHASES = """Phase 1 denoises {keyframes} of {frames} latent frames in {keyframe_steps} steps, the interpolator fills the
others, and phase 2 corrects the whole clip in {refiner_steps}."""
STUDENT = """A student of a diffusion model, which makes a clip in {steps} steps without guidance. `transformer` is a
`WanTransformer3DModel` that answers as Wan does: by the velocity v = noise - data at a noise level. From pure noise x each
step, of a time t of `times` at the level s = sin t / (cos t + sin t), makes data = x / (cos t + sin t) - s v; the next one,
of t', begins with x = cos(t') data + sin(t') noise."""
WHAT = {TwoPhasePipeline: TWO_PHASES, StudentPipeline: STUDENT}
CALLS = {
    TwoPhasePipeline: "`keyframes`, `keyframe_steps`, `refiner_steps` and `guidance_scale`",
    StudentPipeline: "`num_inference_steps`",
}
LORA = """
`{file}` makes that transformer of the backbone that it was tuned from: a LoRA for diffusers, which
`load_lora_weights` of a pipeline and `load_lora_adapter` of a transformer read from its folder.
"""


def pipeline_of(method: Method) -> ClipsPipeline:
    """A method's pipeline, on the CPU.

    Raises:
        InputError: the method is of another kind or has sparse attention, or something that it samples with has not been
            made yet.
    """
    sampling = method.settings.sampling
    if sampling.method == "student":
        return _student(method)
    if sampling.method == "two_phase" and sampling.exact == "nothing":
        return _two_phases(method)
    expected = "expected a student, or a method of two phases that is not shown the clips of the data"
    raise InputError(f"{method.name}: sampling.method {sampling.method}, sampling.exact {sampling.exact}; {expected}")


def _student(method: Method) -> StudentPipeline:
    backbone = method.backbone()
    student = load_tuned(method.folder("distilled"), "distilled", backbone)
    _check_dense(method, [student])
    steps = method.settings.sampling.steps
    return StudentPipeline(student.transformer, steps=steps, **_surroundings(method, backbone))


def _low_ranks(method: Method) -> dict[str, Path]:
    """LoRAs of the backbone under the names of diffusers, by where they go in the folder.

    A student of phase 1 is none: it is made of phase 1.
    """
    sampling = method.settings.sampling
    if sampling.method == "student":
        networks = {"": "distilled"}
    else:
        networks = {} if "keyframes" in sampling.distilled else {"transformer/": "keyframes"}
        if sampling.refiner_steps:
            networks["transformer_2/"] = "distilled_refiner" if "refiner" in sampling.distilled else "refiner"
    found = {}
    for part, name in networks.items():
        folder = method.folder(name)
        config = model_config(folder / CONFIG, name)
        if config["kind"] == "lora" and "layers" not in config:  # of all the backbone's blocks
            found[f"{part}{LORA_FILE}"] = folder / MODEL
    return found


def _surroundings(method: Method, backbone: WanDenoiser) -> dict[str, Any]:
    """Codec, text encoder, and the shape of clips and embeddings."""
    encoder = method.text_encoder()
    _, frames, height, width = method.data.shape("latent")
    return {
        "vae": _codec(method),
        "tokenizer": encoder.tokenizer,
        "text_encoder": encoder.model,
        "preconditioned": backbone.preconditioned,
        "smoothing": backbone.smoothing and backbone.smoothing.config,
        "frames": frames,
        "height": height,
        "width": width,
        "rows": encoder.rows,
        "sentences": encoder.sentences,
    }


def _check_dense(method: Method, networks: Iterable[WanDenoiser | None]) -> None:
    if any(network and attention_weights(network) for network in networks):
        raise InputError(f"{method.name}: sparse attention; expected dense, which is all that diffusers' Wan has")


def _two_phases(method: Method) -> TwoPhasePipeline:
    settings, sampling = method.settings, method.settings.sampling
    if sampling.k == "auto":
        raise InputError(f"{method.name}: sampling.k: auto; expected a number of keyframes")
    backbone = method.backbone()
    selector, preview = _selector(method, method.data.shape("latent")[1]), None
    if isinstance(selector, PipelineSelector) and selector.network.looks:
        preview = load_preview(method.folder("preview"), backbone)
    second = load_phase(method.folder, "refiner", backbone, sampling) if sampling.refiner_steps else None
    first = load_phase(method.folder, "keyframes", backbone, sampling)
    _check_dense(method, (first, second, preview.denoiser if preview else None))
    return TwoPhasePipeline(
        transformer=first.transformer,
        transformer_2=second and second.transformer,
        preview=preview and preview.denoiser.transformer,
        interpolator=_interpolator(method),
        selector=selector,
        keyframes=sampling.k,
        keyframe_steps=sampling.steps,
        refiner_steps=sampling.refiner_steps,
        guidance_scale=sampling.guidance,
        negative_prompt=method.config.video.negative_prompt,
        shift=sampling.shift,
        guided_below=sampling.guided_below,
        start=sampling.start,
        noise=sampling.noise,
        trained_noise=settings.trained_noise,
        forced=settings.forced and list(settings.forced),
        levels=settings.levels,
        max_gap_factor=settings.max_gap_factor,
        preview_level=preview.level if preview else 1.0,
        distilled=sampling.distilled,
        **_surroundings(method, backbone),
    )


def _selector(method: Method, frames: int) -> PipelineSelector | PipelineSchedule:
    settings = method.settings
    if method.oracle is None:
        folder = method.folder("selector")
        selector = PipelineSelector(**model_config(folder / CONFIG, "selector"))
        return _filled(selector, load_selector(folder, method.device))
    cost = load_arrays(method.oracle)["cost"].mean(0)
    costs = cost[np.triu_indices(frames, 1)].tolist()
    return PipelineSchedule(settings.sampling.selector, frames, costs, settings.max_gap_factor, settings.seed)


def _interpolator(method: Method) -> PipelineInterpolator:
    folder = method.folder("interpolator")
    interpolator = PipelineInterpolator(**model_config(folder / CONFIG, "interpolator"))
    return _filled(interpolator, load_interpolator(folder, method.device))


def _codec(method: Method) -> Any:
    codec = method.codec()
    if isinstance(codec, WanCodec):
        return codec.vae
    return _filled(PipelineCodec(codec.factor), codec)


def _filled(part: Any, network: Any) -> Any:
    """A part of the pipeline with a network's weights."""
    part.network.load_state_dict(network.state_dict())
    return part.eval()


def model_card(pipeline: ClipsPipeline, method: Method, folder: Path, prompt: str) -> str:
    """What the pipeline is made of, its settings and its figures, in Markdown."""
    config = {
        name: value for name, value in pipeline.config.items() if not (name.startswith("_") or isinstance(value, tuple))
    }
    parts = [
        f"| {name} | {type(part).__name__} | {sum(p.numel() for p in part.parameters()):,} |"
        for name, part in pipeline.components.items()
        if isinstance(part, nn.Module)
    ]
    factor = (
        pipeline.vae.factor if isinstance(pipeline.vae, PipelineCodec) else pipeline.vae.config.scale_factor_spatial
    )
    sides = (1 + 4 * (config["frames"] - 1), config["height"] * factor, config["width"] * factor)
    figures = "".join(f"| {name} | {value} |\n" for name, value in _figures(method).items())
    return CARD.format(
        name=method.name,
        folder=folder.name,
        prompt=prompt.replace('"', "'"),
        pixels=", ".join(map(str, sides)),
        parts="\n".join(parts),
        settings="\n".join(f"| `{name}` | {value} |" for name, value in config.items()),
        figures=figures and f"\nIts row of metrics.csv:\n\n| column | value |\n|---|---|\n{figures}",
        what=WHAT[type(pipeline)].format(**config),
        module=type(pipeline).__module__,
        kind=type(pipeline).__name__,
        calls=CALLS[type(pipeline)],
        lora="".join(LORA.format(file=path.relative_to(folder)) for path in sorted(folder.rglob(LORA_FILE))),
    )


def _figures(method: Method) -> dict[str, Any]:
    """A method's row of metrics.csv, where that is there: figures without their errors and differences."""
    table = method.results / "metrics.csv"
    rows = read_table(table).to_dict("records") if table.exists() else []
    return {
        str(name): f"{value:.4g}" if isinstance(value, float) else value
        for row in rows
        for name, value in row.items()
        if row["method"] == method.name and value == value and not name.endswith(("_se", "_vs_reference"))
    }


def export(method: Method, folder: Path) -> None:
    """Write a method's pipeline with a model card; InputError as of `pipeline_of`, or where the folder is not empty."""
    if folder.exists() and any(folder.iterdir()):
        raise InputError(f"{folder}: not empty; expected a new folder")
    pipeline = pipeline_of(method)
    pipeline.save_pretrained(folder)
    for name, weights in _low_ranks(method).items():
        shutil.copyfile(weights, folder / name)
    prompt = ShardDataset(method.index, ["prompt"])[0]["prompt"]
    (folder / "README.md").write_text(model_card(pipeline, method, folder, prompt))


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m interdiff.workflow.export", description=__doc__, epilog=HELP)
    parser.add_argument("method", type=Path, metavar="METHOD", help="such as results/video/base")
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="new folder to write")
    parser.add_argument("--config", type=Path, default=Path("config.yaml"), help="configuration (default: config.yaml)")
    given = parser.parse_args()
    try:
        if given.method.parent.name != "video":
            raise InputError(f"{given.method}: expected results/video/METHOD, a row of metrics.csv")
        config = read_config(given.config, str(given.method.parent.parent))
        export(Method(config, given.method.name, torch.device("cpu")), given.folder)
    except (InputError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
