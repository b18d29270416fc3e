import { readFile } from 'node:fs/promises';
import { InputError } from '../errors.js';

/** The prompts of `--prompt` and of a file with a prompt a line (empty lines and # comments are skipped). */
export async function readPrompts(given: string[], file?: string): Promise<string[]> {
  let fromFile: string[] = [];
  if (file !== undefined) {
    const bytes = await readFile(file).catch(error => {
      throw new InputError(`--prompts ${JSON.stringify(file)}: ${(error as Error).message}`, {
        code: 'infer.prompts',
        file,
      });
    });
    if (bytes.includes(0)) {
      throw new InputError(
        `--prompts ${file} is no UTF-8 text (it holds zero bytes, as UTF-16 does): save it as UTF-8`,
        {
          code: 'infer.prompts',
          file,
        },
      );
    }
    fromFile = bytes
      .toString('utf8')
      .replace(/^\uFEFF/, '')
      .split(/\r?\n/)
      .map(line => line.trim())
      .filter(line => line && !line.startsWith('#'));
  }
  const prompts = [...given, ...fromFile];
  if (prompts.length === 0)
    throw new InputError('nothing to sample: give --prompt "…" or --prompts FILE', { code: 'infer.prompts' });
  return prompts;
}
