import pytest

from interdiff.errors import InputError
from interdiff.plotting import training_curves


def test_curves_are_drawn_for_every_network(tmp_path):
    rows = [{"step": "1", "loss": "0.5"}, {"step": "2", "loss": "-0.25"}]
    training_curves({"selector": rows, "refiner": rows}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="history of refiner"):
        training_curves({"refiner": []}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
