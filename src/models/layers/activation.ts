/** Activations by their names in diffusers' configs. */
import { gelu, silu, type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';

/** `swish` is `silu`. GELU is the exact one (erf). */
export type ActivationName = 'silu' | 'gelu' | 'mish';

const NAMES: Record<string, ActivationName> = { silu: 'silu', swish: 'silu', gelu: 'gelu', mish: 'mish' };

/** @param key the config key, for the message @throws InputError for a name that diffusers does not have */
export function activationName(value: unknown, key: string): ActivationName {
  const name = typeof value === 'string' ? NAMES[value] : undefined;
  if (!name) {
    throw new InputError(
      `${key}: ${JSON.stringify(value)} is no known activation; use ${Object.keys(NAMES).join(', ')}.`,
      { code: 'model.config-value', key, value },
    );
  }
  return name;
}

/** Applies the activation; any shape. */
export function activate(name: ActivationName, x: Tensor): Tensor {
  if (name === 'silu') return silu(x);
  if (name === 'gelu') return gelu(x);
  return tf.tidy(() => x.mul(x.softplus().tanh())); // Misra 2019
}
