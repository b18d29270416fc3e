/** Rules between keys, which a schema cannot state. Shapes that only a model can judge are left to the models. */
import { describeAllowed, type Path } from './paths.js';
import type { Config } from './schema.js';
import { DEFAULT_TRAIN_TIMESTEPS } from './sections/diffusion.js';
import { videoShapes } from './shapes.js';
import { describeOrigin, type Origin, type Origins, originOf } from './tree.js';
import type { Problem } from './validate.js';

/** Every broken rule of a config whose keys are each valid. */
export function findConflicts(config: Config, origins: Origins, file: string | undefined): Problem[] {
  const problems: Problem[] = [];
  const conflict = (path: Path, message: string): void => {
    const origin: Origin | undefined = originOf(origins, path);
    const where = origin ? describeOrigin(origin) : (file ?? 'the config');
    problems.push({ code: 'config.conflict', path: path.join('.'), origin, message: `${where}: ${message}` });
  };
  checkModel(config, conflict);
  checkShapes(config, conflict);
  checkBuckets(config, conflict);
  checkStage(config, conflict);
  checkDiffusion(config, conflict);
  checkTraining(config, conflict);
  checkValidation(config, conflict);
  return problems;
}

type Report = (path: Path, message: string) => void;

function checkModel({ model }: Config, conflict: Report): void {
  if (model.unet === undefined && !model.pretrained && !model.inflateFrom) {
    conflict(
      ['model'],
      'model names no UNet; give model.unet (a config), model.pretrained or model.inflateFrom (a folder)',
    );
  }
  if (model.pretrained && model.inflateFrom) {
    conflict(
      ['model', 'inflateFrom'],
      'model.pretrained and model.inflateFrom both give the UNet its weights; keep one',
    );
  }
  const encoder = model.textEncoder;
  if (!encoder && !model.pretrained) {
    conflict(
      ['model'],
      'model names no text encoder; give model.textEncoder.path, model.textEncoder.tiny or model.pretrained',
    );
  }
  if (encoder && (encoder.path === undefined) === (encoder.tiny === undefined)) {
    const both = encoder.path !== undefined;
    conflict(
      ['model', 'textEncoder'],
      both
        ? 'model.textEncoder has both path and tiny; keep one (a null in the config takes an inherited one away)'
        : 'model.textEncoder needs path or tiny',
    );
  }
  const tiny = encoder?.tiny;
  if (tiny && tiny.dModel % tiny.heads !== 0) {
    conflict(
      ['model', 'textEncoder', 'tiny', 'heads'],
      `model.textEncoder.tiny.heads is ${tiny.heads}; allowed: a divisor of dModel (${tiny.dModel})`,
    );
  }
}

/** What one stage asks of the shape of its clips. */
function checkShapes(config: Config, conflict: Report): void {
  const { stage, conditioning, model } = config;
  const isEnlarging = stage === 'sr1' || stage === 'sr2';
  const { crop, scale } = conditioning;
  const factor = 2 ** ((model.vae?.tiny?.blockOutChannels.length ?? 1) - 1);
  const shapes = videoShapes(config);
  for (const { path, ...shape } of shapes) {
    const name = path.join('.');
    if (stage === 'interp' && shape.frames < 3) {
      conflict(
        [...path, 'frames'],
        `${name}.frames is ${shape.frames}; stage interp fills the frames between the first and the last: allowed: 3 or more (Show-1: 5)`,
      );
    }
    if (stage === 'sr1' && shape.frames < 2) {
      conflict(
        [...path, 'frames'],
        `${name}.frames is ${shape.frames}; stage sr1 continues from a given first frame: allowed: 2 or more (Show-1: 8)`,
      );
    }
    for (const key of ['width', 'height'] as const) {
      const what = `${name}.${key} is ${shape[key]}; allowed: a multiple of`;
      if (isEnlarging && shape[key] % scale !== 0) {
        conflict([...path, key], `${what} conditioning.scale, ${scale}, for stage ${stage}`);
      }
      if (stage === 'sr2' && shape[key] % factor !== 0) {
        conflict([...path, key], `${what} ${factor}, which model.vae.tiny makes one latent of`);
      }
    }
  }
  const largest = Math.min(...shapes.flatMap(({ width, height }) => [width, height]));
  if (isEnlarging && (crop % scale !== 0 || crop > largest)) {
    conflict(
      ['conditioning', 'crop'],
      `conditioning.crop is ${crop}; allowed: 0, or a multiple of conditioning.scale, ${scale}, up to ${largest}`,
    );
  }
}

/** Buckets that differ, one of them the shape of validation; pictures where a stage can use them. */
function checkBuckets({ stage, data }: Config, conflict: Report): void {
  const { buckets = [], images, width, height, frames } = data;
  const nameOf = (shape: typeof data | (typeof buckets)[number]) => `${shape.width}x${shape.height}x${shape.frames}`;
  const names = buckets.map(nameOf);
  names.forEach((name, i) => {
    if (names.indexOf(name) === i) return;
    conflict(
      ['data', 'buckets', String(i)],
      `data.buckets.${i} is ${name}, as data.buckets.${names.indexOf(name)} is; take one out`,
    );
  });
  if (buckets.length > 0 && !names.includes(nameOf(data))) {
    conflict(
      ['data', 'buckets'],
      `data.width x data.height x data.frames is ${width}x${height}x${frames}, which is what validation samples; ` +
        `allowed: one of data.buckets, ${names.join(', ')}`,
    );
  }
  if (images && (stage === 'interp' || stage === 'sr1')) {
    conflict(
      ['data', 'images'],
      `data.images is given, but stage ${stage} ${stage === 'interp' ? 'fills frames between two others' : 'continues from a first frame'}, ` +
        'which a picture does not have; leave it out (stages base and sr2 train on pictures)',
    );
  }
  if (data.cached?.latents !== undefined && data.hueTurns > 0) {
    conflict(
      ['data', 'hueTurns'],
      'data.hueTurns changes pixels, but data.cached.latents holds latents; leave one of them out',
    );
  }
  const what = images ? 'data.images' : 'data.buckets';
  if (data.cached?.latents !== undefined && (images || buckets.length > 0)) {
    conflict(
      ['data', 'cached', 'latents'],
      `data.cached.latents holds clips of one shape, but ${what} is given; leave one of them out`,
    );
  }
}

/** What one stage asks of its VAE and its condition. */
function checkStage({ stage, data, conditioning, model }: Config, conflict: Report): void {
  const { vae } = model;
  if (stage !== 'sr2' && data.cached?.latents !== undefined) {
    conflict(
      ['data', 'cached', 'latents'],
      `data.cached.latents is given, but stage ${stage} works on pixels; leave it out (data.cached.text works for every stage)`,
    );
  }
  const { min, max } = conditioning.noiseLevel;
  if (min > max) {
    conflict(
      ['conditioning', 'noiseLevel', 'min'],
      `conditioning.noiseLevel.min is ${min}; allowed: at most conditioning.noiseLevel.max, ${max}`,
    );
  }
  if (stage === 'sr2' && !vae && !model.pretrained) {
    conflict(['model'], 'model names no VAE; stage sr2 needs model.vae.path, model.vae.tiny or model.pretrained');
  }
  if (stage !== 'sr2' && vae) {
    conflict(['model', 'vae'], `model.vae is given, but stage ${stage} works on pixels; leave it out`);
  }
  if (vae && (vae.path === undefined) === (vae.tiny === undefined)) {
    const both = vae.path !== undefined;
    conflict(['model', 'vae'], both ? 'model.vae has both path and tiny; keep one' : 'model.vae needs path or tiny');
  }
}

function checkDiffusion({ diffusion }: Config, conflict: Report): void {
  const { min, max } = diffusion.timesteps;
  const total = diffusion.scheduler?.num_train_timesteps;
  if (max !== undefined && total !== undefined && max > total) {
    conflict(
      ['diffusion', 'timesteps', 'max'],
      `diffusion.timesteps.max is ${max}; allowed: at most diffusion.scheduler.num_train_timesteps, ${total}`,
    );
  }
  const end = max ?? total;
  if (end !== undefined && min >= end) {
    conflict(
      ['diffusion', 'timesteps', 'min'],
      `diffusion.timesteps.min is ${min}; allowed: below diffusion.timesteps.max, ${end}`,
    );
  }
  const { rescale_betas_zero_snr: zeroSnr, prediction_type: predicts } = diffusion.scheduler ?? {};
  if (zeroSnr && predicts === 'epsilon') {
    conflict(
      ['diffusion', 'scheduler', 'prediction_type'],
      'diffusion.scheduler.prediction_type is "epsilon", but rescale_betas_zero_snr leaves no signal at the last timestep, where ' +
        'the clean clip cannot be found from the noise; allowed: "v_prediction" or "sample"',
    );
  }
}

function checkTraining({ train }: Config, conflict: Report): void {
  if (train.warmupSteps > train.steps) {
    conflict(
      ['train', 'warmupSteps'],
      `train.warmupSteps is ${train.warmupSteps}; allowed: at most train.steps, ${train.steps}`,
    );
  }
  train.groups.forEach((group, i) => {
    if (group.learningRate === undefined || group.learningRateScale === undefined) return;
    conflict(['train', 'groups', String(i)], `train.groups.${i} has both learningRate and learningRateScale; keep one`);
  });
}

function checkValidation(
  { checkpoint, conditioning, data, diffusion, stage, train, validate }: Config,
  conflict: Report,
): void {
  const taken = Math.floor(validate.sampler.steps * conditioning.strength);
  if (stage === 'sr2' && taken < 1) {
    conflict(
      ['validate', 'sampler', 'steps'],
      `validate.sampler.steps is ${validate.sampler.steps}, of which conditioning.strength ${conditioning.strength} leaves none; raise one of them`,
    );
  }
  if (stage !== 'base' && validate.prompts.length > 0) {
    conflict(
      ['validate', 'prompts'],
      `validate.prompts is given, but stage ${stage} samples clips with their own captions; leave it out (validate.clips says how many)`,
    );
  }
  if (stage === 'base' && validate.everySteps > 0 && validate.prompts.length === 0) {
    conflict(
      ['validate', 'everySteps'],
      `validate.everySteps is ${validate.everySteps} but validate.prompts is empty; list prompts, or set everySteps to 0`,
    );
  }
  checkMetrics(validate.metrics, data.frames, conflict);
  const { source, fraction } = data.heldOut;
  if (source && fraction > 0) conflict(['data', 'heldOut'], 'data.heldOut has both source and fraction; keep one');
  if (validate.heldOutEverySteps > 0) {
    if (!source && fraction === 0) {
      conflict(
        ['validate', 'heldOutEverySteps'],
        `validate.heldOutEverySteps is ${validate.heldOutEverySteps} but no clips are held out; ` +
          'give data.heldOut.source or data.heldOut.fraction, or set it to 0',
      );
    }
    if (validate.heldOutTimesteps.length === 0) {
      conflict(
        ['validate', 'heldOutTimesteps'],
        'validate.heldOutTimesteps is empty; list timesteps, or set validate.heldOutEverySteps to 0',
      );
    }
  }
  if (train.earlyStop.patience > 0 && validate.heldOutEverySteps === 0) {
    conflict(
      ['train', 'earlyStop', 'patience'],
      `train.earlyStop.patience is ${train.earlyStop.patience} but no held-out loss is measured; set validate.heldOutEverySteps, or patience to 0`,
    );
  }
  if (checkpoint.keepBest > 0 && validate.heldOutEverySteps === 0) {
    conflict(
      ['checkpoint', 'keepBest'],
      `checkpoint.keepBest is ${checkpoint.keepBest} but no held-out loss is measured; set validate.heldOutEverySteps, or keepBest to 0`,
    );
  }
  const total = diffusion.scheduler?.num_train_timesteps ?? DEFAULT_TRAIN_TIMESTEPS;
  validate.heldOutTimesteps.forEach((t, i) => {
    if (validate.heldOutEverySteps > 0 && t >= total) {
      conflict(
        ['validate', 'heldOutTimesteps', String(i)],
        `validate.heldOutTimesteps.${i} is ${t}; allowed: ${describeAllowed({ type: 'integer', minimum: 0, maximum: total - 1 } as never)}`,
      );
    }
  });
  if (validate.sampler.steps > total) {
    conflict(
      ['validate', 'sampler', 'steps'],
      `validate.sampler.steps is ${validate.sampler.steps}; allowed: at most the ${total} timesteps of the scheduler`,
    );
  }
}

/** What the networks of `validate.metrics` ask of the clips. */
function checkMetrics(metrics: Config['validate']['metrics'], frames: number, conflict: Report): void {
  if (!metrics) return;
  const path = ['validate', 'metrics'];
  const { fvd, fidVid, is, clipsim } = metrics;
  if (!fvd && !fidVid && !is && !clipsim) {
    conflict(path, 'validate.metrics names no metric; give fvd, fidVid, is or clipsim, each with its weights');
  }
  if (fvd && frames < 10) {
    conflict([...path, 'fvd'], `validate.metrics.fvd needs clips of 10 frames or more, data.frames is ${frames}`);
  }
  if (is && frames !== 16) {
    conflict([...path, 'is'], `validate.metrics.is needs clips of 16 frames, data.frames is ${frames}`);
  }
}
