"""MLflow's runs of stages and variants, made from files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from interdiff.files import canonical_json, read_json
from interdiff.tables import read_table, read_tables
from interdiff.workflow.tracking.connection import flat, log_params

PARENT, NOTE = "mlflow.parentRunId", "mlflow.note.content"


@dataclass
class Store:
    """MLflow's client, the experiment's id, and the results that are shown."""

    client: Any
    experiment: str
    results: Path

    def find(self, **tags: str) -> list[Any]:
        """Runs with these tags, newest first."""
        text = " and ".join(f"tags.{key} = '{value}'" for key, value in tags.items())
        return self.client.search_runs([self.experiment], text, order_by=["attributes.start_time desc"])

    def stage_run(self, folder: str, artifact: Mapping[str, Any]) -> str:
        """The run that made an artifact, made from its files where the store has none, with what was measured since."""
        found = self.find(identity=artifact["identity"])
        run_id = found[0].info.run_id if found else self._new_stage_run(folder, artifact)
        if "files" in artifact and not (found and "files" in found[0].data.tags):
            self._log_values(run_id, _measured(self.results, folder))
            self._log_pictures(run_id, sorted((self.results / folder).glob("*.png")))
            self._tag(run_id, {"files": json.dumps(artifact["files"]), "spec": artifact["spec"]})
        return run_id

    def _new_stage_run(self, folder: str, artifact: Mapping[str, Any]) -> str:
        path = self.results / folder
        run = read_json(path / "run.json") if (path / "run.json").exists() else {}
        seconds = run.get("seconds", 0.0)
        end = max(item.stat().st_mtime for item in path.iterdir())
        tags = {"stage": path.parent.name, "variant": path.name, "identity": artifact["identity"]}
        tags |= {"git_commit": run["git_commit"]} if run.get("git_commit") else {}
        run_id = self._create(folder, tags, artifact["settings"], end - seconds)
        if (path / "history.csv").exists():
            self._log_history(run_id, read_table(path / "history.csv"), end - seconds, seconds)
        self.client.set_terminated(run_id, "FINISHED", int(1000 * end))
        return run_id

    def variant_run(
        self,
        domain: str,
        name: str,
        variant: Mapping[str, Any],
        artifacts: Mapping[str, Mapping[str, Any]],
        commit: Mapping[str, str],
    ) -> str:
        """The variant's parent run; an older one of the same name stays, tagged as no longer current."""
        content = {key: variant[key] for key in ("config", "metrics")}
        content["artifacts"] = {stage: artifact["identity"] for stage, artifact in artifacts.items()}
        digest = hashlib.sha256(canonical_json(content).encode()).hexdigest()
        older = self.find(kind="variant", variant=name, domain=domain)
        same = [run for run in older if run.data.tags.get("record") == digest]
        for run in older:
            if run not in same[:1]:
                self._tag(run.info.run_id, {"current": "no"})
        if same:
            self._tag(same[0].info.run_id, {"current": "yes"})
            return same[0].info.run_id
        tags = {"kind": "variant", "variant": name, "domain": domain, "current": "yes", "record": digest, **commit}
        tags |= {f"identity.{stage}": artifact["identity"] for stage, artifact in artifacts.items()}
        tags |= {f"spec.{stage}": artifact["spec"] for stage, artifact in artifacts.items()}
        tags |= {NOTE: _note(name, variant)}
        run_id = self._create(f"{domain}/{name}", tags, variant["config"], time.time())
        self._log_values(run_id, averages(variant["metrics"]))
        self._log_pictures(run_id, [self.results / path for path in variant["pictures"]])
        with contextlib.suppress(FileNotFoundError):
            self.client.log_artifact(run_id, self.results / domain / "variants.json")
        self.client.set_terminated(run_id)
        return run_id

    def link(self, run_id: str, folder: str, variant: str, parent: str) -> None:
        """Place a stage's run under the variant that owns it, and tag it with every variant that uses it."""
        tags = {f"used_by.{variant}": "yes"}
        if Path(folder).name == variant or PARENT not in self.client.get_run(run_id).data.tags:
            tags[PARENT] = parent
        self._tag(run_id, tags)

    def _create(self, name: str, tags: Mapping[str, str], settings: Mapping[str, Any], start: float) -> str:
        run = self.client.create_run(self.experiment, int(1000 * start), tags=dict(tags), run_name=name)
        log_params(self.client, run.info.run_id, settings)
        return run.info.run_id

    def _tag(self, run_id: str, tags: Mapping[str, str]) -> None:
        from mlflow.entities import RunTag

        self.client.log_batch(run_id, tags=[RunTag(key, value) for key, value in tags.items()])

    def _log_values(self, run_id: str, values: Mapping[str, float]) -> None:
        self._log_metrics(run_id, [(name, value, time.time(), 0) for name, value in values.items()])

    def _log_history(self, run_id: str, history: pd.DataFrame, start: float, seconds: float) -> None:
        last = history["step"].max()
        logged = history.melt("step", var_name="name").dropna().sort_values("step", kind="stable")
        values = logged[["name", "value", "step"]].itertuples(index=False)
        self._log_metrics(run_id, [(name, value, start + seconds * step / last, step) for name, value, step in values])

    def _log_metrics(self, run_id: str, values: list[tuple[str, float, float, int]]) -> None:
        from mlflow.entities import Metric

        metrics = [Metric(name, value, int(1000 * when), step) for name, value, when, step in values]
        for first in range(0, len(metrics), 1000):
            self.client.log_batch(run_id, metrics=metrics[first : first + 1000])

    def _log_pictures(self, run_id: str, paths: Iterable[Path]) -> None:
        for path in paths:
            self.client.log_artifact(run_id, path, "pictures")


def averages(rows: Iterable[Mapping[str, str]]) -> dict[str, float]:
    """Each figure's mean over seeds by layout (`mse_refined.large`), and over everything (`mse_refined`)."""
    table = pd.DataFrame(rows).set_index("layout").drop(columns=["variant", "seed", "n"], errors="ignore")
    figures = table.apply(pd.to_numeric, errors="coerce")
    means = {f"{name}.{layout}": part[name].mean() for layout, part in figures.groupby("layout") for name in part}
    return {name: float(mean) for name, mean in (figures.mean().to_dict() | means).items() if not pd.isna(mean)}


def _measured(results: Path, folder: str) -> dict[str, float]:
    """An artifact's held-out figures, and what its jobs took, summed over them."""
    path, values = results / folder / "metrics.json", {}
    if path.exists():
        values = {key: float(value) for key, value in flat(read_json(path)).items() if isinstance(value, int | float)}
    domain, stage, variant = Path(folder).parts
    stage = {"prepared": "prepare"}.get(stage, stage)
    benchmarks = sorted((results / domain / "benchmarks" / stage).glob(f"{variant}.*tsv"))
    return values | (usage(read_tables(benchmarks)) if benchmarks else {})


def usage(benchmarks: pd.DataFrame) -> dict[str, float]:
    """What jobs took, from their benchmark files: seconds and CPU seconds summed, the largest memory in MiB.

    What Snakemake did not measure counts as nothing.
    """
    seconds, cpu_seconds, memory = (benchmarks[name].fillna(0.0) for name in ("s", "cpu_time", "max_rss"))
    return {
        "job_seconds": float(seconds.sum()),
        "job_cpu_seconds": float(cpu_seconds.sum()),
        "job_peak_memory_mb": float(memory.max()),
    }


def _note(name: str, variant: Mapping[str, Any]) -> str:
    changes = [f"- `{key}`: {value}" for key, value in flat(variant["changes"]).items()]
    shared = sorted(f"`{folder}`" for folder in variant["artifacts"].values() if Path(folder).name != name)
    text = "Differs from base in:\n" + "\n".join(changes) if changes else "The settings that variants start from."
    return text + (f"\n\nShares {', '.join(shared)}." if shared else "")
