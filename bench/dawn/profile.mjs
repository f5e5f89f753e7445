// Owns the time that each kernel takes on the GPU: timestamps around every compute pass.
// web-llm puts one dispatch into a pass, so a pass is a kernel.

const MAX_PASSES = 2048;
const BYTES = 8;

// Makes devices carry timestamps and pipelines carry names; call it before a model is loaded.
export function watchKernels({ GPUAdapter, GPUDevice, GPUCommandEncoder, GPUComputePassEncoder }) {
  const names = new WeakMap();
  const watch = { device: null, queries: null, passes: null };
  replace(GPUAdapter.prototype, "requestDevice", (original) => async function request(wanted = {}) {
    const extra = this.features.has("timestamp-query") ? ["timestamp-query"] : [];
    const requiredFeatures = [...(wanted.requiredFeatures ?? []), ...extra];
    watch.device = await original.call(this, { ...wanted, requiredFeatures });
    watch.queries = extra.length === 0
      ? null
      : watch.device.createQuerySet({ type: "timestamp", count: 2 * MAX_PASSES });
    return watch.device;
  });
  for (const name of ["createComputePipeline", "createComputePipelineAsync"]) {
    replace(GPUDevice.prototype, name, (original) => function create(wanted) {
      const made = original.call(this, wanted);
      const keep = (pipeline) => {
        names.set(pipeline, wanted.compute.entryPoint);
        return pipeline;
      };
      return made instanceof Promise ? made.then(keep) : keep(made);
    });
  }
  replace(GPUCommandEncoder.prototype, "beginComputePass", (original) => function begin(wanted = {}) {
    const { passes, queries } = watch;
    if (passes === null || passes.length === MAX_PASSES) {
      return original.call(this, wanted);
    }
    const first = 2 * passes.length;
    passes.push(null);
    const timestampWrites = {
      querySet: queries, beginningOfPassWriteIndex: first, endOfPassWriteIndex: first + 1,
    };
    return original.call(this, { ...wanted, timestampWrites });
  });
  replace(GPUComputePassEncoder.prototype, "setPipeline", (original) => function set(pipeline) {
    if (watch.passes !== null) {
      watch.passes[watch.passes.length - 1] = names.get(pipeline) ?? "unnamed";
    }
    return original.call(this, pipeline);
  });
  return watch;
}

// Runs `work` and returns { seconds, kernels: {name: {calls, microseconds}} } of its passes.
export async function profile(watch, work) {
  watch.passes = [];
  const began = performance.now();
  await work();
  const seconds = (performance.now() - began) / 1000;
  const { passes } = watch;
  watch.passes = null;
  const times = await readTimes(watch, 2 * passes.length);
  const kernels = {};
  passes.forEach((name, place) => {
    const entry = (kernels[name] ??= { calls: 0, microseconds: 0 });
    entry.calls += 1;
    entry.microseconds += Number(times[2 * place + 1] - times[2 * place]) / 1000;
  });
  return { seconds, kernels };
}

async function readTimes({ device, queries }, count) {
  const size = count * BYTES;
  const resolved = device.createBuffer({
    size, usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
  });
  const read = device.createBuffer({ size, usage: GPUBufferUsage.COPY_DST | GPUBufferUsage.MAP_READ });
  const encoder = device.createCommandEncoder();
  encoder.resolveQuerySet(queries, 0, count, resolved, 0);
  encoder.copyBufferToBuffer(resolved, 0, read, 0, size);
  device.queue.submit([encoder.finish()]);
  await read.mapAsync(GPUMapMode.READ);
  const times = new BigUint64Array(read.getMappedRange().slice(0));
  resolved.destroy();
  read.destroy();
  return times;
}

function replace(target, name, make) {
  target[name] = make(target[name]);
}
