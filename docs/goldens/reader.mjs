// Reads goldens: a case of the manifest, and any of its arrays as numbers.
import { readFileSync } from "node:fs";

export function readCase(folder, id) {
  const { cases } = JSON.parse(readFileSync(`${folder}/manifest.json`, "utf8"));
  const found = cases.find((one) => one.id === id);
  if (!found) throw new Error(`${id}: no case in ${folder}/manifest.json`);
  return found;
}

// By dtype: the bytes of a number, and how it is read at a place; all are little-endian.
const NUMBERS = new Map([
  ["float64", [8, (view, at) => view.getFloat64(at, true)]],
  ["float32", [4, (view, at) => view.getFloat32(at, true)]],
  ["int64", [8, (view, at) => Number(view.getBigInt64(at, true))]], // positions are below 2**53
]);

// An array of a section: of `arguments` or of `expected`.
export function readArray(folder, section, name) {
  if (!section[name]) throw new Error(`${name}: expected one of ${Object.keys(section)}`);
  const { file, offset, dtype, shape } = section[name];
  const kinds = [...NUMBERS.keys()].join(", ");
  if (!NUMBERS.has(dtype)) throw new Error(`${name}: expected ${kinds}; got ${dtype}`);
  const [size, number] = NUMBERS.get(dtype);
  const count = shape.reduce((product, axis) => product * axis, 1);
  const { buffer, byteOffset, byteLength } = readFileSync(`${folder}/${file}`);
  if (!(offset + count * size <= byteLength)) throw new Error(`${file}: too short for ${name}`);
  const view = new DataView(buffer, byteOffset, byteLength);
  return Array.from({ length: count }, (_, i) => number(view, offset + i * size));
}
