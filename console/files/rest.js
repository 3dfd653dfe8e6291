// Documents by Firestore's REST interface, as the node's own door to it under
// /data has it: https://firebase.google.com/docs/firestore/reference/rest.

import { Failure, post } from "./dom.js";

const encoded = (path) => path.split("/").map(encodeURIComponent).join("/");

// address returns where a method of a document, or of all of a database, is.
export function address(database, path, method) {
  return `/data/v1/${encoded(database)}/documents${path ? `/${encoded(path)}` : ""}:${method}`;
}

export const nameOf = (database, path) => `${database}/documents/${path}`;

// split parts a document's full name into database and path.
export function split(name) {
  const at = name.indexOf("/documents/");
  return at < 0 ? ["", name] : [name.slice(0, at), name.slice(at + "/documents/".length)];
}

// read returns a document, now or at a time, or null if there is none.
export async function read(database, path, readTime) {
  const answers = await post(address(database, "", "batchGet"), { documents: [nameOf(database, path)], readTime });
  return answers[0]?.found ?? null;
}

// put writes all fields of a document on a condition, and returns its update
// time. The condition is {updateTime} or {exists}.
export async function put(database, path, fields, currentDocument) {
  const answer = await post(address(database, "", "commit"), { writes: [{ update: { name: nameOf(database, path), fields }, currentDocument }] });
  return answer.writeResults?.[0]?.updateTime ?? answer.commitTime;
}

// remove deletes a document that was not changed since a time, and returns when
// it was deleted.
export async function remove(database, path, updateTime) {
  const answer = await post(address(database, "", "commit"), { writes: [{ delete: nameOf(database, path), currentDocument: { updateTime } }] });
  return answer.commitTime;
}

// run runs a query. It returns the documents that were found, the time at which
// was read, and what explain tells.
export async function run(database, parent, structuredQuery, { analyze = true, readTime } = {}) {
  const answers = await post(address(database, parent, "runQuery"), { structuredQuery, readTime, explainOptions: { analyze } });
  return {
    documents: answers.filter((a) => a.document).map((a) => a.document),
    time: answers.at(-1)?.readTime,
    explain: answers.findLast((a) => a.explainMetrics)?.explainMetrics ?? {},
  };
}

// tally counts what a query finds.
export async function tally(database, parent, structuredQuery, readTime) {
  const answers = await post(address(database, parent, "runAggregationQuery"),
    { structuredAggregationQuery: { structuredQuery, aggregations: [{ alias: "n", count: {} }] }, readTime, explainOptions: { analyze: true } });
  return {
    count: Number(answers.find((a) => a.result)?.result.aggregateFields.n.integerValue ?? 0),
    explain: answers.findLast((a) => a.explainMetrics)?.explainMetrics ?? {},
  };
}

// isConflict reports whether a write failed because the document is another
// than its writer believed.
export const isConflict = (e) => e instanceof Failure && ["FAILED_PRECONDITION", "ALREADY_EXISTS", "NOT_FOUND", "ABORTED"].includes(e.kind);

// sameTime compares two times in RFC 3339, however many digits they have.
export const sameTime = (a, b) => digits(a) === digits(b);
const digits = (time) => (time ?? "").replace(/(\.\d*?)0*Z$/, "$1").replace(/\.?Z?$/, "");

// justBefore returns the time a microsecond before another.
export function justBefore(time) {
  const fraction = (/\.(\d+)/.exec(time)?.[1] ?? "").padEnd(6, "0").slice(0, 6);
  const micros = BigInt(Date.parse(time.replace(/\.\d+/, ""))) * 1000n + BigInt(fraction) - 1n;
  return `${new Date(Number(micros / 1000000n) * 1000).toISOString().slice(0, 19)}.${String(micros % 1000000n).padStart(6, "0")}Z`;
}

// randomID returns an id as Google's clients make them.
export function randomID() {
  const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
  let id = "";
  while (id.length < 20) {
    for (const byte of crypto.getRandomValues(new Uint8Array(40))) {
      if (byte < letters.length * 4 && id.length < 20) id += letters[byte % letters.length];
    }
  }
  return id;
}
