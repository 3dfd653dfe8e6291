package subnet

import (
	"fmt"

	"atoll"
	"atoll/keys"
	"atoll/wire"
)

// Query answers a question to a canister from a state and its head. Both must
// be durable; r may be read from several goroutines at once.
func Query(programs map[string]Entry, r atoll.Reader, head Head, to atoll.CanisterID, q atoll.Question) ([]byte, error) {
	if local(to, head.Subnet) == atoll.Management {
		return manageQuery(programs, r, q)
	}
	e, err := Find(programs, r, to)
	if err != nil {
		return nil, err
	}
	return Ask(e, r, head, to, q)
}

// Find returns the program of a canister, which never changes. It fails with
// NotFound.
func Find(programs map[string]Entry, r atoll.Reader, id atoll.CanisterID) (Entry, error) {
	e, ok, err := programOf(r, programs, id)
	if err == nil && !ok {
		err = atoll.Errorf(atoll.NotFound, "there is no canister %s here", id)
	}
	return e, err
}

// Ask is Query for a canister whose program is known.
func Ask(e Entry, r atoll.Reader, head Head, to atoll.CanisterID, q atoll.Question) (reply []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			reply, err = nil, &atoll.Error{Kind: atoll.Panicked, Msg: "the program panicked", Detail: fmt.Sprint(p)}
		}
	}()
	return e.Program.Query(view{r: r, id: to, ranges: e.Ranges, head: head}, q)
}

// manageQuery answers canister_status for controllers and the node itself.
func manageQuery(programs map[string]Entry, r atoll.Reader, q atoll.Question) ([]byte, error) {
	if q.Method != MethodStatus {
		return nil, atoll.Errorf(atoll.Unimplemented, "the management canister has no query %q", q.Method)
	}
	var m Managed
	if err := wire.Unmarshal(q.Payload, &m); err != nil {
		return nil, err
	}
	c, err := readCanister(r, programs, m.Canister)
	if err != nil {
		return nil, err
	}
	if c == nil {
		return nil, atoll.Errorf(atoll.NotFound, "there is no canister %s", m.Canister)
	}
	if q.Caller != atoll.Management && !contains(c.Controllers, q.Caller) {
		return nil, atoll.Errorf(atoll.PermissionDenied, "%s is no controller of canister %s", q.Caller, m.Canister)
	}
	return wire.Marshal(c.info()), nil
}

func contains(ps []atoll.Principal, p atoll.Principal) bool {
	for _, x := range ps {
		if x == p {
			return true
		}
	}
	return false
}

// view is what a query reads.
type view struct {
	r      atoll.Reader
	head   Head
	id     atoll.CanisterID
	ranges bool
}

var _ atoll.View = view{}

func (v view) Turn() atoll.Turn {
	return atoll.Turn{Self: v.id, Subnet: v.head.Subnet, Now: v.head.Time, Height: v.head.Height, Semantics: v.head.Semantics}
}

func (v view) State() atoll.Reader { return window{r: v.r, prefix: ownPrefix(v.id)} }

func (v view) Ranges() atoll.Reader {
	if !v.ranges {
		return nil
	}
	return window{r: v.r, space: keys.SpaceRanges}
}
