// Values of documents: as Firestore's REST interface writes them, as texts that
// people type, and as texts that people read.

import { split } from "./rest.js";

// types are all types of a value, in the order in which they are offered.
export const types = ["string", "integer", "double", "boolean", "timestamp", "null", "map", "array", "reference", "geopoint", "bytes", "vector"];

// hints say how a value of a type is typed.
export const hints = {
  string: "text", integer: "-2⁶³ to 2⁶³ - 1", double: "1.5, NaN, Infinity", timestamp: "2026-10-05T12:00:00Z", reference: "cities/lisbon",
  geopoint: "38.72, -9.14", bytes: "base64, such as aGk=", vector: "0.12, -0.4, 0.98",
};

// typeOf returns the type of a value in REST's form.
export function typeOf(v) {
  if ("mapValue" in v) return v.mapValue.fields?.__type__?.stringValue === "__vector__" ? "vector" : "map";
  return { geoPointValue: "geopoint" }[Object.keys(v)[0]] ?? Object.keys(v)[0].replace("Value", "");
}

const components = (v) => v.mapValue.fields.value?.arrayValue?.values ?? [];
const number = (n) => (Object.is(n, -0) ? "-0" : String(n));

// textOf returns what somebody would type to get the value; maps and arrays
// have none.
export function textOf(v, database) {
  switch (typeOf(v)) {
    case "null": case "map": case "array": return "";
    case "boolean": return String(v.booleanValue);
    case "integer": return String(v.integerValue);
    case "double": return number(v.doubleValue);
    case "geopoint": return `${number(v.geoPointValue.latitude ?? 0)}, ${number(v.geoPointValue.longitude ?? 0)}`;
    case "vector": return components(v).map((c) => c.integerValue ?? number(c.doubleValue)).join(", ");
    case "reference": {
      const [before, path] = split(v.referenceValue);
      return before === database ? path : v.referenceValue;
    }
  }
  return String(Object.values(v)[0]);
}

// shown returns a value on one line, cut if it is long.
export function shown(v, database, depth = 0) {
  let text;
  switch (typeOf(v)) {
    case "null": return "null";
    case "array":
      text = depth > 1 ? "[…]" : `[${(v.arrayValue.values ?? []).slice(0, 12).map((e) => shown(e, database, depth + 1)).join(", ")}]`;
      break;
    case "map":
      text = depth > 1 ? "{…}" : `{${Object.entries(v.mapValue.fields ?? {}).slice(0, 12).map(([k, e]) => `${k}: ${shown(e, database, depth + 1)}`).join(", ")}}`;
      break;
    case "vector": text = `[${textOf(v)}]`; break;
    default: text = textOf(v, database);
  }
  return text.length > 160 ? `${[...text].slice(0, 159).join("")}…` : text;
}

// Mistake is what somebody typed wrong.
export class Mistake extends Error {}

const isTime = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)$/i;
const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

function double(text) {
  const t = text.trim();
  if (/^nan$/i.test(t)) return "NaN";
  if (/^[+]?infinity$/i.test(t)) return "Infinity";
  if (/^-infinity$/i.test(t)) return "-Infinity";
  if (!isNumber.test(t)) throw new Mistake(`“${t}” is no number`);
  const n = Number(t);
  if (!Number.isFinite(n)) throw new Mistake(`${t} is too large for a double`);
  return Object.is(n, -0) ? "-0" : n;
}

const doubles = (text) => (text.trim() === "" ? [] : text.split(",").map(double));

// parse makes a value of what somebody typed. It throws a Mistake.
export function parse(type, text, database) {
  const t = text.trim();
  switch (type) {
    case "string": return { stringValue: text };
    case "null": return { nullValue: null };
    case "boolean": return { booleanValue: t === "true" };
    case "double": return { doubleValue: double(t) };
    case "integer": {
      if (!/^[+-]?\d+$/.test(t)) throw new Mistake("an integer has digits alone, such as 42");
      const n = BigInt(t.replace("+", ""));
      if (n !== BigInt.asIntN(64, n)) throw new Mistake("an integer has 64 bits: up to 9223372036854775807");
      return { integerValue: String(n) };
    }
    case "timestamp":
      if (!isTime.test(t) || Number.isNaN(Date.parse(t))) throw new Mistake("a time has the form 2026-10-05T12:00:00Z");
      return { timestampValue: t.toUpperCase() };
    case "bytes":
      if (!/^([A-Za-z0-9+/]{4})*([A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/.test(t)) throw new Mistake("bytes are typed in base64, such as aGk=");
      return { bytesValue: t };
    case "reference": {
      const [before, path] = split(t);
      const ids = path.split("/");
      if (ids.length % 2 || ids.some((id) => !id)) throw new Mistake("a reference is the path of a document, such as cities/lisbon");
      return { referenceValue: before ? t : `${database}/documents/${path}` };
    }
    case "geopoint": {
      const [latitude, longitude, ...more] = doubles(t);
      if (!(Math.abs(Number(latitude)) <= 90 && Math.abs(Number(longitude)) <= 180) || more.length) {
        throw new Mistake("a geopoint is latitude (-90 to 90) and longitude (-180 to 180), such as 38.72, -9.14");
      }
      return { geoPointValue: { latitude, longitude } };
    }
    case "vector":
      return { mapValue: { fields: { __type__: { stringValue: "__vector__" }, value: { arrayValue: { values: doubles(t).map((doubleValue) => ({ doubleValue })) } } } } };
    case "map": return { mapValue: { fields: {} } };
    case "array": return { arrayValue: { values: [] } };
  }
  throw new Mistake(`there is no type ${type}`);
}

// guess makes the best of a text when its type is changed.
export function guess(type, text) {
  const t = text.trim();
  switch (type) {
    case "boolean": return /^(true|yes|1)$/i.test(t) ? "true" : "false";
    case "integer": return isNumber.test(t) && Number.isFinite(Number(t)) ? (/^[+-]?\d+$/.test(t) ? t : String(BigInt(Math.trunc(Number(t))))) : "0";
    case "double": return isNumber.test(t) ? t : "0";
    case "timestamp": return isTime.test(t) ? t : new Date().toISOString();
    case "geopoint": return /^[^,]+,[^,]+$/.test(t) ? t : "0, 0";
    case "null": case "map": case "array": return "";
  }
  return text;
}
