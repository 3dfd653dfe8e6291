package host

import (
	"context"
	"log/slog"
	"time"

	"atoll"
	"atoll/node"
	"atoll/program/shard"
	"atoll/subnet"
	"atoll/wire"
)

// keeper has the shards forget what their retention is over for, and build and
// remove indexes. A shard is asked in small steps, so that no block takes long.
type keeper struct {
	retention Retention
	log       *slog.Logger
	after     []atoll.CanisterID // for each subnet, where the last round stopped
	// For each subnet and shard, when to ask again. Bounded like the canisters.
	paces []map[atoll.CanisterID]*pace
}

// pace is how often a shard is asked: one that had nothing to forget, and was
// sent nothing since, is asked ever more seldom, so that an idle database
// writes no log.
type pace struct {
	due      time.Time
	pause    time.Duration
	executed uint64 // messages of the shard, after it was asked
}

const maxPause = 5 * time.Minute

func newKeeper(opt Options) *keeper {
	k := &keeper{retention: opt.Retention, log: opt.Log, after: make([]atoll.CanisterID, opt.Subnets)}
	for range opt.Subnets {
		k.paces = append(k.paces, map[atoll.CanisterID]*pace{})
	}
	return k
}

const (
	canistersPerRound = 32
	collectStep       = 256 // feed entries looked at by one message
	stepsPerRound     = 128
	buildStep         = 256             // documents or index entries looked at by one message
	buildTurn         = 2 * time.Second // how long a shard may build before others have their turn
)

// collect does one round on a subnet.
func (k *keeper) collect(ctx context.Context, n *node.Node, id atoll.SubnetID) {
	s, err := n.View(ctx, id)
	if err != nil {
		return
	}
	infos, err := subnet.Canisters(s, k.after[id], canistersPerRound)
	s.Release()
	if err != nil {
		return
	}
	k.after[id] = ""
	if len(infos) == canistersPerRound {
		k.after[id] = infos[len(infos)-1].ID
	}
	for _, c := range infos {
		if c.Program != "shard" {
			continue
		}
		if err := buildShard(ctx, n, c.ID); err != nil && ctx.Err() == nil {
			k.log.Warn("building indexes", "subnet", id, "shard", c.ID, "error", err)
		}
		p := k.paces[id][c.ID]
		if p == nil {
			p = &pace{executed: c.Executed}
			k.paces[id][c.ID] = p
		}
		if c.Executed == p.executed && time.Now().Before(p.due) {
			continue
		}
		busy := c.Executed != p.executed
		asked, removed, err := k.collectShard(ctx, n, c.ID)
		if err != nil && ctx.Err() == nil {
			k.log.Warn("collecting old versions", "subnet", id, "shard", c.ID, "error", err)
		}
		if p.pause = min(max(2*p.pause, time.Second), maxPause); busy || removed > 0 {
			p.pause = 0
		}
		p.due, p.executed = time.Now().Add(p.pause), c.Executed+asked
	}
}

// collectShard asks a shard until it has nothing more to forget, or its turn is
// over. It returns how often, and how many keys went.
func (k *keeper) collectShard(ctx context.Context, n *node.Node, id atoll.CanisterID) (asked uint64, removed int, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	now := atoll.TimeOf(time.Now())
	before := func(d time.Duration) atoll.Time { return now - atoll.Time(d.Microseconds()) }
	req := wire.Marshal(shard.CollectRequest{
		Versions: before(k.retention.Versions), Latest: before(k.retention.Latest), Requests: before(k.retention.Requests),
		Limit: collectStep,
	})
	for range stepsPerRound {
		raw, err := n.Order(ctx, atoll.Message{To: []atoll.CanisterID{id}, Method: shard.MethodCollect, Payload: req})
		if err != nil {
			return asked, removed, err
		}
		asked++
		var reply shard.CollectReply
		if err := wire.Unmarshal(raw, &reply); err != nil {
			return asked, removed, err
		}
		if removed += reply.Removed; !reply.More {
			break
		}
	}
	return asked, removed, nil
}

// buildShard has a shard go on with its indexes, if there is anything to do:
// that is asked first, so that an idle shard's log does not grow.
func buildShard(ctx context.Context, n *node.Node, id atoll.CanisterID) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	raw, err := n.Query(ctx, id, atoll.Question{Caller: atoll.Management, Method: shard.MethodIndexStatus})
	if err != nil {
		return err
	}
	var status shard.IndexStatus
	if err := wire.Unmarshal(raw, &status); err != nil {
		return err
	}
	req := wire.Marshal(shard.BuildRequest{Limit: buildStep})
	reply := shard.BuildReply{More: status.Pending}
	for end := time.Now().Add(buildTurn); reply.More && time.Now().Before(end); {
		raw, err := n.Order(ctx, atoll.Message{To: []atoll.CanisterID{id}, Method: shard.MethodBuild, Payload: req})
		if err != nil {
			return err
		}
		if err := wire.Unmarshal(raw, &reply); err != nil {
			return err
		}
	}
	return nil
}
