"""A network of one's own for either phase: docs/networks.md."""

import json
import re
import sys
from pathlib import Path

import pytest
import torch

from interdiff.errors import InputError
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.learning.networks import initialise_from
from interdiff.learning.optimizers import build_optimizers
from interdiff.learning.settings import TrainingSettings
from interdiff.learning.state import TrainingState
from interdiff.learning.training import Objective, train
from interdiff.maze.planner.keyframes import KeyframeDenoiser, build_keyframes, plan_keyframes
from interdiff.maze.planner.losses.refiner import CorruptedSequences, MaskedAnchors, refiner_loss
from interdiff.maze.planner.phase1 import Phase1
from interdiff.maze.planner.plans import Planner
from interdiff.maze.planner.refiner import build_refiner, load_refiner
from interdiff.maze.planner.segment_cost import SegmentCostModel
from interdiff.maze.planner.selector import KeyframeSelector
from interdiff.maze.planner.settings import RefinerSettings, SamplingSettings
from interdiff.two_phase.keyframe_diffusion import keyframe_scheduler
from interdiff.workflow.config import load_config

ROOT = Path(__file__).parents[2]
SIZE = {"d_model": 16, "depth": 1, "heads": 2}
T, K = 16, 4
(MLP,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/networks.md").read_text(), re.DOTALL)
OTHERS = """
from torch import nn as layers

from my_package.deep import scale


class Keyframes(layers.Module):
    calls = []

    def __init__(self, frames, *, width=4):
        super().__init__()
        self.layer = layers.Linear(4, 4)

    def encode(self, condition):
        self.calls.append(1)
        return condition.goal

    def forward(self, z, noise, indices, difficulty, known, condition, encoded):
        return self.layer(z) * scale + encoded.mean() + noise[:, None, None] + difficulty.mean() + known.float()


class Narrow(layers.Module):
    def __init__(self, frames):
        super().__init__()
        self.layer = layers.Linear(4, 2)

    def forward(self, x, mask, exact, condition):
        return self.layer(x)


class Pair(Narrow):
    def forward(self, x, mask, exact, condition):
        return x, mask


class Blind(layers.Module):
    def __init__(self, frames):
        super().__init__()

    def forward(self, x):
        return x


class Mute(layers.Module):
    def __init__(self, frames):
        super().__init__()


class Quiet(Mute):
    pass


class Plain:
    pass


class Derived(Plain):
    pass


def function(frames):
    raise AssertionError("called")
"""


@pytest.fixture(autouse=True)
def package(tmp_path, monkeypatch):
    """A package on Python's path, outside of the repository."""
    folder = tmp_path / "elsewhere"
    (folder / "my_package").mkdir(parents=True)
    texts = {"refiners": MLP, "others": OTHERS, "deep": "scale = 2\n", "broken": "def\n", "unused": "x = 1\n"}
    for name, text in texts.items():
        (folder / f"my_package/{name}.py").write_text(text)
    (folder / "beside.py").write_text("y = 1\n")
    monkeypatch.syspath_prepend(str(folder))
    yield folder
    for name in [name for name in sys.modules if name.startswith("my_package")]:
        del sys.modules[name]


def mlp(**changes):
    return {"class": "my_package.refiners.Mlp", "hidden": 8} | changes


def own_refiner(**network):
    return build_refiner(T, 2, "linear", 0.01, own=network)


def trained(data, model, folder, steps=3):
    indices = torch.tensor([0, 5, 10, 15]).expand(len(data.states), -1)
    ranks = torch.full(data.states.shape[:2], 2, dtype=torch.uint8).scatter(1, indices, 0)
    anchors = MaskedAnchors(ranks, [4, 16], indices, data.states[:, indices[0]] + 0.1, 1.0)
    settings = RefinerSettings(network=mlp(), training={"batch_size": 8, "steps": steps, "log_every": 1})
    objective = Objective(CorruptedSequences(data, [anchors], settings).draw, refiner_loss)
    with TrainingState(folder) as state:
        device = torch.device("cpu")
        return train(model, objective, settings.training, state, device, lambda row: None, lambda left: left)


def test_the_documents_mlp_is_phase_2(prepared_data, tmp_path):
    data = prepared_data(T)
    settings = RefinerSettings(network=mlp())
    torch.manual_seed(0)
    config = {"frames": T, "frames_per_token": 2, "interpolation": "linear", "noise": 0.01}
    config |= settings.network.described()
    model = build_refiner(**config)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model, history = trained(data, model, tmp_path / "state")
    assert len(history) == 3
    assert any(not torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())

    names = {"model": "model.safetensors", "config": "config.json", "history": "history.csv"}
    outputs = {key: tmp_path / name for key, name in names.items()}
    save_checkpoint(outputs, model, {"kind": "refiner", "model": config}, history)
    assert json.loads(outputs["config"].read_text())["model"]["own"] == mlp()
    loaded = load_refiner(tmp_path, data)
    phase1 = Phase1(
        SegmentCostModel(T, 4, 4, **SIZE),
        KeyframeSelector(T, 4, 4, "none", (4, 8), 2.5, **SIZE),
        KeyframeDenoiser(T, **SIZE),
        keyframe_scheduler(),
    )
    sampling = SamplingSettings(k=4, keyframe_steps=2, refiner_steps=2)

    def plans(refiner):
        one = data.subset(data.rows_of(0))
        return Planner(phase1, refiner, sampling).plan_all(one, None, torch.Generator().manual_seed(0))

    assert torch.equal(plans(loaded).refined, plans(model.eval()).refined)
    assert not torch.equal(plans(loaded).refined, plans(loaded).interpolated)


def test_phase_1_may_encode_its_condition_once(prepared_data):
    data = prepared_data(T)
    model = build_keyframes(T, own={"class": "my_package.others.Keyframes", "width": 3})
    condition = data.condition(data.all_rows)
    indices = torch.tensor([0, 5, 10, 15]).expand(len(data.states), -1)
    hardness, generator = torch.zeros(len(indices), K - 1), torch.Generator().manual_seed(0)
    keyframes = plan_keyframes(model, keyframe_scheduler(), condition, indices, hardness, 5, generator)
    assert keyframes.shape == (len(indices), K, 4)
    assert len(model.network.calls) == 1
    # In training nobody encodes beforehand.
    x = torch.zeros(len(indices), K, 4)
    model(x, torch.zeros(len(indices)), indices, hardness, x > 0, condition).sum().backward()
    assert model.network.layer.weight.grad is not None


def test_weights_start_from_phase_1s_where_names_and_shapes_are_the_same(package):
    (package / "my_package/refined.py").write_text(
        "from interdiff.maze.planner.refiner import Refiner\n\n\n"
        "class Mine(Refiner):\n    def __init__(self, frames):\n"
        "        super().__init__(frames, 2, 'linear', 0.01, d_model=16, depth=1, heads=2)\n"
    )
    ours, theirs = KeyframeDenoiser(T, **SIZE), own_refiner(**{"class": "my_package.refined.Mine"})
    assert initialise_from(theirs.backbone, ours.backbone) == len(ours.backbone.state_dict())
    assert initialise_from(own_refiner(**mlp()).backbone, ours.backbone) == 0


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (mlp(**{"class": "Mlp"}), "'Mlp': expected the import path of a class, as package.module.Class"),
        (mlp(**{"class": "my_package.none.Mlp"}), "no module my_package.none in the working directory or on Python's"),
        (mlp(**{"class": "my_package.refiners.Mlq"}), "my_package/refiners.py has no class Mlq; it has Mlp"),
        (mlp(**{"class": "my_package.broken.Mlp"}), "my_package/broken.py is not valid Python"),
        (mlp(hiden=8), "it takes no argument 'hiden'; its arguments are frames, hidden"),
        ({"class": "my_package.refiners.Mlp"}, "it needs an argument 'hidden'"),
        ({"class": "my_package.others.Mute"}, "it has no method forward"),
        ({"class": "my_package.others.Plain"}, "expected a subclass of torch.nn.Module"),
    ],
)
def test_bad_classes_fail_before_the_first_job(network, message):
    values = {"maze": {"variants": {"mine": {"refiner": {"network": network}}}}}
    with pytest.raises(InputError, match=r"^configuration: maze\.variants\.mine\.refiner\.network\.class: ") as error:
        load_config(values)
    assert message in str(error.value)
    assert "my_package" not in sys.modules, "the configuration is read without running what it names"


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("my_package.others.Quiet", "has no method forward"),
        ("my_package.others.Derived", "is not a subclass of torch.nn.Module"),
        ("my_package.others.function", "has no class function"),
        ("my_package.others.Blind", "does not take what it is given"),
        ("my_package.others.Keyframes", "does not take what it is given"),
        ("subprocess.Popen", "is not a subclass of torch.nn.Module"),
        ("my_package.gone.Mlp", "no module my_package.gone"),
    ],
)
def test_what_the_text_does_not_tell_fails_as_the_stage_begins(path, message):
    with pytest.raises(InputError, match=r"^refiner\.network\.class: ") as error:
        own_refiner(**{"class": path})
    assert message in str(error.value)


@pytest.mark.parametrize(("name", "found"), [("Narrow", re.escape("(6, 16, 2)")), ("Pair", "tuple")])
def test_outputs_of_other_shapes_are_named(prepared_data, name, found):
    data = prepared_data(T)
    model = own_refiner(**{"class": f"my_package.others.{name}"})
    mask = torch.ones(data.states.shape[:2], dtype=torch.bool)
    message = rf"^refiner\.network\.class: my_package\.others\.{name} gave {found}; expected a tensor \(6, 16, 4\)$"
    with pytest.raises(InputError, match=message):
        model(data.states, mask, mask[:, 0], data.condition(data.all_rows))


def test_a_checkpoints_class_that_is_not_there_is_named_with_its_file(prepared_data, tmp_path):
    own = {"class": "their_package.Mlp", "hidden": 8}
    model = {"frames": T, "frames_per_token": 2, "interpolation": "linear", "noise": 0.01, "own": own}
    (tmp_path / "config.json").write_text(json.dumps({"kind": "refiner", "model": model}))
    with pytest.raises(InputError, match=r"config\.json: .*'their_package\.Mlp': no module their_package"):
        load_refiner(tmp_path, prepared_data(T))


def test_muon_needs_blocks():
    learned = dict(own_refiner(**mlp()).named_parameters())
    with pytest.raises(InputError, match=r"training\.muon_learning_rate: expected null"):
        build_optimizers(learned, TrainingSettings(muon_learning_rate=0.01))


def test_another_class_replaces_its_parents_settings():
    variants = {
        "mine": {"refiner": {"network": mlp()}},
        "wide": {"from": "mine", "refiner": {"network": {"hidden": 16}}},
        "ours": {"from": "mine", "refiner": {"network": "laptop"}},
    }
    resolved = load_config({"maze": {"variants": variants}}).maze.resolved()
    assert resolved.section("refiner", "mine")["network"] == mlp()
    assert resolved.section("refiner", "wide")["network"] == mlp(hidden=16)
    assert resolved.section("refiner", "ours") == resolved.section("refiner", "base")
    chosen = {name: resolved.implementations("samples", name) for name in variants}
    assert [name for name in variants if "my_package.refiners" in chosen[name]] == ["mine", "wide"]
    assert "my_package.refiners" not in resolved.implementations("keyframes", "mine")
