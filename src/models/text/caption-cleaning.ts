/**
 * DeepFloyd IF's cleaning of captions (deep-floyd/IF; diffusers, IFPipeline `_text_preprocessing`), which Show-1's pixel
 * stages apply to prompts unless told not to.
 */
import { unescapeHtml } from './caption-cleaning-entities.js';
import { fixText } from './caption-cleaning-fix-text.js';
import { htmlText } from './caption-cleaning-html.js';
import { pythonRegExp as re, strip } from './caption-cleaning-python.js';

type Step = (text: string) => string;

/** Replaces what `pattern` (of Python's `re`) matches. */
function replace(pattern: string, by: string): Step {
  const compiled = re(pattern);
  return text => text.replace(compiled, by);
}

const r = String.raw;
const DOMAINS = 'com|co|ru|net|org|edu|gov|it';
const address = (scheme: string) =>
  r`\b(?:${scheme}:(?:\/{1,3}|[a-zA-Z0-9%])|[a-zA-Z0-9.\-]+[.](?:${DOMAINS})[\w\/-]*\b\/?(?!@))`;
const FILES = 'png|jpg|jpeg|bmp|webp|eps|pdf|apk|mp4';
const JOINT = /[-_]/g;

/** Everything up to the repair of the text's characters. */
const BEFORE_REPAIR: readonly Step[] = [
  unquotePlus,
  text => strip(text).toLowerCase(),
  replace('<person>', 'person'),
  replace(address('https?'), ''),
  replace(address('www'), ''),
  htmlText,
  replace(r`@[\w\d]+\b`, ''), // @nickname
  // strokes, phonetic extensions, enclosed and compatibility characters, ideographs, hexagrams
  replace(r`[\u31c0-\u9fff]+`, ''),
  // dashes of all scripts
  replace(
    r`[\-\u058a\u05be\u1400\u1806\u2010-\u2015\u2e17\u2e1a\u2e3a\u2e3b\u2e40\u301c\u3030\u30a0\ufe31\ufe32\ufe58\ufe63\uff0d]+`,
    '-',
  ),
  replace('[`´«»“”¨]', '"'),
  replace('[‘’]', "'"),
  replace('&quot;?', ''),
  replace('&amp', ''),
  replace(r`\d{1,3}\.\d{1,3}\.\d{1,3}\.\d{1,3}`, ' '), // IP addresses
  replace(r`\d:\d\d\s+$`, ''), // article numbers
  replace(r`\\n`, ' '), // a line break that is written out
  replace(r`#\d{1,3}\b`, ''),
  replace(r`#\d{5,}\b`, ''),
  replace(r`\b\d{6,}\b`, ''),
  replace(r`\S+\.(?:${FILES})`, ''),
  replace(`["']{2,}`, '"'),
  replace(r`[.]{2,}`, ' '),
  replace(r`[#®•©™&@·º½¾¿¡§~\)\(\]\[\}\{\|\\\/\*]+`, ' '),
  replace(r`\s+\.\s+`, ' '),
  text => ((text.match(JOINT)?.length ?? 0) > 3 ? text.replace(JOINT, ' ') : text), // words joined by dashes
];

/** What is left out of the repaired text, and its ends. */
const AFTER_REPAIR: readonly Step[] = [
  replace(r`\b[a-zA-Z]{1,3}\d{3,15}\b`, ''), // codes: jc6640
  replace(r`\b[a-zA-Z]+\d+[a-zA-Z]+\b`, ''), // jc6640vc
  replace(r`\b\d+[a-zA-Z]+\d+\b`, ''), // 6640vc231
  replace(r`(worldwide\s+)?(free\s+)?shipping`, ''),
  replace(r`(free\s)?download(\sfree)?`, ''),
  replace(r`\bclick\b\s(?:for|on)\s\w+`, ''),
  replace(r`\b(?:${FILES})(\simage[s]?)?`, ''),
  replace(r`\bpage\s+\d+\b`, ''),
  replace(r`\b\d*[a-zA-Z]+\d+[a-zA-Z]+\d+[a-zA-Z\d]*\b`, ' '), // j2d1a2a
  replace(r`\b\d+\.?\d*[xх×]\d+\.?\d*\b`, ''), // sizes: 640x480
  replace(r`\b\s+:\s+`, ': '),
  replace(r`(\D[,.\/])\b`, '$1 '),
  replace(r`\s+`, ' '),
  // the ends, of a text that may still begin or end with a space (as there)
  replace(r`^["']([\w\W]+)["']$`, '$1'),
  replace(`^['_,\\-:;]`, ''),
  replace(`['_,\\-:+]$`, ''),
  replace(r`^\.\S+$`, ''),
  strip,
];

/**
 * Cleans a caption once: addresses, tags, nicknames, Chinese characters, numbers of articles, file names, advertising and
 * the like go, dashes and quotes become plain, characters are repaired, everything is lower case.
 *
 * Differs from the Python original where its ftfy (see `fixText`) repairs mojibake of other encodings, and where its HTML
 * parser fails (see `htmlText`).
 */
export function cleanCaption(text: string): string {
  const run = (steps: readonly Step[], start: string) => steps.reduce((result, step) => step(result), start);
  return run(AFTER_REPAIR, unescapeHtml(unescapeHtml(fixText(run(BEFORE_REPAIR, text)))));
}

/**
 * What becomes of a prompt before it is tokenized: cleaned, twice as in the original (`clean`), or else lower case
 * without surrounding space. Show-1's pipelines clean unless `clean_caption=False`.
 */
export function textPreprocessing(text: string, { clean }: { clean: boolean }): string {
  return clean ? cleanCaption(cleanCaption(text)) : strip(text.toLowerCase());
}

/** Python's `urllib.parse.unquote_plus`: `+` is a space, `%C3%A9` is "é"; bytes that are no UTF-8 become U+FFFD. */
function unquotePlus(text: string): string {
  const decoder = new TextDecoder('utf-8', { ignoreBOM: true });
  return text
    .replaceAll('+', ' ')
    .replace(/(?:%[\da-fA-F]{2})+/g, run => decoder.decode(Buffer.from(run.replaceAll('%', ''), 'hex')));
}
