package firestore

import (
	"bytes"
	"context"
	"testing"

	"cloud.google.com/go/firestore/apiv1/firestorepb"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"atoll"
	"atoll/host"
	"atoll/program/shard"
	"atoll/query"
	"atoll/route"
	"atoll/wire"
)

// seedQueries are queries of every form, for the fuzzer to vary.
var seedQueries = []string{
	``,
	`from{collection_id:"c"} limit{value:2} offset:1`,
	`from{collection_id:"c" all_descendants:true} select{fields{field_path:"a"} fields{field_path:"__name__"}}`,
	`from{collection_id:"c"} where{field_filter{field{field_path:"a"} op:GREATER_THAN value{integer_value:1}}} order_by{field{field_path:"a"} direction:DESCENDING}`,
	`from{collection_id:"c"} where{composite_filter{op:OR
		filters{field_filter{field{field_path:"a"} op:IN value{array_value{values{integer_value:1} values{null_value:NULL_VALUE}}}}}
		filters{unary_filter{op:IS_NOT_NAN field{field_path:"b.c"}}}
		filters{composite_filter{op:AND filters{field_filter{field{field_path:"t"} op:ARRAY_CONTAINS_ANY value{array_value{values{string_value:"x"}}}}}
			filters{field_filter{field{field_path:"a"} op:NOT_EQUAL value{double_value:nan}}}}}}}`,
	`from{collection_id:"c"} order_by{field{field_path:"a"}} order_by{field{field_path:"__name__"}}
		start_at{values{map_value{fields{key:"k" value{boolean_value:true}}}} before:true} end_at{values{geo_point_value{latitude:1}} values{reference_value:"projects/dev/databases/(default)/documents/c/x"}}`,
	`from{collection_id:"c"} where{field_filter{field{field_path:"__name__"} op:EQUAL value{reference_value:"projects/dev/databases/(default)/documents/c/x"}}}`,
	`from{collection_id:"c"} find_nearest{vector_field{field_path:"v"} limit{value:3} distance_measure:COSINE distance_result_field:"d"
		query_vector{map_value{fields{key:"__type__" value{string_value:"__vector__"}} fields{key:"value" value{array_value{values{double_value:1} values{double_value:2}}}}}}}`,
}

// FuzzStructuredQuery converts the bytes of a client's query. What is refused is
// refused as Invalid; what is accepted can be sent, normalises to itself, and
// can be run and summed up.
func FuzzStructuredQuery(f *testing.F) {
	for _, text := range seedQueries {
		var q firestorepb.StructuredQuery
		if err := prototext.Unmarshal([]byte(text), &q); err != nil {
			f.Fatal(err)
		}
		b, err := proto.Marshal(&q)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("", b)
		f.Add("/c/x", b)
	}
	h, err := host.Start(host.Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { h.Close() })
	s := New(Options{Router: h.Router, Auth: Auth{Dev: true}})
	who := route.Caller{Principal: Administrator}
	ctx := context.WithValue(context.Background(), callerKey{}, who)
	for id, fields := range map[string]pbFields{
		"x": {"a": pbInt(1), "b": pbMap(pbFields{"c": pbDouble(1)}), "t": pbArray(pbString("x")), "v": pbVector(pbDouble(1), pbDouble(2))},
		"y": {"a": pbInt(2), "t": pbArray()}, "z": nil,
	} {
		if _, err := s.CreateDocument(ctx, &firestorepb.CreateDocumentRequest{Parent: devRoot, CollectionId: "c", DocumentId: id, Document: &firestorepb.Document{Fields: fields}}); err != nil {
			f.Fatal(err)
		}
	}
	f.Fuzz(func(t *testing.T, below string, b []byte) {
		var sq firestorepb.StructuredQuery
		if proto.Unmarshal(b, &sq) != nil {
			return
		}
		db, q, err := toQuery(devRoot+below, &sq)
		if err != nil {
			if atoll.KindOf(err) != atoll.Invalid {
				t.Fatalf("%v is not Invalid", err)
			}
			return
		}
		again, err := query.Normalize(q.Query, db)
		if err != nil || !bytes.Equal(wire.Marshal(again), wire.Marshal(q.Query)) {
			t.Fatalf("%+v\nnormalises to %+v, %v", q.Query, again, err)
		}
		seen := 0
		_, err = s.router.Query(ctx, db, q.Query, route.QueryOptions{Explain: true}, who, func(atoll.Time, *shard.Found) error {
			seen++
			return nil
		})
		if err != nil {
			t.Fatalf("%+v cannot be run: %v", q.Query, err)
		}
		if q.Nearest != nil {
			return // which cannot be summed up
		}
		sum, _, err := s.router.Aggregate(ctx, db, q.Query, []query.Aggregate{{Op: query.Count}}, route.QueryOptions{}, who)
		if err != nil {
			t.Fatalf("%+v cannot be summed up: %v", q.Query, err)
		}
		if n := sum.Result()[0].Int(); n != int64(seen) {
			t.Fatalf("%+v finds %d documents and counts %d", q.Query, seen, n)
		}
	})
}
