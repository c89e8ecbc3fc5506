import pandas as pd
import pytest

from interdiff.errors import InputError
from interdiff.plotting import training_curves


def test_curves_are_drawn_for_every_network(tmp_path):
    rows = pd.DataFrame({"step": [1, 2], "loss": [0.5, -0.25]})
    training_curves({"selector": rows, "refiner": rows}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="history of refiner"):
        training_curves({"refiner": rows[:0]}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
