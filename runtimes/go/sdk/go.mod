// The module exists for working on the SDK: `go vet ./...` and `go test ./...` here. A function's build copies the
// packages into the function's own module instead, see build/stage.rs.
module funchost

go 1.14

require github.com/kubeless/kubeless v1.0.8

replace github.com/kubeless/kubeless => ./kubeless
