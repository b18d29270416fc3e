/** Which files of a folder are weights, and which of them make one set. */
import { basename } from 'node:path';
import { locateWeights } from '../models/weights/locate.js';
import { isPickleName } from '../models/weights/refuse.js';

/** Weights of any framework, and their indexes: never copied as they are, so that a converted folder holds one set only. */
export const isWeightFile = (name: string): boolean =>
  isPickleName(name) || /\.(safetensors|msgpack|h5|onnx|ot|gguf)$|\.index(\.\w+)?\.json$/i.test(name);

/** Stems that upstream puts variants after; a dot in any other file name is part of the name. */
const VARIED = /^(diffusion_pytorch_model|model)\.\w+$/;

/**
 * File name of a folder's weights without shard number, variant and ending, as `diffusion_pytorch_model`.
 * @param variant prefer `<stem>.<variant>.safetensors`
 * @throws InputError as `locateWeights`: none, several, a missing shard, pickle files only
 */
export function weightStem(dir: string, variant?: string): string {
  const located = locateWeights(dir, variant);
  const file = 'file' in located ? located.file : located.shards[0]!;
  const plain = basename(file).replace(/(-\d+-of-\d+)?\.safetensors$/, '');
  return VARIED.exec(plain)?.[1] ?? plain;
}
