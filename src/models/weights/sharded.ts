/** Several safetensors files read as one set of weights. */
import { InputError } from '../../errors.js';
import type { SafetensorsFile } from './reader.js';
import {
  type FloatBytes,
  missingTensor,
  type Staging,
  type TensorInfo,
  type WeightArray,
  type WeightSource,
} from './source.js';

/** The union of some files' tensors; a name may be in one file only. */
export class ShardedSafetensors implements WeightSource {
  private readonly owner = new Map<string, SafetensorsFile>();

  /**
   * @param label folder or index file, for messages
   * @param index where each tensor is said to be; it must agree with the files
   * @throws InputError when two files hold the same tensor, or the index and the files disagree
   */
  constructor(
    private readonly label: string,
    private readonly files: readonly SafetensorsFile[],
    index?: ReadonlyMap<string, string>,
  ) {
    for (const file of files) {
      for (const name of file.names()) {
        const other = this.owner.get(name);
        if (other) {
          throw new InputError(
            `Tensor "${name}" is in ${other.file} and in ${file.file}: the files do not belong together. ` +
              `Keep the files of one download only.`,
            { code: 'weights.duplicate-name', name, files: [other.file, file.file] },
          );
        }
        this.owner.set(name, file);
      }
    }
    for (const [name, shard] of index ?? []) {
      if (this.owner.get(name)?.file === shard) continue;
      throw new InputError(
        `${label} says that tensor "${name}" is in ${shard}, but it is not there. Download both again.`,
        { code: 'weights.index', name, file: label },
      );
    }
  }

  /** All files' `__metadata__`, later files winning. */
  get metadata(): Record<string, string> {
    return Object.assign({}, ...this.files.map(file => file.metadata));
  }

  names(): string[] {
    return [...this.owner.keys()];
  }

  has(name: string): boolean {
    return this.owner.has(name);
  }

  info(name: string): TensorInfo {
    return this.of(name).info(name);
  }

  async read(name: string): Promise<WeightArray> {
    return this.of(name).read(name);
  }

  readSync(name: string): WeightArray {
    return this.of(name).readSync(name);
  }

  async readRows(name: string, rows: readonly number[]): Promise<WeightArray> {
    return this.of(name).readRows(name, rows);
  }

  async readBytes(name: string, staging: Staging): Promise<FloatBytes> {
    return this.of(name).readBytes(name, staging);
  }

  pieces(name: string, staging: Staging): AsyncIterable<Uint8Array> {
    return this.of(name).pieces(name, staging);
  }

  close(): void {
    for (const file of this.files) file.close();
  }

  private of(name: string): SafetensorsFile {
    const file = this.owner.get(name);
    if (!file) throw missingTensor(name, this.label, this.names());
    return file;
  }
}
