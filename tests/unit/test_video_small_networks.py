"""Small networks of the backbone's kind."""

import copy

import torch
from diffusers.models.transformers.transformer_wan import WanAttnProcessor
from test_video_two_phase import ALL, DIM, EMBED, NOISE, B, backbone  # noqa: F401

from interdiff.video.backbone.backbone import build_backbone, transformer_config
from interdiff.video.backbone.settings import TransformerSettings


def test_an_untrained_backbone_attends_to_near_frames():
    settings = TransformerSettings(num_layers=1, num_attention_heads=2, attention_head_dim=64, ffn_dim=32)
    transformer = build_backbone(**transformer_config(settings, DIM)).transformer
    attention, rope = transformer.blocks[0].attn1, transformer.rope
    turns = torch.complex(rope.freqs_cos[:21, ::2], rope.freqs_sin[:21, ::2])
    turns[:, rope.t_dim // 2 :] = 1  # the same place in every frame
    query, key = (
        torch.view_as_complex(norm(project(torch.zeros(1, 128))).double().reshape(2, 32, 2))
        for project, norm in ((attention.to_q, attention.norm_q), (attention.to_k, attention.norm_k))
    )
    logits = (query[:, None] * turns[0] * (key[:, None] * turns).conj()).sum(-1).real / 8
    assert (logits.argmax(-1) == 0).all()
    assert (logits[:, :4].diff() < 0).all()
    assert (logits[:, 0] - logits[:, 5:].mean(-1) > 1).all()


def test_few_tokens_attend_as_stock_wan_has_them(backbone):  # noqa: F811
    level = torch.full((B, 1), 0.5)
    ours = backbone(NOISE, level, EMBED, ALL)
    stock = copy.deepcopy(backbone)
    stock.transformer.set_attn_processor(WanAttnProcessor())
    torch.testing.assert_close(ours, stock(NOISE, level, EMBED, ALL), atol=1e-5, rtol=1e-5)
