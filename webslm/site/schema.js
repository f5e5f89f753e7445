// Owns the fields of a structured answer: from rows of a form to a JSON Schema and back.

const LONGEST_TEXT = 200;
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

// fields: [{ name, kind, choices }]
export function toSchema(fields) {
  return {
    type: "object",
    properties: Object.fromEntries(fields.map((one) => [one.name, KINDS[one.kind].schema(one)])),
    required: fields.map(({ name }) => name),
    additionalProperties: false,
  };
}

// Returns the fields of a schema that the form can show; null for any other schema.
export function toFields(schema) {
  const fields = Object.entries(schema?.properties ?? {}).map(([name, { type, enum: choices }]) => {
    const kind = choices ? "choice" : { string: "text", integer: "number", boolean: "boolean" }[type];
    return { name, kind, choices: choices ?? [] };
  });
  return fields.length > 0 && fields.every(({ kind }) => kind) ? fields : null;
}

// Returns a sentence about what is wrong with a schema's text, or "".
export function complaint(text) {
  let schema;
  try {
    schema = JSON.parse(text);
  } catch (error) {
    return `This is not JSON: ${error.message}`;
  }
  if (typeof schema !== "object" || schema === null || schema.type !== "object") {
    return "The schema must describe an object: \"type\": \"object\".";
  }
  return Object.keys(schema.properties ?? {}).length === 0 ? "The schema has no properties." : "";
}
