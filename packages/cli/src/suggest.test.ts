import assert from 'node:assert/strict';
import { test } from 'node:test';
import { didYouMean, editDistance } from './suggest.ts';

test('the edit distance counts insertions, deletions, substitutions and swaps', () => {
  assert.equal(editDistance('run', 'run'), 0);
  assert.equal(editDistance('rnu', 'run'), 1);
  assert.equal(editDistance('', 'run'), 3);
  assert.equal(editDistance('kernel', 'kennel'), 1);
  assert.equal(editDistance('images', 'image'), 1);
});

test('the nearest word is suggested, and none when all are far', () => {
  assert.equal(didYouMean('--memroy', ['--memory', '--append']), ' (did you mean --memory?)');
  assert.equal(didYouMean('comp', ['completion', 'help']), ' (did you mean completion?)');
  assert.equal(didYouMean('xyzzy', ['run', 'images']), '');
  assert.equal(didYouMean('anything', []), '');
});
