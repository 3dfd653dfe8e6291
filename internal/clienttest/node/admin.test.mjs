// @google-cloud/firestore, the client for servers, in its REST mode.

import assert from 'node:assert/strict';
import { after, test } from 'node:test';
import { FieldValue, Firestore, GeoPoint, Timestamp } from '@google-cloud/firestore';
import { PassThroughClient } from 'google-auth-library';
import { refused } from './common.mjs';

// In this mode the client would sign in with Google even where it knows that it
// talks to an emulator; this leaves its "Bearer owner" as it is.
const db = new Firestore({ projectId: 'admin-rest', preferRest: true, authClient: new PassThroughClient() });
after(() => db.terminate());

// Codes of google.rpc.Code, as the client shows them.
const INVALID_ARGUMENT = 3;
const NOT_FOUND = 5;
const ALREADY_EXISTS = 6;
const FAILED_PRECONDITION = 9;

test('every type of value comes back as it was', async () => {
  const ref = db.doc('types/all');
  const value = {
    null: null, true: true, false: false,
    zero: 0, int: 9007199254740991, negative: -1, double: 1.5, tiny: 5e-324, huge: Number.MAX_VALUE,
    nan: NaN, infinity: Infinity, minusInfinity: -Infinity,
    empty: '', text: 'grüße 🪸 \u0000 "quoted" \\', long: 'x'.repeat(100_000),
    bytes: Buffer.from([0, 1, 254, 255]), noBytes: Buffer.alloc(0),
    time: new Timestamp(1_700_000_000, 123_456_000), early: new Timestamp(-62135596800, 0), late: new Timestamp(253402300799, 999_999_000),
    geo: new GeoPoint(-89.5, 179.25),
    ref: db.doc('types/other'),
    list: [1, 'two', null, { three: [3] }], noList: [],
    map: { 'a.b': { '`c`': { 'd\\e': 1 } }, verify: 'a field' }, noMap: {},
    vector: FieldValue.vector([1, -2.5, 3e10]),
  };
  await ref.set(value);
  const got = (await ref.get()).data();
  assert.deepEqual(Object.keys(got).sort(), Object.keys(value).sort());
  for (const [name, want] of Object.entries(value)) {
    if (want?.isEqual) assert.ok(want.isEqual(got[name]), name);
    else assert.deepEqual(got[name], want, name);
  }
});

test('ids of all kinds', async () => {
  for (const id of ['a b', 'a:b', 'x:commit', '50%', 'grüße', '?#&=+', '%2F', '{}[]', '🪸', "'\"", 'a.b~c', ';']) {
    const ref = db.collection('ids:runQuery').doc(id);
    await ref.set({ id });
    assert.equal((await ref.get()).get('id'), id);
    await ref.delete();
    assert.equal((await ref.get()).exists, false, id);
  }
});

test('writes and their conditions', async () => {
  const ref = db.doc('writes/a');
  await ref.delete();
  const created = await ref.create({ n: 1, gone: true, nested: { a: 1, b: 2 } });
  await refused(ref.create({}), ALREADY_EXISTS);
  await ref.update({ n: FieldValue.increment(2), gone: FieldValue.delete(), 'nested.a': 5, tags: FieldValue.arrayUnion('x', 'y'), at: FieldValue.serverTimestamp() });
  await ref.update({ tags: FieldValue.arrayRemove('x') });
  const got = await ref.get();
  assert.deepEqual({ ...got.data(), at: null }, { n: 3, nested: { a: 5, b: 2 }, tags: ['y'], at: null });
  assert.ok(got.get('at') instanceof Timestamp);
  assert.ok(got.createTime.isEqual(created.writeTime));
  await ref.set({ m: 1 }, { merge: true });
  assert.equal((await ref.get()).get('n'), 3);
  await refused(ref.update({ n: 0 }, { lastUpdateTime: created.writeTime }), FAILED_PRECONDITION);
  await refused(db.doc('writes/none').update({ n: 0 }), NOT_FOUND);
  await refused(db.doc('writes/none').delete({ exists: true }), NOT_FOUND);
  await refused(db.doc('writes/__reserved__').set({}), INVALID_ARGUMENT);
});

test('a batch is written whole or not at all', async () => {
  const refs = Array.from({ length: 300 }, (_, i) => db.doc(`batch/${i}`));
  const batch = db.batch();
  for (const [i, ref] of refs.entries()) batch.set(ref, { i });
  const times = await batch.commit();
  assert.equal(times.length, refs.length);
  const bad = db.batch();
  bad.set(refs[0], { i: -1 });
  bad.update(db.doc('batch/none'), { i: -1 });
  await refused(bad.commit(), NOT_FOUND);
  const all = await db.getAll(...refs, db.doc('batch/none'));
  assert.deepEqual(all.map((d) => d.get('i')), [...refs.keys(), undefined]);
});

test('a bulk writer tells of each write', async () => {
  await db.doc('bulk/there').set({});
  const writer = db.bulkWriter();
  const writes = Array.from({ length: 100 }, (_, i) => writer.set(db.doc(`bulk/${i}`), { i }));
  const failing = assert.rejects(writer.create(db.doc('bulk/there'), {}), { code: ALREADY_EXISTS });
  await writer.close();
  await Promise.all([...writes, failing]);
  assert.equal((await db.doc('bulk/99').get()).get('i'), 99);
});

test('documents and collections are listed', async () => {
  await Promise.all(['a', 'b', 'c'].map((id) => db.doc(`lists/${id}`).set({})));
  await db.doc('lists/missing/below/x').set({});
  await db.doc('lists/a/one/x').set({});
  await db.doc('lists/a/two/x').set({});
  assert.deepEqual((await db.collection('lists').listDocuments()).map((d) => d.id), ['a', 'b', 'c', 'missing']);
  assert.deepEqual((await db.doc('lists/a').listCollections()).map((c) => c.id), ['one', 'two']);
  assert.ok((await db.listCollections()).some((c) => c.id === 'lists'));
});

test('queries, their streams and aggregations', async () => {
  const all = db.collection('queries');
  const batch = db.batch();
  for (let i = 0; i < 200; i++) batch.set(all.doc(String(i)), { i, text: '"}]['.repeat(100) });
  await batch.commit();
  const found = (await all.where('i', '>', 195).orderBy('i', 'desc').get()).docs.map((d) => d.get('i'));
  assert.deepEqual(found, [199, 198, 197, 196]);
  assert.equal((await all.get()).size, 200);
  let streamed = 0;
  for await (const d of all.orderBy('i').stream()) assert.equal(d.get('i'), streamed++);
  assert.equal(streamed, 200);
  assert.equal((await all.where('i', '==', -1).get()).size, 0);
  assert.equal((await all.where('i', '<', 10).count().get()).data().count, 10);
});

test('transactions that meet are repeated', async () => {
  const ref = db.doc('transactions/counter');
  await ref.set({ n: 0 });
  const add = () => db.runTransaction(async (tx) => {
    const n = (await tx.get(ref)).get('n');
    tx.update(ref, { n: n + 1 });
  }, { maxAttempts: 50 });
  await Promise.all(Array.from({ length: 5 }, add));
  assert.equal((await ref.get()).get('n'), 5);
});

test('a transaction sees its queries again', async () => {
  const all = db.collection('seen');
  await all.doc('a').set({ i: 1 });
  let attempts = 0;
  await db.runTransaction(async (tx) => {
    const { size } = await tx.get(all.where('i', '==', 1));
    if (++attempts === 1) await all.doc('b').set({ i: 1 }); // what the query would find now
    tx.set(db.doc('seen/result'), { size });
  });
  assert.equal((await db.doc('seen/result').get()).get('size'), 2);
  assert.ok(attempts > 1);
});
