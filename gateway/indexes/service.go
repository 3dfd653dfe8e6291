package indexes

import (
	"context"
	"slices"
	"strconv"
	"time"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"cloud.google.com/go/longrunning/autogen/longrunningpb"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"

	"atoll"
	"atoll/program/directory"
	"atoll/program/shard"
	"atoll/route"
)

// Router is what the door needs of package route; see there.
type Router interface {
	Indexes(ctx context.Context, db atoll.Database, who route.Caller) (route.IndexSet, error)
	ChangeIndexes(ctx context.Context, db atoll.Database, version uint64, spec shard.IndexConfig, who route.Caller) (directory.Indexes, error)
}

// Options say what a Service works with. All are required.
type Options struct {
	Router Router
	// Caller tells who sent the request of a context.
	Caller func(context.Context) route.Caller
}

// Service implements google.firestore.admin.v1.FirestoreAdmin as far as indexes
// and fields go, and google.longrunning.Operations for them. Its errors are
// those of package atoll; the server turns them into statuses. It is safe for
// concurrent use.
type Service struct {
	adminpb.UnimplementedFirestoreAdminServer
	router Router
	caller func(context.Context) route.Caller
}

// New returns a Service.
func New(o Options) *Service { return &Service{router: o.Router, caller: o.Caller} }

// Register adds both services to a server.
func (s *Service) Register(g grpc.ServiceRegistrar) {
	adminpb.RegisterFirestoreAdminServer(g, s)
	longrunningpb.RegisterOperationsServer(g, operations{s: s})
}

// admit returns who asks, or fails with PermissionDenied.
func (s *Service) admit(ctx context.Context) (route.Caller, error) {
	who := s.caller(ctx)
	if who.Principal != route.Administrator {
		return who, atoll.Errorf(atoll.PermissionDenied,
			`only the administrator may see and change indexes: send "authorization: Bearer owner" to a node of "atoll dev", and the administrator's key to one of "atoll serve"`)
	}
	return who, nil
}

// status returns how a database's indexes are.
func (s *Service) status(ctx context.Context, db atoll.Database) (route.IndexSet, error) {
	who, err := s.admit(ctx)
	if err != nil {
		return route.IndexSet{}, err
	}
	return s.router.Indexes(ctx, db, who)
}

// Of two changes at once the second is made again on top of the first; while
// one is on its way to the shards the next one waits.
const (
	changeTries = 12
	changePause = 10 * time.Millisecond // before the second try; it doubles up to a second
)

// change has edit change what is set about a database's indexes. edit may be
// called several times, each with what is set at that moment.
func (s *Service) change(ctx context.Context, db atoll.Database, edit func(*File) error) (directory.Indexes, error) {
	who, err := s.admit(ctx)
	if err != nil {
		return directory.Indexes{}, err
	}
	pause := changePause
	for try := 1; ; try++ {
		set, err := s.router.Indexes(ctx, db, who)
		if err != nil {
			return directory.Indexes{}, err
		}
		f := FileOf(set)
		if err := edit(&f); err != nil {
			return directory.Indexes{}, err
		}
		done, err := s.router.ChangeIndexes(ctx, db, set.Version, f.Config(), who)
		if k := atoll.KindOf(err); k != atoll.Aborted && k != atoll.Unavailable || try == changeTries {
			return done, err
		}
		select {
		case <-ctx.Done():
			return directory.Indexes{}, err
		case <-time.After(pause):
		}
		pause = min(2*pause, time.Second)
	}
}

// CreateIndex implements adminpb.FirestoreAdminServer.
func (s *Service) CreateIndex(ctx context.Context, req *adminpb.CreateIndexRequest) (*longrunningpb.Operation, error) {
	db, collection, err := parseGroup(req.GetParent())
	if err != nil {
		return nil, err
	}
	x, err := readComposite(collection, req.GetIndex())
	if err != nil {
		return nil, err
	}
	done, err := s.change(ctx, db, func(f *File) error {
		if slices.ContainsFunc(f.Indexes, x.equal) {
			return atoll.Errorf(atoll.AlreadyExists, "%s has this index already", collection)
		}
		if len(f.Indexes) >= MaxIndexes {
			return atoll.Errorf(atoll.ResourceExhausted, "%s has %d composite indexes, which is the limit; delete one that is not used", db, MaxIndexes)
		}
		f.Indexes = append(f.Indexes, x)
		return nil
	})
	if err != nil {
		return nil, err
	}
	want := x.composite()
	for _, c := range done.Config.Composites {
		if c.Same(&want) {
			return s.operation(ctx, operation{db: db, index: c.ID})
		}
	}
	return nil, atoll.Errorf(atoll.Aborted, "somebody else has deleted the index in the same moment")
}

// ListIndexes implements adminpb.FirestoreAdminServer. The collection group -
// stands for all of them.
func (s *Service) ListIndexes(ctx context.Context, req *adminpb.ListIndexesRequest) (*adminpb.ListIndexesResponse, error) {
	db, collection, err := parseGroup(req.GetParent())
	if err != nil {
		return nil, err
	}
	if req.GetFilter() != "" {
		return nil, atoll.Errorf(atoll.Unimplemented, "indexes cannot be filtered; leave the filter out")
	}
	set, err := s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	all := slices.DeleteFunc(set.Composites, func(c shard.CompositeProgress) bool {
		return c.State == shard.IndexDeleting || collection != anyGroup && c.Index.Collection != collection
	})
	page, next, err := paged(all, req.GetPageSize(), req.GetPageToken())
	if err != nil {
		return nil, err
	}
	reply := &adminpb.ListIndexesResponse{NextPageToken: next}
	for _, c := range page {
		reply.Indexes = append(reply.Indexes, writeComposite(db, c))
	}
	return reply, nil
}

// paged returns one page of what is at most a few hundred, and the token of the
// next one: how many came before it. A size of 0 means all.
func paged[T any](all []T, size int32, token string) (page []T, next string, err error) {
	from := 0
	if token != "" {
		if from, err = strconv.Atoi(token); err != nil || from < 0 {
			return nil, "", atoll.Errorf(atoll.Invalid, "the page token %.100q is none of this server", token)
		}
	}
	if size < 0 {
		return nil, "", atoll.Errorf(atoll.Invalid, "the page size %d is negative", size)
	}
	from = min(from, len(all))
	to := len(all)
	if size > 0 {
		to = min(from+int(size), len(all))
	}
	if to < len(all) {
		next = strconv.Itoa(to)
	}
	return all[from:to], next, nil
}

// GetIndex implements adminpb.FirestoreAdminServer.
func (s *Service) GetIndex(ctx context.Context, req *adminpb.GetIndexRequest) (*adminpb.Index, error) {
	db, collection, id, err := parseIndex(req.GetName())
	if err != nil {
		return nil, err
	}
	set, err := s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	c, ok := findComposite(set, id)
	if !ok || c.Index.Collection != collection {
		return nil, noIndex(req.GetName())
	}
	return writeComposite(db, c), nil
}

// findComposite returns an index that is not being deleted.
func findComposite(set route.IndexSet, id uint32) (shard.CompositeProgress, bool) {
	for _, c := range set.Composites {
		if c.Index.ID == id && c.State != shard.IndexDeleting {
			return c, true
		}
	}
	return shard.CompositeProgress{}, false
}

// DeleteIndex implements adminpb.FirestoreAdminServer. Queries do not use the
// index any more when it returns; its entries are removed after that.
func (s *Service) DeleteIndex(ctx context.Context, req *adminpb.DeleteIndexRequest) (*emptypb.Empty, error) {
	db, collection, id, err := parseIndex(req.GetName())
	if err != nil {
		return nil, err
	}
	set, err := s.status(ctx, db)
	if err != nil {
		return nil, err
	}
	c, ok := findComposite(set, id)
	if !ok || c.Index.Collection != collection {
		return nil, noIndex(req.GetName())
	}
	gone := indexOf(c.Index)
	_, err = s.change(ctx, db, func(f *File) error {
		f.Indexes = slices.DeleteFunc(f.Indexes, gone.equal)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return &emptypb.Empty{}, nil
}

// GetDatabase implements adminpb.FirestoreAdminServer: firebase-tools asks which
// edition's rules its indexes are held to. Only what is always so is told.
func (s *Service) GetDatabase(ctx context.Context, req *adminpb.GetDatabaseRequest) (*adminpb.Database, error) {
	if _, err := s.admit(ctx); err != nil {
		return nil, err
	}
	db, err := atoll.ParseDatabase(req.GetName())
	if err != nil {
		return nil, err
	}
	return &adminpb.Database{
		Name: db.String(), Type: adminpb.Database_FIRESTORE_NATIVE, DatabaseEdition: adminpb.Database_STANDARD,
		ConcurrencyMode: adminpb.Database_OPTIMISTIC, AppEngineIntegrationMode: adminpb.Database_DISABLED,
	}, nil
}
