"""Golden network inputs: python test/reference/preprocess.py > test/eval/preprocess.json (needs torch and Pillow)

The frames come from the integer hash of frechet.py on both sides; of each input only some values, spread over it, are kept.
"""
import hashlib
import json
import math

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from frechet import uniform

KEPT = 80


def clip_of(seed, frames, height, width):
    u = uniform(seed, frames * height, width * 3)
    return np.floor((u + 0.5) * 256).astype(np.uint8).reshape(frames, height, width, 3)


def channels_first(x):
    return torch.from_numpy(x).permute(0, 3, 1, 2).float()  # [F, 3, H, W]


def last(x):
    return x.permute(0, 2, 3, 1).numpy()


def stylegan_v(x):
    x = F.interpolate(channels_first(x), size=(224, 224), mode="bilinear", align_corners=False)
    return last(2 * x / 255 - 1)


def videogpt(x):
    """fvd/videogpt of common_metrics: what it does to videos of 8-bit values in [0, 1]"""
    x = ((x.astype(np.float32) / 255) * 255).astype(np.uint8)
    x = channels_first(x) / 255
    h, w = x.shape[-2:]
    scale = 224 / min(h, w)
    size = (224, math.ceil(w * scale)) if h < w else (math.ceil(h * scale), 224)
    x = F.interpolate(x, size=size, mode="bilinear", align_corners=False)
    h, w = x.shape[-2:]
    top, left = (h - 224) // 2, (w - 224) // 2
    return last((x[..., top:top + 224, left:left + 224] - 0.5) * 2)


def mean_video(seed):
    """[3, 16, 128, 171], a smooth BGR mean as C3D's, from the hash"""
    u = uniform(seed, 3 * 16 * 128, 171).astype(np.float32).reshape(3, 16, 128, 171)
    return np.float32(96) + np.float32(32) * u


def c3d(x, mean):
    """C3DVersion1UCF101 of tgan2: chainer's resize_images aligns the corners"""
    x = channels_first(x) / 127.5 - 1
    x = x.flip(1) * 128
    x = F.interpolate(x, size=(112, 112), mode="bilinear", align_corners=True)
    return last(x + torch.from_numpy(128 - mean))


def clean(x):
    out = []
    for frame in x:
        channels = [Image.fromarray(frame[..., c].astype(np.float32)).resize((299, 299), Image.BICUBIC) for c in range(3)]
        out.append(np.stack([np.asarray(c).clip(0, 255) for c in channels], -1))
    x = torch.from_numpy(np.stack(out))
    return ((x - 128) / 128).numpy()


def legacy_pytorch(x):
    x = F.interpolate(channels_first(x), size=(299, 299), mode="bilinear", align_corners=False)
    return last((x.clip(0, 255) - 128) / 128)


def openai_bytes(x, size):
    """torchvision's Resize(size, BICUBIC) and CenterCrop(size) on PIL images"""
    out = []
    for frame in x:
        h, w = frame.shape[:2]
        long = int(size * max(h, w) / min(h, w))
        w, h = (size, long) if w <= h else (long, size)
        image = Image.fromarray(frame).resize((w, h), Image.BICUBIC)
        top, left = int(round((h - size) / 2.0)), int(round((w - size) / 2.0))
        out.append(np.asarray(image.crop((left, top, left + size, top + size))))
    return np.stack(out)


def openai(x, size):
    x = torch.from_numpy(openai_bytes(x, size)).float() / 255
    mean, std = torch.tensor([0.48145466, 0.4578275, 0.40821073]), torch.tensor([0.26862954, 0.26130258, 0.27577711])
    return ((x - mean) / std).numpy()


def record(x):
    x = np.ascontiguousarray(x, dtype=np.float32)
    flat = x.ravel()
    at = (np.arange(KEPT, dtype=np.int64) * 102947) % len(flat)
    return {"shape": list(x.shape), "mean": float(flat.astype(np.float64).mean()), "values": [float(f"{v:.9g}") for v in flat[at]]}


# frames, height, width: odd, small, larger, tall, wide, square, of the size asked for, sizes that only rounding tells apart
SIZES = [(2, 37, 53), (2, 53, 37), (1, 240, 320), (1, 224, 224), (1, 300, 171), (2, 1, 1), (1, 16, 16), (1, 41, 41), (1, 5, 90), (1, 333, 251), (1, 299, 299), (1, 131, 229)]

cases = []
for i, (frames, height, width) in enumerate(SIZES):
    x = clip_of(i + 1, frames, height, width)
    long = clip_of(i + 1, 16, height, width) if height * width < 3000 else None
    case = {"seed": i + 1, "frames": frames, "height": height, "width": width,
            "stylegan-v": record(stylegan_v(x)), "videogpt": record(videogpt(x)), "clean": record(clean(x)), "legacy-pytorch": record(legacy_pytorch(x)),
            **{f"clip {size}": {**record(openai(x, size)), "sha256": hashlib.sha256(openai_bytes(x, size).tobytes()).hexdigest()} for size in (224, 31)}}
    if long is not None:
        mean = mean_video(100)
        case["c3d"] = record(c3d(long, mean[:, :, 8:120, 8:120].transpose(1, 0, 2, 3)))
        case["c3d channels"] = record(c3d(long, np.float32([90.25164795, 97.65701294, 101.4083252])[:, None, None]))
    cases.append(case)
print(json.dumps({"torch": torch.__version__, "cases": cases}))
