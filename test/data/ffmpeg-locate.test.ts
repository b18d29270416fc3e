import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { describePrograms, ensureExecutable, locate } from '../../src/data/ffmpeg-locate.js';
import { temporaryFolder } from './helpers.js';

const folder = temporaryFolder();

function fakeProgram(path: string, mode = 0o755): string {
  writeFileSync(path, '#!/bin/sh\n');
  chmodSync(path, mode);
  return path;
}

describe('locate', () => {
  it('takes the variable first, then PATH', () => {
    mkdirSync(join(folder, 'bin'));
    const named = fakeProgram(join(folder, 'my-ffmpeg'));
    const onPath = fakeProgram(join(folder, 'bin', 'ffmpeg'));
    const PATH = `${join(folder, 'nowhere')}:${join(folder, 'bin')}`;
    expect(locate('ffmpeg', { FFMPEG_PATH: named, PATH })).toEqual({ path: named, source: 'FFMPEG_PATH' });
    expect(locate('ffmpeg', { FFMPEG_PATH: '', PATH })).toEqual({ path: onPath, source: 'PATH' });
  });

  it('falls back to the installed packages', () => {
    const { path } = createRequire(import.meta.url)('@ffprobe-installer/ffprobe') as { path: string };
    expect(locate('ffprobe', { PATH: '' })).toEqual({ path, source: 'package @ffprobe-installer/ffprobe' });
    expect(statSync(path).mode & 0o111).not.toBe(0);
  });

  it('makes a program executable that a package brought without its run bit', () => {
    const path = fakeProgram(join(folder, 'no-run-bit'), 0o644);
    ensureExecutable(path);
    expect(statSync(path).mode & 0o777).toBe(0o755);
    expect(() => ensureExecutable(join(folder, 'none'))).toThrow(/ENOENT/);
  });

  it('never passes over a wrong variable', () => {
    const variables = { FFMPEG_PATH: join(folder, 'none'), PATH: '' };
    expect(() => locate('ffmpeg', variables)).toThrow(
      /FFMPEG_PATH=.*none does not exist; point it at the ffmpeg program or unset it/,
    );
    const plain = fakeProgram(join(folder, 'plain'), 0o644);
    expect(() => locate('ffprobe', { FFPROBE_PATH: plain })).toThrow(/FFPROBE_PATH=.* is not an executable file/);
  });
});

describe('describePrograms', () => {
  it('names path, origin and version of both', () => {
    const { ffmpeg, ffprobe } = describePrograms();
    for (const program of [ffmpeg, ffprobe]) {
      expect(program.version).toMatch(/\d/);
      expect(statSync(program.path).isFile()).toBe(true);
      expect(program.source).toMatch(/PATH|package/);
    }
  });
});
