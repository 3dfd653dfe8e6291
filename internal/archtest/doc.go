// Package archtest keeps the drawing of the house true. Its table of rooms is
// the architecture: each package, from the bottom up, with what it may import.
// The guard, an ordinary test, fails on an import that the table does not
// allow, on a package that the table does not know, on a package without a
// comment, and on anything in a pure room that could make two replicas differ.
// A change to the table is a design decision and is reviewed as one.
package archtest
