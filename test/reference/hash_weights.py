"""Weights that follow from a parameter's name and shape alone; test/helpers/hash-weights.ts makes the same ones."""

import numpy as np


def values(name, shape):
    """Numbers in [-1, 1) from a hash of name and position (FNV-1a, then murmur3's finalizer)."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) & 0xFFFFFFFF
    h = (np.arange(int(np.prod(shape)), dtype=np.uint64) * 2654435761 + seed) & 0xFFFFFFFF
    for shift, factor in ((16, 0x85EBCA6B), (13, 0xC2B2AE35)):
        h = ((h ^ (h >> np.uint64(shift))) * factor) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    return (h.astype(np.float64) / 2**31 - 1).astype(np.float32).reshape(shape)


def weight(name, shape):
    """Matrices and kernels keep the variance of what they are given; vectors are spread around 0, norms' scales around 1."""
    u = values(name, shape)
    if name.endswith(".weight") and len(shape) > 1:
        return u * np.float32(np.sqrt(3 / np.prod(shape[1:])))
    return u * np.float32(0.25) + np.float32(1 if name.endswith(".weight") else 0)
