import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from interdiff.files import write_csv, write_json
from interdiff.provenance import recorded_jobs, rule_graph, topological
from interdiff.report import bars, graph_svg, number

ROOT = Path(__file__).parents[2]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def remember(folder, output, rule, inputs):
    """A record as Snakemake writes it, of a name long enough to be cut."""
    name = base64.urlsafe_b64encode(output.encode()).decode()
    path = folder / ".snakemake/metadata" / f"@{name[:20]}" / name[20:]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"rule": rule, "input": inputs, "shellcmd": f"python -m {rule}"}))


@pytest.fixture
def folder(tmp_path):
    remember(tmp_path, "results/maze/refiner/base/model.safetensors", "refiner", ["results/raw.npz"])
    remember(
        tmp_path, "results/maze/samples/base/samples.npz", "samples", ["results/maze/refiner/base/model.safetensors"]
    )
    remember(tmp_path, "results/maze/samples/base/large.png", "gallery", ["results/maze/samples/base/samples.npz"])
    (tmp_path / ".snakemake/metadata/bad").write_text("{")
    return tmp_path


def test_recorded_jobs_give_the_graph_of_rules(folder):
    jobs = recorded_jobs(folder / ".snakemake/metadata")
    assert len(jobs) == 3
    assert jobs["results/maze/samples/base/large.png"].command == "python -m gallery"
    edges = rule_graph(jobs, ["results/maze/samples/base/large.png", "elsewhere"], "report")
    assert edges == [("gallery", "report"), ("refiner", "samples"), ("samples", "gallery")]
    assert topological(edges) == ["refiner", "samples", "gallery", "report"]
    assert recorded_jobs(folder / "none") == {}


def test_cycles_are_refused():
    with pytest.raises(ValueError, match="a cycle among a, b"):
        topological([("a", "b"), ("b", "a")])


def test_the_graph_has_an_arc_per_edge():
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    drawn = graph_svg(edges, {"a": "3 jobs"})
    assert drawn.count('class="arc"') == 3
    assert "3 jobs" in drawn


def test_numbers_are_short_and_missing_ones_empty():
    assert [number(value) for value in (0.123456, 12345.6, None, float("nan"))] == ["0.123", "12346", "", ""]


def test_equal_numbers_give_equal_bars():
    groups = {"large": {"base": (0.5, 0.25)}}
    assert bars(groups, ("before", "after"), "share") == bars(groups, ("before", "after"), "share")


def test_the_report_is_one_file_with_captions_and_origins(folder):
    results = folder / "results"
    (results / "maze/samples/base").mkdir(parents=True)
    (results / "maze/samples/base/large.png").write_bytes(PIXEL)
    (results / "maze/benchmarks/refiner").mkdir(parents=True)
    (results / "maze/benchmarks/refiner/base.tsv").write_text("s\tmax_rss\tcpu_time\n12.5\t300\t20\n")
    metrics = [{"variant": "base", "layout": "large", "crossed_interp": "0.5", "crossed_refined": "0.25", "nfe": "1.9"}]
    variant = {"changes": {}, "metrics": metrics, "pictures": ["maze/samples/base/large.png"]}
    artifact = {"identity": "f" * 64, "spec": "abc"}
    record = {
        "git_commit": "1234567",
        "variants": {"base": variant | {"artifacts": {"samples": "maze/samples/base"}}},
        "artifacts": {"maze/samples/base": artifact},
    }
    write_json(results / "maze/variants.json", record)
    write_csv(results / "maze/selection.csv", [{"layout": "large", "k": 4, "selector": 1.25, "limit": "nan"}])
    paths = ["record=results/maze/variants.json", "selection=results/maze/selection.csv"]
    paths.append("pictures=results/maze/samples/base/large.png")
    command = [sys.executable, "-m", "stages.maze.report", "--spec", json.dumps({"settings": {}}), "--in", *paths]
    command += ["--out", "report=results/maze/report.html"]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (results / "maze/report.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "url(http" not in html
    assert html.count("<figcaption><b>Figure") == 3
    assert "identity ffffffffffffffff" in html
    assert "python -m gallery" in html
    assert "12.5" in html
    assert "1.25" in html
