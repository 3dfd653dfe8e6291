package admin

import (
	"context"
	"encoding/base64"
	"time"

	"atoll"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/wire"
)

// cursorFormat is the version of the layout of cursor.
const cursorFormat = 1

// cursor is a place in the feed of one database, as clients keep it: opaque to
// them. The incarnation tells it from one of another database that had the
// same name.
type cursor struct {
	Format      int              `cbor:"1,keyasint"`
	Incarnation [16]byte         `cbor:"2,keyasint"`
	At          shard.FeedCursor `cbor:"3,keyasint"`
}

func (c cursor) String() string {
	c.Format = cursorFormat
	return base64.RawURLEncoding.EncodeToString(wire.Marshal(c))
}

// parseCursor reads what String wrote. It fails with Invalid.
func parseCursor(text string) (cursor, error) {
	var c cursor
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if err == nil {
		err = wire.Unmarshal(raw, &c)
	}
	if err != nil || c.Format != cursorFormat {
		return c, atoll.Errorf(atoll.Invalid, "%q is no position in a feed: give the cursor of a line of the feed, a time in RFC 3339, \"oldest\" or \"now\"", clip(text))
	}
	return c, nil
}

// begin returns the place that the parameter "after" names.
func (d *Door) begin(ctx context.Context, db atoll.Database, m directory.Map, after string) (cursor, error) {
	c := cursor{Incarnation: m.Incarnation}
	switch after {
	case "", "now":
		now, err := d.router.Get(ctx, db, nil, 0, operator)
		c.At.Time = now.Time
		return c, err
	case "oldest":
		first, err := d.oldest(ctx, m)
		c.At.Time = max(first-1, 0)
		return c, err
	}
	if at, err := time.Parse(time.RFC3339Nano, after); err == nil {
		c.At.Time = atoll.TimeOf(at)
		return c, nil
	}
	c, err := parseCursor(after)
	if err == nil && c.Incarnation != m.Incarnation {
		err = atoll.Errorf(atoll.Invalid, "this position is of another database that was called %s; begin with \"oldest\" or \"now\"", db)
	}
	return c, err
}
