/** What to say of a checkpoint that is no evaluation network, or not a whole one. */
import { InputError } from '../errors.js';
import { CONV_NETS, type LayoutMatch } from '../models/metrics/layouts/detect.js';

/** Below this share of the names a layout is not worth naming. */
const RESEMBLES = 0.2;
const SHOWN = 8;

const list = (what: string, names: readonly string[]) => {
  if (names.length === 0) return '';
  const rest = names.length > SHOWN ? `\n  … and ${names.length - SHOWN} more` : '';
  return `\n${names.length} ${what}:${names
    .slice(0, SHOWN)
    .map(name => `\n  ${name}`)
    .join('')}${rest}`;
};

/**
 * @param matches every layout's reading, the best first
 * @param kind the network that was asked for
 * @param clip what a CLIP lacks, where it looks like one
 */
export function unknownLayout(
  file: string,
  names: readonly string[],
  matches: readonly LayoutMatch[],
  kind: string | undefined,
  clip?: { missing: string[]; unexpected: string[] },
): InputError {
  const [best] = matches;
  const near = best && best.score >= RESEMBLES ? best : null;
  const { missing, unexpected } = clip ?? near ?? { missing: [], unexpected: [] };
  const layout = clip ? 'clip' : near?.layout.name;
  if (layout) {
    const label = near ? `${near.kind} as ${near.layout.label} spells it` : 'a CLIP';
    return new InputError(
      `${file} comes nearest to ${label}, but does not fit.${list('missing', missing)}${list('unexpected', unexpected)}`,
      { code: 'convert.metrics-layout', file, layout, missing, unexpected },
    );
  }
  const known = Object.entries(CONV_NETS).map(
    ([name, { layouts }]) => `\n  ${name}: ${layouts.map(({ label }) => label).join('; ')}`,
  );
  return new InputError(
    `${file} is no ${kind ?? 'evaluation network'} of a known layout. Its ${names.length} tensors are ${names.slice(0, 5).join(', ')}${names.length > 5 ? ', …' : ''}. Known are:${known.join('')}\n  clip: OpenAI; open_clip; transformers`,
    { code: 'convert.metrics-layout', file, layout: null, missing: [], unexpected: [...names] },
  );
}
