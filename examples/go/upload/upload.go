package kubeless

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"

	"github.com/kubeless/kubeless/pkg/functions"
)

// Upload tells the name, the size and the checksum of an uploaded file, and the note that came with it.
func Upload(event functions.Event, context functions.Context) (string, error) {
	request, response := event.Extensions.Request, event.Extensions.Response
	file, header, err := request.FormFile("file")
	if err != nil {
		http.Error(response, err.Error(), http.StatusBadRequest)
		return "", nil
	}
	defer file.Close()
	sum := sha256.New()
	size, err := io.Copy(sum, file)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s: %d bytes, sha256 %x, note %q", header.Filename, size, sum.Sum(nil), request.FormValue("note")), nil
}
