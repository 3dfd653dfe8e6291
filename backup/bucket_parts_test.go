package backup

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"

	"github.com/johannesboyne/gofakes3"
	"github.com/johannesboyne/gofakes3/backend/s3mem"

	"atoll"
)

// TestBucketParts sends a file of several parts, of which first one is lost and
// then one is changed on its way: it is not there until all are.
func TestBucketParts(t *testing.T) {
	parts, broken := 0, ""
	faked := gofakes3.New(s3mem.New(), gofakes3.WithAutoBucket(true)).Server()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if number := r.URL.Query().Get("partNumber"); number != "" {
			parts++
			switch {
			case number != "2":
			case broken == "lost":
				panic(http.ErrAbortHandler)
			case broken == "changed":
				body, _ := io.ReadAll(r.Body)
				body[len(body)/2] ^= 1
				r.Body = io.NopCloser(bytes.NewReader(body))
			}
		}
		faked.ServeHTTP(w, r)
	}))
	defer server.Close()
	t.Setenv("AWS_ACCESS_KEY_ID", "key")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "secret")
	v, err := openVault("s3://bucket/x?endpoint=" + url.QueryEscape(server.URL))
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.Background()
	text := bytes.Repeat([]byte("0123456789abcdef"), (2*partBytes+partBytes/2)/16)
	sum := sha256.Sum256(text)
	o := Object{Hash: hex.EncodeToString(sum[:]), Size: int64(len(text))}
	for _, broken = range []string{"lost", "changed"} {
		if _, err := store(ctx, v, bytes.NewReader(text)); atoll.KindOf(err) != atoll.Unavailable {
			t.Errorf("a part is %s: %v", broken, err)
		}
		if v.has(ctx, o) {
			t.Errorf("a part is %s, and the file is there", broken)
		}
		if err := check(ctx, v, o); atoll.KindOf(err) != atoll.DataLoss {
			t.Errorf("a part is %s: %v", broken, err)
		}
	}
	broken, parts = "", 0
	if _, err := store(ctx, v, bytes.NewReader(text)); err != nil || parts != 3 {
		t.Fatalf("%d parts: %v", parts, err)
	}
	if err := check(ctx, v, o); err != nil || !v.has(ctx, o) {
		t.Error(err)
	}
	if _, err := store(ctx, v, bytes.NewReader(text)); err != nil || parts != 3 {
		t.Errorf("what is there is sent again, in %d parts: %v", parts-3, err)
	}
	if err := v.publish(ctx, manifestName(1), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := v.publish(ctx, manifestName(1), []byte("{}")); atoll.KindOf(err) != atoll.Aborted {
		t.Errorf("a name is given twice: %v", err)
	}
	f, err := v.open(ctx, "none")
	if err == nil {
		_, err = f.Read(make([]byte, 1))
	}
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is missing: %v", err)
	}
}
