"""Makes the CLIP cases that test/models/text/clip.test.ts and test/models/clip/clip.test.ts check.

Run once with transformers 4.29.1 and once with a version from 5 on: texts end at the largest id for the first, at
eos_token_id for the second, which also saves CLIPTextModel without its prefix "text_model.". Each version makes its own
cases and leaves the others' as they are. Needs torch and safetensors.

    python test/reference/clip.py && npx biome format --write test/models/text/clip-cases test/models/clip/cases
"""
import json
import pathlib
import shutil
import tempfile

import torch
import transformers
from safetensors.torch import save_file
from transformers import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPTextModel

MODELS = pathlib.Path(__file__).parent.parent / "models"
MODERN = int(transformers.__version__.split(".")[0]) >= 5
TEXT = dict(vocab_size=40, bos_token_id=38, eos_token_id=2, pad_token_id=1, max_position_embeddings=12)
VISION = dict(num_channels=3)


def randomised(model, seed):
    """Weights large enough for every path to matter; norms and biases are not at their plain first values."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in model.named_parameters():
            if name == "logit_scale":
                continue
            if "norm" in name and name.endswith("weight"):
                p.copy_(1 + 0.3 * torch.randn(p.shape))
            else:
                p.copy_(torch.randn(p.shape) * (0.3 if p.ndim > 1 and "embed" not in name else 0.5))
    return model.eval()


def write(folder, model, kind, io):
    """A folder as src/verify reads it; the weights are exactly what save_pretrained writes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as saved:
        model.save_pretrained(saved, safe_serialization=True)
        shutil.copy(pathlib.Path(saved) / "model.safetensors", folder / "weights.safetensors")
        config = json.loads((pathlib.Path(saved) / "config.json").read_text())
    config["_fixture"] = {"kind": kind, "transformers": transformers.__version__}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")
    save_file({name: t.detach().contiguous() for name, t in io.items()}, folder / "io.safetensors")
    print(folder.name, sum(f.stat().st_size for f in folder.iterdir()), "bytes")


def int32(rows):
    return torch.tensor(rows, dtype=torch.int32)


def text_case(name, config, inputs, seed):
    model = randomised(CLIPTextModel(CLIPTextConfig(**{**TEXT, **config})), seed)
    io = {}
    for i, (ids, mask) in enumerate(inputs):
        suffix = "" if i == 0 else str(i + 1)
        given = {"input_ids": int32(ids), **({} if mask is None else {"attention_mask": int32(mask)})}
        with torch.no_grad():
            out = model(**{k: v.long() for k, v in given.items()}, output_hidden_states=True)
        io.update({f"in{suffix}.{k}": v for k, v in given.items()})
        io[f"out{suffix}.last_hidden_state"] = out.last_hidden_state
        io[f"out{suffix}.pooler_output"] = out.pooler_output
        io[f"out{suffix}.penultimate_hidden_state"] = out.hidden_states[-2]
    write(MODELS / "text" / "clip-cases" / name, model, "clip_text", io)


def clip_case(name, config, inputs, images, seed):
    model = randomised(CLIPModel(CLIPConfig(**config)), seed)
    size = model.config.vision_config.image_size
    pixels = torch.randn(images, 3, size, size)
    io = {"in.pixel_values": pixels}  # every case's
    for i, (ids, mask) in enumerate(inputs):
        suffix = "" if i == 0 else str(i + 1)
        given = {"input_ids": int32(ids), **({} if mask is None else {"attention_mask": int32(mask)})}
        call = {k: v.long() for k, v in given.items()}
        with torch.no_grad():
            out = model(pixel_values=pixels, **call)
            text, image = model.get_text_features(**call), model.get_image_features(pixels)
        io.update({f"in{suffix}.{k}": v for k, v in given.items()})
        for key in ("text_embeds", "image_embeds", "logits_per_text", "logits_per_image"):
            io[f"out{suffix}.{key}"] = out[key]
        io[f"out{suffix}.text_features_unnormalized"] = text.pooler_output if MODERN else text
        io[f"out{suffix}.image_features_unnormalized"] = image.pooler_output if MODERN else image
    io = {name: tensor.clone() for name, tensor in io.items()}
    write(MODELS / "clip" / "cases" / name, model, "clip", io)


IDS = [[38, 4, 9, 39, 1, 1, 1, 1, 1, 1], [38, 30, 2, 7, 7, 12, 5, 39, 39, 39], [39, 3, 39, 20, 11, 6, 8, 9, 10, 39]]
RIGHT = [[1] * 4 + [0] * 6, [1] * 8 + [0] * 2, [1] * 10]
MIDDLE = [[1, 1, 0, 1, 1, 0, 0, 1, 1, 1], [1, 0, 0, 0, 0, 0, 0, 1, 1, 0], [1, 1, 1, 1, 0, 1, 1, 1, 1, 1]]
LEFT = [[0] * 6 + [1] * 4, [0] + [1] * 9, [0] * 10]  # queries without any key, a text without any token
FULL = [[38, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 39]]

if MODERN:
    # the end is id 5, though larger ones follow: at the first place, twice, as padding, nowhere
    ends = [[5, 9, 39, 4, 5, 5], [38, 9, 5, 39, 5, 2], [38, 39, 7, 8, 9, 5], [38, 39, 7, 8, 9, 4]]
    small = dict(hidden_size=12, intermediate_size=20, num_hidden_layers=2, num_attention_heads=2)
    text_case("eos", {**small, "eos_token_id": 5}, [(ends, None), (ends, [[1, 1, 1, 1, 0, 0]] * 4)], seed=10)
    text_case("eos-is-2", small, [(ends, None)], seed=11)
    vision = dict(VISION, hidden_size=16, intermediate_size=24, num_hidden_layers=2, num_attention_heads=4)
    clip_case(
        "eos",
        dict(
            text_config={**TEXT, **small, "eos_token_id": 5},
            vision_config={**vision, "image_size": 12, "patch_size": 4},
            projection_dim=10,
        ),
        [(ends, None)],
        images=3,
        seed=12,
    )
else:
    deep = dict(hidden_size=15, intermediate_size=22, num_hidden_layers=3, num_attention_heads=3)
    text_case("masks", deep, [(IDS, None), (IDS, RIGHT), (IDS, MIDDLE), (IDS, LEFT), (FULL, None)], seed=1)
    for seed, (act, heads) in enumerate([("gelu", 5), ("gelu_new", 1), ("silu", 2), ("relu", 4)]):
        tiny = dict(hidden_size=20, intermediate_size=13, num_hidden_layers=1, num_attention_heads=heads)
        text_case(act.replace("_", "-"), {**tiny, "hidden_act": act, "layer_norm_eps": 1e-3}, [(IDS, MIDDLE)], seed + 2)
    small = dict(hidden_size=12, intermediate_size=14, num_hidden_layers=2, num_attention_heads=3)
    vision = dict(VISION, hidden_size=14, intermediate_size=18, num_hidden_layers=2, num_attention_heads=2)
    clip_case(
        "odd-sizes",  # 19 pixels in patches of 6: the last row and column are not seen
        dict(
            text_config={**TEXT, **small},
            vision_config={**vision, "image_size": 19, "patch_size": 6, "hidden_act": "gelu"},
            projection_dim=7,
            logit_scale_init_value=1.5,
        ),
        [(IDS, RIGHT), (IDS, None), (FULL, None)],
        images=2,
        seed=9,
    )
