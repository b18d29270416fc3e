import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../src/models/text/tokenizer.js';
import { golden, t5Folder, t5Model } from './tokenizer-folders.js';

describe('spiece.model', () => {
  const tokenizer = Tokenizer.fromPretrained(t5Folder());

  it.each(golden.texts.map((text, i) => [text, i] as const))("gives transformers' ids for %j", (text, i) => {
    expect(tokenizer.ids(text)).toEqual(golden.t5.ids[i]);
    for (const [length, rows] of Object.entries(golden.t5.padded)) {
      const { inputIds, attentionMask } = tokenizer.encode([text], { maxLength: Number(length) });
      expect([...inputIds]).toEqual(rows[i]);
      expect(attentionMask.filter(Boolean)).toHaveLength(rows[i]!.filter((id, at) => id !== 0 || at === 0).length);
    }
  });

  it('has the sentinels at the end, the first one last', () => {
    const { vocabSize } = golden.t5;
    expect(tokenizer.vocabSize).toBe(vocabSize);
    expect([0, 99].map(n => tokenizer.idOf(`<extra_id_${n}>`))).toEqual([vocabSize - 1, vocabSize - 100]);
    expect(tokenizer.idOf('<extra_id_100>')).toBeUndefined();
    expect(['<pad>', '</s>', '<unk>'].map(token => tokenizer.idOf(token))).toEqual([0, 1, 2]);
    const none = Tokenizer.fromPretrained(t5Folder({ 'tokenizer_config.json': { extra_ids: 0 } }));
    expect(none.vocabSize).toBe(vocabSize - 100);
  });

  it('keeps the final token of long texts, and leaves no room below one', () => {
    const long = 'a cat runs on the beach '.repeat(30);
    const { inputIds } = tokenizer.encode([long]);
    expect(inputIds).toHaveLength(77);
    expect(inputIds.at(-1)).toBe(1);
    expect([...inputIds.subarray(0, 76)]).toEqual(tokenizer.ids(long).slice(0, 76));
    expect([...tokenizer.encode([long], { maxLength: 1 }).inputIds]).toEqual([1]);
    expect(() => tokenizer.encode([long], { maxLength: 0 })).toThrow(/no room for the 1 special tokens/);
  });

  it('takes added tokens from both formats, before the text is touched', () => {
    const size = golden.t5.vocabSize;
    const cat = tokenizer.ids('a cat').slice(0, -1);
    const old = Tokenizer.fromPretrained(t5Folder({ 'added_tokens.json': { '<sks>': size, 'New York': size + 1 } }));
    expect(old.ids('a cat <sks> a cat New York')).toEqual([...cat, size, ...cat, size + 1, 1]);
    expect(old.vocabSize).toBe(size + 2);
    const added_tokens_decoder = { [size + 1]: { content: '<sks>', lstrip: false, rstrip: true } };
    const recent = Tokenizer.fromPretrained(t5Folder({ 'tokenizer_config.json': { added_tokens_decoder } }));
    expect(recent.ids('a cat<sks>a cat')).toEqual([...cat, size + 1, ...cat, 1]);
    expect(recent.vocabSize).toBe(size + 2);
    const additional = { additional_special_tokens: ['<extra_id_0>', '<more>'] };
    const more = Tokenizer.fromPretrained(t5Folder({ 'special_tokens_map.json': additional }));
    expect(more.ids('<more><extra_id_0>')).toEqual([size, size - 1, 1]);
  });

  it('refuses a padding or end token that is not there', () => {
    const named = (map: object) => () => Tokenizer.fromPretrained(t5Folder({ 'special_tokens_map.json': map }));
    expect(named({ pad_token: '[PAD]' })).toThrow(/spiece\.model has no token "\[PAD\]" \(pad_token\)/);
    expect(named({ eos_token: { content: '[SEP]' } })).toThrow(/no token "\[SEP\]" \(eos_token\)/);
    expect(named({ pad_token: '</s>' })().padId).toBe(1);
  });

  it('refuses what is no such model', () => {
    const open = (model: Uint8Array | string) => () => Tokenizer.fromPretrained(t5Folder({ 'spiece.model': model }));
    expect(open('just some text, not a model')).toThrow(/not a SentencePiece model/);
    expect(open(t5Model.subarray(0, 1000))).toThrow(/not a SentencePiece model/);
    expect(open(Uint8Array.of(0x1a, 2, 0x18, 1))).toThrow(/it holds no pieces/);
    // a later trainer_spec replaces the first: field 2, two bytes, model_type (3) = 2
    expect(open(Buffer.concat([t5Model, Uint8Array.of(0x12, 2, 0x18, 2)]))).toThrow(/is a BPE model; .*only Unigram/);
    // one piece "a", no unknown token
    expect(open(Uint8Array.of(0x0a, 3, 0x0a, 1, 0x61))).toThrow(/no unknown token/);
    // normalizer_spec (3) with a charsmap (2) that claims more bytes than there are
    expect(open(Buffer.concat([t5Model, Uint8Array.of(0x1a, 7, 0x12, 5, 0xff, 0, 0, 0, 1)]))).toThrow(
      /normalisation rules .* are broken/,
    );
  });
});
