import { readFileSync, symlinkSync } from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { parseConfig, stringifyConfig } from '../../src/config/index.js';
import { renderPage } from '../../src/report/page.js';
import { readRun } from '../../src/report/run-data.js';
import { RunLogger } from '../../src/train/logging/index.js';
import { capture } from '../cli/capture.js';
import { folderWith, inputError } from '../config/helpers.js';

const GIF = Buffer.from('R0lGODlhAQABAIAAAP8AAAAAACH5BAAAAAAALAAAAAABAAEAAAICRAEAOw==', 'base64');
const NASTY = `<script>alert("1")</script> & <img src='http://example.com/x.png'>`;

/** A run folder as training leaves it. */
function makeRun(): string {
  const prompts = ['a red square', NASTY];
  const { config } = parseConfig({
    stage: 'base',
    output: 'runs/x',
    data: { source: 'https://example.com/clips' },
    model: { unet: {}, textEncoder: { tiny: {} } },
    train: { steps: 60 },
    validate: { prompts, everySteps: 20 },
  });
  const listed = JSON.stringify([{ prompt: 'listed prompt', path: '0.gif', seed: 0 }]);
  const folder = folderWith({
    'config.yaml': stringifyConfig(config),
    'samples/step-20/0.gif': GIF,
    'samples/step-20/1.gif': GIF,
    'samples/step-9/0.gif': GIF,
    'samples/step-9/1.gif': GIF,
    'samples/step-40/0.gif': GIF,
    'samples/step-40/samples.json': listed,
    'samples/step-60/00-a_blue-circle.gif': 'not a gif',
    'samples/other/x.gif': GIF,
    'checkpoints/step-20/unet/weights.bin': new Uint8Array(2048),
    'checkpoints/step-20/state.json': '{}',
    'checkpoints/step-60/state.json': '{}',
    'eval/colour.json': '{"share": 0.9, "protocol": {"seed": 3, "note": "<b>"}}',
  });
  symlinkSync('step-60', path.join(folder, 'checkpoints', 'last'));
  const logger = new RunLogger({ folder, totalSteps: 60, tensorboard: false, print: () => {} });
  for (let step = 1; step <= 60; step++) {
    const rates = { secondsPerStep: 0.5, clipsPerSecond: 2, memoryBytes: 2 ** 30, etaSeconds: 60 - step };
    logger.tick({ step, loss: step === 7 ? Number.NaN : 1 / step, learningRate: 1e-4, gradNorm: 1, ...rates });
    if (step % 20 === 0) logger.scalars(step, { 'heldOut/loss': 2 / step, '<i>x': 1 });
    if (step % 30 === 0) logger.scalars(step, { 'metrics/fvd': 900 - step, 'metrics/clipsim': -0.1 });
  }
  logger.close();
  return folder;
}

describe('the page', () => {
  const page = renderPage(readRun(makeRun()));
  const withoutText = page.replace(/<pre>[\s\S]*?<\/pre>/g, '');

  it('loads nothing from anywhere', () => {
    const attributes = [...page.matchAll(/<[a-z][^>]*>/g)].flatMap(([tag]) => [...tag.matchAll(/([\w-]+)="([^"]*)"/g)]);
    const loading = new Set(['src', 'href', 'srcset', 'action', 'poster', 'data']);
    const references = attributes.filter(([, name]) => loading.has(name!)).map(([, , value]) => value!);
    expect(references.length).toBeGreaterThan(0);
    expect(references.filter(reference => !reference.startsWith('data:image/gif;base64,'))).toEqual([]);
    expect(page).not.toMatch(/<(link|iframe|object|embed|base)\b/i);
    expect(page).not.toMatch(/url\(|@import|\bimport\(|fetch\(/);
    expect(page).toContain("default-src 'none'");
  });
  it('names no address except in captions and the config, where they are text', () => {
    const captionsGone = withoutText.replaceAll('http://example.com/x.png', '');
    expect(captionsGone).not.toMatch(/https?:/);
    expect(page).toContain('https://example.com/clips');
  });
  it('escapes captions, names and values', () => {
    expect(page).not.toContain('<script>alert');
    expect(page).not.toContain("<img src='http");
    expect(page).toContain('&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &lt;img src=&#39;http');
    expect(page).not.toContain('<i>x');
    expect(page).toContain('&lt;i&gt;x');
    expect(page).not.toContain('&quot;<b>&quot;');
    expect(page.match(/<script>/g)).toHaveLength(1);
  });
  it('draws a curve for each number, without the steps that have none', () => {
    for (const title of ['Loss', 'Gradient norm', 'Learning rate', 'Time per step', 'Memory', 'Held-out loss']) {
      expect(page).toContain(`<b>${title}</b>`);
    }
    expect(page).not.toContain('etaSeconds');
    expect(page.match(/<svg /g)).toHaveLength(10);
    expect(page).not.toMatch(/NaN|Infinity|undefined/);
  });
  it('gives each metric of validation a chart of its own', () => {
    for (const title of ['FVD of validation samples', 'CLIPSIM of validation samples'])
      expect(page).toContain(`<b>${title}</b>`);
    expect(page).not.toContain('<b>metrics</b>');
  });
  it('shows samples by prompt and step in order, the prompt from samples.json, the config or the file name', () => {
    const table = /<table class="samples">[\s\S]*?<\/table>/.exec(page)![0];
    expect([...table.matchAll(/<th scope="col">(.*?)<\/th>/g)].map(match => match[1])).toEqual([
      'step 9',
      'step 20',
      'step 40',
      'step 60',
    ]);
    const rows = [...table.matchAll(/<th scope="row">(.*?)<\/th>/g)].map(match => match[1]);
    expect(rows).toEqual(['a red square', expect.stringContaining('&lt;script'), 'listed prompt', 'a blue circle']);
    expect(table.match(/<img /g)).toHaveLength(5);
    expect(table).toContain('not a GIF');
    expect(table).toContain(GIF.toString('base64'));
  });
  it('lists checkpoints, metrics and the config', () => {
    expect(page).toMatch(/step-60 <span class="badge">last<\/span>/);
    expect(page).toMatch(/<td>step-20<\/td><td class="number">2 KiB<\/td>/);
    expect(page).toContain('<td>state, unet</td>');
    expect(page).toContain('<td>protocol.seed</td><td>3</td>');
    expect(page).toContain('captionDropout: 0.1');
  });
  it('tells the figures at the top', () => {
    expect(page).toContain('<b>60</b><span>of 60 steps</span>');
    expect(page).toContain('<b>0.0333</b><span>best held-out loss, step 60</span>');
    expect(page).toContain('<b>1 GiB</b><span>peak memory</span>');
  });
});

describe('a run that has just begun, and one with too many samples', () => {
  it('has a page without curves and samples', () => {
    const folder = folderWith({ 'config.yaml': 'stage: base\n', 'stats.jsonl': '' });
    const page = renderPage(readRun(folder));
    expect(page).toContain('stage base');
    expect(page).not.toContain('<h2>Curves');
    expect(page).not.toContain('<h2>Samples');
  });
  it('survives a config and a metrics file that cannot be read, and a single tick', () => {
    const folder = folderWith({
      'config.yaml': 'a: [',
      'metrics.json': '{',
      'stats.jsonl': '{"step":1,"time":0,"loss":0}\n',
    });
    const page = renderPage(readRun(folder));
    expect(page).toContain('<circle class="main"');
    expect(page).not.toContain('NaN');
  });
  it('shows some steps, always the last, within the size allowed, and says so', () => {
    const run = readRun(makeRun());
    const columns = (page: string) => [...page.matchAll(/<th scope="col">step (\d+)/g)].map(match => match[1]);
    const two = renderPage(run, { mostSteps: 2 });
    expect(columns(two)).toEqual(['9', '60']);
    expect(two).toContain('2 of 4 validations shown');
    expect(columns(renderPage(run, { mostBytes: 1 }))).toEqual(['60']);
  });
});

describe('show1 report', () => {
  it('writes report.html and prints where', async () => {
    const folder = makeRun();
    const { code, stdout, stderr } = await capture(['report', folder]);
    expect([code, stdout]).toEqual([0, `${path.join(folder, 'report.html')}\n`]);
    expect(stderr).toContain('60 steps, 4 validations');
    expect(readFileSync(path.join(folder, 'report.html'), 'utf8')).toMatch(/^<!doctype html>/);
  });
  it('writes elsewhere and tells as JSON', async () => {
    const folder = makeRun();
    const file = path.join(folder, 'other.html');
    const { code, stdout, stderr } = await capture(['report', folder, '--out', file, '--json']);
    expect(JSON.parse(stdout)).toMatchObject({
      file,
      step: 60,
      sampleSteps: 4,
      checkpoints: 2,
      bytes: readFileSync(file).length,
    });
    expect([code, stderr]).toEqual([0, '']);
  });
  it('explains a folder that is missing or no run, and a place it cannot write to', async () => {
    const folder = folderWith({ 'a/stats.jsonl': '', 'b/x.txt': '' });
    expect(inputError(() => readRun(path.join(folder, 'nowhere'))).message).toMatch(
      /nowhere: no such run folder; give the folder named by 'output'/,
    );
    const notRun = inputError(() => readRun(folder));
    expect(notRun.message).toContain('is not a run folder: it has neither config.yaml nor stats.jsonl; runs in it: ');
    expect(notRun).toMatchObject({ code: 'report.not-a-run', exitCode: 2 });
    const { code, stderr } = await capture([
      'report',
      path.join(folder, 'a'),
      '--out',
      path.join(folder, 'no', 'such', 'x.html'),
    ]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/^error: cannot write .*x\.html: ENOENT/);
  });
});
