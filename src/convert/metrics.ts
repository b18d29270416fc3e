/** Checkpoints of evaluation networks, in the layouts that are public, to folders that `show1 eval` reads. */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { InputError } from '../errors.js';
import { CLIPModel } from '../models/clip/index.js';
import type { C3dPool5 } from '../models/metrics/c3d.js';
import {
  CLIP_ACTIVATIONS,
  type ClipMetricActivation,
  clipConfig,
  clipEntries,
  matchClip,
} from '../models/metrics/layouts/clip.js';
import { CONV_NETS, type ConvNetKind, type LayoutMatch, matchLayouts } from '../models/metrics/layouts/detect.js';
import { fileSha256, type MetricKind } from '../models/metrics/open.js';
import { isTokenizerFolder, tokenizerFiles } from '../models/text/tokenizer-files.js';
import { locateWeights } from '../models/weights/locate.js';
import { type JsonObject, readJsonObject, savePretrainedFolder } from '../models/weights/pretrained.js';
import { openSafetensors, type SafetensorsReader, type TensorEntry } from '../models/weights/safetensors.js';
import { unknownLayout } from './metrics-errors.js';
import { foldedEntries, kernelShape } from './metrics-fold.js';
import { copyInto } from './model.js';
import { checkOutput, type OutputOptions, writeFolder } from './output-folder.js';
import { stopIfAborted } from './tensors.js';

export interface ConvertMetricsOptions extends OutputOptions {
  /** Look for this network only. */
  kind?: MetricKind;
  /** C3D: how the last pool is laid (default `ceil`). */
  pool5?: C3dPool5;
  /** CLIP: pointwise function, where no config tells (default `quick_gelu`, OpenAI's). */
  activation?: ClipMetricActivation;
  signal?: AbortSignal;
  /** Bytes written, of all. */
  onProgress?: (done: number, total: number, what: string) => void;
}

export interface ConvertMetricsResult {
  out: string;
  kind: MetricKind;
  source: { name: string; sha256: string; layout: string };
  /** Number of tensors written. */
  tensors: number;
  bytes: number;
  /** What the user should know of the weights. */
  notes: string[];
}

/** What is going to be written. */
interface Plan {
  kind: MetricKind;
  layout: string;
  config: JsonObject;
  entries: TensorEntry[];
  notes: string[];
  /** Further files of the source's folder. */
  files: string[];
}

/**
 * @param file a safetensors file, or a folder with one
 * @throws InputError when it is a pickle, of an unknown layout, incomplete, or `out` must not be written
 */
export async function convertMetrics(
  file: string,
  out: string,
  options: ConvertMetricsOptions = {},
): Promise<ConvertMetricsResult> {
  const path = weightFile(file);
  checkOutput(out, file, options);
  const reader = openSafetensors(path);
  try {
    const { kind, layout, config, entries, notes, files } = plan(reader, path, options);
    const sha256 = await fileSha256(path);
    const source = { name: basename(path), sha256, layout };
    const bytes = entries.reduce((sum, { shape }) => sum + 4 * shape.reduce((a, b) => a * b, 1), 0);
    let done = 0;
    const watched = entries.map(({ data, ...entry }) => ({
      ...entry,
      data: async () => {
        stopIfAborted(options.signal);
        const values = await (data as () => Promise<Float32Array>)();
        done += values.byteLength;
        options.onProgress?.(done, bytes, entry.name);
        return values;
      },
    }));
    await writeFolder(out, bytes, options, async dir => {
      await savePretrainedFolder(dir, 'model', { ...config, source }, watched);
      for (const each of files) await copyInto(each, join(dir, basename(each)));
    });
    return { out, kind, source, tensors: entries.length, bytes, notes };
  } finally {
    reader.close();
  }
}

/** @throws InputError when `path` holds no weights, or more than one file of them */
function weightFile(path: string): string {
  const found = locateWeights(path);
  if ('file' in found) return found.file;
  throw new InputError(
    `${path} is in ${found.shards.length} shards; give one file: show1 convert dtype ${path} OUT --max-shard-size 100GB writes one.`,
    { code: 'convert.metrics-shards', path },
  );
}

function plan(reader: SafetensorsReader, file: string, options: ConvertMetricsOptions): Plan {
  const { kind } = options;
  const names = reader.names();
  const clip = kind === undefined || kind === 'clip' ? matchClip(names) : null;
  if (clip) return planClip(reader, file, clip, options);
  const matches = kind === 'clip' ? [] : matchLayouts(names, kind);
  const [best] = matches;
  if (best?.missing.length === 0) return planConvNet(reader, file, best, options);
  throw unknownLayout(file, names, matches, kind);
}

function planConvNet(
  reader: SafetensorsReader,
  file: string,
  match: LayoutMatch,
  options: ConvertMetricsOptions,
): Plan {
  const { kind, layout, unexpected, tensors } = match;
  const { model: Network, stem } = CONV_NETS[kind];
  const [stemUnit, published] = stem;
  const channels = (unit: string) => {
    const tensor = tensors.get(`${unit} kernel`)!;
    return kernelShape(reader.info(tensor).shape, layout.order)[0]!;
  };
  const width = channels(stemUnit) / published;
  const config: JsonObject = { _class_name: Network.name, ...(width === 1 ? {} : { width }) };
  if (kind === 'c3d' && options.pool5 === 'padded') config.pool5 = 'padded';
  const classes = { i3d: ['num_classes', 'logits'], c3d: ['num_classes', 'fc8'], 'inception-v3': null }[kind];
  if (classes) config[classes[0]!] = channels(classes[1]!);
  else config.features = lastFeatures(channels);
  const entries = foldedEntries(reader, match);
  checkShapes(file, kind, new Network(config, { source: file }).parameters(), entries, match);
  const notes = layout.note && !(kind === 'c3d' && options.pool5) ? [layout.note] : [];
  if (unexpected.length > 0) notes.push(asideNote(unexpected));
  return { kind, layout: layout.name, config, entries, notes, files: [] };
}

/** Outputs of Inception's last block, side by side. */
const lastFeatures = (channels: (unit: string) => number): number =>
  ['1x1', '3x3_2a', '3x3_2b', '3x3dbl_3a', '3x3dbl_3b', '_pool'].reduce(
    (sum, branch) => sum + channels(`Mixed_7c.branch${branch}`),
    0,
  );

const asideNote = (names: string[]) =>
  `${names.length} tensors are not of the network and were left aside: ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}`;

/** @throws InputError listing what has another shape than the network's */
function checkShapes(
  file: string,
  kind: ConvNetKind,
  parameters: ReadonlyMap<string, { torchShape: number[] }>,
  entries: readonly TensorEntry[],
  { tensors }: LayoutMatch,
): void {
  const wrong = entries.filter(({ name, shape }) => parameters.get(name)?.torchShape.join() !== shape.join());
  if (wrong.length === 0) return;
  const lines = wrong.slice(0, 10).map(({ name, shape }) => {
    const tensor = tensors.get(`${name.replace(/\.(weight|bias)$/, '')} kernel`);
    return `\n  ${tensor}: ${name} is [${shape}], the network's is [${parameters.get(name)?.torchShape}]`;
  });
  throw new InputError(
    `${file} has the names of ${kind}, but ${wrong.length} of its tensors have another shape:${lines.join('')}`,
    { code: 'convert.metrics-shape', file, kind, wrong: wrong.map(({ name }) => name) },
  );
}

function planClip(
  reader: SafetensorsReader,
  file: string,
  match: NonNullable<ReturnType<typeof matchClip>>,
  { activation }: ConvertMetricsOptions,
): Plan {
  const beside = join(dirname(file), 'config.json');
  const known = match.layout === 'transformers' && existsSync(beside);
  const config = known
    ? readJsonObject(beside, "the model's config")
    : clipConfig(reader, match, activation ?? CLIP_ACTIVATIONS[0]);
  const entries = clipEntries(reader, match);
  const model = new CLIPModel(config, { source: known ? beside : file });
  const shapes = new Map(entries.map(({ name, shape }) => [name, shape]));
  const missing = [...model.parameters().keys()].filter(name => !shapes.has(name));
  const extra = [...shapes.keys()].filter(name => !model.parameters().has(name));
  if (missing.length > 0)
    throw unknownLayout(file, reader.names(), [], 'clip', { missing, unexpected: match.unexpected });
  const wrong = [...model.parameters()].filter(
    ([name, { torchShape }]) => shapes.get(name)!.join() !== torchShape.join(),
  );
  if (wrong.length > 0) {
    const [name, { torchShape }] = wrong[0]!;
    throw new InputError(
      `${file}: ${name} is [${shapes.get(name)}], this CLIP's is [${torchShape}]; ${wrong.length} tensors do not fit. Is ${beside} the config that belongs to these weights?`,
      { code: 'convert.metrics-shape', file, kind: 'clip', wrong: wrong.map(([each]) => each) },
    );
  }
  const notes: string[] = [];
  const aside = [...match.unexpected, ...extra];
  if (aside.length > 0) notes.push(asideNote(aside));
  if (!known && match.layout !== 'openai' && activation === undefined) {
    notes.push(
      'no config tells the activation: quick_gelu as OpenAI’s was taken; most of open_clip’s own weights need --activation gelu',
    );
  }
  const folder = dirname(file);
  const files = isTokenizerFolder(folder) ? tokenizerFiles(folder) : [];
  if (files.length === 0) {
    notes.push(
      'put the tokenizer beside the weights before use: vocab.json and merges.txt, or tokenizer.json, of the same CLIP',
    );
  }
  const kept = entries.filter(({ name }) => model.parameters().has(name));
  return { kind: 'clip', layout: match.layout, config, entries: kept, notes, files };
}
