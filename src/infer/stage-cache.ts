/**
 * Finished stages on disk: a cascade that was interrupted goes on where it stopped, and an added stage finds its input.
 * An entry is keyed by all that its video follows from, so that nothing stale is ever used.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import path from 'node:path';
import { openSafetensors, writeSafetensors } from '../models/weights/safetensors.js';

/** Host-side video: values in about [-1, 1], row by row. */
export interface HostVideo {
  /** [F, H, W, 3] */
  shape: [number, number, number, number];
  data: Float32Array;
}

/** A model folder by its files' names, sizes and times: new weights are another model. */
export function fingerprintOf(...folders: string[]): string {
  const files = folders.flatMap(dir =>
    existsSync(dir)
      ? readdirSync(dir)
          .sort()
          .map(name => {
            const { size, mtimeMs } = statSync(path.join(realpathSync(dir), name));
            return `${name} ${size} ${mtimeMs}`;
          })
      : [],
  );
  return createHash('sha256').update(JSON.stringify(files)).digest('hex').slice(0, 16);
}

/** The key of a stage's result: the key of its input, and whatever else it follows from. */
export function keyOf(parts: unknown): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex');
}

/** The key of a video that was given. */
export function videoKey({ shape, data }: HostVideo): string {
  const hash = createHash('sha256').update(JSON.stringify(shape));
  return hash.update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength)).digest('hex');
}

/** `folder/NAME.safetensors` holds tensor `video` and its key. */
export class StageCache {
  constructor(private readonly folder: string) {}

  private file(name: string): string {
    return path.join(this.folder, `${name}.safetensors`);
  }

  /** The stored video, or null when there is none with this key. */
  async read(name: string, key: string): Promise<HostVideo | null> {
    const file = this.file(name);
    if (!existsSync(file)) return null;
    try {
      const reader = openSafetensors(file);
      try {
        if (reader.metadata.key !== key) return null;
        const shape = reader.info('video').shape as HostVideo['shape'];
        return { shape, data: (await reader.read('video')) as Float32Array };
      } finally {
        reader.close();
      }
    } catch {
      return null; // damaged: the stage is simply run again
    }
  }

  async write(name: string, key: string, { shape, data }: HostVideo): Promise<void> {
    await writeSafetensors(this.file(name), [{ name: 'video', shape, data }], { format: 'pt', key });
  }
}
