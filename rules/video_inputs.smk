from pathlib import Path

from interdiff.keyframes.dynamic_programming import max_gap
from interdiff.settings import BASE
from interdiff.video.planner.settings import SELECTED, SegmentCostSettings
from interdiff.video.data.settings import SPLITS
from interdiff.video.interpolators.settings import OPTICAL_FLOW
from interdiff.workflow.pipelines.video_stages import learned_clips, samples_settings


def from_source(source):
    """Wildcard constraint: numbers of shards, none of which match where shards come from elsewhere."""
    return r"\d{5}" if CONFIG.video.data.source == source else "(?!)"


def shards(folder, split):
    """All shards of a split, in order, in a folder of the video's results."""
    count = CONFIG.video.data.shards[split]
    return [f"{CONFIG.results}/video/{folder}/{split}/{number:05d}.tar" for number in range(count)]


def codec_files(wildcards):
    """Input function: the codec's checkpoint, or the VAE's folder."""
    codec = CONFIG.video.data.codec
    if codec.kind == "wan_vae":
        return [f"{codec.folder}/{name}" for name in ("diffusion_pytorch_model.safetensors", "config.json")]
    return [f"{CONFIG.results}/video/codec/{name}" for name in WEIGHTS]


def video_codec_spec(wildcards):
    """Params function: the identity text of the laptop's codec."""
    data = CONFIG.video.data
    settings = {
        "codec": data.codec.model_dump(),
        "rendered": data.clips.model_dump(exclude={"per_shard"}),
    }
    return stage_spec("codec", settings, domain="video")


def clips_spec(wildcards):
    """Params function: the identity text of a shard of rendered clips."""
    data = CONFIG.video.data
    settings = {
        "codec": data.codec.kind,
        "rendered": data.clips.model_dump(),
        "text": data.text.model_dump(),
        "split": wildcards.split,
        "number": int(wildcards.number),
    }
    return stage_spec("clips", settings, domain="video")


def download_spec(wildcards):
    """Params function: the identity text of a shard from the hub, whose numbers the splits take one after the other."""
    data = CONFIG.video.data
    before = SPLITS[: SPLITS.index(wildcards.split)]
    number = sum(data.shards[split] for split in before) + int(wildcards.number)
    return stage_spec("download", {"hub": data.hub.model_dump(), "number": number}, domain="video")


def annotations(wildcards):
    """Input function: the annotation file of a split of film clips."""
    return CONFIG.video.data.lsmdc.annotations[wildcards.split]


def lsmdc_spec(wildcards):
    """Params function: the identity text of a shard of film clips."""
    data = CONFIG.video.data
    settings = {
        "codec": data.codec.kind,
        "lsmdc": data.lsmdc.model_dump(exclude={"annotations"}),
        "text": data.text.model_dump(),
        "frames": data.clips.frames,
        "number": int(wildcards.number),
    }
    return stage_spec("lsmdc", settings, domain="video")


def optical_flow_spec(wildcards):
    """Params function: the identity text of a shard of optical flow's clips."""
    settings = {
        "codec": CONFIG.video.data.codec.kind,
        "optical_flow": CONFIG.video.optical_flow.model_dump(),
        "masks": CONFIG.video.masks.model_dump(),
        "number": int(wildcards.number),
    }
    return stage_spec("optical_flow", settings, domain="video")


def negative_spec(wildcards):
    """Params function: the identity text of the negative prompt's embedding."""
    settings = {"text": CONFIG.video.data.text.model_dump(), "prompt": CONFIG.video.negative_prompt}
    return stage_spec("negative", settings, domain="video")


def backbone_files(wildcards):
    """Input function: the backbone's checkpoint, or a folder of Wan in diffusers' layout."""
    return backbone_of(wildcards.variant)


def backbone_of(variant):
    """The same of a variant."""
    folder = VIDEO.section("backbone", variant)["pretrained"]
    if folder is None:
        return variant_files("backbone", variant, *WEIGHTS, domain="video")
    return [f"{folder}/config.json", *sorted(str(path) for path in Path(folder).glob("*.safetensors"))]


def generated_spec(wildcards):
    """Params function: the identity text of a shard of the backbone's clips."""
    settings = {
        "generated": VIDEO.section("generated", wildcards.variant),
        "shift": VIDEO.section("backbone", wildcards.variant)["shift"],
        "split": wildcards.split,
        "number": int(wildcards.number),
    }
    return stage_spec("generated", settings, CONFIG.video.threads, domain="video")


def generated_shards(wildcards):
    """Input function: the shards of the backbone's clips of a split."""
    count = VIDEO.section("generated", wildcards.variant)["shards"][wildcards.split]
    folder = f"{CONFIG.results}/video/generated/{wildcards.variant}/{wildcards.split}"
    return [f"{folder}/{number:05d}.tar" for number in range(count)]


def clips_index(wildcards):
    """Input function: the index of a split's clips, or of those that the backbone made of its prompts."""
    split = wildcards.clips.removeprefix("generated_")
    if split == wildcards.clips:
        return f"{CONFIG.results}/video/index/{split}.npz"
    return variant_files("generated", wildcards.variant, f"{split}.npz", domain="video")


def oracle_network(kind):
    """Input function: the network that an oracle's costs are of, if they are of this kind."""
    stage = "straightener" if kind == "straightened" else kind

    def files(wildcards):
        settings = VIDEO.section("oracle", wildcards.variant)
        return (
            variant_files(stage, settings["of"], *WEIGHTS, domain="video")
            if settings["costs"] == kind
            else []
        )

    return files


def learned_index(stage):
    """Input function: the index of the clips that a stage learns from."""

    def index(wildcards):
        if learned_clips(VIDEO, stage, wildcards.variant) == "train":
            return f"{CONFIG.results}/video/index/train.npz"
        return video("generated", "train.npz")(wildcards)

    return index


def learned_oracle(stage):
    """Input function: their oracle."""
    return lambda wildcards: video("oracle", f"{learned_clips(VIDEO, stage, wildcards.variant)}.npz")(
        wildcards
    )


def anchors_spec(wildcards):
    """Params function: the identity text of a shard of phase 1's outputs."""
    keyframes = VIDEO.section("keyframes", wildcards.variant)
    settings = {
        "anchors": VIDEO.section("anchors", wildcards.variant),
        "shift": keyframes["shift"],
        "seed": keyframes["training"]["seed"],
        "number": int(wildcards.number),
    }
    return stage_spec("anchors", settings, CONFIG.video.threads, domain="video")


def anchor_shards(wildcards):
    """Input function: phase 1's outputs for the clips that phase 2 learns from."""
    anchors = VIDEO.section("anchors", wildcards.variant)
    made = anchors["source"] == "generated"
    there = VIDEO.section("generated", wildcards.variant)["shards"] if made else CONFIG.video.data.shards
    folder = f"{CONFIG.results}/video/anchors/{wildcards.variant}"
    return [f"{folder}/{number:05d}.tar" for number in range(min(anchors["shards"], there["train"]))]


def anchors_index_spec(wildcards):
    """Params function: the identity text of the index of phase 1's outputs."""
    partial = VIDEO.section("anchors", wildcards.variant)["partial"]
    return stage_spec("anchors_index", {"partial": partial}, domain="video")


def refiner_spec(wildcards):
    """Params function: the identity text of phase 2's training."""
    settings = {
        "refiner": VIDEO.section("refiner", wildcards.variant),
        "max_gap_factor": VIDEO.section("oracle", wildcards.variant)["max_gap_factor"],
    }
    return stage_spec("refiner", settings, CONFIG.video.threads, domain="video")


def cost_targets_spec(wildcards):
    """Params function: the identity text of the teacher's costs of segments."""
    settings = VIDEO.section("segment_cost", wildcards.variant)
    oracle = VIDEO.section("oracle", wildcards.variant)
    frames = 1 + (CONFIG.video.data.clips.frames - 1) // 4
    measured = {
        "clips": settings["clips"],
        "pairs": settings["pairs"],
        "longest": max_gap(frames, min(oracle["k"]), oracle["max_gap_factor"]),
        "shift": VIDEO.section("backbone", wildcards.variant)["shift"],
        "seed": settings["training"]["seed"],
    }
    return stage_spec("cost_targets", measured, CONFIG.video.threads, domain="video")


def cost_targets(wildcards):
    """Input function: the teacher's costs, where D_phi learns those."""
    teacher = VIDEO.section("segment_cost", wildcards.variant)["targets"] == "teacher"
    return [f"{CONFIG.results}/video/segment_cost/{wildcards.variant}/targets.npz"] if teacher else []


def cost_levels(variant):
    """The noise levels at which D_phi's costs choose keyframes."""
    return SegmentCostSettings(**VIDEO.section("segment_cost", variant)).levels


def selector_spec(wildcards):
    """Params function: the identity text of the selector's training."""
    selector = VIDEO.section("selector", wildcards.variant)
    labelled = selector["labels"] == "segment_cost"
    settings = {"selector": selector, "cost_levels": cost_levels(wildcards.variant) if labelled else []}
    return stage_spec("selector", settings, CONFIG.video.threads, domain="video")


def looks(variant):
    """Whether a variant's selector looks at the noise."""
    return VIDEO.section("selector", variant)["preview"]


def if_looking(files):
    """Input function: these files, where a selector looks."""
    return lambda wildcards: files(wildcards) if looks(wildcards.variant) else []


def labelling_segment_cost(wildcards):
    """Input function: D_phi, where it labels what a selector learns."""
    labels = VIDEO.section("selector", wildcards.variant)["labels"] == "segment_cost"
    return video("segment_cost", *WEIGHTS)(wildcards) if labels else []


def two_phase_files(stage, *names):
    """Input function: files of a stage that a method with two phases samples with."""

    def files(wildcards):
        sampling = VIDEO.section("samples", wildcards.variant)
        chosen = sampling["selector"] == SELECTED
        unused = {
            "selector": not chosen,
            "preview": not (chosen and looks(wildcards.variant)),
            "refiner": not sampling["refiner_steps"],
        }
        if sampling["method"] == "teacher" or unused.get(stage):
            return []
        return video(stage, *names)(wildcards)

    return files


def schedule_oracle(wildcards):
    """Input function: costs of training clips, where keyframes are chosen without the selector."""
    sampling = VIDEO.section("samples", wildcards.variant)
    if sampling["method"] == "teacher" or sampling["selector"] == SELECTED:
        return []
    return learned_oracle("selector")(wildcards)


def video_samples_spec(wildcards):
    """Params function: the identity text of a method's samples."""
    settings = samples_settings(VIDEO, wildcards.variant).model_dump()
    return stage_spec("samples", settings, CONFIG.video.threads, domain="video")


def adherence_spec(wildcards):
    """Params function: the identity text of what the tracker sees."""
    return stage_spec("adherence", {"codec": CONFIG.video.data.codec.kind}, domain="video")


def method_files(name):
    """A file of the samples of each method of metrics.csv, in their order."""
    return [
        variant_files("samples", method, name, domain="video")[0] for method in CONFIG.video.report.methods
    ]


def adherence_files():
    """What the tracker sees in the samples of each method: it knows the prompts of rendered clips alone."""
    return method_files("adherence.csv") if CONFIG.video.data.source == "clips" else []


def video_metrics_spec(wildcards):
    """Params function: the identity text of the comparison of methods."""
    compared = CONFIG.video.report
    settings = {
        "methods": compared.methods,
        "steps": [VIDEO.section("samples", method)["steps"] for method in compared.methods],
        "exact": compared.exact,
        "reference": compared.against,
    }
    return stage_spec("metrics", settings, domain="video")


def two_phase_methods():
    """The methods of metrics.csv that have two phases."""
    methods = CONFIG.video.report.methods
    return [name for name in methods if VIDEO.section("samples", name)["method"] == "two_phase"]


def training_histories():
    """Histories of all networks behind metrics.csv and selection.csv, once each, by what they are and the variant that
    owns them."""
    compared = CONFIG.video.report
    trained = [name for name in compared.methods if not VIDEO.section("backbone", name)["pretrained"]]
    wanted = [("backbone", "backbone", name) for name in trained]
    wanted += [("keyframes", "phase 1", name) for name in compared.tunings]
    wanted += [("refiner", "phase 2", name) for name in two_phase_methods()]
    wanted += [("segment_cost", "D_phi", name) for name in compared.segment_costs]
    wanted += [("preview", "preview", name) for name in compared.selectors if looks(name)]
    wanted += [("selector", "selector", name) for name in compared.selectors]
    files = {}
    for stage, network, name in wanted:
        owner = VIDEO.owner(stage, name)
        (files[f"{network}: {owner}"],) = variant_files(stage, owner, "history.csv", domain="video")
    return files


def sample_pictures_spec(wildcards):
    """Params function: the identity text of the pictures of samples."""
    methods = CONFIG.video.report.methods
    settings = {
        "methods": methods,
        "teachers": [name for name in methods if name not in two_phase_methods()],
        "drawn": BASE,
        "networks": list(training_histories()),
        "codec": CONFIG.video.data.codec.kind,
    }
    return stage_spec("sample_pictures", settings, domain="video")


def samples_report():
    """The comparison of methods, with its pictures."""
    folder = f"{CONFIG.results}/video"
    names = ("cost.png", "samples.gif", "sheet.png", "losses.png")
    return [f"{folder}/metrics.csv", *(f"{folder}/samples/{name}" for name in names)]


def both_kinds(split):
    """The indices of a split's clips: the data's, and the backbone's."""
    return [
        f"{CONFIG.results}/video/index/{split}.npz",
        *variant_files("generated", BASE, f"{split}.npz", domain="video"),
    ]


def oracles_of_both_kinds(split):
    """Their oracles."""
    return variant_files("oracle", BASE, f"{split}.npz", f"generated_{split}.npz", domain="video")


def compared_models(stage, key):
    """The weights of the selectors or D_phis that selection.csv compares, in their order."""
    names = getattr(CONFIG.video.report, key)
    return [variant_files(stage, name, "model.safetensors", domain="video")[0] for name in names]


def preview_of_base():
    """The preview, where a selector of selection.csv looks: that of the backbone whose clips are looked at."""
    looking = any(looks(name) for name in CONFIG.video.report.selectors)
    return variant_files("preview", BASE, *WEIGHTS, domain="video") if looking else []


def video_selection_spec(wildcards):
    """Params function: the identity text of the comparison of selectors."""
    compared = CONFIG.video.report
    settings = {
        "k": CONFIG.video.base.oracle.k,
        "selectors": compared.selectors,
        "segment_costs": compared.segment_costs,
        "cost_levels": [cost_levels(name) for name in compared.segment_costs],
    }
    return stage_spec("selection", settings, CONFIG.video.threads, domain="video")


def straightener_checkpoint(wildcards):
    """Input function: the straightener, where an interpolator runs inside its space."""
    inside = VIDEO.section("interpolator", wildcards.variant)["straightened"]
    return video("straightener", *WEIGHTS)(wildcards) if inside else []


def optical_flow_index(wildcards):
    """Input function: optical flow's training shards, where an interpolator learns from them."""
    weight = VIDEO.section("interpolator", wildcards.variant)["losses"]["optical_flow"]
    return [f"{CONFIG.results}/video/index/optical_flow_train.npz"] if weight else []


def interpolation_spec(wildcards):
    """Params function: the identity text of an interpolator's figures."""
    settings = {
        "codec": CONFIG.video.data.codec.kind,
        "masks": CONFIG.video.masks.model_dump(),
        "clips": CONFIG.video.interpolation.clips,
    }
    return stage_spec("interpolation", settings, CONFIG.video.threads, domain="video")


def held_out_index(prefix=""):
    """The index of the split that figures are of."""
    return f"{CONFIG.results}/video/index/{prefix}{CONFIG.video.interpolation.split}.npz"


def interpolation_files(methods, name):
    """A file of each method's figures: those of variants, and optical flow's."""
    return [
        (
            f"{CONFIG.results}/video/interpolation/optical_flow/{name}"
            if method == OPTICAL_FLOW
            else variant_files("interpolation", method, name, domain="video")[0]
        )
        for method in methods
    ]


def interpolators_spec(methods):
    """Params function: the identity text of a comparison of interpolators."""
    settings = {
        "methods": methods,
        "reference": CONFIG.video.report.reference,
        "split": CONFIG.video.interpolation.split,
    }
    return lambda wildcards: stage_spec("interpolators", settings, domain="video")


def reported_interpolators(*names):
    """Files of the compared interpolators' checkpoints, in their order."""
    methods = [name for name in CONFIG.video.report.interpolators if name != OPTICAL_FLOW]
    return [
        path for method in methods for path in variant_files("interpolator", method, *names, domain="video")
    ]


def trained_networks():
    """Histories of the networks behind the compared interpolators, by name; some share one, and some have none."""
    files = {}
    for name in CONFIG.video.report.interpolators:
        if name == OPTICAL_FLOW:
            continue
        settings = VIDEO.section("interpolator", name)
        if settings["straightened"]:
            (path,) = variant_files("straightener", name, "history.csv", domain="video")
            files.setdefault(
                path, "straightener" if "straightener" not in files.values() else f"straightener of {name}"
            )
        if settings["method"] in ("flow", "sinkhorn"):
            (path,) = variant_files("interpolator", name, "history.csv", domain="video")
            files.setdefault(path, name)
    return {name: path for path, name in files.items()}


def ablated_interpolators():
    """The variants of interpolator_ablations.csv: after the reference, once each."""
    shown = CONFIG.video.report
    return list(dict.fromkeys([shown.reference, *shown.ablations]))


def interpolation_pictures_spec(wildcards):
    """Params function: the identity text of the interpolators' pictures."""
    shown = CONFIG.video.report
    settings = {
        "methods": shown.interpolators,
        "reference": shown.reference,
        "drawn": shown.drawn,
        "networks": list(trained_networks()),
        "codec": CONFIG.video.data.codec.kind,
        "masks": CONFIG.video.masks.model_dump(),
    }
    return stage_spec("interpolation_pictures", settings, domain="video")


def interpolator_report():
    """The comparison of interpolators, with its pictures."""
    pictures = ("errors", "best", "median", "worst", "fields", "curves")
    folder = f"{CONFIG.results}/video"
    return [f"{folder}/interpolators.csv", *(f"{folder}/interpolation/{name}.png" for name in pictures)]


def interpolator_ablations_report():
    """The ablations of interpolators, where the report shows them."""
    return [f"{CONFIG.results}/video/interpolator_ablations.csv"] if CONFIG.video.report.include else []
