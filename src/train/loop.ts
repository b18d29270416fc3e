/**
 * The training loop of every stage, top to bottom: models, mask, data, optimizer, resume, then steps until done.
 * Everything random is a function of (seed, step), so a run that was killed and resumed computes the same weights.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { stringifyConfig } from '../config/index.js';
import type { Config } from '../config/schema.js';
import { createLoader } from '../data/index.js';
import { compile, type Tensor, tf, valueAndGrads, withDropout } from '../engine/index.js';
import { InterruptedError, WorkError } from '../errors.js';
import { assemble } from './assemble.js';
import { findRun } from './checkpoint.js';
import { applyCheckpointing } from './checkpointing.js';
import { openData } from './data.js';
import { drawStep, timestepSampling } from './draw.js';
import { EarlyStop } from './early-stop.js';
import { HeldOutLoss } from './held-out.js';
import { turnHues } from './hue-turns.js';
import { RunLogger, type Tick, Ticker } from './logging/index.js';
import { LossBins } from './loss-bins.js';
import { AdamW, type TrainableVariable } from './optimizer.js';
import { prepareText } from './prepare-text.js';
import { SavePlan } from './save-plan.js';
import { emaDecayAt, learningRateAt } from './schedule.js';
import { createStage } from './stages/index.js';
import { baseOf, restore, save } from './state.js';
import { chooseTrained, recordTrained } from './trained.js';
import { ValidationSampler } from './validation.js';
import { checkVideoMetrics, VideoMetrics } from './video-metrics.js';
import { Watchdog } from './watchdog.js';

export interface TrainOptions {
  /** Continue from the newest checkpoint of `config.output`. */
  resume?: boolean;
  /** Aborting saves a checkpoint at the next step boundary and throws `InterruptedError`. */
  signal?: AbortSignal;
  /** Receives human-readable lines (default: standard error). */
  print?: (line: string) => void;
  /** Milliseconds clock of `checkpoint.everyMinutes`, for tests. */
  now?: () => number;
}

export interface TrainSummary {
  run: string;
  steps: number;
  /** Training loss of the last step and last held-out loss. */
  loss: number;
  heldOutLoss: number | null;
  secondsPerStep: number;
  peakMemoryMiB: number;
  skippedClips: number;
  checkpoint: string;
}

export async function train(config: Config, options: TrainOptions = {}): Promise<TrainSummary> {
  const { resume = false, signal, print = line => process.stderr.write(`${line}\n`) } = options;
  const { train: hyper, seed, output: run } = config;

  // ---- run folder -------------------------------------------------------------------------------------------------
  const found = await findRun(run, resume);
  await checkVideoMetrics(config, print);
  await mkdir(run, { recursive: true });
  const writeConfig = () => writeFile(path.join(run, 'config.yaml'), stringifyConfig(config));
  if (!found) await writeConfig(); // a run that goes on keeps its own until this one has proved to fit

  // ---- data -------------------------------------------------------------------------------------------------------
  const data = await openData(config, print);

  // ---- models -----------------------------------------------------------------------------------------------------
  const models = await assemble(config, data, print);
  const loader = createLoader({
    ...data.loaderOptions,
    features: models.latents ?? undefined,
    entries: data.train,
    buckets: data.buckets?.train,
    images: data.images,
    batchSize: hyper.batchSize,
    onSkip: data.reportSkip,
  });
  const { unet, text, scheduler, codec } = models;
  const { schedule, config: diffusion } = scheduler;
  const stage = createStage({ unet, schedule, predictionType: diffusion.predictionType, config, codec });
  stage.check();
  await prepareText(text, [...data.captions, ...config.validate.prompts], print);

  // ---- what trains ------------------------------------------------------------------------------------------------
  const trained = chooseTrained(unet, hyper);
  const { selection, tensors: trainable } = trained;
  const variables = trainable.map(p => p.variable);
  const recomputed = applyCheckpointing(unet, hyper.gradientCheckpointing);
  if (recomputed.length > 0) print(`gradient checkpointing: ${recomputed.join(', ')}`);

  // ---- optimizer, resume ------------------------------------------------------------------------------------------
  const optimizer = new AdamW(trainable, {
    ...hyper,
    ema: hyper.ema.decay > 0,
    averageOnHost: hyper.ema.device === 'host',
    compile: config.compile,
  });
  const start = found ? await restore(found.dir, unet, optimizer, config, print) : 0;
  if (found) await writeConfig();
  await recordTrained(run, trained, unet.parameters().size, print);
  const logger = new RunLogger({
    folder: run,
    totalSteps: hyper.steps,
    resumeStep: start,
    tensorboard: config.log.tensorboard,
    print,
  });
  const ticker = new Ticker({
    totalSteps: hyper.steps,
    clipsPerStep: data.clipsPerBatch * hyper.accumulate,
    startStep: start,
  });
  const heldOut = new HeldOutLoss({ config, data, stage, text, latents: models.latents });
  const validation = new ValidationSampler({ ...models, config, data });
  const videoMetrics = new VideoMetrics({ ...models, config, data });

  // ---- one step, compiled -----------------------------------------------------------------------------------------
  const { precision, compile: enabled } = config;
  const gradients = compile(
    (video, context, timesteps, noiseKey, dropoutKey) => {
      const objective = (): [Tensor, Tensor] => {
        const { loss, simple } = stage.loss({ video, text: context, timesteps, noiseKey });
        return [loss, simple];
      };
      const compute = () => valueAndGrads(objective, variables);
      const { value, grads, aux } = hyper.dropout ? withDropout(dropoutKey, compute) : compute();
      return [value, ...aux, ...grads];
    },
    { name: `train_${stage.name}`, precision, enabled },
  );
  const sampling = timestepSampling(config.diffusion.timesteps, diffusion.numTrainTimesteps);
  const draw = { seed, captionDropout: hyper.captionDropout, sampling };

  // ---- steps ------------------------------------------------------------------------------------------------------
  let loss = Number.NaN;
  let heldOutLoss: number | null = null;
  let checkpoint = found?.dir ?? '';
  let saved = start;
  let waited = 0;
  let finished = start;
  let lastTick: Tick | null = null;
  const earlyStop = new EarlyStop(hyper.earlyStop);
  const base = await baseOf(config, selection);
  const bins = new LossBins(diffusion.numTrainTimesteps);
  const saves = await SavePlan.open(run, config.checkpoint, options.now);
  const saveNow = async (step: number) => {
    if (saved === step && checkpoint) return;
    const heldOut = saves.record(step);
    checkpoint = await save(run, step, { unet, optimizer, config, trainable: selection.names, base, heldOut });
    saves.saved(step);
    saved = step;
    print(`saved ${checkpoint}`);
  };
  const watchdog = new Watchdog({ run, exitAfterMinutes: hyper.hangTimeoutMinutes });
  try {
    let ends = earlyStop.replay(run, start) ? start : hyper.steps;
    for (let step = start; step < ends; step++) {
      const sums: Tensor[] = [];
      loss = 0;
      for (let i = 0; i < hyper.accumulate; i++) {
        const microStep = step * hyper.accumulate + i;
        watchdog.watch(step + 1);
        const asked = performance.now();
        const batch = await loader.batch(microStep);
        waited += performance.now() - asked;
        const turns = { share: config.data.hueTurns, seed, microStep };
        const captions = turnHues(batch.videos, batch.shape, batch.captions, turns);
        const drawn = drawStep(captions, microStep, draw);
        const context = text.encode(drawn.captions); // [B, L, D]
        const clips = tf.tensor(batch.videos, batch.shape); // [B, F, H, W, 3]
        const noiseKey = tf.tensor1d(drawn.noiseKey, 'int32');
        const video = await stage.prepare(clips, noiseKey); // the clips, or their latents
        const outputs = tf.tidy(() => {
          const [timesteps, dropoutKey] = [drawn.timesteps, drawn.dropoutKey].map(x => tf.tensor1d(x, 'int32'));
          return gradients(video, context, timesteps!, noiseKey, dropoutKey!);
        });
        tf.dispose([clips, noiseKey, video, context]);
        const [value, simple, ...grads] = outputs as [Tensor, Tensor, ...Tensor[]];
        loss += value.dataSync()[0]! / hyper.accumulate;
        bins.add(drawn.timesteps, simple.dataSync());
        tf.dispose([value, simple]);
        accumulate(sums, grads);
      }
      const norm = optimizer.gradientNorm(sums) / hyper.accumulate;
      if (!Number.isFinite(loss) || !Number.isFinite(norm)) {
        tf.dispose(sums);
        await saveNow(step); // the weights are those of the last good step
        throw new WorkError(
          `step ${step + 1}: the loss is ${loss} and the gradient norm ${norm}. The weights of step ${step} are intact and saved in ${checkpoint}. ` +
            'Lower train.learningRate, set train.clipNorm, use precision: fp32, or look for broken clips in data.source.',
          { code: 'train.not-finite', step, loss, norm },
        );
      }
      const rate = learningRateAt(step, hyper);
      const clip = hyper.clipNorm > 0 ? Math.min(1, hyper.clipNorm / (norm + 1e-6)) : 1;
      const done = step + 1;
      const histograms = config.log.histogramsEverySteps;
      if (histograms > 0 && done % histograms === 0) logHistograms(logger, done, trainable, sums);
      optimizer.step(sums, {
        learningRate: rate,
        step,
        gradientScale: clip / hyper.accumulate,
        emaDecay: emaDecayAt(step, hyper.ema),
      });
      tf.dispose(sums);
      watchdog.rest();

      if (done % config.log.everySteps === 0 || done === ends) {
        const waiting = waited / 1e3;
        lastTick = ticker.tick({
          step: done,
          loss,
          learningRate: rate,
          gradNorm: norm,
          waitingSeconds: waiting,
          ...bins.take(),
        });
        logger.tick(lastTick);
        waited = 0;
      }
      if (heldOut.due(done)) {
        heldOutLoss = await optimizer.withAverage(() => heldOut.measure());
        const byTimestep = Object.entries(heldOut.byTimestep).map(([t, value]) => [`heldOut/loss_t${t}`, value]);
        logger.scalars(done, { 'heldOut/loss': heldOutLoss, ...Object.fromEntries(byTimestep) });
        saves.measured(done, heldOutLoss);
        print(`held-out loss ${heldOutLoss.toFixed(4)} at step ${done}`);
        if (earlyStop.reached(heldOutLoss) && done < ends) {
          ends = done;
          print(`it no longer falls (train.earlyStop): the run ends at step ${done} of ${hyper.steps}`);
        }
      }
      if (validation.due(done, ends))
        await optimizer.withAverage(() => validation.sample(run, done, logger, print, signal));
      if (videoMetrics.due(done, ends))
        await optimizer.withAverage(() => videoMetrics.measure(done, logger, print, signal));
      if (done === ends || saves.due(done)) await saveNow(done);
      await new Promise(resolve => setImmediate(resolve)); // Ctrl-C is heard even when every clip comes from memory
      if (signal?.aborted && done < ends) {
        await saveNow(done);
        throw new InterruptedError(`interrupted at step ${done}; saved in ${checkpoint}. Continue with --resume.`, {
          code: 'train.interrupted',
          step: done,
        });
      }
    }
    if (start >= ends) print(`nothing to do: ${run} is at step ${start} of ${ends}`);
    finished = ends;
  } finally {
    await watchdog.stop();
    await loader.close();
    await heldOut.dispose();
    await validation.dispose();
    await videoMetrics.dispose();
    gradients.dispose();
    optimizer.dispose();
    text.dispose();
    codec?.dispose();
    models.latents?.close();
    logger.close();
    unet.dispose();
  }
  return {
    run,
    steps: finished,
    loss,
    heldOutLoss,
    secondsPerStep: lastTick?.secondsPerStep ?? Number.NaN,
    peakMemoryMiB: Math.round(process.resourceUsage().maxRSS / 1024),
    skippedClips: loader.skipped.length + data.skipped,
    checkpoint,
  };
}

/** Adds `gradients` onto `sums`, taking ownership of both. */
function accumulate(sums: Tensor[], gradients: Tensor[]): void {
  gradients.forEach((gradient, i) => {
    const sum = sums[i];
    sums[i] = sum ? sum.add(gradient) : gradient;
    if (sum) tf.dispose([sum, gradient]);
  });
}

function logHistograms(logger: RunLogger, step: number, trainable: TrainableVariable[], gradients: Tensor[]): void {
  for (const [i, { name, variable }] of trainable.entries()) {
    logger.histogram(step, `weights/${name}`, variable.dataSync());
    logger.histogram(step, `gradients/${name}`, gradients[i]!.dataSync());
  }
}
