"""The one typed definition of the configuration, and how it is read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from interdiff.settings import PathText, Section, validated
from interdiff.workflow.pipelines.maze import MazeConfig
from interdiff.workflow.pipelines.video import VideoConfig


class TrackingSettings(Section):
    """MLflow, a view of metrics that are in files anyway."""

    enabled: bool = Field(True, description="send metrics to MLflow")
    uri: str | None = Field(
        None, description="tracking server; by default MLFLOW_TRACKING_URI, else an SQLite store under the results root"
    )
    experiment: str | None = Field(
        None, description="name of the experiment; by default MLFLOW_EXPERIMENT_NAME, else interdiff"
    )


class Config(Section):
    """The whole configuration."""

    results: PathText = Field("results", description="root folder of everything that is made")
    tracking: TrackingSettings = Field(default_factory=TrackingSettings, description="experiment tracking")
    maze: MazeConfig = Field(default_factory=MazeConfig, description="the maze pipeline")
    video: VideoConfig = Field(default_factory=VideoConfig, description="the video pipeline")


def load_config(values: Mapping[str, Any]) -> Config:
    """Validate a configuration; one InputError that lists every bad key with its problem."""
    return validated(Config, values)
