package backup_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"atoll"
	"atoll/backup"
	"atoll/host"
)

// objectServer is a server of the protocol of Amazon S3 that lets in who has the
// right key, and that can be made to fail.
type objectServer struct {
	http.Handler
	location string // of backups
	client   *minio.Client

	mu     sync.Mutex
	puts   int  // requests that stored something
	failAt int  // this one and those behind it fail; 0: none
	cut    bool // answers end in the middle
}

const accessKey = "the-right-key"

func (s *objectServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	put := r.Method == http.MethodPut || r.Method == http.MethodPost
	if put {
		s.puts++
	}
	fail, cut := put && s.failAt > 0 && s.puts >= s.failAt, s.cut && strings.Contains(r.URL.Path, "/objects/")
	s.mu.Unlock()
	switch {
	case !strings.Contains(r.Header.Get("Authorization"), "Credential="+accessKey+"/"):
		w.WriteHeader(http.StatusForbidden)
		io.WriteString(w, `<?xml version="1.0" encoding="UTF-8"?><Error><Code>InvalidAccessKeyId</Code><Message>There is no such key</Message></Error>`)
	case fail:
		io.CopyN(io.Discard, r.Body, 1000)
		panic(http.ErrAbortHandler) // the connection is gone in the middle
	case cut:
		s.Handler.ServeHTTP(&shortWriter{w, 100}, r)
		panic(http.ErrAbortHandler)
	default:
		s.Handler.ServeHTTP(w, r)
	}
}

// shortWriter lets some bytes pass.
type shortWriter struct {
	http.ResponseWriter
	room int
}

func (s *shortWriter) Write(p []byte) (int, error) {
	n := min(len(p), s.room)
	s.room -= n
	s.ResponseWriter.Write(p[:n])
	return len(p), nil
}

func (s *objectServer) set(failAt int, cut bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.puts, s.failAt, s.cut = 0, failAt, cut
}

func startObjectServer(t *testing.T) *objectServer {
	t.Helper()
	s := &objectServer{Handler: gofakes3.New(s3mem.New()).Server()}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	t.Setenv("AWS_ACCESS_KEY_ID", accessKey)
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	var err error
	s.client, err = minio.New(strings.TrimPrefix(server.URL, "http://"), &minio.Options{Creds: credentials.NewEnvAWS(), Region: "us-east-1"})
	if err == nil {
		err = s.client.MakeBucket(t.Context(), "backups", minio.MakeBucketOptions{})
	}
	if err != nil {
		t.Fatal(err)
	}
	s.location = "s3://backups/of/atoll?endpoint=" + url.QueryEscape(server.URL)
	return s
}

// TestBucket makes backups in a bucket, and restores each elsewhere.
func TestBucket(t *testing.T) {
	s := startObjectServer(t)
	dir := t.TempDir()
	h := start(t, dir, 2)
	d := atoll.Database{Project: "p", ID: "db"}
	for i := range 5 {
		for n := range 20 {
			if _, err := set(t.Context(), h, d, fmt.Sprint("c/", n), i); err != nil {
				t.Fatal(err)
			}
		}
		m, err := h.Backup(t.Context(), s.location, i == 3, quiet)
		if err != nil {
			t.Fatal(err)
		}
		if full := m.Kind == backup.Full; full != (i == 0 || i == 3) || m.Number != i+1 {
			t.Errorf("backup %d is number %d and %s", i+1, m.Number, m.Kind)
		}
	}
	if all, err := backup.Verify(t.Context(), s.location, quiet); err != nil || len(all) != 5 {
		t.Fatal(len(all), err)
	}
	for i := range 5 {
		to, m, err := restore(t, s.location, i+1)
		if err != nil {
			t.Fatalf("backup %d: %v", i+1, err)
		}
		if _, err := backup.Compare(t.Context(), s.location, i+1, backup.Target{Dir: to, SubnetDir: host.SubnetDir}, quiet); err != nil {
			t.Errorf("backup %d: %v", i+1, err)
		}
		again := start(t, to, 2)
		if got, want := documents(t, again, d, m.Time), documents(t, h, d, m.Time); got != want {
			t.Errorf("backup %d: restored\n%s\nsource\n%s", i+1, got, want)
		}
		again.Close()
	}
	if _, err := os.Stat(dir + "/backup-stage"); !os.IsNotExist(err) {
		t.Error("the checkpoint is still there")
	}
}

// TestBucketInterrupted loses the connection while something is sent: there is no
// backup then, and there is one when it is repeated.
func TestBucketInterrupted(t *testing.T) {
	s := startObjectServer(t)
	h := start(t, t.TempDir(), 1)
	if _, err := set(t.Context(), h, atoll.Database{Project: "p", ID: "db"}, "c/d", 1); err != nil {
		t.Fatal(err)
	}
	s.set(3, false)
	for range 2 {
		if _, err := h.Backup(t.Context(), s.location, false, quiet); atoll.KindOf(err) != atoll.Unavailable {
			t.Fatal(err)
		}
		if all, err := backup.List(t.Context(), s.location); err != nil || len(all) > 0 {
			t.Fatal(all, err)
		}
		s.set(2, false)
	}
	s.set(0, false)
	if _, err := h.Backup(t.Context(), s.location, false, quiet); err != nil {
		t.Fatal(err)
	}
	s.set(0, true) // downloads end in the middle
	if to, _, err := restore(t, s.location, 0); err == nil {
		t.Error("a cut download is restored")
	} else if _, err := os.Stat(to); !os.IsNotExist(err) {
		t.Error("a cut download leaves a data directory")
	}
	s.set(0, false)
	if _, _, err := restore(t, s.location, 0); err != nil {
		t.Error(err)
	}
}

// TestBucketRefused has no right to a bucket, or none that is there.
func TestBucketRefused(t *testing.T) {
	s := startObjectServer(t)
	h := start(t, t.TempDir(), 1)
	none := strings.Replace(s.location, "//backups", "//others", 1)
	if _, err := h.Backup(t.Context(), none, false, quiet); atoll.KindOf(err) != atoll.NotFound || !strings.Contains(err.Error(), "there is no bucket others") {
		t.Errorf("no bucket: %v", err)
	}
	for _, bad := range []string{"s3://", "s3:///x", "s3://b?x=1", "s3://b?endpoint=host", "s3://b?endpoint=ftp://host", "s3://user:word@b/", "s3://b/%zz"} {
		if _, err := backup.List(t.Context(), bad); atoll.KindOf(err) != atoll.Invalid {
			t.Errorf("%s: %v", bad, err)
		}
	}
	t.Setenv("AWS_ACCESS_KEY_ID", "another-key")
	_, err := h.Backup(t.Context(), s.location, false, quiet)
	if atoll.KindOf(err) != atoll.PermissionDenied || !strings.Contains(err.Error(), "AWS_ACCESS_KEY_ID") || !strings.Contains(err.Error(), "InvalidAccessKeyId") {
		t.Errorf("a wrong key: %v", err)
	}
	if _, _, err := restore(t, s.location, 0); atoll.KindOf(err) != atoll.PermissionDenied {
		t.Errorf("a wrong key for a restore: %v", err)
	}
}

// TestBucketDamage removes, cuts and changes each file in a bucket in turn: none
// passes.
func TestBucketDamage(t *testing.T) {
	s := startObjectServer(t)
	h := start(t, t.TempDir(), 1)
	for i := range 2 {
		if _, err := set(t.Context(), h, atoll.Database{Project: "p", ID: "db"}, "c/d", i); err != nil {
			t.Fatal(err)
		}
		if _, err := h.Backup(t.Context(), s.location, false, quiet); err != nil {
			t.Fatal(err)
		}
	}
	put := func(key string, b []byte) {
		if _, err := s.client.PutObject(t.Context(), "backups", key, bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	files := 0
	for o := range s.client.ListObjectsIter(t.Context(), "backups", minio.ListObjectsOptions{Recursive: true}) {
		files++
		f, err := s.client.GetObject(t.Context(), "backups", o.Key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		whole, err := io.ReadAll(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"missing", "cut", "flipped", "longer"} {
			bad := bytes.Clone(whole)
			switch {
			case what == "longer":
				bad = append(bad, 'x')
			case len(whole) == 0:
				continue
			case what == "missing":
				// Nothing can tell that the last backup is missing altogether.
				if strings.HasSuffix(o.Key, "backup-000002.json") {
					continue
				}
				if err := s.client.RemoveObject(t.Context(), "backups", o.Key, minio.RemoveObjectOptions{}); err != nil {
					t.Fatal(err)
				}
			case what == "cut":
				bad = bad[:len(bad)/2]
			default:
				bad[len(bad)/2] ^= 1
			}
			if what != "missing" {
				put(o.Key, bad)
			}
			if _, err := backup.Verify(t.Context(), s.location, quiet); atoll.KindOf(err) != atoll.DataLoss && (atoll.KindOf(err) != atoll.FailedPrecondition || !strings.HasSuffix(o.Key, ".json")) {
				t.Errorf("%s %s passes the check: %v", o.Key, what, err)
			}
			if to, _, err := restore(t, s.location, 2); err == nil {
				t.Errorf("%s %s is restored", o.Key, what)
			} else if _, err := os.Stat(to); !os.IsNotExist(err) {
				t.Errorf("%s %s leaves a data directory", o.Key, what)
			}
		}
		put(o.Key, whole)
	}
	if files < 8 {
		t.Errorf("%d files", files)
	}
	if _, _, err := restore(t, s.location, 2); err != nil {
		t.Errorf("the whole backup: %v", err)
	}
}
