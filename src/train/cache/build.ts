/** `show1 data cache`: computes what a run's text encoder and autoencoder will be asked for. */
import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import type { Config } from '../../config/schema.js';
import { InputError } from '../../errors.js';
import { findVae } from '../codec.js';
import { openData } from '../data.js';
import { findText, textsOf } from '../text.js';
import { buildLatents, type LatentsSummary } from './build-latents.js';
import { buildText, type TextSummary } from './build-text.js';
import { FileHashes } from './file-hashes.js';
import { withLock } from './lock.js';
import { readRecord } from './record.js';
import { CacheSession, checkAbort, type SessionOptions } from './session.js';

export interface CacheRequest extends SessionOptions {
  text: boolean;
  latents: boolean;
}

export interface CacheSummary {
  dir: string;
  text: TextSummary | null;
  latents: LatentsSummary | null;
}

/**
 * Fills `dir` with what is missing in it. Safe to kill at any moment: the same call goes on where it stopped.
 * @throws InputError `cache.stale` when it was made from other models or settings and `force` is not given; `cache.foreign`,
 *   `cache.locked`; InterruptedError `cache.interrupted`
 */
export async function buildCache(config: Config, request: CacheRequest): Promise<CacheSummary> {
  const { dir, print } = request;
  if (!request.text && !request.latents) {
    throw new InputError(`there is nothing to cache: stage ${config.stage} without text embeddings has nothing else`, {
      code: 'cache.nothing',
    });
  }
  if (request.latents && config.stage !== 'sr2') {
    throw new InputError(
      `stage ${config.stage} trains on pixels; only sr2 has latents to cache. Use --text, or the config of an sr2 run.`,
      { code: 'cache.no-latents', stage: config.stage },
    );
  }
  const { buckets, images } = config.data;
  if (request.latents && (buckets || images)) {
    throw new InputError(
      `latents are cached for clips of one shape, but ${buckets ? 'data.buckets' : 'data.images'} is given. Use --text, or leave it out.`,
      { code: 'cache.no-latents' },
    );
  }
  readRecord(dir); // a folder of something else is left alone
  await mkdir(dir, { recursive: true });
  return withLock(dir, async () => {
    const session = await CacheSession.open(request);
    const hashes = await FileHashes.open(path.join(dir, 'hashes.json'), print);
    try {
      const data = await openData(config, print);
      let text: TextSummary | null = null;
      if (request.text) {
        const folders = await findText(config, data.captions, print);
        const prompts = textsOf(config, data.captions);
        text = await buildText(session, hashes, { folders, maxLength: config.model.maxTextLength, prompts });
      }
      let latents: LatentsSummary | null = null;
      if (request.latents) {
        const vae = await findVae(config, data, print);
        latents = await buildLatents(session, hashes, { config, vae, entries: [...data.train, ...data.heldOut] });
      }
      return { dir, text, latents };
    } catch (error) {
      checkAbort(request.signal); // a reading that was stopped on request is no failure
      throw error;
    } finally {
      await hashes.save();
    }
  });
}
