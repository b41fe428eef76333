// Reads {name: source} as JSON from standard input and writes {name: tree}. A
// node of a tree is {type, line, field?, text?, bad?, children?}.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { Language, Parser } from "web-tree-sitter";

await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(fileURLToPath(import.meta.resolve("tree-sitter-bicep/tree-sitter-bicep.wasm"))));

const comments = new Set(["comment", "diagnostic_comment"]);

function tree(node, source, field) {
  const out = { type: node.type, line: node.startPosition.row + 1 };
  if (field) out.field = field;
  if (node.isError || node.isMissing) out.bad = true;
  if (node.type === "string" && node.isNamed) { // not the type of that name
    out.children = pieces(node, source);
  } else if (node.childCount === 0) {
    out.text = node.text;
  } else {
    out.children = [];
    for (let i = 0; i < node.childCount; i++) {
      const child = node.child(i);
      if (!comments.has(child.type)) out.children.push(tree(child, source, node.fieldNameForChild(i)));
    }
  }
  return out;
}

// The grammar hides some escapes and all leading white space of a string, so its
// texts are cut out of the source, between the quotes and the interpolations.
function pieces(node, source) {
  const quote = source.startsWith("'''", node.startIndex) ? 3 : 1;
  const out = [];
  let from = node.startIndex + quote;
  const text = (to) => {
    if (to > from) out.push({ type: quote === 3 ? "verbatim" : "text", line: node.startPosition.row + 1, text: source.slice(from, to) });
  };
  for (const child of node.namedChildren) {
    if (child.type === "interpolation") {
      text(child.startIndex);
      out.push(tree(child, source));
      from = child.endIndex;
    } else if (child.isError || child.isMissing) {
      out.push(tree(child, source));
    }
  }
  text(node.endIndex - quote);
  return out;
}

const trees = {};
for (const [name, source] of Object.entries(JSON.parse(readFileSync(0, "utf8")))) {
  const parsed = parser.parse(source);
  trees[name] = tree(parsed.rootNode, source);
  parsed.delete();
}
process.stdout.write(JSON.stringify(trees));
