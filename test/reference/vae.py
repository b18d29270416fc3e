"""Reference values of diffusers' AutoencoderKL for test/models/vae: run with diffusers 0.19.3 in the Python path.

    python test/reference/vae.py

Writes test/models/vae/reference/<name>/{config.json, weights.safetensors, io.safetensors}, which `show1 verify` reads too.
"""

import json
from pathlib import Path

import torch
from diffusers import AutoencoderKL
from safetensors.torch import save_file

OUT = Path(__file__).parent.parent / "models" / "vae" / "reference"

# name: (config, height, width, with gradients)
CASES = {
    # attention in a level, an activation that the end of encoder and decoder does not share, more than one layer
    "attention": (
        dict(
            down_block_types=["DownEncoderBlock2D", "AttnDownEncoderBlock2D", "DownEncoderBlock2D"],
            up_block_types=["UpDecoderBlock2D", "AttnUpDecoderBlock2D", "UpDecoderBlock2D"],
            block_out_channels=[4, 4, 6],
            layers_per_block=2,
            act_fn="gelu",
            norm_num_groups=2,
            latent_channels=3,
            scaling_factor=0.5,
        ),
        12,
        20,
        True,
    ),
    # one level: nothing is halved; channels in and out differ
    "single": (
        dict(block_out_channels=[6], act_fn="mish", norm_num_groups=3, in_channels=1, out_channels=2, latent_channels=2),
        5,
        7,
        False,
    ),
    # sides that halving rounds down
    "odd": (
        dict(
            down_block_types=["DownEncoderBlock2D"] * 3,
            up_block_types=["UpDecoderBlock2D"] * 3,
            block_out_channels=[4, 8, 4],
            norm_num_groups=4,
        ),
        13,
        22,
        False,
    ),
}


def write(name, options, height, width, with_gradients):
    torch.manual_seed(sum(name.encode()))
    model = AutoencoderKL(**options)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.25 * torch.randn_like(parameter)
    config = model.config
    image = torch.rand(2, config.in_channels, height, width) * 2 - 1
    latents = model.encode(image).latent_dist
    noise = torch.randn_like(latents.mean)
    latent = torch.randn_like(latents.mean)
    io = {
        "in.image": image,
        "in.noise": noise,
        "in.latent": latent,
        "out.mean": latents.mean,
        "out.logvar": latents.logvar,
        "out.std": latents.std,
        "out.sample": latents.mean + latents.std * noise,
        "out.decoded": model.decode(latent).sample,
    }
    if with_gradients:
        reconstruction = model.decode(io["out.sample"]).sample
        io["in.target"] = torch.randn_like(reconstruction)
        image.requires_grad_()
        latents = model.encode(image).latent_dist
        loss = (model.decode(latents.mean + latents.std * noise).sample - io["in.target"]).square().mean()
        loss.backward()
        io["out.loss"] = loss.reshape(1)
        io["grad.in.image"] = image.grad
        for key, parameter in model.named_parameters():
            # softmax does not see a constant added to all scores of a query: the keys' bias has no gradient
            if not key.endswith("to_k.bias"):
                io[f"grad.param.{key}"] = parameter.grad
    folder = OUT / name
    folder.mkdir(parents=True, exist_ok=True)
    fixture = {
        "kind": "autoencoder_kl",
        "layout": "NCHW",
        "call": "encode(in.image) -> mean, logvar, std; out.sample = mean + std*in.noise; decode(in.latent) -> out.decoded; "
        "loss = mean((decode(out.sample) - in.target)^2)",
    }
    json_config = {"_class_name": "AutoencoderKL", **{k: v for k, v in config.items() if not k.startswith("_")}}
    (folder / "config.json").write_text(json.dumps({**json_config, "_fixture": fixture}, indent=1) + "\n")
    save_file({k: v.detach().contiguous() for k, v in model.state_dict().items()}, folder / "weights.safetensors")
    save_file({k: v.detach().clone().contiguous() for k, v in io.items()}, folder / "io.safetensors")


for case, arguments in CASES.items():
    write(case, *arguments)
