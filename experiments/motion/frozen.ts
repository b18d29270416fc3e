/** Which tensors of a fine-tuned run differ from its base, byte by byte. */
import { statSync } from 'node:fs';
import path from 'node:path';
import { openSafetensors } from '../../src/models/weights/safetensors.js';
import { pretrainedFolders } from '../../src/train/pretrained.js';

/**
 * @param trained names that may differ
 * @returns names that differ and may not, and the size of the delta (0 where there is none)
 */
export async function changedTensors(
  base: string,
  run: string,
  trained: readonly string[],
): Promise<{ changed: string[]; bytes: number }> {
  const tuned = (await pretrainedFolders(run)).unet;
  const [before, after] = [openSafetensors((await pretrainedFolders(base)).unet), openSafetensors(tuned)];
  const may = new Set(trained);
  const changed: string[] = [];
  try {
    for (const name of before.names()) {
      if (may.has(name)) continue;
      const [a, b] = [await before.read(name), await after.read(name)];
      if (
        Buffer.compare(
          Buffer.from(a.buffer, a.byteOffset, a.byteLength),
          Buffer.from(b.buffer, b.byteOffset, b.byteLength),
        )
      )
        changed.push(name);
    }
  } finally {
    before.close();
    after.close();
  }
  const delta = path.join(path.dirname(tuned), 'delta.safetensors');
  return { changed, bytes: statSync(delta, { throwIfNoEntry: false })?.size ?? 0 };
}
