"""Golden Fréchet distances: python test/reference/frechet.py > test/eval/frechet.json (needs numpy and scipy)

Both sides make the features from the same integer hash, so that only numbers are stored. `distance` takes Tr sqrt(S T) as the
nuclear norm of R1 R2^T (S = R1^T R1, T = R2^T R2 by QR of the rows): exact to rounding also where S or T is singular, where
scipy's sqrtm (`sqrtm`, what the public scripts do) and roots of eigenvalues (`eigh`) lose half of the digits.
"""
import json

import numpy as np


def uniform(seed, n, d):
    """[n, d] in [-1/2, 1/2), multiples of 2^-32"""
    x = np.arange(n * d, dtype=np.uint64) + np.uint64(seed) * np.uint64(0x9E3779B9)
    x = (x & np.uint64(0xFFFFFFFF)).astype(np.uint32)
    x ^= x >> np.uint32(16)
    x *= np.uint32(0x7FEB352D)
    x ^= x >> np.uint32(15)
    x *= np.uint32(0x846CA68B)
    x ^= x >> np.uint32(16)
    return x.astype(np.float64).reshape(n, d) / 2.0**32 - 0.5


def features(seed, n, d, decades, mean, stretch, dead=0):
    """Neighbours correlate; scales fall by 2^-decades over the features; the last `dead` features are constant."""
    u = uniform(seed, n, d)
    x = u + 0.75 * np.roll(u, -1, axis=1) + 0.5 * u[:, :1]
    scale = stretch * 2.0 ** -np.floor(np.arange(d) * decades / d)
    scale[d - dead:] = 0
    return x * scale + mean


def nuclear(x, y):
    root = [np.linalg.qr(z - z.mean(0), mode="r") / np.sqrt(len(z) - 1) for z in (x, y)]
    return np.linalg.svd(root[0] @ root[1].T, compute_uv=False).sum()


def by_eigh(s, t):
    values, vectors = np.linalg.eigh(s)
    a = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    return np.sqrt(np.maximum(np.linalg.eigvalsh(a @ t @ a), 0)).sum()


# name, d, and (rows, decades, mean, stretch, dead) of each set
CASES = [
    ("1 feature", 1, (9, 0, 0, 1, 0), (7, 0, 0.5, 2, 0)),
    ("small", 6, (50, 0, 0, 1, 0), (40, 2, 0.25, 1.5, 0)),
    ("n = d", 12, (12, 0, 0, 1, 0), (12, 1, 0.25, 1, 0)),
    ("n = d + 1", 12, (13, 0, 0, 1, 0), (13, 1, 0.25, 1, 0)),
    ("a large mean", 20, (100, 0, 1e5, 1, 0), (90, 0, 1e5 + 1, 1, 0)),
    ("400", 400, (1000, 0, 0, 1, 0), (1200, 0, 0.0625, 1.25, 0)),
    ("400, of one distribution", 400, (2000, 4, 0, 1, 0), (2000, 4, 0, 1, 0)),
    ("400, condition 2^40", 400, (900, 20, 0, 1, 0), (1000, 20, 0.0625, 1.25, 0)),
    ("400, condition 2^80", 400, (900, 40, 0, 1, 0), (1000, 30, 0.0625, 1.25, 0)),
    ("400, dead features", 400, (900, 1, 0, 1, 60), (1000, 2, 0.0625, 1.25, 10)),
    ("400, few rows", 400, (100, 0, 0, 1, 0), (64, 0, 0.0625, 1.25, 0)),
    ("400, few rows against many", 400, (100, 0, 0, 1, 0), (1000, 2, 0.0625, 1.25, 0)),
    ("1024", 1024, (1500, 3, 0, 1, 0), (1300, 2, 0.0625, 1.25, 0)),
    ("2048", 2048, (2500, 3, 0, 1, 0), (2300, 2, 0.0625, 1.25, 0)),
    ("2048, few rows", 2048, (256, 3, 0, 1, 0), (200, 2, 0.0625, 1.25, 0)),
]


def main():
    import scipy
    import scipy.linalg

    cases = []
    for i, (name, d, a, b) in enumerate(CASES):
        x, y = (features(2 * i + k + 1, p[0], d, *p[1:]) for k, p in enumerate((a, b)))
        s, t = np.atleast_2d(np.cov(x, rowvar=False)), np.atleast_2d(np.cov(y, rowvar=False))
        plain = ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(s) + np.trace(t)
        case = {"name": name, "d": d, "a": a, "b": b, "distance": plain - 2 * nuclear(x, y), "traces": plain, "eigh": plain - 2 * by_eigh(s, t)}
        if d <= 400:
            case["sqrtm"] = float(np.real(plain - 2 * np.trace(scipy.linalg.sqrtm(s @ t))))
        cases.append(case)
    print(json.dumps({"numpy": np.__version__, "scipy": scipy.__version__, "cases": cases}, indent=1))


if __name__ == "__main__":
    main()
