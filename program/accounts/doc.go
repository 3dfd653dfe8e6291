// Package accounts is the program of an installation's root canister: the
// registry of its databases. A database is created when it is first used.
package accounts
