import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { convertMetrics } from '../../src/convert/metrics.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { tempFolder, thrown } from '../models/weights/files.js';
import { hasPython, runPython } from './diffusers.js';

/** SHOW1_TEST_PYTHON names a Python in a virtual environment. */
const python = process.env.SHOW1_TEST_PYTHON ?? 'python3';

const MAKE = `
import json, sys, warnings, numpy, torch
warnings.simplefilter('ignore')
root = json.load(sys.stdin)
layer = torch.nn.Linear(3, 2)
torch.nn.init.constant_(layer.weight, 0.5)
torch.save(layer.state_dict(), root + '/plain.pth')
torch.save({'state_dict': layer.state_dict(), 'epoch': 3}, root + '/checkpoint.pt')
torch.save({**layer.state_dict(), 'step': 7}, root + '/numbers.bin')
torch.jit.script(layer).save(root + '/script.pt')
torch.jit.script(layer).save(root + "/it's a script")
numpy.savez(root + '/arrays.npz', weight=layer.weight.detach().numpy(), bias=layer.bias.detach().numpy())
print('null')
`;

describe.skipIf(!hasPython('torch', 'safetensors', 'numpy'))('the line that converts a pickle', () => {
  it('works for state dicts, checkpoints, TorchScript and NumPy files', async () => {
    const root = tempFolder();
    runPython(MAKE, root);
    const files = ['plain.pth', 'checkpoint.pt', 'numbers.bin', 'script.pt', "it's a script", 'arrays.npz'];
    for (const name of files) {
      const { message } = await thrown(() => convertMetrics(join(root, name), join(root, 'out')));
      const line = message.split('\n')[1]!.trim();
      const { status, stderr } = spawnSync('sh', ['-c', line.replace(/^python3/, `"${python}"`)], { encoding: 'utf8' });
      expect(status, `${line}\n${stderr}`).toBe(0);
      const file = join(root, `${name.replace(/\.(pth|pt|bin|npz)$/, '')}.safetensors`);
      const weights = openSafetensors(file);
      expect(weights.names().sort(), name).toEqual(['bias', 'weight']);
      expect([...(await weights.read('weight'))]).toEqual(Array(6).fill(0.5));
      weights.close();
    }
  });
});
