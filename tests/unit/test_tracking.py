import json
import multiprocessing
import os
import socket
import sqlite3
import time
from pathlib import Path

import pytest

from interdiff.errors import InputError
from interdiff.workflow.tracking import connection, runs
from interdiff.workflow.tracking.connection import configure, flat
from interdiff.workflow.tracking.tracker import Tracker


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.setenv(connection.URI, f"sqlite:///{tmp_path}/mlflow.db")
    monkeypatch.setenv(connection.EXPERIMENT, "toy")
    monkeypatch.chdir(tmp_path)
    return Path()


def start(folder, name="base"):
    return Tracker.start(folder, f"maze/toy/{name}", "i" * 30 + name, {"a": {"b": 1}}, folder / name / "tracking.json")


def query(folder, text):
    with sqlite3.connect(folder / "mlflow.db") as database:
        return database.execute(text).fetchall()


def wait(tracker):
    assert tracker._writer.wait(60) == 0, tracker._writer_log.read_text()


def test_settings_become_flat_parameters():
    assert flat({"a": {"b": {"c": 1}}, "d": [1, 2]}) == {"a.b.c": 1, "d": [1, 2]}


def test_configure_sets_and_clears_mlflows_variables(tmp_path, monkeypatch):
    monkeypatch.setenv(connection.URI, "")
    monkeypatch.setenv(connection.EXPERIMENT, "")
    for folder in ("a", "b"):
        configure(enabled=True, uri=None, experiment=None, results=tmp_path / folder)
        assert os.environ[connection.URI] == f"sqlite:///{tmp_path}/{folder}/mlflow.db"
        assert os.environ[connection.EXPERIMENT] == "interdiff"
    configure(enabled=False, uri=None, experiment="e", results=tmp_path)
    assert connection.URI not in os.environ


def test_the_users_own_variables_hold_unless_the_configuration_says_otherwise(tmp_path, monkeypatch):
    monkeypatch.setenv(connection.URI, "http://ours:5000")
    monkeypatch.setenv(connection.EXPERIMENT, "mine")
    for _ in range(2):
        configure(enabled=True, uri=None, experiment=None, results=tmp_path)
        assert os.environ[connection.URI] == "http://ours:5000"
        assert os.environ[connection.EXPERIMENT] == "mine"
    configure(enabled=True, uri="http://other", experiment="e", results=tmp_path)
    assert (os.environ[connection.URI], os.environ[connection.EXPERIMENT]) == ("http://other", "e")


def test_without_a_store_rows_go_to_the_log_alone(tmp_path, monkeypatch, caplog):
    monkeypatch.delenv(connection.URI, raising=False)
    caplog.set_level("INFO")
    tracker = start(tmp_path)
    tracker.log({"step": 1, "loss": 0.5})
    tracker.finish()
    assert tracker.run_id() is None
    assert "loss 0.5" in caplog.text
    assert not list(tmp_path.iterdir())


def _one(folder, name):
    tracker = start(folder, name)
    tracker.log({"step": 1, "loss": 0.5})
    tracker.finish("KILLED")
    wait(tracker)


def test_concurrent_stages_share_a_new_store_and_a_resumed_run_stays_one(store):
    fork = multiprocessing.get_context("fork")
    processes = [fork.Process(target=_one, args=(store, name)) for name in ("one", "two", "three", "four")]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    first = json.loads((store / "one/tracking.json").read_text())["run_id"]
    tracker = start(store, "one")
    begun = time.perf_counter()
    for step in range(100):
        tracker.log({"step": 2 + step, "loss": 0.25})
    assert time.perf_counter() - begun < 1
    assert tracker.run_id() == first
    tracker.finish()
    wait(tracker)
    assert query(store, "select name, status from runs order by name") == [
        ("maze/toy/four", "KILLED"),
        ("maze/toy/one", "FINISHED"),
        ("maze/toy/three", "KILLED"),
        ("maze/toy/two", "KILLED"),
    ]
    assert query(store, f"select count(*) from metrics where run_uuid = '{first}' and key = 'loss'") == [(101,)]
    assert query(store, f"select key, value from params where run_uuid = '{first}'") == [("a.b", "1")]
    assert not list((store / ".tracking").glob("*.jsonl"))
    assert not (store / "one/tracking.json").exists()


def test_a_failure_of_tracking_is_one_warning(store, monkeypatch, caplog):
    monkeypatch.setenv(connection.URI, "nonsense://nowhere")
    tracker = start(store)
    tracker.log({"step": 1, "loss": 0.5})
    assert tracker._writer.wait(60) != 0
    assert tracker.run_id() is None
    tracker.finish()
    assert caplog.text.count("MLflow has not taken") == 1


@pytest.fixture
def dead_server(store, monkeypatch):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{free.getsockname()[1]}"
    monkeypatch.setenv(connection.URI, uri)
    return uri


def test_a_dead_server_is_one_warning_at_once_and_no_process(store, dead_server, caplog):
    began = time.monotonic()
    tracker = start(store)
    tracker.log({"step": 1, "loss": 0.5})
    assert tracker.run_id() is None
    tracker.finish()
    assert tracker._writer is None
    assert time.monotonic() - began < 5
    warnings = [record.message for record in caplog.records if record.levelname == "WARNING"]
    assert warnings == [
        f"tracking is off for this stage: no MLflow server answers at {dead_server} (Connection refused)"
    ]


def test_publishing_to_a_dead_server_is_one_sentence_in_seconds(store, dead_server, caplog):
    began = time.monotonic()
    runs.publish(store)
    assert time.monotonic() - began < 5
    assert f"no MLflow server answers at {dead_server} (Connection refused)" in caplog.text
    with pytest.raises(InputError, match="no MLflow server answers"):
        connection.open_store(store)
