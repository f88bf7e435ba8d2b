package main

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

type jsonAPI struct{ *buckets }

// metadata is what a client says of an object that it writes.
type metadata struct {
	Name            string `json:"name"`
	StorageClass    string `json:"storageClass"`
	ContentEncoding string `json:"contentEncoding"`
	CRC32C          string `json:"crc32c"`
	MD5             string `json:"md5Hash"`
}

// upload is a resumable upload under way.
type upload struct {
	bucket   string
	metadata metadata
	expected *int64
	data     []byte
	done     *object
}

var uploads = struct {
	sync.Mutex
	all map[string]*upload
}{all: map[string]*upload{}}

func (api *jsonAPI) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var f *fault
	path := strings.Split(strings.TrimPrefix(strings.TrimPrefix(r.URL.EscapedPath(), "/upload"), "/storage/v1/"), "/")
	query := r.URL.Query()
	switch {
	case r.Method == "PUT" && query.Get("upload_id") != "":
		f = api.resume(w, r, query.Get("upload_id"))
	case len(path) == 3 && path[0] == "b" && path[2] == "o" && r.Method == "POST":
		f = api.write(w, r, path[1])
	case len(path) == 4 && path[2] == "o" && r.Method == "GET" && query.Get("alt") == "media":
		f = api.read(w, r, path[1], path[3])
	default:
		f = badRequest
	}
	if f != nil {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(f.status)
		body := map[string]any{"error": map[string]any{"code": f.status, "message": f.text}}
		json.NewEncoder(w).Encode(body)
	}
}

func (api *jsonAPI) write(w http.ResponseWriter, r *http.Request, bucket string) *fault {
	var m metadata
	query := r.URL.Query()
	expected, f := number(query.Get("ifGenerationMatch"))
	if f != nil {
		return f
	}
	switch query.Get("uploadType") {
	case "resumable":
		if err := json.NewDecoder(r.Body).Decode(&m); err != nil && err != io.EOF {
			return badRequest
		}
		m.Name = query.Get("name")
		uploads.Lock()
		defer uploads.Unlock()
		id := strconv.Itoa(len(uploads.all) + 1)
		uploads.all[id] = &upload{bucket: bucket, metadata: m, expected: expected}
		// Clients leave the port out of the Host header.
		here := r.Context().Value(http.LocalAddrContextKey)
		w.Header().Set("Location", fmt.Sprintf("http://%s%s?upload_id=%s", here, r.URL.EscapedPath(), id))
		return nil
	case "multipart":
		data, f := parts(r, &m)
		if f != nil {
			return f
		}
		m.Name = query.Get("name")
		return api.finish(w, bucket, m, data, expected)
	}
	return badRequest
}

// parts reads the metadata, the bytes, and the metadata that was not known before them.
func parts(r *http.Request, m *metadata) ([]byte, *fault) {
	_, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		return nil, badRequest
	}
	var data []byte
	reader := multipart.NewReader(r.Body, params["boundary"])
	for i := 0; ; i++ {
		part, err := reader.NextRawPart()
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, badRequest
		}
		if i == 1 {
			data, err = io.ReadAll(part)
		} else {
			err = json.NewDecoder(part).Decode(m)
		}
		if err != nil {
			return nil, badRequest
		}
	}
}

func (api *jsonAPI) resume(w http.ResponseWriter, r *http.Request, id string) *fault {
	uploads.Lock()
	defer uploads.Unlock()
	u := uploads.all[id]
	if u == nil {
		return noObject
	}
	if u.done != nil {
		return answer(w, u.bucket, u.done)
	}
	var from, to, total int
	header := r.Header.Get("Content-Range")
	switch {
	case header == "bytes */*":
	case header == "bytes */0":
		return api.complete(w, u)
	default:
		if n, _ := fmt.Sscanf(header, "bytes %d-%d/%d", &from, &to, &total); n != 3 || from != len(u.data) {
			return badRequest
		}
		data, err := io.ReadAll(r.Body)
		u.data = append(u.data, data...)
		if err == nil && len(u.data) == total {
			return api.complete(w, u)
		}
	}
	if len(u.data) > 0 {
		w.Header().Set("Range", fmt.Sprintf("bytes=0-%d", len(u.data)-1))
	}
	w.WriteHeader(http.StatusPermanentRedirect)
	return nil
}

func (api *jsonAPI) complete(w http.ResponseWriter, u *upload) *fault {
	o, f := api.store(u.bucket, u.metadata, u.data, u.expected)
	if f != nil {
		return f
	}
	u.done, u.data = o, nil
	return answer(w, u.bucket, o)
}

func (api *jsonAPI) finish(w http.ResponseWriter, bucket string, m metadata, data []byte, expected *int64) *fault {
	o, f := api.store(bucket, m, data, expected)
	if f != nil {
		return f
	}
	return answer(w, bucket, o)
}

func (api *jsonAPI) store(bucket string, m metadata, data []byte, expected *int64) (*object, *fault) {
	o := object{name: m.Name, data: data, class: m.StorageClass, encoding: m.ContentEncoding}
	if m.CRC32C != "" && m.CRC32C != crcText(&o) || m.MD5 != "" && m.MD5 != base64.StdEncoding.EncodeToString(o.md5()) {
		return nil, badChecksum
	}
	return api.put(bucket, o, expected)
}

func answer(w http.ResponseWriter, bucket string, o *object) *fault {
	w.Header().Set("Content-Type", "application/json")
	stamp := o.created.UTC().Format(time.RFC3339Nano)
	json.NewEncoder(w).Encode(map[string]any{
		"kind": "storage#object", "name": o.name, "bucket": bucket,
		"generation": strconv.FormatInt(o.generation, 10), "metageneration": "1",
		"size": strconv.Itoa(len(o.data)), "storageClass": o.class, "contentEncoding": o.encoding,
		"crc32c": crcText(o), "md5Hash": base64.StdEncoding.EncodeToString(o.md5()),
		"timeCreated": stamp, "updated": stamp, "etag": strconv.FormatInt(o.generation, 10),
	})
	return nil
}

func (api *jsonAPI) read(w http.ResponseWriter, r *http.Request, bucket, escaped string) *fault {
	name, err := url.PathUnescape(escaped)
	if err != nil {
		return badRequest
	}
	query := r.URL.Query()
	generation, f := number(query.Get("generation"))
	if f != nil {
		return f
	}
	if generation == nil {
		generation = new(int64)
	}
	o, f := api.get(bucket, name, *generation)
	if f != nil {
		return f
	}
	if expected, f := number(query.Get("ifGenerationMatch")); f != nil || expected != nil && *expected != o.generation {
		return precondition
	}
	return serve(w, r, o)
}

// serve sends the bytes, or the range of them that is asked for.
func serve(w http.ResponseWriter, r *http.Request, o *object) *fault {
	from, to, whole, f := span(r.Header.Get("Range"), len(o.data))
	if f != nil {
		return f
	}
	header := w.Header()
	header.Set("Content-Type", "application/octet-stream")
	header.Set("Content-Length", strconv.Itoa(to-from))
	header.Set("Last-Modified", o.created.UTC().Format(http.TimeFormat))
	header.Set("ETag", fmt.Sprintf("\"%d\"", o.generation))
	header.Set("x-goog-generation", strconv.FormatInt(o.generation, 10))
	header.Set("x-goog-metageneration", "1")
	header.Set("x-goog-storage-class", o.class)
	header.Set("x-goog-stored-content-length", strconv.Itoa(len(o.data)))
	encoding := o.encoding
	if encoding != "" {
		header.Set("Content-Encoding", encoding)
	} else {
		encoding = "identity"
	}
	header.Set("x-goog-stored-content-encoding", encoding)
	header.Add("x-goog-hash", "crc32c="+crcText(o)+",md5="+base64.StdEncoding.EncodeToString(o.md5()))
	if !whole {
		header.Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to-1, len(o.data)))
		w.WriteHeader(http.StatusPartialContent)
	}
	if r.Method != "HEAD" {
		io.Copy(w, bytes.NewReader(o.data[from:to]))
	}
	return nil
}

func crcText(o *object) string {
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, o.crc32c()))
}

func number(text string) (*int64, *fault) {
	if text == "" {
		return nil, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return nil, badRequest
	}
	return &n, nil
}
