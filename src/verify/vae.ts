/**
 * Fixtures of kind `autoencoder_kl`: the moments of `in.image`'s latents, a sample with `in.noise`, the decoding of
 * `in.latent`, and, where the fixture has any, gradients of mean((decode(mean + std · noise) - target)²).
 */
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { AutoencoderKL, sampleLatents } from '../models/vae/index.js';
import { checkModel, type Inputs } from './model-check.js';
import { hostValue, readTensor, toChannelsFirst, toChannelsLast } from './tensors.js';
import { type Check, type CheckResult, type Fixture, type TensorValue, unconsumedBy } from './types.js';

/** @throws InputError for a config that is not supported or weights that do not fit */
export async function verifyAutoencoder(fixture: Fixture): Promise<CheckResult> {
  const { config, name, weights, io } = fixture;
  if (!weights) throw new InputError(`Fixture ${name} has no weights.safetensors.`, { code: 'verify.vae', name });
  const vae = new AutoencoderKL(config, { source: `fixture ${name}` });
  try {
    await vae.loadStateDict(weights);
    const checks: Check[] = [];
    for (const [output, actual] of outputs(vae, io)) {
      const expected = io.get(output);
      if (expected) checks.push({ name: output, actual, expected, kind: 'output' });
    }
    if (io.has('in.target')) checks.push(...gradients(vae, io));
    return { checks, unconsumed: unconsumedBy(checks, fixture) };
  } finally {
    vae.dispose();
  }
}

/** What an autoencoder makes of the fixture's inputs, in the file's layout. */
function outputs(vae: AutoencoderKL, io: Fixture['io']): Map<string, TensorValue> {
  return tf.tidy(() => {
    const input = (name: string) => toChannelsLast(readTensor(io, `in.${name}`));
    const found = new Map<string, TensorValue>();
    const give = (name: string, x: Tensor) => found.set(`out.${name}`, hostValue(toChannelsFirst(x)));
    if (io.has('in.image')) {
      const latents = vae.encode(input('image'));
      for (const key of ['mean', 'logvar', 'std'] as const) give(key, latents[key]);
      if (io.has('in.noise')) give('sample', sampleLatents(latents, input('noise')));
    }
    if (io.has('in.latent')) give('decoded', vae.decode(input('latent')));
    return found as never;
  }) as Map<string, TensorValue>;
}

/** Loss and gradients of the path from the image to its reconstruction, through a sample where there is noise. */
function gradients(vae: AutoencoderKL, io: Fixture['io']): Check[] {
  const wanted = [...io].filter(([name]) => /^(in\.(image|noise|target)|out\.loss|grad\..*)$/.test(name));
  const run = ({ image, noise }: Inputs) => {
    if (!image) throw new InputError('An autoencoder fixture with in.target needs in.image.', { code: 'verify.vae' });
    const latents = vae.encode(image);
    return vae.decode(noise ? sampleLatents(latents, noise) : latents.mean);
  };
  return checkModel({ io: new Map(wanted) }, { block: vae, run, output: 'reconstruction' });
}
