// Command gcs is a Google Cloud Storage for tests, with objects in memory and no access control.
//
// It has the calls that linchpin's clients make, with their preconditions and checksums, on one port:
// the JSON interface for reading and writing objects, the gRPC interface (google.storage.v2) for
// everything else, and the XML interface that the table library speaks. What it does not know it
// refuses.
package main

import (
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"strings"

	storage "google.golang.org/genproto/googleapis/storage/v2"
	"google.golang.org/grpc"
)

func main() {
	address := flag.String("listen", "127.0.0.1:0", "address to listen on")
	flag.Parse()
	buckets := newBuckets()
	rpc := grpc.NewServer()
	storage.RegisterStorageServer(rpc, &control{buckets: buckets})
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.ProtoMajor == 2 && strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc"):
			rpc.ServeHTTP(w, r)
		case strings.HasPrefix(r.URL.Path, "/storage/v1/") || strings.HasPrefix(r.URL.Path, "/upload/"):
			(&jsonAPI{buckets}).ServeHTTP(w, r)
		default:
			(&xmlAPI{buckets}).ServeHTTP(w, r)
		}
	})
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	listener, err := net.Listen("tcp", *address)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	log.Fatal((&http.Server{Handler: handler, Protocols: protocols}).Serve(listener))
}
