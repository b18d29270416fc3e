import { existsSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { tf } from '../../src/engine/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { reportNotes, summarize, verify } from '../../src/verify/index.js';
import { tempFolder } from '../models/weights/files.js';
import { type FixtureParts, t5Fixture, writeFixture, writeIndex } from './fixtures.js';

/** Verifies one fixture that `change` made wrong (or left right). */
async function outcome(change: (parts: FixtureParts) => unknown) {
  const parts = t5Fixture();
  const root = tempFolder();
  await writeFixture(root, 't5', (change(parts) as Partial<FixtureParts> | undefined) ?? parts);
  const [result] = await verify(root);
  return result!;
}

describe('verify', () => {
  it('passes a right fixture, alone or in a folder, and frees everything', async () => {
    const root = tempFolder();
    const dir = await writeFixture(root, 't5_small', t5Fixture());
    const before = tf.memory().numTensors;
    for (const path of [root, dir, `${dir}/`]) {
      const [result, ...others] = await verify(path);
      expect(others).toEqual([]);
      expect(result).toMatchObject({
        name: 't5_small',
        kind: 't5_encoder',
        status: 'passed',
        ok: true,
        tolerance: { atol: 1e-4, rtol: 1e-3 },
        outputs: 1,
      });
      expect(result!.maxAbsError).toBeGreaterThan(0);
      expect(result!.maxAbsError).toBeLessThan(1e-5);
    }
    expect(tf.memory().numTensors).toBe(before);
  });

  it("takes index.json's tolerance, of the folder or of its parent", async () => {
    const root = tempFolder();
    const dir = await writeFixture(root, 't5', t5Fixture());
    writeIndex(root, { t5: { atol: 1e-12, rtol: 0 } });
    for (const path of [root, dir]) {
      const [result] = await verify(path);
      expect(result).toMatchObject({ ok: false, status: 'failed', tolerance: { atol: 1e-12, rtol: 0 } });
      expect(result!.message).toMatch(/^out\.last_hidden_state: .* times the tolerance/);
    }
    writeFileSync(join(root, 'index.json'), '{"fixtures": {"t5": {"tolerance": 3}}}');
    await expect(verify(root)).rejects.toThrow(/index\.json: fixture "t5" needs a tolerance/);
  });

  it('catches one changed weight', async () => {
    const result = await outcome(parts => {
      parts.weights['encoder.block.1.layer.1.DenseReluDense.wo.weight']!.data[7]! += 0.05;
    });
    expect(result).toMatchObject({ ok: false, status: 'failed' });
    expect(result.maxAbsError).toBeGreaterThan(1e-3);
  });

  it('catches a NaN in the weights, and one in the reference', async () => {
    const inWeights = await outcome(parts => {
      parts.weights['encoder.final_layer_norm.weight']!.data[0] = Number.NaN;
    });
    expect(inWeights).toMatchObject({ ok: false, status: 'failed' });
    expect(inWeights.message).toMatch(/value 0 is NaN.*not finite/);
    const inReference = await outcome(parts => {
      parts.io['out.last_hidden_state']!.data[3] = Number.NaN;
    });
    expect(inReference).toMatchObject({ ok: false, status: 'failed' });
  });

  it('catches outputs that nothing computes, and outputs that are gone', async () => {
    const more = await outcome(parts => {
      parts.io['out.pooled'] = { shape: [1], data: Float32Array.of(0) };
      parts.io['grad.param.shared.weight'] = { shape: [1], data: Float32Array.of(0) };
    });
    expect(more).toMatchObject({ ok: false, status: 'failed' });
    expect(more.message).toContain('out.pooled: nothing was compared with it');
    expect(more.message).toContain('grad.param.shared.weight: nothing was compared with it');
    const gone = await outcome(parts => {
      delete parts.io['out.last_hidden_state'];
    });
    expect(gone).toMatchObject({ ok: false, status: 'error' });
    expect(gone.message).toMatch(/out\.last_hidden_state/);
  });

  it('catches a reference of another shape', async () => {
    const result = await outcome(parts => {
      parts.io['out.last_hidden_state']!.shape = [6, 1, 12];
    });
    expect(result.message).toMatch(/shape \[1,6,12\].*\[6,1,12\]/);
    expect(result.maxAbsError).toBe(Number.POSITIVE_INFINITY);
  });

  it.each<[string, (parts: FixtureParts) => Partial<FixtureParts>, RegExp]>([
    ['no weights', ({ config, io }) => ({ config, io }), /weights\.safetensors: no such file/],
    ['no io', ({ config, weights }) => ({ config, weights }), /io\.safetensors: no such file/],
    ['no config', ({ io, weights }) => ({ io, weights }), /config .*config\.json: there is no such file/],
    ['no kind', parts => ({ ...parts, config: { d_model: 3 } }), /no "_fixture": \{"kind"/],
    [
      'an unknown kind',
      parts => ({ ...parts, config: { _fixture: { kind: 'toaster' } } }),
      /unknown kind "toaster"; known are/,
    ],
    [
      'a kind named as a property',
      parts => ({ ...parts, config: { _fixture: { kind: 'constructor' } } }),
      /unknown kind/,
    ],
    ['a wrong config', parts => ({ ...parts, config: { ...parts.config, d_kv: 6 } }), /the model has \[18,12\]/],
  ])('reports %s as an error of that fixture', async (_, change, message) => {
    const result = await outcome(change);
    expect(result).toMatchObject({ ok: false, status: 'error' });
    expect(result.message).toMatch(message);
    expect(result.message).not.toMatch(/\n\s+at /); // no stack for wrong input
  });

  it('goes on after a broken fixture', async () => {
    const root = tempFolder();
    const dir = await writeFixture(root, 'a_broken', t5Fixture());
    truncateSync(join(dir, 'io.safetensors'), 100);
    await writeFixture(root, 'b_good', t5Fixture());
    mkdirSync(join(root, 'not-a-fixture'));
    writeIndex(root, { c_gone: { atol: 1, rtol: 1 } });
    const results = await verify(root);
    expect(results.map(({ name, status }) => [name, status])).toEqual([
      ['a_broken', 'error'],
      ['b_good', 'passed'],
      ['c_gone', 'error'],
    ]);
    expect(results[0]!.message).toMatch(/truncated/);
    expect(results[2]!.message).toMatch(/no folder .*c_gone, though index\.json names it/);
    expect(summarize(results)).toEqual({ passed: 1, failed: 2, ok: false });
    expect(reportNotes(results).at(-1)).toBe('1 passed, 2 failed');
  });

  it('takes a glob of names', async () => {
    const root = tempFolder();
    await writeFixture(root, 'one', t5Fixture());
    await writeFixture(root, 'two', t5Fixture());
    const started: string[] = [];
    expect((await verify(root, { only: 't*', onStart: name => started.push(name) })).length).toBe(1);
    expect(started).toEqual(['two']);
    await expect(verify(root, { only: 'x*' })).rejects.toThrow(/--only x\* matches none of one, two/);
  });

  it('refuses a folder that is not there or holds no fixtures', async () => {
    await expect(verify(join(tempFolder(), 'gone'))).rejects.toThrow(/no folder/);
    await expect(verify(tempFolder())).rejects.toThrow(/holds no fixtures/);
  });
});

describe('manifests', () => {
  const config = {
    _class_name: 'UNet3DConditionModel',
    block_out_channels: [32, 64],
    down_block_types: ['CrossAttnDownBlock3D', 'DownBlock3D'],
    up_block_types: ['UpBlock3D', 'CrossAttnUpBlock3D'],
    layers_per_block: 1,
    attention_head_dim: 8,
    cross_attention_dim: 24,
    norm_num_groups: 16,
  };

  function manifestOf() {
    const model = new UNet3DConditionModel(config);
    const tensors = Object.fromEntries([...model.parameters()].map(([name, p]) => [name, p.torchShape]));
    return { config, parameters: model.countParams(), tensors };
  }

  async function check(manifest: unknown) {
    const root = tempFolder();
    mkdirSync(join(root, 'manifests'));
    writeFileSync(join(root, 'manifests', 'small.json.gz'), gzipSync(JSON.stringify(manifest)));
    const [result] = await verify(root);
    return result!;
  }

  it('passes the names and shapes of a model', async () => {
    const result = await check(manifestOf());
    expect(result).toMatchObject({ name: 'manifests/small', kind: 'manifest', ok: true, maxAbsError: 0 });
    expect(result.outputs).toBe(Object.keys(manifestOf().tensors).length);
  });

  it('names what differs', async () => {
    const manifest = manifestOf();
    manifest.tensors['conv_in.weight'] = [32, 4, 3, 5];
    delete manifest.tensors['conv_out.bias'];
    manifest.tensors['conv_out.gain'] = [4];
    manifest.parameters += 1;
    const result = await check(manifest);
    expect(result).toMatchObject({ ok: false, status: 'failed', maxAbsError: null });
    expect(result.message).toMatch(/conv_in\.weight is \[32,4,3,3\], the manifest has \[32,4,3,5\]/);
    expect(result.message).toMatch(/conv_out\.bias is in the model only/);
    expect(result.message).toMatch(/conv_out\.gain is not in the model/);
    expect(result.message).toMatch(/parameters, the manifest/);
  });

  it('reports a broken manifest', async () => {
    expect(await check({ a: 1 })).toMatchObject({ kind: 'manifest', status: 'error', ok: false });
  });
});

describe('reference fixtures', () => {
  const dir = process.env.SHOW1_FIXTURES ?? resolve('..', 'shared', 'fixtures');

  it.runIf(existsSync(join(dir, 'index.json')))('pass', { timeout: 600_000 }, async () => {
    const results = await verify(dir);
    const { failed, passed } = summarize(results);
    expect(failed, reportNotes(results).join('\n')).toBe(0);
    expect(passed).toBeGreaterThan(20);
  });
});
