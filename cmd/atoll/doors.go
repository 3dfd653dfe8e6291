package main

import (
	"context"
	"net"
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"

	"atoll/console"
	"atoll/gateway/account"
	"atoll/gateway/admin"
	"atoll/gateway/firestore"
	"atoll/gateway/front"
	"atoll/gateway/indexes"
	"atoll/gateway/rest"
	"atoll/host"
)

// doors are all that a node shows to the outside. They have no port yet.
type doors struct {
	documents *firestore.Service
	rest      http.Handler
	operator  *admin.Door
	registry  *prometheus.Registry
	local     *rest.Local // by which rest reaches documents
	inner     *rest.Local // by which the console does, as the administrator
}

// doorOptions say what differs between nodes.
type doorOptions struct {
	auth     firestore.Auth
	origins  rest.Origins
	operator net.Addr // the port of the operator's door
	registry *prometheus.Registry
	budgets  account.Budgets
	indexes  []*indexFile // files that databases get their indexes from
}

// openDoors makes the doors of a node. The caller closes them.
func openDoors(h *host.Host, opt host.Options, o doorOptions) (*doors, error) {
	keys, err := admin.NewKeys(opt.Dir)
	if err != nil {
		return nil, err
	}
	panicked := func(method string, cause any, stack []byte) {
		opt.Log.Error("a request ended in a defect", "method", method, "cause", cause, "stack", string(stack))
	}
	accounts, err := account.New(account.Options{Budgets: o.budgets, Registry: o.registry})
	if err != nil {
		return nil, err
	}
	metrics := firestore.NewMetrics(o.registry)
	registerExpiry(o.registry, h)
	configuration := indexes.New(indexes.Options{Router: h.Router, Caller: firestore.CallerOf})
	d := &doors{registry: o.registry, documents: firestore.New(firestore.Options{
		Router: h.Router, Auth: o.auth, Metrics: metrics, Accounts: accounts, Panicked: panicked, Beside: configuration.Register,
	})}
	forConsole, err := d.openInner(firestore.Options{
		Router: h.Router, Auth: firestore.Auth{Dev: true}, Metrics: metrics, Accounts: accounts, Panicked: panicked, Beside: configuration.Register,
	})
	if err != nil {
		return nil, err
	}
	d.operator, err = admin.New(admin.Options{
		Source: h.Source(), Router: h.Router, Root: host.Root, Registry: o.registry, Keys: keys,
		Address: o.operator, Console: console.Files(), Version: version, Backup: h.Backup, Data: forConsole, Accounts: accounts,
	})
	if err != nil {
		d.close()
		return nil, err
	}
	if d.local, err = rest.NewLocal(d.documents.Server(rest.LocalOptions()...)); err != nil {
		d.close()
		return nil, err
	}
	options := rest.Options{Service: telling{d.local}, Origins: o.origins, Metrics: rest.NewMetrics(o.registry), Panicked: panicked}
	if o.auth.Dev {
		options.Clear = d.documents.Clear
	}
	web, err := rest.New(options)
	if err != nil {
		d.close()
		return nil, err
	}
	d.rest = withPeer(web)
	return d, nil
}

// openInner makes a second door to documents, which has no port: only the
// operator's door reaches it, with requests of a session, and there everybody
// is the administrator.
func (d *doors) openInner(o firestore.Options) (http.Handler, error) {
	var err error
	if d.inner, err = rest.NewLocal(firestore.New(o).Server(rest.LocalOptions()...)); err != nil {
		return nil, err
	}
	door, err := rest.New(rest.Options{Service: d.inner, Panicked: o.Panicked})
	if err != nil {
		d.close()
		return nil, err
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("Authorization", "Bearer owner")
		door.ServeHTTP(w, r)
	}), nil
}

// close also closes doors of which only a part was made.
func (d *doors) close() {
	if d.operator != nil {
		d.operator.Close()
	}
	for _, l := range []*rest.Local{d.local, d.inner} { // cuts off what is under way: the ports are closed before
		if l != nil {
			l.Close()
		}
	}
}

// split gives requests for data to one handler and all others to another. It
// looks at the path as it was sent: a mux would clean it, and so change ids.
func split(data, other http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if rest.Owns(r) {
			data.ServeHTTP(w, r)
			return
		}
		other.ServeHTTP(w, r)
	})
}

type peerKey struct{}

// withPeer lets a request's context know from which address it came.
func withPeer(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), peerKey{}, r.RemoteAddr)))
	})
}

// telling is a connection that passes on from which address a request came.
type telling struct{ grpc.ClientConnInterface }

func (t telling) context(ctx context.Context) context.Context {
	address, _ := ctx.Value(peerKey{}).(string)
	return metadata.AppendToOutgoingContext(ctx, firestore.PeerKey, address)
}

// Invoke implements grpc.ClientConnInterface.
func (t telling) Invoke(ctx context.Context, method string, args, reply any, opts ...grpc.CallOption) error {
	return t.ClientConnInterface.Invoke(t.context(ctx), method, args, reply, opts...)
}

// NewStream implements grpc.ClientConnInterface.
func (t telling) NewStream(ctx context.Context, d *grpc.StreamDesc, method string, opts ...grpc.CallOption) (grpc.ClientStream, error) {
	return t.ClientConnInterface.NewStream(t.context(ctx), d, method, opts...)
}

// registerFront has the registry collect what the port counts.
func registerFront(registry *prometheus.Registry, f *front.Front) {
	for name, read := range map[string]func(front.Counts) int64{
		"accepted_total": func(c front.Counts) int64 { return c.Accepted },
		"refused_total":  func(c front.Counts) int64 { return c.Refused },
		"silent_total":   func(c front.Counts) int64 { return c.Silent },
		"grpc_total":     func(c front.Counts) int64 { return c.GRPC },
		"http_total":     func(c front.Counts) int64 { return c.HTTP },
	} {
		registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: "atoll", Subsystem: "connections", Name: name, Help: "Connections of the port, by what became of them.",
		}, func() float64 { return float64(read(f.Counts())) }))
	}
	registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Namespace: "atoll", Subsystem: "connections", Name: "open", Help: "Connections of the port that are open.",
	}, func() float64 { return float64(f.Counts().Open) }))
}
