// Owns the conversations kept on this device, in IndexedDB under this page's own path.

import { SITE } from "./config.js";

const STORE = "conversations";
const NAME = `webslm ${new URL(SITE).pathname}`;

function open() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error("the store is blocked by another tab"));
  });
}

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

// All conversations, the last one first: { id, title, changed, turns }.
export async function readAll() {
  const all = await inStore("readonly", (store) => store.getAll());
  return all.sort((left, right) => right.changed - left.changed);
}

export async function keep(conversation) {
  await inStore("readwrite", (store) => store.put(conversation));
}

export async function erase(id) {
  await inStore("readwrite", (store) => store.delete(id));
}

export async function eraseAll() {
  await inStore("readwrite", (store) => store.clear());
}
