module linchpin/gcs

go 1.24

require (
	google.golang.org/genproto v0.0.0-20230410155749-daa745c078e1
	google.golang.org/grpc v1.71.0
	google.golang.org/protobuf v1.36.5
)

require (
	cloud.google.com/go/iam v0.13.0 // indirect
	golang.org/x/net v0.34.0 // indirect
	golang.org/x/sys v0.29.0 // indirect
	golang.org/x/text v0.21.0 // indirect
)
