/** Recognises files that are not safetensors though they were given as such, and says what to do about each. */
import { basename } from 'node:path';
import { InputError } from '../../errors.js';

const PICKLE_EXTENSION = /\.(bin|pt|pth|ckpt|pkl|pickle)$/i;

/** True for file names that PyTorch's pickle format uses. */
export const isPickleName = (file: string) => PICKLE_EXTENSION.test(file);

/** Pickle files run code when loaded, so they are never opened: the message holds the command that converts one. */
export function pickleError(file: string): InputError {
  const out = `${file.replace(PICKLE_EXTENSION, '')}.safetensors`;
  const quote = (s: string) => JSON.stringify(s).replaceAll("'", "'\\''");
  const python =
    `import torch; from safetensors.torch import save_file; ` +
    `d = torch.load(${quote(file)}, map_location="cpu", weights_only=True); d = d.get("state_dict", d); ` +
    `save_file({k: v.contiguous().clone() for k, v in d.items()}, ${quote(out)}, metadata={"format": "pt"})`;
  return new InputError(
    `${file} is a PyTorch pickle, which can run code when loaded, so it is refused. ` +
      `Convert it once to safetensors:\n  python3 -c '${python}'`,
    { code: 'weights.pickle', file },
  );
}

/**
 * The error for a file whose first bytes tell what it is instead, or null when they do not. For files whose header did
 * not parse: bytes of a good file may look like any of these.
 * @param head the first bytes (200 tell everything)
 */
export function wrongKind(file: string, head: Uint8Array): InputError | null {
  const text = Buffer.from(head.subarray(0, 200)).toString('latin1');
  if (text.startsWith('version https://git-lfs')) {
    return new InputError(
      `${file} is a Git LFS pointer (a few lines of text), not the weights themselves. ` +
        `Fetch the content: run "git lfs install && git lfs pull" in the folder it was cloned to.`,
      { code: 'weights.lfs-pointer', file },
    );
  }
  if (/^\s*<(!doctype|html|head|\?xml)/i.test(text)) {
    return new InputError(
      `${file} is a web page, not weights: the download was answered with HTML (often a login or an error page). ` +
        `Download ${basename(file)} again, signed in where the model asks for it.`,
      { code: 'weights.html', file },
    );
  }
  // zip archives (torch.save since 1.6) and raw pickle protocols 2..5
  if (text.startsWith('PK\x03\x04') || (head[0] === 0x80 && head[1]! >= 2 && head[1]! <= 5)) {
    return pickleError(file);
  }
  return null;
}
