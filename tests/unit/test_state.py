import errno
import os
import signal

import pytest
import torch
from safetensors import SafetensorError
from torch import nn

from interdiff.errors import InputError
from interdiff.learning import state as state_module
from interdiff.learning.state import TrainingState, flatten, unflatten


def trained():
    model = nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return {"model": model.state_dict(), "optimizer": optimizer.state_dict()}


def test_optimizer_states_round_trip():
    tree = trained() | {"pair": (1, [None, True]), "generator": torch.Generator().get_state()}
    tensors, structure = flatten(tree)
    back = unflatten(tensors, structure)
    assert back["pair"] == (1, [None, True])
    assert list(back["optimizer"]["state"]) == [0, 1]
    assert torch.equal(back["optimizer"]["state"][0]["exp_avg"], tree["optimizer"]["state"][0]["exp_avg"])
    with pytest.raises(TypeError, match="/a/0: set"):
        flatten({"a": [set()]})


def test_the_last_save_is_loaded_and_clear_removes_it(tmp_path):
    with TrainingState(tmp_path / "s") as state:
        assert state.load() is None
        for step in range(3):
            state.save({"w": torch.full((2,), float(step))}, {"step": step, "history": [{"loss": 0.1}]})
        tensors, meta = state.load()
        assert tensors["w"].tolist() == [2.0, 2.0]
        assert meta == {"step": 2, "history": [{"loss": 0.1}]}
        assert len(list((tmp_path / "s").glob("*.safetensors"))) == 1
    TrainingState(tmp_path / "s").clear()
    assert not (tmp_path / "s").exists()


@pytest.mark.parametrize("damage", ["flip", "truncate", "index", "missing"])
def test_a_damaged_state_is_reported_and_not_used(tmp_path, damage, caplog):
    with TrainingState(tmp_path) as state:
        state.save(trained(), {"step": 1})
        (file,) = tmp_path.glob("*.safetensors")
        content = file.read_bytes()
        if damage == "flip":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        elif damage == "truncate":
            file.write_bytes(content[:-5])
        elif damage == "missing":
            file.unlink()
        else:
            index = tmp_path / "state.json"
            index.write_text(index.read_text().replace('"step": 1', '"step": 2'))
        assert state.load() is None
        assert "damaged" in caplog.text
        state.save(trained(), {"step": 5})
        assert state.load()[1] == {"step": 5}


def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def full_in_safetensors(*args, **kwargs):
    # Its own words for a full disk; it keeps no error number.
    raise SafetensorError("I/O error: No space left on device (os error 28)")


@pytest.mark.parametrize(
    ("place", "failure"),
    [
        (f"{state_module.__name__}.save_file", full_in_safetensors),
        ("pathlib.Path.write_text", full),
        ("os.fsync", full),
    ],
)
def test_a_full_disk_loses_nothing(tmp_path, monkeypatch, place, failure):
    with TrainingState(tmp_path) as state:
        state.save({"w": torch.ones(1)}, {"step": 1})
        with monkeypatch.context() as patch:
            patch.setattr(place, failure)
            with pytest.raises(InputError, match="no space left on the disk"):
                state.save({"w": torch.zeros(1)}, {"step": 2})
        tensors, meta = state.load()
        assert (tensors["w"].item(), meta["step"]) == (1.0, 1)


def test_a_stop_that_nobody_saw_to_ends_the_process_after_the_block(tmp_path):
    with pytest.raises(SystemExit) as stopped:
        with TrainingState(tmp_path):
            os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError
    assert stopped.value.code == 143


def test_sigterm_asks_first_and_exits_then(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, TrainingState(tmp_path) as state:
        os.kill(os.getpid(), signal.SIGTERM)
        assert state.stop_requested
        os.kill(os.getpid(), signal.SIGTERM)
    assert stopped.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
