// Package shard is the program of a canister that owns ranges of documents.
package shard
