package main

import (
	"crypto/md5"
	"fmt"
	"hash/crc32"
	"net/http"
	"sort"
	"strings"
	"sync"
	"time"
)

// fault is an answer other than success, by its HTTP status.
type fault struct {
	status int
	reason string
	text   string
}

func (f *fault) Error() string { return f.text }

var (
	noBucket     = &fault{http.StatusNotFound, "NoSuchBucket", "The specified bucket does not exist."}
	noObject     = &fault{http.StatusNotFound, "NoSuchKey", "No such object."}
	precondition = &fault{http.StatusPreconditionFailed, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold."}
	badRequest   = &fault{http.StatusBadRequest, "InvalidArgument", "The request is not valid."}
	badChecksum  = &fault{http.StatusBadRequest, "BadDigest", "The checksum does not match the object."}
	underHold    = &fault{http.StatusForbidden, "ObjectUnderActiveHold", "The object is under an active hold and cannot be deleted or overwritten."}
	badRange     = &fault{http.StatusRequestedRangeNotSatisfiable, "InvalidRange", "The requested range cannot be satisfied."}
)

// object is one generation; it is never changed.
type object struct {
	name       string
	data       []byte
	generation int64
	class      string
	encoding   string
	created    time.Time
	held       bool
}

func (o *object) crc32c() uint32 { return crc32.Checksum(o.data, crc32.MakeTable(crc32.Castagnoli)) }
func (o *object) md5() []byte    { sum := md5.Sum(o.data); return sum[:] }

type buckets struct {
	sync.RWMutex
	all        map[string]map[string]*object
	generation int64
}

func newBuckets() *buckets {
	return &buckets{all: map[string]map[string]*object{}, generation: time.Now().UnixMicro()}
}

func (b *buckets) create(bucket string) bool {
	b.Lock()
	defer b.Unlock()
	if b.all[bucket] != nil {
		return false
	}
	b.all[bucket] = map[string]*object{}
	return true
}

// get gives the live generation of an object, which must be the one asked for, if any.
func (b *buckets) get(bucket, name string, generation int64) (*object, *fault) {
	b.RLock()
	defer b.RUnlock()
	objects, known := b.all[bucket]
	if !known {
		return nil, noBucket
	}
	found := objects[name]
	if found == nil || (generation != 0 && generation != found.generation) {
		return nil, noObject
	}
	return found, nil
}

// put makes a new generation, if the live one is the one that is expected; 0 expects none.
func (b *buckets) put(bucket string, o object, expected *int64) (*object, *fault) {
	b.Lock()
	defer b.Unlock()
	objects, known := b.all[bucket]
	if !known {
		return nil, noBucket
	}
	if expected != nil && *expected != live(objects[o.name]) {
		return nil, precondition
	}
	if old := objects[o.name]; old != nil && old.held {
		return nil, underHold
	}
	b.generation++
	o.generation, o.created = b.generation, time.Now()
	if o.class == "" {
		o.class = "STANDARD"
	}
	objects[o.name] = &o
	return &o, nil
}

func (b *buckets) remove(bucket, name string, expected *int64) *fault {
	b.Lock()
	defer b.Unlock()
	objects, known := b.all[bucket]
	if !known {
		return noBucket
	}
	if objects[name] == nil {
		return noObject
	}
	if expected != nil && *expected != live(objects[name]) {
		return precondition
	}
	if objects[name].held {
		return underHold
	}
	delete(objects, name)
	return nil
}

// hold puts a temporary hold on the live generation, if it is the one that is expected.
func (b *buckets) hold(bucket, name string, expected *int64, on bool) (*object, *fault) {
	b.Lock()
	defer b.Unlock()
	objects, known := b.all[bucket]
	if !known {
		return nil, noBucket
	}
	if objects[name] == nil {
		return nil, noObject
	}
	if expected != nil && *expected != live(objects[name]) {
		return nil, precondition
	}
	changed := *objects[name]
	changed.held = on
	objects[name] = &changed
	return &changed, nil
}

func live(o *object) int64 {
	if o == nil {
		return 0
	}
	return o.generation
}

// list gives objects from a name on (itself included), in the order of their bytes, and the name to go
// on with.
func (b *buckets) list(bucket, prefix, start string, size int) ([]*object, string, *fault) {
	b.RLock()
	defer b.RUnlock()
	objects, known := b.all[bucket]
	if !known {
		return nil, "", noBucket
	}
	var names []string
	for name := range objects {
		if strings.HasPrefix(name, prefix) && name >= start {
			names = append(names, name)
		}
	}
	sort.Strings(names)
	next := ""
	if len(names) > size {
		next, names = names[size], names[:size]
	}
	page := make([]*object, len(names))
	for i, name := range names {
		page[i] = objects[name]
	}
	return page, next, nil
}

// span reads a Range header; whole says that there is none.
func span(header string, size int) (from, to int, whole bool, f *fault) {
	if header == "" {
		return 0, size, true, nil
	}
	if n, err := fmt.Sscanf(header, "bytes=%d-%d", &from, &to); n == 1 && err != nil {
		to = size - 1
	} else if n != 2 {
		if n, _ := fmt.Sscanf(header, "bytes=-%d", &to); n != 1 {
			return 0, 0, false, badRange
		}
		from, to = max(0, size-to), size-1
	}
	if from >= size || to < from {
		return 0, 0, false, badRange
	}
	return from, min(to+1, size), false, nil
}
