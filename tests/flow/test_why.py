"""What `make why` says about an edit, and what `make verify` does about results, on toy results."""

import json
import os
import shutil

import pytest
from conftest import SOURCE, Repository, append
from edits import PREPARED_TRAIN, configured, older_with_other_content, package, rename, setting

from interdiff.workflow.engine.dry_run import parse
from interdiff.workflow.manifest import Manifest, read_manifest

REFINER = "results/maze/refiner/base/.manifest/model.safetensors.json"


def why(repository, *options):
    code, text = repository.run("interdiff.workflow.why", *options)
    assert code == 0, text
    return text


def explained(text):
    """The reasons of each group of jobs."""
    found = {}
    for line in text.split("\n\n")[1].splitlines():
        if line.startswith("    "):
            found[list(found)[-1]].append(line.strip())
        else:
            found[line] = []
    return found


def cost(text, rule):
    """The cells of a rule in the table of costs: jobs, CPU time, GPU time, clock."""
    row = next(line for line in text.split("\n\n")[2].splitlines() if line.startswith(f"{rule} "))
    return [cell.strip() for cell in row.split("  ") if cell.strip()][1:]


def benchmark(repository, name, seconds, cpu):
    text = f"s\th:m:s\tcpu_time\n{seconds}\t0:00:00\t{cpu}\n"
    repository.edit(f"results/maze/benchmarks/{name}.tsv", lambda _: text)


def test_nothing_to_do(repository):
    assert why(repository) == "Nothing would run: every file is what configuration and code say.\n"


def test_a_setting_is_named_with_its_values_and_what_follows_with_its_cost(repository):
    setting("base", "refiner", "collision_weight", to=5.0)(repository)
    benchmark(repository, "refiner/base", 100.0, 190.5)
    seconds = {"base": 10, "uniform": 20, "k4": 30, "one_pass": "NA", "identity": 2, "projection": 3}
    seconds |= dict.fromkeys(("all_levels", "waypoints", "shortest_path_planned"), 1) | {"exact_cost": 4}
    for name, cpu in seconds.items():
        benchmark(repository, f"samples/{name}", 7, cpu)
    benchmark(repository, "metrics", "NA", "NA")
    text = why(repository)
    found = explained(text)
    assert "follows metrics" in " ".join(found.pop("variants"))
    assert found.pop("report") == ["follows variants; ablations quick_ablations"]
    assert found == {
        "refiner base": ["refiner.collision_weight: 50.0 -> 5.0"],
        "curves base, uniform": ["follows refiner base"],
        "samples all_levels, base, exact_cost, identity, k4, one_pass, projection, shortest_path_planned, uniform,"
        " waypoints": ["follows refiner base"],
        "gallery base large, base medium, base umaze": ["follows samples base"],
        "gallery uniform large, uniform medium, uniform umaze": ["follows samples uniform"],
        "metrics": [
            "follows samples base, uniform, k4, one_pass, identity, projection, waypoints, shortest_path_planned"
        ],
        "ablations quick_ablations": ["follows samples base, identity, one_pass, all_levels, exact_cost, uniform"],
    }
    assert cost(text, "refiner") == ["1", "3 min 10 s", "-", "1 min 40 s"]
    assert cost(text, "samples") == ["10", "over 1 min 12 s", "-", "over 1 min 3 s"]
    assert cost(text, "metrics") == ["1", "not known", "-", "not known"]


def test_gpu_time_is_known_from_runs_on_gpus_alone(repository):
    setting("base", "refiner", "collision_weight", to=5.0)(repository)
    benchmark(repository, "refiner/base", 7200.0, 300.0)
    assert cost(why(repository, "--resources", "gpu=1"), "refiner") == ["1", "not known", "not known", "not known"]
    values = read_manifest(repository.keep(REFINER)).__dict__ | {"gpus": 1}
    Manifest(**values).write(repository.folder / "results")
    assert cost(why(repository, "--resources", "gpu=1"), "refiner") == ["1", "5 min 0 s", "2 h 0 min", "2 h 0 min"]


def test_modules_packages_and_removed_files_are_named(repository):
    path = "interdiff/maze/evaluation/selection_limit.py"
    before = json.loads((repository.folder / "results/maze/.manifest/selection.csv.json").read_text())["spec"]["code"]
    repository.edit("interdiff/maze/deep.py", append("other = 1"))
    repository.edit(path, append("from interdiff import far"))
    package("h5py", "9.0")(repository)
    repository.keep("results/maze/selection.csv").unlink()
    found = explained(why(repository, "results/maze/selection.csv", "results/maze/samples/base/large.png"))
    (selection,) = (reasons for group, reasons in found.items() if group == "selection")
    assert selection[:2] == ["missing: maze/selection.csv", "interdiff/far.py: now imported"]
    assert selection[2].startswith(f"{path}: code changed, {before[path]} -> ")
    (gallery,) = (reasons for group, reasons in found.items() if group.startswith("gallery"))
    assert gallery[0].startswith("interdiff/maze/deep.py: code changed, ")
    assert found["prepare base"][0].startswith("package h5py: ")
    assert found["prepare base"][0].endswith(" -> 9.0")


def test_inputs_and_threads_are_named(repository):
    older_with_other_content(SOURCE)(repository)
    repository.edit("config.yaml", lambda text: text.replace("threads: 2", "threads: 1"))
    path = repository.keep("results/maze/samples/k4/metrics.csv")
    path.write_text("by hand")
    found = explained(why(repository))
    assert found["demonstrations umaze"] == [f"{SOURCE}: other content"]
    assert found["masks base test, base train, base val"] == ["threads: 2 -> 1", "follows prepare base"]
    assert f"threads: {2} -> {1}" not in found["metrics"]


def test_a_rename_is_said_to_be_one_and_a_new_variant_is_not(repository):
    configured(rename)(repository)
    text = why(repository)
    assert "Variant double: a rename of one_pass is all it is;" in text
    assert explained(text)["samples double"] == ["not made yet"]
    setting("variants", "double", "sampling", "k", to=4)(repository)
    assert "rename" not in why(repository)
    repository.restore()
    # A second variant of the same settings renames nothing.
    setting("variants", "other", to={"sampling": {"refiner_steps": 1}})(repository)
    text = why(repository, "results/maze/samples/other/samples.npz")
    assert "samples other" in explained(text)
    assert "rename" not in text


def test_results_without_records_are_explained_as_far_as_they_can_be(repository):
    repository.keep(REFINER).unlink()
    setting("base", "refiner", "collision_weight", to=5.0)(repository)
    reasons = explained(why(repository))["refiner base"]
    assert reasons == ["its settings or code have changed; there is no record of what they were"]


def test_errors_of_the_configuration_are_passed_on(repository):
    setting("base", "refiner", "depht", to=2)(repository)
    code, text = repository.run("interdiff.workflow.why")
    assert code == 2
    assert "maze.base.refiner.depht: unknown key" in text


def test_toy_results_verify_and_an_older_edit_does_not(repository):
    code, text = repository.run("interdiff.workflow.verify")
    assert (code, text.splitlines()[-1][-11:]) == (0, "problems: 0"), text
    older_with_other_content(PREPARED_TRAIN)(repository)
    code, text = repository.run("interdiff.workflow.verify")
    assert code == 1
    assert text.splitlines()[0].startswith(f"{PREPARED_TRAIN}: ")


def test_concurrent_jobs_of_a_partial_rebuild_leave_sound_records(built, tmp_path):
    shutil.copytree(built.folder, tmp_path / "repo", symlinks=True)
    copy = Repository(tmp_path / "repo")
    setting("base", "sampling", "noise_scale", to=0.5)(copy)
    configured(rename)(copy)
    copy.snakemake("--quiet", "all", "--jobs", "3")
    assert copy.jobs() == set()
    code, text = copy.run("interdiff.workflow.verify")
    old = "results/maze/samples/one_pass/"
    problems = {line.split(": ")[0] for line in text.splitlines()[:-1]}
    assert (code, problems) == (0, set()), text
    shutil.rmtree(tmp_path / "repo" / old)
    assert copy.run("interdiff.workflow.verify")[0] == 0
    os.rename(tmp_path / "repo/results/maze/samples/k4", tmp_path / "repo/results/maze/samples/moved")
    code, text = copy.run("interdiff.workflow.verify")
    assert code == 1
    assert "foreign: moved or copied here, it is the record of maze/samples/k4/samples.npz" in text


def test_a_variant_is_shown_beside_its_parent(repository):
    for name, errors in {"base": (1, 3), "k4": (2, 6)}.items():
        table = "variant,layout,seed,mse_refined\n{0},umaze,0,{1}\n{0},large,0,{2}\n".format(name, *errors)
        repository.keep(f"results/maze/samples/{name}/metrics.csv").write_text(table)
    setting("base", "refiner", "collision_weight", to=5.0)(repository)
    code, text = repository.run("interdiff.workflow.show", "k4", "--domain", "maze")
    assert code == 0, text
    assert text.splitlines()[0] == "maze, variant k4, from base"
    assert "sampling.k: 8 -> 4" in text
    rows = {row.split()[0]: row.split(maxsplit=2) for row in text.splitlines() if row.strip()}
    assert rows["selector"][1:] == ["maze/selector/base", "there"]
    assert rows["refiner"][1] == "maze/refiner/base"
    assert rows["refiner"][2].startswith("would be made: ")
    assert rows["samples"][1] == "maze/samples/k4"
    assert rows["mse_refined"][1:] == ["4", "2"]


def test_an_unknown_variant_is_one_error(repository):
    code, text = repository.run("interdiff.workflow.show", "nobody")
    assert code == 2
    assert text.startswith("error: variant 'nobody': unknown; expected base, ")


MOVES = {
    "times kept, without Snakemake's memory": lambda copy: shutil.rmtree(copy.folder / ".snakemake"),
    "other times, without Snakemake's memory": lambda copy: (
        shutil.rmtree(copy.folder / ".snakemake"),
        [os.utime(path) for path in sorted((copy.folder / "results").rglob("*"), reverse=True)],
    ),
    "into another root": lambda copy: (
        os.rename(copy.folder / "results", copy.folder / "elsewhere"),
        copy.edit("config.yaml", lambda text: f"{text}\nresults: elsewhere\n"),
    ),
    "over others": lambda copy: (
        setting("base", "refiner", "training", "steps", to=7)(copy),
        os.rename(copy.folder / "results", copy.folder / "kept"),
        copy.snakemake("--quiet", "all"),
        shutil.rmtree(copy.folder / "results"),
        os.rename(copy.folder / "kept", copy.folder / "results"),
        copy.restore(),
    ),
}
LONG_MOVES = ("times kept, without Snakemake's memory", "over others")


@pytest.mark.parametrize(
    "move", [pytest.param(name, marks=[pytest.mark.full] if name in LONG_MOVES else []) for name in MOVES]
)
def test_moved_results_are_taken_where_they_match_and_remade_where_they_do_not(built, tmp_path, move):
    shutil.copytree(built.folder, tmp_path / "repo", symlinks=True)
    copy = Repository(tmp_path / "repo")
    MOVES[move](copy)
    assert copy.jobs() == set()
    setting("base", "refiner", "collision_weight", to=5.0)(copy)
    assert copy.jobs() & {"keyframes base", "refiner base"} == {"refiner base"}
    if "root" not in move:
        return
    assert explained(why(copy))["refiner base"] == ["refiner.collision_weight: 50.0 -> 5.0"]
    code, text = copy.run("interdiff.workflow.verify", "elsewhere")
    assert code == 1
    assert (
        text.splitlines()[0]
        == "elsewhere/maze/refiner/base/model.safetensors: outdated: refiner.collision_weight: 50.0 -> 5.0"
    )


def test_needs_of_the_real_size_are_told_without_data_or_models(repository):
    text = why(repository, "video", "--workflow-profile", "profiles/wan")
    head, *rows, last = text.strip().split("\n\n")[3].splitlines()
    assert head.split() == ["needs,", "estimated", "jobs", "GPUs", "memory", "of", "each", "host", "memory", "hours"]
    cells = {row.split("  ")[0]: row[44:].split() for row in rows}
    assert cells["negative"][:2] == ["1", "-"]
    assert 14 < float(cells["negative"][3]) < 18  # UMT5 in bf16, and libraries
    jobs, gpus, memory, _, host, _, hours = cells["video_keyframes base"]
    assert (jobs, gpus) == ("1", "1")
    assert 5 < float(memory) <= 16
    assert float(host) > 8
    assert float(hours) >= 1
    assert last.startswith(
        "Files from outside that are not there yet: models/Wan2.1-T2V-1.3B-Diffusers/transformer/config"
    )


def test_needs_are_those_of_the_devices_that_there_are(repository):
    def asked(*options):
        target = "results/video/keyframes/base/model.safetensors"
        text = repository.snakemake("--dry-run", "--printshellcmds", *options, "--", target)
        (job,) = [job for job in parse(text) if job.rule == "video_keyframes"]
        return job.resources

    cpu, gpu = asked(), asked("--resources", "gpu=1")
    assert "gpu_mb" not in cpu
    assert gpu["gpu_mb"] >= 1000
    assert cpu["minutes"] > gpu["minutes"]
    assert cpu["mem_mb"] > gpu["mem_mb"]
    two = asked("--resources", "gpu=2", "--set-resources", "video_keyframes:gpu=2")
    assert two["gpu"] == 2
    assert two["mem_mb"] > 1.9 * gpu["mem_mb"]


def test_gpus_that_a_cluster_names_as_gres_are_the_stage_s(repository):
    target = "results/maze/segment_cost/base/model.safetensors"
    named = ["--set-resources", "segment_cost:gpu=0", "segment_cost:gres='gpu:a100:2'"]
    for options, gpus, memory in ((["--resources", "gpu=1"], 1, 4000), (named, 2, 8000)):
        text = repository.snakemake("--dry-run", "--printshellcmds", "--force", *options, "--", target)
        (job,) = [job for job in parse(text) if job.rule == "segment_cost"]
        assert f"--gpus {gpus} " in text
        assert (job.resources["mem_mb"], job.resources["nodes"]) == (memory, 1)


def test_a_run_asks_for_the_files_from_outside(repository):
    code, text = repository.run("snakemake", "--workflow-profile", "profiles/wan", "--", "video")
    assert code
    assert "Missing input files for rule" in text
