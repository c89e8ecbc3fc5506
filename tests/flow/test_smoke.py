"""The whole pipeline on the smoke profile in a copy of the repository, and what bad input does to its results."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from forking import SNAKEMAKE, STAGES, forking
from PIL import Image

from interdiff.video.data.shard_dataset import ShardDataset
from interdiff.video.figures.pictures import LABEL, write_mp4
from interdiff.workflow.config import load_config
from interdiff.workflow.report.video import SECTIONS
from interdiff.workflow.variants import merge

ROOT = Path(__file__).parents[2]
PROFILE = ["--workflow-profile", "profiles/smoke"]
OVERRIDES = "profiles/smoke/overrides.yaml"
RESULTS = Path("results-smoke/maze")
HEADER = (
    "variant,layout,seed,n,collision_interp,collision_refined,collision_oracle_interp,collision_oracle_refined,"
    "mse_interp,mse_refined,mse_oracle_interp,mse_oracle_refined,fixed,broken,cost_ratio,nfe,plan_ms,"
    "crossed_interp,crossed_refined"
)
INTERPOLATORS = "method,split,gap,n,latent_l1,latent_mse,psnr,ssim,uncertainty_corr,params_m,ms_per_frame"
# Of these runs, not of what they make.
RECORDS = {"logs", "benchmarks", ".state"}


def run(folder, *command):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    bin = folder / "bin"
    environment["PATH"] = f"{bin}{os.pathsep}{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [bin / "python", "-m", *map(str, command)]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def snakemake(folder, *options):
    return run(folder, "snakemake", "--nocolor", *PROFILE, *options)


@pytest.fixture(scope="module")
def smoke(tmp_path_factory):
    folder = tmp_path_factory.mktemp("repo")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    with forking(folder / "bin", (*SNAKEMAKE, *STAGES)):
        code, text = snakemake(folder, "--quiet", "rules")
        assert code == 0, text
        yield folder


@pytest.fixture(scope="module")
def config():
    values = [yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", OVERRIDES)]
    return load_config(merge(*values))


def table(folder, name):
    with (folder / RESULTS / name).open(newline="") as stream:
        reader = csv.DictReader(stream)
        return reader.fieldnames, list(reader)


def test_metrics_have_their_columns_and_rows(smoke, config):
    columns, rows = table(smoke, "metrics.csv")
    assert ",".join(columns) == HEADER
    variants = config.maze.resolved().settings
    expected = [
        (variant, layout, str(seed))
        for variant in config.maze.report.variants
        for seed in variants[variant]["sampling"]["seeds"]
        for layout in variants[variant]["data"]["layouts"]
    ]
    assert [(row["variant"], row["layout"], row["seed"]) for row in rows] == expected
    assert len(expected) >= 12
    for row in rows:
        assert row["n"] == "4"
        searched = row["variant"] == "shortest_path_planned"  # by no network, and through no keyframes
        assert float(row["nfe"]) == 0 if searched else 0 < float(row["nfe"]) < 100
        assert float(row["plan_ms"]) > 0
        assert searched or float(row["mse_oracle_interp"]) < float(row["mse_interp"])
        assert all(0 <= float(row[name]) <= 1 for name in columns if name.startswith(("coll", "cross")))
        assert 0 <= float(row["broken"]) <= 1


def test_fixed_is_empty_under_20_plans(smoke):
    assert {row["fixed"] for row in table(smoke, "metrics.csv")[1]} == {""}


def test_rows_of_one_variant_without_refiner_do_not_change(smoke):
    rows = [row for row in table(smoke, "metrics.csv")[1] if row["variant"] == "identity"]
    assert rows
    # Two levels may round apart.
    assert all(float(row["mse_refined"]) == pytest.approx(float(row["mse_interp"]), rel=1e-5) for row in rows)


def test_pictures_and_tables_are_there(smoke, config):
    for variant in config.maze.report.gallery.variants:
        folder = smoke / RESULTS / "samples" / config.maze.resolved().owner("samples", variant)
        for name in (*config.maze.base.data.layouts, "curves"):
            assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert table(smoke, "selection.csv")[1]
    assert {row["variant"] for row in table(smoke, "ablations.csv")[1]} == {"k4", "identity"}
    unseen = [(row["planner"], row["family"]) for row in table(smoke, "unseen.csv")[1]]
    others = ("shortest_path_chase", "controller", "shortest_path_planned")
    driven = config.maze.report.unseen.driven()
    assert unseen == [(name, family) for family in sorted(driven) for name in (*others, *driven[family])]
    assert {family: names[0] for family, names in driven.items()} == dict.fromkeys(driven, "two_phase") | {
        "sides_24": "large_mazes"
    }
    for name in ("levels", "indices", "failures"):
        assert table(smoke, f"diagnostics/base/{name}.csv")[1]
        assert (smoke / RESULTS / f"diagnostics/base/{name}.png").read_bytes().startswith(b"\x89PNG")
    page = (smoke / RESULTS / "report.html").read_text()
    for heading in (
        "Ways to choose keyframes",
        "Mazes never trained on",
        "One change at a time",
        "What goes on in the plans",
    ):
        assert heading in page
    # What a stage needs to go on is gone once it has ended.
    assert not list((smoke / "results-smoke/.state").glob("*/*.safetensors"))


@pytest.mark.parametrize("stage", ["segment_cost", "selector", "keyframes", "refiner"])
def test_checkpoints_are_complete(smoke, stage):
    folder = smoke / RESULTS / stage / "base"
    assert {"model.safetensors", "config.json", "run.json", "history.csv"} <= {p.name for p in folder.iterdir()}
    assert json.loads((folder / "config.json").read_text())["kind"] == stage
    run = json.loads((folder / "run.json").read_text())
    assert run["stage"] == f"maze.{stage}"


@pytest.mark.full
def test_a_family_of_mazes_is_trained_on_and_whole_mazes_are_held_out(smoke):
    code, text = snakemake(smoke, "--quiet", "rules", "--", RESULTS / "refiner/unseen/model.safetensors")
    assert code == 0, text
    splits = [np.load(smoke / RESULTS / f"prepared/unseen/{name}.npz") for name in ("train", "val", "test")]
    mazes = [set(split["layout"].tolist()) for split in splits]
    assert [len(numbers) for numbers in mazes] == [4, 2, 2]
    assert len(set.union(*mazes)) == 8


@pytest.mark.full
def test_every_planner_drives_on_every_map(smoke, config):
    code, text = snakemake(smoke, "--quiet", "rules", "--", RESULTS / "rollouts.csv", RESULTS / "rollouts/plan.gif")
    assert code == 0, text
    _, rows = table(smoke, "rollouts.csv")
    rollouts = config.maze.report.rollouts
    cells = [(task, name) for task, maps in rollouts.tasks.items() for name in maps]
    planners = {row["planner"] for row in rows}
    learned = {"full_sequence", "full_sequence_few_steps", "hierarchical"}
    assert {*rollouts.planners, *learned, "shortest_path_chase", "shortest_path_planned"} < planners
    assert sorted((row["planner"], row["task"], row["layout"]) for row in rows) == sorted(
        (planner, *cell) for planner in planners for cell in cells
    )
    for name in ("driven.png", "compute.png", "plan.gif"):
        assert (smoke / RESULTS / "rollouts" / name).stat().st_size > 5000


def test_interpolators_are_compared_on_the_same_frames(smoke, config):
    code, text = snakemake(smoke, "--quiet", "rules", "--", RESULTS.parent / "video/report.html")
    assert code == 0, text
    columns, rows = table(smoke, "../video/interpolators.csv")
    assert ",".join(columns).startswith(INTERPOLATORS)
    every = {row["method"]: row for row in rows if row["gap"] == "all"}
    assert list(every) == config.video.report.interpolators
    # 8 latent frames, of which 2, 3 and 4 are known, in 3 clips.
    assert {row["n"] for row in every.values()} == {str(3 * (6 + 5 + 4))}
    assert float(every["lerp"]["latent_l1_vs_reference"]) == 0 != float(every["optical_flow"]["latent_l1_vs_reference"])
    assert float(every["flow"]["params_m"]) > 0 == float(every["lerp"]["params_m"])


def test_both_phases_are_compared_with_the_backbone(smoke, config):
    columns, rows = table(smoke, "../video/metrics.csv")
    assert columns[:4] == ["method", "steps", "k", "n"]
    assert {"flops", "seconds", "full_step_units"} < set(columns)
    assert [row["method"] for row in rows] == config.video.report.methods
    by = {row["method"]: row for row in rows}
    # Guidance takes two passes a step; two phases: 2 steps on 3 of 8 frames, a look at 3, and a pass over all.
    assert float(by["teacher_2"]["full_step_units"]) == pytest.approx(4)
    assert float(by["teacher_2"]["distance"]) == 0 < float(by["base"]["distance"])
    units = {name: float(by[name]["full_step_units"]) for name in ("unrefined", "base")}
    # Levels by frame weigh in a network this small.
    assert units["unrefined"] + 1 == pytest.approx(units["base"], rel=0.1)
    columns, rows = table(smoke, "../video/selection.csv")
    assert columns[:9:2] == ["selector", "k", "overlap", "cost_ratio", "overlap_se"]
    assert {row["clips"] for row in rows} == {"shards", "generated"}
    assert {float(row["overlap"]) for row in rows if row["selector"] == "oracle"} == {1.0}
    assert min(float(row["cost_ratio"]) for row in rows) == 1
    train, test = (
        ShardDataset(smoke / RESULTS.parent / f"video/generated/base/{split}.npz", ["noise"])
        for split in ("train", "test")
    )
    assert train.keys[0] == test.keys[0]
    assert (train[0]["noise"] != test[0]["noise"]).any()
    page = (smoke / RESULTS.parent / "video/report.html").read_text()
    assert page.count("data:image/png") == 11
    assert page.count("data:video/mp4") == 1
    assert page.count("<figcaption><b>Figure") == 13


def test_settings_are_chosen_on_validation_prompts(smoke):
    code, text = snakemake(smoke, "--quiet", "rules", "--", RESULTS.parent / "video/tuning.csv")
    assert code == 0, text
    _, rows = table(smoke, "../video/tuning.csv")
    assert [(row["method"], row["changed"]) for row in rows] == [
        ("tune_teacher", ""),
        ("teacher_guidance_2", "guidance 2.0"),
    ]
    assert sorted(row["chosen"] for row in rows) == ["", "yes"]
    record = json.loads((smoke / RESULTS.parent / "video/samples/tune_teacher/.manifest/samples.npz.json").read_text())
    assert any(name.endswith("index/val.npz") for name in record["inputs"])


def test_kinds_of_attention_are_compared_on_request(smoke):
    code, text = snakemake(smoke, "--quiet", "rules", "--", RESULTS.parent / "video/attention.csv")
    assert code == 0, text
    columns, rows = table(smoke, "../video/attention.csv")
    assert ",".join(columns).startswith("kind,feature_map,keep,adapted,frames,n,velocity_error,mass,frechet,adherence,")
    assert columns.index("distance_se") + 1 == columns.index("flops")
    dense, sparse = rows
    assert (dense["kind"], dense["velocity_error"], dense["mass"]) == ("dense", "0.0", "1.0")
    assert (sparse["kind"], sparse["adapted"], sparse["frames"], sparse["n"]) == ("sla", "yes", "8", "4")
    assert 0 < float(sparse["mass"]) < 1


def test_a_folder_of_videos_goes_to_a_table_by_one_command(smoke, tmp_path):
    """And to a contact sheet of what was read."""
    videos, results = tmp_path / "my videos", tmp_path / "results"
    videos.mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (12, 24, 36, 3), np.uint8).repeat(4, axis=0)
    for number in range(12):
        write_mp4(videos / f"Film {number}.mp4", np.roll(pixels, number, axis=2))
        (videos / f"Film {number}.txt").write_text(f"Number {number}.")
    folder = {"path": str(videos), "size": [16, 16], "seconds": 2}
    data = {"source": "folder", "folder": folder, "shards": {"train": 2, "val": 1, "test": 1}}
    base = {"backbone": {"clips": "shards"}}  # the smoke run's renders its own
    values = {"results": str(results), "video": {"data": data, "base": base}}
    values["video"]["report"] = {"interpolators": ["lerp", "flow"]}
    table, sheet = results / "video/interpolators.csv", results / "video/contact_sheets/train.png"
    code, text = with_config(smoke, tmp_path, values, table, sheet)
    assert code == 0, text
    with table.open(newline="") as stream:
        methods = [row["method"] for row in csv.DictReader(stream) if row["gap"] == "all"]
    assert methods == ["lerp", "flow"]
    with Image.open(sheet) as picture:
        # Ten clips of eight latents, with a line of text.
        assert picture.width == 8 * 2 * 16
        assert picture.height >= 10 * (2 * 16 + LABEL)
    assert sheet.name in SECTIONS["data"][1]


def test_a_clip_of_ones_own_prompt(smoke):
    options = ["--results", "results-smoke", "--config", "smoke.yaml"]
    values = [yaml.safe_load((ROOT / name).read_text()) for name in ("config.yaml", OVERRIDES)]
    (smoke / "smoke.yaml").write_text(yaml.safe_dump(merge(*values)))
    code, text = run(smoke, "interdiff.workflow.imagine", "own.gif", "A red circle moves up slowly.", *options)
    assert code == 0, text
    assert (smoke / "own.gif").read_bytes().startswith(b"GIF8")
    code, text = run(smoke, "interdiff.workflow.imagine", "own.gif", "A", "--method", "nobody", *options)
    assert (code, text.startswith("error: unknown variant 'nobody'")) == (2, True)
    code, text = run(smoke, "interdiff.workflow.imagine", "own.gif", "A", "--method", "real", *options)
    assert (code, text.startswith("error: real: it shows clips of the data")) == (2, True)


def test_a_second_run_does_nothing(smoke):
    before = artifacts(smoke)
    code, text = snakemake(smoke)
    assert code == 0
    assert "Nothing to be done" in text
    assert artifacts(smoke) == before


def test_verify_passes_and_names_a_damaged_file(smoke):
    code, text = run(smoke, "interdiff.workflow.verify", "results-smoke", *PROFILE)
    assert code == 0, text
    path = RESULTS / "refiner/base/model.safetensors"
    content, status = (smoke / path).read_bytes(), (smoke / path).stat()
    (smoke / path).write_bytes(content[:-100])
    code, text = run(smoke, "interdiff.workflow.verify", "results-smoke", *PROFILE)
    (smoke / path).write_bytes(content)
    os.utime(smoke / path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert code == 1
    assert text.splitlines()[0].startswith(f"{path}: truncated, ")


def artifacts(folder):
    """What is under the results, by the time it was written and its size."""
    paths = (path for path in (folder / "results-smoke/maze").rglob("*") if path.is_file())
    return {p: (p.stat().st_mtime_ns, p.stat().st_size) for p in paths if not RECORDS & set(p.parts)}


def maze(**changes):
    return {"maze": changes}


BAD_CONFIGS = {
    "unknown key": (maze(base={"refiner": {"depht": 2}}), "maze.base.refiner.depht: unknown key"),
    "wrong type": (maze(base={"sampling": {"k": "eight"}}), "maze.base.sampling.k: "),
    "K > T": (maze(base={"masks": {"levels": [2, 4, 8, 16, 129]}}), "masks.levels: K=129 exceeds T"),
    "no free cell": (maze(layouts={"umaze": {"map": "####\\####\\####"}}), "maze.layouts.umaze.map: "),
    "unreachable": (maze(layouts={"umaze": {"map": "#####\\#O#G#\\#####"}}), "maze.layouts.umaze.map: "),
    "in a variant": (maze(variants={"uniform": {"sampling": {"kk": 2}}}), "maze.variants.uniform.sampling.kk: unknown"),
}


@pytest.mark.parametrize("name", BAD_CONFIGS)
def test_a_bad_configuration_stops_before_the_first_job(smoke, tmp_path, name):
    values, message = BAD_CONFIGS[name]
    before = artifacts(smoke)
    code, text = with_config(smoke, tmp_path, values)
    assert code != 0
    assert text.count(message) == 1, text
    assert "Traceback" not in text
    assert artifacts(smoke) == before


def with_config(folder, scratch, values, *targets):
    (scratch / "bad.yaml").write_text(yaml.safe_dump(values))
    return snakemake(folder, *targets, "--configfile", OVERRIDES, scratch / "bad.yaml")


def real_file(path):
    """A variant whose only layout comes from a file."""
    layout = {"map": "umaze", "source": str(path)}
    variant = {"data": {"layouts": ["real"]}}
    return maze(layouts={"real": layout}, variants={"real": variant}, report={"variants": ["base", "real"]})


@pytest.mark.parametrize("damage", ["missing", "truncated", "foreign", "text"])
def test_a_bad_file_of_demonstrations_is_named(smoke, tmp_path, damage):
    path = tmp_path / "d4rl.hdf5"
    content = (smoke / RESULTS / "demonstrations/umaze.hdf5").read_bytes()
    if damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    elif damage == "foreign":
        import h5py

        with h5py.File(path, "w") as file:
            file["weights"] = [1.0]
    elif damage == "text":
        path.write_text("not HDF5")
    before = artifacts(smoke)
    code, text = with_config(smoke, tmp_path, real_file(path), RESULTS / "demonstrations/real.hdf5")
    assert code != 0
    assert f"maze.layouts.real.source: {path}: " in text, text
    assert "Traceback" not in text
    assert artifacts(smoke) == before


def stage(smoke, scratch, name, settings, inputs, outputs):
    """Run one stage on the smoke results, with some of its inputs replaced."""
    spec = json.dumps({"stage": f"maze.{name}", "settings": settings, "threads": 1})
    words = [f"{key}={path}" for key, path in inputs.items()]
    words += [f"{key}={path.with_name('config.json')}" for key, path in inputs.items() if path.suffix == ".safetensors"]
    results = scratch / "results"
    targets = [f"{key}={results / name / 'base' / file}" for key, file in outputs.items()]
    code, text = run(
        smoke, f"stages.maze.{name}", "--spec", spec, "--results", results, "--in", *words, "--out", *targets
    )
    return code, text, results / name / "base"


def phase1(smoke, **replaced):
    folder = smoke / RESULTS
    paths = {
        "prepared": folder / "prepared/base/train.npz",
        "masks": folder / "masks/base/train.npz",
        **{name: folder / name / "base/model.safetensors" for name in ("segment_cost", "selector", "keyframes")},
    }
    return paths | replaced


def checkpoint(smoke, scratch, name):
    """A copy of a checkpoint, to damage."""
    folder = scratch / name
    shutil.copytree(smoke / RESULTS / name / "base", folder)
    return folder / "model.safetensors"


def edit_config(model, **changes):
    path = model.with_name("config.json")
    values = json.loads(path.read_text())
    values["model"] |= changes
    path.write_text(json.dumps(values))


def other_width(smoke, scratch):
    model = checkpoint(smoke, scratch, "keyframes")
    edit_config(model, d_model=64)
    return {"keyframes": model}, "keyframes/model.safetensors: tensor "


def other_network(smoke, scratch):
    return {"keyframes": checkpoint(smoke, scratch, "refiner")}, "refiner/config.json: a checkpoint of kind 'refiner'"


def truncated_weights(smoke, scratch):
    model = checkpoint(smoke, scratch, "selector")
    model.write_bytes(model.read_bytes()[:-100])
    return {"selector": model}, "selector/model.safetensors: "


def truncated_data(smoke, scratch):
    path = scratch / "train.npz"
    path.write_bytes((smoke / RESULTS / "prepared/base/train.npz").read_bytes()[:-100])
    return {"prepared": path}, f"{path}: not a readable .npz file"


def absent_data(smoke, scratch):
    return {"masks": scratch / "none.npz"}, f"{scratch / 'none.npz'}: no such input file"


def other_length(smoke, scratch):
    """A checkpoint for sequences half as long as the data's."""
    model = checkpoint(smoke, scratch, "segment_cost")
    edit_config(model, frames=64)
    return {"segment_cost": model}, "segment_cost/config.json: a checkpoint for frames=64; expected 128"


@pytest.mark.parametrize(
    "damage",
    [
        other_width,
        other_network,
        truncated_weights,
        truncated_data,
        absent_data,
        other_length,
    ],
)
def test_a_bad_input_of_a_stage_is_named(smoke, tmp_path, damage):
    before = artifacts(smoke)
    replaced, message = damage(smoke, tmp_path)
    settings = {"policies": ["uniform"], "counts": [4]}
    code, text, folder = stage(
        smoke, tmp_path, "anchors", settings, phase1(smoke, **replaced), {"anchors": "train.npz"}
    )
    assert code == 2, text
    assert text.count("error: ") == 1
    assert message in text, text
    assert "Traceback" not in text
    assert not list(folder.rglob("*"))
    assert artifacts(smoke) == before


def test_a_loss_that_is_not_a_number_stops_the_stage(smoke, tmp_path):
    training = {"steps": 20, "batch_size": 6, "learning_rate": 1e30, "warmup_steps": 0, "save_every": 5}
    settings = {"network": {"d_model": 16, "depth": 1, "heads": 2}, "training": training}
    folder = smoke / RESULTS
    inputs = {"train": folder / "prepared/base/train.npz", "val": folder / "prepared/base/val.npz"}
    inputs["masks_val"] = folder / "masks/base/val.npz"
    names = ("model.safetensors", "config.json", "history.csv", "metrics.json")
    outputs = {name.split(".")[0]: name for name in names}
    code, text, folder = stage(smoke, tmp_path, "segment_cost", settings, inputs, outputs)
    assert code == 2, text
    assert "error: the training loss is " in text
    assert "Traceback" not in text
    assert not list(folder.rglob("*.*"))


KEYFRAMES = """

class Keyframes(nn.Module):
    def __init__(self, frames, hidden):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(4, hidden), nn.SiLU(), nn.Linear(hidden, 4))

    def forward(self, z, noise, indices, difficulty, known, condition):
        return z + self.layers(z)
"""


def test_both_phases_may_be_networks_of_ones_own(smoke, tmp_path):
    """In the directory where `snakemake` runs, as docs/networks.md has them."""
    (refiner,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/networks.md").read_text(), re.DOTALL)
    (smoke / "my_networks.py").write_text(refiner + KEYFRAMES)
    variant = {
        stage: {"network": {"class": f"my_networks.{name}", "hidden": 8}}
        for stage, name in (("keyframes", "Keyframes"), ("refiner", "Mlp"))
    }
    metrics = RESULTS / "samples/own/metrics.csv"
    code, text = with_config(smoke, tmp_path, maze(variants={"own": variant}), metrics)
    assert code == 0, text
    assert {row["variant"] for row in table(smoke, "samples/own/metrics.csv")[1]} == {"own"}
    for stage, name in (("keyframes", "Keyframes"), ("refiner", "Mlp")):
        described = json.loads((smoke / RESULTS / stage / "own/config.json").read_text())
        assert f"my_networks.{name}" in json.dumps(described)
        run = json.loads((smoke / RESULTS / stage / "own/run.json").read_text())
        assert "my_networks.py" in run["spec"]["code"]


def test_arrays_are_those_of_the_page_on_formats(smoke):
    """Names in the row of docs/formats.md whose pattern is the file's; `{k}` is any number, `{policy}` any name."""
    page = (ROOT / "docs/formats.md").read_text()
    rows = re.findall(r"^\| `((?:maze|video)/[^`]*\.npz)`.*?\| (.*) \|$", page, re.MULTILINE)
    patterns = {filled(name): [filled(array) for array in re.findall(r"`([^`]+)`", text)] for name, text in rows}
    root = smoke / "results-smoke"
    for path in sorted(root.glob("*/**/*.npz")):
        name = path.relative_to(root).as_posix()
        indexed = re.sub(r"^video/(generated|anchors|optical_flow)/(\w+/)?\w+\.npz$", "video/index/train.npz", name)
        (known,) = [arrays for pattern, arrays in patterns.items() if re.fullmatch(pattern, indexed)]
        with np.load(path) as arrays:
            assert not [array for array in arrays.files if not any(re.fullmatch(each, array) for each in known)], name


def test_runs_reach_mlflow(smoke):
    """All write to one store; on a busy machine a stage may not wait for those that make it."""
    runs = [json.loads(path.read_text()) for path in (smoke / RESULTS).glob("*/base/run.json")]
    assert len(runs) >= 4
    assert any(run["mlflow_run_id"] for run in runs)
    assert (smoke / "results-smoke/mlflow.db").exists()


def filled(text):
    """A name of the page as a pattern."""
    return re.sub(r"\\{k\\}", r"\\d+", re.sub(r"\\{(?!k\\})\w+\\}", r"\\w+", re.escape(text)))


@pytest.mark.full
def test_students_of_both_phases_are_judged_at_their_cost(smoke, config):
    code, text = snakemake(smoke, "--quiet", "rules", "--", RESULTS.parent / "video/milestone.csv")
    assert code == 0, text
    columns, rows = table(smoke, "../video/milestone.csv")
    assert columns[:8] == ["method", "frames", "steps", "k", "passes", "attention", "seeds", "n"]
    assert [row["method"] for row in rows] == config.video.report.milestone
    assert [row["method"] for row in rows if row["diversity"]] == config.video.report.diverse
    by = {row["method"]: float(row["full_step_units"]) for row in rows}
    assert by["student_2"] == pytest.approx(2)
    # Two steps on 3 of 8 frames and a pass over all: less than two on all.
    assert 1 < by["student_k6"] < by["teacher_2"]
    assert (smoke / RESULTS.parent / "video/milestone.png").read_bytes().startswith(b"\x89PNG")
