package node

import (
	"time"

	"atoll"
	"atoll/subnet"
)

// Report is what an operator may know of a subnet that runs here. Counters
// begin anew when the subnet is opened again.
type Report struct {
	Head     subnet.Head  // of the durable state
	Executed atoll.Height // what is being made durable included
	Err      error        // why the subnet does not run; nil if it does
	Refusing error        // why it refuses messages; nil if it takes them
	Counters
	Queued, QueuedBytes int       // messages that wait for a block
	Reopens             uint64    // since the node started
	Scrubs              uint64    // full passes since the node started
	Scrubbed            time.Time // end of the last full pass; zero if there was none
	Free                uint64    // bytes that the disk has left; 0 if that is not watched
	Store               atoll.Store
}

// Report returns how a subnet does. Its Store is there to be asked for metrics,
// and may be closed at any moment.
func (n *Node) Report(s atoll.SubnetID) (Report, error) {
	r, err := n.runner(s)
	if err != nil {
		return Report{}, err
	}
	on := r.on.Load()
	rep := Report{
		Reopens: r.reopens.Load(), Scrubs: r.scrubs.Load(), Free: r.freeBytes.Load(), Store: on.disk.Store,
	}
	if at := r.scrubbed.Load(); at > 0 {
		rep.Scrubbed = time.Unix(at, 0)
	}
	on.Replica.report(&rep)
	return rep, nil
}

func (r *Replica) report(rep *Report) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.state != nil {
		rep.Head = r.state.Head
	}
	rep.Executed, rep.Err, rep.Refusing = r.last.Height, r.err, r.readOnly
	rep.Counters, rep.Queued, rep.QueuedBytes = r.metrics, r.mail.count, r.mail.bytes
}
