/**
 * What the stages share: x_0 is noised, the UNet sees it beside the stage's condition, and the plain diffusion loss is
 * taken, plus the variational bound when the UNet also predicts the variance (twice the channels).
 */
import { addNoise, diffusionLoss, offsetNoise } from '../../diffusion/index.js';
import { foldKey, randomNormal, randomUniform, type Tensor, tf } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import type { Stage, StageContext, StepInputs, StepLoss } from './stage.js';

/** What a stage's noise key is folded with, so that no two draws of a step share numbers. */
export const DRAW = {
  offsetNoise: 1,
  inputPerturbation: 2,
  conditionNoise: 3,
  conditionLevel: 4,
  firstFrame: 5,
  latentNoise: 6,
  crop: 7,
  anchorFrame: 8,
} as const;

export interface Denoising {
  /** x_0, [B, F, H, W, C] */
  clean: Tensor;
  /** Further channels of the UNet's input, [B, F, H, W, K]. */
  condition?: Tensor;
  /** [B] int32 */
  classLabels?: Tensor;
}

/** The loss of predicting what `clean` was noised with (or `clean`, or v), at the step's timesteps. */
export function denoisingLoss(
  { unet, schedule, predictionType, config }: StageContext,
  { clean, condition, classLabels }: Denoising,
  { text, timesteps, noiseKey }: Pick<StepInputs, 'text' | 'timesteps' | 'noiseKey'>,
): StepLoss {
  const [B, F, , , C] = clean.shape as [number, number, number, number, number];
  const { minSnrGamma, offsetNoise: offset, inputPerturbation, vlbWeight, appearanceDebias } = config.diffusion;
  let noise = randomNormal(clean.shape, noiseKey); // [B, F, H, W, C]
  if (offset > 0) {
    noise = offsetNoise(noise, randomNormal([B, 1, 1, 1, C], foldKey(noiseKey, DRAW.offsetNoise)), offset);
  }
  // Input perturbation (Ning et al. 2023): x_t carries a little more noise than the target says.
  const carried =
    inputPerturbation > 0
      ? noise.add(randomNormal(clean.shape, foldKey(noiseKey, DRAW.inputPerturbation)).mul(inputPerturbation))
      : noise;
  const noisy = addNoise(schedule, clean, carried, timesteps);
  const input = condition ? tf.concat([noisy, condition], 4) : noisy; // [B, F, H, W, C + K]
  const modelOutput = unet.forward(input, timesteps, text, { classLabels });
  const learnedVariance = unet.config.outChannels === 2 * C;
  const { loss, parts } = diffusionLoss(
    { schedule, predictionType, learnedVariance, vlbWeight, minSnrGamma: minSnrGamma || null },
    {
      modelOutput,
      x0: clean,
      noise,
      timesteps,
      debias:
        appearanceDebias.weight > 0 && F > 1
          ? { ...appearanceDebias, anchors: anchorFrames(B, F, foldKey(noiseKey, DRAW.anchorFrame)) }
          : undefined,
    },
  );
  return { loss, simple: parts.simple };
}

/** One frame of each clip by lot, as ones among zeros: [B, F]. */
function anchorFrames(B: number, F: number, key: Tensor): Tensor {
  const chosen = randomUniform([B], key)
    .mul(F)
    .floor()
    .minimum(F - 1)
    .toInt(); // [B]
  return tf.equal(chosen.reshape([B, 1]), tf.range(0, F, 1, 'int32').reshape([1, F])).toFloat();
}

/** `prepare` of the pixel stages: the clips as they are. */
export const asTheyAre: Stage['prepare'] = async clips => clips.clone();

/**
 * Checks the UNet's channels: `sample` + `condition` in, `sample` (or twice that, with a learned variance) out.
 * @throws InputError `train.channels`
 */
export function checkChannels(
  { unet, config }: StageContext,
  { sample, condition, what }: { sample: number; condition: number; what: string },
): void {
  const { inChannels, outChannels } = unet.config;
  const wanted = sample + condition;
  if (inChannels !== wanted) {
    throw new InputError(
      `stage ${config.stage} trains on ${what}, but model.unet has in_channels ${inChannels}; it must be ${wanted} ` +
        '(base takes 3, interp 7, sr1 6, sr2 the channels of its latents)',
      { code: 'train.channels', inChannels },
    );
  }
  if (outChannels !== sample && outChannels !== 2 * sample) {
    throw new InputError(
      `model.unet has out_channels ${outChannels}; stage ${config.stage} needs ${sample}, or ${2 * sample} with a learned variance`,
      { code: 'train.channels', outChannels },
    );
  }
}

/**
 * Checks that the UNet takes class labels as sr1 needs them, or none.
 * @throws InputError `train.class-embedding`
 */
export function checkClassEmbedding({ unet, config }: StageContext, wanted: 'timestep' | null): void {
  const { classEmbedType, numClassEmbeds } = unet.config;
  const given = classEmbedType ?? (numClassEmbeds === null ? null : `a table of ${numClassEmbeds}`);
  if (given === wanted) return;
  throw new InputError(
    wanted
      ? `stage ${config.stage} tells the UNet how noisy its condition is: model.unet needs class_embed_type "timestep", not ${JSON.stringify(given)}`
      : `stage ${config.stage} has no class labels, but model.unet has class_embed_type ${JSON.stringify(given)}; leave it out`,
    { code: 'train.class-embedding', classEmbedType: given },
  );
}

/**
 * Checks that what the UNet predicts says something about the clip at every timestep.
 * @throws InputError `diffusion.no-signal` for ε with zero terminal SNR
 */
export function checkSignal({ schedule, predictionType }: StageContext): void {
  const last = schedule.numTrainTimesteps - 1;
  if (predictionType !== 'epsilon' || schedule.alphasCumprod[last]! > 0) return;
  throw new InputError(
    `the noise schedule leaves no signal at timestep ${last} (rescale_betas_zero_snr), where predicting the noise teaches nothing; ` +
      'set prediction_type to "v_prediction" or "sample" in diffusion.scheduler, or switch the rescaling off',
    { code: 'diffusion.no-signal', timestep: last },
  );
}
