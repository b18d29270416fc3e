/** What is done to a text before CLIP's tokenizer divides it into words. */
import { fixText } from './caption-cleaning-fix-text.js';
import { splitAtSpace, strip } from './caption-cleaning-python.js';

/**
 * How transformers' `CLIPTokenizer` prepares a text: `ftfy` where the package ftfy is installed (Show-1 requires it;
 * CLIP itself was trained so), `basic` where it is not. Plain English without typographic quotes is the same either way.
 */
export type ClipText = 'ftfy' | 'basic';

/** Repaired characters, single spaces, lower case; accents stay. */
export function ftfyText(text: string): string {
  return strip(fixText(text).replace(/\p{White_Space}+/gu, ' ')).toLowerCase();
}

const CJK =
  /[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\u{20000}-\u{2a6df}\u{2a700}-\u{2b73f}\u{2b740}-\u{2ceaf}\u{2f800}-\u{2fa1f}]/gu;
const CONTROL = /(?![\t\n\r])[\p{C}\ufffd]/gu;
const PUNCTUATION = /[!-/:-@[-`{-~\p{P}]/gu;

/** BERT's basic tokenizer: no control characters, no accents, punctuation and CJK characters apart, lower case. */
export function basicText(text: string): string {
  const spaced = text
    .replace(CONTROL, '')
    .replace(/[\p{Zs}\t\n\r]/gu, ' ')
    .replace(CJK, ' $& ');
  const words = splitAtSpace(spaced).map(word =>
    word
      .toLowerCase()
      .normalize('NFD')
      .replace(/\p{Mn}/gu, ''),
  );
  return splitAtSpace(words.join(' ').replace(PUNCTUATION, ' $& ')).join(' ');
}
