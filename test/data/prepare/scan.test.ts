import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { locate } from '../../../src/data/ffmpeg-locate.js';
import type { ManifestEntry } from '../../../src/data/manifest.js';
import { makeClip, temporaryFolder } from '../helpers.js';

const folder = temporaryFolder();
const wrapper = join(folder, 'ffmpeg.sh');
const before = process.env.FFMPEG_PATH;
const clip = (name: string): ManifestEntry => {
  const path = join(folder, `${name}.mp4`);
  return { id: name, path, caption: name, source: folder, line: 0 };
};
// An ffmpeg that crashes over one clip and hangs over another. `locate` remembers what it found, so the modules are loaded anew.
beforeAll(async () => {
  await makeClip(join(folder, 'good.mp4'), 16);
  for (const name of ['crash', 'hang']) copyFileSync(join(folder, 'good.mp4'), join(folder, `${name}.mp4`));
  const real = locate('ffmpeg').path;
  const cases = `*crash.mp4*) kill -SEGV $$;; *hang.mp4*) exec sleep 600;; *) exec "${real}" "$@";;`;
  writeFileSync(wrapper, `#!/bin/sh\ncase "$*" in ${cases} esac\n`);
  chmodSync(wrapper, 0o755);
});
afterAll(() => {
  if (before === undefined) delete process.env.FFMPEG_PATH;
  else process.env.FFMPEG_PATH = before;
});

it('an ffmpeg that crashes or hangs over a clip is the fault of the clip; one that cannot be started is not', async () => {
  vi.resetModules();
  process.env.FFMPEG_PATH = wrapper;
  const fresh = await import('../../../src/data/prepare/scan.js');
  const { prepareDataset: prepare } = await import('../../../src/data/prepare/index.js');
  const run = (name: string, timeoutSeconds = 600) =>
    fresh.scanClip(clip(name), { signal: new AbortController().signal, timeoutSeconds });

  expect(await run('good')).toMatchObject({ info: { frames: 16 }, decoded: 16, cuts: [] });
  expect(await run('crash')).toEqual({
    reason: 'unreadable',
    detail: expect.stringMatching(/crash\.mp4: ffmpeg could not run: it was killed with signal SIGSEGV/),
  });
  expect(await run('hang', 1)).toEqual({
    reason: 'unreadable',
    detail: expect.stringMatching(/hang\.mp4: ffmpeg had not read it after 1 s/),
  });

  const list = join(folder, 'list.jsonl');
  const rows = ['good', 'crash'].map(name => JSON.stringify({ path: `${name}.mp4`, caption: name }));
  writeFileSync(list, rows.join('\n'));
  const result = await prepare(list, join(folder, 'out'));
  expect([result.clips, result.rejected]).toEqual([1, { unreadable: 1 }]);

  rmSync(wrapper);
  const gone = await run('good').catch(error => error);
  expect([gone.code, gone.exitCode]).toEqual(['ffmpeg.failed', 1]);
  const stopped = await prepare(list, join(folder, 'none')).catch(error => error);
  expect(stopped.code).toBe('ffmpeg.failed');
  expect(readFileSync(join(folder, 'none', 'journal.jsonl'), 'utf8').split('\n')).toHaveLength(2); // its head alone
});
