import type { Config } from '../../config/schema.js';
import { baseStage } from './base.js';
import { checkSignal } from './denoising.js';
import { interpStage } from './interp.js';
import { sr1Stage } from './sr1.js';
import { sr2Stage } from './sr2.js';
import type { Stage, StageContext } from './stage.js';

export type { Stage, StageContext, StepInputs, StepLoss } from './stage.js';

const STAGES: Record<Config['stage'], (context: StageContext) => Stage> = {
  base: baseStage,
  interp: interpStage,
  sr1: sr1Stage,
  sr2: sr2Stage,
};

/** The training stage that `config.stage` names. */
export function createStage(context: StageContext): Stage {
  const stage = STAGES[context.config.stage](context);
  return {
    ...stage,
    check() {
      checkSignal(context);
      stage.check();
    },
  };
}
