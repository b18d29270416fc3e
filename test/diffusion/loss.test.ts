import { describe, expect, it } from 'vitest';
import {
  addNoise,
  diffusionLoss,
  discretizedGaussianNll,
  getVelocity,
  type LossOptions,
  lossTarget,
  minSnrWeights,
  noiseSchedule,
  offsetNoise,
  PREDICTION_TYPES,
  signalToNoise,
} from '../../src/diffusion/index.js';
import { compile, type Tensor, tf, valueAndGrads } from '../../src/engine/index.js';
import { distance, expectNoLeak, gaussian } from './helpers.js';

const schedule = noiseSchedule({ betaSchedule: 'squaredcos_cap_v2' });
const shape = [4, 2, 3, 3, 3];
const x0 = gaussian(shape).mul(0.5).clipByValue(-1, 1);
const noise = gaussian(shape, 2);
const timesteps = tf.tensor1d([0, 17, 500, 999], 'int32');
const channels = (x: Tensor, from: number) => x.slice([0, 0, 0, 0, from], [-1, -1, -1, -1, 3]);
const doubled = (prediction: Tensor, v: Tensor) => tf.concat([prediction, v], -1);

describe('diffusionLoss without a learned variance', () => {
  it('is the mean squared error to ε, v or x_0', () => {
    const prediction = gaussian(shape, 3);
    const targets = { epsilon: noise, v_prediction: getVelocity(schedule, x0, noise, timesteps), sample: x0 };
    for (const predictionType of PREDICTION_TYPES) {
      const { loss, perSample, parts } = diffusionLoss(
        { schedule, predictionType },
        { modelOutput: prediction, x0, noise, timesteps },
      );
      const expected = prediction.sub(targets[predictionType]).square().mean([1, 2, 3, 4]);
      expect(distance(perSample, expected)).toBeLessThan(1e-5);
      expect(distance(parts.simple, expected)).toBeLessThan(1e-5);
      expect(distance(loss, expected.mean())).toBeLessThan(1e-5);
      expect(parts.vlb).toBeUndefined();
      expect(
        distance(lossTarget(schedule, predictionType, x0, noise, timesteps), targets[predictionType]),
      ).toBeLessThan(1e-6);
    }
  });

  it('weighs samples', () => {
    const inputs = { modelOutput: gaussian(shape, 3), x0, noise, timesteps };
    const plain = diffusionLoss({ schedule, predictionType: 'epsilon' }, inputs);
    const sampleWeights = tf.tensor1d([0, 1, 2, 0.5]);
    const weighted = diffusionLoss({ schedule, predictionType: 'epsilon' }, { ...inputs, sampleWeights });
    expect(distance(weighted.perSample, plain.perSample.mul(sampleWeights))).toBeLessThan(1e-6);
    expect(distance(weighted.loss, weighted.perSample.mean())).toBeLessThan(1e-6);
    expect(distance(weighted.parts.simple, plain.parts.simple)).toBe(0);
  });

  it('adds the appearance-debiased error, which is blind to an error that all frames share', () => {
    const anchors = tf.oneHot(tf.tensor1d([0, 1, 1, 0], 'int32'), 2).toFloat(); // [B, F]
    const options: LossOptions = { schedule, predictionType: 'v_prediction' };
    const run = (modelOutput: Tensor, debias?: { weight: number; beta: number }) =>
      diffusionLoss(options, { modelOutput, x0, noise, timesteps, debias: debias && { ...debias, anchors } });
    const prediction = gaussian(shape, 3);
    const error = prediction
      .sub(lossTarget(schedule, 'v_prediction', x0, noise, timesteps))
      .arraySync() as number[][][][][];
    const beta = 0.7;
    // Written out in plain numbers: φ(e)_i = sqrt(β² + 1) e_i - β e_anchor.
    const expected = error.map((frames, b) => {
      const anchor = frames[[0, 1, 1, 0][b]!]!.flat(2);
      const squares = frames.flatMap(frame =>
        frame.flat(2).map((e, i) => (Math.sqrt(beta * beta + 1) * e - beta * anchor[i]!) ** 2),
      );
      return squares.reduce((sum, x) => sum + x, 0) / squares.length;
    });
    const plain = run(prediction);
    const debiased = run(prediction, { weight: 0.5, beta });
    expect(distance(debiased.perSample, plain.perSample.add(tf.tensor1d(expected).mul(0.5)))).toBeLessThan(1e-5);
    expect(distance(debiased.parts.simple, plain.parts.simple)).toBe(0);

    // As β grows, φ keeps only what differs from the anchor: an error shared by all frames vanishes against its own size.
    const target = lossTarget(schedule, 'v_prediction', x0, noise, timesteps);
    const shared = run(target.add(1), { weight: 1, beta: 10 });
    expect(distance(shared.perSample.sub(1), tf.fill([4], (Math.sqrt(101) - 10) ** 2))).toBeLessThan(1e-4);
  });

  it('min-SNR-γ makes the three predictions one loss on x_0', () => {
    // |ε - ε̂|² = SNR |x_0 - x̂_0|² and |v - v̂|² = (SNR + 1) |x_0 - x̂_0|²: the weights divide that out again.
    const t = tf.tensor1d([10, 300, 500, 800], 'int32');
    const predicted = x0.add(gaussian(shape, 5).mul(0.1));
    const xt = addNoise(schedule, x0, noise, t);
    const root = (values: Float32Array) =>
      tf.tensor(
        Array.from(t.dataSync(), i => Math.sqrt(values[i]!)),
        [4, 1, 1, 1, 1],
      );
    const [alpha, sigma] = [root(schedule.alphasCumprod), root(schedule.alphasCumprod.map(a => 1 - a))];
    const epsilon = xt.sub(predicted.mul(alpha)).div(sigma);
    const outputs = { epsilon, sample: predicted, v_prediction: epsilon.mul(alpha).sub(predicted.mul(sigma)) };
    const losses = PREDICTION_TYPES.map(predictionType =>
      diffusionLoss(
        { schedule, predictionType, minSnrGamma: 5 },
        { modelOutput: outputs[predictionType], x0, noise, timesteps: t },
      ).perSample.dataSync(),
    );
    for (let b = 0; b < 4; b++) {
      for (const loss of losses) expect(loss[b]! / losses[1]![b]!).toBeCloseTo(1, 2);
    }
  });

  it('min-SNR weights follow the paper', () => {
    const snr = signalToNoise(schedule);
    const t = 100;
    expect(snr[t]).toBeGreaterThan(5);
    expect(minSnrWeights(schedule, 'epsilon', 5)[t]).toBeCloseTo(5 / snr[t]!, 10);
    expect(minSnrWeights(schedule, 'v_prediction', 5)[t]).toBeCloseTo(5 / (snr[t]! + 1), 10);
    expect(minSnrWeights(schedule, 'sample', 5)[t]).toBe(5);
    expect(minSnrWeights(schedule, 'epsilon', 5)[900]).toBe(1);
    expect(minSnrWeights(schedule, 'sample', 5)[900]).toBeCloseTo(snr[900]!, 10);
    expect(minSnrWeights(schedule, 'epsilon').every(weight => weight === 1)).toBe(true);
    const zero = noiseSchedule({ rescaleBetasZeroSnr: true });
    for (const type of PREDICTION_TYPES) expect(minSnrWeights(zero, type, 5)[999]).toBe(type === 'epsilon' ? 1 : 0);
    expect(() => minSnrWeights(schedule, 'epsilon', 0)).toThrow(/gamma is 0/);
  });

  it('names wrong shapes and settings', () => {
    const inputs = { modelOutput: gaussian(shape, 3), x0, noise, timesteps };
    expect(() => diffusionLoss({ schedule, predictionType: 'epsilon', learnedVariance: true }, inputs)).toThrow(
      /\[4,2,3,3,3\] but the loss needs \[4,2,3,3,6\]/,
    );
    expect(() => diffusionLoss({ schedule, predictionType: 'eps' as never }, inputs)).toThrow(
      /"eps"; allowed: epsilon/,
    );
    const one = tf.tensor1d([1], 'int32');
    expect(() => diffusionLoss({ schedule, predictionType: 'epsilon' }, { ...inputs, timesteps: one })).toThrow(
      /1 timesteps for a batch of 4/,
    );
    const zero = noiseSchedule({ rescaleBetasZeroSnr: true });
    const both = { ...inputs, modelOutput: gaussian([4, 2, 3, 3, 6]) };
    expect(() => diffusionLoss({ schedule: zero, predictionType: 'epsilon', learnedVariance: true }, both)).toThrow(
      /no signal/,
    );
  });
});

describe('diffusionLoss with a learned variance', () => {
  const learned: LossOptions = { schedule, predictionType: 'epsilon', learnedVariance: true };
  const perfect = { epsilon: noise, v_prediction: getVelocity(schedule, x0, noise, timesteps), sample: x0 };

  it('has no KL for the true mean with the posterior’s variance (v = -1), and more for any other', () => {
    for (const predictionType of PREDICTION_TYPES) {
      const vlb = (v: number) =>
        diffusionLoss(
          { ...learned, predictionType },
          { modelOutput: doubled(perfect[predictionType], tf.fill(shape, v)), x0, noise, timesteps },
        ).parts.vlb!.dataSync();
      const [low, high] = [vlb(-1), vlb(1)];
      for (const b of [1, 2, 3]) expect(Math.abs(low[b]!)).toBeLessThan(1e-6);
      for (const b of [1, 2]) expect(high[b]!).toBeGreaterThan(1e-8); // at t = 999 the two bounds are one
      expect(low[0]).not.toBeCloseTo(high[0]!, 3); // the decoder's likelihood
    }
  });

  it('is the KL of the posteriors written out, in bits', () => {
    const t = 400;
    const at = tf.fill([4], t, 'int32');
    const [prediction, v] = [gaussian(shape, 3), gaussian(shape, 4).mul(0.5)];
    const bar = (i: number) => schedule.alphasCumprod[i]!;
    const beta = schedule.betas[t]!;
    const [alpha, sigma] = [Math.sqrt(bar(t)), Math.sqrt(1 - bar(t))];
    const posterior = (beta * (1 - bar(t - 1))) / (1 - bar(t));
    const xt = addNoise(schedule, x0, noise, t);
    const mean = (x: Tensor) =>
      x
        .mul((Math.sqrt(bar(t - 1)) * beta) / (1 - bar(t)))
        .add(xt.mul((Math.sqrt(1 - beta) * (1 - bar(t - 1))) / (1 - bar(t))));
    const predicted = mean(xt.sub(prediction.mul(sigma)).div(alpha));
    const fraction = v.add(1).div(2);
    const logVar = fraction.mul(Math.log(beta)).add(tf.sub(1, fraction).mul(Math.log(posterior)));
    const kl = tf
      .sub(logVar, Math.log(posterior) + 1)
      .add(tf.exp(tf.sub(Math.log(posterior), logVar)))
      .add(mean(x0).sub(predicted).square().mul(logVar.neg().exp()))
      .mul(0.5 / Math.LN2)
      .mean([1, 2, 3, 4]);
    const { parts, perSample } = diffusionLoss(learned, {
      modelOutput: doubled(prediction, v),
      x0,
      noise,
      timesteps: at,
    });
    expect(distance(parts.vlb!.div(kl), tf.ones([4]))).toBeLessThan(1e-3);
    // L_hybrid with λ = 0.001 on the sum over 1000 timesteps: the two parts weigh the same.
    expect(distance(perSample, parts.simple.add(parts.vlb!))).toBeLessThan(1e-5);
    const light = diffusionLoss(
      { ...learned, vlbWeight: 1e-5 },
      { modelOutput: doubled(prediction, v), x0, noise, timesteps: at },
    );
    expect(distance(light.perSample, parts.simple.add(parts.vlb!.mul(0.01)))).toBeLessThan(1e-5);
  });

  it('is the likelihood of the pixel’s bin under the predicted x_0 at t = 0', () => {
    const edges = x0.sign(); // in the outermost bins the side of the error matters
    const predicted = edges.mul(0.99).add(gaussian(shape, 3).mul(0.002));
    const at = tf.fill([4], 0, 'int32');
    const [alpha, sigma] = [Math.sqrt(schedule.alphasCumprod[0]!), Math.sqrt(1 - schedule.alphasCumprod[0]!)];
    const epsilon = addNoise(schedule, edges, noise, 0).sub(predicted.mul(alpha)).div(sigma);
    const outputs = { epsilon, sample: predicted, v_prediction: epsilon.mul(alpha).sub(predicted.mul(sigma)) };
    // v = 1: the variance is β_0.
    const nll = discretizedGaussianNll(edges, edges.sub(predicted), tf.fill(shape, Math.log(schedule.betas[0]!)));
    for (const predictionType of PREDICTION_TYPES) {
      const modelOutput = doubled(outputs[predictionType], tf.ones(shape));
      const { parts } = diffusionLoss({ ...learned, predictionType }, { modelOutput, x0: edges, noise, timesteps: at });
      const expected = nll.mean([1, 2, 3, 4]).div(Math.LN2);
      expect(distance(parts.vlb!.div(expected), tf.ones([4])), predictionType).toBeLessThan(1e-2);
    }
  });

  it('trains the mean by L_simple alone and the variance by the bound alone', () => {
    const [prediction, v] = [noise.add(gaussian(shape, 3).mul(0.1)), gaussian(shape, 4).mul(0.5)];
    const early = tf.tensor1d([0, 2, 5, 17], 'int32'); // where the bounds of the variance lie apart
    const loss = (y: Tensor) => diffusionLoss(learned, { modelOutput: y, x0, noise, timesteps: early }).loss;
    const output = doubled(prediction, v);
    const gradient = valueAndGrads(() => loss(output), [output]).grads[0]!;
    const simple = prediction.sub(noise).mul(2 / prediction.size);
    expect(distance(channels(gradient, 0), simple)).toBeLessThan(1e-8);
    // Central differences along random directions of v, one for each sample so that small terms count too.
    for (let b = 0; b < 4; b++) {
      const mask = tf.oneHot(tf.tensor1d([b], 'int32'), 4).reshape([4, 1, 1, 1, 1]);
      const direction = gaussian(shape, 10 + b).mul(mask);
      const along = (step: number) => loss(doubled(prediction, v.add(direction.mul(step)))).dataSync()[0]!;
      const numeric = (8 * (along(0.02) - along(-0.02)) - (along(0.04) - along(-0.04))) / 0.24;
      const analytic = channels(gradient, 3).mul(direction).sum().dataSync()[0]!;
      expect(Math.abs(analytic)).toBeGreaterThan(1e-5);
      expect(Math.abs(numeric - analytic)).toBeLessThan(2e-3 * Math.abs(analytic) + 2e-5);
    }
  });

  it('gives the same loss and gradient when traced, with the timesteps as an argument', () => {
    const output = doubled(gaussian(shape, 3), gaussian(shape, 4));
    const run = (y: Tensor, t: Tensor) => {
      const { value, grads } = valueAndGrads(
        () =>
          diffusionLoss(
            { ...learned, minSnrGamma: 5 },
            { modelOutput: y, x0: y.slice([0, 0, 0, 0, 1], shape), noise: channels(y, 2), timesteps: t },
          ).loss,
        [y],
      );
      return [value, grads[0]!];
    };
    const traced = compile(run);
    for (const list of [
      [0, 17, 500, 999],
      [1, 2, 0, 998],
    ]) {
      const t = tf.tensor1d(list, 'int32');
      const [eager, compiled] = [run(output, t), traced(output, t)];
      for (const i of [0, 1]) expect(distance(compiled[i]!, eager[i]!)).toBeLessThan(1e-5);
    }
    expect(traced.traces).toHaveLength(1);
    traced.dispose();
  });

  it('leaks nothing', () => {
    const modelOutput = doubled(noise, noise);
    expectNoLeak(() => ({ ...diffusionLoss(learned, { modelOutput, x0, noise, timesteps }) }));
    expectNoLeak(() => lossTarget(schedule, 'v_prediction', x0, noise, timesteps));
    expectNoLeak(() => offsetNoise(noise, noise, 0.1));
  });
});

describe('offsetNoise', () => {
  it('shifts each sample and channel as one', () => {
    const offset = gaussian([4, 1, 1, 1, 3], 7);
    const difference = offsetNoise(noise, offset, 0.1).sub(noise);
    expect(distance(difference, offset.mul(0.1).add(tf.zeros(shape)))).toBeLessThan(1e-6);
  });
});
