package main

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	storage "google.golang.org/genproto/googleapis/storage/v2"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/timestamppb"
)

const pageMax = 1000

// control is the gRPC interface.
type control struct {
	storage.UnimplementedStorageServer
	buckets *buckets
}

func rpc(f *fault) error {
	code := map[int]codes.Code{
		http.StatusNotFound:           codes.NotFound,
		http.StatusPreconditionFailed: codes.FailedPrecondition,
		http.StatusForbidden:          codes.PermissionDenied,
	}[f.status]
	if code == codes.OK {
		code = codes.InvalidArgument
	}
	return status.Error(code, f.text)
}

func plain(bucket string) string { return strings.TrimPrefix(bucket, "projects/_/buckets/") }

func resource(bucket string, o *object) *storage.Object {
	crc, stamp := o.crc32c(), timestamppb.New(o.created)
	return &storage.Object{
		Name: o.name, Bucket: bucket, Generation: o.generation, Metageneration: 1,
		Etag: strconv.FormatInt(o.generation, 10), Size: int64(len(o.data)), StorageClass: o.class,
		TemporaryHold: o.held, ContentEncoding: o.encoding, CreateTime: stamp, UpdateTime: stamp,
		Checksums: &storage.ObjectChecksums{Crc32C: &crc, Md5Hash: o.md5()},
	}
}

func (c *control) CreateBucket(_ context.Context, r *storage.CreateBucketRequest) (*storage.Bucket, error) {
	if !c.buckets.create(r.BucketId) {
		return nil, status.Error(codes.AlreadyExists, "the bucket exists")
	}
	name := "projects/_/buckets/" + r.BucketId
	return &storage.Bucket{Name: name, BucketId: r.BucketId, Project: r.GetBucket().GetProject()}, nil
}

func (c *control) GetObject(_ context.Context, r *storage.GetObjectRequest) (*storage.Object, error) {
	o, f := c.buckets.get(plain(r.Bucket), r.Object, r.Generation)
	if f != nil {
		return nil, rpc(f)
	}
	if r.IfGenerationMatch != nil && *r.IfGenerationMatch != o.generation {
		return nil, rpc(precondition)
	}
	return resource(r.Bucket, o), nil
}

func (c *control) DeleteObject(_ context.Context, r *storage.DeleteObjectRequest) (*emptypb.Empty, error) {
	if f := c.buckets.remove(plain(r.Bucket), r.Object, r.IfGenerationMatch); f != nil {
		return nil, rpc(f)
	}
	return &emptypb.Empty{}, nil
}

// UpdateObject knows the temporary hold only.
func (c *control) UpdateObject(_ context.Context, r *storage.UpdateObjectRequest) (*storage.Object, error) {
	if paths := r.GetUpdateMask().GetPaths(); len(paths) != 1 || paths[0] != "temporary_hold" {
		return nil, status.Error(codes.Unimplemented, "only the temporary hold can be updated")
	}
	bucket := r.GetObject().GetBucket()
	o, f := c.buckets.hold(plain(bucket), r.GetObject().GetName(), r.IfGenerationMatch, r.GetObject().GetTemporaryHold())
	if f != nil {
		return nil, rpc(f)
	}
	return resource(bucket, o), nil
}

func (c *control) ListObjects(_ context.Context, r *storage.ListObjectsRequest) (*storage.ListObjectsResponse, error) {
	if r.Delimiter != "" || r.Versions {
		return nil, status.Error(codes.Unimplemented, "no delimiters and versions")
	}
	size := int(r.PageSize)
	if size <= 0 || size > pageMax {
		size = pageMax
	}
	objects, next, f := c.buckets.list(plain(r.Parent), r.Prefix, max(r.LexicographicStart, r.PageToken), size)
	if f != nil {
		return nil, rpc(f)
	}
	answer := &storage.ListObjectsResponse{NextPageToken: next}
	for _, o := range objects {
		answer.Objects = append(answer.Objects, resource(r.Parent, o))
	}
	return answer, nil
}

func (c *control) RewriteObject(_ context.Context, r *storage.RewriteObjectRequest) (*storage.RewriteResponse, error) {
	source, f := c.buckets.get(plain(r.SourceBucket), r.SourceObject, r.SourceGeneration)
	if f != nil {
		return nil, rpc(f)
	}
	if r.IfSourceGenerationMatch != nil && *r.IfSourceGenerationMatch != source.generation {
		return nil, rpc(precondition)
	}
	// Large objects need a second call with the token of the first, as at the service.
	if len(source.data) > 1<<20 && r.RewriteToken == "" {
		return &storage.RewriteResponse{ObjectSize: int64(len(source.data)), RewriteToken: "more"}, nil
	}
	copied := *source
	copied.name = r.DestinationName
	if class := r.GetDestination().GetStorageClass(); class != "" {
		copied.class = class
	}
	o, f := c.buckets.put(plain(r.DestinationBucket), copied, r.IfGenerationMatch)
	if f != nil {
		return nil, rpc(f)
	}
	size := int64(len(o.data))
	done := resource(r.DestinationBucket, o)
	return &storage.RewriteResponse{TotalBytesRewritten: size, ObjectSize: size, Done: true, Resource: done}, nil
}
