// Package clienttest drives a running node with Google's own clients. Its tests
// run programs of the folder node, whose packages are those that its lockfile
// names.
package clienttest
