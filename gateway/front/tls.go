package front

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"
)

// Names of protocols in the TLS extension ALPN (RFC 7301).
const (
	alpnHTTP2 = "h2"
	alpnHTTP1 = "http/1.1"
)

// tlsConfig returns the configuration under which strangers are served.
func tlsConfig(c *Certificate) *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{alpnHTTP2, alpnHTTP1},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.Current(), nil },
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
			if c, ok := hello.Conn.(*conn); ok {
				c.onlyHTTP2 = slices.Contains(hello.SupportedProtos, alpnHTTP2) && !slices.Contains(hello.SupportedProtos, alpnHTTP1)
			}
			return nil, nil // go on with this configuration
		},
	}
}

// handshake agrees on keys and protocol. The connection speaks native gRPC if
// its client offered HTTP/2 and nothing else: Google's clients do, browsers and
// HTTP libraries never.
func (f *Front) handshake(c *conn, deadline time.Time) (secure *tls.Conn, isGRPC bool, err error) {
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	secure = tls.Server(c, f.tls)
	err = secure.HandshakeContext(ctx)
	var plain tls.RecordHeaderError
	if errors.As(err, &plain) && plain.Conn != nil && looksLikeHTTP(plain.RecordHeader) {
		c.SetWriteDeadline(deadline)
		io.WriteString(c, "HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\r\nthis port speaks TLS; use https://\n")
	}
	if err != nil {
		return nil, false, err
	}
	return secure, c.onlyHTTP2, nil
}

// looksLikeHTTP reports whether what should be the head of a TLS record is the
// beginning of a request.
func looksLikeHTTP(head [5]byte) bool {
	return slices.Contains([]string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO", "PATCH", "DELET"}, string(head[:]))
}

// withGRPC gives requests of gRPC that came over the HTTP server, because their
// client or a proxy offered HTTP/1.1 too, to the handler for them. Such a
// request may be a stream that lasts; the service bounds it.
func withGRPC(grpc, other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor != 2 || !strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			other.ServeHTTP(w, r)
			return
		}
		http.NewResponseController(w).SetReadDeadline(time.Time{}) // HTTP/2 has deadlines; an error could only end the request early
		grpc.ServeHTTP(w, r)
	})
}
