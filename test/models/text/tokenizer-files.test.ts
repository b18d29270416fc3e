import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Tokenizer } from '../../../src/models/text/tokenizer.js';
import { isTokenizerFolder } from '../../../src/models/text/tokenizer-files.js';
import { buildWordTokenizer } from '../../../src/models/text/word-tokenizer.js';
import { clipFolder, clipMerges, clipVocab, folderWith, t5Folder, t5Model } from './tokenizer-folders.js';

const words = buildWordTokenizer(['a red circle'], { maxLength: 12 });
const all = {
  'tokenizer.json': words.definition,
  'tokenizer_config.json': { ...words.config, tokenizer_class: undefined },
  'spiece.model': t5Model,
  'vocab.json': clipVocab,
  'merges.txt': clipMerges,
};

describe('tokenizer folders', () => {
  it('prefer tokenizer.json, then spiece.model, then vocab.json with merges.txt', () => {
    expect(Tokenizer.fromPretrained(folderWith(all)).vocabSize).toBe(6);
    const { 'tokenizer.json': _, 'tokenizer_config.json': __, ...bare } = all;
    expect(Tokenizer.fromPretrained(folderWith(bare)).ids('')).toEqual([1]);
    const { 'spiece.model': ___, ...clip } = bare;
    expect(Tokenizer.fromPretrained(folderWith(clip)).ids('')).toHaveLength(2);
  });

  it('are recognised', () => {
    expect([t5Folder(), clipFolder(), folderWith(all)].every(isTokenizerFolder)).toBe(true);
    expect([folderWith({}), folderWith({ 'vocab.json': {} }), '/nowhere'].some(isTokenizerFolder)).toBe(false);
  });

  it('without any format list what was looked for', () => {
    expect(() => Tokenizer.fromPretrained(folderWith({ 'vocab.json': clipVocab, 'README.md': '' }))).toThrow(
      /looked for tokenizer\.json; spiece\.model; vocab\.json with merges\.txt\. It holds README\.md, vocab\.json/,
    );
  });

  it('of another model are refused', () => {
    const named = (tokenizer_class: string) => ({ 'tokenizer_config.json': { tokenizer_class } });
    expect(() => Tokenizer.fromPretrained(t5Folder(named('XLNetTokenizer')))).toThrow(/belongs to a XLNetTokenizer/);
    expect(() => Tokenizer.fromPretrained(clipFolder(named('GPT2Tokenizer')))).toThrow(/only a CLIPTokenizer can be/);
    expect(Tokenizer.fromPretrained(t5Folder(named('T5TokenizerFast'))).padId).toBe(0);
  });

  it('let special_tokens_map.json win over an old tokenizer_config.json, as Stable Diffusion 2 needs', () => {
    const files = {
      'tokenizer_config.json': { pad_token: '<|endoftext|>', model_max_length: 20 },
      'special_tokens_map.json': { pad_token: '!' },
    };
    const tokenizer = Tokenizer.fromPretrained(clipFolder(files));
    expect([tokenizer.padId, tokenizer.maxLength]).toEqual([0, 20]);
  });

  it.each(['tokenizer.json', 'spiece.model', 'vocab.json', 'merges.txt'])('say what is wrong with %s', name => {
    const { 'tokenizer.json': _, ...rest } = all;
    const dir = name === 'tokenizer.json' ? folderWith(all) : name === 'spiece.model' ? folderWith(rest) : clipFolder();
    const put = (content: string) => {
      writeFileSync(join(dir, name), content);
      return () => Tokenizer.fromPretrained(dir);
    };
    expect(put('version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n')).toThrow(
      new RegExp(`${name.replace('.', '\\.')} is a Git LFS pointer.*git lfs pull`),
    );
    expect(put('<!DOCTYPE html><html>Sign in</html>')).toThrow(/is a web page.*Download/);
    expect(put('')).toThrow(/is empty/);
  });
});
