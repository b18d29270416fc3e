"""Golden resizes by Pillow: python test/reference/pil_resize.py > test/data/pil-resize.json"""
import base64
import hashlib
import json

import numpy as np
import PIL
from PIL import Image

from frechet import uniform

CASES = [((16, 10), (36, 20)), ((64, 40), (36, 20)), ((13, 7), (29, 31)), ((20, 20), (7, 3)), ((9, 5), (9, 11)),
         ((5, 9), (12, 9)), ((1, 1), (4, 3)), ((33, 17), (299 // 8, 299 // 8))]
rng = np.random.default_rng(0)
cases = []
for name, resample in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
    for i, (source, target) in enumerate(CASES):
        shape = (source[1], source[0], 3)
        # noise, and black-and-white noise whose overshoot must be clipped
        values = rng.integers(0, 256, shape) if i % 2 == 0 else rng.integers(0, 2, shape) * 255
        image = values.astype(np.uint8)
        resized = np.asarray(Image.fromarray(image).resize(target, resample))
        encode = lambda x: base64.b64encode(np.ascontiguousarray(x).tobytes()).decode()
        cases.append({"filter": name, "from": source, "to": target, "input": encode(image), "output": encode(resized)})

# Larger ones, from an integer hash on both sides, and only the hash of what comes out. Odd sizes, up and down, single pixels and
# lines, ratios out of the usual, the sizes that the metrics ask for.
SIZES = [((1, 1), (299, 299)), ((1, 37), (224, 3)), ((41, 1), (2, 57)), ((2, 3), (301, 157)), ((301, 157), (2, 3)), ((200, 150), (1, 1)),
         ((500, 2), (3, 250)), ((320, 240), (299, 299)), ((320, 240), (298, 224)), ((320, 240), (17, 11)), ((341, 256), (299, 299)),
         ((171, 129), (171, 224)), ((171, 129), (57, 129)), ((299, 299), (299, 299)), ((576, 320), (403, 224)), ((97, 89), (299, 299)),
         ((171, 300), (299, 299)), ((120, 160), (129, 99)), ((60, 50), (60, 49)), ((60, 53), (59, 50)), ((60, 52), (59, 50)), ((40, 90), (20, 13))]
CONTENTS = {"noise": lambda u: np.floor((u + 0.5) * 256), "black and white": lambda u: np.where(u < 0, 0, 255), "black": lambda u: u * 0, "white": lambda u: u * 0 + 255}
digest = lambda x: hashlib.sha256(np.ascontiguousarray(x).tobytes()).hexdigest()
large = []
for name, resample in (("bilinear", Image.BILINEAR), ("bicubic", Image.BICUBIC)):
    for i, (source, target) in enumerate(SIZES):
        for content, make in CONTENTS.items():
            if name == "bilinear" and i % 2 and i < 16:
                continue
            if content != "noise" and i % {"black and white": 3, "black": 11, "white": 11}[content] != 0:
                continue
            image = make(uniform(i + 1, source[1], source[0] * 3)).astype(np.uint8).reshape(source[1], source[0], 3)
            # Two resizes of one pass each fix the order: columns first, as before Pillow 13.
            both = lambda x: (x.resize(target, resample), x.resize((target[0], source[1]), resample).resize(target, resample))
            resized, before = map(np.asarray, both(Image.fromarray(image)))
            planes = [both(Image.fromarray(image[..., c].astype(np.float32), mode="F")) for c in range(3)]
            values, values_before = (np.stack([np.asarray(plane[k]) for plane in planes], -1) for k in range(2))
            assert values.dtype == np.float32
            case = {"filter": name, "content": content, "seed": i + 1, "from": source, "to": target, "sha256": digest(resized),
                    "float": {"sha256": digest(values)}}
            if digest(before) != digest(resized):
                case["sha256Pillow12"] = digest(before)
            if digest(values_before) != digest(values):
                case["float"]["sha256Pillow12"] = digest(values_before)
            large.append(case)
assert int(PIL.__version__.split(".")[0]) >= 13
print(json.dumps({"pillow": PIL.__version__, "cases": cases, "large": large}))
