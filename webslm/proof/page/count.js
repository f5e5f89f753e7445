// Evaluated inside the page's worker: counts what a token costs, at each piece of an answer, and
// says when there were as many pieces as somebody wants.
(() => {
  /** @type {{ dispatches: number, submits: number, marks: [number, number][], most: number }} */
  const counts = { dispatches: 0, submits: 0, marks: [], most: Infinity };
  /** @type {(target: any, name: string, key: "dispatches" | "submits") => void} */
  const wrap = (target, name, key) => {
    const original = target[name];
    target[name] = function counted(/** @type {unknown[]} */ ...words) {
      counts[key] += 1;
      return original.apply(this, words);
    };
  };
  wrap(GPUComputePassEncoder.prototype, "dispatchWorkgroups", "dispatches");
  wrap(GPUQueue.prototype, "submit", "submits");
  /** @type {any} */
  const worker = self;
  const post = worker.postMessage;
  worker.postMessage = function marked(/** @type {any} */ message, /** @type {unknown[]} */ ...words) {
    if (message?.content?.object === "chat.completion.chunk") {
      counts.marks.push([counts.dispatches, counts.submits]);
      if (counts.marks.length === counts.most) {
        new BroadcastChannel("webslm-pieces").postMessage(counts.most);
      }
    }
    return post.call(worker, message, ...words);
  };
  worker.webslmCounts = counts;
})();
