import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parsePythonJson } from '../../src/diffusion/index.js';
import { tf } from '../../src/engine/index.js';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { verifyOps } from '../../src/verify/ops.js';
import { verifySchedulers } from '../../src/verify/schedulers.js';
import type { CheckResult, Fixture, TensorValue } from '../../src/verify/types.js';

const root = path.resolve(import.meta.dirname, '../../../shared/fixtures');

async function open(name: string): Promise<Pick<Fixture, 'config' | 'io'>> {
  const reader = openSafetensors(path.join(root, name, 'io.safetensors'));
  const io = new Map<string, TensorValue>();
  for (const key of reader.names()) io.set(key, { shape: reader.info(key).shape, data: await reader.read(key) });
  await reader.close();
  return { config: parsePythonJson(readFileSync(path.join(root, name, 'config.json'), 'utf8')), io };
}

// The reference fixtures lie beside the checkout, where they are at hand at all.
describe.runIf(existsSync(path.join(root, 'index.json')))('reference fixtures', () => {
  const kinds: [string, (fixture: Pick<Fixture, 'config' | 'io'>) => Promise<CheckResult>][] = [
    ['schedulers', verifySchedulers],
    ['ops', verifyOps],
  ];
  it.each(kinds)('%s: every output within its tolerance, and no tensor left behind', async (name, verify) => {
    const { atol, rtol } = JSON.parse(readFileSync(path.join(root, 'index.json'), 'utf8')).fixtures[name].tolerance;
    const fixture = await open(name);
    const before = tf.memory().numTensors;
    const { checks, unconsumed } = await verify(fixture);
    expect(tf.memory().numTensors).toBe(before);
    expect(unconsumed).toEqual([]);
    expect(checks.length).toBeGreaterThan(10);
    for (const { name: tensor, actual, expected } of checks) {
      expect(actual.shape, tensor).toEqual(expected.shape);
      const misses = Array.from(expected.data, (b, i) => Math.abs(actual.data[i]! - b) <= atol + rtol * Math.abs(b));
      expect(misses.every(Boolean), tensor).toBe(true);
    }
  });
});
