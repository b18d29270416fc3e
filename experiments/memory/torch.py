"""PyTorch's side of the table: one guided denoising step of a full-size stage with the authors' classes.

usage: torch.py --manifests DIR --stage sr2 [--precision bf16] [--show1 SOURCE] [--out result.json] [--limit-gb 18]
SOURCE is a checkout of Show-1 (base, interp, sr1); sr2 and the VAE come from diffusers 0.19.3. Needs transformers 4.29.1.
A watchdog ends the process before it takes more than the limit, and the row then says that it did not fit.
"""
import argparse, gzip, json, os, platform, resource, sys, threading, time

sys.path.pop(0)  # this file's folder, where `import torch` would find this file

SIZES = {  # frames, height, width, channels of the network's input, width of the text
    'base': (8, 40, 64, 3, 4096),
    'interp': (5, 40, 64, 7, 4096),
    'sr1': (8, 160, 256, 6, 4096),
    'sr2': (29, 40, 72, 4, 1024),
}
FRAMES = 3  # of the VAE, one after the other
options = argparse.ArgumentParser()
options.add_argument('--manifests', required=True)
options.add_argument('--stage', required=True, choices=[*SIZES, 'vae-encode', 'vae-decode'])
options.add_argument('--precision', default='fp32', choices=['fp32', 'bf16'])
options.add_argument('--show1', default=os.environ.get('SHOW1', ''))
options.add_argument('--out')
options.add_argument('--limit-gb', type=float, default=18)
args = options.parse_args()


def field(name, file='/proc/meminfo'):
    with open(file) as lines:
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name + ':'))


def record(row):
    print(json.dumps(row))
    if args.out:
        old = json.load(open(args.out)) if os.path.exists(args.out) else {'rows': []}
        key = lambda r: (r['stage'], r['side'], r['precision'])
        old['rows'] = [r for r in old['rows'] if key(r) != key(row)] + [row]
        with open(args.out, 'w') as file:
            json.dump(old, file, indent=2, ensure_ascii=False)
            file.write('\n')


row = {'stage': args.stage, 'side': 'pytorch', 'precision': args.precision}


def watch():
    while True:
        used, free = field('VmRSS', '/proc/self/status'), field('MemAvailable')
        if used > args.limit_gb * 1e9 or free < 1.5e9:
            record({**row, 'peakBytes': None, 'note': f'stopped at {used / 1e9:.1f} GB with {free / 1e9:.1f} GB free'})
            os._exit(3)
        time.sleep(0.05)


threading.Thread(target=watch, daemon=True).start()
import torch  # noqa: E402

torch.set_num_threads(2)
torch.manual_seed(0)
sys.path.insert(0, args.show1)
with torch.no_grad():
    if args.stage.startswith('vae'):
        from diffusers import AutoencoderKL

        channels = [128, 256, 512, 512]
        model = AutoencoderKL(block_out_channels=channels, layers_per_block=2, latent_channels=4,
                              down_block_types=['DownEncoderBlock2D'] * 4, up_block_types=['UpDecoderBlock2D'] * 4)
    else:
        config = json.load(gzip.open(os.path.join(args.manifests, args.stage + '.json.gz')))['config']
        if args.stage == 'sr2':
            from diffusers.models.unet_3d_condition import UNet3DConditionModel
        else:
            from showone.models.unet_3d_condition import UNet3DConditionModel
        model = UNet3DConditionModel(**{k: v for k, v in config.items() if not k.startswith('_')})
    model.eval()
    loaded = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    cast = torch.autocast('cpu', torch.bfloat16, enabled=args.precision == 'bf16')
    start, cpu = time.perf_counter(), time.process_time()
    if args.stage == 'vae-encode':
        with cast:
            out = torch.cat([model.encode(f).latent_dist.sample() for f in torch.randn(FRAMES, 3, 320, 576).split(1)])
    elif args.stage == 'vae-decode':
        with cast:
            out = torch.cat([model.decode(f).sample for f in torch.randn(FRAMES, 4, 40, 72).split(1)])
    else:
        frames, height, width, inputs, text = SIZES[args.stage]
        x = torch.randn(1, inputs, frames, height, width)
        more = {'class_labels': torch.full((2,), 250.0)} if args.stage == 'sr1' else {}
        with cast:
            noise = model(torch.cat([x, x]), torch.tensor([500, 500]), torch.randn(2, 77, text), **more).sample
        out = noise[:1] + 9 * (noise[1:] - noise[:1])
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
assert torch.isfinite(out.float()).all()
import diffusers  # noqa: E402

record({
    **row,
    'parameters': sum(p.numel() for p in model.parameters()),
    'peakBytes': resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
    'loadedBytes': loaded,
    'seconds': seconds,
    'cpuSeconds': cpu,
    'units': f'{FRAMES} frames' if args.stage.startswith('vae') else '1 step',
    'note': f'torch {torch.__version__}, diffusers {diffusers.__version__}, Python {platform.python_version()}, 2 threads',
})
