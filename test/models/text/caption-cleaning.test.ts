import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { cleanCaption, textPreprocessing } from '../../../src/models/text/caption-cleaning.js';
import { unescapeClearHtml, unescapeHtml } from '../../../src/models/text/caption-cleaning-entities.js';
import { fixText } from '../../../src/models/text/caption-cleaning-fix-text.js';
import { htmlText } from '../../../src/models/text/caption-cleaning-html.js';
import { pythonRegExp, strip } from '../../../src/models/text/caption-cleaning-python.js';

// made by test/reference/captions_golden.py
const golden: {
  captions: [text: string, once: string, twice: string, lower: string][];
  fixText: [text: string, fixed: string][];
  html: [html: string, text: string][];
} = JSON.parse(readFileSync(join(import.meta.dirname, 'fixtures/captions.json'), 'utf8'));

describe('cleanCaption', () => {
  it.each(golden.captions)("cleans %j as DeepFloyd IF's pipeline", (text, once, twice, lower) => {
    expect(cleanCaption(text)).toBe(once);
    expect(textPreprocessing(text, { clean: true })).toBe(twice);
    expect(textPreprocessing(text, { clean: false })).toBe(lower);
  });

  it('goes on where the original fails', () => {
    expect(cleanCaption('a <![x]> cat')).toBe('a cat');
  });

  it('is quick on long and repetitive captions', () => {
    const start = performance.now();
    for (const part of ['a', 'a.', '<', '<a ', '&', '&#', 'â€', '-', '"', ' . ', 'a1', '@', '#1', '1.', '%', 'http:']) {
      cleanCaption(part.repeat(2000));
    }
    expect(performance.now() - start).toBeLessThan(10_000);
  });
});

describe('fixText', () => {
  it.each(golden.fixText)('repairs %j as ftfy', (text, fixed) => {
    expect(fixText(text)).toBe(fixed);
  });

  it('leaves sound text of any language alone, and undoes what went wrong with it', () => {
    const locales = 'cs da de es et fi fr ga hu is it lt lv nl pl pt ro sk sv tr vi ru el uk he ar hi ja zh ko'.split(
      ' ',
    );
    const regions = ['AT', 'CI', 'RE', 'JP', 'SE', 'BR', 'EG', 'NZ'];
    // Windows-1252, all bytes of it, to what a browser shows
    const wrong = new TextDecoder('windows-1252');
    let undone = 0;
    for (const locale of locales) {
      const names = new Intl.DisplayNames(locale, { type: 'region' });
      for (const region of regions) {
        const name = fixText(names.of(region)!);
        expect(name).toBe(names.of(region)!.normalize('NFC').replace(/[’ʼ]/g, "'"));
        if (fixText(wrong.decode(Buffer.from(name))) === name) undone++;
      }
    }
    expect(undone / (locales.length * regions.length)).toBeGreaterThan(0.95);
  });

  it('replaces lone surrogates', () => {
    expect(fixText('a\ud83db😀\udc00')).toBe('a\ufffdb😀\ufffd');
  });
});

describe('htmlText', () => {
  it.each(golden.html)('reads %j as BeautifulSoup', (html, text) => {
    expect(htmlText(html)).toBe(text);
  });
});

describe('character references', () => {
  it('resolves as html.unescape, and as ftfy where they are clear', () => {
    expect(unescapeHtml('&ampx &notin; &notit; &#65 &#x42; &#128; &#1; &#0; &#xd800; &#x110000; &nope; &')).toBe(
      '&x ∉ ¬it; A B €  \ufffd \ufffd \ufffd &nope; &',
    );
    expect(unescapeHtml('&NotEqualTilde;&ThickSpace;&fjlig;')).toBe('≂̸\u205f\u200afj');
    expect(unescapeClearHtml('&amp &amp; &EACUTE; &nTILDE; &#39;')).toBe("&amp & É &nTILDE; '");
  });
});

describe("Python's expressions", () => {
  it('know all scripts', () => {
    expect('приве́т, wörld_1 ١٢'.match(pythonRegExp('\\w+'))).toEqual(['приве', 'т', 'wörld_1', '١٢']);
    expect('ab\x1ccd\ufeffe'.split(pythonRegExp('[\\s]'))).toEqual(['ab', 'cd\ufeffe']);
    expect('é1'.replace(pythonRegExp('\\b'), '|')).toBe('|é1|');
    expect('aé.b'.match(pythonRegExp('[\\D.]+\\b'))).toEqual(['aé.b']);
    expect(strip('\x85\u3000 a b\x1f\n')).toBe('a b');
  });
});
