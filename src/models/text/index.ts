export { cleanCaption, textPreprocessing } from './caption-cleaning.js';
export { type ClipTextConfig, parseClipTextConfig } from './clip-config.js';
export { CLIPTextModel } from './clip-text.js';
export type { ClipText } from './clip-tokenizer-text.js';
export type { ClipTextOutput } from './clip-transformer.js';
export {
  cleanPrompt,
  type EncodeAllOptions,
  FAMILY_CLEANING,
  type PromptCleaning,
  promptCleaning,
  type StreamedTextEncoder,
  TextConditioner,
  type TextConditionerOptions,
  type TextEncoder,
  type TextSource,
} from './encode.js';
export { type TextFolders, type TextLocation, textFolders, textFoldersIn } from './folders.js';
export {
  type OpenedText,
  type OpenTextOptions,
  openTextEncoder,
  STREAM_ABOVE_BYTES,
  type TextFamily,
  textFamily,
} from './open-encoder.js';
export { StreamedT5Encoder, type StreamedT5Options, type StreamOptions } from './streamed-t5.js';
export { T5EncoderModel } from './t5.js';
export { parseT5Config, type T5Config } from './t5-config.js';
export { createTinyTextEncoder, type TinyTextOptions } from './tiny.js';
export {
  type PretrainedTokenizerOptions,
  SHOW1_MAX_LENGTH,
  type TokenBatch,
  Tokenizer,
  type TokenizerOptions,
} from './tokenizer.js';
export type { TokenEncoder } from './tokenizer-encoder.js';
export { isTokenizerFolder, tokenizerFiles } from './tokenizer-files.js';
export { buildWordTokenizer, type TokenizerFiles, type WordTokenizerOptions } from './word-tokenizer.js';
