import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from interdiff.errors import InputError
from interdiff.files import write_csv, write_json
from interdiff.tables import read_tables
from interdiff.workflow.tracking import connection, runs, store, ui

ROOT = Path(__file__).parents[2]
ROWS = [
    {"variant": "few", "layout": "large", "seed": "0", "n": "4", "mse": "1.0", "fixed": ""},
    {"variant": "few", "layout": "large", "seed": "1", "n": "4", "mse": "2.0", "fixed": "0.5"},
    {"variant": "few", "layout": "umaze", "seed": "0", "n": "4", "mse": "6.0", "fixed": "nan"},
]


@pytest.fixture(scope="module")
def template(tmp_path_factory):
    """An empty store: making one takes seconds."""
    folder = tmp_path_factory.mktemp("store")
    with pytest.MonkeyPatch.context() as patch:
        track(patch, folder)
        connection.open_store(folder)
    return folder / "mlflow.db"


def track(patch, folder):
    patch.setenv(connection.URI, f"sqlite:///{folder}/mlflow.db")
    patch.setenv(connection.EXPERIMENT, "toy")


@pytest.fixture
def results(tmp_path, monkeypatch, template):
    """A trained refiner of `base` and the plans of two variants that share it."""
    track(monkeypatch, tmp_path)
    (tmp_path / "mlflow.db").write_bytes(template.read_bytes())
    folder = tmp_path / "maze/refiner/base"
    settings = {"training": {"steps": 20}}
    run = {"identity": "r" * 64, "spec": {"settings": settings}, "seconds": 10.0, "git_commit": "abc"}
    write_json(folder / "run.json", run)
    write_csv(folder / "history.csv", [{"step": 10, "loss": 2.0}, {"step": 20, "loss": 1.0}])
    write_json(folder / "metrics.json", {"large": {"8": {"overlap": 0.25, "indices": [1, 2]}}})
    benchmark = tmp_path / "maze/benchmarks/refiner/base.tsv"
    benchmark.parent.mkdir(parents=True)
    benchmark.write_text("s\tmax_rss\tcpu_time\n12.5\t300.0\t20.0\n")
    for name in ("base", "few"):
        (tmp_path / "maze/samples" / name).mkdir(parents=True)
        (tmp_path / "maze/samples" / name / "large.png").write_bytes(b"\x89PNG")
    record(tmp_path)
    return tmp_path


def record(results, mse="1.0"):
    artifacts = {
        "maze/refiner/base": {"stage": "refiner", "settings": {"training": {"steps": 20}}, "identity": "r" * 64}
    }
    variants = {}
    for name, k in (("base", 8), ("few", 4)):
        folder = f"maze/samples/{name}"
        artifacts[folder] = {"stage": "samples", "settings": {"k": k}, "identity": name * 8}
        variants[name] = {
            "parent": None,
            "changes": {"sampling": {"k": k}} if k == 4 else {},
            "config": {"sampling": {"k": k}, "refiner": {"training": {"steps": 20}}},
            "artifacts": {"refiner": "maze/refiner/base", "samples": folder},
            "metrics": [{"layout": "large", "mse": mse}],
            "pictures": [f"{folder}/large.png"],
        }
    for artifact in artifacts.values():
        artifact |= {"spec": "s", "files": {"file": "sha"}}
    write_json(results / "maze/variants.json", {"git_commit": "abc", "variants": variants, "artifacts": artifacts})


def found(results):
    client, experiment = connection.open_store(results)
    return {run.info.run_name: run for run in client.search_runs([experiment])}, client, experiment


def test_figures_are_averaged_over_seeds_and_layouts():
    assert store.averages(ROWS) == {"mse.large": 1.5, "mse.umaze": 6.0, "mse": 3.0, "fixed.large": 0.5, "fixed": 0.5}


def test_benchmarks_without_numbers_count_as_nothing(tmp_path):
    texts = "s\tcpu_time\tmax_rss\n1.5\t-\tNA\n", "s\tcpu_time\tmax_rss\n2\t1\t5\n"
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.tsv").write_text(text)
    assert store.usage(read_tables(sorted(tmp_path.iterdir()))) == {
        "job_seconds": 3.5,
        "job_cpu_seconds": 1.0,
        "job_peak_memory_mb": 5.0,
    }


def test_files_become_a_parent_per_variant_over_shared_stages(results):
    runs.sync(results)
    named, client, _ = found(results)
    assert sorted(named) == ["maze/base", "maze/few", "maze/refiner/base", "maze/samples/base", "maze/samples/few"]
    parent, refiner = named["maze/few"], named["maze/refiner/base"]
    assert parent.data.params == {"sampling.k": "4", "refiner.training.steps": "20"}
    assert parent.data.metrics == {"mse": 1.0, "mse.large": 1.0}
    assert parent.data.tags["identity.refiner"] == "r" * 64
    assert parent.data.tags["git_commit"] == "abc"
    assert "sampling.k" in parent.data.tags[store.NOTE]
    assert [item.path for item in client.list_artifacts(parent.info.run_id, "pictures")] == ["pictures/large.png"]
    assert refiner.data.tags[store.PARENT] == named["maze/base"].info.run_id
    assert {"used_by.base", "used_by.few"} <= set(refiner.data.tags)
    assert named["maze/samples/few"].data.tags[store.PARENT] == parent.info.run_id
    assert [(point.step, point.value) for point in client.get_metric_history(refiner.info.run_id, "loss")] == [
        (10, 2.0),
        (20, 1.0),
    ]
    assert refiner.data.metrics["large.8.overlap"] == 0.25
    assert refiner.data.metrics["job_seconds"] == 12.5
    assert refiner.info.end_time - refiner.info.start_time == 10_000


def test_a_second_sync_adds_nothing_and_new_figures_supersede_the_parent(results):
    runs.sync(results)
    before, client, experiment = found(results)
    runs.sync(results)
    assert len(client.search_runs([experiment])) == len(before)
    record(results, mse="3.0")
    runs.sync(results)
    parents = client.search_runs([experiment], "tags.kind = 'variant' and tags.variant = 'few'")
    assert sorted((run.data.tags["current"], run.data.metrics["mse"]) for run in parents) == [("no", 1.0), ("yes", 3.0)]
    assert len(client.search_runs([experiment])) == len(before) + 2
    address = ui.comparison(store.Store(client, experiment, results), "http://127.0.0.1:5000")
    current = [run.info.run_id for run in client.search_runs([experiment], "tags.current = 'yes'")]
    assert "compare-runs" in address
    assert all(run_id in address for run_id in current)
    assert before["maze/few"].info.run_id not in address


def test_the_comparison_opens_on_refined_figures(results):
    """Where plans have such: in the order of the alphabet, those before phase 2 would come first."""
    path = results / "maze/variants.json"
    made = json.loads(path.read_text())
    for variant in made["variants"].values():
        figures = {"collision_interp": "0.2", "crossed_refined": "0.1", "mse_interp": "0.5", "mse_refined": "0.25"}
        variant["metrics"] = [row | figures for row in variant["metrics"]]
    write_json(path, made)
    runs.sync(results)
    client, experiment = connection.open_store(results)
    page, _, query = ui.comparison(store.Store(client, experiment, results), "http://127.0.0.1:5000").partition("?")
    values = {key: json.loads(value) for key, (value,) in parse_qs(query).items()}
    assert page == "http://127.0.0.1:5000/#/metric"
    assert values["metric"] == "mse_refined"
    assert values["plot_metric_keys"] == ["mse_refined", "crossed_refined"]
    assert values["experiments"] == [experiment]
    assert len(values["runs"]) == 2


def test_a_run_that_was_tracked_live_is_taken_over(results):
    client, experiment = connection.open_store(results)
    live = client.create_run(experiment, tags={"identity": "r" * 64}, run_name="maze/refiner/base")
    runs.sync(results)
    named, _, _ = found(results)
    assert named["maze/refiner/base"].info.run_id == live.info.run_id
    assert "loss" not in named["maze/refiner/base"].data.metrics
    assert named["maze/refiner/base"].data.metrics["large.8.overlap"] == 0.25


def test_rebuild_makes_the_same_runs_in_a_new_store(results):
    runs.sync(results)
    named, client, _ = found(results)
    client.delete_run(named["maze/few"].info.run_id)
    command = [sys.executable, "-m", "interdiff.workflow.tracking.runs", "rebuild", "--results", str(results)]
    assert subprocess.run(command, cwd=ROOT).returncode == 0
    assert (results / "mlflow.db.old").exists()
    columns = (
        "select name, key, value from runs join {} using (run_uuid) where lifecycle_stage = 'active' order by 1, 2, 3"
    )
    for table in ("metrics", "params"):
        rows = query(results / "mlflow.db", columns.format(table))
        assert rows == query(results / "mlflow.db.old", columns.format(table).replace("'active'", "lifecycle_stage"))
    assert len(query(results / "mlflow.db", "select * from runs")) == len(named)


def query(path, text):
    with sqlite3.connect(path) as database:
        return database.execute(text).fetchall()


def test_rebuild_refuses_while_a_stage_writes(results):
    spool = results / connection.FOLDER / f"identity.{os.getpid()}.jsonl"
    spool.parent.mkdir(exist_ok=True)
    spool.touch()
    with pytest.raises(InputError, match="its stage is running"):
        runs.rebuild(results)
    assert (results / "mlflow.db").exists()


def test_publishing_into_a_broken_store_is_one_warning(results, monkeypatch, caplog):
    monkeypatch.setenv(connection.URI, "nonsense://nowhere")
    runs.publish(results)
    assert caplog.text.count("tracking-rebuild") == 1
    monkeypatch.delenv(connection.URI)
    runs.publish(results)
    assert caplog.text.count("tracking-rebuild") == 1


@pytest.mark.parametrize(
    ("action", "folder", "words"), [("ui", ".", "no runs yet"), ("rebuild", "none", "none: no such folder of results")]
)
def test_results_without_runs_are_an_error_of_one_line(tmp_path, action, folder, words):
    environment = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW")}
    command = [sys.executable, "-m", "interdiff.workflow.tracking.runs", action, "--results", str(tmp_path / folder)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "none").exists()
