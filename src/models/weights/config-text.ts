/** `config.json` as Python reads it: the type of the weights, and numbers that must look like floats. */
import type { JsonObject } from './pretrained.js';

const TORCH_NAMES = { F32: 'float32', F16: 'float16', BF16: 'bfloat16' } as const;

/** transformers 5 refuses a whole number in these fields: 1.0 is one here once it was read. */
const FLOATS = /"(initializer_factor|initializer_range|layer_norm_eps|layer_norm_epsilon)": (-?\d+)(?=,?$)/gm;

/**
 * @param dtype of the weights beside it. transformers notes their type in the config, and from version 5 on converts
 *   weights to it when it loads them: the note must be of what is written, not of what was read
 */
export function configText(config: JsonObject, dtype: keyof typeof TORCH_NAMES): string {
  const isNote = (key: string, value: unknown) =>
    /^(torch_)?dtype$/.test(key) && Object.values(TORCH_NAMES).some(name => name === value);
  const replace = (key: string, value: unknown) => (isNote(key, value) ? TORCH_NAMES[dtype] : value);
  return `${JSON.stringify(config, replace, 2).replace(FLOATS, '"$1": $2.0')}\n`;
}
