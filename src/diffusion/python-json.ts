/** JSON as Python's `json` module writes it: `Infinity`, `-Infinity` and `NaN` are bare words there (diffusers uses them). */

const MARK = '\u0000number:';
const TOKENS = /"(?:[^"\\]|\\.)*"|-?Infinity|NaN/g;

/** Parses JSON, also with the bare words. Throws `SyntaxError` as `JSON.parse` does. */
export function parsePythonJson(text: string): any {
  const marked = text.replace(TOKENS, token => (token.startsWith('"') ? token : JSON.stringify(MARK + token)));
  return JSON.parse(marked, (_, value) =>
    typeof value === 'string' && value.startsWith(MARK) ? Number(value.slice(MARK.length)) : value,
  );
}

/** Writes JSON with two spaces of indent; numbers that are not finite become the bare words. */
export function stringifyPythonJson(value: unknown): string {
  const marked = JSON.stringify(
    value,
    (_, entry) => (typeof entry === 'number' && !Number.isFinite(entry) ? MARK + entry : entry),
    2,
  );
  return marked.replace(/"\\u0000number:(-?Infinity|NaN)"/g, '$1');
}
