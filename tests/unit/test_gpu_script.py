"""The parts of `benchmarks.gpu` at toy size on the CPU."""

import json
import math

import pytest
import torch

from benchmarks import gpu
from benchmarks.wan import REAL, TOY, arithmetic, measurements, table
from interdiff.learning.devices import VISIBLE

CPU = torch.device("cpu")


def test_the_table_has_a_row_for_every_measurement_and_goes_on_after_a_failure(monkeypatch):
    """Rows that compile are left to the GPU; here they fail."""
    chosen = [(row, failing if row["compiled"] else measure) for row, measure in measurements(TOY)]
    monkeypatch.setattr("benchmarks.wan.measurements", lambda size: [c for c in chosen if c[0]["clips"] == 1])
    report = gpu.measured(table(TOY, CPU, math.inf))
    assert not report["complete"]
    assert len(report["rows"]) > 8
    for row in report["rows"]:
        assert ("error" in row) == row["compiled"]
        assert row["compiled"] or (row["ms"] > 0 and row["over_arithmetic"] > 0)
    text = gpu.markdown({"device": "CPU", "torch": "2", "table": report})
    assert text.count("\n| ") == 2 + len(report["rows"])


def test_kernels_of_attention_are_timed_and_their_gradients_checked():
    report = gpu.measured(gpu.attention(TOY, CPU, math.inf))
    assert report["complete"]
    assert {row["what"] for row in report["rows"]} >= {"dense", "choice", "chosen", "linear, all", "linear, rest"}
    assert all(row["relative_error"] < 0.02 for row in report["rows"] if row["what"] == "gradients")
    text = gpu.markdown({"device": "CPU", "torch": "2", "attention": report})
    assert text.count("\n| ") == 2 + len(report["rows"])
    left_out = list(gpu.attention(TOY, CPU, -math.inf))
    assert {row.get("left_out") for row in left_out if row["what"] == "sparse"} == {"no time left"}


def failing(device):
    raise RuntimeError("out of memory")


def test_no_row_begins_after_its_time():
    assert all(row["left_out"] for row in table(TOY, CPU, -math.inf))


def test_the_real_size_is_covered():
    rows = [row for row, _ in measurements(REAL)]
    assert {(row["what"], row["k"], row["clips"]) for row in rows} >= {
        (what, k, clips) for what in ("forward", "lora", "full") for k in (4, 21) for clips in (1, 2)
    }
    assert {row["k"] for row in rows} == {4, 6, 8, 21, 41}
    compiled = {(row["what"], row["k"], row.get("keep")) for row in rows if row["compiled"]}
    # Sparse rows stand beside dense ones.
    assert compiled >= {(what, k, p) for what in ("forward", "full") for k in (8, 21, 41) for p in (None, 0.1, 0.15)}
    assert len({json.dumps(row) for row in rows}) == len(rows)
    assert arithmetic(REAL, 4, 1) == pytest.approx(23.5e15 / 700e12, rel=0.01)


def test_a_training_goes_on_over_devices():
    assert gpu.resume(CPU)["largest_difference"] == 0


def test_two_jobs_lease_a_device_one_after_the_other(monkeypatch, tmp_path):
    monkeypatch.setenv(VISIBLE, "0")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    out = tmp_path / "out.json"
    assert gpu.main([str(out), "--toy", "--parts", "leases"]) == 0
    first, second = sorted(json.loads(out.read_text())["leases"]["jobs"], key=lambda job: job["leased"])
    assert second["leased"] >= first["ended"] - 0.5
    assert "leases" in out.with_suffix(".md").read_text()


def test_a_failed_part_is_told_and_the_others_are_done(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "resume", failing)
    monkeypatch.setattr(gpu, "leases", lambda: {"jobs": []})
    out = tmp_path / "out.json"
    assert gpu.main([str(out), "--toy", "--parts", "resume", "leases"]) == 1
    report = json.loads(out.read_text())
    assert report["failed"] == ["resume"]
    assert report["resume"] == {"error": "RuntimeError: out of memory"}
    assert report["leases"] == {"jobs": []}
