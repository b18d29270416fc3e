/**
 * The prompts of all stages as embeddings, before any UNet takes memory: each text encoder is loaded once, encodes
 * everything that any stage asks of it, and is freed.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import { type Tensor, tf } from '../engine/index.js';
import { InputError } from '../errors.js';
import { type TextFolders, type TextLocation, textFolders } from '../models/text/folders.js';
import { TextConditioner } from '../models/text/index.js';
import { inspectTextEncoder, textFamily } from '../models/text/open-encoder.js';
import { readModelConfig } from '../models/weights/pretrained.js';
import { type ModelFolder, pretrainedRoots } from './model-folder.js';

/** A network that takes text, and the prompts it will be asked about. */
export interface TextUser {
  /** For messages: the stage. */
  name: string;
  folder: ModelFolder;
  /** Width of the embeddings that its UNet takes. */
  width: number;
  negative: string;
}

/** Embeddings by prompt for one user; [L, D] each. */
export class StageText {
  constructor(private readonly embeddings: ReadonlyMap<string, Tensor>) {}

  /** [L, D] of an embedding. */
  get shape(): [number, number] {
    return [...this.embeddings.values()][0]!.shape as [number, number];
  }

  /** [B, L, D]; the caller's to dispose. */
  batch(prompts: readonly string[]): Tensor {
    return tf.stack(prompts.map(prompt => this.embeddings.get(prompt)!));
  }
}

interface Encoder {
  folders: TextFolders;
  maxLength?: number;
  users: TextUser[];
}

/** Bytes of the files of a folder whose names match. */
function filesOf(dir: string, pattern: RegExp): [string, string][] {
  if (!existsSync(dir)) return [];
  const names = readdirSync(dir).filter(name => pattern.test(name));
  return names.sort().map(name => {
    const file = path.join(dir, name);
    return [name, name.endsWith('.safetensors') ? String(statSync(file).size) : readFileSync(file, 'utf8')];
  });
}

/** Copies of one encoder in several folders are one: equal configs and tokenizers, weights of equal size. */
function identity({ encoder, tokenizer }: TextFolders): string {
  const files = [...filesOf(encoder, /^config\.json$|\.safetensors$/), ...filesOf(tokenizer, /\.(json|txt|model)$/)];
  return createHash('sha256').update(JSON.stringify(files)).digest('hex');
}

/**
 * Which encoder serves whom. A pixel stage without one of its own takes that of the first pixel stage which has one (the
 * released script encodes prompts with the base's alone); the latent stage speaks another language and needs its own.
 */
function assign(users: readonly TextUser[]): Encoder[] {
  const encoders = new Map<string, Encoder>();
  for (const user of users) {
    const { config, recipe, root } = user.folder;
    const own = [root, ...pretrainedRoots(config?.model.pretrained)];
    const isLatent = (one: TextUser) => one.name === 'sr2';
    const others = users.filter(one => isLatent(one) === isLatent(user)).map(({ folder }) => folder.root);
    const folders = findFolders(user.name, [...new Set([...own, ...others])], config?.model.textEncoder);
    const maxLength = recipe?.maxTextLength;
    const key = `${identity(folders)} ${maxLength ?? ''}`;
    const encoder = encoders.get(key) ?? { folders, maxLength, users: [] };
    encoder.users.push(user);
    encoders.set(key, encoder);
  }
  return [...encoders.values()];
}

/** `textFolders` with a message for people who sample. */
function findFolders(stage: string, roots: string[], location: TextLocation | undefined): TextFolders {
  try {
    return textFolders(roots, location);
  } catch (cause) {
    if ((cause as InputError).code !== 'text.not-found') throw cause;
    throw new InputError(
      `stage ${stage} has no text encoder: looked for text_encoder/config.json in ${roots.join(', ')}. Copy text_encoder/ and tokenizer/ of the released pipeline into one of them.`,
      { code: 'text.not-found', stage, looked: roots },
      cause,
    );
  }
}

/** The text encoders of a cascade. */
export class CascadeText {
  private readonly encoders: Encoder[];
  private readonly all: Tensor[] = [];

  /** Finds and checks encoders and tokenizers; reads no weights. @throws InputError for what is missing or does not fit */
  constructor(users: readonly TextUser[]) {
    this.encoders = assign(users);
    for (const { folders, users } of this.encoders) {
      const found = inspectTextEncoder(folders);
      for (const { name, width } of users) {
        if (width === found) continue;
        throw new InputError(
          `stage ${name}: its UNet takes text embeddings of width ${width}, but the text encoder ${folders.encoder} gives ${found}: ` +
            'they belong to different models. Put the right text_encoder/ and tokenizer/ into the folder of that stage.',
          { code: 'infer.text-width', stage: name, unet: width, text: found },
        );
      }
    }
  }

  /**
   * Loads each encoder and encodes `prompts` and the users' negative prompts.
   * @param options `cleanCaptions`: DeepFloyd IF's cleaning before a T5, instead of lower case alone; `onProgress`: parts of
   * the work done, of all
   */
  async encode(
    prompts: readonly string[],
    {
      cleanCaptions = false,
      onProgress,
    }: { cleanCaptions?: boolean; onProgress?: (done: number, total: number) => void } = {},
  ): Promise<Map<string, StageText>> {
    const result = new Map<string, StageText>();
    for (const [i, { folders, maxLength, users }] of this.encoders.entries()) {
      const conditioner = await TextConditioner.fromPretrained(folders, {
        maxLength,
        clean: cleanCaptions && textFamily(readModelConfig(folders.encoder)) === 't5' ? 'caption' : undefined,
      });
      try {
        const wanted = [...new Set([...prompts, ...users.map(({ negative }) => negative)])];
        await conditioner.encodeAll(wanted, {
          onProgress: (done, total) => onProgress?.(i + done / total, this.encoders.length),
        });
        const embeddings = new Map(
          wanted.map(prompt => [prompt, tf.tidy(() => conditioner.encode([prompt]).squeeze<Tensor>([0]))] as const),
        );
        this.all.push(...embeddings.values());
        for (const { name } of users) result.set(name, new StageText(embeddings));
      } finally {
        conditioner.dispose();
      }
    }
    return result;
  }

  /** Folders of the encoder and the tokenizer that serve a user. */
  foldersOf(name: string): string[] {
    const { encoder, tokenizer } = this.encoders.find(({ users }) => users.some(user => user.name === name))!.folders;
    return [encoder, tokenizer];
  }

  /** Drops the embeddings. */
  forget(): void {
    tf.dispose(this.all.splice(0));
  }
}
