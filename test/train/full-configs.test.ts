/** The full-size configs: valid, and the networks beside them are Show-1's. Nothing of that size is run here. */
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/index.js';
import { DDPMScheduler } from '../../src/diffusion/index.js';
import { UNet3DConditionModel } from '../../src/models/unet3d/index.js';
import { readModelConfig } from '../../src/models/weights/pretrained.js';
import { createStage } from '../../src/train/stages/index.js';

const CONFIGS = fileURLToPath(new URL('../../configs', import.meta.url));

/** Parameters and tensors of the authors' class with these configs. */
describe.each([
  ['base', 1_726_848_390],
  ['interp', 1_726_859_910],
  ['sr1', 751_559_238],
  ['sr2', 1_411_233_860],
] as const)('configs/%s.yaml', (stage, parameters) => {
  it('names a network of Show-1’s size that fits its stage', () => {
    const { config } = loadConfig(path.join(CONFIGS, `${stage}.yaml`), { set: ['validate.everySteps=0'] });
    const unet = new UNet3DConditionModel(readModelConfig(path.join(CONFIGS, 'unet', stage)));
    const sizes = [...unet.parameters().values()].map(({ size }) => size);
    expect(sizes.reduce((a, b) => a + b, 0)).toBe(parameters);
    const { schedule, config: diffusion } = DDPMScheduler.fromConfig(
      config.diffusion.scheduler as Record<string, unknown>,
    );
    createStage({ unet, schedule, predictionType: diffusion.predictionType, config }).check();
    unet.dispose();
  });
});
