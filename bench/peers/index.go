package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloud.google.com/go/firestore/apiv1/admin/adminpb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// indexPause is between two questions whether an index is ready.
const indexPause = 20 * time.Millisecond

// firestoreIndex makes the index that the other servers have, of author and n,
// with Google's interface for administrators, and waits until queries use it.
func firestoreIndex(ctx context.Context, address string) error {
	conn, err := dialGRPC(address)
	if err != nil {
		return err
	}
	return errors.Join(makeIndex(ctx, adminpb.NewFirestoreAdminClient(conn)), conn.Close())
}

func makeIndex(ctx context.Context, admin adminpb.FirestoreAdminClient) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ctx = metadata.AppendToOutgoingContext(ctx, "authorization", "Bearer owner")
	ascending := func(field string) *adminpb.Index_IndexField {
		return &adminpb.Index_IndexField{
			FieldPath: field, ValueMode: &adminpb.Index_IndexField_Order_{Order: adminpb.Index_IndexField_ASCENDING},
		}
	}
	const group = database + "/collectionGroups/" + collection
	_, err := admin.CreateIndex(ctx, &adminpb.CreateIndexRequest{Parent: group, Index: &adminpb.Index{
		QueryScope: adminpb.Index_COLLECTION,
		Fields:     []*adminpb.Index_IndexField{ascending("author"), ascending("n")},
	}})
	if err != nil && status.Code(err) != codes.AlreadyExists { // of an earlier try
		return fmt.Errorf("make an index: %w", err)
	}
	for {
		list, err := admin.ListIndexes(ctx, &adminpb.ListIndexesRequest{Parent: group})
		if err != nil {
			return fmt.Errorf("list the indexes: %w", err)
		}
		if all := list.GetIndexes(); len(all) == 1 && all[0].GetState() == adminpb.Index_READY {
			return nil
		}
		time.Sleep(indexPause)
	}
}
