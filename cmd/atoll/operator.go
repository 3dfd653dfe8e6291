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

// operator talks to the operator's door of a node on this machine, or, over TLS
// with the administrator's key, to that part of it which "atoll serve" shows to
// programs.
type operator struct {
	connection
	data string
}

func (o *operator) dataFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.data, "data", defaultData, "data `directory` of the node, whose token is used")
}

// open sends a request and returns the answer if it is a success. Token and key
// are read each time, so that a node that was set up anew is found.
func (o *operator) open(ctx context.Context, method, path string, query url.Values) (*http.Response, error) {
	host, err := o.host()
	if err != nil {
		return nil, err
	}
	token, err := o.token(host)
	if err != nil {
		return nil, err
	}
	u := url.URL{Scheme: "http", Host: host, Path: path, RawQuery: query.Encode()}
	if o.secure() {
		u.Scheme = "https"
	}
	req, err := http.NewRequestWithContext(ctx, method, u.String(), nil)
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "--addr %q is no address", o.addr)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	transport, err := o.transport()
	if err != nil {
		return nil, err
	}
	res, err := transport.RoundTrip(req)
	if err != nil {
		return nil, o.unreachable(err.Error())
	}
	if res.StatusCode != http.StatusOK {
		defer res.Body.Close()
		return nil, o.refusal(res)
	}
	return res, nil
}

// token returns what is sent to a host: the administrator's key over TLS, and
// the token of the data directory to this machine alone.
func (o *operator) token(host string) (string, error) {
	if o.secure() {
		return o.bearer()
	}
	token, err := admin.ReadToken(o.data)
	if err != nil {
		return "", err
	}
	name, _, err := net.SplitHostPort(host)
	if err != nil {
		return "", atoll.Errorf(atoll.Invalid, "--addr %q is no address; it has the form host:port", o.addr)
	}
	if ip := net.ParseIP(name); name != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return "", atoll.Errorf(atoll.Invalid, "the token is only sent to a node on this machine, and %s is elsewhere", o.addr)
	}
	return token, nil
}

// refusal reads an answer that is not a success.
func (o *operator) refusal(res *http.Response) error {
	if res.StatusCode == http.StatusUnauthorized && !o.secure() {
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
		http.StatusUnauthorized: atoll.Unauthenticated, http.StatusForbidden: atoll.PermissionDenied,
	}[res.StatusCode]
	if kind == atoll.OK {
		kind = atoll.Internal
	}
	return o.refused(atoll.Errorf(kind, "%s", p.Error.Message))
}

func consoleCommand() *cobra.Command {
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
	o.addrFlag(cmd)
	o.dataFlag(cmd)
	return cmd
}
