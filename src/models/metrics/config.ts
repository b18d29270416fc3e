/** What the configs of the evaluation networks have in common. */
import { InputError } from '../../errors.js';
import { ConfigReader } from '../unet3d/config-reader.js';
import type { JsonObject } from '../weights/pretrained.js';

/** Where converted weights came from. */
export interface WeightOrigin {
  /** Name of the checkpoint that was converted. */
  name: string;
  /** Of the checkpoint's bytes. */
  sha256: string;
  /** Spelling of its tensors, e.g. `pytorch-i3d`. */
  layout: string;
}

/** Options that a network reads beside `width`, and what it makes of them. */
export interface MetricOptions {
  /** Number of inner channels for a published one; at least 1. */
  channels(published: number): number;
  reader: ConfigReader;
}

export const wrongOption = (source: string, key: string, value: unknown, allowed: string): InputError =>
  new InputError(`${source}: ${key} is ${JSON.stringify(value)}; allowed: ${allowed}.`, {
    code: 'model.config-value',
    key,
    value,
  });

/**
 * Starts reading a config; the network asks for its own keys and calls `reader.finish()`. `width` (default 1) multiplies
 * all inner channel counts: small networks for tests.
 * @throws InputError naming a key that is wrong
 */
export function metricOptions(json: JsonObject, source: string, noun: string): MetricOptions {
  const reader = new ConfigReader(json, source, noun);
  reader.raw('source', null); // the origin of converted weights: `openMetricNetwork` reads it
  const width = reader.number('width', 1);
  if (width <= 0) throw wrongOption(source, 'width', width, 'a number above 0');
  return { channels: published => Math.max(1, Math.round(published * width)), reader };
}
