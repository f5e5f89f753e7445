// Owns the page's configuration: reads webslm.json and makes every URL absolute.
// web-llm resolves nothing against the page, so a site under any sub-path needs this.

const BASE = document.baseURI;

export async function readConfig() {
  const response = await fetch(new URL("webslm.json", BASE), { cache: "no-cache" });
  if (!response.ok) {
    throw new Error(`webslm.json: the server answered ${response.status}`);
  }
  const config = await response.json();
  locate(config.model);
  if (config.base) {
    locate(config.base);
  }
  return config;
}

// What one mode needs, read when it is opened: a file of the folder facts.
export async function readFacts(name) {
  const response = await fetch(new URL(`facts/${name}.json`, BASE), { cache: "no-cache" });
  if (!response.ok) {
    throw new Error(`facts/${name}.json: the server answered ${response.status}`);
  }
  return response.json();
}

function locate(model) {
  model.url = new URL(model.url, BASE).href;
  model.lib = new URL(model.lib, BASE).href;
  model.files = model.files.map((file) => ({ ...file, url: new URL(file.path, model.url).href }));
  model.bytes = model.files.reduce((sum, file) => sum + file.bytes, 0);
}

// The record that web-llm's engine looks up by model_id.
export function appConfig(model) {
  return {
    cacheBackend: "cache",
    model_list: [
      {
        model: model.url,
        model_id: model.id,
        model_lib: model.lib,
        required_features: model.required_features,
        integrity: { ...model.integrity, onFailure: "error" },
      },
    ],
  };
}

export function readableBytes(bytes) {
  const units = ["B", "kB", "MB", "GB"];
  let unit = 0;
  let value = bytes;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value.toFixed(value < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}
