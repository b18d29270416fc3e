"""Writes test/diffusion/zero-snr.json: schedules and sampling with zero terminal SNR, as diffusers computes them.

Written with diffusers 0.42: python test/reference/zero_snr.py test/diffusion/zero-snr.json
"""

import json
import sys

import diffusers
import diffusers.schedulers.scheduling_ddpm as ddpm
import torch

SCHEDULES = {
    "linear": {},
    "scaled_linear": {"beta_start": 0.00085, "beta_end": 0.012},
    "squaredcos_cap_v2": {},
}
COMMON = {
    "rescale_betas_zero_snr": True,
    "prediction_type": "v_prediction",
    "timestep_spacing": "trailing",
}
SAMPLERS = {
    "DDPMScheduler": {"clip_sample": False},
    "DDIMScheduler": {"clip_sample": False, "set_alpha_to_one": True},
    "DPMSolverMultistepScheduler": {"final_sigmas_type": "sigma_min", "lower_order_final": True},
}
SHOWN = [0, 1, 100, 500, 900, 990, 997, 998, 999]
START = [0.3, -1.7, 0.9, 2.1, -0.4, 0.05]
NOISE = [1.1, -0.2, 0.7, -0.9, 0.3, -1.4]

ddpm.randn_tensor = lambda shape, **_: torch.tensor(NOISE).reshape(shape)

schedules = {}
for name, config in SCHEDULES.items():
    scheduler = diffusers.DDPMScheduler(beta_schedule=name, **config, **COMMON)
    schedules[name] = {
        "config": {"beta_schedule": name, **config},
        "betas": [scheduler.betas[t].item() for t in SHOWN],
        "alphas_cumprod": [scheduler.alphas_cumprod[t].item() for t in SHOWN],
    }

samplers = {}
for name, config in SAMPLERS.items():
    config = {"beta_schedule": "scaled_linear", **SCHEDULES["scaled_linear"], **COMMON, **config}
    scheduler = getattr(diffusers, name)(**config)
    scheduler.set_timesteps(10)
    x = torch.tensor([START])
    steps = []
    for t in scheduler.timesteps:
        x = scheduler.step(0.5 * torch.tanh(x) - 0.1, t, x).prev_sample
        steps.append(x[0].tolist())
    samplers[name] = {"config": config, "timesteps": scheduler.timesteps.tolist(), "steps": steps}

with open(sys.argv[1], "w") as file:
    json.dump(
        {"diffusers": diffusers.__version__, "shown": SHOWN, "start": START, "noise": NOISE, "schedules": schedules, "samplers": samplers},
        file,
        indent=1,
    )
    file.write("\n")
