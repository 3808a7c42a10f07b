// Compares src/api/types.ts with the OpenAPI document that weir-api generates: every interface and every list of words
// there that has a schema's name must have its members, and none beside. Of what is sent the page need not know every
// member.
//
//   node scripts/drift.mjs [../control/api/openapi.json]

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import ts from "typescript";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));
const document = JSON.parse(readFileSync(process.argv[2] ?? at("../../control/api/openapi.json"), "utf8"));
const schemas = document.components.schemas;
const source = ts.createSourceFile("types.ts", readFileSync(at("../src/api/types.ts"), "utf8"), ts.ScriptTarget.ES2022, true);

const faults = [];
let compared = 0;

function compare(name, ours, theirs, what) {
  compared += 1;
  for (const one of ours) if (!theirs.has(one)) faults.push(`${name}: ${what} ${one} is not in the document`);
  const sent = /(Input|Patch)$/.test(name);
  for (const one of theirs) if (!sent && !ours.has(one)) faults.push(`${name}: ${what} ${one} of the document is missing`);
}

const wordsOf = (type) => (ts.isUnionTypeNode(type) ? type.types : [type]).filter(ts.isLiteralTypeNode).map((literal) => literal.literal.text);

source.forEachChild((node) => {
  const name = node.name?.text;
  const schema = name && schemas[name];
  if (ts.isInterfaceDeclaration(node) && schema?.properties) {
    compare(name, new Set(node.members.map((member) => member.name.text)), new Set(Object.keys(schema.properties)), "member");
    for (const member of node.members) {
      const told = schema.properties[member.name.text];
      const words = wordsOf(member.type);
      const listed = told?.enum ?? schemas[told?.$ref?.split("/").pop()]?.enum;
      if (words.length > 1 && listed) compare(`${name}.${member.name.text}`, new Set(words), new Set(listed), "word");
    }
  }
  if (ts.isTypeAliasDeclaration(node) && schema?.enum) compare(name, new Set(wordsOf(node.type)), new Set(schema.enum), "word");
});

for (const fault of faults) console.error(fault);
console.log(`${compared} types compared, ${faults.length} differ`);
// A document that was moved or renamed must not pass as one that agrees.
process.exit(faults.length > 0 || compared < 40 ? 1 : 0);
