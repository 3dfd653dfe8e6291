package front

import (
	"context"
	"errors"
	"net"
	"syscall"
	"time"

	"atoll"
)

// ListenLoopback listens on host:port, which must be of this machine alone: a
// loopback address, or a name all of whose addresses are. It fails with
// Invalid, or with Unavailable if the address is in use.
func ListenLoopback(address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "%q is not an address to listen on; it has the form host:port, such as 127.0.0.1:4943", address)
	}
	if err := checkLoopback(host); err != nil {
		return nil, err
	}
	l, err := Listen(address)
	if err != nil {
		return nil, err
	}
	if tcp, ok := l.Addr().(*net.TCPAddr); !ok || !tcp.IP.IsLoopback() {
		l.Close()
		return nil, notLoopback(host)
	}
	return l, nil
}

// Listen listens on host:port, without a host on every network of the machine.
// It fails with Invalid, or with Unavailable if the address is in use.
func Listen(address string) (net.Listener, error) {
	l, err := net.Listen("tcp", address)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return nil, atoll.Errorf(atoll.Unavailable, "%s is in use: another program, perhaps another atoll, listens there; stop it, or choose another address", address)
	case err != nil:
		return nil, atoll.Errorf(atoll.Invalid, "cannot listen on %s: %v", address, err)
	}
	return l, nil
}

func checkLoopback(host string) error {
	if host == "" {
		return atoll.Errorf(atoll.Invalid, "an address without a host means every network of this machine; only loopback is allowed, such as 127.0.0.1")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	ips, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err != nil {
		return atoll.Errorf(atoll.Invalid, "cannot listen on %q: %v", host, err)
	}
	for _, ip := range ips {
		if !ip.IP.IsLoopback() {
			return notLoopback(host)
		}
	}
	return nil
}

func notLoopback(host string) error {
	return atoll.Errorf(atoll.Invalid, "%s can be reached from other machines, and everybody may read and write everything here; only loopback is allowed, such as 127.0.0.1", host)
}
