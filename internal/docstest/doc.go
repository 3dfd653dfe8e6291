// Package docstest holds the documentation against the tree that it ships
// with: what docs/status.md says is shown by a test or command must exist,
// links must lead somewhere, and the snippets of README marked "run" must run.
package docstest
