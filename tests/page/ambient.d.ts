// What the page's modules find that no module of theirs declares.

/** The line that the bundle stage writes before sw.js. */
declare const BUILD: {
  id: string;
  files: Record<string, { sha256: string }>;
  headers: Record<string, string>;
};

// TypeScript's types of a service worker and of a page exclude each other; this is what sw.js uses.
interface ExtendableEvent extends Event {
  waitUntil(work: Promise<unknown>): void;
}
interface FetchEvent extends ExtendableEvent {
  readonly request: Request;
  respondWith(response: Promise<Response>): void;
}
interface ServiceWorkerScope {
  readonly registration: ServiceWorkerRegistration;
  readonly clients: { claim(): Promise<void> };
  skipWaiting(): Promise<void>;
  addEventListener(name: "install" | "activate", listener: (event: ExtendableEvent) => void): void;
  addEventListener(name: "fetch", listener: (event: FetchEvent) => void): void;
}

// Node's, for the tests beside this file.
declare module "node:test" {
  export function test(name: string, run: () => unknown): void;
}
declare module "node:assert/strict" {
  const assert: {
    equal(actual: unknown, expected: unknown, message?: string): void;
    deepEqual(actual: unknown, expected: unknown, message?: string): void;
    ok(value: unknown, message?: string): void;
    match(text: string, pattern: RegExp): void;
    throws(run: () => unknown, expected?: (error: any) => boolean): void;
  };
  export default assert;
}
