"""Outputs and gradients of diffusers' UNet2DConditionModel for test/models/unet2d.

Needs torch, diffusers 0.19.3, safetensors and numpy. Weights are not stored: they follow from a parameter's name and
position by hash_weights.py, which test/helpers/hash-weights.ts repeats. Everything is computed in float64.

    python test/reference/unet2d.py

writes test/models/unet2d/reference/NAME.safetensors (in.*, out.*, grad.*) and parameters.json (names and shapes).
"""

import json
from pathlib import Path

import numpy as np
import torch
from diffusers import UNet2DConditionModel
from hash_weights import values, weight
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent.parent / "models" / "unet2d"
# [N, C, H, W] of the sample and [N, L, D] of the text.
INPUTS = {
    "if2": ((2, 6, 8, 4), (2, 5, 24)),
    "if1": ((2, 3, 8, 4), (2, 5, 24)),
    "sd1": ((2, 4, 7, 5), (2, 5, 24)),
    "sd2": ((2, 4, 6, 5), (2, 3, 24)),
}


def main():
    configs = json.loads((HERE / "configs.json").read_text())
    names = {}
    (HERE / "reference").mkdir(exist_ok=True)
    for name, config in configs.items():
        model = UNet2DConditionModel.from_config(config).eval()
        state = {key: torch.from_numpy(weight(key, tuple(p.shape))) for key, p in model.state_dict().items()}
        names[name] = {key: list(p.shape) for key, p in model.state_dict().items()}
        model.load_state_dict(state)
        model.double()
        sample_shape, text_shape = INPUTS[name]
        sample = torch.from_numpy(values("sample", sample_shape) * np.float32(1.7))
        text = torch.from_numpy(values("text", text_shape) * np.float32(1.7))
        timestep = torch.tensor([3, 700])
        inputs = {"sample": sample, "timestep": timestep, "encoder_hidden_states": text}
        if config.get("class_embed_type") == "timestep":
            inputs["class_labels"] = torch.tensor([0, 250])
        elif config.get("class_embed_type"):
            inputs["class_labels"] = torch.from_numpy(values("labels", (2, 12)))
        doubles = {k: v.double().requires_grad_() if v.is_floating_point() else v for k, v in inputs.items()}
        out = model(**doubles).sample
        target = torch.from_numpy(values("target", tuple(out.shape)))
        loss = ((out - target) ** 2).mean()
        loss.backward()
        io = {f"in.{k}": v for k, v in inputs.items()}
        io |= {"in.target": target, "out.sample": out, "out.loss": loss.reshape(1)}
        io |= {f"grad.in.{k}": v.grad for k, v in doubles.items() if v.is_floating_point()}
        square = sum((p.grad**2).sum() for p in model.parameters() if p.grad is not None)
        io["grad.global_norm_all_params"] = square.sqrt().reshape(1)
        arrays = {k: v.detach().numpy() for k, v in io.items()}
        arrays = {k: v.astype(np.float32 if v.dtype == np.float64 else v.dtype) for k, v in arrays.items()}
        save_file(arrays, HERE / "reference" / f"{name}.safetensors")
        print(name, sum(p.numel() for p in model.parameters()), "parameters, output deviation", float(out.detach().std()))
    lines = [
        f' {json.dumps(n)}: {{\n' + ",\n".join(f"  {json.dumps(k)}: {json.dumps(s)}" for k, s in p.items()) + "\n }"
        for n, p in names.items()
    ]
    (HERE / "reference" / "parameters.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


main()
