"""Folders as Python's diffusers and transformers write them, with tiny random models, and what Python computes with them.

    python test/reference/diffusers_folder.py OUT [--seed N] [--only NAME ...] [--golden] [--check]

Works with diffusers 0.19.3 (transformers 4.29.1) and with later ones; needs torch, safetensors, Pillow. Writes

    OUT/report.json              versions, prompts, settings of every case, defaults of the classes
    OUT/CASE/                    a pipeline (ddim, dpm-fp16, ddpm-sharded, if-sr) or a UNet (options, groups16)
    OUT/CASE.safetensors         its run: embeddings, recorded noise, every step, the result
    OUT/schedulers/NAME/         scheduler_config.json
    OUT/schedulers.safetensors   walks of all of them, from model outputs that follow from their names

Weights follow from --seed and a parameter's name by hash_weights.py. --golden writes only the case `ddim`, without its
weight files but with parameters.json (names and shapes), for test/interop/golden. --check measures how much the latents
of `ddim` change when each parameter in turn is drawn anew, in units of the test's tolerance.
"""

import argparse
import inspect
import json
import shutil
from pathlib import Path

import diffusers
import numpy as np
import torch
import transformers
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    DDPMScheduler,
    DPMSolverMultistepScheduler,
    IFSuperResolutionPipeline,
    UNet2DConditionModel,
    UNet3DConditionModel,
    VideoToVideoSDPipeline,
)
from hash_weights import values, weight
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer, T5Config, T5EncoderModel

SHARDS_MODELS = "max_shard_size" in inspect.signature(UNet3DConditionModel.save_pretrained).parameters

PROMPT = "A red square moves up! It's a 3D video of a red, red square"  # longer than the encoder takes
NEGATIVE = "low resolution, blur"
SMALL = (3, 8, 12)  # frames, height, width of the video that is enlarged
SIZE = (16, 24)

UNET3D = dict(
    sample_size=8,
    block_out_channels=[64, 64],
    layers_per_block=1,
    down_block_types=["CrossAttnDownBlock3D", "DownBlock3D"],
    up_block_types=["UpBlock3D", "CrossAttnUpBlock3D"],
    attention_head_dim=16,
    cross_attention_dim=24,
    norm_num_groups=32,
)
VAE = dict(
    block_out_channels=[32, 32],
    down_block_types=["DownEncoderBlock2D"] * 2,
    up_block_types=["UpDecoderBlock2D"] * 2,
    layers_per_block=1,
    norm_num_groups=16,
    sample_size=24,
)
CLIP = dict(
    hidden_size=24,
    intermediate_size=40,
    num_hidden_layers=2,
    num_attention_heads=3,
    max_position_embeddings=16,
    hidden_act="gelu",
)
T5 = dict(
    vocab_size=40,
    d_model=24,
    d_kv=8,
    d_ff=32,
    num_layers=2,
    num_heads=3,
    feed_forward_proj="gated-gelu",
    relative_attention_num_buckets=8,
)
# DeepFloyd IF-II's options
UNET2D = dict(
    sample_size=16,
    in_channels=6,
    out_channels=6,
    down_block_types=["ResnetDownsampleBlock2D", "SimpleCrossAttnDownBlock2D"],
    mid_block_type="UNetMidBlock2DSimpleCrossAttn",
    up_block_types=["SimpleCrossAttnUpBlock2D", "ResnetUpsampleBlock2D"],
    only_cross_attention=True,
    block_out_channels=[16, 32],
    layers_per_block=[1, 2],
    mid_block_scale_factor=2**0.5,
    act_fn="gelu",
    norm_num_groups=8,
    cross_attention_dim=32,
    encoder_hid_dim=24,
    attention_head_dim=8,
    class_embed_type="timestep",
    addition_embed_type="text",
    addition_embed_type_num_heads=4,
    resnet_time_scale_shift="scale_shift",
    resnet_skip_time_act=True,
    resnet_out_scale_factor=2**0.5,
    time_embedding_dim=48,
    time_embedding_act_fn="gelu",
    cross_attention_norm="group_norm",
)
LATENT_BETAS = dict(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012)
LATENT_DDIM = dict(**LATENT_BETAS, clip_sample=False, set_alpha_to_one=False, steps_offset=1)
IF_DDPM = dict(
    beta_schedule="squaredcos_cap_v2",
    variance_type="learned_range",
    thresholding=True,
    dynamic_thresholding_ratio=0.95,
    sample_max_value=1.5,
)


def randomised(model, seed):
    """The model with weights by name; all of them count, those that start at zero too."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(torch.from_numpy(weight(f"{seed}.{own_name(name)}", tuple(parameter.shape))))
    return model.eval()


def own_name(name):
    """transformers 5 left out a prefix; the weights shall not depend on it."""
    return name.removeprefix("text_model.")


def numbers(name, shape, scale=1.7):
    return torch.from_numpy(values(name, shape) * np.float32(scale))


class Recorded:
    """Keeps what torch.randn draws inside the `with`."""

    def __enter__(self):
        self.drawn, self.original = [], torch.randn

        def randn(*args, **kwargs):
            self.drawn.append(self.original(*args, **kwargs))
            return self.drawn[-1].clone()

        torch.randn = randn
        return self

    def __exit__(self, *_):
        torch.randn = self.original


# --- text -----------------------------------------------------------------------------------------------------------


def write_tokenizer(folder):
    """A byte-level vocabulary with the merges of a few words, padded with "!" as that of Stable Diffusion 2 is."""
    visible = [b for b in range(256) if 0x20 < b < 0x7F or 0xA0 < b != 0xAD]
    hidden = [b for b in range(256) if b not in visible]
    characters = [chr(b) for b in visible] + [chr(256 + i) for i in range(len(hidden))]
    merges = []
    for word in ["red", "square", "moves", "video", "low", "blur", "up"]:
        parts = [*word[:-1], word[-1] + "</w>"]
        while len(parts) > 1:
            pair = (parts[0], parts[1])
            if pair not in merges:
                merges.append(pair)
            parts = ["".join(pair), *parts[2:]]
    tokens = [*characters, *[c + "</w>" for c in characters], *["".join(pair) for pair in merges]]
    tokens = list(dict.fromkeys([*tokens, "<|startoftext|>", "<|endoftext|>"]))
    folder.mkdir(parents=True)
    (folder / "vocab.json").write_text(json.dumps({token: i for i, token in enumerate(tokens)}, ensure_ascii=False))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "".join(f"{a} {b}\n" for a, b in merges))
    config = {"tokenizer_class": "CLIPTokenizer", "model_max_length": CLIP["max_position_embeddings"]}
    config |= {"bos_token": "<|startoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<|endoftext|>", "pad_token": "!"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return len(tokens)


def clip_parts(scratch, seed):
    shutil.rmtree(scratch, ignore_errors=True)
    size = write_tokenizer(scratch)
    tokenizer = CLIPTokenizer.from_pretrained(scratch)
    shutil.rmtree(scratch)
    ids = dict(vocab_size=size, bos_token_id=size - 2, eos_token_id=size - 1, pad_token_id=0)
    return tokenizer, randomised(CLIPTextModel(CLIPTextConfig(**CLIP, **ids)), seed)


# --- pipelines ------------------------------------------------------------------------------------------------------


def small_video():
    """[F, h, w, 3] in [-1, 1], as the stage before gives it, somewhat beyond its range."""
    return numbers("video", (*SMALL, 3), 1.1)


def enlarged(video):
    """Show-1's run_inference.py: 8-bit frames, PIL's default filter."""
    frames = ((video * 0.5 + 0.5).clamp(0, 1) * 255).numpy().astype(np.uint8)
    return [Image.fromarray(frame).resize(SIZE[::-1]) for frame in frames]


def save_pipeline(pipe, folder, **options):
    """`max_shard_size` goes to the parts, as it does in versions whose models can be in shards."""
    size = options.pop("max_shard_size", None)
    pipe.save_pretrained(folder, safe_serialization=True, **options)
    if size is None:
        return
    parts = ["text_encoder", "unet", "vae"] if SHARDS_MODELS else ["text_encoder"]  # transformers always could
    for part in parts:
        shutil.rmtree(folder / part)
        getattr(pipe, part).save_pretrained(folder / part, safe_serialization=True, max_shard_size=size)


def run_video(folder, *, steps, strength=0.8, guidance=15.0, variant=None):
    """Loads the folder and runs it; returns the tensors of the run and its timesteps."""
    pipe = VideoToVideoSDPipeline.from_pretrained(
        folder, torch_dtype=torch.float32, variant=variant, low_cpu_mem_usage=False
    )
    pipe.set_progress_bar_config(disable=True)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        assert all(p.dtype == torch.float32 for p in part.parameters())
        part.eval()
    video = small_video()
    frames = enlarged(video)
    latents, embeddings, decoded, given = [], [], [], []
    decode, encoder, unet = pipe.decode_latents, pipe.text_encoder.forward, pipe.unet.forward
    pipe.decode_latents = lambda *a: decoded.append(decode(*a)) or decoded[-1]

    def embed(*args, **kwargs):
        out = encoder(*args, **kwargs)
        embeddings.append((args[0] if args else kwargs["input_ids"], out[0]))
        return out

    def predict(sample, *args, **kwargs):
        out = unet(sample, *args, **kwargs)
        given.append((sample.clone(), out[0].clone()))
        return out

    pipe.text_encoder.forward, pipe.unet.forward = embed, predict
    with Recorded() as noise:
        pipe(
            PROMPT,
            negative_prompt=NEGATIVE,
            video=frames,
            strength=strength,
            num_inference_steps=steps,
            guidance_scale=guidance,
            generator=torch.Generator().manual_seed(0),
            callback=lambda i, t, x: latents.append(x.clone()),
            callback_steps=1,
            output_type="pt",
        )
    vae_noise, latent_noise, *step_noises = noise.drawn
    (ids, prompt), (negative_ids, negative) = embeddings
    io = {
        "in.video": video[None],  # [1, F, h, w, 3]
        "in.frames": torch.from_numpy(np.stack([np.array(frame) for frame in frames])),  # [F, H, W, 3]
        "in.vae_noise": vae_noise,  # [F, 4, h, w]
        "in.latent_noise": latent_noise,
        "in.input_ids": torch.cat([ids, negative_ids]).int(),
        "out.prompt_embeds": prompt,
        "out.negative_prompt_embeds": negative,
        "out.first_unet_input": given[0][0],
        "out.unet_outputs": torch.stack([output for _, output in given]),  # [N, 2, C, F, h, w]
        "out.steps": torch.stack(latents),  # [N, 1, C, F, h, w]
        "out.video": decoded[0],  # [1, 3, F, H, W]
    }
    if step_noises:
        io["in.step_noises"] = torch.stack(step_noises)  # [N', F, C, h, w]
    settings = dict(steps=steps, strength=strength, guidance=guidance, timesteps=[int(t) for t in pipe.scheduler.timesteps])
    return io, settings, pipe


def video_pipeline(out, seed, scheduler):
    tokenizer, text_encoder = clip_parts(out / "tokenizer-scratch", seed)
    unet = randomised(UNet3DConditionModel(**UNET3D), seed)
    vae = randomised(AutoencoderKL(**VAE), seed)
    return VideoToVideoSDPipeline(vae, text_encoder, tokenizer, unet, scheduler)


def ddim(out, seed):
    folder = out / "ddim"
    save_pipeline(video_pipeline(out, seed, DDIMScheduler(**LATENT_DDIM)), folder)
    return run_video(folder, steps=4)


def dpm_fp16(out, seed):
    """Half-precision files alone, under a variant's names, and the scheduler as users make it from that of a pipeline."""
    folder = out / "dpm-fp16"
    scheduler = DPMSolverMultistepScheduler.from_config(DDIMScheduler(**LATENT_DDIM).config)
    pipe = video_pipeline(out, seed, scheduler)
    for part in (pipe.unet, pipe.vae, pipe.text_encoder):
        part.half()
    save_pipeline(pipe, folder, variant="fp16")
    return run_video(folder, steps=5, strength=0.6, guidance=4.0, variant="fp16")


def ddpm_sharded(out, seed):
    """A scheduler that draws noise, and weights in several files."""
    folder = out / "ddpm-sharded"
    scheduler = DDPMScheduler(**LATENT_BETAS, clip_sample=False, steps_offset=1)
    save_pipeline(video_pipeline(out, seed, scheduler), folder, max_shard_size="40KB" if not SHARDS_MODELS else "700KB")
    if SHARDS_MODELS:
        encoder = CLIPTextModel.from_pretrained(folder / "text_encoder")
        encoder.save_pretrained(folder / "text_encoder", safe_serialization=True, max_shard_size="40KB")
        (folder / "text_encoder" / "model.safetensors").unlink(missing_ok=True)
    return run_video(folder, steps=4, strength=1.0)


def if_sr(out, seed):
    """The image model of Show-1's first frame: a text encoder, a UNet and two schedulers as DeepFloyd IF has them."""
    folder = out / "if-sr"
    pipe = IFSuperResolutionPipeline(
        tokenizer=None,
        text_encoder=randomised(T5EncoderModel(T5Config(**T5)), seed),
        unet=randomised(UNet2DConditionModel(**UNET2D), seed),
        scheduler=DDPMScheduler(**IF_DDPM),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        safety_checker=None,
        feature_extractor=None,
        watermarker=None,
        requires_safety_checker=False,
    )
    pipe.save_pretrained(folder, safe_serialization=True)
    parts = dict(tokenizer=None, safety_checker=None, feature_extractor=None, watermarker=None)
    pipe = IFSuperResolutionPipeline.from_pretrained(folder, **parts, low_cpu_mem_usage=False, torch_dtype=torch.float32)
    pipe.set_progress_bar_config(disable=True)
    ids = torch.tensor([[5, 9, 31, 7, 1, 0, 0], [1, 0, 0, 0, 0, 0, 0]])
    mask = (ids != 0).long()
    with torch.no_grad():
        prompt, negative = pipe.text_encoder(ids, attention_mask=mask)[0].split(1)
    image = numbers("image", (1, 3, 4, 6), 1.1)
    steps = []
    with Recorded() as noise:
        result = pipe(
            image=image,
            prompt_embeds=prompt,
            negative_prompt_embeds=negative,
            height=16,
            width=24,
            num_inference_steps=70,  # as Show-1's run_inference.py
            guidance_scale=4.0,
            noise_level=150,
            generator=torch.Generator().manual_seed(0),
            callback=lambda i, t, x: steps.append(x.clone()),
            callback_steps=1,
            output_type="pt",
        ).images
    initial, augmentation, *step_noises = noise.drawn
    io = {
        "in.image": image,
        "in.input_ids": ids.int(),
        "in.attention_mask": mask.int(),
        "in.initial_noise": initial,
        "in.aug_noise": augmentation,
        "in.step_noises": torch.stack(step_noises),
        "out.prompt_embeds": prompt,
        "out.negative_prompt_embeds": negative,
        "out.steps": torch.stack(steps),
        "out.image": result,
    }
    return io, dict(steps=70, guidance=4.0, noise_level=150, height=16, width=24), pipe


# --- single UNets ---------------------------------------------------------------------------------------------------

# Every option at another value than its default; sides that do not halve.
OPTIONS = dict(
    in_channels=5,
    out_channels=3,
    block_out_channels=[64, 96, 128],
    layers_per_block=2,
    down_block_types=["DownBlock3D", "CrossAttnDownBlock3D", "DownBlock3D"],
    up_block_types=["CrossAttnUpBlock3D", "UpBlock3D", "CrossAttnUpBlock3D"],
    attention_head_dim=24,
    cross_attention_dim=20,
    act_fn="gelu",
    norm_eps=1e-2,
    mid_block_scale_factor=1.7,
    downsample_padding=1,
)


def lone_unet(out, name, seed, config):
    randomised(UNet3DConditionModel(**config), seed).save_pretrained(out / name, safe_serialization=True)
    unet, info = UNet3DConditionModel.from_pretrained(out / name, low_cpu_mem_usage=False, output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    unet.eval()
    sample = numbers("sample", (2, unet.config.in_channels, 3, 7, 5))
    text = numbers("text", (2, 6, unet.config.cross_attention_dim))
    timestep = torch.tensor([3, 871])
    with torch.no_grad():
        result = unet(sample, timestep, text).sample
    io = {"in.sample": sample, "in.text": text, "in.timestep": timestep.int(), "out.sample": result}
    return io, {}, unet


def options(out, seed):
    return lone_unet(out, "options", seed, OPTIONS)


def groups16(out, seed):
    """Norms of 16 groups: temporal layers have 32 before diffusers 0.24 and as many as all others since."""
    return lone_unet(out, "groups16", seed, {**UNET3D, "norm_num_groups": 16})


# --- schedulers -----------------------------------------------------------------------------------------------------

WALKS = {
    "ddim-defaults": (DDIMScheduler, {}),
    "ddim-latent": (DDIMScheduler, LATENT_DDIM),
    "ddim-zero-snr": (
        DDIMScheduler,
        dict(
            **LATENT_BETAS,
            prediction_type="v_prediction",
            rescale_betas_zero_snr=True,
            timestep_spacing="trailing",
            clip_sample_range=2.0,
        ),
    ),
    "ddpm-defaults": (DDPMScheduler, {}),
    "ddpm-if": (DDPMScheduler, IF_DDPM),
    "ddpm-linspace": (
        DDPMScheduler,
        dict(timestep_spacing="linspace", beta_schedule="sigmoid", variance_type="fixed_large", prediction_type="sample"),
    ),
    "dpm-defaults": (DPMSolverMultistepScheduler, {}),
    "dpm-of-ddim": (DPMSolverMultistepScheduler, DDIMScheduler(**LATENT_DDIM).config),
    "dpm-of-if": (DPMSolverMultistepScheduler, DDPMScheduler(**IF_DDPM).config),
    "dpm-order-3": (DPMSolverMultistepScheduler, dict(solver_order=3, timestep_spacing="trailing")),
    "dpm-heun": (
        DPMSolverMultistepScheduler,
        dict(solver_type="heun", beta_schedule="squaredcos_cap_v2", lambda_min_clipped=-5.1),
    ),
    "dpm-sde": (
        DPMSolverMultistepScheduler,
        dict(**LATENT_BETAS, algorithm_type="sde-dpmsolver++", timestep_spacing="leading"),
    ),
    "dpm-karras": (DPMSolverMultistepScheduler, dict(**LATENT_BETAS, use_karras_sigmas=True)),
}
WALK_STEPS = 6
WALK_SHAPE = (2, 3, 4, 4)  # [N, C, H, W]


def walk(scheduler, name):
    """Steps from noise with model outputs by name: timesteps, samples after each step, noise where any was drawn."""
    scheduler.set_timesteps(WALK_STEPS)
    learned = getattr(scheduler.config, "variance_type", None) in ("learned", "learned_range")
    n, c, h, w = WALK_SHAPE
    x = numbers(f"{name}.sample", WALK_SHAPE)
    samples, noises = [], []
    for i, t in enumerate(scheduler.timesteps):
        output = numbers(f"{name}.output.{i}", (n, 2 * c if learned else c, h, w))
        with Recorded() as noise:
            extra = {} if isinstance(scheduler, DPMSolverMultistepScheduler) else {"generator": torch.Generator()}
            x = scheduler.step(output, t, x, **extra).prev_sample
        samples.append(x)
        noises.append(noise.drawn[0] if noise.drawn else torch.zeros(WALK_SHAPE))
    return {
        f"{name}.timesteps": scheduler.timesteps.to(torch.int32),
        f"{name}.steps": torch.stack(samples),
        f"{name}.noises": torch.stack(noises),
    }


def schedulers(out, _):
    io = {}
    for name, (cls, config) in WALKS.items():
        folder = out / "schedulers" / name
        cls.from_config(config).save_pretrained(folder)
        io |= walk(cls.from_pretrained(folder), name)
    return io, {"names": list(WALKS)}, None


# --- what is written ------------------------------------------------------------------------------------------------

CASES = {
    "ddim": ddim,
    "dpm-fp16": dpm_fp16,
    "ddpm-sharded": ddpm_sharded,
    "if-sr": if_sr,
    "options": options,
    "groups16": groups16,
    "schedulers": schedulers,
}


def class_defaults():
    """Constructor defaults, which apply where a config.json lacks a key."""
    found = {}
    for cls in (
        UNet2DConditionModel,
        UNet3DConditionModel,
        AutoencoderKL,
        DDIMScheduler,
        DDPMScheduler,
        DPMSolverMultistepScheduler,
    ):
        parameters = inspect.signature(cls.__init__).parameters.values()
        found[cls.__name__] = {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}
    found["DPMSolverMultistepScheduler"]["lambda_min_clipped"] = None  # -Infinity, which JSON lacks
    return found


def sensitivity(pipe, io):
    """Change of the first predictions when each parameter is drawn anew, in units of the tolerance 1e-3 + 2e-3 |x|."""
    first = io["out.first_unet_input"]
    frames = (io["in.frames"].permute(0, 3, 1, 2).float() / 127.5) - 1
    ids = io["in.input_ids"].long()
    t = pipe.scheduler.timesteps[-1]
    runs = {
        "unet": lambda: pipe.unet(first, t, torch.cat([io["out.negative_prompt_embeds"], io["out.prompt_embeds"]])).sample,
        "vae": lambda: pipe.vae.decode(pipe.vae.encode(frames).latent_dist.mean).sample,
        "text_encoder": lambda: pipe.text_encoder(ids)[0],
    }
    report = {}
    with torch.no_grad():
        for part, run in runs.items():
            reference = run()
            for name, parameter in getattr(pipe, part).named_parameters():
                kept = parameter.clone()
                parameter.copy_(torch.from_numpy(weight(f"other.{name}", tuple(parameter.shape))))
                change = ((run() - reference).abs() / (1e-3 + 2e-3 * reference.abs())).max().item()
                parameter.copy_(kept)
                report[f"{part}.{name}"] = change
    return report


def strip_weights(folder):
    """Names and shapes of all weights instead of the weights."""
    shapes = {}
    for file in sorted(folder.glob("*/*.safetensors")):
        tensors = {k: v for k, v in load_file(file).items() if not k.endswith("position_ids")}
        shapes[file.parent.name] = {"file": file.name, "tensors": {k: list(v.shape) for k, v in tensors.items()}}
        file.unlink()
    (folder / "parameters.json").write_text(json.dumps(shapes, separators=(",", ":")) + "\n")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", nargs="*", choices=list(CASES), default=list(CASES))
    parser.add_argument("--golden", action="store_true")
    parser.add_argument("--check", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)  # the models are tiny: more threads wait for each other
    transformers.logging.set_verbosity_error()
    diffusers.logging.set_verbosity_error()
    args.out.mkdir(parents=True, exist_ok=True)
    cases = {}
    for name in ["ddim"] if args.golden else args.only:
        shutil.rmtree(args.out / name, ignore_errors=True)
        torch.manual_seed(args.seed)
        io, cases[name], pipe = CASES[name](args.out, args.seed)
        tensors = {key: tensor.detach().clone().contiguous() for key, tensor in io.items()}
        save_file(tensors, args.out / f"{name}.safetensors")
        finite = all(bool(t.isfinite().all()) for t in tensors.values())
        print(name, {k: round(t.abs().max().item(), 3) for k, t in tensors.items() if k.startswith("out.")}, finite)
        if args.check and name == "ddim":
            changes = sorted(sensitivity(pipe, io).items(), key=lambda item: item[1])
            print(f"{len(changes)} parameters; least change:", *changes[:12], sep="\n  ")
    if args.golden:
        strip_weights(args.out / "ddim")
    report = {
        "diffusers": diffusers.__version__,
        "transformers": transformers.__version__,
        "torch": torch.__version__,
        "seed": args.seed,
        "prompt": PROMPT,
        "negative": NEGATIVE,
        "cases": cases,
        "defaults": {} if args.golden else class_defaults(),
    }
    (args.out / "report.json").write_text(json.dumps(report, indent=1) + "\n")


if __name__ == "__main__":
    main()
