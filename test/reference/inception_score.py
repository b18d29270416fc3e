"""Golden Inception scores: python test/reference/inception_score.py > test/eval/inception-score.json (needs numpy)

The logits come from the integer hash of frechet.py on both sides; scores as in tgan2 (evaluations/inception_score.py) and
StyleGAN-V (src/metrics/video_inception_score.py), in float64. Also numpy's legacy shuffle, which StyleGAN-V uses.
"""
import json

import numpy as np

from frechet import uniform


def softmax(x):
    e = np.exp(x - x.max(1, keepdims=True))
    return e / e.sum(1, keepdims=True)


def score(p, eps=0.0):
    p = p + eps
    return np.exp((p * (np.log(p) - np.log(p.mean(0, keepdims=True)))).sum(1).mean())


def splits(p, count, eps=0.0):
    n = len(p)
    return [score(p[i * n // count:(i + 1) * n // count], eps) for i in range(count)]


def shuffled(n, seed):
    order = np.arange(n)
    np.random.RandomState(seed).shuffle(order)
    rows = np.arange(2 * n).reshape(n, 2)
    np.random.RandomState(seed).shuffle(rows)
    assert (rows[:, 0] == 2 * order).all()  # rows of a matrix move as elements of a list do
    return order


cases = []
for i, (n, classes, scale) in enumerate([(40, 101, 10), (203, 101, 30), (64, 3, 200), (20, 7, 0)]):
    p = softmax((uniform(i + 1, n, classes).astype(np.float32) * np.float32(scale)).astype(np.float64))
    tgan2 = [float(np.mean(splits(run, 1, 1e-20))) for run in np.split(p[:n // 4 * 4], 4)]
    parts = splits(p[shuffled(n, 42)], 10)
    cases.append({
        "n": n, "classes": classes, "scale": scale,
        "tgan2": [float(np.mean(splits(p, 1, 1e-20))), 0.0],
        "tgan2 of 4 runs": [float(np.mean(tgan2)), float(np.std(tgan2))],
        "stylegan-v": [float(np.mean(parts)), float(np.std(parts))],
        "3 splits": [float(np.mean(splits(p, 3))), float(np.std(splits(p, 3)))],
    })
orders = [{"n": n, "seed": s, "order": shuffled(n, s).tolist()} for n, s in [(1, 42), (2, 42), (20, 42), (20, 0), (17, 2**32 - 1)]]
# Longer than MT19937's state of 624 words
long = shuffled(2048, 42)
orders.append({"n": 2048, "seed": 42, "order": long[:20].tolist() + long[-20:].tolist(), "check": int((long.astype(np.uint64) * np.arange(1, 2049, dtype=np.uint64)).sum())})
words = np.random.RandomState(42).randint(0, 2**32, 1300, dtype=np.uint32)
print(json.dumps({"numpy": np.__version__, "cases": cases, "orders": orders, "words": words[[0, 1, 623, 624, 1299]].tolist()}))
