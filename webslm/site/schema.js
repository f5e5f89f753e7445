// Owns the fields of a structured answer: from rows of a form to a JSON Schema and back.

/**
 * A field of an answer.
 * @typedef {{ name: string, kind: Kind, choices: string[] }} Field
 * @typedef {"text" | "number" | "boolean" | "choice"} Kind
 */

const LONGEST_TEXT = 200;
/** @type {Record<Kind, { label: string, schema: (field: Field) => object }>} */
export const KINDS = {
  text: { label: "Text", schema: () => ({ type: "string", maxLength: LONGEST_TEXT }) },
  number: { label: "Whole number", schema: () => ({ type: "integer" }) },
  boolean: { label: "Yes or no", schema: () => ({ type: "boolean" }) },
  choice: { label: "One of", schema: ({ choices }) => ({ type: "string", enum: choices }) },
};
export const STARTER = {
  type: "object",
  properties: { answer: { type: "string", maxLength: LONGEST_TEXT }, certain: { type: "boolean" } },
  required: ["answer", "certain"],
  additionalProperties: false,
};

/** @param {Field[]} fields */
export function toSchema(fields) {
  return {
    type: "object",
    properties: Object.fromEntries(fields.map((one) => [one.name, KINDS[one.kind].schema(one)])),
    required: fields.map(({ name }) => name),
    additionalProperties: false,
  };
}

/** @type {Record<string, Kind>} */
const KIND_OF_TYPE = { string: "text", integer: "number", boolean: "boolean" };

/**
 * Returns the fields of a schema that the form can show; null for any other schema.
 * @param {any} schema
 * @returns {Field[] | null}
 */
export function toFields(schema) {
  const fields = Object.entries(schema?.properties ?? {}).map(([name, { type, enum: choices }]) => {
    const kind = choices ? "choice" : KIND_OF_TYPE[type];
    return { name, kind, choices: choices ?? [] };
  });
  return fields.length > 0 && fields.every(({ kind }) => kind) ? fields : null;
}

/**
 * Returns a sentence about what is wrong with a schema's text, or "".
 * @param {string} text
 */
export function complaint(text) {
  let schema;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    return `This is not JSON: ${/** @type {Error} */ (error).message}`;
  }
  if (typeof schema !== "object" || schema === null || schema.type !== "object") {
    return "The schema must describe an object: \"type\": \"object\".";
  }
  return Object.keys(schema.properties ?? {}).length === 0 ? "The schema has no properties." : "";
}
