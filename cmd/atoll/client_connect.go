package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"

	"atoll"
)

// Variables in place of the flags of a connection.
const (
	// emulatorVar is the variable by which Google's clients find an emulator.
	emulatorVar = "FIRESTORE_EMULATOR_HOST"
	addrVar     = "ATOLL_ADDR"
	caVar       = "ATOLL_CA"
	keyVar      = "ATOLL_KEY"
)

// connection says how the commands reach a node: in the open, as "atoll dev" is
// reached on its own machine, or over TLS with the administrator's key.
type connection struct{ addr, ca, key string }

const connectionHelp = `A node of "atoll serve" is reached over TLS: --addr https://HOST:PORT, with --ca
for a certificate that the system does not know, and --key for a file with the
administrator's key. ` + addrVar + `, ` + caVar + ` and ` + keyVar + ` stand in for these flags.`

// addrFlag registers the address alone, of a node on this machine.
func (c *connection) addrFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.addr, "addr", firstOf(os.Getenv(emulatorVar), defaultAddress), "`address` of the node; $"+emulatorVar+" if set")
}

// flags registers all that says how to reach a node.
func (c *connection) flags(cmd *cobra.Command) {
	fl := cmd.Flags()
	fl.StringVar(&c.addr, "addr", firstOf(os.Getenv(addrVar), os.Getenv(emulatorVar), defaultAddress),
		"`address` of the node, with https:// if it is one of \"atoll serve\"; $"+addrVar+" or $"+emulatorVar+" if set")
	c.caFlag(cmd)
	fl.StringVar(&c.key, "key", os.Getenv(keyVar), "`file` with the administrator's key of \"atoll serve\"; $"+keyVar+" if set")
}

// caFlag registers the certificate.
func (c *connection) caFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&c.ca, "ca", os.Getenv(caVar), "`file` with the certificate, in PEM, that is believed in place of those of the system; $"+caVar+" if set")
}

// secure reports whether the node is reached over TLS.
func (c *connection) secure() bool {
	return strings.HasPrefix(c.addr, "https://") || c.ca != "" || c.key != ""
}

// host returns host and port. It fails with Invalid.
func (c *connection) host() (string, error) {
	name, plain := strings.CutPrefix(c.addr, "http://")
	name = strings.TrimSuffix(strings.TrimPrefix(name, "https://"), "/")
	if plain && c.secure() {
		return "", atoll.Errorf(atoll.Invalid, "--addr %s is not over TLS, and a key or certificate is used over TLS alone; write https://", c.addr)
	}
	if host, port, err := net.SplitHostPort(name); err != nil || host == "" || port == "" {
		return "", atoll.Errorf(atoll.Invalid, "--addr %q is no address; it has the form host:port, or https://host:port", c.addr)
	}
	return name, nil
}

// tls returns who is believed. It fails with Invalid.
func (c *connection) tls() (*tls.Config, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.ca == "" {
		return conf, nil
	}
	text, err := os.ReadFile(c.ca)
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "--ca: %v", err)
	}
	conf.RootCAs = x509.NewCertPool()
	if !conf.RootCAs.AppendCertsFromPEM(text) {
		return nil, atoll.Errorf(atoll.Invalid, "--ca: %s holds no certificate", c.ca)
	}
	return conf, nil
}

// maxKey bounds what is read of a file with a key.
const maxKey = 4096

// bearer returns what the commands send as their authorization: the key, or the
// word that nodes for development believe. It is empty if there is no key, and
// the node is not for development. It fails with Invalid.
func (c *connection) bearer() (string, error) {
	switch {
	case !c.secure():
		return "owner", nil
	case c.key == "":
		return "", nil
	}
	f, err := os.Open(c.key)
	if err != nil {
		return "", atoll.Errorf(atoll.Invalid, "--key: %v", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxKey))
	if err != nil {
		return "", atoll.Errorf(atoll.Invalid, "--key: %v", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, " \n\r\t") {
		return "", atoll.Errorf(atoll.Invalid, "--key: %s does not hold a key, one line such as \"atoll admin-key rotate\" prints", c.key)
	}
	return key, nil
}

// credentials returns what gRPC connects with.
func (c *connection) credentials() (credentials.TransportCredentials, error) {
	if !c.secure() {
		return insecure.NewCredentials(), nil
	}
	conf, err := c.tls()
	if err != nil {
		return nil, err
	}
	return credentials.NewTLS(conf), nil
}

// transport returns what HTTP connects with.
func (c *connection) transport() (http.RoundTripper, error) {
	if !c.secure() {
		return http.DefaultTransport, nil
	}
	conf, err := c.tls()
	if err != nil {
		return nil, err
	}
	return &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DisableKeepAlives: true}, nil
}

// unreachable says what to do when nobody answers, or not as expected. detail is
// what the transport said.
func (c *connection) unreachable(detail string) error {
	e := &atoll.Error{Kind: atoll.Unavailable, Detail: detail}
	switch {
	case strings.Contains(detail, "x509:"):
		// Not Unavailable: trying again helps nobody.
		e.Kind = atoll.Unauthenticated
		e.Msg = fmt.Sprintf("the certificate of %s is not believed; name the right one with --ca (the self-signed one of \"atoll serve\" is tls.cert.pem in its data directory), and ask for a name that is in it", c.addr)
	case strings.Contains(detail, "does not look like a TLS handshake"), strings.Contains(detail, "server gave HTTP response to HTTPS client"):
		e.Kind = atoll.FailedPrecondition
		e.Msg = fmt.Sprintf("what answers at %s does not speak TLS; for a node of \"atoll dev\" leave https://, --ca and --key out", c.addr)
	case !c.secure() && strings.Contains(detail, "server preface"):
		e.Kind = atoll.FailedPrecondition
		e.Msg = fmt.Sprintf("what answers at %s is no node of \"atoll dev\"; one of \"atoll serve\" is reached with --addr https://%[1]s, --ca and --key", c.addr)
	case c.secure():
		e.Msg = fmt.Sprintf("no node answers at %s; start one with \"atoll serve\", or name its address with --addr or $%s", c.addr, addrVar)
	default:
		e.Msg = fmt.Sprintf("no node answers at %s; start one with \"atoll dev\", or name its address with --addr or $%s", c.addr, emulatorVar)
	}
	return e
}

// refused adds to an error of the node what can be done about it here.
func (c *connection) refused(e *atoll.Error) error {
	switch {
	case !c.secure() || e.Kind != atoll.Unauthenticated && e.Kind != atoll.PermissionDenied:
		return e
	case c.key == "":
		return atoll.Errorf(e.Kind, "the node at %s wants the administrator's key; name a file that holds it with --key or $%s. It says: %s", c.addr, keyVar, e.Msg)
	}
	return atoll.Errorf(e.Kind, "the node at %s does not take the key in %s (--key). It says: %s", c.addr, c.key, e.Msg)
}
