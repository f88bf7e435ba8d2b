package main

import (
	"encoding/base64"
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"
	"sync"
	"time"
)

// xmlAPI speaks as S3 does, with the headers of GCS.
type xmlAPI struct{ *buckets }

type listEntry struct {
	Key, ETag, LastModified, StorageClass string
	Size                                  int
}

type prefixEntry struct{ Prefix string }

type listResult struct {
	XMLName               xml.Name `xml:"ListBucketResult"`
	Name, Prefix          string
	KeyCount              int
	IsTruncated           bool
	NextContinuationToken string `xml:",omitempty"`
	Contents              []listEntry
	CommonPrefixes        []prefixEntry
}

// multiparts are uploads in parts under way, by id.
var multiparts = struct {
	sync.Mutex
	all map[string]map[int][]byte
}{all: map[string]map[int][]byte{}}

func (api *xmlAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	bucket, escaped, _ := strings.Cut(strings.TrimPrefix(r.URL.EscapedPath(), "/"), "/")
	name, err := url.PathUnescape(escaped)
	// The tables' client escapes more than it has to.
	bucket, _ = url.PathUnescape(bucket)
	query := r.URL.Query()
	var f *fault
	switch {
	case bucket == "" && r.Method == "GET":
		// Somebody asks whether the server is there.
		return
	case err != nil:
		f = badRequest
	case name == "" && r.Method == "GET":
		f = api.listing(w, bucket, query)
	case name == "":
		f = badRequest
	case r.Method == "GET" || r.Method == "HEAD":
		f = api.read(w, r, bucket, name)
	case r.Method == "DELETE" && query.Has("uploadId"):
		multiparts.Lock()
		delete(multiparts.all, query.Get("uploadId"))
		multiparts.Unlock()
		w.WriteHeader(http.StatusNoContent)
	case r.Method == "DELETE":
		if f = api.remove(bucket, name, nil); f == nil {
			w.WriteHeader(http.StatusNoContent)
		}
	case r.Method == "PUT" && query.Has("partNumber"):
		f = part(w, r, query)
	case r.Method == "PUT":
		f = api.write(w, r, bucket, name)
	case r.Method == "POST" && query.Has("uploads"):
		begin(w, bucket, name)
	case r.Method == "POST" && query.Has("uploadId"):
		f = api.complete(w, r, bucket, name, query.Get("uploadId"))
	default:
		f = badRequest
	}
	if f != nil {
		w.Header().Set("Content-Type", "application/xml")
		w.WriteHeader(f.status)
		fmt.Fprintf(w, "<Error><Code>%s</Code><Message>%s</Message></Error>", f.reason, f.text)
	}
}

func (api *xmlAPI) read(w http.ResponseWriter, r *http.Request, bucket, name string) *fault {
	o, f := api.get(bucket, name, 0)
	if f != nil {
		return f
	}
	if tag := r.Header.Get("If-Match"); tag != "" && strings.Trim(tag, `"`) != strconv.FormatInt(o.generation, 10) {
		return precondition
	}
	return serve(w, r, o)
}

func (api *xmlAPI) write(w http.ResponseWriter, r *http.Request, bucket, name string) *fault {
	expected, f := number(r.Header.Get("x-goog-if-generation-match"))
	if f != nil {
		return f
	}
	o := object{name: name, class: r.Header.Get("x-goog-storage-class")}
	if from := r.Header.Get("x-goog-copy-source"); from != "" {
		path, err := url.PathUnescape(strings.TrimPrefix(from, "/"))
		source, name, _ := strings.Cut(path, "/")
		if err != nil {
			return badRequest
		}
		old, f := api.get(source, name, 0)
		if f != nil {
			return f
		}
		o.data = old.data
	} else if data, err := io.ReadAll(r.Body); err != nil {
		return badRequest
	} else {
		o.data = data
	}
	if sum := r.Header.Get("Content-MD5"); sum != "" && sum != base64.StdEncoding.EncodeToString(o.md5()) {
		return badChecksum
	}
	return api.stored(w, bucket, o, expected, "CopyObjectResult")
}

// stored puts an object and says so in its headers, and in a document for the calls that want one.
func (api *xmlAPI) stored(w http.ResponseWriter, bucket string, o object, expected *int64, document string) *fault {
	done, f := api.put(bucket, o, expected)
	if f != nil {
		return f
	}
	w.Header().Set("ETag", fmt.Sprintf("\"%d\"", done.generation))
	w.Header().Set("x-goog-generation", strconv.FormatInt(done.generation, 10))
	fmt.Fprintf(w, "<%s><ETag>&quot;%d&quot;</ETag></%s>", document, done.generation, document)
	return nil
}

func begin(w http.ResponseWriter, bucket, name string) {
	multiparts.Lock()
	defer multiparts.Unlock()
	id := strconv.FormatInt(time.Now().UnixNano(), 10)
	multiparts.all[id] = map[int][]byte{}
	fmt.Fprintf(w, "<InitiateMultipartUploadResult><UploadId>%s</UploadId></InitiateMultipartUploadResult>", id)
}

func part(w http.ResponseWriter, r *http.Request, query url.Values) *fault {
	data, err := io.ReadAll(r.Body)
	number, bad := strconv.Atoi(query.Get("partNumber"))
	multiparts.Lock()
	defer multiparts.Unlock()
	parts := multiparts.all[query.Get("uploadId")]
	if err != nil || bad != nil || parts == nil {
		return badRequest
	}
	parts[number] = data
	w.Header().Set("ETag", fmt.Sprintf("\"%d\"", number))
	return nil
}

func (api *xmlAPI) complete(w http.ResponseWriter, r *http.Request, bucket, name, id string) *fault {
	expected, f := number(r.Header.Get("x-goog-if-generation-match"))
	if f != nil {
		return f
	}
	multiparts.Lock()
	parts := multiparts.all[id]
	delete(multiparts.all, id)
	multiparts.Unlock()
	if parts == nil {
		return badRequest
	}
	var numbers []int
	for number := range parts {
		numbers = append(numbers, number)
	}
	sort.Ints(numbers)
	o := object{name: name}
	for _, number := range numbers {
		o.data = append(o.data, parts[number]...)
	}
	return api.stored(w, bucket, o, expected, "CompleteMultipartUploadResult")
}

func (api *xmlAPI) listing(w http.ResponseWriter, bucket string, query url.Values) *fault {
	size, err := strconv.Atoi(query.Get("max-keys"))
	if err != nil || size > pageMax {
		size = pageMax
	}
	prefix, delimiter := query.Get("prefix"), query.Get("delimiter")
	start := query.Get("continuation-token")
	if after := query.Get("start-after"); after != "" && start == "" {
		start = after + "\x00"
	}
	objects, next, f := api.list(bucket, prefix, start, size)
	if f != nil {
		return f
	}
	result := listResult{Name: bucket, Prefix: prefix, IsTruncated: next != "", NextContinuationToken: next}
	seen := map[string]bool{}
	for _, o := range objects {
		if head, _, found := strings.Cut(o.name[len(prefix):], delimiter); delimiter != "" && found {
			if folder := prefix + head + delimiter; !seen[folder] {
				seen[folder] = true
				result.CommonPrefixes = append(result.CommonPrefixes, prefixEntry{folder})
			}
			continue
		}
		result.Contents = append(result.Contents, listEntry{
			Key: o.name, ETag: fmt.Sprintf("\"%d\"", o.generation), Size: len(o.data),
			LastModified: o.created.UTC().Format("2006-01-02T15:04:05.000Z"), StorageClass: o.class,
		})
	}
	result.KeyCount = len(result.Contents) + len(result.CommonPrefixes)
	w.Header().Set("Content-Type", "application/xml")
	xml.NewEncoder(w).Encode(result)
	return nil
}
