// Package inspect tells people what the keys and values of a subnet's store
// mean, and what a log record holds. The viewers of the operator's door and
// "atoll dump" show what it returns. It reads the layouts that the package
// comments of subnet, keys and program/shard describe, never fails on bytes
// that are something else, and shows these as they are.
package inspect
