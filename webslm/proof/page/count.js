// Evaluated inside the page's worker: counts what a token costs, at each piece of an answer, and
// says when there were as many pieces as somebody wants.
(() => {
  const counts = { dispatches: 0, submits: 0, marks: [], most: Infinity };
  const wrap = (target, name, key) => {
    const original = target[name];
    target[name] = function counted(...words) {
      counts[key] += 1;
      return original.apply(this, words);
    };
  };
  wrap(GPUComputePassEncoder.prototype, "dispatchWorkgroups", "dispatches");
  wrap(GPUQueue.prototype, "submit", "submits");
  const post = self.postMessage;
  self.postMessage = function marked(message, ...words) {
    if (message?.content?.object === "chat.completion.chunk") {
      counts.marks.push([counts.dispatches, counts.submits]);
      if (counts.marks.length === counts.most) {
        new BroadcastChannel("webslm-pieces").postMessage(counts.most);
      }
    }
    return post.call(self, message, ...words);
  };
  globalThis.webslmCounts = counts;
})();
