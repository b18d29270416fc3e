import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../src/models/text/tokenizer.js';
import { buildWordTokenizer } from '../../../src/models/text/word-tokenizer.js';
import { tempFolder } from '../weights/files.js';

const CAPTIONS = ['A red square moves to the left.', 'a blue circle moves up', 'a red circle moves to the left'];
const files = buildWordTokenizer(CAPTIONS, { maxLength: 12 });

/** A tokenizer with a token in front and one behind, as CLIP's. */
function clipLike() {
  const definition = structuredClone(files.definition) as any;
  const token = (id: string) => ({ SpecialToken: { id, type_id: 0 } });
  definition.post_processor.single = [token('<unk>'), { Sequence: { id: 'A', type_id: 0 } }, token('</s>')];
  definition.post_processor.special_tokens['<unk>'] = { id: '<unk>', ids: [2], tokens: ['<unk>'] };
  return new Tokenizer(definition, files.config);
}

function folder(config: object | null = files.config, definition: unknown = files.definition) {
  const dir = tempFolder();
  writeFileSync(join(dir, 'tokenizer.json'), typeof definition === 'string' ? definition : JSON.stringify(definition));
  if (config) writeFileSync(join(dir, 'tokenizer_config.json'), JSON.stringify(config));
  return dir;
}

describe('Tokenizer', () => {
  const tokenizer = new Tokenizer(files.definition, files.config);

  it('pads with mask', () => {
    const { inputIds, attentionMask, shape } = tokenizer.encode(['a red circle', ''], { maxLength: 6 });
    expect(shape).toEqual([2, 6]);
    expect([...inputIds.subarray(3, 12)]).toEqual([1, 0, 0, 1, 0, 0, 0, 0, 0]);
    expect([...attentionMask]).toEqual([1, 1, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0]);
  });

  it('keeps the final token when it cuts', () => {
    const long = Array(20).fill('red').join(' ');
    const red = tokenizer.ids('red')[0]!;
    const { inputIds, attentionMask } = tokenizer.encode([long], { maxLength: 5 });
    expect([...inputIds]).toEqual([red, red, red, red, 1]);
    expect([...attentionMask]).toEqual([1, 1, 1, 1, 1]);
    expect([...tokenizer.encode(['red red red red'], { maxLength: 5 }).inputIds]).toEqual([red, red, red, red, 1]);
  });

  it('keeps tokens on both sides when it cuts', () => {
    const red = tokenizer.ids('red')[0]!;
    expect([...clipLike().encode(['red red red red red'], { maxLength: 5 }).inputIds]).toEqual([2, red, red, red, 1]);
    expect(() => clipLike().encode(['red'], { maxLength: 1 })).toThrow(/no room for the 2 special tokens/);
  });

  it("uses the config's length up to 77", () => {
    expect(tokenizer.maxLength).toBe(12);
    expect(new Tokenizer(files.definition, { ...files.config, model_max_length: 1e30 }).maxLength).toBe(77);
    expect(new Tokenizer(files.definition, files.config, { maxLength: 30 }).encode(['']).shape).toEqual([1, 30]);
  });

  it('reads a folder with its config, with the special tokens map, or with token objects', () => {
    expect([...Tokenizer.fromPretrained(folder()).encode(['a novel red'], { maxLength: 5 }).inputIds]).toEqual([
      ...tokenizer.ids('a novel red'),
      0,
    ]);
    const dir = folder(null);
    const { model_max_length, ...special } = files.config;
    writeFileSync(join(dir, 'special_tokens_map.json'), JSON.stringify(special));
    expect(Tokenizer.fromPretrained(dir).ids('novel')).toEqual([2, 1]);
    const objects = { ...files.config, unk_token: { content: '<unk>', lstrip: false }, pad_token: { content: '</s>' } };
    const read = Tokenizer.fromPretrained(folder(objects));
    expect([read.padId, ...read.ids('novel')]).toEqual([1, 2, 1]);
  });

  it('says what it looked for and what there is', () => {
    const dir = tempFolder();
    expect(() => Tokenizer.fromPretrained(dir)).toThrow(/looked for tokenizer\.json.*It holds nothing/);
    writeFileSync(join(dir, 'tokenizer_config.json'), '{}');
    expect(() => Tokenizer.fromPretrained(dir)).toThrow(/It holds tokenizer_config\.json/);
    expect(() => Tokenizer.fromPretrained(join(dir, 'gone'))).toThrow(/no such folder/);
  });

  it('refuses broken files, a padding token that is not there, and words without an unknown token', () => {
    expect(() => Tokenizer.fromPretrained(folder({}, '{"model": '))).toThrow(/tokenizer\.json is not valid JSON/);
    expect(() => Tokenizer.fromPretrained(folder({}, { model: {} }))).toThrow(/tokenizer\.json cannot be used/);
    const dir = folder({ ...files.config, pad_token: '[PAD]' });
    expect(() => Tokenizer.fromPretrained(dir)).toThrow(/has no token "\[PAD\]" \(pad_token\)/);
    const { unk_token, ...rest } = files.config;
    expect(() => Tokenizer.fromPretrained(folder(rest)).encode(['novel'])).toThrow(/no id for a token of "novel"/);
  });
});

describe('buildWordTokenizer', () => {
  it('has T5 special tokens first, then words by frequency, whatever the order of captions', () => {
    const vocab = (files.definition as any).model.vocab as Record<string, number>;
    expect(Object.keys(vocab).slice(0, 5)).toEqual(['<pad>', '</s>', '<unk>', 'a', 'moves']);
    expect(Object.values(vocab)).toEqual(Object.keys(vocab).map((_, i) => i));
    expect(Object.keys(vocab)).toContain('.');
    expect(Object.keys(vocab)).not.toContain('A');
    expect(buildWordTokenizer([...CAPTIONS].reverse(), { maxLength: 12 })).toEqual(files);
  });

  it('keeps the most frequent words only, and maps the others to <unk>', () => {
    const { definition, config } = buildWordTokenizer(CAPTIONS, { maxLength: 12, maxWords: 2 });
    expect(new Tokenizer(definition, config).ids('a square moves')).toEqual([3, 2, 4, 1]);
  });

  it('handles any script, and words that look like object properties or special tokens', () => {
    const odd = ['Ein Fuß läuft', '一个红色的方块', 'constructor __proto__ toString', 'a </s> b', '42 7'];
    const { definition, config } = buildWordTokenizer(odd, { maxLength: 12 });
    const read = new Tokenizer(JSON.parse(JSON.stringify(definition)), config);
    for (const text of ['fuß läuft', '一个红色的方块', 'constructor tostring', '7 42']) {
      expect(read.ids(text).includes(2)).toBe(false);
    }
    expect(read.ids('unseen')).toEqual([2, 1]);
    expect(new Set(Object.values((definition as any).model.vocab)).size).toBe(read.vocabSize);
  });
});
