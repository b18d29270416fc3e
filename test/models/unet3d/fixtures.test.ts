import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, it } from 'vitest';
import { tf } from '../../../src/engine/index.js';
import { verify } from '../../../src/verify/index.js';

const root = resolve(import.meta.dirname, '../../../../shared/fixtures');

// The reference fixtures lie beside the checkout, where they are at hand at all.
describe.runIf(existsSync(root))('reference fixtures', () => {
  it.each(['piece_*', 'unet_*', 'inflate*', 'manifests/*'])('%s', async only => {
    const before = tf.memory().numTensors;
    const results = await verify(root, { only });
    expect(results.length).toBeGreaterThan(0);
    expect(results.filter(r => r.status !== 'passed').map(r => `${r.name}: ${r.message}`)).toEqual([]);
    expect(tf.memory().numTensors).toBe(before);
  });
});
