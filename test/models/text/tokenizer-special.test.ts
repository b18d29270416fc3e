import { describe, expect, it } from 'vitest';
import { addedTokens, mergeConfigs, TokenSplitter } from '../../../src/models/text/tokenizer-special.js';

const token = (content: string, id: number, lstrip = false, rstrip = false) => ({ content, id, lstrip, rstrip });

describe('TokenSplitter', () => {
  it('finds the leftmost token, of those the longest', () => {
    const splitter = new TokenSplitter([token('<a', 1), token('<a>', 2), token('a>b', 3), token('.*', 4)]);
    expect(splitter.split('<a>b <a.*x')).toEqual([{ id: 2 }, { text: 'b ' }, { id: 1 }, { id: 4 }, { text: 'x' }]);
    expect(splitter.split('')).toEqual([]);
    expect(new TokenSplitter([]).split('ab')).toEqual([{ text: 'ab' }]);
  });

  it('takes the space that a token takes', () => {
    const splitter = new TokenSplitter([token('L', 1, true), token('R', 2, false, true), token('N', 3)]);
    expect(splitter.split('a L b')).toEqual([{ text: 'a' }, { id: 1 }, { text: ' b' }]);
    expect(splitter.split('a R \n b')).toEqual([{ text: 'a ' }, { id: 2 }, { text: 'b' }]);
    expect(splitter.split(' N R L ')).toEqual([
      { text: ' ' },
      { id: 3 },
      { text: ' ' },
      { id: 2 },
      { id: 1 },
      { text: ' ' },
    ]);
  });
});

describe('configs', () => {
  it('gather tokens of both formats; details win over a bare name', () => {
    const config = mergeConfigs(
      { eos_token: '</s>', pad_token: { content: '<pad>', lstrip: true }, bos_token: null },
      { eos_token: { content: '</s>' }, additional_special_tokens: ['x', { content: 'y', rstrip: true }] },
      { z: 9 },
    );
    const flags = (content: string, lstrip: boolean, rstrip: boolean, id?: number) => ({ content, id, lstrip, rstrip });
    expect(addedTokens(config)).toEqual([
      flags('z', true, true, 9),
      flags('</s>', false, false),
      flags('<pad>', true, false),
      flags('x', true, true),
      flags('y', false, true),
    ]);
  });
});
