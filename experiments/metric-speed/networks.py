"""PyTorch's side: the networks of test/reference/metrics_networks.py and transformers' CLIP, timed on request.

usage: networks.py FOLDER THREADS NETWORK=BATCH…
Writes FOLDER/<network>.safetensors (weights) and FOLDER/<network>.input.safetensors (channels last), prints "ready", and then
runs the network named in each line that it reads, as "i3d contiguous" or "i3d channels_last"; answers one JSON line:
{"ms", "cpuMs", "output"}, the last only when the line ends in "output".
"""

import json
import resource
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "reference"))
import metrics_networks  # noqa: E402
import torch  # noqa: E402
from hash_weights import values  # noqa: E402
from safetensors.torch import save_file  # noqa: E402


class ClipImages(torch.nn.Module):
    """ViT-B/32 with random weights; the features of images."""

    def __init__(self):
        super().__init__()
        from transformers import CLIPConfig, CLIPModel

        torch.manual_seed(0)
        self.model = CLIPModel(CLIPConfig()).eval().requires_grad_(False)

    def forward(self, x):
        return self.model.get_image_features(pixel_values=x)


def make(name, batch):
    if name != "clip":
        model = metrics_networks.build(name)
        return model, model.state_dict(), metrics_networks.inputs(name, batch)
    model = ClipImages()
    pixels = torch.from_numpy(values("clip input", (batch, 224, 224, 3)) * 2).movedim(-1, 1).contiguous()
    return model, model.model.state_dict(), pixels


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def main():
    folder, threads, *wanted = sys.argv[1:]
    torch.set_num_threads(int(threads))
    networks = {}
    for each in wanted:
        name, batch = each.split("=")
        model, state, x = make(name, int(batch))
        kept = {k: v.contiguous() for k, v in state.items() if torch.is_floating_point(v)}
        save_file(kept, f"{folder}/{name}.safetensors")
        save_file({"input": x.movedim(1, -1).contiguous()}, f"{folder}/{name}.input.safetensors")
        last = torch.channels_last_3d if x.dim() == 5 else torch.channels_last
        networks[f"{name} contiguous"] = model, x
        networks[f"{name} channels_last"] = model, x.to(memory_format=last)
    print("ready", flush=True)
    layout = None
    for line in sys.stdin:
        *key, output = line.split() if line.strip().endswith("output") else [*line.split(), None]
        key = " ".join(key)
        model, x = networks[key]
        if layout != key:  # weights in the input's memory format, outside of the time
            for parameter in model.parameters():
                if parameter.dim() == x.dim():
                    last = torch.channels_last_3d if x.dim() == 5 else torch.channels_last
                    wanted = last if key.endswith("channels_last") else torch.contiguous_format
                    parameter.data = parameter.data.contiguous(memory_format=wanted)
            layout = key
        with torch.inference_mode():
            start, used = time.perf_counter(), cpu()
            y = model(x)
            answer = {"ms": 1000 * (time.perf_counter() - start), "cpuMs": 1000 * (cpu() - used)}
        if output:
            answer["output"] = y.flatten().tolist()
        print(json.dumps(answer), flush=True)


main()
