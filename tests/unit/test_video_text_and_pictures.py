import av
import numpy as np
import pytest
import torch
import transformers
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from interdiff.errors import InputError
from interdiff.video.data.scenes import random_scene, render
from interdiff.video.data.settings import TextSettings
from interdiff.video.data.text import load_text_encoder
from interdiff.video.figures.pictures import LABEL, LONGEST, contact_sheet, shrunk, write_gif, write_mp4, write_png
from interdiff.video.planner.segment_cost import masked_mean

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def video():
    return render(random_scene(np.random.default_rng(0)), 9, 32)


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder(TextSettings(), CPU)


def test_prompts_become_rows_and_what_follows_is_zero(encoder):
    prompts = ["A red circle moves right.", "A red circle moves right slowly and turns up late."]
    embed = encoder(prompts)
    assert embed.shape == (2, 64, 384)
    lengths = (embed != 0).any(-1).sum(1)
    assert 5 < lengths[0] < lengths[1] < 20
    torch.testing.assert_close(encoder(prompts[:1])[0], embed[0], atol=1e-4, rtol=1e-3)


def test_like_prompts_are_alike(encoder):
    prompts = ["A red circle turns up early.", "A red disc turns up early.", "The stock market fell."]
    first, like, other = torch.nn.functional.normalize(masked_mean(encoder(prompts)), dim=-1)
    assert first @ like > first @ other + 0.2


def test_long_prompts_are_cut(encoder):
    assert encoder(["word " * 200]).shape == (1, 64, 384)


def test_sentences_have_a_row_each_and_know_nothing_of_one_another(encoder):
    alone = load_text_encoder(TextSettings(sentences=True, rows=4), CPU)
    first, second = "A red circle moves right.", "A blue square moves up."
    both = alone([f"{first} {second}"])[0]
    means = [rows[rows.any(-1)].mean(0) for rows in encoder([first, second])]
    torch.testing.assert_close(both[:2], torch.stack(means), atol=1e-4, rtol=1e-3)
    assert not both[2:].any()
    assert (encoder([f"{first} {second}"])[0][1:5] - encoder([first])[0][1:5]).abs().max() > 0.05
    assert alone([" ".join([first] * 20)]).shape == (1, 4, 384)


def test_the_mean_leaves_padding_out():
    embed = torch.zeros(1, 4, 2)
    embed[0, :2] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])
    assert masked_mean(embed).tolist() == [[2.0, 3.0]]
    assert masked_mean(torch.zeros(1, 4, 2)).tolist() == [[0.0, 0.0]]


def test_a_folder_without_an_encoder_is_named(tmp_path):
    with pytest.raises(InputError, match="not a text encoder in transformers' layout"):
        load_text_encoder(TextSettings(folder=str(tmp_path)), CPU)


def make_umt5(text_encoder, tokenizer, words=("red", "circle")):
    """A tiny UMT5 in transformers' layout, and a tokenizer that knows these words."""
    known = {word: number for number, word in enumerate(("<pad>", "</s>", "<unk>", *words))}
    made = Tokenizer(models.WordLevel(known, unk_token="<unk>"))
    made.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    ).save_pretrained(tokenizer)
    config = transformers.UMT5Config(vocab_size=8, d_model=16, d_kv=4, d_ff=16, num_layers=1, num_heads=2)
    torch.manual_seed(0)
    transformers.UMT5EncoderModel(config).save_pretrained(text_encoder)


@pytest.mark.parametrize("tokenizer", ["text_encoder", "tokenizer"])
def test_umt5_loads_in_bf16_with_the_tokenizer_beside_it_or_in_its_folder(tmp_path, tokenizer):
    make_umt5(tmp_path / "text_encoder", tmp_path / tokenizer)
    encoder = load_text_encoder(TextSettings(folder=str(tmp_path / "text_encoder"), rows=12), CPU)
    embed = encoder(["red circle", "red"])
    assert embed.shape == (2, 12, 16)
    assert (embed != 0).any(-1).sum(1).tolist() == [2, 1]
    assert embed.dtype == torch.bfloat16
    assert {parameter.dtype for parameter in encoder.model.parameters()} == {torch.bfloat16}
    exact = transformers.UMT5EncoderModel.from_pretrained(tmp_path / "text_encoder")(torch.tensor([[3, 4]]))
    torch.testing.assert_close(embed[0, :2].float(), exact.last_hidden_state[0], atol=0.05, rtol=0.05)


def test_the_tokenizer_beside_comes_first(tmp_path, monkeypatch):
    make_umt5(tmp_path / "text_encoder", tmp_path / "text_encoder", words=["circle", "red"])
    make_umt5(tmp_path / "text_encoder", tmp_path / "tokenizer")
    monkeypatch.chdir(tmp_path)
    assert load_text_encoder(TextSettings(folder="text_encoder", rows=4), CPU).tokenizer("red").input_ids == [3]


def test_a_folder_without_a_tokenizer_is_named(tmp_path):
    make_umt5(tmp_path / "text_encoder", tmp_path / "elsewhere")
    with pytest.raises(InputError, match="text_encoder: not a tokenizer in transformers' layout"):
        load_text_encoder(TextSettings(folder=str(tmp_path / "text_encoder"), rows=12), CPU)


def test_contact_sheets_show_each_video_at_the_same_frames(tmp_path, video):
    sheet = contact_sheet({"truth": video, "copy": video}, [0, 4, 8], scale=2)
    assert sheet.size == (3 * 64, 2 * (64 + LABEL))
    write_png(tmp_path / "sheet.png", sheet)
    again = np.asarray(Image.open(tmp_path / "sheet.png"))
    assert (again[LABEL : LABEL + 64 : 2, 64:128:2] == video[4]).all()


def test_long_names_are_broken_into_lines(video):
    """A prompt that is wider than its row of frames."""
    prompt = "a red circle moves up and then quickly to the right"
    sheet = contact_sheet({prompt: video}, [0, 4], scale=2)
    lines = (sheet.height - 64) // LABEL
    assert lines > 1
    assert sheet.size == (2 * 64, 64 + LABEL * lines)
    assert (np.asarray(sheet)[: LABEL * lines, -2:] == 255).all(), "nothing is cut off"


def test_gifs_hold_every_frame(tmp_path, video):
    write_gif(tmp_path / "clip.gif", video, scale=2)
    with Image.open(tmp_path / "clip.gif") as picture:
        assert picture.n_frames == 9
        assert picture.size == (64, 64)


def test_clips_among_others_are_small(video):
    assert shrunk(video) is video
    large = np.kron(video, np.ones((1, 9, 26, 1), np.uint8))[:, :, :830]
    small = shrunk(large)
    assert small.shape == (9, 288 // 7, 830 // 7, 3)
    assert max(small.shape[1:3]) <= LONGEST
    squares = large[0, :14, :14].reshape(2, 7, 2, 7, 3).mean((1, 3))
    assert np.abs(small[0, :2, :2] - squares).max() <= 0.5


def test_mp4_can_be_read_again(tmp_path, video):
    write_mp4(tmp_path / "clip.mp4", video, scale=2)
    with av.open(str(tmp_path / "clip.mp4")) as container:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    assert frames.shape == (9, 64, 64, 3)
    assert np.abs(frames[:, ::2, ::2].astype(int) - video).mean() < 12
