package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/admin"
)

const healthPath = "/healthz"

// healthTime bounds a look at a node's health.
const healthTime = 5 * time.Second

// withHealth has a node that is stopping say so; otherwise the operator's door
// tells how it does.
func (s *server) withHealth(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == healthPath && s.stopping.Load() {
			answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
			return
		}
		next.ServeHTTP(w, r)
	})
}

// strangers serves on the data port what is neither gRPC nor REST.
func (s *server) strangers(programs http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if admin.OwnsProgram(r) {
			programs.ServeHTTP(w, r)
			return
		}
		s.stranger(w, r)
	})
}

// stranger answers what nobody else does: health,
// without the details that are the operator's.
func (s *server) stranger(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.URL.Path != healthPath:
		answer(w, http.StatusNotFound, map[string]string{"error": "only Firestore's addresses and " + healthPath + " are here; the console is on the operator's port"})
	case s.stopping.Load():
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "stopping"})
	case healthy(s.source):
		answer(w, http.StatusOK, map[string]string{"status": "ok"})
	default:
		answer(w, http.StatusServiceUnavailable, map[string]string{"status": "failing"})
	}
}

// healthy reports whether every subnet runs and takes writes.
func healthy(source admin.Source) bool {
	for s := range atoll.SubnetID(source.Subnets()) {
		if r, err := source.Report(s); err != nil || r.Err != nil || r.Refusing != nil {
			return false
		}
	}
	return true
}

func answer(w http.ResponseWriter, status int, v map[string]string) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v) // an error is the client's, who has gone
}

// notifyManager tells systemd about a change of state, by the protocol of
// sd_notify(3): a datagram to the socket that the environment names.
func notifyManager(state string) error {
	name := os.Getenv("NOTIFY_SOCKET")
	if name == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: name, Net: "unixgram"}) // a leading @ is an abstract name
	if err != nil {
		return err
	}
	defer c.Close()
	_, err = io.WriteString(c, state)
	return err
}

func healthCommand() *cobra.Command {
	var c connection
	cmd := &cobra.Command{
		Use:   "health",
		Short: "Ask a node whether it is well",
		Long: `health asks a node whether all is well with it, and exits with 0 if it is and
with 1 if it is failing, is stopping, or does not answer.

An address without https:// is that of "atoll dev", or of the operator's door of
"atoll serve".`,
		Example: `  atoll health --addr ` + defaultOperator + `
  atoll health --addr https://db.example.com:4943 --ca tls.cert.pem`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), healthTime)
			defer cancel()
			status, err := askHealth(ctx, &c)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), status)
			return err
		},
	}
	c.addrFlag(cmd)
	c.caFlag(cmd)
	return cmd
}

// askHealth returns what a node says of itself. It fails with Unavailable if
// that is nothing good.
func askHealth(ctx context.Context, c *connection) (string, error) {
	host, err := c.host()
	if err != nil {
		return "", err
	}
	addr := "http://" + host
	if c.secure() {
		addr = "https://" + host
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, addr+healthPath, nil)
	if err != nil {
		return "", atoll.Errorf(atoll.Invalid, "--addr %q is no address", addr)
	}
	transport, err := c.transport()
	if err != nil {
		return "", err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return "", atoll.Errorf(atoll.Unavailable, "no node answers at %s: %v", addr, err)
	}
	defer res.Body.Close()
	var said struct{ Status string }
	if err := json.NewDecoder(io.LimitReader(res.Body, 64<<10)).Decode(&said); err != nil || said.Status == "" {
		return "", atoll.Errorf(atoll.Unavailable, "what answers at %s with %s is no node", addr, res.Status)
	}
	if res.StatusCode != http.StatusOK {
		return "", atoll.Errorf(atoll.Unavailable, "the node at %s is %s", addr, said.Status)
	}
	return said.Status, nil
}
