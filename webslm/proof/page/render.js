// Evaluated inside the page: renders conversations with the page's own module.
async (/** @type {any[][]} */ conversations) => {
  const { app } = await (await fetch(new URL("manifest.json", document.URL))).json();
  const own = (/** @type {string} */ name) => import(new URL(`${app}${name}`, document.URL).href);
  const { readConfig } = await own("config.js");
  const { promptsOf } = await own("template.js");
  const { model } = await readConfig();
  /** @type {any} */
  let prompts;
  return Promise.all(conversations.map(async (messages) => {
    try {
      prompts ??= await promptsOf(model);
      return { text: prompts.render(messages) };
    } catch (error) {
      return { error: /** @type {any} */ (error).details ?? String(error) };
    }
  }));
}
