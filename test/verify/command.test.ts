import { afterEach, describe, expect, it, vi } from 'vitest';
import { main } from '../../src/cli/index.js';
import { tempFolder } from '../models/weights/files.js';
import { t5Fixture, writeFixture } from './fixtures.js';

afterEach(() => vi.restoreAllMocks());

/** Runs `show1 verify …` in this process. */
async function run(...args: string[]) {
  const captured = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[name], 'write').mockImplementation(((text: string) => {
      captured[name] += text;
      return true;
    }) as never);
  }
  const code = await main(['verify', ...args]);
  vi.restoreAllMocks();
  return { code, ...captured };
}

async function folder() {
  const root = tempFolder();
  await writeFixture(root, 'good', t5Fixture());
  return root;
}

describe('show1 verify', () => {
  it('prints a table and exits 0', async () => {
    const root = await folder();
    const { code, stdout } = await run(root);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^fixture .*max error/);
    expect(stdout).toMatch(/^good +t5_encoder +ok +1 /m);
    expect(stdout).toMatch(/\n1 passed, 0 failed\n$/);
  });

  it('prints one JSON document with --json and exits 1 on a miss', async () => {
    const root = await folder();
    const bad = t5Fixture();
    bad.weights['shared.weight']!.data.fill(0.5);
    await writeFixture(root, 'wrong', bad);
    const { code, stdout, stderr } = await run(root, '--json');
    expect(code).toBe(1);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({ passed: 1, failed: 1, ok: false });
    expect(report.fixtures.map((f: any) => [f.name, f.kind, f.ok])).toEqual([
      ['good', 't5_encoder', true],
      ['wrong', 't5_encoder', false],
    ]);
    expect(report.fixtures[0]).toMatchObject({ tolerance: { atol: 1e-4, rtol: 1e-3 } });
    expect(report.fixtures[0].maxAbsError).toBeLessThan(1e-5);
    expect(report.fixtures[1].maxAbsError).toBeGreaterThan(1e-3);
    expect(stderr).toMatch(/wrong: out\.last_hidden_state/);
  });

  it('exits 2 when there is nothing to check', async () => {
    const { code, stderr } = await run(tempFolder());
    expect(code).toBe(2);
    expect(stderr).toMatch(/holds no fixtures/);
  });
});
