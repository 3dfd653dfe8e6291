// Package directory is the program of a database's primary canister: it knows
// which shard owns which range, at which epoch.
package directory
