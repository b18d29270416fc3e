import type { Tensor } from '../../engine/index.js';
import { InputError } from '../../errors.js';
import { UP_BLOCKS } from './block-types.js';
import { takesClassLabels } from './class-embedding.js';
import type { UNet3DConfig } from './config.js';

/** Checks shapes only, so it also works while a step is traced. @throws InputError naming the input and what is allowed */
export function checkInputs(
  config: UNet3DConfig,
  sample: Tensor,
  text: Tensor,
  { classLabels }: { classLabels?: Tensor | null },
): void {
  const fail = (what: string, shape: readonly number[] | null, allowed: string): never => {
    throw new InputError(`UNet: ${what} is ${shape ? `[${shape}]` : 'missing'}; ${allowed}.`, {
      code: 'model.input',
      input: what,
      shape,
    });
  };
  const { inChannels: C } = config;
  const images = config.family === 'image';
  const ranks = images ? [4, 5] : [5];
  if (!ranks.includes(sample.rank) || sample.shape.at(-1) !== C) {
    fail('sample', sample.shape, `it must be ${images ? `[N, H, W, ${C}] or ` : ''}[B, F, H, W, ${C}]`);
  }
  const B = sample.shape[0]!;
  const [H, W] = sample.shape.slice(-3) as [number, number, number];
  const width = config.encoderHidDim ?? config.crossAttentionDim;
  if (text.rank !== 3 || text.shape[0] !== B || (!Array.isArray(width) && text.shape[2] !== width)) {
    fail('encoderHiddenStates', text.shape, `it must be [${B}, L, ${width}]`);
  }
  const multiple = sizeMultiple(config);
  if (H % multiple || W % multiple) {
    fail(
      'sample',
      sample.shape,
      `height and width must be multiples of ${multiple} (${config.blockOutChannels.length} levels)`,
    );
  }
  const wanted = takesClassLabels(config);
  if (wanted && !classLabels) {
    fail(
      'classLabels',
      null,
      `class_embed_type "${config.classEmbedType}" needs it (super-resolution: the noise level)`,
    );
  }
  if (!wanted && classLabels) fail('classLabels', classLabels.shape, 'the config has no class embedding');
}

/** What height and width must be multiples of. Convolutional samplers follow odd sizes; resnet samplers double and halve exactly. */
export function sizeMultiple(config: UNet3DConfig): number {
  const exact = config.upBlockTypes.slice(0, -1).some(type => UP_BLOCKS[type]!.sampler === 'resnet');
  return exact ? 2 ** (config.blockOutChannels.length - 1) : 1;
}
