"""The stages that compare methods, from what is stored: clip by clip, and as from all clips together."""

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import torch

from interdiff.files import write_arrays, write_csv, write_json
from interdiff.video.codec.linear import LinearCodec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.data.shard_index import write_index
from interdiff.video.data.shards import COLUMNS, write_shard
from interdiff.video.evaluation.comparison import CONTENT, chosen, distance_from_real, over_seeds
from interdiff.video.evaluation.quality import distance_to, fit_features, frechet_distance, sharpness, statistics
from interdiff.workflow.pipelines.video_attention_stages import MilestoneStageSettings
from interdiff.workflow.pipelines.video_stages import MetricsStageSettings, SamplePicturesStageSettings
from interdiff.workflow.stage import Stage
from stages.video import metrics, milestone, sample_pictures

N, SHAPE = 40, (16, 5, 4, 4)
METHODS = {"base": (3, [0, 2, 4]), "teacher": (50, range(5))}
COSTS = {"flops": 1e9, "seconds": 1.5, "full_step_units": 2.0, "full_step_seconds": 2.5}


def normal(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def inputs(tmp_path):
    """Clips of two methods, real ones in shards, and what else both stages read."""
    files = {"samples": [], "costs": []}
    for seed, (name, (_, frames)) in enumerate(METHODS.items()):
        refined = normal(N, *SHAPE, seed=seed).half().numpy()
        indices = np.tile(np.array(frames), (N, 1))
        write_arrays(tmp_path / f"{name}.npz", {"keys": np.arange(N), "indices": indices, "refined": refined})
        write_json(tmp_path / f"{name}.json", COSTS)
        files["samples"].append(tmp_path / f"{name}.npz")
        files["costs"].append(tmp_path / f"{name}.json")
    for seed, name in enumerate(("fit", "real"), 5):
        clips = normal(N, *SHAPE, seed=seed).bfloat16()
        rows = [
            (str(n), {"latent": clip, "embed": torch.ones(2, 8).bfloat16(), "prompt": f"Clip {n}."})
            for n, clip in enumerate(clips)
        ]
        write_shard(tmp_path / f"{name}.tar", iter(rows), COLUMNS)
        write_index(tmp_path / f"index_{name}.npz", [tmp_path / f"{name}.tar"], COLUMNS)
        files[name] = [tmp_path / f"index_{name}.npz"]
    return files


def test_metrics_are_those_of_all_clips_together(inputs, tmp_path):
    settings = MetricsStageSettings(
        methods=list(METHODS), steps=[3, 50], exact="teacher", reference="teacher", ladder=["teacher"]
    )
    outputs = {name: tmp_path / f"{name}.csv" for name in ("metrics", "ladder")}
    metrics.main(Stage("video.metrics", {}, settings, inputs, outputs, 1, 0, tmp_path))
    table = pd.read_csv(outputs["metrics"], index_col="method")
    assert table["k"].tolist() == [3, 5]
    assert table["steps"].tolist() == [3, 50]
    assert table["full_step_units"].tolist() == [2.0, 2.0]
    fit, real = (normal(N, *SHAPE, seed=seed).bfloat16().float() for seed in (5, 6))
    base, exact = (normal(N, *SHAPE, seed=seed).half().float() for seed in (0, 1))
    features = fit_features(statistics(fit))
    row = table.loc["base"]
    assert row["frechet"] == frechet_distance(features(statistics(base)), features(statistics(real)))
    assert row["sharpness"] == distance_from_real(sharpness(base), sharpness(real))
    assert row["distance"] == distance_to(base, exact).mean()
    assert table.loc["teacher", "distance"] == 0


def test_what_clips_are_judged_by_is_averaged_where_it_is_there(inputs, tmp_path):
    settings = MetricsStageSettings(
        methods=list(METHODS), steps=[3, 50], exact="teacher", reference="teacher", ladder=["teacher"]
    )
    outputs = {name: tmp_path / f"{name}.csv" for name in ("metrics", "ladder")}
    inputs["content"] = []
    for n, name in enumerate(METHODS):
        rows = [{"key": key, **{column: key / N + n for column in CONTENT}} for key in range(N)]
        write_csv(tmp_path / f"{name}.csv", rows)
        inputs["content"].append(tmp_path / f"{name}.csv")
    metrics.main(Stage("video.metrics", {}, settings, inputs, outputs, 1, 0, tmp_path))
    row = pd.read_csv(outputs["metrics"], index_col="method").loc["base"]
    mean = np.mean(np.arange(N) / N)
    assert [row[name] for name in CONTENT] == pytest.approx([mean] * 3)
    assert row["clip_score_vs_reference"] == pytest.approx(-1)
    assert 0.01 < row["clip_score_se"] < 0.1
    assert np.isnan(row["adherence"])


def test_the_milestone_has_means_over_training_seeds(inputs, tmp_path):
    rows = [
        {"method": "teacher", "runs": ["teacher"], "steps": 50, "passes": None, "attention": "dense"},
        {"method": "base", "runs": ["base", "base_seed1"], "steps": 4, "passes": 1, "attention": "sla"},
    ]
    settings = MilestoneStageSettings(rows=rows, frames=5, teachers=["teacher"], diverse=["base", "base_seed1"])
    again = tmp_path / "again.npz"
    refined = normal(N, *SHAPE, seed=9).half().numpy()
    write_arrays(again, {"keys": np.arange(N), "indices": np.tile([0, 2, 4], (N, 1)), "refined": refined})
    write_json(tmp_path / "again.json", COSTS | {"full_step_units": 4.0})
    base, teacher = inputs["samples"]
    inputs |= {"samples": [teacher, base, again], "exact": [teacher], "other_noise": [again, base]}
    inputs["costs"] = [inputs["costs"][1], inputs["costs"][0], tmp_path / "again.json"]
    outputs = {"milestone": tmp_path / "milestone.csv", "picture": tmp_path / "milestone.png"}
    milestone.main(Stage("video.milestone", {}, settings, inputs, outputs, 1, 0, tmp_path))
    table = pd.read_csv(outputs["milestone"], index_col="method")
    assert list(table.columns[:7]) == ["frames", "steps", "k", "passes", "attention", "seeds", "n"]
    row, exact = table.loc["base"], normal(N, *SHAPE, seed=1).half().float()
    assert row[["frames", "steps", "k", "passes", "attention", "seeds", "n"]].tolist() == [5, 4, 3, 1, "sla", 2, N]
    runs = [distance_to(normal(N, *SHAPE, seed=seed).half().float(), exact).mean() for seed in (0, 9)]
    assert row["distance"] == pytest.approx(np.mean(runs))
    assert row["full_step_units"] == 3.0
    assert np.isnan(table.loc["teacher", "passes"])
    first, second = (normal(N, *SHAPE, seed=seed).half().float() for seed in (0, 9))
    assert row["diversity"] == pytest.approx(distance_to(first, second).mean())
    assert row["diversity_se"] > 0
    assert np.isnan(table.loc["teacher", "diversity"])
    assert outputs["picture"].read_bytes().startswith(b"\x89PNG")
    longer = tmp_path / "longer.csv"
    table.assign(frames=9).to_csv(longer)
    picture, command = tmp_path / "lengths.png", [sys.executable, "-m", "interdiff.video.figures.lengths"]
    subprocess.run([*command, picture, outputs["milestone"], longer], check=True)
    assert picture.read_bytes().startswith(b"\x89PNG")
    refused = subprocess.run([*command, picture, longer], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "no method has two lengths" in refused.stderr


def test_the_nearest_to_real_clips_of_the_able_is_chosen():
    rows = {
        "able": {"adherence": 0.50, "adherence_se": 0.02, "frechet": 6.0},
        "nearer": {"adherence": 0.49, "adherence_se": 0.02, "frechet": 5.0},
        "unable": {"adherence": 0.47, "adherence_se": 0.02, "frechet": 3.0},
    }
    assert chosen(rows) == "nearer"
    assert chosen({name: {"frechet": row["frechet"]} for name, row in rows.items()}) == "unable"


def test_seeds_add_to_the_error_of_prompts():
    rows = [{"a": value, "a_se": 0.3} for value in (1.0, 2.0, 3.0)]
    found = over_seeds(rows, ["a"])
    assert found == pytest.approx({"a": 2.0, "a_se": (0.3**2 + 1 / 3) ** 0.5})
    assert over_seeds(rows[:1], ["a"]) == pytest.approx({"a": 1.0, "a_se": 0.3})


def test_pictures_decode_one_clip_at_a_time(inputs, tmp_path, monkeypatch):
    codec, decoded = LinearCodec(4), []
    codec.basis += torch.eye(*codec.basis.shape)
    whole = codec.decode
    monkeypatch.setattr(codec, "decode", lambda z: decoded.append(len(z)) or whole(z))
    monkeypatch.setattr(sample_pictures, "load_codec", lambda *_: codec)
    names = list(METHODS)
    settings = SamplePicturesStageSettings(
        ladder=names, methods=names, priced=["base"], teachers=["teacher"], drawn="base", networks=[], codec=CodecUse()
    )
    drawn, draw = [], sample_pictures.quality_by_cost
    monkeypatch.setattr(
        sample_pictures, "quality_by_cost", lambda *given: drawn.extend(given[0].method) or draw(*given)
    )
    figures = {
        name: [0.5, 0.7] for name in ("frechet", "adherence", "clip_score", "distance", "smoothness", "sharpness")
    }
    errors = {f"{name}_se": [0.1, 0.1] for name in figures}
    table = pd.DataFrame({"method": list(METHODS), "full_step_units": [2, 9], **figures, **errors})
    table.to_csv(tmp_path / "metrics.csv", index=False)
    write_arrays(tmp_path / "oracle.npz", {"indices_3": np.tile([0, 1, 4], (N, 1)), "cost": np.zeros((N, 5, 5))})
    inputs |= {"metrics": [tmp_path / "metrics.csv"], "oracle": [tmp_path / "oracle.npz"], "index": inputs["real"]}
    inputs |= {"histories": [], "codec": [tmp_path / "config.json"]}
    outputs = {name: tmp_path / f"{name}.png" for name in ("cost", "sheet", "frames", "losses", "ladder")}
    outputs["samples"] = tmp_path / "samples.mp4"
    monkeypatch.setattr(sample_pictures, "losses_together", lambda histories, path: path.touch())
    sample_pictures.main(Stage("video.sample_pictures", {}, settings, inputs, outputs, 1, 0, tmp_path))
    assert decoded == [1] * 3 * sample_pictures.SHOWN
    assert drawn == ["base"]
    assert all(path.exists() for path in outputs.values())
