/**
 * Features of a set of videos, in constant memory: ffmpeg decodes the next clips while the network works on one batch. What is
 * finished is in the store, so the same call goes on after a kill; batches are cut from the order of the draw, never from what is
 * left to do, so that a clip's numbers do not depend on the interruption.
 */
import { createChildPool } from '../data/children.js';
import { clipProblem } from '../data/ffmpeg-errors.js';
import type { Frames, ManifestEntry } from '../data/index.js';
import { InputError, InterruptedError, type Show1Error } from '../errors.js';
import { readClip } from './clip-frames.js';
import type { ClipSampling } from './clip-sampling.js';
import { type Content, contentOf } from './content.js';
import type { FeatureStore, Features, Refusal } from './feature-store.js';
import type { Resolution } from './resolution.js';
import type { Rejected, VideoSet } from './sets.js';

/** A network with its preprocessing. */
export interface Extractor {
  /** Clips a call. All calls have this many; what is missing is filled up with the last one and thrown away. */
  readonly batch: number;
  /** @param clips pieces of as many clips, [F, H, W, 3] each; @returns rows for each */
  run(clips: readonly Frames[]): Promise<Features[]>;
}

export interface Shard {
  index: number; // from 0
  count: number;
}

export interface ExtractRequest {
  set: VideoSet;
  /** Clips wanted; default all. */
  samples?: number;
  sampling: ClipSampling;
  resolution: Resolution;
  store: FeatureStore;
  /** Called once there is something to compute. */
  extractor: () => Promise<Extractor>;
  batch: number;
  /** Compute only a part of the work; the result is then incomplete. */
  shard?: Shard;
  /** Compute nothing: what is missing is an error. */
  storedOnly?: boolean;
  /** ffmpeg children at a time. */
  workers: number;
  signal?: AbortSignal;
  onProgress?: (done: number, total: number) => void;
}

export interface MeasuredClip {
  entry: ManifestEntry;
  content: Content;
}

export interface Extraction {
  /** In canonical order, that of the contents' hashes: it depends on the videos alone. */
  clips: MeasuredClip[];
  rejected: Rejected[];
  /** Clips computed in this run. */
  computed: number;
}

/** Consecutive clips of the draw that go through the network together. */
interface Unit {
  clips: { entry: ManifestEntry; content?: Content; refusal?: Refusal; pieces?: AsyncIterable<Frames> }[];
  /** Nothing is left to do. */
  known: boolean;
}

/** @throws InputError `eval.not-extracted` with `storedOnly`; InterruptedError `eval.interrupted`; WorkError `ffmpeg.*` */
export async function extract(request: ExtractRequest): Promise<Extraction> {
  const { set, store, batch, shard, storedOnly, workers, signal, onProgress = () => {} } = request;
  const wanted = Math.min(request.samples ?? set.entries.length, set.entries.length);
  const pool = createChildPool(workers);
  const stop = new AbortController();
  const abort = () => stop.abort();
  signal?.addEventListener('abort', abort);

  const read = async (clip: Unit['clips'][number]): Promise<void> => {
    const { sampling, resolution } = request;
    try {
      clip.pieces = await readClip(clip.entry, clip.content!.video, {
        sampling,
        resolution,
        pool,
        signal: stop.signal,
      });
    } catch (error) {
      clip.refusal = refusalOf(error, clip.entry);
    }
  };
  const look = async (number: number): Promise<Unit> => {
    const entries = set.entries.slice(number * batch, (number + 1) * batch);
    const clips: Unit['clips'] = entries.map(entry => ({ entry }));
    for (const clip of clips) {
      try {
        clip.content = await contentOf(clip.entry, stop.signal);
        clip.refusal = store.refusal(clip.content.name);
      } catch (error) {
        clip.refusal = refusalOf(error, clip.entry);
      }
    }
    const known = clips.every(({ content, refusal }) => refusal !== undefined || store.has(content!.name));
    if (known || storedOnly) return { clips, known };
    await Promise.all(clips.filter(({ refusal }) => refusal === undefined).map(read));
    return { clips, known };
  };

  const measured: MeasuredClip[] = [];
  const rejected: Rejected[] = [...set.rejected];
  let computed = 0;
  let lacking = 0;
  let extractor: Extractor | undefined;

  const units = Math.ceil(set.entries.length / batch);
  const isOurs = (number: number) => !shard || number % shard.count === shard.index;
  /** Shards share what a set without broken videos needs; what replaces broken ones is left to the last run. */
  const last = shard ? Math.ceil(wanted / batch) : units;
  const ahead: Promise<Unit>[] = [];
  const depth = Math.max(2, Math.ceil((workers + 1) / batch));
  let next = 0;
  let done = 0;
  try {
    for (let number = 0; number < last; number++) {
      if (!shard && measured.length + lacking >= wanted) break;
      if (!isOurs(number)) continue;
      next = Math.max(next, number);
      const needed = Math.ceil((wanted - measured.length - lacking) / batch);
      const end = shard ? last : Math.min(last, number + needed);
      for (; next < end && ahead.length < depth; next++) {
        if (!isOurs(next)) continue;
        const looking = look(next);
        looking.catch(() => undefined); // it is thrown below, when its turn comes
        ahead.push(looking);
      }
      checkAbort(signal);
      const unit = await ahead.shift()!;
      checkAbort(signal);
      if (!unit.known && !storedOnly) {
        extractor ??= await request.extractor();
        computed += await computeUnit(unit, extractor, store, signal);
      }
      for (const { entry, content, refusal } of unit.clips) {
        if (refusal) rejected.push(rejectedOf(entry, refusal));
        else if (!store.has(content!.name)) lacking++;
        else if (shard || measured.length < wanted) measured.push({ entry, content: content! });
      }
      done += unit.clips.length;
      onProgress(Math.min(done, wanted), shard ? Math.ceil(wanted / shard.count) : wanted);
    }
  } catch (error) {
    checkAbort(signal); // a decoder that was stopped on request is no failure
    throw error;
  } finally {
    stop.abort();
    signal?.removeEventListener('abort', abort);
    await Promise.allSettled(ahead);
    await store.flush(); // what is finished is kept
  }
  if (lacking > 0) throw notExtracted(set, lacking, wanted);
  measured.sort((a, b) => compare(a.content.video, b.content.video) || compare(a.entry.id, b.entry.id));
  return { clips: measured, rejected, computed };
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

/** @returns the number of clips computed */
async function computeUnit(
  { clips }: Unit,
  extractor: Extractor,
  store: FeatureStore,
  signal: AbortSignal | undefined,
): Promise<number> {
  const readable = [
    ...new Map(clips.filter(({ refusal }) => !refusal).map(clip => [clip.content!.name, clip])).values(),
  ];
  const parts = new Map<string, Features[]>();
  const iterators = readable.map(({ pieces }) => pieces![Symbol.asyncIterator]());
  for (;;) {
    checkAbort(signal);
    const pieces: { name: string; frames: Frames }[] = [];
    for (const [i, iterator] of iterators.entries()) {
      const { value, done } = await iterator.next();
      if (!done) pieces.push({ name: readable[i]!.content!.name, frames: value });
    }
    if (pieces.length === 0) break;
    const frames = pieces.map(piece => piece.frames);
    while (frames.length < extractor.batch) frames.push(frames.at(-1)!);
    const results = await extractor.run(frames);
    pieces.forEach(({ name }, i) => {
      parts.set(name, [...(parts.get(name) ?? []), results[i]!]);
    });
  }
  const features = new Map([...parts].map(([name, list]) => [name, joinRows(list)]));
  const refusals = new Map(
    clips.flatMap(({ content, refusal }) =>
      content && refusal && LASTING.includes(refusal.reason) ? [[content.name, refusal] as const] : [],
    ),
  );
  await store.add(features, refusals);
  return features.size;
}

function joinRows(list: readonly Features[]): Features {
  if (list.length === 1) return list[0]!;
  const values = new Float32Array(list.reduce((sum, part) => sum + part.values.length, 0));
  let at = 0;
  for (const part of list) {
    values.set(part.values, at);
    at += part.values.length;
  }
  return { rows: list.reduce((sum, { rows }) => sum + rows, 0), values };
}

/** Reasons that lie in the video's bytes; a missing permission or decoder may be mended. */
const LASTING = ['too short', 'too small', 'truncated', 'not a video', 'zero-byte file'];

/** What is wrong with one video, without its name, which may be another one next time; anything else is thrown again. */
function refusalOf(error: unknown, { path }: ManifestEntry): Refusal {
  const { code, message } = error as Show1Error;
  const gone = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'missing file' : undefined;
  const reason = clipProblem(error) ?? (code === 'eval.resolution' ? 'too small' : gone);
  if (reason === undefined) throw error;
  return { reason, message: message.startsWith(`${path}: `) ? message.slice(path.length + 2) : message };
}

const rejectedOf = ({ id, path }: ManifestEntry, { reason, message }: Refusal): Rejected => ({
  ...{ id, path, reason },
  message: message.includes(path) ? message : `${path}: ${message}`,
});

export function checkAbort(signal: AbortSignal | undefined): void {
  if (!signal?.aborted) return;
  throw new InterruptedError('interrupted; finished features are kept. The same command goes on from here.', {
    code: 'eval.interrupted',
  });
}

function notExtracted({ source }: VideoSet, lacking: number, wanted: number): InputError {
  return new InputError(
    `${lacking} of ${wanted} videos of ${source} have no features yet: finish the shards (--shard 1/N …), ` +
      'or leave out --merge to compute what is missing here',
    { code: 'eval.not-extracted', source, lacking },
  );
}
