module golden

go 1.26.0

require github.com/centrifugal/protocol v0.23.1

require google.golang.org/protobuf v1.36.12 // indirect
