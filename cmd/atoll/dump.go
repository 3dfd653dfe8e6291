package main

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/admin/inspect"
	"atoll/host"
	"atoll/keys"
	"atoll/kv/pebble"
	"atoll/log/local"
	"atoll/subnet"
)

// dump is what the commands below "atoll dump" share.
type dump struct {
	data   string
	subnet int // -1: all
	asJSON bool
	out    io.Writer
}

func dumpCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "dump",
		Short: "Look into a data directory while no node uses it",
		Long: `dump shows and checks what a data directory holds. No node may be using it; of a
running one, the same can be seen below /debug/.`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(dumpLog(), dumpState(), dumpCanisters(), dumpVerify())
	return cmd
}

func (d *dump) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&d.data, "data", defaultData, "data `directory`")
	fl.IntVar(&d.subnet, "subnet", -1, "`number` of the only subnet to look at; -1: all")
	fl.BoolVar(&d.asJSON, "json", false, "write lines of JSON")
}

// each opens the stores of the subnets that are asked for, one after the other.
func (d *dump) each(cmd *cobra.Command, look func(atoll.SubnetID, atoll.Reader, subnet.Head) error) error {
	d.out = cmd.OutOrStdout()
	n, err := countSubnets(d.data)
	if err != nil {
		return err
	}
	if n == 0 {
		return atoll.Errorf(atoll.NotFound, "%s holds no data of a node; name its data directory with --data", d.data)
	}
	if d.subnet >= n {
		return atoll.Errorf(atoll.NotFound, "%s has the subnets 0 to %d, and no subnet %d", d.data, n-1, d.subnet)
	}
	for s := range atoll.SubnetID(n) {
		if d.subnet >= 0 && atoll.SubnetID(d.subnet) != s {
			continue
		}
		if err := d.open(cmd.Context(), s, look); err != nil {
			return err
		}
	}
	return nil
}

// open opens one store, which must be there.
func (d *dump) open(ctx context.Context, s atoll.SubnetID, look func(atoll.SubnetID, atoll.Reader, subnet.Head) error) error {
	dir := host.SubnetDir(d.data, s)
	if names, err := os.ReadDir(dir); err == nil && len(names) == 0 {
		return atoll.Errorf(atoll.NotFound, "%s is empty", dir)
	}
	st, err := pebble.Open(pebble.Options{Dir: dir, Split: keys.Split})
	if err != nil {
		return startError(d.data, err)
	}
	defer st.Close()
	snap := st.Snapshot()
	defer snap.Close()
	head, _, err := subnet.ReadHead(snap)
	if err != nil {
		return err
	}
	if ctx.Err() != nil {
		return interrupted
	}
	return look(s, snap, head)
}

// interrupted is the answer to a signal.
var interrupted = atoll.Errorf(atoll.Canceled, "interrupted")

func dumpLog() *cobra.Command {
	var d dump
	var from, to uint64
	cmd := &cobra.Command{
		Use:   "log",
		Short: "Show the blocks of a log",
		Long: `log shows the blocks that the log of each subnet holds, with their messages. It
stops at the first record that is damaged or does not follow the one before.`,
		Example: `  atoll dump log --from 10 --to 20
  atoll dump log --json | jq '.block.messages[].method'`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			return d.each(cmd, func(s atoll.SubnetID, r atoll.Reader, _ subnet.Head) error {
				return d.log(cmd.Context(), s, r, atoll.Position(from), atoll.Position(to))
			})
		},
	}
	d.flags(cmd)
	cmd.Flags().Uint64Var(&from, "from", 0, "first `position`; 0: the first that is kept")
	cmd.Flags().Uint64Var(&to, "to", 0, "last `position`; 0: the last")
	return cmd
}

func (d *dump) log(ctx context.Context, s atoll.SubnetID, r atoll.Reader, from, to atoll.Position) error {
	first, _, err := local.Bounds(r)
	if err != nil {
		return err
	}
	for e, err := range local.Tail(r, max(from, first)) {
		if err != nil {
			return err
		}
		b, err := inspect.Record(e)
		if err != nil {
			return err
		}
		if to > 0 && b.Position > to {
			return nil
		}
		if ctx.Err() != nil {
			return interrupted
		}
		if err := d.block(s, &b); err != nil {
			return err
		}
	}
	return nil
}

func (d *dump) block(s atoll.SubnetID, b *inspect.Block) error {
	if d.asJSON {
		return writeLine(d.out, struct {
			Subnet atoll.SubnetID `json:"subnet"`
			Block  *inspect.Block `json:"block"`
		}{s, b})
	}
	var out strings.Builder
	fmt.Fprintf(&out, "subnet %d position %d height %d epoch %d at %s, semantics %d, %d bytes\n  record %s\n  digest %s\n",
		s, b.Position, b.Height, b.Epoch, b.Time, b.Semantics, b.Bytes, b.Hash, b.Digest)
	for _, m := range b.Messages {
		fmt.Fprintf(&out, "  %s to %s from %s, request %s\n%s", m.Method, strings.Join(m.To, ", "), m.From, m.ID, indent(m.Payload))
	}
	for _, l := range b.Letters {
		fmt.Fprintf(&out, "  letter %d of subnet %d: %s to %s from %s\n%s", l.Number, l.Subnet, firstOf(l.Method, "reply"), l.To, l.From, indent(l.Payload))
	}
	_, err := io.WriteString(d.out, out.String())
	return err
}

func indent(text string) string {
	if text == "" {
		return ""
	}
	return "    " + strings.ReplaceAll(text, "\n", "\n    ") + "\n"
}

func dumpState() *cobra.Command {
	var d dump
	var space, prefix string
	var names []string
	for _, s := range inspect.Spaces() {
		names = append(names, s.Name)
	}
	cmd := &cobra.Command{
		Use:   "state",
		Short: "Show keys and values",
		Long: `state shows the keys of each subnet's store with their values, decoded where
their form is known: documents as JSON, the rest as CBOR in its diagnostic
notation, or in hexadecimal.

Spaces: ` + strings.Join(names, ", ") + ".",
		Example: `  atoll dump state --space ranges
  atoll dump state --space private --prefix 060a`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			lo, hi, err := span(space, prefix)
			if err != nil {
				return err
			}
			return d.each(cmd, func(s atoll.SubnetID, r atoll.Reader, _ subnet.Head) error {
				return d.state(cmd.Context(), s, r, lo, hi)
			})
		},
	}
	d.flags(cmd)
	cmd.Flags().StringVar(&space, "space", "", "only this `space`")
	cmd.Flags().StringVar(&prefix, "prefix", "", "only keys that begin with these `bytes`, in hexadecimal")
	return cmd
}

// span returns the keys that are asked for; hi is nil if there is no end.
func span(space, prefix string) (lo, hi []byte, err error) {
	if space != "" {
		s, err := inspect.FindSpace(space)
		if err != nil {
			return nil, nil, err
		}
		lo, hi = s.Lo, s.Hi
	}
	if prefix == "" {
		return lo, hi, nil
	}
	p, err := hex.DecodeString(prefix)
	if err != nil {
		return nil, nil, usageError{fmt.Sprintf("--prefix %q is not hexadecimal", prefix)}
	}
	end := bytes.Clone(p)
	for len(end) > 0 && end[len(end)-1] == 0xff {
		end = end[:len(end)-1]
	}
	if len(end) > 0 {
		end[len(end)-1]++
	}
	if bytes.Compare(p, lo) > 0 {
		lo = p
	}
	if hi == nil || len(end) > 0 && bytes.Compare(end, hi) < 0 {
		hi = end
	}
	if len(hi) == 0 {
		hi = nil
	}
	return lo, hi, nil
}

func (d *dump) state(ctx context.Context, s atoll.SubnetID, r atoll.Reader, lo, hi []byte) error {
	it := r.Iter(lo, hi)
	for ok := it.SeekGE(lo); ok; ok = it.Next() {
		err := d.pair(s, it.Key(), it.Value())
		if err == nil && ctx.Err() != nil {
			err = interrupted
		}
		if err != nil {
			it.Close()
			return err
		}
	}
	return it.Close()
}

func (d *dump) pair(s atoll.SubnetID, k, v []byte) error {
	if d.asJSON {
		return writeLine(d.out, struct {
			Subnet atoll.SubnetID `json:"subnet"`
			Key    string         `json:"key"`
			Hex    string         `json:"hex"`
			Bytes  int            `json:"bytes"`
			Value  string         `json:"value"`
		}{s, inspect.Key(k), hex.EncodeToString(k), len(v), inspect.Value(k, v)})
	}
	_, err := fmt.Fprintf(d.out, "%d  %s\n    %s\n", s, inspect.Key(k), inspect.Value(k, v))
	return err
}

func dumpCanisters() *cobra.Command {
	var d dump
	cmd := &cobra.Command{
		Use:   "canisters",
		Short: "Show the canisters with their cycles and queues",
		Args:  arguments(0),
		RunE:  func(cmd *cobra.Command, _ []string) error { return d.each(cmd, d.canisters) },
	}
	d.flags(cmd)
	return cmd
}

func (d *dump) canisters(s atoll.SubnetID, r atoll.Reader, h subnet.Head) error {
	if !d.asJSON {
		fmt.Fprintf(d.out, "subnet %d at height %d, %s\n", s, h.Height, h.Time)
	}
	const page = 1000
	for after := atoll.CanisterID(""); ; {
		list, err := subnet.Canisters(r, after, page)
		if err != nil {
			return err
		}
		for i := range list {
			if err := d.canister(s, &list[i]); err != nil {
				return err
			}
		}
		if len(list) < page {
			return nil
		}
		after = list[page-1].ID
	}
}

func (d *dump) canister(s atoll.SubnetID, c *subnet.Info) error {
	if !d.asJSON {
		_, err := fmt.Fprintf(d.out, "  %-28s %-10s cycles %d, %d bytes, executed %d, waiting %d, open %d, deferred %d\n",
			c.ID, c.Program, c.Cycles, c.Bytes, c.Executed, c.Queued, c.Open, c.Deferred)
		return err
	}
	controllers := []string{}
	for _, p := range c.Controllers {
		controllers = append(controllers, p.String())
	}
	return writeLine(d.out, map[string]any{
		"subnet": s, "canister": c.ID.String(), "program": c.Program, "cycles": json.Number(fmt.Sprint(c.Cycles)),
		"bytes": c.Bytes, "executed": c.Executed, "queued": c.Queued, "open": c.Open, "deferred": c.Deferred,
		"created": c.Created.String(), "controllers": controllers,
	})
}
