import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertFolder } from '../../src/convert/dtype.js';
import { tempFolder } from '../models/weights/files.js';
import { hasPython, runPython } from './diffusers.js';
import { modelFolder, numbers } from './folders.js';

const COMPARE = `
import json, sys, torch
from safetensors.torch import load_file, safe_open
job = json.load(sys.stdin)
source = load_file(job['source'])
bits = lambda x: x.contiguous().view(torch.uint8)
result = {}
for name, file in job['converted'].items():
  got = load_file(file)
  want = {k: v.to(getattr(torch, name)) if v.is_floating_point() else v for k, v in source.items()}
  wrong = [k for k, v in want.items() if got[k].dtype != v.dtype or not torch.equal(bits(got[k]), bits(v))]
  with safe_open(file, 'pt') as f:
    result[name] = {'tensors': len(got), 'wrong': wrong, 'metadata': f.metadata()}
print(json.dumps(result))
`;

describe.skipIf(!hasPython('torch', 'safetensors'))('PyTorch', () => {
  it('rounds as we do, to the last bit', async () => {
    const root = tempFolder();
    const odd = Float32Array.of(Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY, 6e-8, -3e-8, 1e-40);
    await modelFolder(join(root, 'in'), { many: numbers(200_000), more: numbers(100_000, 9), odd });
    const dtypes = { float16: 'F16', bfloat16: 'BF16', float32: 'F32' } as const;
    const file = 'diffusion_pytorch_model.safetensors';
    const converted: Record<string, string> = {};
    for (const [name, dtype] of Object.entries(dtypes)) {
      await convertFolder(join(root, 'in'), join(root, name), { dtype });
      converted[name] = join(root, name, file);
    }
    const right = { tensors: 4, wrong: [], metadata: { format: 'pt', made: 'here' } };
    expect(runPython(COMPARE, { source: join(root, 'in', file), converted })).toEqual({
      float16: right,
      bfloat16: right,
      float32: right,
    });
  });
});
