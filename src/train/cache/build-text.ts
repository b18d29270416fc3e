/** Fills a text cache: each different caption is encoded once; the encoder is opened only when one is missing. */
import { readMemory } from '../../engine/machine.js';
import {
  type OpenTextOptions,
  promptCleaning,
  TextConditioner,
  type TextFolders,
  Tokenizer,
} from '../../models/text/index.js';
import { captionName, type TextIndex } from './cached-text.js';
import type { FileHashes } from './file-hashes.js';
import { cleaningOf, textFingerprint } from './fingerprints.js';
import { type CacheSession, checkAbort } from './session.js';

/** Captions that an encoder in memory takes between two looks at Ctrl-C. */
const CAPTIONS_A_CHUNK = 16;
/** Most bytes of embeddings that wait in memory while a streamed encoder reads its layers. */
const STREAM_BYTES = 2 * 2 ** 30;

export interface TextRequest {
  folders: TextFolders;
  maxLength: number;
  /** Captions and validation prompts; the empty one is added. */
  prompts: readonly string[];
  /** Read the encoder's weights layer by layer; default: as training does. */
  stream?: OpenTextOptions['stream'];
}

export interface TextSummary {
  captions: number;
  /** Encoded in this run. */
  computed: number;
  bytes: number;
}

export async function buildText(
  session: CacheSession,
  hashes: FileHashes,
  { folders, maxLength, prompts, stream }: TextRequest,
): Promise<TextSummary> {
  const { signal, print, onProgress } = session;
  const clean = promptCleaning(cleaningOf(folders));
  const cleaned = [...new Set([...prompts, ''].map(clean))];
  const wanted = new Map(cleaned.map(caption => [captionName(caption), caption]));
  const fingerprint = await textFingerprint(folders, maxLength, hashes, signal);
  const section = await session.begin('text', fingerprint);
  const { writer } = section;
  const missing = [...wanted].filter(([name]) => !writer.has(name));
  const known = wanted.size - missing.length;
  if (missing.length > 0) {
    const text = await TextConditioner.fromPretrained(folders, { maxLength, stream });
    try {
      const share = 0.4 * readMemory().available;
      const each = 4 * maxLength * text.width;
      const chunk = text.streamed ? Math.max(1, Math.floor(Math.min(STREAM_BYTES, share) / each)) : CAPTIONS_A_CHUNK;
      print(`${missing.length} of ${wanted.size} captions to encode`);
      for (let at = 0; at < missing.length; at += chunk) {
        const part = missing.slice(at, at + chunk);
        await text.encodeAll(
          part.map(([, caption]) => caption),
          {
            onProgress: (done, total) => {
              checkAbort(signal);
              onProgress('captions', known + at + Math.floor((part.length * done) / total), wanted.size);
            },
          },
        );
        for (const [name, caption] of part) {
          const tensor = text.encode([caption]); // [1, L, D]
          const values = tensor.dataSync() as Float32Array;
          tensor.dispose();
          await writer.add({ name, shape: [maxLength, text.width], values });
        }
        text.forget();
      }
    } catch (error) {
      await writer.flush().catch(() => undefined); // what is encoded is kept
      throw error;
    } finally {
      text.dispose();
    }
  }
  onProgress('captions', wanted.size, wanted.size);
  const bytes = await section.finish<TextIndex>(
    { tokens: tokenCounts(folders, maxLength, wanted) },
    { entries: wanted.size, isWanted: name => wanted.has(name) },
  );
  return { captions: wanted.size, computed: missing.length, bytes };
}

function tokenCounts(folders: TextFolders, maxLength: number, wanted: Map<string, string>): Record<string, number> {
  const tokenizer = Tokenizer.fromPretrained(folders.tokenizer);
  const count = (caption: string) =>
    tokenizer.encode([caption], { maxLength }).attentionMask.reduce((sum, own) => sum + own, 0);
  return Object.fromEntries([...wanted].map(([name, caption]) => [name, count(caption)]));
}
