import { describe, expect, it } from 'vitest';
import { SentencePiece } from '../../../src/models/text/sentencepiece.js';
import { PIECE_TYPE, parseSentencePieceModel } from '../../../src/models/text/sentencepiece-model.js';
import { bytesModel, golden, t5Model } from './tokenizer-folders.js';

describe('SentencePiece', () => {
  const model = parseSentencePieceModel(bytesModel, 'spiece.model');
  const processor = new SentencePiece(model, 'spiece.model');

  it.each(golden.texts.map((text, i) => [text, i] as const))('divides %j as the original', (text, i) => {
    expect(processor.encode(text).map(({ id }) => id)).toEqual(golden.bytes.ids[i]);
  });

  it('reads the model: defaults of proto2, types of pieces', () => {
    expect(model.normalizer).toMatchObject({ addDummyPrefix: false, removeExtraWhitespaces: false });
    expect(model.byteFallback).toBe(true);
    expect(model.pieces.filter(({ type }) => type === PIECE_TYPE.BYTE)).toHaveLength(256);
    const t5 = parseSentencePieceModel(t5Model, 'spiece.model');
    expect(t5.normalizer).toMatchObject({
      addDummyPrefix: true,
      removeExtraWhitespaces: true,
      escapeWhitespaces: true,
    });
    expect([t5.unknownId, t5.whitespaceAsSuffix, t5.byteFallback]).toEqual([2, false, false]);
  });

  it('applies defaults where the file says nothing', () => {
    // pieces "▁a" (score 0) and "<unk>" (type 2), neither trainer nor normalizer
    const bytes = Buffer.from(
      '0a090a04e2968161150000000a090a053c756e6b3e1802'.replace('15000000', '1500000000'),
      'hex',
    );
    bytes[1] = 11;
    const bare = parseSentencePieceModel(bytes, 'bare');
    expect(bare.normalizer.addDummyPrefix).toBe(true);
    expect(new SentencePiece(bare, 'bare').encode('  a   a b ').map(({ piece }) => piece)).toEqual(['▁a', '▁a', '▁b']);
  });

  it('keeps the sum of pieces and the text alike, and unknown characters together', () => {
    const t5 = new SentencePiece(parseSentencePieceModel(t5Model, 'spiece.model'), 'spiece.model');
    for (const text of golden.texts) {
      const pieces = t5.encode(text);
      const joined = pieces.map(({ piece }) => piece).join('');
      expect(t5.encode(joined.replaceAll('▁', ' ')).map(({ id }) => id)).toEqual(pieces.map(({ id }) => id));
      expect(pieces.some(({ id }, i) => id === 2 && pieces[i + 1]?.id === 2)).toBe(false);
    }
  });

  it('handles a text of 100,000 characters', () => {
    const pieces = processor.encode('a cat runs on the beach '.repeat(4200));
    expect(pieces.map(({ piece }) => piece).join('')).toBe('a▁cat▁runs▁on▁the▁beach▁'.repeat(4200));
  });
});
