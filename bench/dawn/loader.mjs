// Owns where modules of the bundle's made-up address come from: its folder. Runs beside the page,
// in the thread that Node keeps for module hooks.

import { readFile } from "node:fs/promises";
import { join } from "node:path";

let origin = null;
let site = null;

export async function initialize(data) {
  ({ origin, site } = data);
}

export async function resolve(specifier, context, next) {
  const inside = specifier.startsWith(origin)
    || (specifier.startsWith(".") && context.parentURL?.startsWith(origin));
  return inside
    ? { url: new URL(specifier, context.parentURL).href, shortCircuit: true }
    : next(specifier, context);
}

export async function load(url, context, next) {
  if (!url.startsWith(origin)) {
    return next(url, context);
  }
  const source = await readFile(join(site, decodeURIComponent(new URL(url).pathname)), "utf8");
  return { format: "module", source, shortCircuit: true };
}
