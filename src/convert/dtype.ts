/** A model, a pipeline or a cascade in another float type, or in files of another size. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { type ConvertedModel, type ConvertOptions, configOf, convertWeights, copyInto, measureModel } from './model.js';
import { checkOutput, type OutputOptions, writeFolder } from './output-folder.js';
import { type FolderContents, scanFolder } from './scan.js';
import type { Watch } from './tensors.js';

export interface ConvertFolderOptions extends ConvertOptions, OutputOptions {
  /** Stops the work: what was written is removed. */
  signal?: AbortSignal;
  /** Bytes of weights read, of all. */
  onProgress?: (done: number, total: number, what: string) => void;
}

export interface ConvertFolderResult {
  kind: FolderContents['kind'];
  out: string;
  models: ConvertedModel[];
  /** Other files copied. */
  copied: number;
  /** Weight files of the source that were not converted: another format, or the same weights twice. */
  leftOut: string[];
}

/** Counts what is read of `total` bytes for a progress display. */
export function watchOf(total: number, { signal, onProgress }: Pick<ConvertFolderOptions, 'signal' | 'onProgress'>) {
  let done = 0;
  return (folder: string): Watch => ({
    signal,
    onBytes: (bytes, name) => {
      done += bytes;
      onProgress?.(done, total, folder ? `${folder}/${name}` : name);
    },
  });
}

/**
 * Copies the folder `dir` to `out` with its weights converted, tensor by tensor. Everything is checked before anything is
 * written, but for the values themselves.
 * @throws InputError when `dir` holds nothing to convert, `out` must not be written, or a value is beyond the type's range;
 *   WorkError when the disk is full; InterruptedError. `out` is complete or as it was.
 */
export async function convertFolder(
  dir: string,
  out: string,
  options: ConvertFolderOptions,
): Promise<ConvertFolderResult> {
  checkOutput(out, dir, options);
  const { kind, models, files, leftOut } = scanFolder(dir, options.fromVariant);
  const sizes = models.map(({ folder }) => measureModel(join(dir, folder), options));
  const copies = files.reduce((sum, file) => sum + statSync(join(dir, file)).size, 0);
  const sum = (key: 'before' | 'after') => sizes.reduce((total, size) => total + size[key], 0);
  const watch = watchOf(sum('before'), options);
  const converted = await writeFolder(out, sum('after') + copies, options, async temporary => {
    const done: ConvertedModel[] = [];
    for (const { folder, stem } of models) {
      const result = await convertWeights(join(dir, folder), join(temporary, folder), stem, options, watch(folder));
      done.push({ folder, ...result });
    }
    const configs = new Set(models.map(({ folder }) => configOf(folder)));
    for (const file of files) {
      await copyInto(join(dir, file), join(temporary, file), configs.has(file) ? options.dtype : null);
    }
    return done;
  });
  return { kind, out, models: converted, copied: files.length, leftOut };
}
