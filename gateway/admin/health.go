package admin

import (
	"net/http"

	"atoll"
)

// Health is the answer of /healthz.
type Health struct {
	Status  string         `json:"status"` // "ok" or "failing"
	Version string         `json:"version"`
	Subnets []SubnetHealth `json:"subnets"`
}

// SubnetHealth is how one subnet does.
type SubnetHealth struct {
	Subnet atoll.SubnetID `json:"subnet"`
	Status string         `json:"status"` // "ok", "refusing writes" or "stopped"
	Height atoll.Height   `json:"height"` // durable
	Reason string         `json:"reason,omitempty"`
}

// health looks at all subnets.
func (d *Door) health() Health {
	h := Health{Status: "ok", Version: d.version, Subnets: []SubnetHealth{}}
	for s := range atoll.SubnetID(d.source.Subnets()) {
		one := SubnetHealth{Subnet: s, Status: "ok"}
		rep, err := d.source.Report(s)
		if err == nil {
			one.Height, err = rep.Head.Height, rep.Err
		}
		switch {
		case err != nil:
			one.Status, one.Reason = "stopped", reason(err)
		case rep.Refusing != nil:
			one.Status, one.Reason = "refusing writes", reason(rep.Refusing)
		}
		if one.Status != "ok" {
			h.Status = "failing"
		}
		h.Subnets = append(h.Subnets, one)
	}
	return h
}

// reason is what anybody may know of an error.
func reason(err error) string { return atoll.AsError(err).Msg }

// healthz answers with 200 if every subnet runs and takes writes, and with 503
// otherwise.
func (d *Door) healthz(w http.ResponseWriter, _ *http.Request) {
	h := d.health()
	status := http.StatusOK
	if h.Status != "ok" {
		status = http.StatusServiceUnavailable
	}
	writeStatus(w, status, h)
}
