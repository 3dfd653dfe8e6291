import assert from 'node:assert/strict';

// refused waits for something that must fail with the given code.
export async function refused(promise, code) {
  await assert.rejects(promise, (err) => {
    assert.equal(err.code, code, err.stack);
    return true;
  });
}
