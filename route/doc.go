// Package route finds the shards of a database and talks to them. Gateways
// hand it documents and paths; it knows which canister owns which range.
//
// A database's map of ranges comes from its directory, which the accounts
// program names; a database that nobody has used yet is opened on the way. The
// map is kept for as long as its lease says, and is corrected at once when a
// shard answers that the range is no longer its own (WrongRange): the request
// is then repeated, once, by the newer map. Keeping a map is an optimisation
// and never a source of truth, because every shard checks range and epoch of
// every request.
//
// A Router keeps nothing that cannot be thrown away: a bounded cache of maps,
// and a bounded cache of refusals that lasts a second, so that requests for
// databases which may not be created cost the accounts program little. It
// starts no goroutine.
package route
