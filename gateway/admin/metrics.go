package admin

import (
	"context"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"atoll"
	"atoll/log/local"
)

// register has the registry collect what the node and the router count, and
// what Go tells of the process.
func (d *Door) register() {
	d.registry.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		nodeCollector{d},
	)
}

// nodeCollector asks the node at each scrape, so that nothing is counted twice.
type nodeCollector struct{ door *Door }

// Describe tells nothing: which figures there are depends on the stores.
func (nodeCollector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(out chan<- prometheus.Metric) {
	d := c.door
	emit(out, "build_info", "Which atoll this is; always 1.", prometheus.GaugeValue, 1, []string{"version"}, d.version)
	emit(out, "admin_refused_total", "Requests refused because another site sent them, or for another host.", prometheus.CounterValue, float64(d.refused.Load()), nil)
	emit(out, "admin_tails", "Streams of changes that are open.", prometheus.GaugeValue, float64(d.tails.Load()), nil)
	d.collectRouter(out)
	for s := range atoll.SubnetID(d.source.Subnets()) {
		d.collectSubnet(out, s)
	}
}

func (d *Door) collectRouter(out chan<- prometheus.Metric) {
	st := d.router.Stats()
	counter := func(name, help string, v uint64) {
		emit(out, "route_"+name, help, prometheus.CounterValue, float64(v), nil)
	}
	counter("hits_total", "Requests routed by a map that was at hand.", st.Hits)
	counter("misses_total", "Requests that waited for a map.", st.Misses)
	counter("opened_total", "Databases opened at their first use.", st.Opened)
	counter("refused_total", "Requests answered from a remembered refusal.", st.Refused)
	counter("corrected_total", "Requests repeated by a newer map.", st.Corrected)
	counter("resent_total", "Messages sent again after an unknown outcome.", st.Resent)
	counter("evicted_total", "Maps forgotten for want of room.", st.Evicted)
	emit(out, "route_databases", "Maps that are kept.", prometheus.GaugeValue, float64(st.Databases), nil)
}

func (d *Door) collectSubnet(out chan<- prometheus.Metric, s atoll.SubnetID) {
	rep, err := d.source.Report(s)
	if err != nil {
		return
	}
	label := strconv.FormatUint(uint64(s), 10)
	gauge := func(name, help string, v float64) {
		emit(out, name, help, prometheus.GaugeValue, v, []string{"subnet"}, label)
	}
	counter := func(name, help string, v uint64) {
		emit(out, name, help, prometheus.CounterValue, float64(v), []string{"subnet"}, label)
	}
	gauge("subnet_up", "1 if the subnet runs.", truth(rep.Err == nil))
	gauge("subnet_writable", "1 if the subnet takes writes.", truth(rep.Err == nil && rep.Refusing == nil))
	gauge("subnet_durable_height", "Blocks that are durable.", float64(rep.Head.Height))
	gauge("subnet_executed_height", "Blocks that are executed.", float64(rep.Executed))
	gauge("subnet_canisters", "Canisters made so far.", float64(rep.Head.Canisters))
	gauge("subnet_semantics", "Version under which the next block is executed.", float64(rep.Head.Semantics))
	gauge("subnet_queued_messages", "Messages that wait for a block.", float64(rep.Queued))
	gauge("subnet_queued_bytes", "Bytes of messages that wait for a block.", float64(rep.QueuedBytes))
	gauge("subnet_disk_free_bytes", "Room on the disk; 0 if not watched.", float64(rep.Free))
	gauge("subnet_cycles_held", "Cycles minted or received, less those burned or sent.", float64(rep.Head.Minted+rep.Head.Received-rep.Head.Burned-rep.Head.Sent))
	gauge("subnet_scrubbed_timestamp_seconds", "End of the last pass of the scrub; 0 if there was none.", unix(rep.Scrubbed))
	counter("subnet_blocks_total", "Blocks executed.", rep.Blocks)
	counter("subnet_messages_total", "Messages executed, letters included.", rep.Messages)
	counter("subnet_refused_total", "Messages refused before they were logged.", rep.Refused)
	counter("subnet_panics_total", "Messages rolled back because a program panicked.", rep.Panics)
	counter("subnet_lanes_total", "Lanes of all blocks.", rep.Lanes)
	counter("subnet_batch_bytes_total", "Bytes of keys and values written.", rep.Bytes)
	counter("subnet_reopens_total", "Times that the subnet was opened again after a failure.", rep.Reopens)
	counter("subnet_scrubs_total", "Passes of the scrub.", rep.Scrubs)
	for _, f := range rep.Store {
		kind := prometheus.GaugeValue
		if f.Counter {
			kind = prometheus.CounterValue
		}
		emit(out, "store_"+f.Name, f.Help, kind, f.Value, []string{"subnet"}, label)
	}
	if first, last, ok := d.logBounds(s); ok {
		gauge("log_first_position", "Position of the first record that is kept.", float64(first))
		gauge("log_records", "Records that are kept.", float64(last-first+1))
	}
}

// logBounds returns the positions of the records that are kept.
func (d *Door) logBounds(s atoll.SubnetID) (first, last atoll.Position, ok bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	state, err := d.source.State(ctx, s)
	if err != nil {
		return 0, 0, false
	}
	defer state.Release()
	first, last, err = local.Bounds(state)
	return first, last, err == nil && last > 0
}

func emit(out chan<- prometheus.Metric, name, help string, kind prometheus.ValueType, v float64, labels []string, values ...string) {
	out <- prometheus.MustNewConstMetric(prometheus.NewDesc("atoll_"+name, help, labels, nil), kind, v, values...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}

// total adds up all series of a counter that the doors registered.
func total(registry *prometheus.Registry, names ...string) map[string]float64 {
	sums := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		return sums
	}
	for _, f := range families {
		for _, name := range names {
			if f.GetName() != name {
				continue
			}
			for _, m := range f.GetMetric() {
				sums[name] += m.GetCounter().GetValue()
			}
		}
	}
	return sums
}
