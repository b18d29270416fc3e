import { describe, expect, it } from 'vitest';
import { basicText, ftfyText } from '../../../src/models/text/clip-tokenizer-text.js';
import { Tokenizer } from '../../../src/models/text/tokenizer.js';
import { clipFolder, clipMerges, clipVocab, golden } from './tokenizer-folders.js';

const PADS = { end: '<|endoftext|>', bang: '!' } as const;
const [START, END] = [clipVocab['<|startoftext|>']!, clipVocab['<|endoftext|>']!];

describe.each(['end', 'bang'] as const)('vocab.json and merges.txt, padding token "%s"', name => {
  const expected = golden.clip[name];
  const dir = clipFolder({ 'special_tokens_map.json': { pad_token: PADS[name] } });
  const ftfy = Tokenizer.fromPretrained(dir);
  const basic = Tokenizer.fromPretrained(dir, { clipText: 'basic' });

  it.each(golden.texts.map((text, i) => [text, i] as const))("gives transformers' ids for %j", (text, i) => {
    expect(ftfy.ids(text)).toEqual(expected.ftfy[i]);
    expect(basic.ids(text)).toEqual(expected.basic[i]);
    for (const [length, rows] of Object.entries(expected.padded)) {
      expect([...ftfy.encode([text], { maxLength: Number(length) }).inputIds]).toEqual(rows[i]);
    }
  });

  it('pads with it', () => {
    expect(ftfy.padId).toBe(expected.padId);
    const { inputIds, attentionMask } = ftfy.encode(['a cat']);
    expect([...inputIds.subarray(2, 6)]).toEqual([expect.any(Number), END, expected.padId, expected.padId]);
    expect([...attentionMask.subarray(0, 6)]).toEqual([1, 1, 1, 1, 0, 0]);
  });
});

describe('CLIP', () => {
  const bare = Tokenizer.fromPretrained(clipFolder());

  it('needs no other files', () => {
    expect(bare.padId).toBe(END);
    expect(bare.vocabSize).toBe(Object.keys(clipVocab).length);
    expect(bare.ids('')).toEqual([START, END]);
  });

  it('keeps both ends of long texts', () => {
    const { inputIds } = bare.encode(['a cat runs on the beach '.repeat(30)]);
    expect([inputIds.length, inputIds[0], inputIds.at(-1)]).toEqual([77, START, END]);
    expect(() => bare.encode(['a'], { maxLength: 1 })).toThrow(/no room for the 2 special tokens/);
  });

  it('reads the newer format as transformers 4.57 writes it', () => {
    const entry = (content: string, more = {}) => ({ content, lstrip: false, rstrip: false, ...more });
    const added_tokens_decoder = {
      0: entry('!'),
      [START]: entry('<|startoftext|>'),
      [END]: entry('<|endoftext|>'),
      [END + 1]: entry('<sks>'),
    };
    const dir = clipFolder({
      'tokenizer_config.json': { added_tokens_decoder, pad_token: '!', tokenizer_class: 'CLIPTokenizer' },
      'special_tokens_map.json': { pad_token: '<|endoftext|>' }, // out of date
    });
    const recent = Tokenizer.fromPretrained(dir);
    for (const [i, text] of golden.texts.entries()) expect(recent.ids(text)).toEqual(golden.clip.bang.ftfy[i]);
    expect(recent.padId).toBe(0);
    expect(recent.vocabSize).toBe(END + 2);
    const [, a, ...dog] = bare.ids('a dog');
    expect(recent.ids('a <sks> dog')).toEqual([START, a, END + 1, ...dog]);
  });

  it('refuses merges that do not fit the vocabulary', () => {
    const { cat: _, ...without } = clipVocab;
    const open = (files: object) => () => Tokenizer.fromPretrained(clipFolder(files as Record<string, unknown>));
    expect(open({ 'merges.txt': `${clipMerges}q zzz\n` })).toThrow(/line \d+, "q zzz", needs the token "zzz"/);
    expect(open({ 'merges.txt': '#version: 0.2\na b c\n' })).toThrow(/line 2, "a b c", is not two tokens/);
    expect(open({ 'vocab.json': { ...clipVocab, a: 'x' } })).toThrow(/"a" has "x"/);
    expect(open({ 'vocab.json': { ...without, '<|startoftext|>': undefined } })).toThrow(/<\|startoftext\|>/);
    expect(open({ 'special_tokens_map.json': { pad_token: '[PAD]' } })).toThrow(/no token "\[PAD\]" \(pad_token\)/);
  });
});

describe('texts before CLIP', () => {
  it('repairs them, or spells them out', () => {
    expect(ftfyText(' Itâ€™s  a “CAFÉ”\n')).toBe('it\'s a "café"');
    expect(basicText(' It’s  a “CAFÉ”\n東京\x07')).toBe('it ’ s a “ cafe ” 東 京');
  });
});
