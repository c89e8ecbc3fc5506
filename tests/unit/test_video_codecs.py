import pytest
import torch
from diffusers import AutoencoderKLWan

from interdiff.errors import InputError
from interdiff.learning.checkpoints import save_checkpoint
from interdiff.video.codec.codec import reconstruction_psnr
from interdiff.video.codec.linear import LinearCodec, fit_linear_codec
from interdiff.video.codec.loading import load_codec
from interdiff.video.codec.settings import CodecUse
from interdiff.video.codec.sizes import codec_bytes
from interdiff.video.codec.wan_vae import WanCodec

CPU = torch.device("cpu")
WAN = CodecUse(kind="wan_vae")
TINY = {"base_dim": 3, "z_dim": 16, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 1}
TINY |= {"temperal_downsample": [False, True, True]}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("vae")
    AutoencoderKLWan(**TINY).save_pretrained(folder)
    return folder


@pytest.fixture
def video():
    return torch.randint(256, (2, 9, 16, 24, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)


def test_wans_latents_are_normalised_and_come_back_denormalised(folder, video):
    codec = load_codec(WAN, folder, CPU)
    assert codec.factor == 8
    z = codec.encode(video)
    assert z.shape == (2, 16, 3, 2, 3)
    mean, std = (
        torch.tensor(getattr(codec.vae.config, f"latents_{name}")).view(1, -1, 1, 1, 1) for name in ("mean", "std")
    )
    raw = codec.vae.encode(video.permute(0, 4, 1, 2, 3) / 127.5 - 1).latent_dist.mode()
    torch.testing.assert_close(z, (raw - mean) / std)
    decoded = codec.decode(z)
    assert (decoded.shape, decoded.dtype) == (video.shape, torch.uint8)
    shown = (codec.vae.decode(raw).sample.detach().permute(0, 2, 3, 4, 1) + 1) * 127.5
    torch.testing.assert_close(decoded.float(), shown.clamp(0, 255), atol=0.51, rtol=0)


@pytest.mark.parametrize("tiled", [False, True])
def test_wans_vae_is_tiled_where_it_is_asked_for(folder, monkeypatch, tiled):
    codec, parts = load_codec(WAN.model_copy(update={"tiled": tiled}), folder, CPU), []
    for name in ("tiled_encode", "tiled_decode"):
        whole = getattr(codec.vae, name)
        monkeypatch.setattr(
            codec.vae,
            name,
            lambda *given, name=name, whole=whole, **options: parts.append(name) or whole(*given, **options),
        )
    video = torch.randint(256, (1, 1, 16, 264, 3), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    assert codec.decode(codec.encode(video)).shape == video.shape
    assert parts == (["tiled_encode", "tiled_decode"] if tiled else [])


def test_tiles_need_less_memory_than_large_pictures():
    tiled = WAN.model_copy(update={"tiled": True})
    assert codec_bytes(tiled, 480 * 832, 2) < 0.3 * codec_bytes(WAN, 480 * 832, 2)
    assert codec_bytes(tiled, 64 * 64, 2) == codec_bytes(WAN, 64 * 64, 2)


def test_the_real_configuration_has_the_published_shapes():
    with torch.device("meta"):
        codec = WanCodec(AutoencoderKLWan(), tiled=False)
        z = codec.encode(torch.empty(1, 17, 480, 832, 3, dtype=torch.uint8))
    assert z.shape == (1, 16, 5, 60, 104)
    assert sum(parameter.numel() for parameter in codec.parameters()) == pytest.approx(126.9e6, rel=1e-3)


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match=f"{tmp_path}: not a VAE"):
        load_codec(WAN, tmp_path, CPU)


def test_a_fitted_codec_comes_back_from_its_checkpoint(tmp_path, video):
    codec = LinearCodec(8)
    codec.basis = torch.linalg.qr(torch.randn(codec.basis.shape[1], 16))[0].T.contiguous()
    names = ("model.safetensors", "config.json", "history.csv")
    outputs = {name.split(".")[0]: tmp_path / name for name in names}
    save_checkpoint(outputs, codec, {"kind": "linear_codec", "model": {"factor": 8}}, [])
    again = load_codec(CodecUse(), tmp_path, CPU)
    torch.testing.assert_close(again.encode(video), codec.encode(video))


def test_the_psnr_of_a_flat_guess_is_that_of_the_spread(video):
    decibels = reconstruction_psnr(LinearCodec(8), video)
    assert decibels == pytest.approx(float(-10 * (video.double() / 255).square().mean().log10()))


@pytest.mark.parametrize(("whitening", "power"), [(1.0, 0.0), (0.5, 0.5), (0.0, 1.0)])
def test_latents_vary_as_much_as_whitening_leaves_of_what_pixels_do(video, whitening, power):
    codec = fit_linear_codec([video], 4, whitening)
    pixels = fit_linear_codec([video], 4, 0.0).encode(video).transpose(0, 1).flatten(1).std(1)
    latents = codec.encode(video).transpose(0, 1).flatten(1).std(1)
    torch.testing.assert_close(latents / latents[0], (pixels / pixels[0]) ** power, atol=1e-4, rtol=1e-3)
    assert latents.square().mean().item() == pytest.approx(1, rel=0.02)
    torch.testing.assert_close(
        codec.decode(codec.encode(video)),
        fit_linear_codec([video], 4).decode(fit_linear_codec([video], 4).encode(video)),
        atol=1,
        rtol=0,
    )
