// Owns the conversations kept on this device, in IndexedDB under this page's own path.

import { SITE } from "./config.js";

/** @import { Turn } from "./prompt.js" */

/**
 * A conversation that this device keeps.
 * @typedef {{ id: string, title: string, changed: number, turns: Turn[] }} Conversation `changed`: in ms.
 */

const STORE = "conversations";
const NAME = `webslm ${new URL(SITE).pathname}`;

/** @returns {Promise<IDBDatabase>} */
function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("the store is blocked by another tab"));
  });
}

/**
 * @template Result
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<Result>} work
 * @returns {Promise<Result>}
 */
async function inStore(mode, work) {
  const database = await open();
  try {
    return await new Promise((resolve, reject) => {
      const transaction = database.transaction(STORE, mode);
      const request = work(transaction.objectStore(STORE));
      transaction.oncomplete = () => resolve(request.result);
      transaction.onerror = () => reject(transaction.error);
      transaction.onabort = () => reject(transaction.error);
    });
  } finally {
    database.close();
  }
}

/** @returns {Promise<Conversation[]>} All of them, the last one first. */
export async function readAll() {
  /** @type {Conversation[]} */
  const all = await inStore("readonly", (store) => store.getAll());
  return all.sort((left, right) => right.changed - left.changed);
}

/** @param {Conversation} conversation */
export async function keep(conversation) {
  await inStore("readwrite", (store) => store.put(conversation));
}

/** @param {string} id */
export async function erase(id) {
  await inStore("readwrite", (store) => store.delete(id));
}

export async function eraseAll() {
  await inStore("readwrite", (store) => store.clear());
}
