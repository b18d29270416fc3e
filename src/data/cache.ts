/** A least-recently-used cache of byte arrays with a budget in bytes. */
export class ByteCache<K, V> {
  readonly maxBytes: number;
  private readonly items = new Map<K, { value: V; bytes: number }>();
  private used = 0;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  /** Bytes held now; never above `maxBytes`. */
  get bytes(): number {
    return this.used;
  }

  get size(): number {
    return this.items.size;
  }

  get(key: K): V | undefined {
    const item = this.items.get(key);
    if (!item) return undefined;
    // A Map iterates in insertion order: putting the item back makes it the newest.
    this.items.delete(key);
    this.items.set(key, item);
    return item.value;
  }

  /** Keeps the value unless it alone is above the budget; drops the oldest ones to make room. */
  set(key: K, value: V, bytes: number): void {
    this.delete(key);
    if (bytes > this.maxBytes) return;
    for (const oldest of this.items.keys()) {
      if (this.used + bytes <= this.maxBytes) break;
      this.delete(oldest);
    }
    this.items.set(key, { value, bytes });
    this.used += bytes;
  }

  delete(key: K): void {
    const item = this.items.get(key);
    if (!item) return;
    this.items.delete(key);
    this.used -= item.bytes;
  }

  clear(): void {
    this.items.clear();
    this.used = 0;
  }
}
