/** What training runs on here: TensorFlow, its device and why, number formats, and whether it computes correctly. */
import { existsSync } from 'node:fs';
import { release } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { type Memory, type Processor, readMemory, readProcessor } from './machine.js';

/** Something that keeps training from running, and what to do about it. */
export interface Problem {
  what: string;
  fix: string;
}

export interface DtypeSupport {
  ok: boolean;
  /** Time of a 512 x 512 matrix product, best of three. */
  ms?: number;
  error?: string;
}

export interface RuntimeFacts {
  node: { version: string };
  platform: { system: string; arch: string; release: string; glibc?: string };
  processor: Processor;
  memory: Memory;
  /** Undefined while the native binding is missing or does not load. */
  tensorflow?: { version: string; build: 'cpu' | 'cuda'; source: string; detail: string; compiler: string };
  device: { requested: DeviceRequest; kind: 'cuda' | 'cpu' | 'none'; names: string[]; why: string };
  /** NVIDIA GPUs that the driver lists, whether TensorFlow uses them or not. */
  gpus: string[];
  dtypes: Record<string, DtypeSupport>;
  /** A convolution's forward and gradients through this project's own op, against known numbers. */
  convolution: { ok: boolean; error?: string };
  problems: Problem[];
}

export type DeviceRequest = 'auto' | 'cpu' | 'cuda';

/** The files of `native/` are plain JavaScript beside the sources, or beside `dist` in a published package. */
async function native<T>(name: string): Promise<T> {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'native', 'setup.mjs')) && folder !== dirname(folder)) folder = dirname(folder);
  return (await import(pathToFileURL(join(folder, 'native', name)).href)) as T;
}

type StateModule = typeof import('../../native/state.mjs');
type ProbeModule = typeof import('../../native/probe.mjs');
type PlatformModule = typeof import('../../native/platform.mjs');
type ProbeReport = Awaited<ReturnType<ProbeModule['probe']>>;
type State = ReturnType<StateModule['checkState']>;

/** A failure in `native/` carries its remedy as lines. */
function problemOf(error: unknown): Problem {
  const { message, fix } = error as Error & { fix?: string[] };
  return { what: message ?? String(error), fix: fix?.join(' · ') || 'npm run setup -- --force' };
}

/**
 * Collects the facts; never throws: what is wrong is in `problems`, each with its remedy.
 * @param requested `cuda` makes a missing GPU a problem; TensorFlow is never told to fall back silently
 */
export async function inspectRuntime(requested: DeviceRequest = 'auto'): Promise<RuntimeFacts> {
  const problems: Problem[] = [];
  const { glibcVersion, nvidiaGpus } = await native<PlatformModule>('platform.mjs');
  const gpus = await nvidiaGpus();
  const facts: RuntimeFacts = {
    node: { version: process.versions.node },
    platform: { system: process.platform, arch: process.arch, release: release(), glibc: glibcVersion() },
    processor: readProcessor(),
    memory: readMemory(),
    device: { requested, kind: 'none', names: [], why: 'TensorFlow is not ready' },
    gpus,
    dtypes: {},
    convolution: { ok: false, error: 'TensorFlow is not ready' },
    problems,
  };
  if (Number(process.versions.node.split('.')[0]) < 20) {
    problems.push({ what: `Node ${process.versions.node} is too old`, fix: 'install Node 20 or newer' });
  }
  const report = await probeBinding(facts);
  if (report) {
    facts.device = describeDevice(requested, report, facts, process.platform);
    facts.dtypes = report.dtypes;
    for (const [name, { ok, error }] of Object.entries(report.dtypes)) {
      if (!ok && name === 'float32')
        problems.push({ what: `float32 products fail: ${error}`, fix: 'npm run setup -- --force' });
    }
    facts.convolution = report.conv.ok ? await checkConvolution() : report.conv;
    if (!facts.convolution.ok) {
      problems.push({ what: `a convolution is wrong: ${facts.convolution.error}`, fix: 'npm run setup -- --force' });
    }
  }
  if (requested === 'cuda' && facts.device.kind !== 'cuda') {
    problems.push({ what: `device cuda was asked for: ${facts.device.why}`, fix: cudaFix(facts) });
  }
  return facts;
}

/** Fills in `tensorflow` and reports what keeps it from running. */
async function probeBinding(facts: RuntimeFacts): Promise<ProbeReport | undefined> {
  let state: State;
  try {
    state = (await native<StateModule>('state.mjs')).checkState();
  } catch (error) {
    facts.problems.push(problemOf(error));
    return undefined;
  }
  if (!state.ok) facts.problems.push({ what: state.why, fix: 'npm run setup' });
  if (!state.file) return undefined;
  try {
    const report = await (await native<ProbeModule>('probe.mjs')).probe(state.file);
    if (!report.extension) {
      facts.problems.push({
        what: 'the native binding lacks the functions of native/show1_ext.cc',
        fix: 'npm run setup',
      });
    }
    const { variant, source, detail } = state.stamp?.tensorflow ?? {
      variant: 'cpu' as const,
      source: 'unknown',
      detail: 'a build that npm run setup did not make',
    };
    const compiler = state.stamp?.compiler ?? 'unknown';
    facts.tensorflow = { version: report.version, build: variant, source, detail, compiler };
    return report;
  } catch (error) {
    facts.problems.push(problemOf(error));
    return undefined;
  }
}

/** Which device TensorFlow computes on, and if it is the CPU, why. */
export function describeDevice(
  requested: DeviceRequest,
  report: { gpu: boolean; devices: string[]; log: string[] },
  { gpus, tensorflow }: Pick<RuntimeFacts, 'gpus' | 'tensorflow'>,
  platform: NodeJS.Platform,
): RuntimeFacts['device'] {
  const { devices: names } = report;
  if (report.gpu) return { requested, kind: 'cuda', names, why: `TensorFlow uses ${gpus.join(', ') || 'the GPU'}` };
  const because = (why: string): RuntimeFacts['device'] => ({ requested, kind: 'cpu', names, why });
  if (platform === 'darwin') return because('TensorFlow has no GPU build for macOS');
  if (gpus.length === 0) return because('no NVIDIA GPU: nvidia-smi is missing or lists none');
  if (tensorflow?.build !== 'cuda') return because(`${gpus.join(', ')} is there, but this is TensorFlow's CPU build`);
  const reason = report.log.find(line => /could not|cannot|fail|skipping|error|not be used/i.test(line));
  return because(`TensorFlow could not use ${gpus.join(', ')}: ${reason ?? 'it gave no reason'}`);
}

function cudaFix({ gpus, tensorflow }: RuntimeFacts): string {
  if (process.platform !== 'linux') return 'CUDA needs Linux (or WSL 2) with an NVIDIA GPU; use device: cpu here';
  if (gpus.length === 0) return 'install the NVIDIA driver until nvidia-smi lists the GPU (in a container: --gpus all)';
  if (tensorflow?.build !== 'cuda') return 'npm run setup -- --device cuda';
  return 'update the NVIDIA driver (CUDA 12 needs 525 or newer), then npm run setup -- --device cuda --force';
}

/** A 4x4 image of 1..16 and a 3x3 filter of 1..9: whole numbers, exact in float32. */
async function checkConvolution(): Promise<RuntimeFacts['convolution']> {
  try {
    const [{ tf }, { conv2d }] = await Promise.all([import('./tf.js'), import('./ops/conv2d.js')]);
    const values = tf.tidy(() => {
      const x = tf.range(1, 17).reshape([1, 4, 4, 1]);
      const w = tf.range(1, 10).reshape([3, 3, 1, 1]);
      const [dx, dw] = tf.grads((a, b) => conv2d(a!, b!).sum())([x, w]) as [typeof x, typeof w];
      return [conv2d(x, w), dx, dw].map(t => Array.from(t.dataSync()).join(' '));
    });
    const expected = ['348 393 528 573', '1 3 5 3 5 12 16 9 11 24 28 15 7 15 17 9', '14 18 22 30 34 38 46 50 54'];
    const names = ['its output', "the image's gradient", "the filter's gradient"];
    const wrong = values.findIndex((value, i) => value !== expected[i]);
    if (wrong < 0) return { ok: true };
    return { ok: false, error: `${names[wrong]} is [${values[wrong]}], expected [${expected[wrong]}]` };
  } catch (error) {
    return { ok: false, error: (error as Error).message };
  }
}
