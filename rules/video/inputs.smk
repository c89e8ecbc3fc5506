from interdiff.files import SUMS
from interdiff.settings import BASE
from interdiff.video.data.settings import SPLITS
from interdiff.video.interpolators.settings import IN_PIXELS
from interdiff.video.planner.settings import SCHEDULES, SELECTED


def from_source(source):
    """Wildcard constraint: numbers of shards, none of which match where shards come from elsewhere."""
    return r"\d{5}" if CONFIG.video.data.source == source else "(?!)"


def shards(folder, split):
    """All shards of a split, in order, in a folder of the video's results."""
    data = CONFIG.video.data
    if folder == "shards" and data.source == "shards":
        return from_outside(data.own_shards(split))
    count = data.shard_count(split)
    return [VIDEO.path(f"{folder}/{split}/{number:05d}.tar") for number in range(count)]


def codec_files(wildcards):
    """Input function: the codec's checkpoint, fitted here or not, or the VAE's folder."""
    codec = CONFIG.video.data.codec
    names = WEIGHTS if codec.kind == "linear" else ("diffusion_pytorch_model.safetensors", "config.json")
    if codec.folder:
        return from_outside([f"{codec.folder}/{name}" for name in names])
    return [VIDEO.path(f"codec/{name}") for name in names]


def codec_to_render_with(stage):
    """Input function: the codec, where a stage learns from clips that are rendered as they are needed."""
    return lambda wildcards: codec_files(wildcards) if VIDEO.renders(stage, wildcards.variant) else []


def annotations(wildcards):
    """Input function: the annotation file of a split of film clips."""
    return from_outside([CONFIG.video.data.lsmdc.annotations[wildcards.split]])


def own_videos(videos):
    """The files of videos of one's own."""
    return from_outside([str(video.path) for video in videos])


def straightener_checkpoint(wildcards):
    """Input function: the straightener, where an interpolator runs inside its space."""
    inside = VIDEO.section("interpolator", wildcards.variant)["straightened"]
    return VIDEO.of("straightener", *WEIGHTS)(wildcards) if inside else []


def pretrained_interpolator(wildcards):
    """Input function: the checkpoint whose weights an interpolator takes, if it does, and its digests, if it has some."""
    folder = VIDEO.section("interpolator", wildcards.variant)["pretrained"]
    if not folder:
        return []
    sums = [f"{folder}/{SUMS}"] if Path(folder, SUMS).exists() else []
    return [*from_outside([f"{folder}/{name}" for name in (*WEIGHTS, CHECKPOINT["history"])]), *sums]


def index_to_learn(wildcards):
    """Input function: the training shards, where an interpolator is not pretrained."""
    pretrained = VIDEO.section("interpolator", wildcards.variant)["pretrained"]
    return [] if pretrained else [VIDEO.path("index/train.npz")]


def optical_flow_index(wildcards):
    """Input function: optical flow's training shards, where an interpolator learns from them."""
    settings = VIDEO.section("interpolator", wildcards.variant)
    learns = settings["losses"]["optical_flow"] and not settings["pretrained"]
    return [VIDEO.path("optical_flow/train.npz")] if learns else []


def held_out_index(folder="index"):
    """The index of the split that figures are of, in a folder of the video's results."""
    return VIDEO.path(f"{folder}/{CONFIG.video.interpolation.split}.npz")


def compared_interpolations(name):
    """Input function: a file of the figures of each method of a table."""
    return lambda wildcards: interpolation_files(VIDEO.compared_interpolators(wildcards.table), name)


def interpolation_files(methods, name):
    """A file of each method's figures: those of variants, and of what fills in pixels."""
    return [
        (
            VIDEO.path(f"interpolation/{method}/{name}")
            if method in IN_PIXELS
            else VIDEO.files("interpolation", method, name)[0]
        )
        for method in methods
    ]


def backbone_files(wildcards):
    """Input function: the backbone's checkpoint, or a folder of Wan in diffusers' layout."""
    return backbone_of(wildcards.variant)


def backbone_of(variant):
    """The files of a variant's backbone."""
    files = VIDEO.backbone_of(variant)
    return from_outside(files) if VIDEO.section("backbone", variant)["pretrained"] else files


def oracle_network(kind):
    """Input function: the network that an oracle's costs are of, if they are of this kind."""
    stage = "straightener" if kind == "straightened" else kind

    def files(wildcards):
        settings = VIDEO.section("oracle", wildcards.variant)
        return VIDEO.files(stage, settings["of"], *WEIGHTS) if settings["costs"] == kind else []

    return files


def cost_targets(wildcards):
    """Input function: the teacher's costs, where D_phi learns those."""
    teacher = VIDEO.section("segment_cost", wildcards.variant)["targets"] == "teacher"
    return [VIDEO.path(f"segment_cost/{wildcards.variant}/targets.npz")] if teacher else []


def if_looking(files):
    """Input function: these files, where a selector looks."""
    return lambda wildcards: files(wildcards) if VIDEO.looks(wildcards.variant) else []


def labelling_segment_cost(wildcards):
    """Input function: D_phi, where it labels what a selector learns."""
    labels = VIDEO.section("selector", wildcards.variant)["labels"] == "segment_cost"
    return VIDEO.of("segment_cost", *WEIGHTS)(wildcards) if labels else []


def two_phase_files(stage, *names):
    """Input function: files of a stage that a method with two phases samples with."""

    def files(wildcards):
        sampling = VIDEO.section("samples", wildcards.variant)
        chosen = sampling["selector"] == SELECTED
        unused = {
            "selector": not chosen,
            "preview": not (chosen and VIDEO.looks(wildcards.variant)),
            "segment_cost": sampling["k"] != "auto",
            "refiner": not sampling["refiner_steps"] or "refiner" in sampling["distilled"],
        }
        if sampling["method"] != "two_phase" or unused.get(stage):
            return []
        return VIDEO.of(stage, *names)(wildcards)

    return files


def schedule_oracle(wildcards):
    """Input function: costs of training clips, where keyframes are chosen without the selector."""
    sampling = VIDEO.section("samples", wildcards.variant)
    if sampling["method"] != "two_phase" or sampling["selector"] not in SCHEDULES:
        return []
    return VIDEO.learned_oracle("selector")(wildcards)


def method_files(name, table="methods"):
    """A file of the samples of each method of metrics.csv, or of another table's, in their order."""
    return [VIDEO.files("samples", method, name)[0] for method in VIDEO.compared_methods(table)]


def judged_files(table="methods"):
    """What the tracker sees in the samples of each method, which knows the prompts of rendered clips alone; and a CLIP."""
    known = CONFIG.video.data.source == "clips"
    return {
        "adherence": method_files("adherence.csv", table) if known else [],
        "content": method_files("content.csv", table) if CONFIG.video.report.clip else [],
    }


def sampled_index(wildcards):
    """Input function: the index of the split whose prompts a method samples."""
    split = VIDEO.section("samples", wildcards.variant)["split"]
    return [VIDEO.path(f"index/{split}.npz")]


def clip_files(wildcards):
    """Input function: the CLIP that looks at clips."""
    names = "config.json", "model.safetensors", "preprocessor_config.json", "tokenizer.json"
    return from_outside([f"{CONFIG.video.report.clip}/{name}" for name in names])


def judged_clips(split):
    """The indices of a split's clips whose keyframes selection.csv judges: the data's, and on request the backbone's."""
    generated = VIDEO.files("generated", BASE, f"{split}.npz") if CONFIG.video.report.generated else []
    return [VIDEO.path(f"index/{split}.npz"), *generated]


def oracles_of_judged_clips(split):
    """Their oracles."""
    generated = [f"generated_{split}.npz"] if CONFIG.video.report.generated else []
    return VIDEO.files("oracle", CONFIG.video.report.costs, f"{split}.npz", *generated)


def compared_models(stage, key):
    """The weights of the selectors or D_phis that selection.csv compares, in their order."""
    names = getattr(CONFIG.video.report, key)
    return [VIDEO.files(stage, name, "model.safetensors")[0] for name in names]


def preview_of_base():
    """The preview, where a selector of selection.csv looks: that of the backbone whose clips are looked at."""
    looking = any(VIDEO.looks(name) for name in CONFIG.video.report.selectors)
    return VIDEO.files("preview", BASE, *WEIGHTS) if looking else []


def data_report():
    """Contact sheets of each split of one's own videos."""
    splits = SPLITS if CONFIG.video.data.source == "folder" else ()
    return [VIDEO.path(f"contact_sheets/{split}.png") for split in splits]


def samples_report():
    """The comparison of methods, with its pictures."""
    folder = f"{CONFIG.results}/video"
    names = ("cost.png", "samples.mp4", "sheet.png", "losses.png", "ladder.png")
    return [f"{folder}/metrics.csv", *(f"{folder}/samples/{name}" for name in names)]


def histories(networks):
    """Histories of networks, given the stage and the owner of each."""
    return [VIDEO.path(f"{stage}/{owner}/history.csv") for stage, owner in networks.values()]


def reported_interpolators(*names):
    """Files of the compared interpolators' checkpoints, in their order."""
    methods = [name for name in CONFIG.video.report.interpolators if name not in IN_PIXELS]
    return [path for method in methods for path in VIDEO.files("interpolator", method, *names)]


def interpolator_report():
    """The comparison of interpolators, with its pictures."""
    pictures = ("errors", "best", "median", "worst", "fields", "curves")
    folder = f"{CONFIG.results}/video"
    return [f"{folder}/interpolators.csv", *(f"{folder}/interpolation/{name}.png" for name in pictures)]
