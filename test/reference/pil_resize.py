"""Golden resizes by Pillow: python test/reference/pil_resize.py > test/data/pil-resize.json"""
import base64
import json

import numpy as np
import PIL
from PIL import Image

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
print(json.dumps({"pillow": PIL.__version__, "cases": cases}))
