package sim

import (
	"encoding/binary"
	"fmt"

	"atoll"
	"atoll/host"
	"atoll/wire"
)

// rootCanister is the installation's accounts program, on subnet 0.
var rootCanister = host.Root

// couriers is how many canisters of the courier program every subnet has.
const (
	couriers    = 2
	courierName = "courier"
)

// courierID returns the n-th courier of a subnet, from 0. On subnet 0 the
// accounts come first.
func courierID(s atoll.SubnetID, n int) atoll.CanisterID {
	first := 1 + len(host.Genesis(s).Canisters)
	return atoll.NewCanisterID(s, uint32(first+n))
}

// fate is what becomes of a letter at its receiver.
type fate uint8

const (
	fateAnswer fate = iota // answered at once
	fateDefer              // answered with the next flush
	fateFail               // fails after it has written
	fatePanic              // panics after it has written
	fates
)

// courierOrder asks a courier to write letters.
type courierOrder struct {
	To     atoll.CanisterID `cbor:"1,keyasint"`
	Fates  []fate           `cbor:"2,keyasint"` // one for each letter
	Cycles uint64           `cbor:"3,keyasint"` // with each
}

// courierLetter numbers the letters of a pair of couriers. Those that fail are
// not counted, for their receiver forgets them: they carry the last number.
type courierLetter struct {
	Number uint64 `cbor:"1,keyasint"`
	Fate   fate   `cbor:"2,keyasint"`
}

// courierReply numbers the answers of a pair.
type courierReply struct {
	Number uint64 `cbor:"1,keyasint"`
}

// courierReport is what a courier knows.
type courierReport struct {
	Wrong    string            `cbor:"1,keyasint"` // the first breach that it noticed
	Open     int               `cbor:"2,keyasint"` // calls without an answer
	Deferred int               `cbor:"3,keyasint"` // calls that it has not answered
	Junk     int               `cbor:"4,keyasint"` // keys of messages that failed
	Sent     map[string]uint64 `cbor:"5,keyasint"` // last letter, by receiver in text
	Got      map[string]uint64 `cbor:"6,keyasint"` // last letter, by sender in text
	Letters  uint64            `cbor:"7,keyasint"`
	Joint    uint64            `cbor:"8,keyasint"`
}

// Keys of a courier's state, each with an id or a number behind it.
const (
	keySent     = "s" // to -> last letter
	keyGot      = "g" // from -> last letter
	keyAnswered = "a" // to -> last answer
	keyHeard    = "h" // from -> last answer
	keyOpen     = "o" // call -> receiver
	keyDeferred = "d" // call -> sender
	keyJunk     = "j" // written by messages that fail
	keyWrong    = "w"
	keyLetters  = "n"
	keyJoint    = "k" // joint messages
)

// courier is a program that writes letters to its like and checks that those
// which it gets, and the answers, come once each and in order.
type courier struct{}

var _ atoll.JointProgram = courier{}

func (courier) Update(ctx atoll.Context, in atoll.Input) ([]byte, error) {
	s := courierState{ctx.State()}
	if in.IsReply {
		return nil, s.heard(in)
	}
	switch in.Method {
	case "post":
		return nil, s.post(ctx, in)
	case "flush":
		return nil, s.flush(ctx)
	case "doom":
		return nil, s.doom(fateFail)
	case "letter":
		return s.letter(in)
	}
	return nil, atoll.Errorf(atoll.Unimplemented, "a courier has no update %q", in.Method)
}

// UpdateJoint counts a message in all of the couriers, or in none.
func (courier) UpdateJoint(ctxs []atoll.Context, in atoll.Input) ([]byte, error) {
	for _, ctx := range ctxs {
		s := courierState{ctx.State()}
		s.setNumber(keyJoint, "", s.number(keyJoint, "")+1)
	}
	if in.Method == "doom" {
		return nil, courierState{ctxs[0].State()}.doom(fateFail)
	}
	return nil, nil
}

func (courier) Query(v atoll.View, _ atoll.Question) ([]byte, error) {
	r := courierReport{Sent: map[string]uint64{}, Got: map[string]uint64{}}
	it := v.State().Iter(nil, nil)
	for ok := it.SeekGE(nil); ok; ok = it.Next() {
		id := atoll.Principal(it.Key()[1:]).String()
		switch string(it.Key()[:1]) {
		case keySent:
			r.Sent[id] = binary.BigEndian.Uint64(it.Value())
		case keyGot:
			r.Got[id] = binary.BigEndian.Uint64(it.Value())
		case keyOpen:
			r.Open++
		case keyDeferred:
			r.Deferred++
		case keyJunk:
			r.Junk++
		case keyWrong:
			r.Wrong = string(it.Value())
		case keyLetters:
			r.Letters = binary.BigEndian.Uint64(it.Value())
		case keyJoint:
			r.Joint = binary.BigEndian.Uint64(it.Value())
		}
	}
	return wire.Marshal(r), it.Close()
}

// courierState is a courier's state with its counters.
type courierState struct{ atoll.State }

func (s courierState) number(kind, id string) uint64 {
	b, ok, _ := s.Get([]byte(kind + id))
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}

func (s courierState) setNumber(kind, id string, n uint64) {
	s.Set([]byte(kind+id), binary.BigEndian.AppendUint64(nil, n))
}

func callKey(kind string, id atoll.CallID) []byte {
	return binary.BigEndian.AppendUint64([]byte(kind), uint64(id))
}

// wrong notes a breach, if it is the first.
func (s courierState) wrong(format string, args ...any) {
	if _, ok, _ := s.Get([]byte(keyWrong)); !ok {
		s.Set([]byte(keyWrong), fmt.Appendf(nil, format, args...))
	}
}

func (s courierState) post(ctx atoll.Context, in atoll.Input) error {
	var o courierOrder
	if err := wire.Unmarshal(in.Payload, &o); err != nil {
		return err
	}
	to := string(o.To)
	for _, f := range o.Fates {
		n := s.number(keySent, to)
		if f == fateAnswer || f == fateDefer {
			n++
		}
		call, err := ctx.Call(o.To, "letter", wire.Marshal(courierLetter{n, f}), o.Cycles, []byte(to))
		if err != nil {
			return err
		}
		s.setNumber(keySent, to, n)
		s.Set(callKey(keyOpen, call), []byte(to))
	}
	return nil
}

// letter takes a letter. One that fails checks its number all the same.
func (s courierState) letter(in atoll.Input) ([]byte, error) {
	var l courierLetter
	if err := wire.Unmarshal(in.Payload, &l); err != nil {
		return nil, err
	}
	from := string(in.Caller)
	want := s.number(keyGot, from)
	if l.Fate == fateAnswer || l.Fate == fateDefer {
		want++
	}
	if l.Number != want {
		s.wrong("letter %d of %s came in place of letter %d", l.Number, in.Caller, want)
	} else if l.Fate == fateFail || l.Fate == fatePanic {
		return nil, s.doom(l.Fate)
	}
	s.setNumber(keyLetters, "", s.number(keyLetters, "")+1)
	s.setNumber(keyGot, from, l.Number)
	if l.Fate == fateDefer {
		s.Set(callKey(keyDeferred, in.Call), []byte(from))
		return nil, atoll.ErrDeferred
	}
	return s.answer(from), nil
}

// answer returns the next answer to a courier.
func (s courierState) answer(to string) []byte {
	n := s.number(keyAnswered, to) + 1
	s.setNumber(keyAnswered, to, n)
	return wire.Marshal(courierReply{n})
}

// doom writes and fails, so that all of it must be taken back.
func (s courierState) doom(f fate) error {
	for i := range byte(4) {
		s.Set([]byte{keyJunk[0], i}, []byte("junk"))
	}
	s.setNumber(keyLetters, "", 1<<40)
	if f == fatePanic {
		panic("as ordered")
	}
	return atoll.Errorf(atoll.Aborted, "as ordered")
}

// flush answers all calls that were deferred.
func (s courierState) flush(ctx atoll.Context) error {
	type waiting struct {
		call atoll.CallID
		from string
	}
	var all []waiting
	it := s.Iter([]byte(keyDeferred), []byte{keyDeferred[0] + 1})
	for ok := it.SeekGE([]byte(keyDeferred)); ok; ok = it.Next() {
		all = append(all, waiting{atoll.CallID(binary.BigEndian.Uint64(it.Key()[1:])), string(it.Value())})
	}
	if err := it.Close(); err != nil {
		return err
	}
	for _, d := range all {
		if err := ctx.Reply(d.call, s.answer(d.from), nil); err != nil {
			return err
		}
		s.Delete(callKey(keyDeferred, d.call))
	}
	return nil
}

// heard takes the answer to a call.
func (s courierState) heard(in atoll.Input) error {
	key := callKey(keyOpen, in.Call)
	to, ok, err := s.Get(key)
	if err != nil {
		return err
	}
	if !ok || string(to) != string(in.Tag) {
		s.wrong("call %d was answered, and is not open", in.Call)
		return nil
	}
	s.Delete(key)
	if in.Err != nil {
		return nil
	}
	var r courierReply
	if err := wire.Unmarshal(in.Payload, &r); err != nil {
		return err
	}
	from := string(in.Tag)
	if want := s.number(keyHeard, from) + 1; r.Number != want {
		s.wrong("answer %d of %s came in place of answer %d", r.Number, in.Caller, want)
	}
	s.setNumber(keyHeard, from, r.Number)
	return nil
}
