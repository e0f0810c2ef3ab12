/** Stands in for `expo-secure-store`, with its rules for keys and sizes, and a moment to be killed at. */

/** The app was killed: nothing of it runs on. */
export class Killed extends Error {
  override name = 'Killed';
}

export class FakeSecureStore {
  readonly AFTER_FIRST_UNLOCK = 4;
  readonly items = new Map<string, string>();
  readonly seenOptions: unknown[] = [];
  /** What reading an item throws. */
  failing = new Map<string, Error>();
  /** So many changes are made before the app is killed. */
  changesLeft = Number.POSITIVE_INFINITY;
  changes = 0;

  async getItemAsync(key: string, options: unknown): Promise<string | null> {
    this.#check(key, options);
    const error = this.failing.get(key);
    if (error !== undefined) throw error;
    return this.items.get(key) ?? null;
  }

  async setItemAsync(key: string, value: string, options: unknown): Promise<void> {
    this.#check(key, options);
    const bytes = encodeURIComponent(value).replace(/%../g, '.').length;
    if (bytes > 2_048) throw new Error(`an item of ${bytes} bytes`);
    this.#change();
    this.items.set(key, value);
    this.failing.delete(key);
  }

  async deleteItemAsync(key: string, options: unknown): Promise<void> {
    this.#check(key, options);
    this.#change();
    this.items.delete(key);
  }

  #check(key: string, options: unknown): void {
    if (!/^[\w.-]+$/.test(key)) throw new Error(`Invalid key provided to SecureStore: ${key}`);
    this.seenOptions.push(options);
  }

  #change(): void {
    if (this.changesLeft === 0) throw new Killed();
    this.changesLeft -= 1;
    this.changes += 1;
  }
}

/** Stands in for AsyncStorage. */
export class FakeAsyncStorage {
  readonly items = new Map<string, string>();

  async getItem(key: string): Promise<string | null> {
    return this.items.get(key) ?? null;
  }

  async setItem(key: string, value: string): Promise<void> {
    this.items.set(key, value);
  }

  async removeItem(key: string): Promise<void> {
    this.items.delete(key);
  }
}
