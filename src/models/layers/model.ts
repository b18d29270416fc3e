/** A block with a config: the unit that is loaded from and saved to a model folder. */
import { join } from 'node:path';
import {
  type JsonObject,
  openPretrained,
  type SaveOptions,
  savePretrainedFolder,
  type WeightStem,
} from '../weights/pretrained.js';
import { Block } from './block.js';
import type { LoadOptions } from './state-dict.js';

export interface FromPretrainedOptions extends LoadOptions {
  /** Prefer `<stem>.<variant>.safetensors`, as `fp16`. */
  variant?: string;
}

export abstract class Model extends Block {
  /** Stem of the weight file, as the model's family names it. */
  protected abstract readonly weightStem: WeightStem;

  /** What `config.json` holds; a model built from it has the same names and shapes. */
  abstract configJson(): JsonObject;

  /**
   * Builds the model that `dir/config.json` describes and loads `dir`'s safetensors. `options` also go to the model's
   * constructor.
   * @throws InputError when the folder, the config or the weights are missing or do not fit together
   */
  static async fromPretrained<M extends Model, O extends { source?: string }>(
    this: new (
      config: JsonObject,
      options?: O,
    ) => M,
    dir: string,
    options: FromPretrainedOptions & Partial<O> = {},
  ): Promise<M> {
    const { config, weights } = openPretrained(dir, { variant: options.variant });
    try {
      const model = new this(config, { ...options, source: join(dir, 'config.json') } as unknown as O);
      await model.loadStateDict(weights, options);
      return model;
    } finally {
      weights.close();
    }
  }

  /**
   * Builds the model that `dir/config.json` describes and checks that `dir`'s weights fit it. No values are read and no
   * memory is taken: what `fromPretrained` would refuse is found before any long work.
   * @throws InputError as `fromPretrained`
   */
  static inspect<M extends Model, O extends { source?: string }>(
    this: new (
      config: JsonObject,
      options?: O,
    ) => M,
    dir: string,
    options: FromPretrainedOptions & Partial<O> = {},
  ): M {
    const { config, weights } = openPretrained(dir, { variant: options.variant });
    try {
      const model = new this(config, { ...options, source: join(dir, 'config.json') } as unknown as O);
      model.checkStateDict(weights, options);
      return model;
    } finally {
      weights.close();
    }
  }

  /** Writes `config.json` and safetensors into `dir` (float32 unless `dtype` says otherwise). */
  async savePretrained(dir: string, options: SaveOptions = {}): Promise<void> {
    await savePretrainedFolder(dir, this.weightStem, this.configJson(), this.stateDictEntries(), options);
  }
}
