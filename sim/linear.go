package sim

import (
	"math"

	"github.com/anishathalye/porcupine"
)

// operation is one operation of a client on a register or a counter.
type operation struct {
	place
	kind      opKind
	in, out   content
	call, ret int64
}

type opKind uint8

const (
	opSet opKind = iota
	opAdd
	opGet
)

// done adds an operation to the history. One whose outcome is open may take
// effect at any time after it began; one that was refused or failed never does.
func (h *history) done(op operation, o outcome) {
	switch o {
	case acked:
		op.ret = h.now()
	case open:
		op.ret = math.MaxInt64
	default:
		return
	}
	h.ops = append(h.ops, op)
}

// linearizable returns a document whose history has no order in which it could
// have happened one after the other; ok is true if there is none.
func (h *history) linearizable() (bad place, ok bool) {
	var order []place
	byDoc := map[place][]porcupine.Operation{}
	for i, op := range h.ops {
		if byDoc[op.place] == nil {
			order = append(order, op.place)
		}
		byDoc[op.place] = append(byDoc[op.place], porcupine.Operation{ClientId: i, Input: op, Call: op.call, Return: op.ret})
	}
	for _, p := range order {
		if !porcupine.CheckOperations(model, byDoc[p]) {
			return p, false
		}
	}
	return place{}, true
}

// model is a document with a number and a text, at first zero.
var model = porcupine.Model{
	Init: func() any { return content{} },
	Step: func(state, input, _ any) (bool, any) {
		doc, op := state.(content), input.(operation)
		switch op.kind {
		case opSet:
			return true, op.in
		case opAdd:
			doc.n += op.in.n
			return true, doc
		}
		return doc == op.out, doc
	},
}
