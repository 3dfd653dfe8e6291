// firebase/firestore/lite, the client for browsers that needs no connection of
// its own.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { deleteApp, initializeApp } from 'firebase/app';
import {
  Bytes, GeoPoint, Timestamp, arrayRemove, arrayUnion, average, collection, collectionGroup, connectFirestoreEmulator, deleteDoc,
  deleteField, doc, getAggregate, getCount, getDoc, getDocs, getFirestore, increment, limit, or, orderBy, query, runTransaction,
  serverTimestamp, setDoc, startAfter, sum, updateDoc, vector, where, writeBatch,
} from 'firebase/firestore/lite';
import { refused } from './common.mjs';

const app = initializeApp({ projectId: 'lite', apiKey: 'a key', appId: 'an app' });
const db = getFirestore(app);
const [host, port] = process.env.FIRESTORE_EMULATOR_HOST.split(':');
// Without a time of issue the client makes a token that expired in 1970.
connectFirestoreEmulator(db, host, Number(port), { mockUserToken: { sub: 'somebody', iat: Math.floor(Date.now() / 1000) } });
after(() => deleteApp(app));

test('every type of value comes back as it was', async () => {
  const ref = doc(db, 'types/all');
  const value = {
    null: null, true: true, false: false,
    zero: 0, minusZero: -0, int: 9007199254740991, negative: -1, double: 1.5, tiny: 5e-324, huge: Number.MAX_VALUE,
    nan: NaN, infinity: Infinity, minusInfinity: -Infinity,
    empty: '', text: 'grüße 🪸 \u0000 "quoted" \\',
    bytes: Bytes.fromUint8Array(new Uint8Array([0, 1, 254, 255])),
    time: new Timestamp(1_700_000_000, 123_456_000), early: new Timestamp(-62135596800, 0), late: new Timestamp(253402300799, 999_999_000),
    geo: new GeoPoint(-89.5, 179.25),
    list: [1, 'two', null, { three: [3] }], noList: [],
    map: { 'a.b': { '`c`': { 'd\\e': 1 } }, verify: 'a field' }, noMap: {},
    vector: vector([1, -2.5, 3e10]),
  };
  await setDoc(ref, { ...value, ref: doc(db, 'types/other') });
  const got = (await getDoc(ref)).data();
  assert.equal(got.ref.path, 'types/other');
  for (const [name, want] of Object.entries(value)) {
    if (want?.isEqual) assert.ok(want.isEqual(got[name]), name);
    else assert.deepEqual(got[name], want, name);
  }
});

test('ids of all kinds', async () => {
  for (const id of ['a b', 'a:b', 'x:commit', '50%', 'grüße', '?#&=+', '%2F', '{}[]', '🪸', "'\"", 'a.b~c', ';']) {
    const ref = doc(db, 'ids:runQuery', id);
    await setDoc(ref, { id });
    assert.equal((await getDoc(ref)).get('id'), id);
    await deleteDoc(ref);
    assert.equal((await getDoc(ref)).exists(), false, id);
  }
});

test('writes and their conditions', async () => {
  const ref = doc(db, 'writes/a');
  await setDoc(ref, { n: 1, gone: true, nested: { a: 1, b: 2 } });
  await updateDoc(ref, { n: increment(2), gone: deleteField(), 'nested.a': 5, tags: arrayUnion('x', 'y'), at: serverTimestamp() });
  await updateDoc(ref, { tags: arrayRemove('x') });
  await setDoc(ref, { m: 1 }, { merge: true });
  const got = (await getDoc(ref)).data();
  assert.ok(got.at instanceof Timestamp);
  assert.deepEqual({ ...got, at: null }, { n: 3, m: 1, nested: { a: 5, b: 2 }, tags: ['y'], at: null });
  await refused(updateDoc(doc(db, 'writes/none'), { n: 0 }), 'not-found');
  // The client takes every HTTP status 400 for a failed precondition.
  await refused(setDoc(doc(db, 'writes/__reserved__'), {}), 'failed-precondition');
});

test('a batch is written whole or not at all', async () => {
  const batch = writeBatch(db);
  for (let i = 0; i < 100; i++) batch.set(doc(db, 'batch', String(i)), { i });
  await batch.commit();
  const bad = writeBatch(db);
  bad.delete(doc(db, 'batch/0'));
  bad.update(doc(db, 'batch/none'), { i: -1 });
  await refused(bad.commit(), 'not-found');
  assert.equal((await getDoc(doc(db, 'batch/0'))).get('i'), 0);
});

test('queries and their pages', async () => {
  const all = collection(db, 'queries');
  const batch = writeBatch(db);
  for (let i = 0; i < 50; i++) batch.set(doc(all, String(i)), { i, even: i % 2 === 0, tags: [`t${i % 5}`] });
  batch.set(doc(db, 'queries/1/below/x'), { i: 1000 });
  await batch.commit();
  const found = async (...parts) => (await getDocs(query(all, ...parts))).docs.map((d) => d.get('i'));
  assert.deepEqual(await found(where('i', '>=', 45), orderBy('i', 'desc')), [49, 48, 47, 46, 45]);
  assert.deepEqual(await found(where('even', '==', true), where('i', '<', 6)), [0, 2, 4]);
  assert.deepEqual(await found(where('tags', 'array-contains', 't3'), orderBy('i'), limit(3)), [3, 8, 13]);
  assert.deepEqual(await found(or(where('i', '==', 7), where('i', 'in', [9, 11])), orderBy('i')), [7, 9, 11]);
  assert.equal((await getDocs(collectionGroup(db, 'below'))).docs[0].ref.path, 'queries/1/below/x');
  const seen = [];
  for (let last; ;) {
    const page = await getDocs(query(all, orderBy('i'), limit(20), ...(last ? [startAfter(last)] : [])));
    if (page.empty) break;
    last = page.docs.at(-1);
    seen.push(...page.docs.map((d) => d.get('i')));
  }
  assert.deepEqual(seen, [...Array(50).keys()]);
});

test('aggregations', async () => {
  const all = collection(db, 'queries');
  assert.equal((await getCount(query(all, where('i', '<', 10)))).data().count, 10);
  assert.deepEqual((await getAggregate(all, { sum: sum('i'), mean: average('i') })).data(), { sum: 1225, mean: 24.5 });
});

test('transactions that meet are repeated', async () => {
  const ref = doc(db, 'transactions/counter');
  const guard = doc(db, 'transactions/guard');
  await setDoc(ref, { n: 0 });
  await setDoc(guard, {});
  const add = () => runTransaction(db, async (tx) => {
    const n = (await tx.get(ref)).get('n');
    await tx.get(guard); // which is read and not written: a verify
    tx.update(ref, { n: n + 1 });
  }, { maxAttempts: 50 });
  await Promise.all(Array.from({ length: 5 }, add));
  assert.equal((await getDoc(ref)).get('n'), 5);
});
