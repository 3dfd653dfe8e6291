package front

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"atoll"
)

// Names of the files of a self-signed certificate in the data directory.
const (
	SelfSignedCert = "tls.cert.pem"
	SelfSignedKey  = "tls.key.pem"
)

const (
	// selfSignedLife is long because clients pin the certificate: a new one
	// must be given to each of them.
	selfSignedLife = 10 * 365 * 24 * time.Hour
	// reloadEvery is how often the files are looked at, while handshakes come.
	reloadEvery = time.Second
)

// Certificate is a certificate with its key that follows its two files: within
// a second after both were replaced, new connections get the new one. While
// they do not fit together, the one before stays.
type Certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex // guards what follows; files are read under it
	current *tls.Certificate
	looked  time.Time         // when the files were looked at
	hash    [sha256.Size]byte // of the files, as they were read last
}

// OpenCertificate reads a certificate chain and its key, both in PEM. It fails
// with Invalid, saying which file is wrong.
func OpenCertificate(certFile, keyFile string, log *slog.Logger) (*Certificate, error) {
	if log == nil {
		log = slog.Default()
	}
	c := &Certificate{certFile: certFile, keyFile: keyFile, log: log}
	c.looked = time.Now()
	if _, err := c.read(); err != nil {
		return nil, err
	}
	return c, nil
}

// read reads both files, and uses what they hold if it is new and good. By
// their contents, because two changes in quick succession have one time stamp.
func (c *Certificate) read() (isNew bool, err error) {
	cert, err := os.ReadFile(c.certFile)
	if err != nil {
		return false, c.unusable(err)
	}
	key, err := os.ReadFile(c.keyFile)
	if err != nil {
		return false, c.unusable(err)
	}
	hash := sha256.Sum256(append(slices.Clone(cert), key...))
	if hash == c.hash {
		return false, nil
	}
	c.hash = hash // what is wrong is told once
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		return false, c.unusable(err)
	}
	c.current = &pair
	return true, nil
}

func (c *Certificate) unusable(err error) error {
	return atoll.Errorf(atoll.Invalid, "the certificate %s with the key %s cannot be used: %v", c.certFile, c.keyFile, err)
}

// Current returns the certificate to show now.
func (c *Certificate) Current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := time.Now(); now.Sub(c.looked) >= reloadEvery {
		c.looked = now
		c.reload()
	}
	return c.current
}

func (c *Certificate) reload() {
	isNew, err := c.read()
	switch {
	case err != nil:
		c.log.Warn("the certificate's files cannot be used; the one before stays", "error", err)
	case isNew:
		c.log.Info("a new certificate is in use", "fingerprint", fingerprint(c.current), "until", c.current.Leaf.NotAfter)
	}
}

// NotAfter is when the certificate expires.
func (c *Certificate) NotAfter() time.Time { return c.Current().Leaf.NotAfter }

// Fingerprint returns the SHA-256 hash of the certificate, in hexadecimal, as
// "openssl x509 -fingerprint -sha256" prints it.
func (c *Certificate) Fingerprint() string { return fingerprint(c.Current()) }

func fingerprint(pair *tls.Certificate) string {
	sum := sha256.Sum256(pair.Certificate[0])
	return strings.ReplaceAll(fmt.Sprintf("% X", sum[:]), " ", ":")
}

// Names returns the names and addresses that the certificate is for, without
// those that stand for many.
func (c *Certificate) Names() []string {
	leaf := c.Current().Leaf
	var names []string
	for _, n := range leaf.DNSNames {
		if !strings.Contains(n, "*") {
			names = append(names, n)
		}
	}
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// SelfSigned makes a self-signed certificate in a directory, for the names
// given, this machine's, and loopback; or leaves the one that is there. It
// returns its two files, the key's readable by its owner alone.
func SelfSigned(dir string, names []string) (certFile, keyFile string, err error) {
	certFile, keyFile = filepath.Join(dir, SelfSignedCert), filepath.Join(dir, SelfSignedKey)
	_, err = os.Stat(certFile)
	if err == nil {
		return certFile, keyFile, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", "", atoll.Errorf(atoll.PermissionDenied, "cannot look for the certificate: %v", err)
	}
	cert, key, err := makeCertificate(names)
	if err != nil {
		return "", "", atoll.Errorf(atoll.Internal, "cannot make a certificate: %v", err)
	}
	// The key first: a certificate that is there always has its key.
	for _, f := range []struct {
		name string
		text []byte
		mode fs.FileMode
	}{{keyFile, key, 0o600}, {certFile, cert, 0o644}} {
		if err := replace(f.name, f.text, f.mode); err != nil {
			return "", "", atoll.Errorf(atoll.Unavailable, "cannot store the certificate: %v", err)
		}
	}
	return certFile, keyFile, nil
}

// replace writes a file that is there whole or not at all.
func replace(name string, text []byte, mode fs.FileMode) error {
	temp := name + ".tmp"
	os.Remove(temp) // of an attempt that was cut off; if it stays, opening fails
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return err
	}
	return os.Rename(temp, name)
}

func makeCertificate(names []string) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	now := time.Now()
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "Atoll, self-signed"},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(selfSignedLife),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
	}
	if name, err := os.Hostname(); err == nil {
		names = append(names, name)
	}
	seen := map[string]bool{"": true}
	for _, n := range append(names, "localhost", "127.0.0.1", "::1") {
		if seen[n] {
			continue
		}
		seen[n] = true
		if ip := net.ParseIP(n); ip == nil {
			template.DNSNames = append(template.DNSNames, n)
		} else if !ip.IsUnspecified() {
			template.IPAddresses = append(template.IPAddresses, ip)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, err
	}
	raw, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}), nil
}
