import { stripVTControlCharacters } from 'node:util';
import { describe, expect, it } from 'vitest';
import { createProgress } from '../../src/cli/progress.js';

/** A stream that remembers what was written to it. */
function fakeStream(isTTY: boolean) {
  const written: string[] = [];
  const stream = {
    isTTY,
    columns: 100,
    write: (chunk: string) => {
      written.push(chunk);
      return true;
    },
  } as unknown as NodeJS.WriteStream;
  return { stream, text: () => written.join('') };
}

describe('without a terminal', () => {
  it('prints a line every few seconds with the time left, and a last one', () => {
    const { stream, text } = fakeStream(false);
    let now = 0;
    const progress = createProgress({ label: 'sampling', total: 40, stream, now: () => now });
    for (let done = 1; done <= 40; done++) {
      now += 1000;
      progress.update(done, `clip ${done}`);
    }
    progress.stop();
    progress.stop();
    progress.update(41);
    const lines = text().trimEnd().split('\n');
    expect(lines).toHaveLength(8);
    expect(lines[0]).toBe('sampling  5/40  12%  ETA 35s  clip 5');
    expect(lines.at(-1)).toBe('sampling  40/40  100%  in 40s  clip 40');
  });
  it('counts where the total is not known', () => {
    const { stream, text } = fakeStream(false);
    const progress = createProgress({ label: 'reading', stream });
    progress.update(7);
    progress.stop();
    expect(text()).toBe('reading  7\n');
  });
  it('keeps log lines', () => {
    const { stream, text } = fakeStream(false);
    const progress = createProgress({ label: 'x', total: 2, stream });
    progress.log('a note');
    progress.stop();
    expect(text()).toBe('a note\n');
  });
});

describe('quiet', () => {
  it('shows log lines alone', () => {
    const { stream, text } = fakeStream(true);
    const progress = createProgress({ label: 'x', total: 2, quiet: true, stream });
    progress.update(2);
    progress.log('a note');
    progress.stop();
    expect(text()).toBe('a note\n');
  });
});

describe('on a terminal', () => {
  it('draws a bar, log lines above it, and leaves Ctrl-C and the cursor alone', () => {
    const { stream, text } = fakeStream(true);
    const listeners = process.listenerCount('SIGINT');
    let now = 0;
    const progress = createProgress({ label: 'training', total: 4, stream, now: () => now });
    try {
      for (let done = 1; done <= 3; done++) {
        now += 1000;
        progress.update(done, 'loss 0.5');
      }
      progress.log('checkpoint saved');
      expect(process.listenerCount('SIGINT')).toBe(listeners);
      now += 1000;
      progress.update(4);
    } finally {
      progress.stop();
    }
    progress.stop();
    expect(text()).not.toContain('\x1b[?25l');
    const plain = stripVTControlCharacters(text());
    expect(plain).toContain(`training  ${'█'.repeat(21)}${'░'.repeat(7)}  3/4  75%  ETA 1.0s  loss 0.5`);
    expect(plain).toContain('checkpoint saved\n');
    expect(plain).toMatch(/4\/4 {2}100% {2}in 4\.0s {2}loss 0\.5\n$/);
  });
  it('cuts lines to the width of the terminal', () => {
    const { stream, text } = fakeStream(true);
    stream.columns = 30;
    const progress = createProgress({ label: 'training', total: 4, stream });
    progress.update(1, 'y'.repeat(200));
    progress.stop();
    const longest = Math.max(
      ...stripVTControlCharacters(text())
        .split('\n')
        .map(line => line.length),
    );
    expect(longest).toBeLessThanOrEqual(60);
    expect(text()).not.toContain('yyyy');
  });
});
