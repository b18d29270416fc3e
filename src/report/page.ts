/** The report of a run: one HTML page with everything inside it. */
import { readFileSync } from 'node:fs';
import { formatBytes } from '../format.js';
import { charts, headline } from './curves.js';
import { escapeHtml } from './html.js';
import type { Checkpoint, RunData, Sample, SampleStep } from './run-data.js';
import { SCRIPT, STYLE } from './style.js';

export interface PageOptions {
  /** Sample steps shown at most, evenly over the run with the first and the last. */
  mostSteps?: number;
  /** Bytes of clips embedded at most; fewer steps are shown beyond it. */
  mostBytes?: number;
}

/** Nothing may be loaded, so that the page is the same everywhere and tells nobody that it was opened. */
const POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

/** The page. Reads the chosen clips from disk. */
export function renderPage(run: RunData, { mostSteps = 8, mostBytes = 48 * 2 ** 20 }: PageOptions = {}): string {
  const { stage, seed, precision } = run.config;
  const about = [stage && `stage ${stage}`, precision, seed !== undefined && `seed ${seed}`]
    .filter(Boolean)
    .join(' · ');
  const tiles = headline(run.stats, run.config.train?.steps).map(
    ([label, value]) => `<div class="tile"><b>${escapeHtml(value)}</b><span>${escapeHtml(label)}</span></div>`,
  );
  const curves = charts(run.stats);
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escapeHtml(run.name)}</title><style>${STYLE}</style></head>
<body><main>
<h1>${escapeHtml(run.name)}</h1><p class="quiet">${escapeHtml(about)}</p>
<div class="tiles">${tiles.join('')}</div>
${section('Curves', curves && `<div class="charts">${curves}</div>`)}
${section('Samples', samplesTable(run.samples, mostSteps, mostBytes))}
${section('Metrics', run.metrics.map(({ name, values }) => metricsTable(name, values)).join('\n'))}
${section('Checkpoints', checkpointsTable(run.checkpoints))}
${section('Config', run.configText && `<div class="scroll"><pre>${escapeHtml(run.configText)}</pre></div>`)}
</main><script>${SCRIPT}</script></body></html>
`;
}

function section(title: string, content: string | undefined): string {
  return content ? `<section><h2>${title}</h2>${content}</section>` : '';
}

/** Prompts down, steps across. */
function samplesTable(all: readonly SampleStep[], mostSteps: number, mostBytes: number): string {
  if (all.length === 0) return '';
  const steps = chooseSteps(all, mostSteps, mostBytes);
  const prompts = [...new Set(steps.flatMap(({ samples }) => samples.map(sample => sample.prompt)))];
  const head = steps.map(({ step }) => `<th scope="col">step ${step.toLocaleString('en')}</th>`).join('');
  const rows = prompts.map(prompt => {
    const cells = steps.map(({ samples }) => `<td>${image(samples.find(sample => sample.prompt === prompt))}</td>`);
    return `<tr><th scope="row">${escapeHtml(prompt) || '<span class="quiet">(empty prompt)</span>'}</th>${cells.join('')}</tr>`;
  });
  const omitted =
    steps.length < all.length
      ? `<p class="quiet">${steps.length} of ${all.length} validations shown; the others are in samples/.</p>`
      : '';
  return `<div class="scroll"><table class="samples"><thead><tr><th></th>${head}</tr></thead><tbody>${rows.join('')}</tbody></table></div>${omitted}`;
}

function image(sample: Sample | undefined): string {
  if (!sample) return '';
  const data = readFileSync(sample.file);
  if (!data.subarray(0, 4).equals(Buffer.from('GIF8'))) return '<span class="quiet">not a GIF</span>';
  return `<img alt="${escapeHtml(sample.prompt)}" loading="lazy" src="data:image/gif;base64,${data.toString('base64')}">`;
}

/** As many steps as allowed, evenly spread with both ends; at least the last one. */
export function chooseSteps(all: readonly SampleStep[], mostSteps: number, mostBytes: number): SampleStep[] {
  const bytesOf = (steps: SampleStep[]) =>
    steps.flatMap(({ samples }) => samples).reduce((sum, { bytes }) => sum + bytes, 0);
  for (let count = Math.min(mostSteps, all.length); count > 1; count--) {
    const indices = Array.from({ length: count }, (_, i) => Math.round((i * (all.length - 1)) / (count - 1)));
    const chosen = [...new Set(indices)].map(i => all[i]!);
    if (bytesOf(chosen) <= mostBytes) return chosen;
  }
  return all.slice(-1);
}

function metricsTable(name: string, values: readonly [string, string][]): string {
  const rows = values.map(([key, value]) => `<tr><td>${escapeHtml(key)}</td><td>${escapeHtml(value)}</td></tr>`);
  return `<p class="quiet">${escapeHtml(name)}</p><div class="scroll"><table><tbody>${rows.join('')}</tbody></table></div>`;
}

function checkpointsTable(checkpoints: readonly Checkpoint[]): string {
  if (checkpoints.length === 0) return '';
  const rows = checkpoints.map(({ name, bytes, savedAt, parts, isLast }) => {
    const when = new Date(savedAt).toISOString().replace('T', ' ').slice(0, 16);
    return `<tr><td>${escapeHtml(name)}${isLast ? ' <span class="badge">last</span>' : ''}</td><td class="number">${formatBytes(bytes)}</td><td>${when} UTC</td><td>${escapeHtml(parts.join(', '))}</td></tr>`;
  });
  const head = '<tr><th>name</th><th class="number">size</th><th>saved</th><th>holds</th></tr>';
  return `<div class="scroll"><table><thead>${head}</thead><tbody>${rows.join('')}</tbody></table></div>`;
}
