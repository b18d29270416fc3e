/** Captions of a run for a text encoder that is read from disk: all are encoded before the first step. */
import { formatDuration } from '../format.js';
import type { TextConditioner } from '../models/text/index.js';

/** Milliseconds between progress lines. */
const INTERVAL = 5000;

/**
 * Does nothing for an encoder that is in memory; it encodes captions as they come.
 * @param prompts everything that training, held-out loss and validation will ask for
 */
export async function prepareText(
  text: Pick<TextConditioner, 'streamed' | 'encodeAll'>,
  prompts: readonly string[],
  print: (line: string) => void,
): Promise<void> {
  if (!text.streamed) return;
  const wanted = new Set([...prompts, '']); // the empty one stands in for dropped captions
  print(`encoding ${wanted.size} captions before the first step: the text encoder is read from disk layer by layer`);
  const began = performance.now();
  let shown = began;
  await text.encodeAll(wanted, {
    onProgress: (done, total) => {
      const now = performance.now();
      if (now - shown < INTERVAL) return;
      shown = now;
      const left = ((now - began) / 1e3 / done) * (total - done);
      print(`captions  ${Math.round((100 * done) / total)}%  ETA ${formatDuration(left)}`);
    },
  });
}
