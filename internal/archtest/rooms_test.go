package archtest

// module is the path of this repository's module.
const module = "atoll"

// room is one package: what it may import, as space-separated lists.
type room struct {
	path string // from the root of the repository; "." is the root package
	in   string // rooms of this module; kv/* is every room in kv, * every room above this line
	out  string // outside modules, or packages of them
	kind purity
}

// purity says how far a room is bound to be deterministic.
type purity int

const (
	worldly purity = iota // may use clock, files, network, goroutines
	pure                  // a function of its arguments: none of these, nor map order or float arithmetic
	floats                // pure, but documents' own semantics need float arithmetic: without fused multiply-add
)

// rooms is the house, from the bottom up: a room imports only rooms that stand
// above it in this list. To add a room, add a line on its floor; to add an
// edge, say in the commit why the house needs it.
var rooms = []room{
	// Nouns.
	{".", "", "", pure},
	{"planted", "", "", pure}, // names of defects that the simulator plants

	// Bytes: pure functions.
	{"wire", ".", "github.com/fxamacker/cbor/v2", pure},
	{"value", ".", "go.mongodb.org/mongo-driver/v2/x/bsonx/bsoncore", floats},
	{"keys", ". value", "", pure},
	{"query", ". value", "", floats}, // sums, averages and distances of documents

	// Machines: deterministic.
	{"subnet", ". planted wire keys", "github.com/tidwall/btree", pure},
	{"program/shard", ". planted wire keys value query", "", pure},
	{"program/directory", ". wire subnet program/shard", "", pure},
	{"program/accounts", ". wire subnet program/directory program/shard", "", pure},

	// World: one outside dependency each.
	{"kv", ".", "", worldly},
	{"kv/kvtest", ". kv", "pgregory.net/rapid", worldly},
	{"kv/mem", ". kv planted", "github.com/tidwall/btree", worldly},
	{"kv/pebble", ". kv", "github.com/cockroachdb/pebble/v2 github.com/cockroachdb/errors", worldly},
	{"log/local", ". wire keys subnet", "", worldly},
	{"backup", ". wire keys subnet kv/mem kv/pebble log/local", "github.com/minio/minio-go/v7", worldly},

	// Doors: somebody's protocol turned into messages and queries.
	{"route", ". wire keys query program/*", "", worldly},
	{"gateway/account", ". query program/shard", "github.com/prometheus/client_golang", worldly},
	{"gateway/analytics", "", "cloud.google.com/go/firestore/apiv1/firestorepb google.golang.org/grpc google.golang.org/genproto google.golang.org/protobuf", worldly}, // generated
	{"gateway/firestore", ". query value route program/shard gateway/account gateway/analytics",
		"cloud.google.com/go/firestore/apiv1/firestorepb cloud.google.com/go/firestore/apiv1/admin/adminpb google.golang.org/grpc google.golang.org/genproto google.golang.org/protobuf github.com/prometheus/client_golang", worldly},
	{"gateway/indexes", ". value route program/shard program/directory",
		"cloud.google.com/go/firestore/apiv1/admin/adminpb cloud.google.com/go/longrunning/autogen/longrunningpb google.golang.org/grpc google.golang.org/genproto google.golang.org/protobuf", worldly},
	{"gateway/rest", ". gateway/analytics",
		"cloud.google.com/go/firestore/apiv1/firestorepb cloud.google.com/go/firestore/apiv1/admin/adminpb cloud.google.com/go/longrunning/autogen/longrunningpb google.golang.org/grpc google.golang.org/genproto google.golang.org/protobuf github.com/prometheus/client_golang", worldly},
	{"gateway/front", ".", "", worldly},
	{"gateway/admin/plain", ". value", "", worldly},
	{"ask", ". query value gateway/admin/plain", "", worldly},
	{"transfer", ". value gateway/admin/plain", "", worldly},
	{"gateway/admin/inspect", ". wire value keys log/local program/* gateway/admin/plain", "", worldly},
	{"gateway/admin", ". backup gateway/account gateway/admin/plain gateway/admin/inspect wire value subnet log/local route program/*", "github.com/prometheus/client_golang", worldly},
	{"console", "", "", worldly},

	// Running: own goroutines, clock, retries.
	{"node", ". planted wire subnet log/local", "", worldly},
	// host puts an installation together.
	{"host", ". wire value keys query kv/mem kv/pebble log/local backup subnet program/* node route gateway/admin", "", worldly},

	// Wiring and flags.
	{"sim", "*", "github.com/anishathalye/porcupine", worldly},
	{"cmd/atoll", "*", "github.com/spf13/cobra github.com/vbauerster/mpb/v8 github.com/prometheus/client_golang " +
		"cloud.google.com/go/firestore/apiv1/firestorepb google.golang.org/grpc google.golang.org/protobuf", worldly},

	// For tests; no room imports them in what it ships.
	{"internal/archtest", "", "", worldly},
	{"internal/clienttest", "", "", worldly},
	{"internal/docstest", "", "", worldly},
	{"internal/killtest", "", "", worldly},
	{"internal/testtool", "", "", worldly},
}
