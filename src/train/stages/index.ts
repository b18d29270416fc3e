import { InputError } from '../../errors.js';
import { baseStage } from './base.js';
import type { Stage, StageContext } from './stage.js';

export type { Stage, StageContext, StepInputs, StepLoss } from './stage.js';

/** The training stage that `config.stage` names. */
export function createStage(context: StageContext): Stage {
  const { stage } = context.config;
  if (stage === 'base') return baseStage(context);
  throw new InputError(`stage "${stage}" cannot be trained by this version; allowed: base`, {
    code: 'train.stage',
    stage,
  });
}
