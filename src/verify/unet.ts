/** Fixtures of kind `unet3d`: a whole UNet, its outputs at one or more sizes, its loss and gradients. */
import { InputError } from '../errors.js';
import { UNet3DConditionModel } from '../models/unet3d/index.js';
import { checkModel, type Inputs } from './model-check.js';
import { type CheckResult, type Fixture, unconsumedBy } from './types.js';

/** Calls a UNet with a fixture's inputs (channels last). */
export function runUnet(unet: UNet3DConditionModel, inputs: Inputs) {
  const {
    sample,
    timestep,
    encoder_hidden_states: text,
    class_labels: classLabels,
    timestep_cond: timestepCond,
  } = inputs;
  if (!sample || !timestep || !text) {
    throw new InputError(
      `A UNet fixture needs in.sample, in.timestep and in.encoder_hidden_states, not ${Object.keys(inputs)}.`,
      {
        code: 'verify.unet-input',
      },
    );
  }
  return unet.forward(sample, timestep, text, { classLabels, timestepCond });
}

/** @throws InputError for a config that is not supported or weights that do not fit */
export async function verifyUnet(fixture: Fixture): Promise<CheckResult> {
  const { config, name, weights } = fixture;
  if (!weights) throw new InputError(`Fixture ${name} has no weights.safetensors.`, { code: 'verify.unet', name });
  const unet = new UNet3DConditionModel(config, { source: `fixture ${name}` });
  await unet.loadStateDict(weights);
  try {
    const checks = checkModel(fixture, { block: unet, run: inputs => runUnet(unet, inputs), output: 'sample' });
    return { checks, unconsumed: unconsumedBy(checks, fixture) };
  } finally {
    unet.dispose();
  }
}
