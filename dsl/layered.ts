/** A map over another: inner scopes see outer ones without copies of them. */
export class Layered<T> {
  readonly #outer: Layered<T> | null;
  readonly #own: Map<string, T>;

  constructor(outer: Layered<T> | null, own: Iterable<readonly [string, T]> = []) {
    this.#outer = outer;
    this.#own = new Map(own);
  }

  get(key: string): T | undefined {
    return this.#own.get(key) ?? this.#outer?.get(key);
  }

  has(key: string): boolean {
    return this.#own.has(key) || (this.#outer?.has(key) ?? false);
  }

  set(key: string, value: T): void {
    this.#own.set(key, value);
  }

  *keys(): Iterable<string> {
    yield* this.#own.keys();
    if (this.#outer !== null) yield* this.#outer.keys();
  }
}
