package backup

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"atoll"
)

const (
	// bucketScheme begins the location of a bucket.
	bucketScheme = "s3://"
	// defaultEndpoint is Amazon's own.
	defaultEndpoint = "https://s3.amazonaws.com"
	// partBytes is the size of the parts in which large files are sent; some
	// of them are held in memory.
	partBytes = 16 << 20
	// bucketTries is how often a request is sent before it has failed.
	bucketTries = 3
)

// Variables of the environment, as Amazon's tools name them. The credentials
// are in AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN.
const (
	endpointVar = "AWS_ENDPOINT_URL"
	regionVar   = "AWS_REGION"
)

// emptyObject is the file of no bytes. It is not stored in buckets, since some
// servers refuse it: its name says what it holds.
const emptyObject = "objects/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

// IsBucket reports whether a location is a bucket rather than a folder. It has
// the form s3://bucket/prefix?endpoint=https://host:port&region=name; prefix,
// endpoint and region may be left out.
func IsBucket(location string) bool { return strings.HasPrefix(location, bucketScheme) }

// bucket is a vault in a bucket that is reached by the protocol of Amazon S3.
type bucket struct {
	client       *minio.Client
	name, prefix string // the prefix is empty or ends with a slash
	location     string
}

// openBucket reads the location of a bucket. It fails with Invalid. Nothing is
// asked of the server.
func openBucket(location string) (*bucket, error) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" || u.User != nil || u.Fragment != "" {
		return nil, atoll.Errorf(atoll.Invalid, "%q is no location of a bucket; it has the form s3://bucket/prefix", location)
	}
	q := u.Query()
	for name := range q { // order does not matter
		if name != "endpoint" && name != "region" {
			return nil, atoll.Errorf(atoll.Invalid, "the location %q has a %q; it can have an endpoint and a region", location, name)
		}
	}
	end := firstOf(q.Get("endpoint"), os.Getenv(endpointVar), defaultEndpoint)
	at, err := url.Parse(end)
	if err != nil || at.Scheme != "https" && at.Scheme != "http" || at.Host == "" || strings.Trim(at.Path, "/") != "" {
		return nil, atoll.Errorf(atoll.Invalid, "%q is no endpoint; it has the form https://host or https://host:port", end)
	}
	b := &bucket{name: u.Host, prefix: strings.Trim(u.Path, "/"), location: bucketScheme + u.Host + u.Path}
	if b.prefix != "" {
		b.prefix += "/"
	}
	b.client, err = minio.New(at.Host, &minio.Options{
		Creds: credentials.NewEnvAWS(), Secure: at.Scheme == "https", MaxRetries: bucketTries,
		Region: firstOf(q.Get("region"), os.Getenv(regionVar), "us-east-1"),
	})
	if err != nil {
		return nil, atoll.Errorf(atoll.Invalid, "%q is no endpoint: %v", end, err)
	}
	return b, nil
}

func firstOf(texts ...string) string {
	for _, s := range texts {
		if s != "" {
			return s
		}
	}
	return ""
}

// String implements vault.
func (b *bucket) String() string { return b.location }

// problem says what a failed request means, and what to do about it.
func (b *bucket) problem(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return interrupted(ctx)
	}
	e := minio.ToErrorResponse(err)
	switch {
	case e.Code == minio.NoSuchKey:
		return fs.ErrNotExist
	case e.Code == minio.NoSuchBucket:
		return atoll.Errorf(atoll.NotFound, "there is no bucket %s at %s; make it first", b.name, b.client.EndpointURL())
	case e.StatusCode == http.StatusForbidden || e.StatusCode == http.StatusUnauthorized:
		return atoll.Errorf(atoll.PermissionDenied, "%s does not allow it (%s: %s); the credentials are taken from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment of whoever reads or writes the bucket: the node for a backup, the command for verify and restore",
			b.client.EndpointURL(), e.Code, e.Message)
	}
	return atoll.Errorf(atoll.Unavailable, "%s failed at %s: %v; what is stored already is not sent again when the backup is repeated", b.location, b.client.EndpointURL(), err)
}

func (b *bucket) manifests(ctx context.Context) (names []string, err error) {
	list := b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Prefix: b.prefix + "backup-"})
	for o := range list {
		if o.Err != nil {
			return nil, b.problem(ctx, o.Err)
		}
		if name := strings.TrimPrefix(o.Key, b.prefix); isManifest(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names, nil
}

// open implements vault. A file that is missing is noticed when it is read.
func (b *bucket) open(ctx context.Context, name string) (io.ReadCloser, error) {
	if name == emptyObject {
		return http.NoBody, nil
	}
	o, err := b.client.GetObject(ctx, b.name, b.prefix+name, minio.GetObjectOptions{})
	if err != nil {
		return nil, b.problem(ctx, err)
	}
	return &bucketFile{o, b, ctx}, nil
}

// bucketFile is a file of a bucket that is read.
type bucketFile struct {
	*minio.Object
	from *bucket
	ctx  context.Context
}

// Read implements io.Reader.
func (f *bucketFile) Read(p []byte) (int, error) {
	n, err := f.Object.Read(p)
	if err != nil && err != io.EOF {
		err = f.from.problem(f.ctx, err)
	}
	return n, err
}

// has asks for the size alone: the server has compared what was sent with its
// hash, and Verify reads all.
func (b *bucket) has(ctx context.Context, o Object) bool {
	if o.Size == 0 {
		return true
	}
	info, err := b.client.StatObject(ctx, b.name, b.prefix+objectName(o.Hash), minio.StatObjectOptions{})
	return err == nil && info.Size == o.Size
}

// put implements vault. A file of more than a part is sent in parts, and is there
// when all are; each is compared with its hash by the server.
func (b *bucket) put(ctx context.Context, name string, from io.Reader, size int64) error {
	// The struct hides that the reader can do more: parts are read one by one.
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, struct{ io.Reader }{from}, size, minio.PutObjectOptions{
		ContentType: "application/octet-stream", PartSize: partBytes, NumThreads: 1, SendContentMd5: true, DisableContentSha256: true,
	})
	return b.problem(ctx, err)
}

func (b *bucket) publish(ctx context.Context, name string, text []byte) error {
	opt := minio.PutObjectOptions{ContentType: "application/json", SendContentMd5: true, DisableContentSha256: true}
	opt.SetMatchETagExcept("*") // fails if the name is taken
	_, err := b.client.PutObject(ctx, b.name, b.prefix+name, bytes.NewReader(text), int64(len(text)), opt)
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return takenName(b)
	}
	return b.problem(ctx, err)
}

// staging implements vault: beside the store, whose files a checkpoint shares, so
// that it takes next to no room.
func (b *bucket) staging(beside string) (string, error) {
	err := os.RemoveAll(beside) // what a backup left that was killed
	if err == nil {
		err = os.MkdirAll(beside, 0o700)
	}
	if err != nil {
		err = atoll.Errorf(atoll.Unavailable, "cannot make a checkpoint: %v", err)
	}
	return beside, err
}
