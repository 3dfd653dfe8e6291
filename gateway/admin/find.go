package admin

import (
	"context"
	"net/http"
	"strconv"

	"atoll"
	"atoll/program/accounts"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/route"
	"atoll/wire"
)

// operator is in whose name the door asks shards.
var operator = route.Caller{Principal: atoll.Management}

// ask queries a canister. A nil request means no payload.
func (d *Door) ask(ctx context.Context, to atoll.CanisterID, method string, req, reply any) error {
	q := atoll.Question{Caller: atoll.Management, Method: method}
	if req != nil {
		q.Payload = wire.Marshal(req)
	}
	raw, err := d.source.Query(ctx, to, q)
	if err != nil {
		return err
	}
	return wire.Unmarshal(raw, reply)
}

// databaseOf reads the parameter "database". A name that no database has fails
// with NotFound: looking must not create one.
func (d *Door) databaseOf(r *http.Request) (db atoll.Database, e accounts.Entry, err error) {
	if db, err = atoll.ParseDatabase(r.FormValue("database")); err != nil {
		return db, e, err
	}
	err = d.ask(r.Context(), d.root, accounts.MethodFind, accounts.OpenRequest{Database: db}, &e)
	if atoll.KindOf(err) == atoll.NotFound {
		err = atoll.Errorf(atoll.NotFound, "there is no database %s yet; it begins with its first document", db)
	}
	return db, e, err
}

// mapOf returns the map of a database's ranges.
func (d *Door) mapOf(ctx context.Context, e accounts.Entry) (m directory.Map, err error) {
	err = d.ask(ctx, e.Directory, directory.MethodMap, directory.MapRequest{}, &m)
	return m, err
}

// oldest returns the earliest time from which a database's feed is whole.
func (d *Door) oldest(ctx context.Context, m directory.Map) (at atoll.Time, err error) {
	for _, rng := range m.Ranges {
		var st shard.Status
		if err := d.ask(ctx, rng.Shard, shard.MethodStatus, nil, &st); err != nil {
			return 0, err
		}
		at = max(at, st.Feed)
	}
	return at, nil
}

// pathOf reads a parameter that names a document or collection.
func pathOf(r *http.Request, name string, fits func(atoll.Path) bool, what string) (atoll.Path, error) {
	p := atoll.Path(r.FormValue(name))
	if err := p.Check(); p != "" && err != nil {
		return p, err
	}
	if !fits(p) {
		return p, atoll.Errorf(atoll.Invalid, "the parameter %s, %q, is not the path of %s", name, string(p), what)
	}
	return p, nil
}

func isParent(p atoll.Path) bool { return p == "" || p.IsDocument() }

// limitOf reads the parameter "limit".
func limitOf(r *http.Request, usual, most int) (int, error) {
	text := r.FormValue("limit")
	if text == "" {
		return usual, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		return 0, atoll.Errorf(atoll.Invalid, "the parameter limit, %q, is not a number from 1 to %d", text, most)
	}
	return n, nil
}
