"""Files open as docs/formats.md says, in a process that knows nothing of this project."""

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch

from interdiff.files import write_arrays
from interdiff.learning.checkpoints import CONFIG, MODEL, save_checkpoint
from interdiff.maze.world.d4rl import write_stream
from interdiff.maze.world.layouts import load_layout
from interdiff.video.data.shards import COLUMNS, write_shard

PAGE = (Path(__file__).parents[2] / "docs/formats.md").read_text()


def test_snippets_open_files_without_us(tmp_path):
    folder = tmp_path / "results/video/keyframes/base"
    files = {"model": folder / MODEL, "config": folder / CONFIG, "history": folder / "history.csv"}
    save_checkpoint(files, torch.nn.Linear(2, 3), {"kind": "keyframes", "model": {}}, [])
    write_arrays(tmp_path / "results/video/oracle/base/train.npz", {"cost": np.zeros((2, 5, 5), np.float32)})
    (tmp_path / "results/maze/demonstrations").mkdir(parents=True)
    qpos = {"infos/qpos": np.ones((7, 2), np.float32)}
    write_stream(tmp_path / "results/maze/demonstrations/umaze.hdf5", qpos, load_layout("umaze"))
    sample = {"latent": torch.ones(16, 3, 4, 4), "embed": torch.ones(5, 8)}
    sample = {name: value.bfloat16() for name, value in sample.items()} | {"prompt": "A café."}
    write_shard(tmp_path / "results/video/shards/train/00000.tar", [("000", sample)], COLUMNS)
    snippets = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(snippets) == 4
    checks = """
import sys
assert weights["weight"].shape == (3, 2)
assert oracle["cost"].shape == (2, 5, 5)
assert positions.shape == (7, 2)
assert [latent.shape for latent in latents] == [(16, 3, 4, 4)]
assert not [name for name in sys.modules if name.startswith("interdiff")]
"""
    ended = subprocess.run(
        [sys.executable, "-c", "".join(snippets) + checks], cwd=tmp_path, capture_output=True, text=True
    )
    assert ended.returncode == 0, ended.stderr
