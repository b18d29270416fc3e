/** Spellings of parameters in old checkpoints, from when diffusers' autoencoder had an `AttentionBlock` of its own. */
const OLD: Readonly<Record<string, string>> = { query: 'to_q', key: 'to_k', value: 'to_v', proj_attn: 'to_out.0' };
const OLD_NAME = /^(.*\battentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)$/;

/** `…attentions.0.query.weight` -> `…attentions.0.to_q.weight`; other names stay. */
export function currentName(name: string): string {
  const match = OLD_NAME.exec(name);
  return match ? `${match[1]}.${OLD[match[2]!]}.${match[3]}` : name;
}
