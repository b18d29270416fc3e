export { cleanPrompt, TextConditioner, type TextConditionerOptions, type TextEncoder } from './encode.js';
export { type TextFolders, type TextLocation, textFolders, textFoldersIn } from './folders.js';
export { T5EncoderModel } from './t5.js';
export { parseT5Config, type T5Config } from './t5-config.js';
export { createTinyTextEncoder, type TinyTextOptions } from './tiny.js';
export { SHOW1_MAX_LENGTH, type TokenBatch, Tokenizer, type TokenizerOptions } from './tokenizer.js';
export { buildWordTokenizer, type TokenizerFiles, type WordTokenizerOptions } from './word-tokenizer.js';
