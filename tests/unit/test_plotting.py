from itertools import pairwise

import pandas as pd
import pytest
from matplotlib import pyplot as plt

from interdiff.errors import InputError
from interdiff.plotting import save_picture, training_curves


def test_curves_are_drawn_for_every_network(tmp_path):
    rows = pd.DataFrame({"step": [1, 2], "loss": [0.5, -0.25]})
    training_curves({"selector": rows, "refiner": rows}, tmp_path / "curves.png")
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    with pytest.raises(InputError, match="history of refiner"):
        training_curves({"refiner": rows[:0]}, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()


def test_the_loss_on_held_out_data_is_drawn_where_it_was_logged(tmp_path, monkeypatch):
    figures = []
    monkeypatch.setattr("interdiff.plotting.save_picture", lambda figure, path: figures.append(figure))
    rows = pd.DataFrame({"step": [1, 2], "loss": [0.5, 0.25], "val_loss": [0.6, 0.5]})
    training_curves({"selector": rows[["step", "loss"]], "refiner": rows}, tmp_path / "curves.png")
    lines = [[line.get_label() for line in panel.lines] for panel in figures[0].axes]
    assert lines == [["training"], ["training", "validation"]]


def test_titles_of_neighbours_do_not_touch(tmp_path):
    figure, panels = plt.subplots(1, 3, figsize=(4, 1.5))
    for panel in panels:
        panel.set_title("full_sequence_few_steps")
    panels[1].set_title("short")
    save_picture(figure, tmp_path / "titles.png")
    places = [panel.title.get_window_extent() for panel in panels]
    assert all(left.x1 < right.x0 for left, right in pairwise(places))
    assert panels[1].title.get_fontsize() == plt.rcParams["font.size"] * 1.2
