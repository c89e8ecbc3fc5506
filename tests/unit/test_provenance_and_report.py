import base64
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from interdiff.files import write_csv, write_json
from interdiff.workflow.manifest import Manifest, describe
from interdiff.workflow.report.charts import bars, graph_svg
from interdiff.workflow.report.provenance import makers, rule_graph, topological

ROOT = Path(__file__).parents[2]
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJggg=="
)


def remember(results, output, stage, *inputs):
    """A file and the record that its stage wrote."""
    path = results / output
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(PIXEL)
    Manifest(f"maze.{stage}", "f" * 64, {}, 0, dict.fromkeys(inputs, ""), {output: describe(path)}).write(results)


@pytest.fixture
def folder(tmp_path):
    results = tmp_path / "results"
    remember(results, "maze/refiner/base/history.csv", "refiner", "maze/raw.csv")
    remember(results, "maze/samples/base/metrics.csv", "samples", "maze/refiner/base/history.csv")
    remember(results, "maze/samples/base/large.png", "gallery", "maze/samples/base/metrics.csv")
    return tmp_path


def test_records_give_the_graph_of_rules(folder):
    records = makers(folder / "results")
    assert len(records) == 3
    edges = rule_graph(records, ["maze/samples/base/large.png", "elsewhere"], "report")
    assert edges == [("gallery", "report"), ("refiner", "samples"), ("samples", "gallery")]
    assert topological(edges) == ["refiner", "samples", "gallery", "report"]
    assert makers(folder / "none") == {}


def test_cycles_are_refused():
    with pytest.raises(ValueError, match="a cycle among a, b"):
        topological([("a", "b"), ("b", "a")])


def test_the_graph_has_an_arc_per_edge():
    edges = [("a", "b"), ("b", "c"), ("a", "c")]
    drawn = graph_svg(edges, {"a": "3 jobs"})
    assert drawn.count('class="arc"') == 3
    assert "3 jobs" in drawn


def test_equal_numbers_give_equal_bars():
    groups = {"large": {"base": (0.5, 0.25)}}
    assert bars(groups, ("before", "after"), "share") == bars(groups, ("before", "after"), "share")


def test_the_report_is_one_file_with_captions_and_origins(folder):
    results = folder / "results"
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
    write_csv(
        results / "maze/selection.csv", [{"layout": "large", "k": 4, "selector": 1.25, "limit": 1.0, "limit_se": 0.1}]
    )
    paths = ["record=results/maze/variants.json", "selection=results/maze/selection.csv"]
    paths.append("pictures=results/maze/samples/base/large.png")
    command = [
        sys.executable,
        "-m",
        "stages.report",
        "--spec",
        json.dumps({"settings": {"domain": "maze"}}),
        "--in",
        *paths,
    ]
    command += ["--out", "report=results/maze/report.html"]
    done = subprocess.run(command, cwd=folder, env={"PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    html = (results / "maze/report.html").read_text()
    assert not re.search(r'(?:src|href)="(?!data:|#)', html)
    assert "url(http" not in html
    assert html.count("<figcaption><b>Figure") == 3
    assert "identity ffffffffffffffff" in html
    assert "snakemake --force results/maze/samples/base/large.png" in html
    assert "12.5" in html
    assert "1.25" in html
    (text,) = re.findall(r"<li>\n?(.*limit.*)</li>", html)
    assert text.endswith("cost_ratio is worse (1.25 against 1.00 ± 0.10; +0.25 ± 0.10).")
    assert html.index(text) < html.index("<h2")
    columns = re.findall(r"<td class=\"words\">(\w+)</td>", html[html.index('id="columns"') :])
    assert {"layout", "crossed_refined", "limit", "job_seconds"} <= set(columns)
    assert "limit_se" not in columns
