/** Which files of a folder are weights, and which of them make one set. */
import { basename } from 'node:path';
import { InputError } from '../errors.js';
import { locateWeights } from '../models/weights/locate.js';
import { isPickleName } from '../models/weights/refuse.js';

/** Weights of any framework, and their indexes: never copied as they are, so that a converted folder holds one set only. */
export const isWeightFile = (name: string): boolean =>
  isPickleName(name) || /\.(safetensors|msgpack|h5|onnx|ot|gguf)$|\.index(\.\w+)?\.json$/i.test(name);

/** Stems that upstream puts variants after; a dot in any other file name is part of the name. */
const VARIED = /^(diffusion_pytorch_model|model)\.\w+$/;

export interface WeightSet {
  /** File name without shard number, variant and ending, as `diffusion_pytorch_model`. */
  stem: string;
  /** Names of its files and its index. */
  files: string[];
}

/**
 * The weights that a folder is read from.
 * @param variant prefer `<stem>.<variant>.safetensors`
 * @throws InputError as `locateWeights`: none, several, a missing shard, pickle files only
 */
export function weightSet(dir: string, variant?: string): WeightSet {
  const located = locateWeights(dir, variant);
  const paths =
    'file' in located ? [located.file] : [...located.shards, ...(located.index ? [located.index.file] : [])];
  const files = paths.map(path => basename(path));
  const plain = files[0]!.replace(/(-\d+-of-\d+)?\.safetensors$/, '');
  return { stem: VARIED.exec(plain)?.[1] ?? plain, files };
}

/**
 * @param files names of the weight files that are read
 * @throws InputError when a variant was asked for and none of them is of it
 */
export function requireVariant(dir: string, files: readonly string[], variant: string | undefined): void {
  if (variant === undefined || files.some(name => name.includes(`.${variant}.`))) return;
  throw new InputError(
    `--from-variant ${variant}: no weight file in ${dir} is named *.${variant}.safetensors; there are ${files.join(', ')}. Leave the option out to read these.`,
    { code: 'convert.variant', dir, variant },
  );
}
