package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"

	"github.com/spf13/cobra"

	"atoll"
	"atoll/gateway/admin"
)

// operator talks to the operator's door of a node on this machine.
type operator struct{ addr, data string }

func (o *operator) dataFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.data, "data", defaultData, "data `directory` of the node, whose token is used")
}

// open sends a request and returns the answer if it is a success. The token is
// read each time, so that a node that was set up anew is found.
func (o *operator) open(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	token, err := admin.ReadToken(o.data)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "http", Host: o.addr, Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "--addr %q is no address", o.addr)
	}
	host, _, err := net.SplitHostPort(o.addr)
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "--addr %q is no address; it has the form host:port", o.addr)
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, atoll.Errorf(atoll.Invalid, "the token is only sent to a node on this machine, and %s is elsewhere", o.addr)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, &atoll.Error{
			Kind: atoll.Unavailable, Detail: err.Error(),
			Msg: fmt.Sprintf("no node answers at %s; start one with \"atoll dev\", or name its address with --addr", o.addr),
		}
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, o.refusal(res)
	}
	return res, nil
}

// refusal reads an answer that is not a success.
func (o *operator) refusal(res *http.Response) error {
	if res.StatusCode == http.StatusUnauthorized {
		return atoll.Errorf(atoll.Unauthenticated, "the node at %s does not know the token of %s; is that its data directory? Name it with --data", o.addr, o.data)
	}
	body, err := io.ReadAll(io.LimitReader(res.Body, 64<<10))
	var p admin.Problem
	if err != nil || json.Unmarshal(body, &p) != nil || p.Error.Message == "" {
		return atoll.Errorf(atoll.Unavailable, "the node at %s answered %s: %.200s", o.addr, res.Status, body)
	}
	kind := map[int]atoll.Kind{
		http.StatusNotFound: atoll.NotFound, http.StatusBadRequest: atoll.Invalid, http.StatusGone: atoll.FailedPrecondition,
		http.StatusTooManyRequests: atoll.ResourceExhausted, http.StatusServiceUnavailable: atoll.Unavailable,
	}[res.StatusCode]
	if kind == atoll.OK {
		kind = atoll.Internal
	}
	return atoll.Errorf(kind, "%s", p.Error.Message)
}

func consoleCommand() *cobra.Command {
	var t target
	var o operator
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Print a link to the console of a node on this machine",
		Long: `console prints a link that opens the console and the viewers below /debug/ in a
browser. It works once; the browser then stays signed in for 30 days.

Programs, such as Prometheus, send the token in the file admin.token of the data
directory instead, as "Authorization: Bearer".`,
		Args: arguments(0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			o.addr = t.addr
			ctx, cancel := context.WithTimeout(cmd.Context(), requestTime)
			defer cancel()
			res, err := o.open(ctx, http.MethodPost, "/v1/links", nil)
			if err != nil {
				return err
			}
			defer res.Body.Close()
			var reply struct{ Link string }
			if err := json.NewDecoder(res.Body).Decode(&reply); err != nil {
				return atoll.Errorf(atoll.Unavailable, "the node's answer cannot be read: %v", err)
			}
			_, err = fmt.Fprintln(cmd.OutOrStdout(), reply.Link)
			return err
		},
	}
	t.addrFlag(cmd)
	o.dataFlag(cmd)
	return cmd
}
