"""How Python sees folders that show1 wrote, beside those that it had read: a job as JSON on stdin, JSON on the last line.

    {"models": [{"library": "diffusers", "class": "AutoencoderKL", "dir": ours, "original": theirs, "variant": "fp16"}],
     "schedulers": [{"dir": ours, "original": theirs}], "pipelines": [{"class": "…", "dir": ours}]}

`variant` is that of the original. Nothing is compared with a tolerance.
"""

import importlib
import json
import sys
from pathlib import Path

import diffusers
import torch
import transformers


def load(library, cls, folder, half, variant=None):
    """`half` as those who save memory load it; transformers goes by what the config says of the weights."""
    options = {"variant": variant} if variant else {}
    if library == "diffusers":
        options |= {"low_cpu_mem_usage": False, "torch_dtype": torch.float16 if half else None}
    else:
        options["torch_dtype"] = "auto"
    model, info = cls.from_pretrained(folder, output_loading_info=True, **options)
    return model, {k: sorted(map(str, info[k])) for k in ("missing_keys", "unexpected_keys", "mismatched_keys")}


def options_of(model):
    config = model.config.to_dict() if hasattr(model.config, "to_dict") else dict(model.config)
    return {k: v for k, v in config.items() if k not in ("_name_or_path", "_diffusers_version", "_use_default_values")}


def differences(ours, theirs):
    """Keys with other values: {key: [original, ours]}; a missing one is the word "absent"."""
    plain = json.loads(json.dumps([ours, theirs], default=str))
    keys = sorted(plain[0].keys() | plain[1].keys())
    pairs = {k: [plain[1].get(k, "absent"), plain[0].get(k, "absent")] for k in keys}
    return {k: pair for k, pair in pairs.items() if pair[0] != pair[1]}


def bits(tensor):
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def compare_model(job):
    cls = getattr(importlib.import_module(job["library"]), job["class"])
    half = job.get("variant") == "fp16"
    theirs, _ = load(job["library"], cls, job["original"], half, job.get("variant"))
    ours, problems = load(job["library"], cls, job["dir"], half)
    want, got = theirs.state_dict(), ours.state_dict()
    different = [k for k in want if k not in got or want[k].dtype != got[k].dtype or not torch.equal(bits(want[k]), bits(got[k]))]
    return {
        **problems,
        "tensors": len(want),
        "different": different + [k for k in got if k not in want],
        "dtypes": sorted({str(t.dtype) for t in got.values() if t.is_floating_point()}),
        "config": differences(options_of(ours), options_of(theirs)),
        "unknown_options": sorted(
            key
            for key in json.loads(Path(job["dir"], "config.json").read_text())
            if not key.startswith("_") and key not in options_of(ours)
        ),
    }


def scheduler_in(folder):
    name = json.loads(Path(folder, "scheduler_config.json").read_text())["_class_name"]
    return getattr(diffusers, name).from_pretrained(folder)


def compare_scheduler(job):
    ours, theirs = scheduler_in(job["dir"]), scheduler_in(job["original"])
    for scheduler in (ours, theirs):
        scheduler.set_timesteps(6)
    return {
        "classes": [type(theirs).__name__, type(ours).__name__],
        "same_timesteps": torch.equal(ours.timesteps, theirs.timesteps),
        "same_betas": torch.equal(ours.betas, theirs.betas),
        "config": differences(options_of(ours), options_of(theirs)),
    }


def load_pipeline(job):
    """The whole folder, as users load it."""
    pipe = getattr(diffusers, job["class"]).from_pretrained(job["dir"], low_cpu_mem_usage=False, **job.get("options", {}))
    return {name: type(part).__name__ for name, part in pipe.components.items()}


def main():
    job = json.load(sys.stdin)
    transformers.logging.set_verbosity_error()
    diffusers.logging.set_verbosity_error()
    result = {
        "models": [compare_model(one) for one in job.get("models", [])],
        "schedulers": [compare_scheduler(one) for one in job.get("schedulers", [])],
        "pipelines": [load_pipeline(one) for one in job.get("pipelines", [])],
    }
    print(json.dumps(result))


main()
