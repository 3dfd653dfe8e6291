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

// keeper has the shards forget what their retention is over for. A shard is
// asked in small steps, so that no block takes long.
type keeper struct {
	retention Retention
	log       *slog.Logger
	after     []atoll.CanisterID // for each subnet, where the last round stopped
}

const (
	canistersPerRound = 32
	collectStep       = 256 // feed entries looked at by one message
	stepsPerRound     = 128
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
		if err := k.collectShard(ctx, n, c.ID); err != nil && ctx.Err() == nil {
			k.log.Warn("collecting old versions", "subnet", id, "shard", c.ID, "error", err)
		}
	}
}

func (k *keeper) collectShard(ctx context.Context, n *node.Node, id atoll.CanisterID) error {
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
			return err
		}
		var reply shard.CollectReply
		if err := wire.Unmarshal(raw, &reply); err != nil || !reply.More {
			return err
		}
	}
	return nil
}
