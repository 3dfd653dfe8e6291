// Package account keeps account of what clients ask of a node: how often, how
// long it took, and what it cost, by the shape of the request.
//
// # Shapes
//
// A shape is what requests have in common that differ in their values alone:
// the method, the database, and the collections, fields and operators that they
// name. Ids and values become ?, as in
//
//	users/?/orders where state == ? and total > ? order by total desc limit ?
//
// so that nothing of a document is shown, but names of fields and collections.
//
// # The table
//
// A node keeps a bounded number of shapes. When a new one comes and there is no
// room, the one that cost least of late is forgotten, and the new one starts
// with its weight (the space-saving algorithm of Metwally, Agrawal and El
// Abbadi, 2005): shapes that take more than their share stay, whatever else
// comes along, and a stranger who makes up shapes displaces the light ones
// alone. Weights halve every HalfLife, so that what has ended makes room.
//
// # Budgets
//
// Budgets are limits that the operator sets for one query, and for one caller
// in a minute. They are asked about between the pages of a query, so that one
// overshoots by a page at most (shard.MaxScan keys).
//
// Nothing is stored: a restart begins anew.
package account
