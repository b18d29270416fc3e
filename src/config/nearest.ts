/** "Did you mean": the known name closest to a mistyped one. Used for config keys, commands, options and files. */

/** Optimal string alignment distance: insertions, deletions, substitutions and swaps of neighbours cost 1 each. */
export function editDistance(a: string, b: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitute = last[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      let best = Math.min(substitute, last[j]! + 1, row[j - 1]! + 1);
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1])
        best = Math.min(best, beforeLast[j - 2]! + 1);
      row.push(best);
    }
    beforeLast = last;
    last = row;
  }
  return last[b.length]!;
}

/** Case and word separators do not count: `learning_rate`, `learning-rate` and `learningRate` are one name. */
function fold(name: string): string {
  return name.toLowerCase().replace(/[-_\s]/g, '');
}

/** Typing errors forgiven between two names: about a third of the longer one's letters. */
function tolerance(a: string, b: string): number {
  return Math.max(1, Math.floor(Math.max(a.length, b.length) / 3));
}

/** The candidate nearest to `word`, or undefined when none is near enough to be what was meant. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  const target = fold(word);
  let best: string | undefined;
  let bestDistance = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const name = fold(candidate);
    const distance = editDistance(target, name);
    if (distance <= tolerance(target, name) && distance < bestDistance) [best, bestDistance] = [candidate, distance];
  }
  return best;
}

/**
 * The dotted path nearest to `path` among `candidates`. The last name matters most: a key with the right name in the
 * wrong section (`learningRate` for `train.learningRate`) is found, a neighbour in the same section is preferred.
 */
export function nearestPath(path: string, candidates: Iterable<string>): string | undefined {
  const { leaf, parent } = splitPath(path);
  const target = fold(leaf);
  let best: string | undefined;
  let bestScore = Number.POSITIVE_INFINITY;
  for (const candidate of candidates) {
    const other = splitPath(candidate);
    const name = fold(other.leaf);
    const distance = editDistance(target, name);
    if (distance > tolerance(target, name)) continue;
    const score = distance * 10 + Math.min(9, editDistance(parent, other.parent));
    if (score < bestScore) [best, bestScore] = [candidate, score];
  }
  return best;
}

function splitPath(path: string): { leaf: string; parent: string } {
  const dot = path.lastIndexOf('.');
  return { leaf: path.slice(dot + 1), parent: path.slice(0, Math.max(0, dot)) };
}
